"""The connection of a line: opening, losing, and the pause before the next attempt."""

from __future__ import annotations

import logging

from gateway.ports import Clock, Driver, LineDown

log = logging.getLogger(__name__)

RECONNECT_S = (0.1, 5.0)
JUNK = 2
"""Damaged answers in a row after which the connection is made anew, so that both sides start afresh."""


class Connection:
    """A driver and whether it is connected. `retry_at`: monotonic s; `up_since`: ms of the steady axis."""

    def __init__(self, line: str, driver: Driver, clock: Clock) -> None:
        self._line, self.driver, self._clock = line, driver, clock
        self.up = False
        self.up_since = 0.0
        self.retry_at = 0.0
        self._pause_s = RECONNECT_S[0]
        self._outage = 0
        self._junk = 0

    @property
    def wanted(self) -> bool:
        """It is time to try again."""
        return not self.up and self._clock.monotonic() >= self.retry_at

    async def connect(self) -> None:
        """Try; a failure sets the next attempt."""
        try:
            await self.driver.open()
        except LineDown as e:
            self.lost(e)
            return
        if self._outage:
            log.info("line recovered line=%s failures=%d", self._line, self._outage)
        self.up, self._outage, self._junk = True, 0, 0
        self.up_since = steady_ms(self._clock)

    def lost(self, e: Exception) -> None:
        """It is not there."""
        self._outage += 1
        if self._outage == 1:
            log.warning("line down line=%s cause=%r; check the cable, address and port", self._line, str(e))
            self._pause_s = RECONNECT_S[0]
        else:
            self._pause_s = min(self._pause_s * 2, RECONNECT_S[1])
        self.up = False
        self.retry_at = self._clock.monotonic() + self._pause_s

    async def hang_up(self, e: Exception) -> None:
        """It broke."""
        self.lost(e)
        await self.driver.close()

    def heard(self) -> None:
        """A whole frame came."""
        self._junk = 0

    async def junk(self) -> None:
        """A damaged answer came. Open again at once: one bad unit must not cost the others a round."""
        self._junk += 1
        if self._junk >= JUNK:
            self._junk = 0
            await self.driver.close()
        try:
            await self.driver.open()
        except LineDown as e:
            self.lost(e)


def steady_ms(clock: Clock) -> float:
    """Ms on the axis that never steps and runs at site speed."""
    return clock.monotonic() * 1000 * clock.speed
