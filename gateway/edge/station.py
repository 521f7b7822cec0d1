"""One unit number on a line: its jobs. Several devices of the site may live behind it; one answer feeds all.

Points are numbered through its devices: those of the first, then those of the second, and so on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.edge.plan import Range, Read, plan
from gateway.edge.unit import Health, Lesson, Unit
from gateway.edge.wire import Wire
from gateway.model import Ms
from gateway.ports import Block, Span

RELEARN_MS = 86_400_000
"""Refused addresses are tried again after a day: firmware gets updated."""
SEARCH_PAUSE_MS = (10_000.0, 3_600_000.0)
"""A device that refuses everything is searched for legal addresses again after this, doubling."""


class Part:
    """What one device gets out of a read: its points, as a mask over them.

    `index`, `pick`, `gid` remember how the last answer's columns were chosen: a model gives the same index
    array again for the same block, and what follows from it need not be worked out for each answer.
    """

    __slots__ = ("count", "gid", "index", "pick", "unit", "wanted")

    def __init__(self, unit: Unit, points: Sequence[int]) -> None:
        self.unit, self.count = unit, len(points)
        self.wanted = np.zeros(len(unit.config.model.points), np.bool_)
        self.wanted[list(points)] = True
        self.index: NDArray[np.intp] | None = None
        self.pick: NDArray[np.bool_] | None = None
        self.gid: NDArray[np.intp] = np.empty(0, np.intp)

    def choose(self, index: NDArray[np.intp]) -> None:
        """Which of the columns are this read's: others that lie in its gaps are not due now."""
        mine = self.wanted[index]
        self.pick = None if mine.all() else mine
        self.gid = self.unit.base + (index if self.pick is None else index[mine])
        self.index = index


@dataclass(slots=True)
class Task:
    """A read with what the line needs at each round. air_s: seconds on the wire."""

    read: Read
    block: Block
    parts: tuple[Part, ...]
    air_s: float
    life: bool


@dataclass(frozen=True, slots=True)
class Job:
    """The reads of one unit that share a period, life safety first."""

    station: Station
    period_ms: float
    life: bool
    tasks: tuple[Task, ...]
    air_s: float
    points: frozenset[int]


