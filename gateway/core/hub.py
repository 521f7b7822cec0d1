"""The live stream: each message is encoded once and shared by all subscribers."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator
from typing import Any, Literal

import orjson

from gateway.model import Scope
from gateway.ports import Message

KEEP = 2_000
"""Messages kept for subscribers that come back with Last-Event-ID."""
QUEUE = 500
"""Messages that a slow subscriber may lag behind before it has to read a new snapshot."""

EventName = Literal["v", "a", "o", "h", "resync"]


class Hub:
    """Fan-out of live messages. Single event loop; publishing never waits for a subscriber."""

    def __init__(self, firm_of: dict[str, str]) -> None:
        self._firm_of = firm_of
        self._ring: collections.deque[Message] = collections.deque(maxlen=KEEP)
        self._queues: dict[asyncio.Queue[Message | None], Scope] = {}
        self.seq = 0
        self.encoded = 0

    def publish(self, topic: str, event: EventName, body: Any, system: str = "") -> None:
        """Encode once, hand to every subscriber whose scope includes the estate (topic "*": everybody)."""
        self.seq += 1
        self.encoded += 1
        data = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
        message = Message(self.seq, topic, event, data, system)
        self._ring.append(message)
        for queue, scope in list(self._queues.items()):
            if not self._visible(message, scope):
                continue
            if queue.full():
                del self._queues[queue]
                _drain(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(message)

    async def subscribe(self, scope: Scope, after: int | None) -> AsyncIterator[Message]:
        """Messages after `after`; `resync` when they are no longer kept or the reader is too slow."""
        queue: asyncio.Queue[Message | None] = asyncio.Queue(QUEUE)
        missed = self._missed(after)
        self._queues[queue] = scope
        try:
            if missed is None:
                yield self.resync()
            for message in missed or ():
                if self._visible(message, scope):
                    yield message
            while True:
                message_or_end = await queue.get()
                if message_or_end is None:
                    yield self.resync()
                    self._queues[queue] = scope
                else:
                    yield message_or_end
        finally:
            self._queues.pop(queue, None)

    @property
    def subscribers(self) -> int:
        """How many read the stream now."""
        return len(self._queues)

    def resync(self) -> Message:
        """Tells a reader to fetch a new snapshot."""
        return Message(self.seq, "*", "resync", b"{}")

    def _missed(self, after: int | None) -> list[Message] | None:
        if after is None or after == self.seq:
            return []
        if after > self.seq or not self._ring or after < self._ring[0].seq - 1:
            return None
        return [m for m in self._ring if m.seq > after]

    def _visible(self, m: Message, scope: Scope) -> bool:
        if m.topic == "*":
            return True
        firm = self._firm_of.get(m.topic, "")
        return scope.allows(firm=firm, estate=m.topic, system=m.system or None)


def _drain(queue: asyncio.Queue[Message | None]) -> None:
    while not queue.empty():
        queue.get_nowait()
