"""kill -9 at random instants: what was committed is there, whole, and a replay changes nothing."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np

from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.state import open_state
from gateway.model import MessageKey, Samples

STATE = """
import sys
from gateway.adapters.state import open_state
from gateway.model import Event, MessageKey, Notice
from gateway.ports import Commit
state = open_state(sys.argv[1])
n = state.position()
while True:
    n += 1
    text = {"zh": "x", "en": "x"}
    state.commit(Commit(
        events=[Event(f"{e}-{n}-{k}", e, n, "k.v", "s") for e in ("e", "f") for k in range(n % 3 + 1)],
        records=[("alarm", "a", "e", {"n": n}), ("alarm", f"a{n % 7}", "e", {"n": n})],
        notices=[Notice(f"n{n}", "e", n, "TE", "sms", "s", text, text)],
        applied=[MessageKey("g", "b", "live", n)],
        journal=[("data", n, b"x" * 2000)],
        commands=[f"c{n}"],
    ))
    print(n, flush=True)
"""

POINTS = """
import sys
import numpy as np
from gateway.adapters.duckdb_store import DuckStore
from gateway.model import MessageKey, Samples
store = DuckStore(sys.argv[1])
n = int(sys.argv[2])
while True:
    t = np.repeat(np.arange(100), 10) + n * 100
    rows = Samples(np.tile(np.arange(10), 100).astype("u4"), t, t * 0.5, np.zeros(1000, "u1"))
    store.append(rows, [MessageKey("g", "b", "live", n)], historical=False)
    print(n, flush=True)
    n += 1
"""


def run_and_kill(code: str, *arguments: str, after: int) -> int:
    """Start, wait for so many acknowledged turns, kill at once; the last turn that was acknowledged."""
    child = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    last = -1
    for turn, line in enumerate(child.stdout):
        last = int(line)
        if turn == after:
            child.kill()
            break
    rest = child.communicate()[0].splitlines()
    return int(rest[-1]) if rest else last


def test_state_killed_twenty_times_is_whole_each_time(tmp_path: Path) -> None:
    path, rng = tmp_path / "state.db", random.Random(7)
    for _ in range(20):
        acknowledged = run_and_kill(STATE, str(path), after=rng.randrange(0, 60))
        state = open_state(path)
        n = state.position()
        assert n in (acknowledged, acknowledged + 1)
        assert state.verify("e") is None
        assert state.verify("f") is None
        # Every part of the last turn is there, and none of the next.
        facts = sum(i % 3 + 1 for i in range(1, n + 1))
        assert len(state.events(estate="e", limit=10**6)) == facts
        assert len(state.events(estate="f", limit=10**6)) == facts
        assert state.record("alarm", "a") == {"n": n}
        assert state.record("alarm", f"a{n % 7}") == {"n": n}
        assert state.applied() == {("g", "b", "live"): [(1, n)]}
        assert state.notice_counts() == {"waiting": n}
        assert [state.command(f"c{n}"), state.command(f"c{n + 1}")] == [{}, None]
        state.close()


def test_samples_killed_ten_times_lose_nothing_and_replay_changes_nothing(tmp_path: Path) -> None:
    rng, n = random.Random(8), 0
    for _ in range(10):
        acknowledged = run_and_kill(POINTS, str(tmp_path), str(n), after=rng.randrange(0, 60))
        store = DuckStore(tmp_path)
        there = store.applied([MessageKey("g", "b", "live", k) for k in range(acknowledged + 3)])
        n = sum(there)
        assert n in (acknowledged + 1, acknowledged + 2)
        assert there == [k < n for k in range(acknowledged + 3)]
        assert store.count() == n * 1000  # rows and keys came together or not at all
        for k in range(max(0, n - 21), n):
            t = np.repeat(np.arange(100), 10) + k * 100
            v = (t * 0.5).astype(np.float64)
            rows = Samples(np.tile(np.arange(10), 100).astype("u4"), t, v, np.zeros(1000, "u1"))
            assert store.append(rows, [MessageKey("g", "b", "live", k)], historical=True) == 0
        assert store.count() == n * 1000
        assert store.raw(3, 0, n * 100).v.tolist() == [0.5 * t for t in range(n * 100)]
        store.close()
