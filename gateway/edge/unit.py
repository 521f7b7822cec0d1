"""One unit on a line: its jobs, its breaker, the time-out it has taught us, the addresses it refuses."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.edge.config import DeviceConfig
from gateway.edge.plan import Range, Read, plan
from gateway.model import Ms

log = logging.getLogger(__name__)

FAILURES = 2
"""Consecutive failed rounds after which a unit is only probed."""
PROBE_CAP_MS = 60_000.0
PROBE_CAP_LIFE_MS = 30_000.0
LEARN_AFTER = 8
HARD_CAP_S = 1.0
RELEARN_MS = 86_400_000
"""Refused addresses are tried again after a day: firmware gets updated."""


class Lesson(NamedTuple):
    """Addresses that the device refused, and when (site ms)."""

    range: Range
    at: Ms


@dataclass(frozen=True, slots=True)
class Job:
    """The reads of one unit that share a period."""

    unit: Unit
    period_ms: float
    life: bool
    reads: tuple[Read, ...]

    @property
    def points(self) -> int:
        """Points due in one round."""
        return sum(len(r.points) for r in self.reads)


@dataclass(slots=True)
class Stats:
    """Counts since start; `exceptions` by Modbus code."""

    requests: int = 0
    ok: int = 0
    causes: Counter[str] = field(default_factory=Counter)
    exceptions: Counter[int] = field(default_factory=Counter)
    last_ok: Ms = 0


class Unit:
    """State of one device. `base`: number of its first point among the edge's points; `index`: its own."""

    def __init__(
        self,
        config: DeviceConfig,
        index: int,
        base: int,
        *,
        max_gap: int,
        min_timeout_s: float,
        lessons: Iterable[Lesson],
    ) -> None:
        self.config, self.index, self.base = config, index, base
        self.stats = Stats()
        self.lessons = list(lessons)
        self._gap, self._floor = max_gap, min_timeout_s
        self._rtts: deque[float] = deque(maxlen=64)
        self._learnt = 0.0
        self._patience = 1.0
        self.failures = 0
        self.open = False
        self.probe_at = 0.0
        self.probed_at = 0.0
        self._interval = 0.0
        self._probes = 0
        self.jobs: list[Job] = []
        self.replan()

    # ── plan ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def life(self) -> bool:
        """True when any of its points is life safety."""
        return any(p.life for p in self.config.model.points)

    @property
    def shortest_ms(self) -> float:
        """Its shortest period."""
        return min(job.period_ms for job in self.jobs)

    def replan(self) -> None:
        """Make the jobs anew from the model and the lessons; their number and order stay."""
        model = self.config.model
        gap = self._gap if model.max_gap is None else model.max_gap
        reads = plan(
            model.spans,
            [p.period_s for p in model.points],
            model.max_registers,
            gap,
            [lesson.range for lesson in self.lessons],
        )
        self.jobs = []
        for period in sorted({r.period_s for r in reads}):
            mine = tuple(r for r in reads if r.period_s == period)
            life = any(model.points[n].life for r in mine for n in r.points)
            self.jobs.append(Job(self, period * 1000, life, mine))

    def learn(self, ranges: Iterable[Range], now: Ms) -> None:
        """Never cross these again, for a day."""
        known = {lesson.range for lesson in self.lessons}
        self.lessons += [Lesson(r, now) for r in ranges if r not in known]
        self.replan()

    def forget_old(self, now: Ms) -> bool:
        """Drop lessons older than a day; True when there were any."""
        kept = [lesson for lesson in self.lessons if now - lesson.at < RELEARN_MS]
        if len(kept) == len(self.lessons):
            return False
        self.lessons = kept
        self.replan()
        return True

    # ── time-outs ─────────────────────────────────────────────────────────────────────────────────

    @property
    def learnt_s(self) -> float:
        """Three times its slowest recent answer; 0 while it is not known."""
        return self._learnt

    def timeout_s(self) -> float:
        """For an ordinary read. After a failure the next one is twice as patient."""
        if not self._learnt:
            return self.config.timeout_s
        return min(self._learnt * self._patience, self.config.timeout_s)

    def probe_timeout_s(self, line_learnt_s: float) -> float:
        """Short; the full patience only every fourth time, for a unit that has become slow."""
        self._probes += 1
        if self._probes % 4 == 0:
            return self.config.timeout_s
        return min(self.config.timeout_s, self._learnt or max(line_learnt_s, 0.2))

    # ── outcomes ──────────────────────────────────────────────────────────────────────────────────

    def answered(self, rtt_s: float, now: Ms) -> None:
        """A checked answer came after `rtt_s`."""
        self.stats.ok += 1
        self.stats.last_ok = now
        self._patience = 1.0
        self._rtts.append(rtt_s)
        if self.stats.ok % LEARN_AFTER == 0 or (self._learnt and 3 * rtt_s > self._learnt):
            self._learnt = max(self._floor, min(3 * max(self._rtts), HARD_CAP_S))
        self.alive()

    def alive(self) -> None:
        """It said something, be it an exception: the breaker closes."""
        if self.open:
            log.info(
                "unit recovered device=%s unit=%d failed_rounds=%d",
                self.config.id, self.config.unit, self.failures,
            )  # fmt: skip
        self.open, self.failures = False, 0

    def failed(self, cause: str, now_ms: float) -> None:
        """A round failed; the second in a row opens the breaker, each further probe doubles the pause."""
        self.failures += 1
        self._patience = min(self._patience * 2, 8.0)
        if self.open:
            self._interval = min(self._interval * 2, self._cap())
        elif self.failures >= FAILURES:
            self.open, self._interval, self._probes = True, min(self.shortest_ms, self._cap()), 0
            self.probed_at = now_ms
            log.warning(
                "unit silent device=%s unit=%d cause=%s now only probed; check its power, address and cable",
                self.config.id, self.config.unit, cause,
            )  # fmt: skip
        self.probe_at = now_ms + self._interval

    def _cap(self) -> float:
        """Longest pause between probes: a round may be one period late for its probe."""
        if not self.life:
            return PROBE_CAP_MS
        return max(PROBE_CAP_LIFE_MS - self.shortest_ms, min(self.shortest_ms, PROBE_CAP_LIFE_MS))

    @property
    def deadline(self) -> float:
        """When a silent life-safety unit has to be probed, whatever its rounds and the other units."""
        return self.probed_at + PROBE_CAP_LIFE_MS - 1000

    def overdue(self, now_ms: float) -> bool:
        """A silent life-safety unit that its own rounds did not probe in time."""
        return self.open and self.life and now_ms >= self.deadline


class Unread:
    """Points of a round that have neither a reading nor a gap yet."""

    def __init__(self, reads: Sequence[Read]) -> None:
        self._open = {n for r in reads for n in r.points}

    @property
    def points(self) -> int:
        """How many are left."""
        return len(self._open)

    def done(self, read: Read) -> None:
        """These are accounted for."""
        self._open.difference_update(read.points)

    def take(self) -> int:
        """All that are left, accounted for now; how many."""
        n, self._open = len(self._open), set()
        return n
