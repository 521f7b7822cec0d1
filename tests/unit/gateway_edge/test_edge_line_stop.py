"""A line stops when it is told to, whatever its driver does with the cancellation."""

from __future__ import annotations

import asyncio

from gateway.adapters.clock import SystemClock
from gateway.edge.agent import DeviceConfig, LineConfig
from gateway.edge.clockguard import ClockGuard
from gateway.edge.line import Line
from gateway.edge.unit import Unit
from gateway.ports import Answer, Block
from tests.unit.gateway_edge.edge_fakes import FakeDriver, FakeModel, FakeSink, FakeUnit, points


class Swallowing(FakeDriver):
    """Its answer comes together with the cancellation, which is lost: so does `wait_for` of Python 3.11."""

    waiting: asyncio.Event
    swallowed = 0

    async def read(self, block: Block, timeout_s: float) -> Answer:
        self.waiting.set()
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            self.swallowed += 1
        return await super().read(block, timeout_s)


async def test_a_swallowed_cancellation_stops_the_line_all_the_same() -> None:
    clock = SystemClock()
    driver = Swallowing(clock, {1: FakeUnit(rtt_s=0)})
    driver.waiting = asyncio.Event()
    device = DeviceConfig("d1", 1, FakeModel.dense(points(3, period_s=0.05)))
    config = LineConfig("bus", driver, [device])
    line = Line(
        config,
        [Unit(device, 0, 0, max_gap=50, min_timeout_s=0.15, lessons=())],
        clock,
        ClockGuard(clock),
        FakeSink(),
    )
    task = asyncio.create_task(line.run())
    async with asyncio.timeout(10):
        await driver.waiting.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert driver.swallowed == 1
    assert task.cancelled()
