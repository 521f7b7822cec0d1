"""The core's bus on any MQTT 3.1.1 broker (Mosquitto, EMQX): two persistent sessions, one per lane.

paho acknowledges by hand here, after the core's commit; aiomqtt acknowledges on receipt and would lose what
a crash interrupts. A lane gets at most the broker's in-flight window of unacknowledged messages at a time
(Mosquitto: `max_inflight_messages`, 20 unless set), and a broker drops what exceeds its queue while the core
is away (`max_queued_messages`, 1000 unless set): docs/adr/0002-broker.md has the settings.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from gateway.adapters.broker_lanes import LANES, Lane
from gateway.adapters.broker_probe import accepts
from gateway.adapters.mqtt_side import KEEPALIVE_S, MqttAddress, MqttSide
from gateway.codec import ROOT
from gateway.errors import Retryable
from gateway.ports import Clock, Delivery

log = logging.getLogger(__name__)

OPEN_S = 10.0
FLUSH_S = 2.0
NOTHING = f"{ROOT}/-/-/nothing"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class _Token:
    """What acknowledges a message; worth nothing after a reconnect, when packet numbers are given anew."""

    lane: Lane
    mid: int
    qos: int
    connection: int


class _Session:
    """One persistent session with its own network thread."""

    def __init__(self, lane: Lane, address: MqttAddress, identifier: str) -> None:
        self.lane, self._address = lane, address
        self.connection = 0
        self.connections = 0
        self._wire = 0  # the number of the connection, set in paho's thread, ahead of the loop
        self.up = False
        self.refused = ""
        self._loop = asyncio.get_running_loop()
        self._buffer: deque[Delivery] = deque()
        self._news = asyncio.Event()
        self._flushed = asyncio.Event()
        self._closing = False
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=identifier,
            clean_session=False,
            protocol=paho.MQTTv311,
            manual_ack=True,
        )
        if address.user:
            self._client.username_pw_set(address.user, address.password)
        if address.tls is not None:
            self._client.tls_set_context(address.tls)
        self._client.reconnect_delay_set(1, 5)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_unsubscribe = lambda *_: self._post(self._flushed.set)
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect in the background, again and again."""
        self._client.connect_async(self._address.host, self._address.port, keepalive=KEEPALIVE_S)
        self._client.loop_start()

    async def stop(self) -> None:
        """Disconnect after the broker has read every acknowledgement. It keeps the session and its messages.

        A broker may drop what it has not read when the connection closes; UNSUBACK proves that it has.
        """
        self._closing = True
        if self.up:
            self._flushed.clear()
            self._client.unsubscribe(NOTHING)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._flushed.wait(), FLUSH_S)
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)
        self.up = False

    async def wait_up(self) -> None:
        """Until connected and subscribed."""
        while not self.up:
            self._news.clear()
            await self._news.wait()

    async def fetch(self, limit: int, timeout_s: float) -> list[Delivery]:
        """What is there, else the first that comes."""
        if not self._buffer:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    while not self._buffer and self.up:
                        self._news.clear()
                        await self._news.wait()
        if not self.up:
            raise Retryable(f"bus: {self.lane}: no connection to {self._address.host}:{self._address.port}")
        return [self._buffer.popleft() for _ in range(min(limit, len(self._buffer)))]

    def ack(self, token: _Token) -> None:
        """PUBACK; an old connection's is dropped, its message comes again."""
        if token.connection == self._wire and token.qos > 0:
            self._client.ack(token.mid, token.qos)

    @property
    def waiting(self) -> int:
        """Received and not yet fetched; what the broker still holds cannot be known by MQTT."""
        return len(self._buffer)

    # The callbacks below run in paho's thread and only hand over to the loop.

    def _on_connect(
        self, client: paho.Client, userdata: Any, flags: paho.ConnectFlags, reason: Any, properties: Any
    ) -> None:
        if reason.is_failure:
            self._post(self._fail, str(reason))
            return
        self._wire = next(_numbers)
        self._post(self._began, self._wire)
        client.subscribe([(pattern, 1) for pattern in LANES[self.lane]])

    def _on_subscribe(
        self, client: paho.Client, userdata: Any, mid: int, reasons: Any, properties: Any
    ) -> None:
        refused = [str(r) for r in reasons if r.is_failure]
        if refused:
            self._post(self._fail, f"subscription refused: {refused[0]}")
        else:
            self._post(self._ready)

    def _on_disconnect(
        self, client: paho.Client, userdata: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        self._post(self._fail, str(reason))

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        self._post(self._take, message)

    def _post(self, call: Any, *args: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is left to hear it
            self._loop.call_soon_threadsafe(call, *args)

    # And these in the loop, in the order in which they were posted.

    def _began(self, connection: int) -> None:
        self.connection = connection
        self.connections += 1
        self._buffer.clear()

    def _ready(self) -> None:
        if self.refused:
            log.info("bus: %s: connected again", self.lane)
        self.up, self.refused = True, ""
        self._news.set()

    def _fail(self, why: str) -> None:
        if not self.refused and not self._closing:
            log.warning("bus: %s: connection lost, will keep trying: %s", self.lane, why)
        self.up, self.refused = False, why
        self._buffer.clear()
        self._news.set()

    def _take(self, message: paho.MQTTMessage) -> None:
        token = _Token(self.lane, message.mid, message.qos, self.connection)
        self._buffer.append(Delivery(message.topic, bytes(message.payload), token, redelivered=message.dup))
        self._news.set()


class MqttBus:
    """`Bus` on a plain broker.

    name: the client ids are `<name>-event` and `<name>-data`; the broker knows the sessions by them, so that
    they stay the same, and one process at a time uses them.
    """

    def __init__(self, address: MqttAddress, clock: Clock, *, name: str = "core") -> None:
        self._address, self._name = address, name
        self._side = MqttSide(address, clock, name)
        self._sessions: dict[Lane, _Session] = {}

    async def open(self) -> None:
        """Connect and subscribe. Raises Retryable."""
        if self._sessions:
            return
        if not await accepts(self._address.host, self._address.port):
            raise Retryable(f"no broker at {self._address.host}:{self._address.port}")
        self._sessions = {lane: _Session(lane, self._address, f"{self._name}-{lane}") for lane in LANES}
        try:
            for session in self._sessions.values():
                session.start()
            async with asyncio.timeout(OPEN_S):
                for session in self._sessions.values():
                    await session.wait_up()
            await self._side.open(OPEN_S)
        except TimeoutError as e:
            why = next((s.refused for s in self._sessions.values() if s.refused), "no answer")
            await self.close()
            raise Retryable(f"no connection to {self._address.host}:{self._address.port}: {why}") from e
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect; what was not acknowledged comes again."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.stop()
        await self._side.close()

    async def fetch(self, lane: Lane, limit: int, timeout_s: float) -> list[Delivery]:
        """Up to `limit` messages; empty after `timeout_s` real seconds. Raises Retryable when cut off."""
        session = self._sessions.get(lane)
        if session is None:
            raise Retryable("bus: not open")
        return await session.fetch(limit, timeout_s)

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """They are committed. Never raises: an acknowledgement that is lost brings the message again."""
        for delivery in deliveries:
            session = self._sessions.get(delivery.token.lane)
            if session is not None:
                session.ack(delivery.token)

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """QoS 1, after the PUBACK. Raises Retryable."""
        await self._side.publish(topic, payload, retain=retain)

    def watch(self, pattern: str) -> AsyncIterator[Delivery]:
        """Retained and new messages; see MqttSide.watch."""
        return self._side.watch(pattern)

    def health(self) -> Mapping[str, float]:
        """connected, mqtt_connected 0/1; waiting_event, waiting_data, waiting; reconnects.

        Waiting: received and not fetched. A plain broker does not say how full it is: fill is 0.
        """
        sessions = self._sessions
        waits = {f"waiting_{lane}": float(session.waiting) for lane, session in sessions.items()}
        again = sum(max(0, session.connections - 1) for session in sessions.values())
        return {
            "connected": float(bool(sessions) and all(s.up for s in sessions.values())),
            "mqtt_connected": float(self._side.connected),
            "waiting": sum(waits.values()),
            "fill": 0.0,
            "reconnects": float(again + self._side.reconnects),
            **waits,
        }
