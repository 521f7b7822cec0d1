"""Time: two clocks, injected everywhere."""

from __future__ import annotations

from typing import Protocol

from gateway.model import (
    Ms,
)


class Clock(Protocol):
    """Site time and real time, injected everywhere; nobody else reads a clock."""

    @property
    def speed(self) -> float:
        """Site seconds per real second; 1.0 outside of demos and tests."""

    def now(self) -> Ms:
        """Site time in ms UTC; warped by `speed`. For plant, schedules, stamps, delays, deadlines."""

    def monotonic(self) -> float:
        """Real seconds that never step. For sockets, back-off, sessions, child processes."""

    async def sleep(self, site_seconds: float) -> None:
        """Sleep so many seconds of site time."""

    async def sleep_real(self, seconds: float) -> None:
        """Sleep so many real seconds."""
