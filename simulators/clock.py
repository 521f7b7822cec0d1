"""Site time from the event loop's own clock, for simulators that run by themselves."""

from __future__ import annotations

import asyncio

from gateway.model import Ms


class LoopClock:
    """Site time is `start` when the loop's clock says `at`, and runs `speed` times as fast as it.

    The loop's clock is the monotonic clock of the machine, so that two processes that were given the same
    start, instant and speed agree.
    """

    def __init__(self, start: Ms, speed: float = 1.0, at: float | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._start, self._speed = start, speed
        self._at = self._loop.time() if at is None else at

    @property
    def speed(self) -> float:
        """Site seconds per real second."""
        return self._speed

    def now(self) -> Ms:
        """Site time, ms UTC."""
        return self._start + int((self._loop.time() - self._at) * 1000 * self._speed)

    def monotonic(self) -> float:
        """Real seconds."""
        return self._loop.time()

    async def sleep(self, site_seconds: float) -> None:
        """Sleep in site time."""
        await asyncio.sleep(max(0.0, site_seconds) / self._speed)

    async def sleep_real(self, seconds: float) -> None:
        """Sleep in real time."""
        await asyncio.sleep(max(0.0, seconds))