class Station:
    """`units`: the devices with this unit number, in the order of the configuration."""

    def __init__(self, units: Sequence[Unit], wire: Wire | None = None) -> None:
        self.units = tuple(units)
        self.number = units[0].config.unit
        self.health: Health = max((u.health for u in units), key=lambda h: h.counts.requests)
        self._wire = wire
        self.firsts: list[int] = []
        self.spans: list[Span] = []
        self._periods: list[float] = []
        self._life: list[bool] = []
        for unit in units:
            unit.health = self.health
            self.firsts.append(len(self.spans))
            model = unit.config.model
            self.spans += model.spans
            self._periods += [p.period_s for p in model.points]
            self._life += [p.life for p in model.points]
        self.health.life = any(self._life)
        self.health.ceiling_s = max(unit.config.timeout_s for unit in units)
        self.health.shortest_ms = min(self._periods) * 1000
        self.proof: Task | None = None
        self._search_at = 0.0
        self._search_pause = SEARCH_PAUSE_MS[0]
        self.lessons = self._all_lessons()
        self.jobs: list[Job] = []
        self.replan()

    @property
    def devices(self) -> tuple[str, ...]:
        """Their ids."""
        return tuple(unit.config.id for unit in self.units)

    # ── plan ──────────────────────────────────────────────────────────────────────────────────────

    def replan(self) -> None:
        """Make the jobs anew from the models and the lessons; their number and order stay."""
        reads = plan(
            self.spans, self._periods,
            min(unit.config.model.max_registers for unit in self.units),
            min(unit.max_gap for unit in self.units),
            [lesson.range for lesson in self.lessons],
        )  # fmt: skip
        self.jobs = []
        self.proof = None
        for period in sorted({r.period_s for r in reads}):
            tasks = sorted((self.task(r) for r in reads if r.period_s == period), key=lambda t: not t.life)
            points = frozenset(n for t in tasks for n in t.read.points)
            air_s = sum(t.air_s for t in tasks if not t.read.illegal)
            life = any(t.life for t in tasks)
            self.jobs.append(Job(self, period * 1000, life, tuple(tasks), air_s, points))

    def task(self, read: Read) -> Task:
        """A read, ready to be made."""
        parts = tuple(Part(self.units[k], points) for k, points in self.shares(read.points))
        air_s = self._wire.read_s(read.area, read.count) if self._wire and read.area != "line" else 0.0
        return Task(read, read.block(self.number), parts, air_s, any(self._life[n] for n in read.points))

    def shares(self, points: Iterable[int]) -> list[tuple[int, list[int]]]:
        """(device, its own numbers of the points) for each device that has any."""
        if len(self.units) == 1:
            return [(0, list(points))]
        found: dict[int, list[int]] = {}
        for n, k in zip(points, np.searchsorted(self.firsts, list(points), "right").tolist(), strict=True):
            found.setdefault(k - 1, []).append(n - self.firsts[k - 1])
        return sorted(found.items())

    # ── refused addresses ─────────────────────────────────────────────────────────────────────────

    def learn(self, ranges: Iterable[Range], now: Ms) -> None:
        """Never cross these again, for a day."""
        known = {lesson.range for lesson in self.lessons}
        self._teach(self.lessons + [Lesson(r, now) for r in dict.fromkeys(ranges) if r not in known])
        self._search_pause = SEARCH_PAUSE_MS[0]

    def forget_old(self, now: Ms) -> bool:
        """Drop lessons older than a day; True when there were any."""
        kept = [lesson for lesson in self.lessons if now - lesson.at < RELEARN_MS]
        if len(kept) == len(self.lessons):
            return False
        self._teach(kept)
        return True

    def forget(self) -> None:
        """Drop all lessons: somebody has changed the device."""
        self._teach([])
        self._search_at, self._search_pause = 0.0, SEARCH_PAUSE_MS[0]

    def may_search(self, now_ms: float) -> bool:
        """False for a while after a search that found nothing legal."""
        return now_ms >= self._search_at

    def searched_in_vain(self, now_ms: float) -> None:
        """It refuses everything: it may be starting up."""
        self._search_at = now_ms + self._search_pause
        self._search_pause = min(2 * self._search_pause, SEARCH_PAUSE_MS[1])

    def _teach(self, lessons: list[Lesson]) -> None:
        self.lessons = lessons
        for unit in self.units:
            unit.lessons = list(lessons)
        self.replan()

    def _all_lessons(self) -> list[Lesson]:
        """Of all its devices; of two about one range the newer one."""
        newest: dict[Range, Lesson] = {}
        for lesson in (lesson for unit in self.units for lesson in unit.lessons):
            old = newest.get(lesson.range)
            newest[lesson.range] = lesson if old is None or lesson.at > old.at else old
        return list(newest.values())


def stations_of(units: Sequence[Unit], wire: Wire | None, known: Iterable[Station] = ()) -> list[Station]:
    """Devices with one unit number are one station; one of those known that has the same goes on as it is."""
    found: dict[int, list[Unit]] = {}
    for unit in units:
        found.setdefault(unit.config.unit, []).append(unit)
    same = {frozenset(station.units): station for station in known}
    return [same.get(frozenset(group)) or Station(group, wire) for group in found.values()]


class Unread:
    """Points of a round that have neither a reading nor a gap yet."""

    __slots__ = ("_open",)

    def __init__(self, job: Job) -> None:
        self._open: set[int] = set(job.points)

    @property
    def points(self) -> int:
        """How many are left."""
        return len(self._open)

    def done(self, read: Read) -> None:
        """These are accounted for."""
        self._open.difference_update(read.points)

    def take(self, points: Iterable[int] | None = None) -> list[int]:
        """Those of these points that are left, or all that are left; accounted for now."""
        taken = self._open if points is None else self._open.intersection(points)
        self._open = self._open - taken
        return sorted(taken)
