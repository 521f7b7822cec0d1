"""The only place that reads a clock."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time

from gateway.model import Ms


def epoch() -> float:
    """Seconds since 1970 by the system clock, never warped: for stamps that other machines check."""
    return time.time()


class SystemClock:
    """Site time runs `speed` times as fast as real time, from `start` (ms UTC; default: now)."""

    def __init__(self, speed: float = 1.0, start: Ms | None = None) -> None:
        self._speed = speed
        self._warped = speed != 1.0 or start is not None
        self._wall0 = time.time()
        self._start = start if start is not None else int(self._wall0 * 1000)
        self._mono0 = time.monotonic()

    @classmethod
    def shared(cls, speed: float, at: float, start: Ms) -> SystemClock:
        """The same site time in every process of a machine: `start` (ms) was at monotonic instant `at`."""
        return cls(speed, start + int((time.monotonic() - at) * 1000 * speed))

    @property
    def speed(self) -> float:
        """Site seconds per real second."""
        return self._speed

    def now(self) -> Ms:
        """Site time, ms UTC. Unwarped it is the system clock, so that a step of it shows."""
        if not self._warped:
            return int(time.time() * 1000)
        return self._start + int((time.monotonic() - self._mono0) * 1000 * self._speed)

    def monotonic(self) -> float:
        """Real seconds."""
        return time.monotonic()

    async def sleep(self, site_seconds: float) -> None:
        """Sleep in site time."""
        await asyncio.sleep(max(0.0, site_seconds) / self._speed)

    async def sleep_real(self, seconds: float) -> None:
        """Sleep in real time."""
        await asyncio.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that moves only when told; for tests. Sleepers wake in the order of their deadlines."""

    def __init__(self, start: Ms = 1_790_000_000_000) -> None:
        self._now = start
        self._mono = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._tie = itertools.count()

    @property
    def speed(self) -> float:
        """Always 1."""
        return 1.0

    def now(self) -> Ms:
        """Site time, ms UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds since the clock was made."""
        return self._mono

    async def sleep(self, site_seconds: float) -> None:
        """Wait until `advance` passes the deadline."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._mono + max(0.0, site_seconds), next(self._tie), future))
        await future

    async def sleep_real(self, seconds: float) -> None:
        """The same as `sleep`."""
        await self.sleep(seconds)

    def step(self, seconds: float) -> None:
        """Move site time alone, as when somebody sets the system clock."""
        self._now += round(seconds * 1000)

    async def advance(self, seconds: float) -> None:
        """Move both clocks; wakes sleepers one deadline after the other and lets them run."""
        end = self._mono + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            deadline, _, future = heapq.heappop(self._sleepers)
            self._move(max(deadline, self._mono))
            if not future.done():
                future.set_result(None)
            await _let_run()
        self._move(end)
        await _let_run()

    def _move(self, mono: float) -> None:
        self._now += round((mono - self._mono) * 1000)
        self._mono = mono


async def _let_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
