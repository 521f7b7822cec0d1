"""The lines of an edge, and how they change while it runs: what is the same goes on untouched.

A line whose own settings are the same keeps its connection and changes its devices in place; a line with
another address, port or option is stopped and started.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from gateway.edge.clockguard import ClockGuard
from gateway.edge.config import DeviceConfig, LineConfig
from gateway.edge.line import Line
from gateway.edge.numbers import Numbers
from gateway.edge.pack import TABLE_POINTS
from gateway.edge.unit import Lesson, Unit
from gateway.ports import Clock

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """What a new configuration touched: ids of lines.

    kept: untouched · changed: other devices on the same connection; those that are the same miss nothing ·
    a line with other settings is in both of the rest.
    """

    kept: tuple[str, ...]
    stopped: tuple[str, ...]
    started: tuple[str, ...]
    changed: tuple[str, ...] = ()


class _Known(NamedTuple):
    """A device as it was. ends: there is no line of that name any more."""

    unit: Unit
    line: LineConfig
    ends: bool


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
        """Stop what is gone, change what stays, start what is new. Returns when all of it runs.

        A round that this interrupts is booked as a gap, cause `stopped`. A device that is the same keeps what
        it has taught us: time-out, breaker, refused addresses; on a line that stays also its instants.
        """
        wanted = {config.id: config for config in lines}
        same = {id_ for id_, p in self._polled.items() if id_ in wanted and _same(p.config, wanted[id_])}
        stay = {id_ for id_, p in self._polled.items() if id_ in wanted and _same_line(p.config, wanted[id_])}
        gone = tuple(id_ for id_ in self._polled if id_ not in stay)
        known = {
            unit.config.id: _Known(unit, p.config, id_ not in wanted)
            for id_, p in self._polled.items()
            if id_ not in same
            for unit in p.units
        }
        await self._end(gone)
        changed = tuple(id_ for id_ in wanted if id_ in stay and id_ not in same)
        for id_ in changed:
            self._replace(self._polled[id_], wanted[id_], known)
        started = tuple(id_ for id_ in wanted if id_ not in stay)
        for id_ in started:
            self._begin(wanted[id_], known)
        self._polled = {id_: self._polled[id_] for id_ in wanted}
        return Change(tuple(id_ for id_ in wanted if id_ in same), gone, started, changed)

    def _replace(self, polled: _Polled, config: LineConfig, known: Mapping[str, _Known]) -> None:
        """Other devices on a line that stays."""
        before = {unit.config.id: unit for unit in polled.units}
        polled.units = [self._unit(device, config, known.get(device.id)) for device in config.devices]
        after = {unit.config.id: unit for unit in polled.units}
        polled.config = replace(config, driver=polled.config.driver)
        polled.line.replace(polled.config, polled.units, self._phase(polled.units))
        log.info(
            "line goes on with other devices line=%s changed=%s new=%s gone=%s", config.id,
            [id_ for id_, unit in after.items() if id_ in before and before[id_] is not unit],
            [id_ for id_ in after if id_ not in before],
            [id_ for id_ in before if id_ not in after],
        )  # fmt: skip

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

    def _begin(self, config: LineConfig, known: Mapping[str, _Known]) -> None:
        units = [self._unit(device, config, known.get(device.id)) for device in config.devices]
        phase = self._phase(units)
        line = Line(config, units, self._clock, self._guard, self._numbers.collector, phase=phase)
        polled = self._polled[config.id] = _Polled(config, line, units)
        if self._group is not None:
            polled.task = self._group.create_task(line.run(), name=f"line {config.id}")

    @staticmethod
    def _phase(units: Sequence[Unit]) -> dict[str, str]:
        """Devices that share a point table are read at the same instants, so that they share messages."""
        return {u.config.id: f"table {u.base // TABLE_POINTS}" for u in units}

    def _unit(self, device: DeviceConfig, line: LineConfig, known: _Known | None) -> Unit:
        base, index = self._numbers.base(device.id), self._numbers.index(device.id)
        lessons = self._lessons.get(device.id, ())
        if known is not None:
            unit, old, ends = known
            same = _same_device(unit.config, device) and unit.base == base
            alike = (line.max_gap, line.min_timeout_s) == (old.max_gap, old.min_timeout_s)
            # Its unit number may go on there with others: a device that moves gets a breaker of its own.
            if same and alike and (ends or old.id == line.id):
                return unit
            lessons = unit.lessons if same else ()
            self._numbers.collector.learned(index, lessons)
        return Unit(
            device, index, base, max_gap=line.max_gap, min_timeout_s=line.min_timeout_s, lessons=lessons
        )


def _same(a: LineConfig, b: LineConfig) -> bool:
    """Whether the line may go on as it is."""
    if len(a.devices) != len(b.devices):
        return False
    pairs = zip(a.devices, b.devices, strict=True)
    return _same_line(a, b) and all(_same_device(x, y) for x, y in pairs)


def _same_line(a: LineConfig, b: LineConfig) -> bool:
    """Whether its own settings are the same. Two drivers are alike when what they were made from is."""
    return replace(a, driver=b.driver if a.content else a.driver, devices=b.devices) == b


def _same_device(a: DeviceConfig, b: DeviceConfig) -> bool:
    return replace(a, model=b.model if a.content else a.model) == b


def devices_of(lines: Sequence[LineConfig]) -> list[DeviceConfig]:
    """All devices, in the order of the configuration."""
    return [device for line in lines for device in line.devices]
