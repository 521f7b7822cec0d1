"""Commands to edges, and their replies: a reply belongs to a command by its id, and it may get several."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import orjson

from gateway.codec import BadMessage, Topic, decode_object
from gateway.codec.signed import sign
from gateway.errors import Retryable
from gateway.ports import Clock, Delivery

log = logging.getLogger(__name__)

AGAIN_S = 1.0
"""A greeting is repeated after so long: the first may go out before the subscription is there."""


class Wire(Protocol):
    """What is needed of a bus."""

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Raises Retryable."""

    def watch(self, pattern: str) -> AsyncIterator[Delivery]:
        """New messages, for as long as it is iterated."""


class EdgeCalls:
    """key_of: the key of an edge; commands that change something are signed with it."""

    def __init__(self, wire: Wire, key_of: Callable[[str], bytes], clock: Clock) -> None:
        self._wire, self._key_of, self._clock = wire, key_of, clock
        self._waiting: dict[str, asyncio.Queue[dict[str, Any]]] = {}

    async def run(self) -> None:
        """Listen for replies until cancelled."""
        while True:
            try:
                async for d in self._wire.watch("steward/v1/+/+/reply"):
                    self._heard(d)
            except Retryable as e:
                log.debug("replies cannot be heard: %s", e)
            await self._clock.sleep_real(AGAIN_S)

    def _heard(self, d: Delivery) -> None:
        try:
            body = decode_object(d.payload)
            gateway = Topic.parse(d.topic).gateway
        except BadMessage as e:
            log.warning("reply refused topic=%s cause=%r", d.topic, str(e))
            return
        queue = self._waiting.get(f"{gateway} {body.get('id')}")
        if queue is not None:
            queue.put_nowait(body)

    @contextmanager
    def replies(self, gateway: str, id_: str) -> Iterator[asyncio.Queue[dict[str, Any]]]:
        """Every reply of the edge to the command `id_` while the block runs."""
        name = f"{gateway} {id_}"
        queue = self._waiting.setdefault(name, asyncio.Queue())
        try:
            yield queue
        finally:
            self._waiting.pop(name, None)

    async def send(self, estate: str, gateway: str, body: Mapping[str, Any], *, signed: bool) -> None:
        """Raises Retryable."""
        whole = sign(self._key_of(gateway), body) if signed else body
        await self._wire.publish(str(Topic(estate, gateway, "cmd")), orjson.dumps(whole))

    async def call(
        self, estate: str, gateway: str, body: Mapping[str, Any], timeout_s: float, *, signed: bool
    ) -> dict[str, Any]:
        """The first reply. Raises Retryable when there is none in time: then nobody knows its effect."""
        with self.replies(gateway, str(body["id"])) as queue:
            await self.send(estate, gateway, body, signed=signed)
            try:
                async with asyncio.timeout(timeout_s):
                    return await queue.get()
            except TimeoutError as e:
                raise Retryable(f"edge {gateway} has not answered within {timeout_s:g} s") from e

    async def greet(self, estate: str, gateway: str, timeout_s: float = 10.0) -> str:
        """The edge's present boot. Raises Retryable when it is not there."""
        id_ = secrets.token_hex(8)
        with self.replies(gateway, id_) as queue:
            end = self._clock.monotonic() + timeout_s
            while self._clock.monotonic() < end:
                await self.send(estate, gateway, {"cmd": "table", "tab": "", "id": id_}, signed=False)
                try:
                    async with asyncio.timeout(AGAIN_S):
                        return str((await queue.get()).get("boot"))
                except TimeoutError:
                    continue
        raise Retryable(f"edge {gateway} does not answer; is it online?")
