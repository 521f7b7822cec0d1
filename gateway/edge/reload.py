"""The lines of an edge, and how they change while it runs: a line that is the same goes on untouched."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gateway.edge.clockguard import ClockGuard
from gateway.edge.config import DeviceConfig, LineConfig
from gateway.edge.line import Line
from gateway.edge.numbers import Numbers
from gateway.edge.pack import TABLE_POINTS
from gateway.edge.unit import Lesson, Unit
from gateway.ports import Clock


@dataclass(frozen=True, slots=True)
class Change:
    """What a new configuration touched: ids of lines. A line that was changed is stopped and started."""

    kept: tuple[str, ...]
    stopped: tuple[str, ...]
    started: tuple[str, ...]


@dataclass(slots=True)
class _Polled:
    config: LineConfig
    line: Line
    units: list[Unit]
    task: asyncio.Task[None] | None = None


class Fleet:
    """Lines with their tasks. `lessons`: what earlier boots learnt, by device."""

    def __init__(
        self, numbers: Numbers, clock: Clock, guard: ClockGuard, lessons: Mapping[str, Sequence[Lesson]]
    ) -> None:
        self._numbers, self._clock, self._guard = numbers, clock, guard
        self._lessons = lessons
        self._polled: dict[str, _Polled] = {}
        self._group: asyncio.TaskGroup | None = None

    @property
    def lines(self) -> list[Line]:
        """The lines of the present configuration."""
        return [p.line for p in self._polled.values()]

    @property
    def configs(self) -> list[LineConfig]:
        """What the lines that run were made from, with the drivers that they use."""
        return [p.config for p in self._polled.values()]

    def answering(self) -> dict[str, bool]:
        """Whether each device answers: its line stands and its breaker is closed."""
        return {u.config.id: p.line.up and not u.open for p in self._polled.values() for u in p.units}

    def start(self, group: asyncio.TaskGroup, lines: Sequence[LineConfig]) -> None:
        """Begin to poll; their devices have their numbers."""
        self._group = group
        for config in lines:
            self._begin(config, {})

    async def change(self, lines: Sequence[LineConfig]) -> Change:
        """Stop what is gone or different, then start what is new or different. Returns when all of it runs.

        A round that this interrupts is booked as a gap, cause `stopped`. A device that is the same on a
        changed line keeps what it has taught us: time-out, breaker, refused addresses.
        """
        wanted = {config.id: config for config in lines}
        gone = [id_ for id_, p in self._polled.items() if not _same(p.config, wanted.get(id_))]
        known = {u.config.id: (u, self._polled[id_].config) for id_ in gone for u in self._polled[id_].units}
        await self._end(gone)
        started = [config for config in lines if config.id not in self._polled]
        for config in started:
            self._begin(config, known)
        self._polled = {id_: self._polled[id_] for id_ in wanted}
        names = {config.id for config in started}
        kept = tuple(id_ for id_ in wanted if id_ not in names)
        return Change(kept, tuple(gone), tuple(config.id for config in started))

    async def stop(self) -> None:
        """Stop polling for good."""
        self._group = None
        await self._wait(list(self._polled.values()))

    async def _end(self, ids: Sequence[str]) -> None:
        await self._wait([self._polled.pop(id_) for id_ in ids])

    @staticmethod
    async def _wait(polled: Sequence[_Polled]) -> None:
        tasks = [p.task for p in polled if p.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, config: LineConfig, known: Mapping[str, tuple[Unit, LineConfig]]) -> None:
        units = [self._unit(device, config, known.get(device.id)) for device in config.devices]
        # Devices that share a point table are read at the same instants, so that they share messages.
        phase = {u.config.id: f"table {u.base // TABLE_POINTS}" for u in units}
        line = Line(config, units, self._clock, self._guard, self._numbers.collector, phase=phase)
        polled = self._polled[config.id] = _Polled(config, line, units)
        if self._group is not None:
            polled.task = self._group.create_task(line.run(), name=f"line {config.id}")

    def _unit(self, device: DeviceConfig, line: LineConfig, known: tuple[Unit, LineConfig] | None) -> Unit:
        base, index = self._numbers.base(device.id), self._numbers.index(device.id)
        lessons = self._lessons.get(device.id, ())
        if known is not None:
            unit, old = known
            same = _same_device(unit.config, device) and unit.base == base
            if same and (line.max_gap, line.min_timeout_s) == (old.max_gap, old.min_timeout_s):
                return unit
            lessons = unit.lessons if same else ()
            self._numbers.collector.learned(index, lessons)
        return Unit(
            device, index, base, max_gap=line.max_gap, min_timeout_s=line.min_timeout_s, lessons=lessons
        )


def _same(a: LineConfig, b: LineConfig | None) -> bool:
    """Whether the line may go on as it is."""
    if b is None or len(a.devices) != len(b.devices):
        return False
    pairs = zip(a.devices, b.devices, strict=True)
    return _same_line(a, b) and all(_same_device(x, y) for x, y in pairs)


def _same_line(a: LineConfig, b: LineConfig) -> bool:
    """Two drivers are alike when what they were made from is."""
    return replace(a, driver=b.driver if a.content else a.driver, devices=b.devices) == b


def _same_device(a: DeviceConfig, b: DeviceConfig) -> bool:
    return replace(a, model=b.model if a.content else a.model) == b


def devices_of(lines: Sequence[LineConfig]) -> list[DeviceConfig]:
    """All devices, in the order of the configuration."""
    return [device for line in lines for device in line.devices]
