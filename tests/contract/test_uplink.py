"""The contract of Uplink: paho against a real Mosquitto."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import pytest

from gateway.adapters.paho_uplink import PahoUplink
from tests.contract.mosquitto_server import MOSQUITTO, Mosquitto
from tests.unit.gateway_edge.edge_fakes import until

pytestmark = [pytest.mark.mosquitto, pytest.mark.skipif(MOSQUITTO is None, reason="no Mosquitto installed")]

WILL = ("steward/v1/e/g/status", b"gone")


class Heard:
    """What the uplink told the edge."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.states: asyncio.Queue[bool] = asyncio.Queue()

    def message(self, topic: str, payload: bytes) -> None:
        self.messages.put_nowait((topic, payload))

    def state(self, up: bool) -> None:
        self.states.put_nowait(up)

    async def next_state(self) -> bool:
        return await asyncio.wait_for(self.states.get(), 20)


def make(port: int, window: int = 100, **kw: str) -> PahoUplink:
    return PahoUplink(
        "127.0.0.1", port, client_id="g-1", subscribe=("steward/v1/e/g/ack", "steward/v1/e/g/cmd"),
        will=lambda: WILL, window=window, keepalive_s=5, **kw,  # type: ignore[arg-type]
    )  # fmt: skip


@contextlib.asynccontextmanager
async def running(uplink: PahoUplink, heard: Heard) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(uplink.run(heard.message, heard.state))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def collect(client: aiomqtt.Client, count: int) -> list[tuple[str, bytes, bool]]:
    out = []
    async with asyncio.timeout(20):
        async for m in client.messages:
            assert isinstance(m.payload, bytes)
            out.append((str(m.topic), m.payload, bool(m.retain)))
            if len(out) == count:
                break
    return out


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    server = Mosquitto(tmp_path)
    await server.start()
    yield server
    await server.stop()


async def test_publishes_arrive_and_messages_come_back(broker: Mosquitto) -> None:
    heard, uplink = Heard(), make(broker.port)
    async with aiomqtt.Client("127.0.0.1", broker.port) as core, running(uplink, heard):
        await core.subscribe("steward/#", qos=1)
        assert await heard.next_state() is True
        assert uplink.connected
        assert uplink.publish("steward/v1/e/g/data", b"1")
        assert uplink.publish("steward/v1/e/g/birth", b"2", retain=True)
        assert await collect(core, 2) == [
            ("steward/v1/e/g/data", b"1", False), ("steward/v1/e/g/birth", b"2", False),
        ]  # fmt: skip
        await core.publish("steward/v1/e/g/cmd", b"hello", qos=1)
        assert await asyncio.wait_for(heard.messages.get(), 10) == ("steward/v1/e/g/cmd", b"hello")
    async with aiomqtt.Client("127.0.0.1", broker.port) as late:
        await late.subscribe("steward/v1/e/g/birth", qos=1)
        assert await collect(late, 1) == [("steward/v1/e/g/birth", b"2", True)]


async def test_the_will_is_what_stays_after_a_clean_end_and_after_a_kill(broker: Mosquitto) -> None:
    heard, uplink = Heard(), make(broker.port)
    async with running(uplink, heard):
        await heard.next_state()
        uplink.publish(WILL[0], b"here", retain=True)
    async with aiomqtt.Client("127.0.0.1", broker.port) as late:
        await late.subscribe(WILL[0], qos=1)
        assert await collect(late, 1) == [(*WILL, True)]
    assert not uplink.connected


async def test_nothing_is_taken_while_the_link_is_down_and_it_comes_back_by_itself(broker: Mosquitto) -> None:
    heard, uplink = Heard(), make(broker.port)
    assert not uplink.publish("steward/v1/e/g/data", b"0")
    async with running(uplink, heard):
        assert await heard.next_state() is True
        broker.kill()
        assert await heard.next_state() is False
        assert not uplink.connected
        assert not uplink.publish("steward/v1/e/g/data", b"1")
        await broker.start()
        assert await heard.next_state() is True
        async with aiomqtt.Client("127.0.0.1", broker.port) as core:
            await core.subscribe("steward/v1/e/g/data", qos=1)
            assert uplink.publish("steward/v1/e/g/data", b"2")
            assert await collect(core, 1) == [("steward/v1/e/g/data", b"2", False)]


async def test_the_window_is_full_until_the_broker_acknowledges(broker: Mosquitto) -> None:
    heard, uplink = Heard(), make(broker.port, window=5)
    async with running(uplink, heard):
        await heard.next_state()
        broker.freeze()
        taken = sum(uplink.publish("steward/v1/e/g/data", b"x" * 100) for _ in range(50))
        assert taken == 5
        broker.thaw()
        await until(lambda: uplink.publish("steward/v1/e/g/data", b"y"))


async def test_a_refused_user_is_not_connected_and_said_once(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    closed = Mosquitto(broker.folder / "closed", anonymous=False)
    await closed.start()
    heard, uplink = Heard(), make(closed.port, username="who", password="wrong")
    async with running(uplink, heard):
        await until(lambda: "not reached" in caplog.text)
        assert heard.states.empty()
        assert not uplink.connected
    assert caplog.text.count("broker not reached") == 1
    await closed.stop()
