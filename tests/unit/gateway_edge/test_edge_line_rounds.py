"""Rounds in virtual time: jitter over an hour, life safety first, overload told, two dead of sixteen."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

import pytest

from gateway.edge import watch
from gateway.edge.schedule import SLOT_MS
from gateway.edge.wire import Wire
from gateway.ports import Answer, Block
from tests.unit.gateway_edge.edge_bench import Bench, model
from tests.unit.gateway_edge.edge_fakes import FakeDriver, FakeModel, FakeUnit, points

BAUD_9600 = Wire.serial(9600)


@pytest.mark.parametrize(
    ("periods", "seconds"),
    [([0.1, 0.333, 60.0], 200), ([1.0, 1.0, 5.0, 10.0, 60.0, 900.0, 3600.0], 3600)],
)
async def test_an_hour_of_mixed_periods_keeps_the_grid_within_a_twentieth_of_the_period(
    periods: list[float], seconds: float
) -> None:
    b = Bench([model(4, p) for p in periods], [FakeUnit(rtt_s=0.0008) for _ in periods], wire=Wire(0.0008, 0))
    async with b.running():
        await b.clock.advance(seconds)
    for unit, period in enumerate(periods, 1):
        at = b.asked(unit)
        assert seconds / period - 1 <= len(at) <= seconds / period + 1
        # The grid itself: the n-th round is n periods after the first.
        jitter = sorted(abs(t - at[0] - n * period) for n, t in enumerate(at))
        assert jitter[int(0.99 * (len(jitter) - 1))] < 0.05 * period, period
    assert not b.line.overloaded
    assert b.line.missed == 0


async def test_units_of_a_bus_do_not_wait_for_one_another() -> None:
    air = BAUD_9600.read_s("holding", 20)
    b = Bench([model() for _ in range(12)], [FakeUnit(rtt_s=air) for _ in range(12)], wire=BAUD_9600)
    async with b.running():
        await b.clock.advance(3)
        b.line.take_late()
        await b.clock.advance(60)
    assert b.line.take_late() <= 2 * SLOT_MS
    assert b.line.missed == 0
    assert b.line.stats().utilisation == pytest.approx(12 * air, abs=0.02)


async def test_life_safety_waits_for_one_read_and_not_for_a_round() -> None:
    long = FakeModel.dense(points(500))
    alarm = model(2, 0.5, life=True)
    b = Bench([long, alarm], [FakeUnit(rtt_s=0.28), FakeUnit(rtt_s=0.02)])
    async with b.running():
        await b.clock.advance(60)
    gaps = [y - x for x, y in itertools.pairwise(b.asked(2)[4:])]
    assert max(gaps) <= 0.5 + 0.28 + 0.05
    assert b.sink.gaps[1, "missed"] == 0
    assert b.line.overloaded  # the long device asks for more than the bus has: four reads of 0.28 s a second


async def test_one_overloaded_job_is_told_within_three_rounds_beside_jobs_that_keep_time() -> None:
    b = Bench([model(4, 0.1), model(4, 30.0)], [FakeUnit(rtt_s=0.25), FakeUnit()])
    async with b.running():
        b.line.take_late()
        while len(b.asked(1)) < 5:
            await b.clock.advance(0.1)
        assert b.line.overloaded
        assert b.line.stats().overloaded
        assert b.line.missed > 0
        b.driver.units[1].rtt_s = 0.001
        await b.clock.advance(5)
        assert not b.line.overloaded


async def test_a_stall_is_no_overload() -> None:
    b = Bench([model(4, 0.1)], [FakeUnit()])
    async with b.running():
        await b.clock.advance(2)
        b.driver.units[1].rtt_s = 0.9
        await b.clock.advance(0.2)
        b.driver.units[1].rtt_s = 0.01
        await b.clock.advance(3)
    assert b.sink.gaps[0, "missed"] >= 4 * 7
    assert not b.line.overloaded


def cycle(b: Bench, unit: int, since: float) -> float:
    """Mean time from round to round."""
    at = [t for t in b.asked(unit) if t >= since]
    return (at[-1] - at[0]) / (len(at) - 1)


@pytest.mark.parametrize("dead", [1, 2, 3])
async def test_dead_units_of_sixteen_at_9600_baud_leave_the_cycle_as_it_was(dead: int) -> None:
    air = BAUD_9600.read_s("holding", 20)
    units = [FakeUnit(rtt_s=air + 0.003) for _ in range(16)]
    # A period that the bus cannot keep: it is read as fast as the wire allows.
    b = Bench([model(period_s=0.5) for _ in units], units, wire=BAUD_9600)
    async with b.running():
        await b.clock.advance(60)
        healthy = cycle(b, 1, 20)
        for unit in units[3 : 3 + dead]:
            unit.silent = True
        await b.clock.advance(300)
        broken = cycle(b, 1, 60)
        times = b.asked(1)
        each = sorted(y - x for x, y in itertools.pairwise(times) if x >= 60)
    assert healthy == pytest.approx(16 * (air + 0.003), rel=0.05)
    assert broken <= 1.05 * healthy  # the time that the dead units no longer take outweighs their probes
    assert each[int(0.95 * len(each))] <= 1.15 * healthy
    assert b.line.silent_units == dead


async def test_retry_now_probes_at_once_and_wakes_a_sleeping_line() -> None:
    b = Bench([model(4, 600.0)], [FakeUnit(silent=True)], timeout_s=0.5)
    async with b.running():
        while not b.units[0].open:
            await b.clock.advance(100)
        await b.clock.advance(5)
        b.driver.units[1].silent = False
        before = b.sink.count[0]
        assert b.line.retry_now("d1")
        await asyncio.sleep(0)
        await b.clock.advance(0.2)
        assert b.sink.count[0] == before + 4
        assert not b.units[0].open
        # The line goes on as before.
        await b.clock.advance(601)
        assert b.sink.count[0] >= before + 8


async def test_a_silent_unit_that_speaks_by_itself_is_read_at_once() -> None:
    class Hearing(FakeDriver):
        on_heard: Callable[[int], None] = staticmethod(lambda _unit: None)

    b = Bench([model(4, 600.0)], [FakeUnit(silent=True)], timeout_s=0.5, driver=Hearing)
    async with b.running():
        while not b.units[0].open:
            await b.clock.advance(100)
        b.driver.units[1].silent = False
        before = b.sink.count[0]
        assert isinstance(b.driver, Hearing)
        b.driver.on_heard(1)
        await asyncio.sleep(0)
        await b.clock.advance(0.2)
        assert b.sink.count[0] == before + 4


async def test_retry_now_reconnects_at_once() -> None:
    b = Bench([model(4, 60.0)], [FakeUnit()])
    b.driver.down = True
    async with b.running():
        await b.clock.advance(60)
        b.driver.down = False
        assert not b.line.up
        assert b.line.retry_now()
        await asyncio.sleep(0)
        await b.clock.advance(0.01)
        assert b.line.up


async def test_units_that_died_together_are_not_probed_together() -> None:
    b = Bench([model() for _ in range(4)], [FakeUnit(silent=True) for _ in range(4)], timeout_s=0.2)
    async with b.running():
        await b.clock.advance(1200)
    pauses = {unit: [y - x for x, y in itertools.pairwise(b.asked(unit)[-8:])] for unit in range(1, 5)}
    assert all(max(p) <= 61 + 1 for p in pauses.values())
    assert len({tuple(round(x) for x in p) for p in pauses.values()}) > 1


async def test_a_driver_that_hangs_is_a_broken_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "HANG_S", 0.05)

    class Hanging(FakeDriver):
        hangs = True

        async def read(self, block: Block, timeout_s: float) -> Answer:
            if self.hangs:
                self.hangs = False
                await asyncio.Event().wait()
            return await super().read(block, timeout_s)

    b = Bench([model(4)], [FakeUnit()], timeout_s=0.01, driver=Hanging)
    async with b.running():
        async with asyncio.timeout(20):
            while not b.sink.gaps[0, "line"]:
                await b.clock.advance(0.5)
                await asyncio.sleep(0.005)
        await b.clock.advance(10)
    assert b.sink.count[0] >= 4
    assert b.line.stats().units[0].cut_off == 1
