"""The core's bus on NATS: two durable pull consumers on the stream behind MQTT, and an MQTT side.

MQTT topics are NATS subjects with other separators; `$MQTT.msgs.` before them makes the subjects of the
stream that the server fills before it sends a PUBACK. Messages are acknowledged after the core's commit;
what was not comes again, in order, as soon as the bus opens or reconnects.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

import nats.errors
from nats.aio.client import Client as Nats
from nats.js import JetStreamContext

from gateway.adapters.broker_lanes import LANES, Lane
from gateway.adapters.broker_probe import accepts
from gateway.adapters.broker_pull import PullLane, subject_of
from gateway.adapters.broker_stream import PREFIX, STREAM
from gateway.adapters.broker_tasks import end as end_task
from gateway.adapters.mqtt_side import MqttAddress, MqttSide
from gateway.codec import ROOT
from gateway.errors import Retryable
from gateway.ports import Clock, Delivery

log = logging.getLogger(__name__)

PASSING = tuple(f"{ROOT}/+/+/{leaf}" for leaf in ("ack", "birth", "status"))
"""Kept by the stream though no lane takes it; removed once both lanes are past it. Commands and replies stay
until they are too old, for edges that are away."""
KEEP_HOUSE_S = 5.0
OPEN_S = 10.0


class JetStreamBus:
    """`Bus` on a NATS server whose stream `$MQTT_msgs` has limits retention (the embedded broker's has).

    name: the durable consumers are `<name>-event` and `<name>-data`; one process at a time uses a name.
    """

    def __init__(
        self, url: str, user: str, password: str, mqtt: MqttAddress, clock: Clock, *, name: str = "core"
    ) -> None:
        self._url, self._user, self._password = url, user, password
        self._clock, self._name = clock, name
        self._mqtt_address = mqtt
        self._side = MqttSide(mqtt, clock, name)
        self._client: Nats | None = None
        self._lanes: dict[Lane, PullLane] = {}
        self._stale = False
        self._resuming = asyncio.Lock()
        self._house: asyncio.Task[None] | None = None
        self._reconnects = 0
        self._fill = 0.0
        self._floors: list[int] = []
        self._created: datetime | None = None
        self._trouble = ""

    async def open(self) -> None:
        """Connect and make the durable consumers. Raises Retryable."""
        if self._client is not None:
            return
        self._lanes = {lane: PullLane(lane, f"{self._name}-{lane}", self._clock) for lane in LANES}
        where = urlsplit(self._url)
        if not await accepts(where.hostname or "127.0.0.1", where.port or 4222):
            raise Retryable(f"no broker at {self._url}")
        self._client = Nats()
        try:
            async with asyncio.timeout(OPEN_S):
                await self._connect(self._client)
                self._stale = True
                await self._resume()
                await self._side.open(OPEN_S)
        except (OSError, nats.errors.Error, TimeoutError) as e:
            await self.close()
            why = self._trouble or e or type(e).__name__
            raise Retryable(f"no connection to the broker at {self._url}: {why}") from e
        except BaseException:
            await self.close()
            raise
        self._house = asyncio.create_task(self._keep_house(), name="bus.house")

    async def _connect(self, client: Nats) -> None:
        """The library tries for ever, also the first time; the caller sets the limit."""
        await client.connect(
            self._url,
            user=self._user,
            password=self._password,
            name=f"steward-{self._name}",
            connect_timeout=5,
            reconnect_time_wait=1,
            max_reconnect_attempts=-1,
            error_cb=self._on_error,
            disconnected_cb=self._on_loss,
            reconnected_cb=self._on_return,
        )

    async def close(self) -> None:
        """Disconnect; what was not acknowledged comes again."""
        client, self._client = self._client, None
        house, self._house = self._house, None
        await end_task(house)
        await self._side.close()
        if client is not None:
            with contextlib.suppress(nats.errors.Error, TimeoutError, OSError):
                await client.flush(timeout=2)
            await client.close()

    async def fetch(self, lane: Lane, limit: int, timeout_s: float) -> list[Delivery]:
        """Up to `limit` messages; empty after `timeout_s` real seconds. Raises Retryable when cut off."""
        client = self._connected()
        try:
            await self._resume()
            return await self._lanes[lane].fetch(client, limit, timeout_s)
        except (nats.errors.Error, TimeoutError) as e:
            self._stale = True
            raise Retryable(f"bus: {lane}: {e or type(e).__name__}") from e
        except Retryable:
            self._stale = True
            raise

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """They are committed. Never raises: an acknowledgement that is lost brings the message again."""
        client = self._client
        if client is None:
            return
        with contextlib.suppress(nats.errors.Error):
            for delivery in deliveries:
                token = delivery.token
                if token.generation == self._lanes[token.lane].generation:
                    await client.publish(token.reply, b"+ACK")

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """QoS 1 by MQTT, after the PUBACK. Raises Retryable."""
        await self._side.publish(topic, payload, retain=retain)

    def watch(self, pattern: str) -> AsyncIterator[Delivery]:
        """Retained and new messages; see MqttSide.watch."""
        return self._side.watch(pattern)

    def health(self) -> Mapping[str, float]:
        """connected, mqtt_connected 0/1; waiting_event, waiting_data, waiting; fill 0..1; reconnects."""
        waits = {f"waiting_{lane}": float(state.waiting) for lane, state in self._lanes.items()}
        return {
            "connected": float(self._client is not None and self._client.is_connected and not self._stale),
            "mqtt_connected": float(self._side.connected),
            "waiting": sum(waits.values()),
            "fill": self._fill,
            "reconnects": float(self._reconnects + self._side.reconnects),
            **waits,
        }

    def _connected(self) -> Nats:
        client = self._client
        if client is None or not client.is_connected:
            raise Retryable(f"bus: no connection to {self._url}")
        return client

    async def _resume(self) -> None:
        """After a first connect, a reconnect or a lost consumer. One at a time; the others wait for it."""
        if not self._stale:
            return
        async with self._resuming:
            if not self._stale:
                return
            client = self._connected()
            js = client.jetstream(timeout=10)
            created = (await js.stream_info(STREAM)).created
            for lane in self._lanes.values():
                await lane.resume(client, js, new_stream=created != self._created)
            self._created = created
            self._floors.clear()
            self._stale = False

    async def _on_error(self, error: Exception) -> None:
        self._trouble = str(error) or type(error).__name__
        log.debug("bus: %s", self._trouble)

    async def _on_loss(self) -> None:
        self._stale = True
        for lane in self._lanes.values():
            lane.forget()

    async def _on_return(self) -> None:
        self._reconnects += 1
        log.info("bus: connected to the broker again, reconnects=%d", self._reconnects)

    async def _keep_house(self) -> None:
        """Refresh the figures and give back the room of what is acknowledged."""
        failed = False
        while True:
            try:
                if not self._stale:
                    await self.look()
                failed = False
            except (nats.errors.Error, TimeoutError, Retryable) as e:
                if not failed:
                    log.warning("bus: no figures from the broker: %s", e or type(e).__name__)
                failed = True
            if self._client is None:
                return  # the client library may have swallowed the cancellation
            await self._clock.sleep_real(KEEP_HOUSE_S)

    async def look(self) -> None:
        """Ask the broker for the figures of `health()`, and free what is acknowledged; every few seconds.

        Raises Retryable and the client library's errors.
        """
        js = self._connected().jetstream(timeout=30)
        for lane in self._lanes.values():
            await lane.refresh(js)
            if lane.floor > lane.purged:
                for subject in lane.filters:
                    await js.purge_stream(STREAM, seq=lane.floor + 1, subject=subject)
                lane.purged = lane.floor
        await self._purge_passing(js)
        info = await js.stream_info(STREAM)
        limit = info.config.max_bytes or 0
        self._fill = info.state.bytes / limit if limit > 0 else 0.0

    async def _purge_passing(self, js: JetStreamContext) -> None:
        """One round late, so that connected clients have had them."""
        self._floors.append(max(lane.floor for lane in self._lanes.values()))
        if len(self._floors) < 3:
            return
        before = self._floors.pop(0)
        if before < self._floors[0]:
            for pattern in PASSING:
                await js.purge_stream(STREAM, seq=before + 1, subject=PREFIX + subject_of(pattern))
