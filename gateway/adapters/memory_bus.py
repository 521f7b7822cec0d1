"""A broker, the core's bus and an edge's uplink in memory, with the semantics of the real ones.

For fast tests of the two loops, and a yardstick in the contract suite: durable lanes, redelivery of what was
not acknowledged, retained messages, wills, an access list per edge, back-pressure when full.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.adapters.broker_lanes import LANES, Lane, lane_of, matches
from gateway.codec import ROOT
from gateway.errors import Retryable
from gateway.ports import Delivery


@dataclass(eq=False)
class _Stored:
    topic: str
    payload: bytes
    deliveries: int = 0


@dataclass(eq=False)
class _Queue:
    """A durable lane: what waits, and what was handed out and not acknowledged, in order of arrival.

    A number of an earlier `life` acknowledges nothing.
    """

    waiting: deque[_Stored] = field(default_factory=deque)
    pending: dict[int, _Stored] = field(default_factory=dict)
    numbers: int = 0
    life: int = 0

    def resume(self) -> int:
        """What was not acknowledged comes first again; the new life."""
        self.waiting.extendleft(reversed(self.pending.values()))
        self.pending.clear()
        self.life += 1
        return self.life


@dataclass(eq=False)
class _Subscriber:
    patterns: tuple[str, ...]
    take: Callable[[str, bytes], None]


class MemoryBroker:
    """What survives its clients; `cut()` and `mend()` are its network.

    capacity: messages that a lane holds. A full lane takes no more, as a full stream withholds PUBACK.
    """

    def __init__(self, capacity: int = 1_000_000) -> None:
        self.capacity = capacity
        self.up = True
        self.retained: dict[str, bytes] = {}
        self.lanes: dict[Lane, _Queue] = {lane: _Queue() for lane in LANES}
        self._subscribers: list[_Subscriber] = []
        self._bell = asyncio.Event()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Store and hand out; True stands for the PUBACK."""
        if not self.up:
            return False
        lane = lane_of(topic)
        if lane is not None:
            queue = self.lanes[lane]
            if len(queue.waiting) + len(queue.pending) >= self.capacity:
                return False
            queue.waiting.append(_Stored(topic, payload))
        self.hand_out(topic, payload, retain=retain)
        return True

    def hand_out(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Keep a retained message (an empty one deletes it) and tell the subscribers; also for wills."""
        if retain and payload:
            self.retained[topic] = payload
        elif retain:
            self.retained.pop(topic, None)
        for subscriber in list(self._subscribers):
            if any(matches(pattern, topic) for pattern in subscriber.patterns):
                subscriber.take(topic, payload)
        self._ring()

    def cut(self) -> None:
        """Everybody loses the connection."""
        self.up = False
        self._ring()

    def mend(self) -> None:
        """Connections work again; what was not acknowledged is handed out once more."""
        for queue in self.lanes.values():
            queue.resume()
        self.up = True
        self._ring()

    def subscribe(self, patterns: Sequence[str], take: Callable[[str, bytes], None]) -> _Subscriber:
        """Retained messages at once, then new ones."""
        subscriber = _Subscriber(tuple(patterns), take)
        self._subscribers.append(subscriber)
        for topic, payload in list(self.retained.items()):
            if any(matches(pattern, topic) for pattern in patterns):
                take(topic, payload)
        return subscriber

    def unsubscribe(self, subscriber: _Subscriber) -> None:
        """Hear no more."""
        self._subscribers.remove(subscriber)

    async def change(self) -> None:
        """Until something is published, cut or mended."""
        await self._bell.wait()

    def _ring(self) -> None:
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()


@dataclass(frozen=True, slots=True)
class _Token:
    lane: Lane
    number: int
    life: int


class MemoryBus:
    """`Bus` on a MemoryBroker. Dropping it without `ack` is a crash; the next one to open resumes."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._open = False

    async def open(self) -> None:
        """Raises Retryable while the broker is cut off."""
        if not self._broker.up:
            raise Retryable("bus: no connection")
        for queue in self._broker.lanes.values():
            queue.resume()
        self._open = True

    async def close(self) -> None:
        """What was not acknowledged comes again."""
        self._open = False

    async def fetch(self, lane: Lane, limit: int, timeout_s: float) -> list[Delivery]:
        """Up to `limit` messages; empty after `timeout_s` real seconds. Raises Retryable when cut off."""
        queue = self._broker.lanes[lane]
        try:
            async with asyncio.timeout(timeout_s):
                while self._connected() and not queue.waiting:
                    await self._broker.change()
        except TimeoutError:
            pass
        if not self._connected():
            raise Retryable("bus: no connection")
        return [self._deliver(lane, queue) for _ in range(min(limit, len(queue.waiting)))]

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """They are committed. Never raises: an acknowledgement that is lost brings the message again."""
        for delivery in deliveries:
            token: _Token = delivery.token
            queue = self._broker.lanes[token.lane]
            if self._connected() and token.life == queue.life:
                queue.pending.pop(token.number, None)

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Raises Retryable."""
        if not (self._connected() and self._broker.publish(topic, payload, retain=retain)):
            raise Retryable(f"publish {topic}: not taken")

    async def watch(self, pattern: str) -> AsyncIterator[Delivery]:
        """Retained and new messages; retained ones come again after the connection is mended."""
        queue: asyncio.Queue[Delivery] = asyncio.Queue()
        subscriber = self._broker.subscribe((pattern,), lambda t, p: queue.put_nowait(Delivery(t, p)))
        try:
            while True:
                yield await queue.get()
        finally:
            self._broker.unsubscribe(subscriber)

    def health(self) -> Mapping[str, float]:
        """The figures of the real ones."""
        waits = {
            f"waiting_{lane}": float(len(q.waiting) + len(q.pending))
            for lane, q in self._broker.lanes.items()
        }
        return {
            "connected": float(self._connected()),
            "mqtt_connected": float(self._connected()),
            "waiting": sum(waits.values()),
            "fill": max(waits.values()) / self._broker.capacity,
            "reconnects": 0.0,
            **waits,
        }

    def _connected(self) -> bool:
        return self._open and self._broker.up

    def _deliver(self, lane: Lane, queue: _Queue) -> Delivery:
        message = queue.waiting.popleft()
        message.deliveries += 1
        queue.numbers += 1
        queue.pending[queue.numbers] = message
        token = _Token(lane, queue.numbers, queue.life)
        return Delivery(message.topic, message.payload, token, redelivered=message.deliveries > 1)


class MemoryUplink:
    """`Uplink` of one edge on a MemoryBroker, with its rights: own topics out, own receipts and commands in.

    will: topic and payload that the broker publishes, retained, when the connection is lost.
    """

    def __init__(
        self, broker: MemoryBroker, estate: str, gateway: str, will: tuple[str, bytes] | None = None
    ) -> None:
        self._broker, self._will = broker, will
        self._own = f"{ROOT}/{estate}/{gateway}"
        self._connected = False

    @property
    def connected(self) -> bool:
        """True while the link is up."""
        return self._connected and self._broker.up

    async def run(self, on_message: Callable[[str, bytes], None], on_state: Callable[[bool], None]) -> None:
        """Stay connected until cancelled; callbacks arrive on the event loop."""
        loop = asyncio.get_running_loop()
        while True:
            while not self._broker.up:
                await self._broker.change()
            patterns = (f"{self._own}/ack", f"{self._own}/cmd")
            subscriber = self._broker.subscribe(patterns, lambda t, p: _later(loop, on_message, t, p))
            self._connected = True
            on_state(True)
            try:
                while self._broker.up:
                    await self._broker.change()
            finally:
                self._connected = False
                self._broker.unsubscribe(subscriber)
                on_state(False)
                if self._will is not None:
                    self._broker.hand_out(*self._will, retain=True)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """False when the link is down or the lane full. What the rights forbid is taken and dropped."""
        if not self.connected:
            return False
        if not topic.startswith(self._own + "/"):
            return True
        return self._broker.publish(topic, payload, retain=retain)


def _later(
    loop: asyncio.AbstractEventLoop, call: Callable[[str, bytes], None], topic: str, payload: bytes
) -> None:
    loop.call_soon(call, topic, payload)
