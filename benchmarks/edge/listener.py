"""The subscriber that judges: what arrived at the broker, how many bytes it took, and whether it is true."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import orjson
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.edge.truth import belongs, register_at, word
from gateway.codec import Account, Ack, BadMessage, Data, EventMessage, PointTable, Topic
from gateway.model import Level

RECEIPTS_S = 0.05
"""Pace of receipts, as a core commits."""
FOREIGN = -1
Publish = Callable[[str, bytes], None]


@dataclass(slots=True)
class Counts:
    """Since the start. bytes: whole PUBLISH packets · points: believed values, repeated ones not counted."""

    messages: int = 0
    bytes: int = 0
    points: int = 0
    wrong: int = 0
    doubled: int = 0

    def since(self, before: Counts) -> Counts:
        """What was added."""
        return Counts(
            self.messages - before.messages, self.bytes - before.bytes, self.points - before.points,
            self.wrong - before.wrong, self.doubled - before.doubled,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Heard:
    """One delivery of readings. key: the same when it comes twice, None where the client says nothing."""

    points: int
    wrong: int
    key: Hashable = None


class Decoder(Protocol):
    """One client's way of writing messages."""

    @property
    def topics(self) -> tuple[str, ...]:
        """What to subscribe to."""

    def decode(self, topic: str, payload: bytes) -> Iterator[Heard]:
        """The readings of a message; nothing for what is none."""

    def answer(self, publish: Publish, topic: str, payload: bytes) -> None:
        """What the other side of this client would say to it."""

    def receipts(self) -> list[tuple[str, bytes]]:
        """What to say now; asked every RECEIPTS_S."""


class Silent:
    """Nobody answers this client."""

    def answer(self, publish: Publish, topic: str, payload: bytes) -> None:
        """Nothing."""

    def receipts(self) -> list[tuple[str, bytes]]:
        """None."""
        return []


class PerDevice(Silent):
    """`dev/{n}` or `modpoll/dev{n}/data`: {"ts"?: ms, "values"?: {"r{address}": value}}."""

    topics = ("dev/+", "modpoll/+/data")

    def decode(self, topic: str, payload: bytes) -> Iterator[Heard]:
        """One message of one device."""
        digits = "".join(c for c in topic if c.isdigit())
        body = orjson.loads(payload)
        values = body.get("values", body)
        if not digits or not isinstance(values, dict):
            return
        named = [(key, v) for key, v in values.items() if key[:1] == "r" and key[1:].isdigit()]
        key = (digits, body["ts"]) if "ts" in body else None
        yield _heard(int(digits), [(int(k[1:]), v) for k, v in named], key)


class ThingsBoard(Silent):
    """`v1/gateway/telemetry`: {"dev{n}": [{"ts": ms, "values": {"b{block}_{address}": value}}]}."""

    topics = ("v1/gateway/telemetry", "v1/devices/me/rpc/request/+")

    def decode(self, topic: str, payload: bytes) -> Iterator[Heard]:
        """All devices of a message."""
        if topic != "v1/gateway/telemetry":
            return
        for name, packs in orjson.loads(payload).items():
            for pack in packs:
                values = [(int(k.rpartition("_")[2]), v) for k, v in pack["values"].items()]
                yield _heard(int(name[3:]), values, (name, pack["ts"], values[0][0] if values else 0))

    def answer(self, publish: Publish, topic: str, payload: bytes) -> None:
        """The gateway asks for its limits before it sends anything: there are none."""
        if topic.startswith("v1/devices/me/rpc/request/"):
            free = {"messages": "", "telemetryMessages": "", "telemetryDataPoints": ""}
            limits = {
                "rateLimits": free, "gatewayRateLimits": free, "maxInflightMessages": 1000,
                "maxPayloadSize": 65536, "payloadType": "JSON",
            }  # fmt: skip
            number = topic.rpartition("/")[2]
            publish(f"v1/devices/me/rpc/response/{number}", orjson.dumps(limits))


