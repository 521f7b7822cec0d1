"""Sends notices from the state store's outbox: at least once, with the same key on every try."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from gateway.core.writer import Writer
from gateway.errors import Permanent, Retryable, StewardError
from gateway.model import Ms, Notice
from gateway.ports import Clock, Notifier, StateStore

log = logging.getLogger(__name__)

FIRST_RETRY_S = 5.0
LAST_RETRY_S = 300.0
ATTEMPTS = 20
REMEMBERED = 10_000
"""Calls that are known to have gone over a channel; after a restart one may go there again."""


@dataclass
class Channel:
    """A way to reach people. `duties` empty: it reaches everybody."""

    id: str
    notifier: Notifier
    duties: frozenset[str] = frozenset()
    healthy: bool = True
    failures: int = 0
    last_error: str = ""
    receipts: list[Ms] = field(default_factory=list)

    def reaches(self, duty: str) -> bool:
        """Whether notices for this duty role go here."""
        return not self.duties or duty in self.duties


class Sender:
    """Takes waiting notices, life safety first, and tries the channels in order until one gives a receipt.

    A call for several channels (push, SMS, voice) of which some are not there, or fail, prefers a channel
    that has not carried it yet; where none is left it counts as delivered by the one that has. `counts`:
    notices by state, as of the last look.
    """

    def __init__(self, state: StateStore, channels: Sequence[Channel], clock: Clock) -> None:
        self._state, self._channels, self._clock = state, list(channels), clock
        self._wake = asyncio.Event()
        self._writer = Writer(clock, lambda: None)
        self._reached: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.counts: Mapping[str, int] = {}

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            try:
                sent = await self.once()
            except Retryable as e:
                log.error("notices cannot be read reason=%r; trying again", str(e))
                await self._clock.sleep_real(1.0)
                continue
            if not sent:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self._wake.wait()

    async def once(self) -> int:
        """Try what is due, most urgent first, until there is news; how many were tried."""
        now = self._clock.now()
        due = await asyncio.to_thread(self._state.notices, ["waiting", "failed"], 50, due=now)
        self.counts = await asyncio.to_thread(self._state.notice_counts)
        tried = 0
        for notice, _, attempts in due:
            await self._try(notice, attempts)
            tried += 1
            if self._wake.is_set():
                break
        return tried

    async def _try(self, notice: Notice, attempts: int) -> None:
        errors = []
        for channel in self._for(notice):
            way = (_call(notice), channel.id)
            try:
                if channel.id != notice.channel and way in self._reached:
                    receipt = "the same call went there already"
                else:
                    receipt = await asyncio.to_thread(channel.notifier.send, notice)
            except StewardError as e:
                errors.append(f"{channel.id}: {e}")
                self._failed(channel, str(e), permanent=isinstance(e, Permanent))
                continue
            self._recovered(channel)
            self._remember(way)
            at, detail = self._clock.now(), f"{channel.id}: {receipt}"
            # Until this is written nothing else is sent: a full disk must not send one notice twice.
            await self._writer.insist(
                partial(self._state.notice_result, notice.id, ok=True, at=at, detail=detail), "receipts"
            )
            return
        await self._later(notice, attempts, "; ".join(errors) or "no channel reaches this role")

    async def _later(self, notice: Notice, attempts: int, detail: str) -> None:
        at = self._clock.now()
        wait = min(LAST_RETRY_S, FIRST_RETRY_S * 2**attempts)
        final = attempts + 1 >= ATTEMPTS and not notice.life
        result = partial(
            self._state.notice_result,
            notice.id, ok=False, at=at, detail=detail, retry_at=at + int(wait * 1000), final=final,
        )  # fmt: skip
        await self._writer.insist(result, "receipts")

    def _for(self, notice: Notice) -> list[Channel]:
        named = [c for c in self._channels if c.id == notice.channel]
        others = [c for c in self._channels if c.id != notice.channel and c.reaches(notice.to)]
        call = _call(notice)
        return [*named, *sorted(others, key=lambda c: ((call, c.id) in self._reached, not c.healthy))]

    def _remember(self, way: tuple[str, str]) -> None:
        self._reached[way] = None
        if len(self._reached) > REMEMBERED:
            self._reached.popitem(last=False)

    def _failed(self, channel: Channel, error: str, *, permanent: bool) -> None:
        channel.failures += 1
        channel.last_error = error
        if channel.healthy:
            log.error(
                "channel failed channel=%s error=%r permanent=%s; the next one is tried",
                channel.id,
                error,
                permanent,
            )
        channel.healthy = False

    def _recovered(self, channel: Channel) -> None:
        if not channel.healthy:
            log.warning("channel works again channel=%s after failures=%d", channel.id, channel.failures)
        channel.healthy, channel.failures, channel.last_error = True, 0, ""

    def health(self) -> Mapping[str, object]:
        """Per channel: healthy, failures in a row, last error."""
        return {
            c.id: {"healthy": c.healthy, "failures": c.failures, "last_error": c.last_error}
            for c in self._channels
        }


def _call(notice: Notice) -> str:
    """What is said to whom: the notice's id without its channel."""
    return notice.id.rpartition(":")[0]
