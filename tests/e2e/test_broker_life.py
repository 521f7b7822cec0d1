"""The embedded broker with a real nats-server: first start, rights, crashes, adoption, loss of the store."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import socket
import stat
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiomqtt
import pytest
from nats.js.api import RetentionPolicy

from gateway.adapters.broker import EmbeddedBroker
from gateway.adapters.broker_files import BrokerAccess, BrokerState, Places
from gateway.adapters.broker_stream import PREFIX, STREAM, connected
from gateway.adapters.clock import SystemClock
from gateway.adapters.jetstream_bus import JetStreamBus
from gateway.adapters.mqtt_side import MqttAddress, MqttSide
from gateway.errors import BadInput, NotFound, Retryable
from gateway.ports import Clock, Delivery

EDGES = [("green-court", "gw-1"), ("green-court", "gw-2"), ("river-view", "gw-3")]
OWN = "steward/v1/green-court/gw-1"


@pytest.fixture
def clock() -> Clock:
    return SystemClock()


@pytest.fixture
async def broker(tmp_path: Path, clock: Clock) -> AsyncIterator[EmbeddedBroker]:
    async with EmbeddedBroker(tmp_path, clock, EDGES, check_s=0.1) as broker:
        yield broker


MADE: list[JetStreamBus] = []


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """A test that fails leaves no client behind that tries for ever to come back to its broker."""
    yield
    while MADE:
        await MADE.pop().close()


def bus_of(broker: EmbeddedBroker, clock: Clock) -> JetStreamBus:
    MADE.append(JetStreamBus(broker.nats_url, *broker.credentials("core"), broker.mqtt(), clock))
    return MADE[-1]


async def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - a process is waited for; it has no event to set
            await asyncio.sleep(0.02)


async def send(address: MqttAddress, topic: str, payload: bytes) -> None:
    async with address.client(f"t-{secrets.token_hex(4)}") as client:
        await client.publish(topic, payload, qos=1)


async def granted_qos(client: aiomqtt.Client, *topics: str) -> list[int]:
    """What SUBACK says of each topic; 0x80 is a refusal."""
    codes = [code for topic in topics for code in await client.subscribe(topic, qos=1)]
    return [code if isinstance(code, int) else code.value for code in codes]


async def test_the_first_start_makes_a_stream_that_keeps_what_nobody_waits_for(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    assert broker.self_test.ok, broker.self_test.detail
    await send(broker.mqtt("gw-1"), f"{OWN}/data", b"before anybody reads")

    async with connected(broker.nats_url, *broker.credentials("core")) as client:
        info = await client.jetstream().stream_info(STREAM)
        kept = await client.jetstream().get_last_msg(STREAM, f"{PREFIX}{OWN.replace('/', '.')}.data")

    assert info.config.retention == RetentionPolicy.LIMITS
    assert info.config.discard == "new"
    assert kept.data == b"before anybody reads"
    state = json.loads((tmp_path / "broker.json").read_text())
    assert state["pid"] == broker.status().pid
    assert "password" not in (tmp_path / "broker.json").read_text()
    for name in ("broker.json", "broker-users.json", "nats/users.conf", "nats/nats.conf"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name


async def test_another_process_finds_its_way_by_the_data_directory(
    broker: EmbeddedBroker, tmp_path: Path
) -> None:
    access = BrokerAccess.of(tmp_path)

    assert access.mqtt("gw-1") == broker.mqtt("gw-1")
    assert (access.nats_url, access.credentials("core")) == (broker.nats_url, broker.credentials("core"))
    with pytest.raises(NotFound):
        access.credentials("gw-9")
    with pytest.raises(NotFound):
        BrokerAccess.of(tmp_path / "elsewhere")


async def test_an_edge_cannot_publish_as_another_nor_listen_to_it(
    broker: EmbeddedBroker, clock: Clock
) -> None:
    bus = bus_of(broker, clock)
    await bus.open()
    async with broker.mqtt("gw-1").client("gw-1-a") as edge:
        for foreign in ("green-court/gw-2", "river-view/gw-3", "green-court/core"):
            await edge.publish(f"steward/v1/{foreign}/data", b"forged", qos=1)
        await edge.publish("steward/v1/green-court/core/cmd", b"forged", qos=1)
        await edge.publish("$MQTT/msgs/steward/v1/green-court/gw-2/data", b"forged", qos=1)
        await edge.publish(f"{OWN}/data", b"mine", qos=1)
        foreign_topics = ("#", "steward/v1/#", "steward/v1/+/+/cmd", "steward/v1/green-court/gw-2/cmd")
        refused = await granted_qos(edge, *foreign_topics, f"{OWN}/data", "$SYS/#")
        granted = await granted_qos(edge, f"{OWN}/ack", f"{OWN}/cmd")

    got = await bus.fetch("data", 10, 1.0)
    nothing = await bus.fetch("data", 10, 0.3)
    await bus.close()
    assert [(d.topic, d.payload) for d in (*got, *nothing)] == [(f"{OWN}/data", b"mine")]
    assert refused == [0x80] * 6
    assert granted == [1, 1]


async def test_an_edge_cannot_use_the_native_port_and_a_wrong_password_is_refused(
    broker: EmbeddedBroker,
) -> None:
    with pytest.raises(Retryable):
        async with connected(broker.nats_url, *broker.credentials("gw-1")):
            pass
    wrong = MqttAddress("127.0.0.1", broker.mqtt_port, "gw-1", "guess")
    with pytest.raises(aiomqtt.MqttError):
        async with wrong.client("gw-1-x"):
            pass


async def test_an_edge_that_is_added_while_it_runs_may_connect_at_once(broker: EmbeddedBroker) -> None:
    user, password = await broker.add_edge("river-view", "gw-4")

    await send(broker.mqtt("gw-4"), "steward/v1/river-view/gw-4/data", b"hello")

    assert (user, password) == broker.credentials("gw-4")
    assert await broker.add_edge("river-view", "gw-4") == (user, password), "the second time changes nothing"
    with pytest.raises(BadInput, match="already in estate"):
        await broker.add_edge("green-court", "gw-4")
    with pytest.raises(BadInput):
        await broker.add_edge("green-court", "core")


async def test_killed_amid_publishing_it_keeps_all_that_it_confirmed(
    broker: EmbeddedBroker, clock: Clock
) -> None:
    bus = bus_of(broker, clock)
    await bus.open()
    edge = MqttSide(broker.mqtt("gw-1"), clock, "gw-1")
    await edge.open()
    confirmed: list[int] = []
    got: list[int] = []

    async def publish_all() -> None:
        for n in range(900):
            if n in (300, 600):
                broker.kill()
            while True:
                try:
                    await edge.publish(f"{OWN}/data", b"%d" % n)
                    break
                except Retryable:
                    await asyncio.sleep(0.02)
            confirmed.append(n)

    publishing = asyncio.create_task(publish_all())
    loop = asyncio.get_running_loop()
    end = loop.time() + 120
    while not (publishing.done() and set(confirmed) <= set(got)):
        missing = sorted(set(confirmed) - set(got))
        assert loop.time() < end, f"published {len(confirmed)}, not delivered {missing[:20]}"
        try:
            batch = await bus.fetch("data", 50, 0.2)
        except Retryable:
            await asyncio.sleep(0.02)
            continue
        got += [int(d.payload) for d in batch]
        await bus.ack(batch)
    await publishing

    # What the broker had handed out when it was killed comes again later: order is not promised.
    assert confirmed == list(range(900))
    assert set(got) == set(confirmed)
    assert broker.status().restarts == 2
    assert bus.health()["reconnects"] >= 2
    await edge.close()
    await bus.close()


async def test_a_store_that_is_deleted_while_it_runs_is_made_anew(
    broker: EmbeddedBroker, clock: Clock, tmp_path: Path
) -> None:
    bus = bus_of(broker, clock)
    await bus.open()
    await send(broker.mqtt("gw-1"), f"{OWN}/data", b"old")
    await bus.ack(await bus.fetch("data", 10, 2.0))

    shutil.rmtree(Places(tmp_path).store)
    await until(lambda: broker.losses == 1 and broker.self_test.ok)
    await send(broker.mqtt("gw-1"), f"{OWN}/data", b"new")

    got: list[Delivery] = []
    async with asyncio.timeout(20):
        while not got:
            try:
                got = await bus.fetch("data", 10, 0.5)
            except Retryable:
                await asyncio.sleep(0.05)
    await bus.close()
    assert [(d.payload, d.redelivered) for d in got] == [(b"new", False)]


async def test_a_stream_that_an_mqtt_client_made_is_mended(broker: EmbeddedBroker) -> None:
    async with connected(broker.nats_url, *broker.credentials("core")) as client:
        js = client.jetstream()
        await js.delete_stream(STREAM)
        config = (await js.add_stream(name=STREAM, subjects=[PREFIX + ">"], retention="interest")).config
        assert config.retention == RetentionPolicy.INTEREST

    result = await broker.check()

    assert result.ok, result.detail
    async with connected(broker.nats_url, *broker.credentials("core")) as client:
        info = await client.jetstream().stream_info(STREAM)
    assert info.config.retention == RetentionPolicy.LIMITS


async def test_a_full_stream_holds_the_edges_back_and_loses_nothing(tmp_path: Path, clock: Clock) -> None:
    async with EmbeddedBroker(tmp_path, clock, EDGES, max_bytes=200_000) as broker:
        edge = MqttSide(broker.mqtt("gw-1"), clock, "gw-1")
        await edge.open()
        bus = bus_of(broker, clock)
        await bus.open()
        refusals = 0

        async def publish_all() -> None:
            nonlocal refusals
            for n in range(400):
                while True:
                    try:
                        await edge.publish(f"{OWN}/data", b"%06d" % n + b"x" * 1000)
                        break
                    except Retryable:
                        refusals += 1
                        await asyncio.sleep(0.05)

        publishing = asyncio.create_task(publish_all())
        await until(lambda: refusals > 0)
        await bus.look()
        full = bus.health()["fill"]
        got: list[int] = []
        async with asyncio.timeout(60):
            while not publishing.done():
                batch = await bus.fetch("data", 100, 0.1)
                got += [int(d.payload[:6]) for d in batch]
                await bus.ack(batch)
                await bus.look()
        got += [int(d.payload[:6]) for d in await bus.fetch("data", 400, 0.5)]
        await edge.close()
        await bus.close()

    assert full > 0.8
    assert sorted(set(got)) == list(range(400))


async def test_acknowledged_messages_give_their_room_back_and_others_stay(
    broker: EmbeddedBroker, clock: Clock
) -> None:
    bus = bus_of(broker, clock)
    await bus.open()
    async with broker.mqtt("gw-1").client("gw-1") as edge:
        await edge.publish(f"{OWN}/event", b"fire", qos=1)
        for n in range(50):
            await edge.publish(f"{OWN}/data", b"%d" % n, qos=1)
    await bus.publish("steward/v1/green-court/gw-2/cmd", b"for an edge that is away")
    data = await bus.fetch("data", 50, 2.0)
    await bus.ack(data[:30])
    await bus.look()

    async with connected(broker.nats_url, *broker.credentials("core")) as client:
        info = await client.jetstream().stream_info(STREAM, subjects_filter=">")
    await bus.close()

    left = {subject.removeprefix(PREFIX): count for subject, count in (info.state.subjects or {}).items()}
    own = OWN.replace("/", ".")
    assert left == {f"{own}.event": 1, f"{own}.data": 20, "steward.v1.green-court.gw-2.cmd": 1}


SUPERVISOR = """
import asyncio, os, sys
from pathlib import Path
from gateway.adapters.broker import EmbeddedBroker
from gateway.adapters.clock import SystemClock

