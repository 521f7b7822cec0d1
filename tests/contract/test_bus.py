"""One suite for every bus: memory, JetStream on a real nats-server, plain MQTT on a real Mosquitto."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import aiomqtt
import pytest

from gateway.adapters.broker import EmbeddedBroker
from gateway.adapters.broker_files import choose_port
from gateway.adapters.broker_probe import accepts
from gateway.adapters.children import Child, Supervisor
from gateway.adapters.clock import SystemClock
from gateway.adapters.jetstream_bus import JetStreamBus
from gateway.adapters.memory_bus import MemoryBroker, MemoryBus, MemoryUplink
from gateway.adapters.mqtt_bus import MqttBus
from gateway.adapters.mqtt_side import MqttAddress
from gateway.errors import Retryable
from gateway.ports import Bus, Delivery, Uplink

OWN = "steward/v1/green-court/gw-1"
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


class Rig(Protocol):
    """A broker with one edge, whichever it is."""

    def bus(self) -> Bus: ...

    async def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish as the edge; returns after the PUBACK."""

    async def listen(self, topic: str) -> Callable[[], Awaitable[tuple[bytes, int]]]:
        """Subscribe as the edge; the call waits for the next (payload, QoS)."""


class MemoryRig:
    def __init__(self) -> None:
        self.broker = MemoryBroker()

    def bus(self) -> Bus:
        return MemoryBus(self.broker)

    async def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        assert self.broker.publish(topic, payload, retain=retain)

    async def listen(self, topic: str) -> Callable[[], Awaitable[tuple[bytes, int]]]:
        queue: asyncio.Queue[tuple[bytes, int]] = asyncio.Queue()
        self.broker.subscribe((topic,), lambda _, payload: queue.put_nowait((payload, 1)))
        return queue.get


class WireRig:
    """A real broker, with an MQTT client as the edge."""

    def __init__(self, make: Callable[[], Bus], edge: aiomqtt.Client) -> None:
        self._make, self._edge = make, edge

    def bus(self) -> Bus:
        return self._make()

    async def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        await self._edge.publish(topic, payload, qos=1, retain=retain)

    async def listen(self, topic: str) -> Callable[[], Awaitable[tuple[bytes, int]]]:
        await self._edge.subscribe(topic, qos=1)

        async def following() -> tuple[bytes, int]:
            message = await anext(self._edge.messages)
            assert isinstance(message.payload, bytes)
            return message.payload, message.qos

        return following


async def jetstream(folder: Path, stack: AsyncExitStack) -> Rig:
    clock = SystemClock()
    broker = await stack.enter_async_context(EmbeddedBroker(folder, clock, [("green-court", "gw-1")]))
    assert broker.self_test.ok, broker.self_test.detail
    edge = await stack.enter_async_context(broker.mqtt("gw-1").client("gw-1"))
    return WireRig(
        lambda: JetStreamBus(broker.nats_url, *broker.credentials("core"), broker.mqtt(), clock), edge
    )


async def mosquitto(folder: Path, stack: AsyncExitStack) -> Rig:
    if MOSQUITTO is None:
        pytest.skip("no mosquitto on this machine")
    clock, port = SystemClock(), choose_port("127.0.0.1")
    conf = folder / "mosquitto.conf"
    conf.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 500\nmax_queued_messages 0\n"
    )
    supervisor = await stack.enter_async_context(Supervisor())
    child = Child(
        "mosquitto",
        (MOSQUITTO, "-c", str(conf)),
        None,
        folder / "mosquitto.log",
        clock,
        ready=lambda: accepts("127.0.0.1", port),
    )
    await supervisor.start(child)
    address = MqttAddress("127.0.0.1", port)
    edge = await stack.enter_async_context(address.client("gw-1"))
    return WireRig(lambda: MqttBus(address, clock), edge)


async def memory(folder: Path, stack: AsyncExitStack) -> Rig:
    return MemoryRig()


@pytest.fixture(params=[memory, jetstream, pytest.param(mosquitto, marks=pytest.mark.mosquitto)])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        yield await request.param(tmp_path, stack)


@pytest.fixture
async def bus(rig: Rig) -> AsyncIterator[Bus]:
    bus = rig.bus()
    await bus.open()
    yield bus
    await bus.close()


async def drain(bus: Bus, count: int, lane: str = "data") -> list[Delivery]:
    """Exactly `count` messages, acknowledged."""
    got: list[Delivery] = []
    async with asyncio.timeout(20):
        while len(got) < count:
            batch = await bus.fetch("event" if lane == "event" else "data", count - len(got), 1.0)
            await bus.ack(batch)
            got += batch
    return got


async def test_every_message_comes_once_and_in_order(rig: Rig, bus: Bus) -> None:
    sent = [b"%d" % n for n in range(300)]
    for payload in sent:
        await rig.send(f"{OWN}/data", payload)

    got = await drain(bus, len(sent))

    assert [d.payload for d in got] == sent
    assert not any(d.redelivered for d in got)
    assert await bus.fetch("data", 10, 0.2) == []


