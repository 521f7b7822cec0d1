"""Pure: due times on a fixed grid. Next = last due + period, never now + period; a missed round is counted.

Times are ms on the edge's steady axis (monotonic seconds × site speed), so that setting the system clock
neither stalls nor bunches the polling.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

SLOT_MS = 20
"""Deadlines are rounded up to slots: at low load the cost is wake-ups, not points."""
FAST_SLOT_MS = 10
"""For periods below a second."""
BURST_MS = 100
"""Keys are spread over instants this far apart: what is due together shares wake-ups, ticks and messages."""
OVERLOAD = 3
"""Cycles after which a line counts as overloaded."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a job that is due: its deadline, and how many rounds before it were missed."""

    job: int
    due: float
    missed: int


class Grid:
    """Deadlines of one line's jobs. Urgent (life-safety) jobs go first among those that are due."""

    def __init__(self) -> None:
        self._heaps: tuple[list[tuple[float, int]], list[tuple[float, int]]] = ([], [])
        self._jobs: dict[int, tuple[float, bool]] = {}
        self._due: dict[int, float] = {}

    def add(
        self,
        job: int,
        period_ms: float,
        *,
        start: float,
        key: str = "",
        urgent: bool = False,
        lead_ms: float = 0.0,
    ) -> None:
        """First due within one period after `start`; jobs with one key and period share their instants.

        lead_ms: so much later than these, so that jobs of one line do not wait for one another.
        """
        if period_ms <= 0:
            raise ValueError(f"a period of {period_ms} ms is not possible")
        spread = zlib.crc32(key.encode()) % max(1, int(period_ms)) // BURST_MS * BURST_MS
        self._jobs[job] = (period_ms, urgent)
        offset = _ceil(spread + lead_ms, period_ms) % period_ms
        self._push(job, start + (offset - start) % period_ms)

    def resume(self, job: int, period_ms: float, due: float, *, urgent: bool = False) -> None:
        """Like `add`, for a job whose next deadline is known: it takes the place of another."""
        self._jobs[job] = (period_ms, urgent)
        self._push(job, due)

    def keep(self, jobs: Collection[int]) -> None:
        """Forget all jobs but these."""
        for heap in self._heaps:
            heap[:] = [entry for entry in heap if entry[1] in jobs]
            heapq.heapify(heap)
        self._jobs = {job: how for job, how in self._jobs.items() if job in jobs}
        self._due = {job: due for job, due in self._due.items() if job in jobs}

    def pick(self, now: float) -> Round | None:
        """The job to run now, or None; its next deadline is set."""
        for heap in self._heaps:
            if heap and heap[0][0] <= now:
                _, job = heapq.heappop(heap)
                period, due = self._jobs[job][0], self._due[job]
                missed = max(0, int((now - due) // period))
                self._push(job, due + (missed + 1) * period)
                return Round(job, due + missed * period, missed)
        return None

    def next_due(self) -> float:
        """When to wake up; infinity without jobs."""
        return min((heap[0][0] for heap in self._heaps if heap), default=float("inf"))

    def urgent_due(self, now: float) -> bool:
        """True when a life-safety job is due."""
        return bool(self._heaps[0]) and self._heaps[0][0][0] <= now

    def deadline(self, job: int) -> float:
        """The next deadline of a job."""
        return self._due[job]

    def _push(self, job: int, due: float) -> None:
        self._due[job] = due
        period, urgent = self._jobs[job]
        heapq.heappush(self._heaps[0 if urgent else 1], (_ceil(due, period), job))


def _ceil(t: float, period_ms: float) -> float:
    slot = SLOT_MS if period_ms >= 1000 else FAST_SLOT_MS
    return -(-t // slot) * slot


class Load:
    """Whether a line is asked for more than it can carry.

    It is when one job missed rounds three times running, and when for three cycles the rounds of all jobs
    together took longer than their periods allow. A single stall is neither.
    """

    def __init__(self) -> None:
        self._shares: dict[int, float] = {}
        self._behind: dict[int, int] = {}
        self._heavy = 0

    @property
    def over(self) -> bool:
        """More is asked than can be done."""
        behind = max(self._behind.values(), default=0)
        return behind >= OVERLOAD or self._heavy >= OVERLOAD * len(self._shares) > 0

    def keep(self, jobs: Iterable[int]) -> None:
        """These are the jobs from now on; those that were known keep what was noted of them."""
        self._shares = {job: self._shares.get(job, 0.0) for job in jobs}
        self._behind = {job: self._behind.get(job, 0) for job in self._shares}

    def missed(self, job: int, rounds: int) -> None:
        """So many rounds of a job passed before this one."""
        self._behind[job] = self._behind[job] + 1 if rounds else 0

    def took(self, job: int, share: float) -> None:
        """A round ended; it took this share of its period. A job that has gone meanwhile is left out."""
        if job in self._shares:
            self._shares[job] = share
            self._heavy = self._heavy + 1 if sum(self._shares.values()) > 1 else 0