async def main():
    async with EmbeddedBroker(Path(sys.argv[1]), SystemClock(), [("green-court", "gw-1")]) as broker:
        print(broker.status().pid, flush=True)
        sys.stdin.read()

asyncio.run(main())
"""


async def supervisor_process(folder: Path) -> asyncio.subprocess.Process:
    """Prints the broker's pid; ends in order when its input is closed."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUPERVISOR, str(folder), stdin=pipe, stdout=pipe
    )


async def test_a_broker_that_outlived_its_supervisor_is_adopted(tmp_path: Path, clock: Clock) -> None:
    process = await supervisor_process(tmp_path)
    assert process.stdout is not None
    pid = int(await asyncio.wait_for(process.stdout.readline(), 30))
    process.kill()
    await process.wait()
    if process.stdin is not None:
        process.stdin.close()
    port = BrokerAccess.of(tmp_path).mqtt_port

    async with EmbeddedBroker(tmp_path, clock, EDGES) as broker:
        assert broker.status().pid == pid
        assert broker.status().adopted
        assert broker.mqtt_port == port
        assert broker.self_test.ok
        await broker.add_edge("green-court", "gw-9")  # an adopted one is told of new users too
        await send(broker.mqtt("gw-2"), "steward/v1/green-court/gw-2/data", b"an edge added in between")
        broker.kill()
        await until(lambda: broker.status().restarts == 1 and broker.status().state == "running")
        assert broker.status().pid != pid

    assert not alive(pid)
    assert not alive(BrokerState.load(tmp_path / "broker.json").pid)  # type: ignore[union-attr]  # it exists


