"""Outages of the link, in one process: what happened inside a cut comes out true, once, and marked late."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.app.setup import load_setup
from gateway.model import Level, level_of
from tests.e2e.chain_support import DEVICES, HandEdge, Rig, rig, site_file

OUT_P, SUMP = "ws-1/ws.out_p", "sump-1/sump.level"


async def cut(r: Rig, *, broker: bool) -> None:
    """The edge's own link, or the broker with everybody's."""
    if broker:
        r.broker.cut()
    else:
        r.edges[0].disconnect()


async def mend(r: Rig, *, broker: bool) -> None:
    if broker:
        r.broker.mend()
        await r.run(2)  # the core's own connection is back first
    r.edges[0].connect()


def first(r: Rig, point: str, value: float, after: int = 0) -> int:
    """When the edge sent this value first."""
    return next(t for t, v in r.edges[0].sent_ever[point] if v == value and t > after)


async def test_calm_is_calm(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        await r.run(120)
        assert r.events("alarm.raised") == []
        assert r.core.brain.fills == {}
        await r.drain()
        r.proven()
        assert r.balance()["stored"] > 100


@pytest.mark.parametrize("broker", [False, True])
async def test_an_alarm_inside_a_cut_appears_once_with_its_true_times(tmp_path: Path, broker: bool) -> None:
    async with rig(tmp_path) as r:
        plant = r.edges[0].plant
        await cut(r, broker=broker)
        await r.run(120)
        plant["ws.out_p"] = 0.40
        high = r.clock.now() + 1000
        await r.run(180)
        plant["ws.out_p"] = 0.35
        normal = r.clock.now() + 1000
        await r.run(300)
        assert r.alarms("water.out_p_high") == []
        await mend(r, broker=broker)
        await r.run(60)
        await r.drain()
        assert r.alarms("water.out_p_high") == []  # nobody is called for what is over
        (e,) = r.alarms("water.out_p_high", "alarm.occurred")
        assert (e.t, e.data["raised_at"]) == (high + 10_000, high + 10_000)
        assert e.data["cleared_at"] == normal + 15_000
        assert e.data["late"]
        assert (e.data["level"], e.data["value"]) == ("H", 0.40)
        r.proven()
        assert r.core.brain.fills == {}


async def test_life_safety_inside_a_cut_is_raised_and_ended(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        plant = r.edges[0].plant
        r.edges[0].disconnect()
        await r.run(100)
        plant["lift.alarm_button"] = 1
        pressed = r.clock.now() + 1000
        await r.run(20)
        plant["lift.alarm_button"] = 0
        await r.run(200)
        r.edges[0].connect()
        await r.run(90)
        (e,) = r.alarms("lift.alarm_button")
        assert e.t == pressed + 3000
        (end,) = r.alarms("lift.alarm_button", "alarm.cleared")
        assert end.t == pressed + 20_000 + 30_000
        assert len([o for o in r.events("order.dispatched") if o.asset == "lift-1"]) >= 1
        await r.drain()
        r.proven()


async def test_what_began_inside_a_cut_and_goes_on_is_open_with_its_true_start(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        plant = r.edges[0].plant
        r.edges[0].disconnect()
        await r.run(100)
        plant["sump.level"] = 1.5
        await r.run(300)
        high = first(r, SUMP, 1.5)
        r.edges[0].connect()
        await r.run(120)
        raised = r.alarms("drain.level_high")
        assert len(raised) == 1
        (alarm,) = (a for a in r.core.parts.dispatch.book.alarms.values() if a.rule == "drain.level_high")
        assert alarm.active
        assert alarm.raised_at == high + 10_000
        plant["sump.level"] = 0.4
        await r.run(60)
        normal = first(r, SUMP, 0.4, after=high)
        (end,) = r.alarms("drain.level_high", "alarm.cleared")
        assert end.t == normal + 30_000
        await r.drain()
        r.proven()


async def test_an_alarm_of_before_the_cut_that_ended_inside_ends_once(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        plant = r.edges[0].plant
        plant["sump.level"] = 1.5
        await r.run(30)
        assert len(r.alarms("drain.level_high")) == 1
        r.edges[0].disconnect()
        await r.run(60)
        plant["sump.level"] = 0.4
        normal = r.clock.now() + 1000
        await r.run(200)
        r.edges[0].connect()
        await r.run(120)
        assert len(r.alarms("drain.level_high")) == 1
        (end,) = r.alarms("drain.level_high", "alarm.cleared")
        assert normal <= end.t <= normal + 30_000 + 60_000
        await r.drain()
        r.proven()


async def test_a_long_delay_runs_out_inside_a_cut_although_values_stand_still(tmp_path: Path) -> None:
    """60 s on-delay, a value that is sent once a minute: only the rounds in between prove that it held."""
    async with rig(tmp_path) as r:
        plant = r.edges[0].plant
        r.edges[0].disconnect()
        await r.run(100)
        plant["ws.out_p"] = 0.28
        low = r.clock.now() + 1000
        await r.run(200)
        plant["ws.out_p"] = 0.35
        await r.run(100)
        r.edges[0].connect()
        await r.run(60)
        (e,) = r.alarms("water.out_p_low", "alarm.occurred")
        assert e.data["raised_at"] == low + 60_000
        await r.drain()
        r.proven()


async def test_no_silence_is_invented_by_a_cut(tmp_path: Path) -> None:
    """Devices were polled all the time; only the link was away. A device that is silent afterwards is."""
    async with rig(tmp_path) as r:
        for _ in range(3):
            r.edges[0].disconnect()
            await r.run(150)
            r.edges[0].connect()
            await r.run(70)
        rules = {e.data["rule"] for e in r.events("alarm.raised", "alarm.occurred")}
        assert rules <= {"gateway.offline"}
        r.edges[0].silent.add("level")
        await r.run(60)
        assert len(r.alarms("drain.no_data")) == 1
        await r.drain()
        r.proven()


async def test_no_value_looks_current_while_its_successor_is_on_its_way(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        assert level_of(r.value(SUMP)[2]) is Level.GOOD
        r.edges[0].disconnect()
        await r.run(20)
        r.edges[0].plant["sump.level"] = 1.3
        await r.run(30)
        assert level_of(r.value(SUMP)[2]) is Level.STALE
        backlog = [m for m in r.edges[0].outbox if m.row.lane == "backlog"]
        r.edges[0].outbox = [m for m in r.edges[0].outbox if m.row.lane != "backlog"]
        r.edges[0].connect()
        r.edges[0].outbox += backlog
        for m in backlog:
            m.sent = True  # a slow line: history takes its time
        for _ in range(8):
            await r.run(1)
            _, v, q = r.value(SUMP)
            assert v == 1.3 or level_of(q) >= Level.STALE
        r.edges[0].resend()
        await r.run(15)
        assert r.value(SUMP)[1] == 1.3
        assert level_of(r.value(SUMP)[2]) is Level.GOOD


async def test_backlog_decodes_by_its_own_tables_after_points_moved_and_went(tmp_path: Path) -> None:
    """Ten minutes wait in the outbox while the edge restarts with a changed site file."""
    async with rig(tmp_path) as r:
        edge = r.edges[0]
        edge.disconnect()
        await r.run(300)
        edge.plant["sump.level"] = 1.5
        await r.run(300)
        changed = load_setup(site_file(tmp_path, [DEVICES[2], DEVICES[0]]))  # other order, no lift
        old = edge.packer.tables[0].tab
        edge.kill(changed)
        assert edge.packer.tables[0].tab != old
        edge.plant["sump.level"] = 0.4
        await r.run(60)
        await r.restart(changed)
        edge.connect()
        await r.run(90)
        (e,) = r.alarms("drain.level_high", "alarm.occurred")
        assert e.data["value"] == 1.5
        await r.drain()
        r.proven()  # the lift's readings, which the new file does not know, included
        assert r.core.intake.rejected == {}


async def test_a_table_that_comes_after_its_data_is_asked_for_and_nothing_is_guessed(tmp_path: Path) -> None:
    async with rig(tmp_path, start=False) as r:
        edge = HandEdge(r.setup, r.broker, r.clock)
        r.edges.append(edge)
        table = edge.outbox.pop(0)
        edge.connect = lambda: None  # type: ignore[method-assign]
        edge.link, edge.conn = "on", 1
        asked: list[str] = []
        r.broker.subscribe(("steward/v1/home/gw-1/cmd",), lambda _, p: asked.append(p.decode()))
        await r.run(20)
        assert r.core.intake.parked > 0
        assert r.balance()["in_flight"] > 0
        assert r.samples.count() < 60  # only the core's own points
        assert table.row.tab in asked[0]
        assert len(asked) < 6
        r.broker.publish(table.row.topic, table.row.payload, retain=True)
        r.broker.subscribe(("steward/v1/home/gw-1/ack",), edge._heard)
        await r.run(5)
        assert (r.core.intake.parked, r.balance()["in_flight"]) == (0, 0)
        await r.drain()
        r.proven()


async def test_values_that_became_backlog_on_a_standing_connection(tmp_path: Path) -> None:
    """The core was away so long that the edge stopped pushing values: nothing is read out of order."""
    async with rig(tmp_path) as r:
        edge = r.edges[0]
        await r.crash()
        await r.run(60, core=False)
        edge.pack_live = False
        edge.plant["ws.out_p"] = 0.40
        high = r.clock.now() + 1000
        await r.run(120, core=False)
        edge.plant["ws.out_p"] = 0.35
        await r.run(120, core=False)
        edge.pack_live = True
        await r.run(30, core=False)
        await r.start()
        await r.run(60)
        (e,) = [*r.alarms("water.out_p_high"), *r.alarms("water.out_p_high", "alarm.occurred")]
        assert e.t == high + 10_000
        await r.drain()
        r.proven()