class Steward(Silent):
    """Data, accounts and tables as `gateway.codec` reads them; receipts as a core sends them.

    account: the newest of every boot · down_bytes: of the receipts.
    """

    topics = tuple(
        f"steward/v1/+/+/{leaf}"
        for leaf in ("points/+", "data", "event", "account", "birth", "status", "reply")
    )

    def __init__(self) -> None:
        self._expected: dict[str, Any] = {}
        self._seen: dict[tuple[str, str, str, str], set[int]] = {}
        self._upto: Counter[tuple[str, str, str, str]] = Counter()
        self._told: Counter[tuple[str, str, str, str]] = Counter()
        self._waiting: dict[str, list[Data]] = {}
        self.account: dict[str, Account] = {}
        self.down_bytes = 0

    def decode(self, topic: str, payload: bytes) -> Iterator[Heard]:
        """Readings; a message whose table is not known yet waits for it."""
        try:
            place = Topic.parse(topic)
        except BadMessage:
            return
        if place.leaf == "points":
            yield from self._table(PointTable.decode(payload))
        elif place.leaf == "data":
            data = Data.decode(payload)
            yield from self._take(place, data, data.key(place.gateway))
        elif place.leaf == "account":
            account = Account.decode(payload)
            self.account[account.boot] = account
            self._note(place, account.boot, account.lane, account.seq)
        elif place.leaf == "event":
            event = EventMessage.decode(payload)
            self._note(place, event.boot, event.lane, event.seq)

    def _table(self, table: PointTable) -> Iterator[Heard]:
        self._expected[table.tab] = np.array([_expected(p.asset, p.tag) for p in table.points])
        for data in self._waiting.pop(table.tab, []):
            yield self._judge(data, None)

    def _take(self, place: Topic, data: Data, key: Hashable) -> Iterator[Heard]:
        self._note(place, data.boot, data.lane, data.seq)
        if data.tab in self._expected:
            yield self._judge(data, key)
        else:
            self._waiting.setdefault(data.tab, []).append(data)

    def _judge(self, data: Data, key: Hashable) -> Heard:
        expected = self._expected[data.tab][data.i]
        mine = (data.q >> 5 < Level.BAD) & (expected != FOREIGN)
        wrong = int((data.v[mine].astype(np.int64) >> 2 != expected[mine]).sum())
        return Heard(int(mine.sum()), wrong, key)

    def _note(self, place: Topic, boot: str, lane: str, seq: int) -> None:
        at = (place.estate, place.gateway, boot, lane)
        seen = self._seen.setdefault(at, set())
        if seq > self._upto[at]:
            seen.add(seq)
        while self._upto[at] + 1 in seen:
            self._upto[at] += 1
            seen.remove(self._upto[at])

    def receipts(self) -> list[tuple[str, bytes]]:
        """One for each lane that came further."""
        out = []
        for at, upto in self._upto.items():
            if upto > self._told[at]:
                estate, gateway, boot, lane = at
                topic, payload = str(Topic(estate, gateway, "ack")), Ack(boot, lane, upto).encode()
                self.down_bytes += packet_bytes(topic, payload)
                self._told[at] = upto
                out.append((topic, payload))
        return out

    @property
    def kept(self) -> int:
        """Points of the devices that the edge says it has read and will deliver."""
        devices = [d for account in self.account.values() for d in account.devices.items()]
        return sum(d.stored for name, d in devices if name.startswith("dev-"))

    @property
    def gaps(self) -> dict[str, int]:
        """Points of the devices that the edge says it did not get, by cause, since its start."""
        gaps: Counter[str] = Counter()
        for account in self.account.values():
            for name, device in account.devices.items():
                gaps.update(device.gaps if name.startswith("dev-") else {})
        return dict(gaps)

    def forget_told(self) -> None:
        """Send every receipt again: the broker may have lost the last ones."""
        self._told.clear()


def _expected(asset: str, tag: str) -> int:
    """What a point of `clients.profile_of_device` shows, without its count; FOREIGN: the edge's own."""
    found = re.fullmatch(r"d(\d+)/b(\d+)\.(\d+)", f"{asset}/{tag}")
    if found is None:
        return FOREIGN
    device, block, place = map(int, found.groups())
    return word(device, register_at(block + place - 1), 0) >> 2


def _heard(device: int, values: list[tuple[int, float]], key: Hashable) -> Heard:
    wrong = 0
    for address, value in values:
        try:
            wrong += not belongs(value, device, register_at(address))
        except (TypeError, ValueError):
            wrong += 1
    return Heard(len(values), wrong, key)


def packet_bytes(topic: str, payload: bytes) -> int:
    """A whole PUBLISH packet at QoS 1 (MQTT 3.1.1, 3.3): header, topic, packet id, payload."""
    rest = 2 + len(topic.encode()) + 2 + len(payload)
    return 1 + (1 if rest < 128 else 2 if rest < 16_384 else 3) + rest


class Listener:
    """Subscribed to what a client says, with a session that outlives the broker's restart."""

    def __init__(self, port: int, decoder: Decoder) -> None:
        self._decoder, self._port = decoder, port
        self._counts = Counts()
        self._keys: set[Hashable] = set()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "judge", clean_session=False)
        self._client.max_queued_messages_set(0)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._connected
        self._client.on_message = self._message
        self._beats = threading.Thread(target=self._beat, daemon=True)
        self.failed: list[str] = []

    def start(self) -> None:
        """Connect and listen in threads of its own."""
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        self._beats.start()

    def stop(self) -> None:
        """Disconnect."""
        self._stop.set()
        self._beats.join()
        self._client.disconnect()
        self._client.loop_stop()

    def snapshot(self) -> Counts:
        """The counts now."""
        with self._lock:
            c = self._counts
            return Counts(c.messages, c.bytes, c.points, c.wrong, c.doubled)

    def _connected(self, *_: object) -> None:
        for topic in self._decoder.topics:
            self._client.subscribe(topic, qos=1)
        if isinstance(self._decoder, Steward):
            self._decoder.forget_told()

    def _message(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        topic, payload = message.topic, bytes(message.payload)
        with self._lock:
            self._counts.messages += 1
            self._counts.bytes += packet_bytes(topic, payload)
            try:
                for heard in self._decoder.decode(topic, payload):
                    self._count(heard)
            except (ValueError, KeyError, TypeError, BadMessage) as e:
                self.failed.append(f"{topic}: {e!r:.200}")
        self._decoder.answer(self._publish, topic, payload)

    def _count(self, heard: Heard) -> None:
        if heard.key is not None and heard.key in self._keys:
            self._counts.doubled += heard.points
            return
        if heard.key is not None:
            self._keys.add(heard.key)
        self._counts.points += heard.points
        self._counts.wrong += heard.wrong

    def _publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1)

    def _beat(self) -> None:
        while not self._stop.wait(RECEIPTS_S):
            with self._lock:
                said = self._decoder.receipts()
            for topic, payload in said:
                self._publish(topic, payload)
