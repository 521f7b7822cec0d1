"""Sends notices from the state store's outbox: at least once, with the same key on every try."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.errors import Permanent, StewardError
from gateway.model import Ms, Notice
from gateway.ports import Clock, Notifier, StateStore

log = logging.getLogger(__name__)

FIRST_RETRY_S = 5.0
LAST_RETRY_S = 300.0
ATTEMPTS = 20


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
    """Takes waiting notices, life safety first, and tries the channels in order until one gives a receipt."""

    def __init__(self, state: StateStore, channels: Sequence[Channel], clock: Clock) -> None:
        self._state, self._channels, self._clock = state, list(channels), clock
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There is something to send."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            sent = await self.once()
            if not sent:
                try:
                    await asyncio.wait_for(self._wake.wait(), 1.0)
                except TimeoutError:
                    continue

    async def once(self) -> int:
        """Try everything that is due; how many were tried."""
        now = self._clock.now()
        due = await asyncio.to_thread(self._state.notices, ["waiting", "failed"], 50, due=now)
        for notice, _, attempts in due:
            await self._try(notice, attempts)
        return len(due)

    async def _try(self, notice: Notice, attempts: int) -> None:
        errors = []
        for channel in self._for(notice):
            try:
                receipt = await asyncio.to_thread(channel.notifier.send, notice)
            except StewardError as e:
                errors.append(f"{channel.id}: {e}")
                self._failed(channel, str(e), permanent=isinstance(e, Permanent))
                continue
            self._recovered(channel)
            at = self._clock.now()
            await asyncio.to_thread(
                self._state.notice_result, notice.id, ok=True, at=at, detail=f"{channel.id}: {receipt}"
            )
            return
        await self._later(notice, attempts, "; ".join(errors) or "no channel reaches this role")

    async def _later(self, notice: Notice, attempts: int, detail: str) -> None:
        at = self._clock.now()
        wait = min(LAST_RETRY_S, FIRST_RETRY_S * 2**attempts)
        final = attempts + 1 >= ATTEMPTS and not notice.life
        await asyncio.to_thread(
            self._state.notice_result,
            notice.id, ok=False, at=at, detail=detail, retry_at=at + int(wait * 1000), final=final,
        )  # fmt: skip

    def _for(self, notice: Notice) -> list[Channel]:
        named = [c for c in self._channels if c.id == notice.channel]
        others = [c for c in self._channels if c.id != notice.channel and c.reaches(notice.to)]
        return [*named, *sorted(others, key=lambda c: not c.healthy)]

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