async def test_each_lane_takes_its_own_topics_and_no_other(rig: Rig, bus: Bus) -> None:
    # The edge may not publish as the core; the bus itself may, and its commands come back on the data lane.
    for leaf in ("data", "account", "points/0123456789ab", "event", "birth", "status", "reply"):
        await rig.send(f"{OWN}/{leaf}", leaf.encode())
    await bus.publish("steward/v1/green-court/core/cmd", b"core/cmd")
    await bus.publish(f"{OWN}/cmd", b"cmd")
    await bus.publish(f"{OWN}/ack", b"ack")

    data, event = await drain(bus, 4), await drain(bus, 1, "event")

    assert [d.topic for d in event] == [f"{OWN}/event"]
    assert {(d.topic, d.payload) for d in data} == {
        (f"{OWN}/data", b"data"),
        (f"{OWN}/account", b"account"),
        (f"{OWN}/points/0123456789ab", b"points/0123456789ab"),
        ("steward/v1/green-court/core/cmd", b"core/cmd"),
    }
    assert await bus.fetch("data", 10, 0.2) == []
    assert await bus.fetch("event", 10, 0.2) == []


async def test_what_was_not_acknowledged_comes_again_in_order(rig: Rig) -> None:
    first = rig.bus()
    await first.open()
    for n in range(20):
        await rig.send(f"{OWN}/data", b"%d" % n)
    taken: list[Delivery] = []
    while len(taken) < 10:
        taken += await first.fetch("data", 10 - len(taken), 2.0)
    await first.ack(taken[:4])
    await first.close()

    second = rig.bus()
    await second.open()
    again = await drain(second, 16)
    nothing = await second.fetch("data", 10, 0.2)
    await second.close()

    assert [int(d.payload) for d in again] == list(range(4, 20))
    assert all(d.redelivered for d in again[:6])
    assert nothing == []


async def test_an_acknowledgement_of_an_earlier_connection_acknowledges_nothing(rig: Rig) -> None:
    first = rig.bus()
    await first.open()
    for n in range(3):
        await rig.send(f"{OWN}/data", b"%d" % n)
    old = await first.fetch("data", 1, 2.0)
    await first.close()

    second = rig.bus()
    await second.open()
    await second.ack(old)
    await second.close()
    third = rig.bus()
    await third.open()
    got = await drain(third, 3)
    await third.close()

    assert [d.payload for d in got] == [b"0", b"1", b"2"]


