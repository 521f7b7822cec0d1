"""The live stream: one subscription to the core, each message framed once, handed to all who may see it.

Server-sent events. `id:` is `{boot}.{seq}`, so that a browser that comes back (Last-Event-ID) goes on where
it was, and one that comes back to a restarted core is told to take a new snapshot (`resync`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import orjson

from dashboards.api.directory import Directory
from gateway.errors import StewardError
from gateway.model import EVERYTHING, Scope
from gateway.ports import Desk, Message

log = logging.getLogger(__name__)

RETRY_S = 1.0
KEEP_BYTES = 16 << 20


@dataclass(eq=False)
class Framed:
    """A message and its frames: one for everybody who sees all of it, one per narrower scope."""

    message: Message
    frame: bytes
    narrower: dict[Scope, bytes | None] = field(default_factory=dict)


class Subscriber:
    """One open stream. A queue that runs over is thrown away, and the page takes a new snapshot."""

    def __init__(self, hub: Hub, scope: Scope, limit: int) -> None:
        self._hub, self.scope, self._limit = hub, scope, limit
        self._frames: deque[bytes] = deque()
        self._ready = asyncio.Event()
        self.closed = False

    def put(self, frame: bytes) -> None:
        """Queue a frame."""
        if len(self._frames) >= self._limit:
            self.resync()
            return
        self._frames.append(frame)
        self._ready.set()

    def resync(self) -> None:
        """Forget what waits; tell the page to begin anew."""
        self._hub.resyncs += 1
        self._frames.clear()
        self._frames.append(self._hub.resync_frame())
        self._ready.set()

    def close(self) -> None:
        """End the stream after what waits."""
        self.closed = True
        self._ready.set()

    async def take(self) -> bytes:
        """All that waits, as one piece; empty when the stream has ended."""
        while not self._frames and not self.closed:
            self._ready.clear()
            await self._ready.wait()
        out = b"".join(self._frames)
        self._frames.clear()
        return out


class Hub:
    """Fans the core's messages out. `queue`: frames waiting per page; `history`: kept for who returns."""

    def __init__(self, desk: Desk, directory: Directory, queue: int, history: int) -> None:
        self._desk, self._directory, self._queue = desk, directory, queue
        self.boot = secrets.token_hex(4)
        self._keep = history
        self._history: deque[Framed] = deque()
        self._kept = 0  # bytes
        self._subscribers: set[Subscriber] = set()
        self._floor = 0  # everything after it is in the history
        self._newest = 0
        self._closed = False
        self.messages = self.encodings = self.resyncs = 0

    @property
    def newest(self) -> int:
        """Number of the newest message or snapshot."""
        return self._newest

    @property
    def clients(self) -> int:
        """Open streams."""
        return len(self._subscribers)

    async def run(self) -> None:
        """Take messages from the core until cancelled; a failure costs every page one resync."""
        failures, self._closed = 0, False
        while True:
            try:
                self._begin()
                async for message in self._desk.stream(EVERYTHING, self._floor):
                    if failures:
                        log.info("the live stream of the core is back after %d failures", failures)
                        failures = 0
                    self.publish(message)
            except StewardError as e:
                failures += 1
                if failures == 1:
                    log.warning("the live stream of the core broke: %s; pages wait for it", e)
            await asyncio.sleep(RETRY_S)

    def _begin(self) -> None:
        """Everything before this moment is in the snapshot; whoever was listening takes a new one."""
        self._newest = int(self._directory.learn().get("seq", 0))
        self._forget(self._newest)
        for subscriber in self._subscribers:
            subscriber.resync()

    def saw(self, seq: int) -> None:
        """A snapshot of this process went out with that number: it may come back as `after`."""
        self._newest = max(self._newest, seq)

    def publish(self, message: Message) -> None:
        """Frame once, hand out, remember."""
        self.messages += 1
        self._newest = max(self._newest, message.seq)
        if message.event == "resync":
            self._forget(message.seq)
            for subscriber in self._subscribers:
                subscriber.resync()
            return
        framed = Framed(message, self._frame(message, message.data))
        self._remember(framed)
        for subscriber in self._subscribers:
            frame = self._for(framed, subscriber.scope)
            if frame is not None:
                subscriber.put(frame)

    def subscribe(self, scope: Scope, after: int | None, boot: str | None) -> Subscriber:
        """A stream of what the scope may see after `after`; begins with `resync` when that is not kept."""
        subscriber = Subscriber(self, scope, self._queue)
        if self._closed:
            subscriber.close()
        if after is not None and (boot not in (None, self.boot) or not self._floor <= after <= self._newest):
            subscriber.resync()
        elif after is not None:
            for framed in self._history:
                frame = self._for(framed, scope) if framed.message.seq > after else None
                if frame is not None:
                    subscriber.put(frame)
        self._subscribers.add(subscriber)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """The page has gone."""
        self._subscribers.discard(subscriber)

    def close(self) -> None:
        """End all streams, now and from now on: the server stops."""
        self._closed = True
        for subscriber in self._subscribers:
            subscriber.close()

    def resync_frame(self) -> bytes:
        """What tells a page to take a new snapshot."""
        return b"id: %s.%d\nevent: resync\ndata: {}\n\n" % (self.boot.encode(), self._newest)

    def _remember(self, framed: Framed) -> None:
        self._history.append(framed)
        self._kept += len(framed.frame)
        while len(self._history) > self._keep or self._kept > KEEP_BYTES:
            oldest = self._history.popleft()
            self._kept -= len(oldest.frame)
            self._floor = oldest.message.seq

    def _forget(self, upto: int) -> None:
        self._history.clear()
        self._kept, self._floor = 0, upto

    def _frame(self, message: Message, data: bytes) -> bytes:
        self.encodings += 1
        head = (self.boot.encode(), message.seq, message.event.encode(), data)
        return b"id: %s.%d\nevent: %s\ndata: %s\n\n" % head

    def _for(self, framed: Framed, scope: Scope) -> bytes | None:
        """The frame for a scope: the common one, a narrower one made once per scope, or None."""
        message = framed.message
        if scope == EVERYTHING:
            return framed.frame
        if scope not in framed.narrower:
            framed.narrower[scope] = self._narrow(framed, message, scope)
        return framed.narrower[scope]

    def _narrow(self, framed: Framed, message: Message, scope: Scope) -> bytes | None:
        if message.topic == "*":
            if message.event != "h":
                return framed.frame
            body = orjson.loads(message.data)
            mine = self._directory.within(scope, body)
            return framed.frame if mine == body else self._frame(message, orjson.dumps(mine))
        if not self._directory.allows(scope, message.topic, message.system or None):
            return None
        if scope.systems is None or message.system or message.event == "h":
            return framed.frame
        body = orjson.loads(message.data)
        if message.event != "v":
            return framed.frame if self._directory.allows_body(scope, body) else None
        values = {
            p: v for p, v in body["values"].items() if self._directory.allows_asset(scope, p.split("/")[0])
        }
        return self._frame(message, orjson.dumps({**body, "values": values})) if values else None


async def frames(subscriber: Subscriber, heartbeat_s: float) -> AsyncIterator[bytes]:
    """What goes out over the wire: frames as they come, and a comment when it is quiet for so long."""
    yield b"retry: 2000\n: welcome\n\n"
    while True:
        try:
            async with asyncio.timeout(heartbeat_s):
                piece = await subscriber.take()
        except TimeoutError:
            piece = b": quiet\n\n"
        if not piece:
            return
        yield piece
