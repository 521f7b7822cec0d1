"""Core and edge as processes of their own on a plain MQTT broker: nothing is lost when the core is away."""

from __future__ import annotations

import re
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import orjson
import pytest

from gateway.adapters.clock import SystemClock
from gateway.adapters.mqtt_side import MqttAddress
from gateway.app.client import Client
from gateway.app.edge_keys import EdgeKeys
from gateway.app.edge_orders import orders
from tests.contract.mosquitto_server import MOSQUITTO, Mosquitto
from tests.e2e.cli_kit import Running, logged_in, running, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.mosquitto,
    pytest.mark.skipif(MOSQUITTO is None, reason="Mosquitto is not installed"),
]


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[str]:
    server = Mosquitto(tmp_path / "broker")
    await server.start()
    yield f"mqtt://127.0.0.1:{server.port}"
    await server.stop()


def settled(client: Client) -> dict[str, int]:
    """The balance once nothing is on the way any more."""
    health = client.get("/api/v1/health")
    balance: dict[str, int] = health["balance"]
    assert health["edges"]["gw-1"]["online"], health["edges"]
    assert balance["stored"] > 0
    assert (balance["in_outbox"], balance["in_flight"], balance["residual"]) == (0, 0, 0), balance
    return balance


async def stop_polling(url: str, data: Path) -> None:
    """As the demo does before its balance."""
    async with orders(MqttAddress.parse(url), data, SystemClock(), "test") as edges:
        assert (await edges.give("happiness-lane", "gw-1", "stop_polling"))["ok"]


def core_of(folder: Path, broker: str, name: str) -> AbstractContextManager[Running]:
    arguments = ("core", "site.yaml", "--data", "C", "--port", "0", "--host", "127.0.0.1")
    return running(*arguments, cwd=folder, mark=folder / "C", name=name, env={"STEWARD_MQTT": broker})


async def test_core_and_edge_alone_on_mosquitto(broker: str, tmp_path: Path) -> None:
    def count(client: Client, what: str) -> int:
        return int(client.get("/api/v1/health")["balance"][what])

    edge = ("edge", "site.yaml", "--data", "E")
    with (
        running("simulate", "calm", "--site", "site.yaml", cwd=tmp_path, mark=tmp_path / "-", name="s") as s,
        ExitStack() as stack,
    ):
        s.until_said("devices serve")
        env = {"STEWARD_MQTT": broker, "STEWARD_EDGE_KEY": EdgeKeys(tmp_path / "C").make("gw-1")}
        reader = stack.enter_context(running(*edge, cwd=tmp_path, mark=tmp_path / "E", name="edge", env=env))
        with core_of(tmp_path, broker, "core") as first:
            said = first.until_said("Steward steward-demo: http://")
            password = re.search(r"user admin, password (\S+) \(shown once\)", said)
            assert password
            client = logged_in(tmp_path / "C", "admin", password[1])
            until(lambda: count(client, "stored") > 100)
            before = count(client, "due")
            assert first.stop(signal.SIGTERM) == 0
        assert not (tmp_path / "C" / "run" / "first-admin").exists()
        assert not (tmp_path / "C" / "run" / "web.json").exists()
        assert reader.process.poll() is None, "an edge outlives its core"

        with core_of(tmp_path, broker, "core-2") as second:
            assert "first start" not in second.until_said("Steward steward-demo: http://")
            client = logged_in(tmp_path / "C", "admin", password[1])
            until(lambda: count(client, "due") > before)
            watch = ("tail", "ws.out_p", "--broker", broker, "--json")
            with running(*watch, cwd=tmp_path, mark=tmp_path / "-", name="tail") as tail:
                row = orjson.loads(tail.until_said("\n").splitlines()[0])
                assert (row["point"], row["unit"]) == ("ws-1/ws.out_p", "MPa")
                assert tail.stop() == 0
            await stop_polling(broker, tmp_path / "C")
            # What was read while the core was away came too, and every point is accounted for.
            assert until(lambda: settled(client))["due"] > before
            assert reader.stop() == 0
            assert second.stop() == 0
