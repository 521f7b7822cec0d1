"""A line in virtual time, with its fake devices, for tests of the edge."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence

from gateway.adapters.clock import ManualClock
from gateway.edge.clockguard import ClockGuard
from gateway.edge.config import DeviceConfig, LineConfig
from gateway.edge.line import Line
from gateway.edge.unit import Lesson, Unit
from gateway.edge.wire import Wire
from tests.unit.gateway_edge.edge_fakes import FakeDriver, FakeModel, FakeSink, FakeUnit, points


class Bench:
    """A line with one device per unit number 1, 2, …, or with the unit `numbers` of its devices."""

    def __init__(
        self,
        models: Sequence[FakeModel],
        units: Sequence[FakeUnit],
        timeout_s: float = 1.0,
        *,
        numbers: Sequence[int] = (),
        wire: Wire | None = None,
        lessons: Mapping[int, Sequence[Lesson]] | None = None,
        driver: type[FakeDriver] = FakeDriver,
    ) -> None:
        self.clock = ManualClock()
        self.sink = FakeSink()
        self.driver = driver(self.clock, dict(enumerate(units, 1)))
        at = numbers or range(1, len(models) + 1)
        devices = [
            DeviceConfig(f"d{n}", unit, m, timeout_s)
            for n, (unit, m) in enumerate(zip(at, models, strict=True), 1)
        ]
        config = LineConfig("bus", self.driver, devices, wire=wire)
        self.units, base = [], 0
        for n, device in enumerate(devices):
            known = (lessons or {}).get(n, ())
            self.units.append(Unit(device, n, base, max_gap=10, min_timeout_s=0.05, lessons=known))
            base += len(device.model.points)
        self.line = Line(config, self.units, self.clock, ClockGuard(self.clock), self.sink)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Bench]:
        task = asyncio.create_task(self.line.run())
        await asyncio.sleep(0)
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def asked(self, unit: int) -> list[float]:
        return [at for at, block in self.driver.log if block.unit == unit]

    def explained(self, device: int) -> int:
        return self.sink.count[device] + sum(n for (d, _), n in self.sink.gaps.items() if d == device)


def model(n: int = 20, period_s: float = 1.0, *, life: bool = False, start: int = 0) -> FakeModel:
    return FakeModel.dense(points(n, period_s=period_s, life=life), start)
