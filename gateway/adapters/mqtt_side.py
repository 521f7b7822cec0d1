"""One MQTT connection of the core for what needs no durable hand-over: publish at QoS 1, and watch.

Used beside the JetStream consumers too: what enters a NATS server natively reaches MQTT clients at QoS 0
only. aiomqtt loses messages when one client object is entered twice, so that every connection is a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

import aiomqtt

from gateway.adapters.broker_lanes import matches
from gateway.adapters.broker_tasks import end as end_task
from gateway.adapters.tls import client_context
from gateway.errors import BadInput, Retryable
from gateway.ports import Clock, Delivery

log = logging.getLogger(__name__)

BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
TIMEOUT_S = 10.0
KEEPALIVE_S = 15


@dataclass(frozen=True)
class MqttAddress:
    """Where and as whom to connect; `tls` None: plain. ca: file with the certificates that `tls` trusts."""

    host: str
    port: int = 1883
    user: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)
    ca: str = ""

    @classmethod
    def trusting(cls, ca: str, host: str, port: int, user: str, password: str) -> MqttAddress:
        """With TLS and the certificates of that file; plain when there is none ("")."""
        return cls(host, port, user, password, client_context(ca) if ca else None, ca)

    @classmethod
    def parse(cls, url: str) -> MqttAddress:
        """`mqtt://user:password@host:1883` or `mqtts://…` (8883).

        mqtts trusts the certificates of the file that STEWARD_CA names, else the system's. Raises BadInput.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as e:
            raise BadInput(f"broker address {url!r}: {e}") from e
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise BadInput(f"broker address {url!r} is not mqtt://host:port or mqtts://host:port")
        secure = parts.scheme == "mqtts"
        return cls(
            parts.hostname,
            port or (8883 if secure else 1883),
            unquote(parts.username or ""),
            unquote(parts.password or ""),
            client_context() if secure else None,
        )

    @property
    def url(self) -> str:
        """What `parse` reads, password included."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        return f"{'mqtts' if self.tls else 'mqtt'}://{login}{self.host}:{self.port}"

    def client(self, identifier: str) -> aiomqtt.Client:
        """A client for one connection."""
        return aiomqtt.Client(
            self.host,
            self.port,
            username=self.user or None,
            password=self.password or None,
            identifier=identifier,
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True,
            timeout=TIMEOUT_S,
            keepalive=KEEPALIVE_S,
            tls_context=self.tls,
        )


@dataclass(eq=False)
class _Watch:
    pattern: str
    queue: asyncio.Queue[Delivery] = field(default_factory=asyncio.Queue)


@dataclass(eq=False, frozen=True)
class _Link:
    """One connection; aiomqtt itself lets a publish wait for its time-out when the connection is lost."""

    client: aiomqtt.Client
    lost: asyncio.Future[None]


class MqttSide:
    """The connection. Reconnects by itself and subscribes again to everything that is watched."""

    def __init__(self, address: MqttAddress, clock: Clock, name: str = "core") -> None:
        self._address, self._clock = address, clock
        self._identifier = f"{name}-{secrets.token_hex(4)}"
        self._watches: list[_Watch] = []
        self._link: _Link | None = None
        self._up = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connections = 0

    async def open(self, timeout_s: float = TIMEOUT_S) -> None:
        """Connect. Raises Retryable when that takes longer than `timeout_s`; idempotent."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="mqtt.side")
        try:
            await asyncio.wait_for(self._up.wait(), timeout_s)
        except TimeoutError as e:
            await self.close()
            where = f"{self._address.host}:{self._address.port}"
            raise Retryable(f"no MQTT connection to {where} within {timeout_s:g} s") from e

    async def close(self) -> None:
        """Disconnect; idempotent."""
        task, self._task = self._task, None
        await end_task(task)

    @property
    def connected(self) -> bool:
        """True between CONNACK and loss."""
        return self._up.is_set()

    @property
    def reconnects(self) -> int:
        """Connections after the first."""
        return max(0, self._connections - 1)

    async def publish(
        self, topic: str, payload: bytes, *, retain: bool = False, qos: Literal[0, 1] = 1
    ) -> None:
        """Returns after the PUBACK (QoS 1). Raises Retryable, at once when the connection is lost."""
        link = self._link
        if link is None:
            raise Retryable(f"publish {topic}: no MQTT connection")
        sending = asyncio.ensure_future(link.client.publish(topic, payload, qos=qos, retain=retain))
        try:
            await asyncio.wait((sending, link.lost), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise Retryable(f"publish {topic}: connection lost before the broker confirmed it")
            await sending
        except aiomqtt.MqttError as e:
            raise Retryable(f"publish {topic}: {e}") from e
        finally:
            sending.cancel()

    async def watch(self, pattern: str) -> AsyncIterator[Delivery]:
        """Retained messages and new ones, for as long as it is iterated; survives reconnects.

        After a reconnect retained messages come again; what was published meanwhile and not retained is
        lost. Where watched patterns overlap, a message may come more than once.
        """
        mine = _Watch(pattern)
        self._watches.append(mine)
        try:
            await self._subscribe(mine)
            while True:
                yield await mine.queue.get()
        finally:
            self._watches.remove(mine)
            await self._unsubscribe(pattern)

    async def _subscribe(self, watch: _Watch) -> None:
        link = self._link
        if link is None:
            return  # the next connection subscribes to everything that is watched
        with contextlib.suppress(aiomqtt.MqttError):
            granted = await link.client.subscribe(watch.pattern, qos=1)
            if any((code if isinstance(code, int) else code.value) >= 0x80 for code in granted):
                log.warning("mqtt: subscription to %s refused; check the user's rights", watch.pattern)

    async def _unsubscribe(self, pattern: str) -> None:
        link = self._link
        if link is not None and all(w.pattern != pattern for w in self._watches):
            with contextlib.suppress(aiomqtt.MqttError):
                await link.client.unsubscribe(pattern)

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                async with self._address.client(self._identifier) as client:
                    if failures:
                        log.info("mqtt: connected again after %d tries", failures)
                    failures = 0
                    await self._serve(client)
            except aiomqtt.MqttError as e:
                if failures == 0:
                    log.warning("mqtt: connection lost, will keep trying: %s", e)
            await self._clock.sleep_real(BACKOFF_S[min(failures, len(BACKOFF_S) - 1)])
            failures += 1

    async def _serve(self, client: aiomqtt.Client) -> None:
        lost = asyncio.get_running_loop().create_future()
        self._link = _Link(client, lost)
        self._connections += 1
        try:
            for watch in list(self._watches):
                await self._subscribe(watch)
            self._up.set()
            async for message in client.messages:
                self._hand_out(message)
        finally:
            self._link = None
            self._up.clear()
            lost.set_result(None)

    def _hand_out(self, message: aiomqtt.Message) -> None:
        topic, payload = str(message.topic), message.payload
        if not isinstance(payload, bytes):
            return
        for watch in self._watches:
            if matches(watch.pattern, topic):
                watch.queue.put_nowait(Delivery(topic, payload))
