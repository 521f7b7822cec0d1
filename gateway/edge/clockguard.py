"""Stamps that never run backwards: notices that somebody set the system clock and bridges the step."""

from __future__ import annotations

import logging
import math

from gateway.model import Ms
from gateway.ports import Clock

log = logging.getLogger(__name__)

STEP_MS = 250.0
"""A disagreement between site time and monotonic time beyond this is a step, not jitter."""
SLEW = 0.05
"""After a backward step stamps run this much slower until they agree with the clock again."""
DOUBTFUL_MS = 1000.0
READINGS, CLOSE_S = 5, 0.005
BRIDGE_MS = 86_400_000
"""Longest step over a restart that is bridged: with more the earlier clock was plainly wrong."""


class ClockGuard:
    """Keeps `offset`: stamp = clock + offset, so that stamps go on at the real rate after a backward step.

    While the offset is above one second stamps are doubtful (quality CLOCK_STEP); the clock's own time is
    always stamp - offset, and the offset is reported with each account.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall, self._mono = self._both()
        self.offset = 0.0
        self.steps = 0
        self.last_step_ms = 0.0

    @property
    def doubtful(self) -> bool:
        """True while stamps differ from the clock by more than a second."""
        return self.offset > DOUBTFUL_MS

    def resume(self, last: Ms) -> None:
        """Go on from the last stamp of an earlier run (0: none), when the clock was set back meanwhile."""
        behind = last - self._clock.now()
        if behind > BRIDGE_MS:
            log.error(
                "clock is %d h behind the last stamps, one of them is wrong; check the time source (NTP)",
                behind // 3_600_000,
            )  # fmt: skip
        elif behind > 0:
            self.offset = max(self.offset, float(behind))
            log.warning("clock is %d ms behind the last stamps; they go on from there", behind)

    def check(self) -> None:
        """Compare the two clocks; call it before stamps are used."""
        wall, mono = self._both()
        elapsed = (mono - self._mono) * 1000 * self._clock.speed
        step = wall - self._wall - elapsed
        self._wall, self._mono = wall, mono
        if self.offset:
            self.offset = max(0.0, self.offset - SLEW * elapsed)
        if abs(step) > STEP_MS * max(1.0, self._clock.speed):
            self._stepped(step)

    def _both(self) -> tuple[float, float]:
        """Both clocks at one instant: a busy machine may put the process aside between two readings."""
        best = (math.inf, 0.0, 0.0)
        for _ in range(READINGS):
            before, wall, after = self._clock.monotonic(), float(self._clock.now()), self._clock.monotonic()
            best = min(best, (after - before, wall, after))
            if after - before < CLOSE_S:
                break
        return best[1:]

    def _stepped(self, step: float) -> None:
        self.steps += 1
        self.last_step_ms = step
        self.offset = max(0.0, self.offset - step)
        log.warning(
            "clock step_ms=%d stamps run %d ms ahead of it until they agree; check the time source (NTP)",
            step, self.offset,
        )  # fmt: skip

    def stamp(self, t: Ms) -> Ms:
        """The event time of an answer that the driver stamped `t`."""
        return t + round(self.offset)

    def now(self) -> Ms:
        """Guarded site time."""
        self.check()
        return self.stamp(self._clock.now())
