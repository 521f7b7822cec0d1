"""Blocking work that must succeed before anything may go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from gateway.errors import Retryable
from gateway.ports import Clock

log = logging.getLogger(__name__)

RETRY_S = 1.0
T = TypeVar("T")


class Writer:
    """Tries again and again while a store cannot write; meanwhile `waiting` is called every second.

    What cannot be helped by trying again (a damaged store) goes through: the state in memory is then ahead of
    what is kept, so the process has to end and start from what is kept.
    """

    def __init__(self, clock: Clock, waiting: Callable[[], None]) -> None:
        self._clock, self._waiting = clock, waiting
        self.stuck = ""
        """What cannot write now and why; "" while all is well."""

    async def insist(self, work: Callable[[], T], what: str) -> T:
        """The result of `work`, done in a thread."""
        tries = 0
        while True:
            try:
                out = await asyncio.to_thread(work)
            except Retryable as e:
                tries += 1
                if tries == 1:
                    log.error(
                        "%s cannot write reason=%r; intake waits, edges keep their outbox", what, str(e)
                    )
                self.stuck = f"{what}: {e}"
                self._waiting()
                await self._clock.sleep_real(RETRY_S)
                continue
            if tries:
                self.stuck = ""
                log.warning("%s writes again after tries=%d", what, tries)
            return out