@pytest.mark.slow
async def test_killed_at_two_hundred_instants_nothing_is_lost_or_counted_twice(rig: Rig) -> None:
    """A core that applies each key once, and dies before its commit, after it, or amid acknowledging."""
    rng = random.Random(7)
    total, crashes, sent = 300, 0, 0
    effects: list[int] = []
    applied: set[int] = set()

    def commit(batch: list[Delivery]) -> None:
        fresh = [n for n in (int(d.payload) for d in batch) if n not in applied]
        applied.update(fresh)
        effects.extend(fresh)

    async with asyncio.timeout(150):
        while crashes < 200 or len(applied) < total:
            bus = rig.bus()
            await bus.open()
            for _ in range(2 if sent < total else 0):
                await rig.send(f"{OWN}/data", b"%d" % sent)
                sent += 1
            batch = await bus.fetch("data", rng.randint(1, 8), 0.3 if len(applied) < total else 0.01)
            instant = rng.randrange(4)
            if instant > 0:
                commit(batch)
            if instant > 1:
                await bus.ack(batch if instant == 3 else batch[: len(batch) // 2])
            crashes += instant < 3
            await bus.close()

    assert sorted(applied) == list(range(total))
    assert effects == sorted(effects), "a redelivery overtook an older message"


async def test_an_event_overtakes_a_backlog_that_nobody_has_read(rig: Rig, bus: Bus) -> None:
    for n in range(2_000):
        await rig.send(f"{OWN}/data", b"%d" % n)
    await bus.fetch("data", 100, 1.0)
    await rig.send(f"{OWN}/event", b"fire")

    async with asyncio.timeout(1.0):
        got = await bus.fetch("event", 10, 1.0)

    assert [d.payload for d in got] == [b"fire"]


async def test_what_the_core_publishes_reaches_an_mqtt_client_at_qos_1(rig: Rig, bus: Bus) -> None:
    following = await rig.listen(f"{OWN}/ack")

    await bus.publish(f"{OWN}/ack", b'{"upto":17}')

    async with asyncio.timeout(5):
        assert await following() == (b'{"upto":17}', 1)


async def test_a_late_watcher_gets_the_retained_message_and_then_the_new_ones(rig: Rig, bus: Bus) -> None:
    await rig.send(f"{OWN}/status", b"online", retain=True)
    await rig.send(f"{OWN}/birth", b"not watched", retain=True)
    watching = aiter(bus.watch("steward/v1/+/+/status"))

    async with asyncio.timeout(5):
        first = await anext(watching)
        await rig.send(f"{OWN}/status", b"offline", retain=True)
        second = await anext(watching)
    await watching.aclose()  # type: ignore[attr-defined]  # every adapter returns an async generator

    assert [(d.topic, d.payload) for d in (first, second)] == [
        (f"{OWN}/status", b"online"),
        (f"{OWN}/status", b"offline"),
    ]


async def test_an_empty_retained_message_deletes(rig: Rig, bus: Bus) -> None:
    await rig.send(f"{OWN}/status", b"online", retain=True)
    await rig.send(f"{OWN}/status", b"", retain=True)
    await rig.send("steward/v1/green-court/gw-1/birth", b"here", retain=True)
    watching = aiter(bus.watch(f"{OWN}/+"))

    async with asyncio.timeout(5):
        first = await anext(watching)
    await watching.aclose()  # type: ignore[attr-defined]  # every adapter returns an async generator

    assert first.payload == b"here"


async def test_health_names_the_figures_and_a_closed_bus_is_retryable(rig: Rig) -> None:
    bus = rig.bus()
    await bus.open()
    figures = bus.health()
    assert {"connected", "mqtt_connected", "waiting", "fill", "reconnects"} <= set(figures)
    assert figures["connected"] == 1.0
    assert 0.0 <= figures["fill"] < 0.01

    await bus.close()

    assert bus.health()["connected"] == 0.0
    with pytest.raises(Retryable):
        await bus.fetch("data", 1, 0.1)
    with pytest.raises(Retryable):
        await bus.publish(f"{OWN}/ack", b"x")


@pytest.mark.parametrize("kind", ["memory", "jetstream", "mqtt"])
async def test_without_a_broker_opening_is_retryable(kind: str) -> None:
    clock, port = SystemClock(), choose_port("127.0.0.1")
    address, dead = MqttAddress("127.0.0.1", port), MemoryBroker()
    dead.cut()
    buses: dict[str, Bus] = {
        "memory": MemoryBus(dead),
        "jetstream": JetStreamBus(f"nats://127.0.0.1:{port}", "core", "x", address, clock),
        "mqtt": MqttBus(address, clock),
    }
    bus = buses[kind]

    async with asyncio.timeout(5):
        with pytest.raises(Retryable):
            await bus.open()
        with pytest.raises(Retryable):
            await bus.open()
    assert bus.health()["connected"] == 0.0


async def test_a_watch_that_is_not_iterated_any_more_leaves_the_others_alone(rig: Rig, bus: Bus) -> None:
    await rig.send(f"{OWN}/status", b"1", retain=True)
    one, two = aiter(bus.watch(f"{OWN}/status")), aiter(bus.watch(f"{OWN}/status"))
    async with asyncio.timeout(5):
        await anext(one)
        await anext(two)
        await one.aclose()  # type: ignore[attr-defined]  # every adapter returns an async generator
        await rig.send(f"{OWN}/status", b"2", retain=True)
        payloads = [(await anext(two)).payload]
        while payloads[-1] != b"2":
            payloads.append((await anext(two)).payload)
    await two.aclose()  # type: ignore[attr-defined]  # every adapter returns an async generator

    assert set(payloads) <= {b"1", b"2"}


async def test_the_memory_uplink_keeps_to_its_rights_and_leaves_a_will() -> None:
    broker = MemoryBroker()
    bus = MemoryBus(broker)
    await bus.open()
    uplink: Uplink = MemoryUplink(broker, "green-court", "gw-1", will=(f"{OWN}/status", b"gone"))
    heard: list[tuple[str, bytes]] = []
    states: list[bool] = []
    running = asyncio.create_task(uplink.run(lambda t, p: heard.append((t, p)), states.append))
    await asyncio.sleep(0)

    assert uplink.publish(f"{OWN}/data", b"mine")
    assert uplink.publish("steward/v1/green-court/gw-2/data", b"foreign"), "brokers PUBACK what they forbid"
    await bus.publish(f"{OWN}/cmd", b"reload")
    await bus.publish("steward/v1/green-court/gw-2/cmd", b"not mine")
    got = await bus.fetch("data", 10, 0.01)
    broker.cut()
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert [d.payload for d in got] == [b"mine"]
    assert heard == [(f"{OWN}/cmd", b"reload")]
    assert states == [True, False]
    assert not uplink.publish(f"{OWN}/data", b"down")
    assert broker.retained[f"{OWN}/status"] == b"gone"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_full_memory_broker_takes_no_more_until_something_is_acknowledged() -> None:
    broker = MemoryBroker(capacity=2)
    bus = MemoryBus(broker)
    await bus.open()
    taken = [broker.publish(f"{OWN}/data", b"%d" % n) for n in range(3)]
    full = bus.health()["fill"]
    await bus.ack(await bus.fetch("data", 1, 0.1))

    assert taken == [True, True, False]
    assert full == 1.0
    assert broker.publish(f"{OWN}/data", b"3")
