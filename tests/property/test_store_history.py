"""Random histories of the embedded store: late rows, seals by the hour and the day, retention, kills.

Whatever happened before, rows are there once, and long windows say what the rows say.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.memory_store import MemoryStore
from gateway.model import Level, MessageKey, Ms, Samples, quality

HOUR = 3_600_000
DAY = 24 * HOUR
D = 1_790_000_000_000 // DAY * DAY
DAYS, SERIES = 5, (1, 2, 3)
BUCKET = 75 * 60_000


def message(n: int) -> tuple[Samples, MessageKey]:
    """The same for a number each time: mostly of a day that moves on, now and then of any."""
    rng = np.random.default_rng(n)
    k = int(rng.integers(5, 120))
    day = int(rng.integers(0, DAYS)) if rng.random() < 0.3 else min(DAYS - 1, n // 12 % DAYS)
    series = rng.choice(SERIES, k).astype(np.uint32)
    t = D + day * DAY + rng.integers(0, DAY // 1000, k) * 1000
    v = (t // 1000 * 31 + series * 7) % 1000 / 100 - 2  # a repeated row has the value of the first
    v[(t // 1000 + series) % 37 == 0] = np.nan
    q = np.where((t // 1000 + series) % 23 == 0, quality(Level.BAD), 0).astype(np.uint8)
    return Samples(series, t, v, q), MessageKey("g", "b", "live", n)


def put(store: DuckStore, n: int) -> None:
    rows, key = message(n)
    store.append(rows, [key], historical=False)


def seal_something(store: DuckStore, chance: random.Random) -> None:
    if chance.random() < 0.5:
        store.seal(D + chance.randrange(DAYS) * DAY)
    else:
        store.seal_hour(D + chance.randrange(DAYS * 24) * HOUR)


def same_answers(store: DuckStore, memory: MemoryStore, start: Ms) -> None:
    """Rows, shares and buckets of [start, end of the days)."""
    end = D + DAYS * DAY
    for one in SERIES:
        a, b = store.raw(one, start, end), memory.raw(one, start, end)
        for name in ("t", "v", "q"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    # What the day before held is known only where its rows are.
    start += DAY if start > D else 0
    found, wanted = store.shares(SERIES, start, end), memory.shares(SERIES, start, end)
    np.testing.assert_array_equal(found.on_ms, wanted.on_ms)
    np.testing.assert_array_equal(found.known_ms, wanted.known_ms)
    n = (end - start) // BUCKET
    for one in SERIES:
        p, m = (s.buckets(one, start, start + n * BUCKET, n) for s in (store, memory))
        for name in ("t", "low", "high", "n"):
            np.testing.assert_array_equal(getattr(p, name), getattr(m, name))
        np.testing.assert_allclose(p.mean, m.mean, rtol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_late_rows_seals_and_drops_gives_the_same_answers(tmp_path: Path, seed: int) -> None:
    chance, store, memory, dropped = random.Random(seed), DuckStore(tmp_path), MemoryStore(), D
    for n in range(60):
        put(store, n)
        memory.append(*_listed(n), historical=False)
        for _ in range(chance.randrange(3)):
            seal_something(store, chance)
        if chance.random() < 0.1:
            put(store, chance.randrange(n + 1))  # redelivered
        if n == 40 and seed % 2:
            dropped = D + DAY
            store.drop_before(dropped)
        if chance.random() < 0.05:
            store.close()
            store = DuckStore(tmp_path)
        if n % 10 == 9:
            same_answers(store, memory, dropped)
    store.close()


def _listed(n: int) -> tuple[Samples, list[MessageKey]]:
    rows, key = message(n)
    return rows, [key]


def worker(folder: str, start: str) -> None:
    """Appends and seals until it is killed; says what it is about to write, and what is written."""
    store, chance, n = DuckStore(folder), random.Random(start), int(start)
    while True:
        sys.stdout.write(f"{n}\n")
        sys.stdout.flush()
        put(store, n)
        sys.stdout.write(f"{n} done\n")
        sys.stdout.flush()
        n += 1
        for _ in range(chance.randrange(3)):
            seal_something(store, chance)


def test_a_process_killed_while_it_seals_loses_and_doubles_nothing(tmp_path: Path) -> None:
    memory, told, chance = MemoryStore(), [0], random.Random(3)
    for _ in range(4):
        code = (
            f"from tests.property.test_store_history import worker; worker({str(tmp_path)!r}, '{told[-1]}')"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        ) as child:
            assert child.stdout is not None
            lines = [child.stdout.readline() for _ in range(chance.randrange(20, 60))]
            time.sleep(chance.random() / 20)  # anywhere in what follows
            child.send_signal(signal.SIGKILL)
            lines += child.stdout.readlines()
        written = [int(line.split()[0]) for line in lines if line.endswith("done\n")]
        assert written
        begun = max(int(line.split()[0]) for line in lines if line.endswith("\n"))
        store = DuckStore(tmp_path)
        keys = [message(n)[1] for n in (*written, begun)]
        there = store.applied(keys)
        assert all(there[:-1])
        for n in sorted({*written, *([begun] if there[-1] else [])}):
            memory.append(*_listed(n), historical=False)
        same_answers(store, memory, D)
        store.close()
        told.append(begun if not there[-1] else begun + 1)
