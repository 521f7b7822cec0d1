"""The edge's MQTT 3.1.1 connection on paho-mqtt: its own thread, its own in-flight window, its last will.

PUBACK only frees the window: a broker acknowledges a publish that its access list forbids. What counts is
the core's receipt, and the outbox waits for that. Nothing survives a connection inside this class, so the
client of each connection is a new one with a clean session.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from gateway.adapters.tls import client_context

log = logging.getLogger(__name__)

BACK_OFF_S = (0.1, 5.0)
CONNECT_S = 5.0


@dataclass(frozen=True, slots=True)
class Tls:
    """Files in PEM form; `ca` empty: those that STEWARD_CA names, else the system's.

    They are read for each connection, so that new ones count from the next one on.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""

    def context(self) -> ssl.SSLContext:
        """Server certificates are always checked."""
        context = client_context(self.ca)
        if self.cert:
            context.load_cert_chain(self.cert, self.key or None)
        return context


class PahoUplink:
    """`will` gives topic and payload of the last will of the next connection; it is retained.

    However `run` ends, the will is what stays: when it is cancelled it is published before disconnecting.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        client_id: str,
        subscribe: Sequence[str],
        will: Callable[[], tuple[str, bytes]],
        username: str = "",
        password: str = "",
        tls: Tls | None = None,
        keepalive_s: int = 15,
        window: int = 100,
    ) -> None:
        self._host, self._port, self._client_id = host, port, client_id
        self._subscribe, self._will = tuple(subscribe), will
        self._username, self._password, self._tls = username, password, tls
        self._keepalive, self._window = keepalive_s, window
        self._client: mqtt.Client | None = None
        self._session: _Session
        self._failures = 0
        self._pause = BACK_OFF_S[0]

    @property
    def connected(self) -> bool:
        """True between CONNACK and loss."""
        return self._client is not None

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """One QoS 1 publish; False when the window is full or the link is down."""
        client = self._client
        if client is None:
            return False
        if self._session.taken - self._session.freed >= self._window:
            return False
        info = client.publish(topic, payload, qos=1, retain=retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        self._session.taken += 1
        return True

    async def run(self, on_message: Callable[[str, bytes], None], on_state: Callable[[bool], None]) -> None:
        """Stay connected until cancelled; callbacks arrive on the event loop."""
        while True:
            session = _Session(asyncio.get_running_loop())
            client = self._make(session, on_message)
            will = self._last_will(client)
            try:
                if await self._connect(client, session):
                    await self._stay(client, session, on_state)
            except asyncio.CancelledError:
                await self._leave(client, will)
                raise
            finally:
                self._client = None
                await asyncio.to_thread(_end, client)
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, BACK_OFF_S[1])

    # ── one connection ────────────────────────────────────────────────────────────────────────────

    def _make(self, session: _Session, on_message: Callable[[str, bytes], None]) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, self._client_id, clean_session=True, reconnect_on_failure=False
        )
        client.max_inflight_messages_set(self._window)
        client.connect_timeout = CONNECT_S
        if self._username:
            client.username_pw_set(self._username, self._password)
        if self._tls is not None:
            client.tls_set_context(self._tls.context())

        def connected(_c: Any, _u: Any, _f: Any, reason: ReasonCode, _p: Any) -> None:
            if reason.is_failure:
                session.end(f"refused: {reason}")
                return
            for topic in self._subscribe:
                client.subscribe(topic, qos=1)
            if not self._subscribe:
                session.call(session.ready.set)

        def subscribed(_c: Any, _u: Any, _mid: int, reasons: list[ReasonCode], _p: Any) -> None:
            if any(r.is_failure for r in reasons):
                session.end("the broker refused a subscription; check its access list")
            session.subscribed += 1
            if session.subscribed == len(self._subscribe):
                session.call(session.ready.set)

        def message(_c: Any, _u: Any, m: mqtt.MQTTMessage) -> None:
            session.call(on_message, m.topic, bytes(m.payload))

        client.on_connect = connected
        client.on_subscribe = subscribed
        client.on_message = message
        client.on_publish = lambda *_: session.free()
        client.on_disconnect = lambda _c, _u, _f, reason, _p: session.end(str(reason))
        return client

    def _last_will(self, client: mqtt.Client) -> tuple[str, bytes]:
        topic, payload = self._will()
        client.will_set(topic, payload, qos=1, retain=True)
        return topic, payload

    async def _connect(self, client: mqtt.Client, session: _Session) -> bool:
        """TCP, CONNACK and subscriptions; False with one log line for a series of failures."""
        try:
            await asyncio.to_thread(client.connect, self._host, self._port, self._keepalive)
            client.loop_start()
            async with asyncio.timeout(CONNECT_S):
                await session.either()
        except (OSError, TimeoutError, ValueError) as e:
            session.reason = session.reason or str(e) or type(e).__name__
        if session.ready.is_set() and not session.over.is_set():
            return True
        self._failures += 1
        if self._failures == 1:
            log.warning(
                "broker not reached address=%s:%d cause=%r; trying again until it answers",
                self._host, self._port, session.reason,
            )  # fmt: skip
        return False

    async def _stay(self, client: mqtt.Client, session: _Session, on_state: Callable[[bool], None]) -> None:
        log.info("broker connected address=%s:%d failures=%d", self._host, self._port, self._failures)
        self._failures, self._pause = 0, BACK_OFF_S[0]
        self._client, self._session = client, session
        on_state(True)
        try:
            await session.over.wait()
        finally:
            self._client = None
            on_state(False)
        log.warning("broker lost address=%s:%d cause=%r", self._host, self._port, session.reason)

    async def _leave(self, client: mqtt.Client, will: tuple[str, bytes]) -> None:
        """A clean end: the broker sends no will then, so it is said here."""
        if not client.is_connected():
            return
        info = client.publish(will[0], will[1], qos=1, retain=True)
        await asyncio.to_thread(_wait, info)
        client.disconnect()


class _Session:
    """What the client's thread tells the event loop about one connection.

    taken is written by the event loop alone and freed by the client's thread alone: a lock here would
    deadlock, because paho calls back while it holds the mutex that its publish needs.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.ready, self.over = asyncio.Event(), asyncio.Event()
        self.subscribed = self.taken = self.freed = 0
        self.reason = ""

    def call(self, function: Callable[..., Any], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            log.debug("the event loop is closed; a late callback is dropped")

    def free(self) -> None:
        self.freed += 1

    def end(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.call(self.over.set)

    async def either(self) -> None:
        """Until it is ready or over."""
        waits = [asyncio.ensure_future(self.ready.wait()), asyncio.ensure_future(self.over.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for w in waits:
                w.cancel()


def _wait(info: mqtt.MQTTMessageInfo) -> None:
    try:
        info.wait_for_publish(1.0)
    except (RuntimeError, ValueError) as e:
        log.debug("the last will could not be said: %s", e)


def _end(client: mqtt.Client) -> None:
    """Close the socket and join the thread."""
    client.disconnect()
    # paho clears its thread when that ends, also between loop_stop's own check and its join.
    with contextlib.suppress(AttributeError):
        client.loop_stop()
