"""Messages between edge and core."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol


@dataclass(slots=True)
class Delivery:
    """One message from the bus; `token` belongs to the adapter."""

    topic: str
    payload: bytes
    token: Any = None
    redelivered: bool = False


class Bus(Protocol):
    """The core's side of the broker: durable intake with acknowledgement after commit, and plain publish.

    Everything under `…/event` is the event lane, `…/data`, `…/account`, `…/points/+` and
    `core/cmd` the telemetry lane. At least once: a message that was fetched but not acknowledged before a
    crash comes again. Order within one gateway's lane is kept except after a redelivery.
    """

    async def open(self) -> None:
        """Connect and make the durable consumers. Raises Retryable."""

    async def close(self) -> None:
        """Disconnect; what was not acknowledged comes again."""

    async def fetch(self, lane: Literal["event", "data"], limit: int, timeout_s: float) -> list[Delivery]:
        """Up to `limit` messages; empty after `timeout_s` real seconds. Raises Retryable when cut off."""

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """They are committed; the broker may forget them."""

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """QoS 1 to MQTT clients (receipts, commands, retained things). Raises Retryable."""

    async def watch(self, pattern: str) -> AsyncIterator[Delivery]:
        """Plain subscription for retained tables, births, status, replies (no durable hand-over)."""
        yield Delivery("", b"")

    def health(self) -> Mapping[str, float]:
        """Named figures: connected 0/1, waiting messages, stream fill share 0..1, reconnects."""


class Uplink(Protocol):
    """The edge's side of the broker: publishes from the outbox, hears receipts and commands."""

    async def run(self, on_message: Callable[[str, bytes], None], on_state: Callable[[bool], None]) -> None:
        """Stay connected until cancelled; callbacks arrive on the event loop."""

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Queue one QoS 1 publish; False when the in-flight window is full or the link is down."""

    @property
    def connected(self) -> bool:
        """True between CONNACK and loss."""
