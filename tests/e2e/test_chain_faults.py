"""Everything that may stand in the chain's way, in one process: nothing is lost, doubled, wrong or quiet."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from gateway.adapters.store_errors import StoreFull
from gateway.codec import Account, Data, EventMessage, PointTable, Status
from gateway.core.desk import CoreDesk
from gateway.model import Level, Point, level_of
from tests.e2e.chain_support import ESTATE, GATEWAY, START, Rig, Wraps, rig

OWN = f"steward/v1/{ESTATE}/{GATEWAY}"
SUMP = "sump-1/sump.level"


def data(boot: str, tab: str, *, seq: int = 9_000, v: float = 1.0, t: int = START, i: int = 0) -> bytes:
    one = np.array([i])
    m = Data(boot, "live", seq, tab, t, one, np.zeros(1, np.int64), np.array([v]), np.zeros(1, np.uint8))
    return m.encode()


def changed(payload: bytes, **fields: Any) -> bytes:
    return orjson.dumps({**orjson.loads(payload), **fields})


def poison(boot: str, tab: str) -> dict[str, tuple[str, bytes]]:
    """What no edge of ours sends: topic and payload by name."""
    good = data(boot, tab)
    table = PointTable.of([Point("ws-1", "ws.out_p")]).encode()
    event = EventMessage("x", boot, 9_000, tab, START, 0, 1.0).encode()
    account = Account(boot, 9_000, START, {}).encode()
    return {
        "a foreign gateway": (f"steward/v1/{ESTATE}/gw-9/data", good),
        "a foreign gateway's account": (f"steward/v1/{ESTATE}/gw-9/account", account),
        "the wrong estate": (f"steward/v1/palace/{GATEWAY}/data", good),
        "a topic in capitals": (f"steward/v1/{ESTATE}/GW/data", good),
        "no JSON": (f"{OWN}/data", b"\xff\x00{"),
        "a list": (f"{OWN}/data", b"[1,2]"),
        "a number": (f"{OWN}/account", b"7"),
        "an unknown lane": (f"{OWN}/data", changed(good, lane="fast")),
        "number 0": (f"{OWN}/data", changed(good, seq=0)),
        "a time without end": (f"{OWN}/data", changed(good, t=10**18)),
        "a step without end": (f"{OWN}/data", changed(good, dt=[2**60])),
        "columns of two lengths": (f"{OWN}/data", changed(good, v=[1, 2])),
        "a quality of nothing": (f"{OWN}/data", changed(good, q={"5": 1})),
        "an index outside": (f"{OWN}/data", data(boot, tab, i=999)),
        "a good value that is none": (f"{OWN}/data", data(boot, tab, v=float("nan"))),
        "a table that is no hash": (f"{OWN}/data", changed(good, tab="../etc")),
        "an event outside": (f"{OWN}/event", changed(event, i=-1)),
        "an event as a list": (f"{OWN}/event", changed(event, attrs=[1])),
        "an account of texts": (f"{OWN}/account", changed(account, devices={"d": "x"})),
        "a table under a wrong name": (f"{OWN}/points/abc", changed(table, tab="0123456789ab")),
        "a table that is empty": (f"{OWN}/points/abc", b'{"points":[]}'),
    }


NAMES = list(poison("b", "0" * 12))


@pytest.mark.parametrize("name", NAMES)
async def test_a_message_that_is_wrong_is_counted_and_the_rest_goes_on(tmp_path: Path, name: str) -> None:
    async with rig(tmp_path) as r:
        edge = r.edges[0]
        topic, payload = poison(edge.boot, edge.packer.tables[0].tab)[name]
        r.broker.publish(topic, payload)
        await r.settle()
        health = CoreDesk(r.core, lambda *_: True).health()
        assert sum(health["intake"]["rejected"].values()) == 1, health["intake"]
        edge.plant["sump.level"] = 1.5
        await r.run(20)
        assert len(r.alarms("drain.level_high")) == 1
        await r.drain()
        r.proven()


async def test_wrong_status_messages_are_counted(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        r.broker.publish(f"{OWN}/status", b"gone fishing")
        r.broker.publish(f"steward/v1/{ESTATE}/gw-9/status", Status(False, "z", 99).encode())
        r.broker.publish(f"{OWN}/status", Status(False, "0-old-boot", 1).encode())
        await r.run(2)
        assert sum(r.core.intake.rejected.values()) == 2
        assert r.core.edges[GATEWAY].online


async def test_a_refused_number_does_not_hold_up_its_lane(tmp_path: Path) -> None:
    """The newest program of an edge says something that this core cannot read: the rest still gets out."""
    async with rig(tmp_path) as r:
        edge = r.edges[0]
        seq = edge.packer.next_seq("live")
        bad = changed(data(edge.boot, edge.packer.tables[0].tab, seq=seq), v="new form")
        r.broker.publish(f"{OWN}/data", bad)
        edge.plant["ws.out_p"] = 0.36
        await r.run(30)
        assert edge.waiting == 0
        assert sum(r.core.intake.rejected.values()) == 1


async def test_a_wrong_access_list_keeps_everything_at_the_edge(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        edge = r.edges[0]
        edge.allowed = False  # each publish is PUBACKed, and goes nowhere
        before = r.samples.count()
        edge.plant["sump.level"] = 1.5
        await r.run(120)
        assert r.samples.count() - before <= 3 * 13  # the core's own points
        assert edge.waiting > 10
        assert level_of(r.value(SUMP)[2]) is Level.STALE
        assert len(r.events("gateway.offline")) == 1
        assert len(r.alarms("gateway.offline")) == 1
        edge.allowed = True
        edge.resend()
        await r.run(60)
        assert [e.t for e in r.alarms("drain.level_high")] == [
            next(t for t, v in edge.sent_ever[SUMP] if v == 1.5) + 10_000
        ]
        assert len(r.events("gateway.online")) == 2
        await r.drain()
        r.proven()


async def test_a_state_store_from_a_copy_does_not_hold_up_the_edge(tmp_path: Path) -> None:
    """What was confirmed since the copy is gone at the edge: the core must not wait for it for ever."""
    async with rig(tmp_path) as r:
        await r.crash()
        shutil.copytree(tmp_path, tmp_path / "copy")
        await r.start()
        r.edges[0].plant["ws.out_p"] = 0.36
        await r.run(90)
        await r.crash()
        for tail in ("", "-wal", "-shm"):
            (tmp_path / f"state.db{tail}").unlink(missing_ok=True)
        shutil.copy(tmp_path / "copy" / "state.db", tmp_path / "state.db")
        await r.start()
        edge = r.edges[0]
        edge.plant["sump.level"] = 1.5
        await r.run(60)
        assert r.core.intake.gone > 0
        assert edge.waiting == 0
        assert len(r.alarms("drain.level_high")) == 1
        await r.drain()
        sheet = r.balance()
        assert sheet["residual"] > 0  # what the copy lacks is said, not hidden
        assert sheet["in_outbox"] == 0


async def test_the_edge_is_killed_again_and_again(tmp_path: Path) -> None:
    chance = random.Random(7)
    async with rig(tmp_path) as r:
        edge = r.edges[0]
        for _ in range(12):
            edge.plant["ws.flow"] = chance.uniform(5, 15)
            await r.run(chance.randint(1, 25))
            edge.kill(r.setup)
            await r.run(chance.randint(0, 3))
            edge.connect()
        edge.plant["sump.level"] = 1.5
        await r.run(30)
        assert len(r.alarms("drain.level_high")) == 1
        assert {e.data["rule"] for e in r.events("alarm.raised")} == {"drain.level_high"}
        await r.drain()
        r.proven()


async def test_the_broker_forgets_everything(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        edge = r.edges[0]
        edge.plant["sump.level"] = 1.5
        await r.run(3)
        for queue in r.broker.lanes.values():
            queue.waiting.clear()
            queue.pending.clear()
        r.broker.retained.clear()
        r.broker.cut()
        await r.run(5)
        r.broker.mend()
        edge.connect()
        await r.run(30)
        assert len(r.alarms("drain.level_high")) == 1
        await r.drain()
        r.proven()


class Full:
    """A store on a disk that is full while `on`."""

    def __init__(self, inner: Any, methods: set[str]) -> None:
        self._inner, self._methods, self.on = inner, methods, False

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._methods:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            if self.on:
                raise StoreFull(f"{name}: no room on the disk")
            return found(*args, **kwargs)

        return call


@pytest.mark.parametrize("which", ["samples", "state"])
async def test_a_full_disk_stops_the_intake_and_nothing_else(tmp_path: Path, which: str) -> None:
    made: list[Full] = []

    def full(inner: Any) -> Full:
        made.append(Full(inner, {"append", "commit", "series", "trim_journal", "notice_result"}))
        return made[-1]

    wraps = Wraps(samples=full) if which == "samples" else Wraps(state=full)
    async with rig(tmp_path, wraps=wraps) as r:
        edge = r.edges[0]
        made[0].on = True
        edge.plant["sump.level"] = 1.5
        work = asyncio.create_task(loop(r))
        await passing(r, 60)
        assert edge.waiting > 5
        assert r.core.writer.stuck
        assert level_of(r.value(SUMP)[2]) is Level.STALE
        assert r.alarms("drain.level_high") == []
        made[0].on = False
        await passing(r, 5)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert r.core.writer.stuck == ""
        edge.resend()
        await r.run(30)
        assert len(r.alarms("drain.level_high")) == 1
        assert level_of(r.value(SUMP)[2]) is Level.GOOD
        await r.drain()
        r.proven()


async def loop(r: Rig) -> None:
    while True:
        await r.core.step()
        await r.core.tick()
        await r.clock.sleep_real(1)


async def passing(r: Rig, seconds: int) -> None:
    """Time goes on while the core's loop is on its own; a worker thread may need a moment of real time."""
    for _ in range(seconds):
        await r.clock.advance(1)
        r.edges[0].second()
        for _ in range(20):
            await asyncio.sleep(0.0005)


