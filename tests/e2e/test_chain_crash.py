"""A crash of the core at every step of a turn: the same facts, records and detectors as without it."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.app.setup import load_setup
from tests.e2e.chain_support import HandEdge, Rig, Wraps, site_file

STRIDE = int(os.environ.get("STEWARD_CRASH_STRIDE", "11"))
"""Every so many of the instants are tried; 1 tries them all."""


class Crash(Exception):
    """The process ends here."""


class Fuse:
    """Counts the instants before and after each call of a port, and ends the process at chosen ones."""

    def __init__(self, *at: int) -> None:
        self.at, self.count = set(at), 0
        self.names: list[str] = []

    def pass_(self, name: str) -> None:
        self.count += 1
        self.names.append(name)
        if self.count in self.at:
            raise Crash(name)


class Wired:
    """A port whose named methods pass the fuse before and after."""

    def __init__(self, inner: Any, fuse: Fuse, *methods: str) -> None:
        self._inner, self._fuse, self._methods = inner, fuse, methods

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._methods:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._fuse.pass_(f"before {name}")
            out = found(*args, **kwargs)
            self._fuse.pass_(f"after {name}")
            return out

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            self._fuse.pass_(f"before {name}")
            out = await found(*args, **kwargs)
            self._fuse.pass_(f"after {name}")
            return out

        return call_async if name in ("ack", "publish") else call


def wraps(fuse: Fuse) -> Wraps:
    return Wraps(
        lambda s: Wired(s, fuse, "commit", "trim_journal"),
        lambda s: Wired(s, fuse, "append"),
        lambda b: Wired(b, fuse, "ack", "publish"),
    )


STORY: dict[int, dict[str, float] | str] = {
    20: {"lift.alarm_button": 1},
    22: {"ws.out_p": 0.43},
    32: {"lift.alarm_button": 0},
    44: "snapshot",
    52: {"sump.level": 1.5},
    56: "cut",
    64: {"ws.out_p": 0.35, "ws.power": 0},
    76: {"ws.power": 1, "sump.level": 0.4},
    100: "mend",
    104: {"lift.pit_water": 1},
    112: "kill edge",
    124: {"lift.pit_water": 0},
}
STEPS, STEP_S = 36, 4


async def act(r: Rig, what: dict[str, float] | str) -> None:
    edge = r.edges[0]
    if isinstance(what, dict):
        edge.plant.update(what)
    elif what == "cut":
        edge.disconnect()
    elif what == "mend":
        edge.connect()
    elif what == "kill edge":
        edge.kill(r.setup)
        edge.connect()
    else:

        async def snapshot() -> None:
            await r.core.snapshot()  # of the core that runs then

        await guarded(r, snapshot)


async def guarded(r: Rig, work: Any) -> None:
    """Do it; after a crash start again and do it again."""
    while True:
        try:
            await work()
        except Crash:
            await again(r)
        else:
            return


async def again(r: Rig) -> None:
    while True:
        try:
            await r.crash()
            await r.start()
        except Crash:
            continue
        else:
            return


async def told(folder: Path, fuse: Fuse) -> dict[str, Any]:
    """The story from start to end; everything that may not depend on crashes."""
    r = Rig(folder, load_setup(site_file(folder)), wraps=wraps(fuse))
    try:
        await r.start()
    except Crash:
        await again(r)
    r.edges.append(HandEdge(r.setup, r.broker, r.clock))
    r.edges[0].connect()

    async def work() -> None:
        await r.settle()
        await r.core.tick()

    for step in range(STEPS):
        for k in range(STEP_S):
            at = step * STEP_S + k
            if at in STORY:
                await act(r, STORY[at])
            await r.clock.advance(1)
            r.edges[0].second()
        await guarded(r, work)
    fuse.at.clear()
    await r.drain()
    await r.restart()  # all detectors from snapshot and journal
    await r.run(45)
    r.proven()
    out = picture(r)
    await r.crash()
    return out


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def picture(r: Rig) -> dict[str, Any]:
    """What is the same however often the core had to start again.

    When something was noticed, and so when an order went out, may be a turn later; when it was never is.
    """
    live, _ = r.core.brain.active()
    engine = r.core.brain.engine
    mine = sorted(s for s, p in r.core.tables.points.items() if p.asset != "gw-1")
    at = engine._index.find(np.array(mine))
    facts = [e for e in r.events() if e.kind.startswith(("alarm.", "gateway.", "asset."))]
    moving = ("changed_at", "version", "order", "memory")
    return {
        "facts": sorted((e.id, e.t, e.kind, e.subject, e.data.get("late")) for e in facts),
        "alarms": [{k: v for k, v in a.items() if k not in moving} for _, a in r.state.records("alarm")],
        "orders": sorted((o["party"], o["event"], *o["alarms"]) for _, o in r.state.records("order")),
        "called": sorted((e.kind, e.asset) for e in r.events("order.dispatched")),
        "balance": r.balance(),
        "active": sorted(f.id for f in live.values()),
        "newest": engine._newest[at].tolist(),
        "values": [repr(v) for v in engine._value[at].tolist()],
        "fills": sorted(r.core.brain.fills),
    }


async def plain(tmp_path: Path) -> tuple[dict[str, Any], Fuse]:
    fuse = Fuse()
    return await told(made(tmp_path / "plain"), fuse), fuse


async def test_the_story_has_what_it_is_meant_to_have(tmp_path: Path) -> None:
    whole, fuse = await plain(tmp_path)
    kinds = [(k, i.split(":")[1].split("@")[0]) for i, _, k, _, _ in whole["facts"]]
    raised = sorted(r for k, r in kinds if k == "alarm.raised")
    late = sorted(r for k, r in kinds if k == "alarm.occurred")
    assert "lift.alarm_button" in raised
    assert "water.out_p_high" in raised
    assert "water.power" in late
    assert whole["fills"] == []
    assert len(whole["orders"]) > 0
    assert fuse.count > 150


@pytest.mark.slow
async def test_a_crash_at_any_instant_changes_nothing(tmp_path: Path) -> None:
    whole, fuse = await plain(tmp_path)
    first = random.Random(os.environ.get("STEWARD_SEED", "1")).randrange(STRIDE)
    instants = []
    for name in dict.fromkeys(fuse.names):
        places = [k + 1 for k, x in enumerate(fuse.names) if x == name]
        instants += places[first % len(places) :: STRIDE]
    for n in instants:
        again_ = await told(made(tmp_path / f"at-{n}"), Fuse(n))
        for key, value in whole.items():
            assert again_[key] == value, (n, fuse.names[n - 1], key)


@pytest.mark.slow
async def test_many_crashes_in_one_story(tmp_path: Path) -> None:
    whole, fuse = await plain(tmp_path)
    for seed in range(3):
        chance = random.Random(seed)
        at = sorted(chance.sample(range(1, fuse.count), 12))
        again_ = await told(made(tmp_path / f"many-{seed}"), Fuse(*at))
        for key, value in whole.items():
            assert again_[key] == value, (seed, at, key)
