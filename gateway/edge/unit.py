"""One device on a line: what it has taught us. Devices with one unit number share their health."""

from __future__ import annotations

import logging
import zlib
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from gateway.edge.config import DeviceConfig
from gateway.edge.plan import Range
from gateway.edge.stats import Counts
from gateway.model import Ms

log = logging.getLogger(__name__)

FAILURES = 2
"""Consecutive failed rounds after which a unit is only probed."""
PROBE_CAP_MS = 60_000.0
PROBE_CAP_LIFE_MS = 30_000.0
LEARN_AFTER = 8
HARD_CAP_S = 1.0
PROBE_SHARE = 0.05
"""Of a line's time that waiting for one silent unit may take."""
JITTER = 0.1
"""Pauses between probes differ by up to this share, so that units that died together part."""


class Lesson(NamedTuple):
    """Addresses that the device refused, and when (site ms)."""

    range: Range
    at: Ms


class Health:
    """Breaker, learnt time-out and counts of one unit number. Times in ms of the line's steady axis.

    name: for the log · ceiling_s: the longest wait for an answer · floor_s: no learnt time-out is shorter.
    """

    def __init__(self, name: str, ceiling_s: float, floor_s: float) -> None:
        self.name, self.ceiling_s = name, ceiling_s
        self._floor = floor_s
        self.counts = Counts()
        self.life = False
        self.shortest_ms = 1000.0
        self._slack: deque[float] = deque(maxlen=64)
        self._learnt = 0.0
        self._patience = 1.0
        self.failures = 0
        self.open = False
        self.probe_at = 0.0
        self.probed_at = 0.0
        self._interval = 0.0
        self._probes = 0
        self._called = False

    # ── time-outs ─────────────────────────────────────────────────────────────────────────────────

    @property
    def learnt_s(self) -> float:
        """Three times its slowest recent answer, wire time aside; 0 while it is not known."""
        return self._learnt

    def timeout_s(self, air_s: float = 0.0) -> float:
        """For a read that takes `air_s` on the wire. After a failure the next is twice as patient."""
        if not self._learnt:
            return self.ceiling_s
        return min(max(self._floor, air_s + self._learnt * self._patience), self.ceiling_s)

    def probe_timeout_s(self, line_learnt_s: float, air_s: float = 0.0) -> float:
        """Short; every fourth time up to PROBE_SHARE of the pause, for a unit that has become slow."""
        self._probes += 1
        usual = air_s + (self._learnt or max(line_learnt_s, 0.2))
        if self._called:
            usual, self._called = self.ceiling_s, False
        elif self._probes % 4 == 0:
            usual = max(usual, PROBE_SHARE * self._interval / 1000)
        return min(self.ceiling_s, max(self._floor, usual))

    # ── outcomes ──────────────────────────────────────────────────────────────────────────────────

    def answered(self, rtt_s: float, now: Ms, air_s: float = 0.0) -> None:
        """A checked answer came after `rtt_s`, `air_s` of which the wire needs."""
        counts, slack = self.counts, max(0.0, rtt_s - air_s)
        counts.answered(rtt_s, now)
        self._patience = 1.0
        self._slack.append(slack)
        if counts.answers % LEARN_AFTER == 0 or (self._learnt and 3 * slack > self._learnt):
            self._learnt = min(max(3 * max(self._slack), 0.001), HARD_CAP_S)
        if self.failures:
            self.alive()

    def alive(self) -> None:
        """It said something, be it an exception: the breaker closes."""
        if self.open:
            log.info("unit recovered device=%s failed_rounds=%d", self.name, self.failures)
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
                "unit silent device=%s cause=%s now only probed; check its power, address and cable",
                self.name, cause,
            )  # fmt: skip
        self.probe_at = now_ms + self._interval * self._less()

    def retry(self, now_ms: float) -> None:
        """Somebody is at the device: probe it with the next round, and again soon."""
        self._interval = min(self.shortest_ms, self._cap())
        self.probe_at = now_ms
        self._called = True

    def _less(self) -> float:
        spread = zlib.crc32(f"{self.name} {self.failures}".encode()) % 1000 / 1000
        return 1.0 - JITTER * spread

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


class Unit:
    """One device. `base`: number of its first point among the edge's points; `index`: its own.

    max_gap: see `LineConfig`; the device's model may set its own.
    """

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
        self.max_gap = max_gap if config.model.max_gap is None else config.model.max_gap
        self.lessons = list(lessons)
        self.health = Health(f"{config.id} unit={config.unit}", config.timeout_s, min_timeout_s)

    @property
    def open(self) -> bool:
        """Silent: only probed now."""
        return self.health.open

    def timeout_s(self) -> float:
        """The present time-out of its reads, wire time aside."""
        return self.health.timeout_s()
