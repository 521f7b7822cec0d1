"""An edge, a real Mosquitto that is killed and started again, and a core that sends receipts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import orjson
import pytest

from gateway.adapters.clock import SystemClock
from gateway.adapters.paho_uplink import PahoUplink
from gateway.codec import Data, EventMessage
from gateway.edge.agent import DeviceConfig, Edge, EdgeConfig, Hello, LineConfig
from gateway.model import Point
from tests.contract.mosquitto_server import MOSQUITTO, Mosquitto
from tests.unit.gateway_edge.edge_fakes import (
    FakeCore,
    FakeDriver,
    FakeModel,
    FakeUnit,
    control,
    points,
    signed,
    stop,
    until,
)

pytestmark = [pytest.mark.mosquitto, pytest.mark.skipif(MOSQUITTO is None, reason="no Mosquitto installed")]

ROOT = "steward/v1/garden/gw-1"


class Plant:
    """Counters that never repeat, and a call button."""

    def __init__(self, folder: Path, port: int) -> None:
        self.clock = SystemClock()
        self.count, self.call = 0, 0
        self.core = FakeCore()
        unit = FakeUnit(value=self._value, rtt_s=0.001)
        pts = [*points(20, period_s=0.1), Point("lift-1", "call", kind="digital", period_s=0.1, life=True)]
        device = DeviceConfig("d1", 1, FakeModel.dense(pts))
        line = LineConfig("bus", FakeDriver(self.clock, {1: unit}), [device])
        config = EdgeConfig("garden", "gw-1", [line], folder, "cfg", "1", tick_s=0.02, account_s=0.5)
        self.port, self.acking = port, True
        self.edge = Edge(config, self.clock, self._uplink, control=control(folder))

    def _uplink(self, hello: Hello) -> PahoUplink:
        return PahoUplink(
            "127.0.0.1", self.port, client_id=hello.client_id, subscribe=hello.subscribe, will=hello.will,
            keepalive_s=5,
        )  # fmt: skip

    def _value(self, address: int) -> int:
        if address == 20:
            return self.call
        self.count += 1
        return self.count

    async def serve(self) -> None:
        """The core: hears everything, confirms what it has, comes back after the broker."""
        while True:
            with contextlib.suppress(aiomqtt.MqttError):
                async with aiomqtt.Client(
                    "127.0.0.1", self.port, identifier="core", clean_session=False, timeout=5
                ) as client:
                    for leaf in ("points/+", "data", "event", "account", "birth", "status", "reply"):
                        await client.subscribe(f"{ROOT}/{leaf}", qos=1)
                    async for m in client.messages:
                        assert isinstance(m.payload, bytes)
                        ack = self.core.take(str(m.topic), m.payload)
                        if ack is not None and ack.upto and self.acking:
                            await client.publish(f"{ROOT}/ack", ack.encode(), qos=1)
            await asyncio.sleep(0.05)

    async def stop_polling(self) -> None:
        async with aiomqtt.Client("127.0.0.1", self.port) as client:
            stop_ = signed(self.edge.boot, cmd="stop_polling")
            await client.publish(f"{ROOT}/cmd", orjson.dumps(stop_), qos=1)

    async def read(self, values: int) -> None:
        goal = self.count + values
        await until(lambda: self.count > goal)

    def backlog(self) -> int:
        return sum(m.lane == "backlog" for m in self.core.messages)

    async def more_backlog(self, than: int) -> None:
        await until(lambda: self.backlog() > than)

    def sent(self) -> list[float]:
        return sorted(v for k in range(20) for _, v in self.core.series().get(f"pump-1/v.p{k}", []))


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    server = Mosquitto(tmp_path / "broker")
    await server.start()
    yield server
    await server.stop()


@contextlib.asynccontextmanager
async def running(plant: Plant) -> AsyncIterator[Plant]:
    tasks = [asyncio.create_task(plant.serve()), asyncio.create_task(plant.edge.run())]
    try:
        yield plant
    finally:
        await stop(*tasks)


@pytest.mark.slow
async def test_broker_killed_twice_and_every_reading_arrives_once(tmp_path: Path, broker: Mosquitto) -> None:
    async with running(Plant(tmp_path, broker.port)) as plant:
        core = plant.core
        await until(lambda: len(core.messages) > 5)
        for _ in range(2):
            broker.kill()
            plant.call = 1 - plant.call
            await plant.read(400)
            backlog = plant.backlog()
            await broker.start()
            await plant.more_backlog(backlog)
        await plant.stop_polling()
        await until(lambda: plant.edge.drained)
        account = core.account(plant.edge.boot)
    assert plant.sent() == [float(k) for k in range(1, plant.count + 1)]
    d = account.devices["d1"]
    # A machine that is too busy for the poll plan misses rounds; they are declared, nothing else is missing.
    assert (d.residual, account.outbox, set(d.gaps) - {"missed"}) == (0, 0, set())
    assert d.stored == core.stored[plant.edge.boot]
    calls = [m for m in core.messages if isinstance(m, EventMessage)]
    assert [m.v for m in calls] == [0.0, 1.0, 0.0]


async def test_rows_stay_until_the_core_confirms_them(tmp_path: Path, broker: Mosquitto) -> None:
    async with running(Plant(tmp_path, broker.port)) as plant:
        plant.acking = False  # the broker says PUBACK to everything, the core says nothing
        await until(lambda: len(plant.core.messages) > 10)
        await until(lambda: any(a.outbox > 100 and a.facts["outbox_rows"] > 10 for a in plant.core.accounts))
        assert plant.sent()
        plant.acking = True
        plant.call = 1  # a receipt covers everything before it: one more event confirms the first
        await until(lambda: any(isinstance(m, EventMessage) and m.v == 1 for m in plant.core.messages))
        await plant.stop_polling()
        await until(lambda: plant.edge.drained)
    assert plant.sent() == [float(k) for k in range(1, plant.count + 1)]


@pytest.mark.slow
async def test_after_an_outage_the_call_overtakes_the_telemetry(tmp_path: Path, broker: Mosquitto) -> None:
    async with running(Plant(tmp_path, broker.port)) as plant:
        core = plant.core
        await until(lambda: len(core.messages) > 5)
        broker.kill()
        await plant.read(600)
        plant.call = 1
        await plant.read(60)
        seen = len(core.messages)
        await broker.start()
        await until(lambda: any(m.lane == "backlog" for m in core.messages))
        fresh = core.messages[seen:]
        first_backlog = next(k for k, m in enumerate(fresh) if m.lane == "backlog")
        call = next(k for k, m in enumerate(fresh) if isinstance(m, EventMessage) and m.v == 1)
        assert call < first_backlog
        assert all(m.hist for m in fresh if isinstance(m, Data) and m.lane == "backlog")


async def test_presence_is_retained_and_ends_offline(tmp_path: Path, broker: Mosquitto) -> None:
    async with running(Plant(tmp_path, broker.port)) as plant:
        await until(lambda: len(plant.core.messages) > 2)
        boot = plant.edge.boot
    async with aiomqtt.Client("127.0.0.1", broker.port) as late:
        await late.subscribe(f"{ROOT}/#", qos=1)
        got = {}
        async with asyncio.timeout(20):
            async for m in late.messages:
                assert isinstance(m.payload, bytes)
                got[str(m.topic).removeprefix(f"{ROOT}/").split("/")[0]] = m.payload
                if {"status", "birth", "points"} <= set(got):
                    break
    assert got["status"] == b'{"online":false,"boot":"%s","conn":1}' % boot.encode()
    assert boot.encode() in got["birth"]
