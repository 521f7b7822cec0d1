"""Catches a driver that does not come back, for less than a timer of its own for each request."""

from __future__ import annotations

import asyncio

from gateway.ports import Answer, Block, Driver, LineDown

HANG_S = 5.0
"""A read has twice its time-out and this long; a driver that keeps its own time never comes near."""


class Watch:
    """`read` as the driver's, but it always ends: raises LineDown when the driver hangs.

    One timer serves many reads: it is set by a read when there is none, and looks when it fires.
    """

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._task: asyncio.Task[object] | None = None
        self._limit = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._bitten = False

    async def read(self, block: Block, timeout_s: float) -> Answer:
        """See `Driver.read`."""
        loop = asyncio.get_running_loop()
        self._limit = loop.time() + 2 * timeout_s + HANG_S
        if self._timer is None:
            self._timer = loop.call_at(self._limit, self._look, loop)
        self._task = asyncio.current_task()
        try:
            return await self._driver.read(block, timeout_s)
        finally:
            task, self._task = self._task, None
            if self._bitten:
                self._bitten = False
                if task is not None and task.uncancel() == 0:
                    raise LineDown("the driver did not come back")

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if self._task is None:
            return
        if loop.time() < self._limit:
            self._timer = loop.call_at(self._limit, self._look, loop)
            return
        self._bitten = True
        self._task.cancel()