async def test_a_live_broker_of_ours_with_other_settings_is_replaced(tmp_path: Path, clock: Clock) -> None:
    async with EmbeddedBroker(tmp_path, clock, EDGES) as first:
        pid = first.status().pid
        assert pid is not None
        async with EmbeddedBroker(tmp_path, clock, EDGES, max_bytes=1 << 28) as second:
            assert second.self_test.ok, second.self_test.detail
            assert second.status().pid != pid
            assert not second.status().adopted


async def test_a_foreign_program_on_the_port_is_named_and_left_alone(tmp_path: Path, clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        with pytest.raises(BadInput, match=rf"port {port} .* in use by another program .*--mqtt-port"):
            async with EmbeddedBroker(tmp_path, clock, EDGES, mqtt_port=port):
                pass


async def test_ports_and_passwords_are_kept_over_a_restart(tmp_path: Path, clock: Clock) -> None:
    async with EmbeddedBroker(tmp_path, clock, EDGES) as broker:
        before = (broker.mqtt_port, broker.nats_url, broker.credentials("gw-1"))
        await send(broker.mqtt("gw-1"), f"{OWN}/data", b"kept")

    async with EmbeddedBroker(tmp_path, clock, EDGES) as broker:
        assert (broker.mqtt_port, broker.nats_url, broker.credentials("gw-1")) == before
        bus = bus_of(broker, clock)
        await bus.open()
        got = await bus.fetch("data", 10, 2.0)
        await bus.close()
    assert [d.payload for d in got] == [b"kept"]


async def test_a_server_with_known_holes_is_refused(tmp_path: Path, clock: Clock) -> None:
    old = tmp_path / "nats-server"
    old.write_text("#!/bin/sh\necho 'nats-server: v2.11.6'\n")
    old.chmod(0o755)
    with pytest.raises(BadInput, match=r"2\.11\.6"):
        async with EmbeddedBroker(tmp_path / "data", clock, EDGES, program=old):
            pass


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie of a parent that does not wait is dead for every purpose.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


async def test_its_end_leaves_nothing_running(tmp_path: Path, clock: Clock) -> None:
    process = await supervisor_process(tmp_path)
    assert process.stdout is not None
    assert process.stdin is not None
    pid = int(await asyncio.wait_for(process.stdout.readline(), 30))
    process.stdin.close()

    assert await asyncio.wait_for(process.wait(), 20) == 0
    assert not alive(pid)
