"""One lane of the JetStream bus: a durable pull consumer on the stream behind MQTT, and the two namings."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import nats.errors
from nats.aio.client import Client as Nats
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo

from gateway.adapters.broker_lanes import LANES, Lane
from gateway.adapters.broker_stream import PREFIX, STREAM
from gateway.errors import Retryable
from gateway.ports import Clock, Delivery

ACK_WAIT_S = 10.0
MAX_ACK_PENDING = 20_000
PULL_S = 30.0
_generations = itertools.count(1)


def subject_of(topic: str) -> str:
    """The NATS subject of an MQTT topic or pattern: `/` to `.`, `.` to `//`, `+` to `*`, `#` to `>`.

    Raises ValueError for a topic with a space, `*` or `>`, which NATS cannot carry.

    >>> subject_of("steward/v1/+/+/event"), subject_of("a.b/c")
    ('steward.v1.*.*.event', 'a//b.c')
    """
    if any(c in topic for c in " *>"):
        raise ValueError(f"topic {topic!r}: no spaces, * or >")
    return topic.replace(".", "\0").replace("/", ".").replace("\0", "//").replace("+", "*").replace("#", ">")


def topic_of(subject: str) -> str:
    """The MQTT topic of a NATS subject.

    >>> topic_of("a//b.c")
    'a.b/c'
    """
    return subject.replace("//", "\0").replace(".", "/").replace("\0", ".")


@dataclass(frozen=True, slots=True)
class _Token:
    """What acknowledges a message; worth nothing after the lane has been resumed."""

    lane: Lane
    reply: str
    generation: int


class PullLane:
    """One durable consumer, pulled on demand: nothing is asked for that no `fetch` has room for."""

    def __init__(self, lane: Lane, durable: str, clock: Clock) -> None:
        self.name, self._durable, self._clock = lane, durable, clock
        self.filters = tuple(PREFIX + subject_of(pattern) for pattern in LANES[lane])
        self.generation = 0
        self.info: ConsumerInfo | None = None
        self.purged = 0
        self._buffer: deque[Delivery] = deque()
        self._news = asyncio.Event()
        self._asked = 0
        self._asked_until = 0.0
        self._highest = self._seen_upto = 0
        self._lost = False
        self._subscription: Subscription | None = None
        self._inbox = ""

    async def resume(self, client: Nats, js: JetStreamContext, *, new_stream: bool) -> None:
        """Make the consumer where it is missing and go back to its first message without an acknowledgement.

        Without this, what a crashed core had fetched would come only after ACK_WAIT_S, out of order.
        """
        if new_stream:
            self._highest = self._seen_upto = 0
        self.generation = next(_generations)
        self._buffer.clear()
        self._asked, self._lost, self.purged = 0, False, 0
        if self._subscription is not None:
            with contextlib.suppress(nats.errors.Error):
                await self._subscription.unsubscribe()
        self._inbox = client.new_inbox()
        self._subscription = await client.subscribe(
            self._inbox,
            cb=partial(self._take, self.generation),
            pending_msgs_limit=0,
            pending_bytes_limit=0,
        )
        config = ConsumerConfig(
            name=self._durable,
            durable_name=self._durable,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=MAX_ACK_PENDING,
            filter_subjects=list(self.filters),
        )
        info = await js.add_consumer(STREAM, config)
        self._seen_upto = max(self._highest, info.delivered.stream_seq if info.delivered else 0)
        if info.num_ack_pending:
            info = (await js.reset_consumer(STREAM, self._durable)).info
        self.info = info

    async def fetch(self, client: Nats, limit: int, timeout_s: float) -> list[Delivery]:
        """Messages at once where there are any, else the first that comes."""
        if not self._buffer and self._open_pulls() == 0:
            await self._pull(client, limit, None)
            await self._wait(timeout_s, lambda: self._asked == 0)
        if not self._buffer and not self._lost:
            if self._open_pulls() == 0:
                await self._pull(client, limit, PULL_S)
            await self._wait(timeout_s, lambda: bool(self._buffer))
        if self._lost:
            raise Retryable(f"bus: the {self.name} consumer is gone")
        return [self._buffer.popleft() for _ in range(min(limit, len(self._buffer)))]

    def forget(self) -> None:
        """The connection is gone, and with it what was asked for and what was not yet handed out."""
        self._lost = True
        self._buffer.clear()
        self._asked = 0
        self._news.set()

    async def refresh(self, js: JetStreamContext) -> None:
        """Ask the server how far the consumer is."""
        self.info = await js.consumer_info(STREAM, self._durable)

    @property
    def floor(self) -> int:
        """Every message of this lane up to this place in the stream is acknowledged."""
        if self.info is None or self.info.ack_floor is None:
            return 0
        return self.info.ack_floor.stream_seq

    @property
    def waiting(self) -> int:
        """Messages that are not yet acknowledged, as of the last look."""
        if self.info is None:
            return 0
        return (self.info.num_pending or 0) + (self.info.num_ack_pending or 0)

    def _open_pulls(self) -> int:
        if self._clock.monotonic() > self._asked_until:
            self._asked = 0
        return self._asked

    async def _pull(self, client: Nats, batch: int, expires_s: float | None) -> None:
        """Ask for messages; with `expires_s` None for what is there now and no more.

        The server ends a pull that it cannot fill with a status message; one that it fills has none.
        """
        request: dict[str, object] = {"batch": batch}
        if expires_s is None:
            request["no_wait"] = True
        else:
            request["expires"] = int(expires_s * 1e9)
        self._asked, self._asked_until = batch, self._clock.monotonic() + (expires_s or 0.0) + 2.0
        self._news.clear()
        await client.publish(
            f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{self._durable}", json.dumps(request).encode(), self._inbox
        )

    async def _wait(self, timeout_s: float, done: Callable[[], bool]) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not (done() or self._lost):
                    self._news.clear()
                    await self._news.wait()

    async def _take(self, generation: int, msg: Msg) -> None:
        if generation != self.generation:
            return
        status = msg.headers.get("Status") if msg.headers else None
        if status is None or msg.subject.startswith(PREFIX):
            self._asked = max(0, self._asked - 1)
            self._buffer.append(self._delivery(msg))
        elif status == "503" or (status == "409" and "Deleted" in str(msg.headers)):
            self._lost = True
        elif status != "100":
            self._asked = 0
        self._news.set()

    def _delivery(self, msg: Msg) -> Delivery:
        # $JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<deliveries>.<place in the stream>.…
        parts = msg.reply.split(".")
        first = 4 if len(parts) == 9 else 6
        delivered, place = int(parts[first]), int(parts[first + 1])
        self._highest = max(self._highest, place)
        return Delivery(
            topic_of(msg.subject.removeprefix(PREFIX)),
            msg.data,
            _Token(self.name, msg.reply, self.generation),
            redelivered=delivered > 1 or place <= self._seen_upto,
        )