async def test_a_full_disk_costs_a_snapshot_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(tmp_path) as r:

        def full(*_: object) -> int:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as m:
            m.setattr(r.core.brain, "write", full)
            await r.run(70)
        await r.core.snapshot()
        r.edges[0].plant["sump.level"] = 1.5
        await r.restart()
        await r.run(30)
        assert len(r.alarms("drain.level_high")) == 1
        await r.drain()
        r.proven()


async def test_damaged_snapshots_are_left_out(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        r.edges[0].plant["sump.level"] = 1.5
        await r.run(20)
        await r.core.snapshot()
        await r.run(20)
        await r.core.snapshot()
        files = sorted((tmp_path / "snapshots").glob("detectors-*"))
        assert len(files) == 2
        blob = bytearray(files[-1].read_bytes())
        blob[len(blob) // 2] ^= 1
        files[-1].write_bytes(blob)
        await r.restart()
        live, _ = r.core.brain.active()
        assert list(live) == [f"drain.level_high@{SUMP}"]
        for f in files:
            f.write_bytes(b"rubbish")
        await r.restart()  # nothing knows that the level is high: what is open stays open
        await r.run(40)
        (alarm,) = (a for a in r.core.parts.dispatch.book.alarms.values() if a.active)
        assert alarm.rule == "drain.level_high"
        r.edges[0].plant["sump.level"] = 0.4
        await r.run(200)
        kinds = [e.kind for e in r.alarms("drain.level_high", "alarm.raised", "alarm.cleared")]
        assert kinds == ["alarm.raised", "alarm.cleared"]
        await r.drain()
        r.proven()


async def test_a_rule_that_is_gone_ends_its_alarm(tmp_path: Path) -> None:
    from gateway.app.setup import load_setup

    async with rig(tmp_path) as r:
        r.edges[0].plant["sump.level"] = 1.5
        await r.run(20)
        await r.core.snapshot()
        site = tmp_path / "site.yaml"
        text = site.read_text(encoding="utf-8")
        extra = "rules:\n- {id: drain.level_high, h: 1.9, hh: 2.5}\n"
        site.write_text(text + extra, encoding="utf-8")
        await r.restart(load_setup(site))
        await r.run(5)
        (end,) = r.alarms("drain.level_high", "alarm.cleared")
        assert not any(a.active for a in r.core.parts.dispatch.book.alarms.values())
        assert end.data["rule"] == "drain.level_high"


async def test_the_same_command_twice_is_one_command(tmp_path: Path) -> None:
    from gateway.model import MACHINE, Command

    async with rig(tmp_path) as r:
        r.edges[0].plant["sump.level"] = 1.5
        await r.run(20)
        (alarm,) = (a for a in r.core.parts.dispatch.book.alarms.values() if a.active)
        note = {"text": "seen"}
        cmd = Command("k1", "alarm.note", alarm.id, MACHINE, r.clock.now(), 0, data=note)
        both = [asyncio.create_task(r.core.submit(cmd)) for _ in range(2)]
        while not all(t.done() for t in both):
            await asyncio.sleep(0.001)
            await r.settle()
        assert both[0].result() == both[1].result()
        await r.restart()
        third = await r.core.submit(cmd)
        assert third == both[0].result()
        assert len(r.events("alarm.noted")) == 1
