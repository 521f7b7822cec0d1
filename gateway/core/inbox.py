"""What waits for the core: two durable lanes and the edges' status, read from the bus by their own tasks."""

from __future__ import annotations

import asyncio
import collections
import logging
from typing import Literal

from gateway.errors import Retryable
from gateway.ports import Bus, Clock, Delivery

log = logging.getLogger(__name__)

BATCH = 500
DEPTH = 2_000
"""Messages of a lane held in memory; the rest waits in the broker."""
RETRY_S = 1.0


class Inbox:
    """Queues that the core loop empties: status first, then events, then telemetry."""

    def __init__(self, bus: Bus, clock: Clock, wake: asyncio.Event) -> None:
        self._bus, self._clock, self._wake = bus, clock, wake
        self._room = asyncio.Event()
        self.cuts = 0
        """How often the broker was lost."""
        self.events: collections.deque[Delivery] = collections.deque()
        self.data: collections.deque[Delivery] = collections.deque()
        self.status: collections.deque[Delivery] = collections.deque()

    @property
    def waiting(self) -> int:
        """Messages in memory that the core has not taken yet."""
        return len(self.events) + len(self.data) + len(self.status)

    def take(self, queue: collections.deque[Delivery]) -> list[Delivery]:
        """Up to one batch."""
        self._room.set()
        return [queue.popleft() for _ in range(min(BATCH, len(queue)))]

    async def run(self) -> None:
        """Open the bus and read it until cancelled."""
        await self._open()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lane("event", self.events), name="core.events")
            group.create_task(self._lane("data", self.data), name="core.data")
            group.create_task(self._statuses(), name="core.status")

    async def _open(self) -> None:
        tries = 0
        while True:
            try:
                await self._bus.open()
            except Retryable as e:
                tries += 1
                if tries == 1:
                    log.error("broker not reachable reason=%r; trying again every second", str(e))
                await self._clock.sleep_real(RETRY_S)
            else:
                return

    async def _lane(self, lane: Literal["event", "data"], into: collections.deque[Delivery]) -> None:
        lost = 0
        while True:
            while len(into) >= DEPTH:
                self._room.clear()
                await self._room.wait()
            try:
                batch = await self._bus.fetch(lane, BATCH, 1.0)
            except Retryable as e:
                lost += 1
                if lost == 1:
                    self.cuts += 1
                    self._wake.set()
                    log.error("broker lost lane=%s reason=%r; trying again every second", lane, str(e))
                await self._clock.sleep_real(RETRY_S)
                continue
            if lost:
                log.warning("broker is back lane=%s after tries=%d", lane, lost)
                lost = 0
            if batch:
                into.extend(batch)
                self._wake.set()

    async def _statuses(self) -> None:
        while True:
            try:
                async for d in self._bus.watch("steward/v1/+/+/status"):
                    self.status.append(d)
                    self._wake.set()
            except Retryable:
                await self._clock.sleep_real(RETRY_S)
