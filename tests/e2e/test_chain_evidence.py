"""What an alarm leaves behind: rows, frozen samples that outlive the raw data, restarts, one winner."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from alerts.occurrences import DONE, EVIDENCE, OPEN, occurrence_id
from gateway.adapters.memory_store import MemoryStore
from gateway.core.freezer import PIECE, thaw
from gateway.errors import Conflict, Retryable
from gateway.model import Actor, Command, Finding, Ms, Samples
from tests.e2e.chain_support import Rig, Wraps, rig

OUT_P = "ws-1/ws.out_p"


def rows(r: Rig, kind: str) -> list[dict[str, Any]]:
    return [body for _, body in r.state.records(kind) if body["rule"] == "water.out_p_high"]


async def high(r: Rig, seconds: int = 60) -> Ms:
    """The pressure is too high for so long; when the alarm was raised."""
    plant = r.edges[0].plant
    plant["ws.out_p"] = 0.40
    await r.run(seconds)
    plant["ws.out_p"] = 0.35
    await r.run(30)
    return r.alarms("water.out_p_high")[-1].t


def evidence(r: Rig, onset: Ms) -> dict[str, Any] | None:
    alarm = r.alarms("water.out_p_high")[-1].subject
    return r.state.record(EVIDENCE, occurrence_id(alarm, onset))


async def test_three_occurrences_are_three_rows_in_the_store(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        onsets = [await high(r) for _ in range(3)]
        assert [row["start"] for row in rows(r, OPEN)] == onsets
        assert all(row["duration_ms"] > 30_000 for row in rows(r, OPEN))
        (alarm,) = {row["alarm"] for row in rows(r, OPEN)}
        who = Actor("wang", role="operator")
        now = r.clock.now()
        acknowledged = asyncio.create_task(r.core.submit(Command("k1", "alarm.ack", alarm, who, now, now)))
        while not acknowledged.done():
            await r.settle()
        await acknowledged
        await r.run(620)
        done = rows(r, DONE)
        assert [row["start"] for row in done] == onsets
        assert {row["acked_by"] for row in done} == {"wang"}
        assert all(row["frozen"] and row["config"] and row["rule_version"] for row in done)
        assert rows(r, OPEN) == []


@pytest.mark.parametrize("restart_at", [None, 300, 620])
async def test_samples_around_an_alarm_are_frozen_and_open_when_the_raw_data_are_gone(
    tmp_path: Path, restart_at: int | None
) -> None:
    async with rig(tmp_path) as r:
        await r.run(700)
        onset = await high(r)
        before = r.clock.now()
        if restart_at is None:
            await r.run((onset + 600_000 - before) // 1000 - 2)
            assert evidence(r, onset) is None, "not before ten minutes have passed"
            await r.run(20)
        else:
            await r.run(restart_at, core=restart_at < 600)
            await r.restart()
            await r.run(700 - restart_at)
        wanted = [(t, v) for t, v in r.stored(OUT_P) if onset - 600_000 <= t <= onset + 600_000]
        r.samples = MemoryStore()  # everything raw has expired
        record = evidence(r, onset)
        assert record is not None
        assert r.stored(OUT_P) == []
        body = thaw(record)
        got = body["points"][OUT_P]
        kept = list(zip(got["t"], got["v"], strict=True))
        assert [s for s in kept if s[0] >= onset - 600_000] == wanted
        assert kept[0][0] <= onset - 600_000, "the value that held when the window begins is there, too"
        assert {0.40, 0.35} <= set(got["v"])
        assert (record["complete"], record["thinned"]) == (True, False)
        assert body["rule"]["id"] == "water.out_p_high"
        (told,) = [e for e in r.events("alarm.frozen") if e.subject == record["alarm"]]
        assert told.data["sha256"] == record["sha256"]


async def test_damaged_evidence_is_refused_not_shown_in_part(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        onset = await high(r)
        await r.run(620)
        record = evidence(r, onset)
        assert record is not None
        with pytest.raises(ValueError, match="hash differs"):
            thaw(record | {"sha256": "0" * 64})
        with pytest.raises(ValueError, match="damaged"):
            thaw(record | {"blob": record["blob"][:40]})
        with pytest.raises(ValueError, match="format"):
            thaw(record | {"format": 99})


class Moody:
    """A sample store whose reading of raw data fails while `broken` and hangs while it is not `free`."""

    def __init__(self, inner: Any) -> None:
        self._inner, self.broken, self.asked = inner, False, 0
        self.free = threading.Event()
        self.free.set()

    def raw(self, series: int, start: Ms, end: Ms) -> Samples:
        self.asked += 1
        self.free.wait(60)
        if self.broken:
            raise Retryable("busy")
        found: Samples = self._inner.raw(series, start, end)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def test_a_store_that_cannot_read_delays_the_evidence_and_nothing_else(tmp_path: Path) -> None:
    made: list[Moody] = []

    def wrap(store: Any) -> Any:
        made.append(Moody(store))
        return made[-1]

    async with rig(tmp_path, wraps=Wraps(samples=wrap)) as r:
        onset = await high(r)
        made[-1].broken = True
        await r.run(620)
        assert made[-1].asked > 0
        assert evidence(r, onset) is None
        assert r.core.last_turn == r.clock.now(), "alarms go on"
        made[-1].broken = False
        await r.run(61)
        assert evidence(r, onset) is not None


async def test_people_are_answered_while_evidence_is_being_read(tmp_path: Path) -> None:
    made: list[Moody] = []

    def wrap(store: Any) -> Any:
        made.append(Moody(store))
        return made[-1]

    async with rig(tmp_path, wraps=Wraps(samples=wrap)) as r:
        onset = await high(r)
        await r.run((onset + 600_000 - r.clock.now()) // 1000 - 2)
        made[-1].free.clear()
        try:
            for _ in range(5):
                await r.clock.advance(1)
                r.edges[0].second()
                await r.settle()
                await r.core.tick()
            assert r.core.freezer.reading
            who, now = Actor("wang", role="operator"), r.clock.now()
            alarm = r.alarms("water.out_p_high")[-1].subject
            asked = asyncio.create_task(r.core.submit(Command("k1", "alarm.ack", alarm, who, now, now)))
            while not asked.done():
                await r.settle()
            assert (await asked)["alarm"]["acked_by"] == "wang"
            assert r.core.last_turn == now, "ticks went on"
            assert evidence(r, onset) is None
        finally:
            made[-1].free.set()
        await r.core.freezer.finished()
        await r.settle()
        assert evidence(r, onset) is not None


async def test_a_storm_is_frozen_piece_after_piece_without_waiting_for_ticks(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        await high(r)
        core, now = r.core, r.clock.now()
        alarm = core.parts.dispatch.book.alarms[r.alarms("water.out_p_high")[-1].subject]
        one = Finding(alarm.rule, alarm.point, alarm.asset, alarm.estate, now, now, True, "H", 1.0, 0.4)
        storm = [replace(one, point=f"ws-1/ws.x{n}") for n in range(180)]
        await core._commit(core._judge(storm, now), [], [])
        await r.clock.advance(700)
        later, turns = r.clock.now(), 0
        await core.tick()
        while core.freezer.reading:
            await core.freezer.finished()
            turns += await core.step()
        assert turns >= len(storm) / PIECE, "a piece is written by itself, so that a command can come between"
        assert r.clock.now() == later, "one tick was enough"
        frozen = [e.data["occurrence"] for e in r.events("alarm.frozen")]
        assert {f.id for f in storm} <= set(frozen)
        assert len(set(frozen)) == len(frozen), "each once"


async def test_what_is_still_on_its_way_is_waited_for(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        onset = await high(r)
        r.edges[0].disconnect()
        await r.run(900)
        assert evidence(r, onset) is None, "the edge is away"
        r.edges[0].connect()
        await r.run(120)
        record = evidence(r, onset)
        assert record is not None
        last = thaw(record)["points"][OUT_P]["t"][-1]
        assert last > onset + 500_000, "what was read inside the cut is in it"


async def test_two_people_at_once_one_wins_in_the_core(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        await high(r)
        alarm = r.alarms("water.out_p_high")[-1].subject
        seen = r.core.parts.dispatch.book.alarms[alarm].version
        now = r.clock.now()

        def ack(who: str) -> Command:
            return Command(f"key-{who}", "alarm.ack", alarm, Actor(who, role="operator"), now, now, seen)

        both = asyncio.gather(r.core.submit(ack("wang")), r.core.submit(ack("zhao")), return_exceptions=True)
        while not both.done():
            await asyncio.sleep(0)
            await r.core.step()
        answers = await both
        lost = [a for a in answers if isinstance(a, Conflict)]
        assert (len(lost), sum(isinstance(a, dict) for a in answers)) == (1, 1)
        (won,) = [e.actor for e in r.alarms("water.out_p_high", "alarm.acked")]
        assert f"changed by {won} at 20" in str(lost[0])
