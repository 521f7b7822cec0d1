"""The demonstration as real processes, while its parts are killed with -9 in the middle of the story."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from gateway.adapters.broker_files import Users
from gateway.adapters.clock import SystemClock
from gateway.adapters.mqtt_side import MqttAddress
from gateway.app.client import Client
from gateway.app.edge_orders import orders
from gateway.app.story import expected
from gateway.errors import Forbidden, Retryable
from simulators.control import send

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CLOCK = SystemClock()
CALL = "call-1"


@dataclass
class Show:
    """A running demonstration and what one sees of it from outside."""

    data: Path
    process: asyncio.subprocess.Process
    client: Client
    control: str
    estate: str
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)

    def pid(self, name: str) -> int:
        if name == "broker":
            return int(orjson.loads((self.data / "broker.json").read_bytes())["pid"])
        return int(orjson.loads((self.data / "run" / "children.json").read_bytes())[name])

    async def kill(self, name: str) -> None:
        """kill -9, and back again with another process."""
        old = self.pid(name)
        os.kill(old, signal.SIGKILL)
        await until(lambda: self.pid(name) != old, 30)

    async def ask(self, path: str, **query: Any) -> Any:
        return await asyncio.to_thread(self.client.get, path, **query)

    async def look(self) -> bool:
        """Take new events in; False while nobody answers."""
        try:
            after = max((e["seq"] for e in self.seen.values()), default=0)
            page = await self.ask("/api/v1/events", estate=self.estate, after=after, limit=500)
        except (Retryable, Forbidden):
            return False
        self.seen |= {e["id"]: e for e in page["events"]}
        return True

    def count(self, kind: str, **data: str) -> int:
        return sum(
            e["kind"] == kind and all(e["data"].get(k) == v for k, v in data.items())
            for e in self.seen.values()
        )

    async def breaks(self, kind: str, asset: str, rule: str) -> float:
        """Seconds from a fault to its alarm as the interface shows it."""
        await self.look()
        before = self.count("alarm.raised", rule=rule)
        start = CLOCK.monotonic()
        await send(self.control, {"do": "fault", "kind": kind, "asset": asset})
        async with asyncio.timeout(40):
            while self.count("alarm.raised", rule=rule) == before:
                await self.look()
                await CLOCK.sleep_real(0.1)
        return CLOCK.monotonic() - start


async def until(done: Callable[[], bool], seconds: float) -> None:
    """Poll with a deadline; what is looked at may not be there yet."""
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(OSError, orjson.JSONDecodeError, KeyError, IndexError):
                if done():
                    return
            await CLOCK.sleep_real(0.1)


def ready(data: Path) -> dict[str, Any]:
    for line in (data / "logs" / "simulators.out").read_bytes().splitlines():
        if line.startswith(b'{"ready"'):
            return dict(orjson.loads(line))
    raise KeyError("not ready")


@contextlib.asynccontextmanager
async def show(data: Path) -> AsyncIterator[Show]:
    """The demonstration, until the block ends."""
    out = await asyncio.to_thread((data.parent / "demo.out").open, "wb")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "demo", "--port", "0", "--data", str(data), stdout=out, stderr=out
    )
    try:
        await until(lambda: bool(orjson.loads((data / "run" / "web.json").read_bytes())["url"]), 90)
        await until(lambda: len(orjson.loads((data / "run" / "children.json").read_bytes())) >= 3, 90)
        client = Client(orjson.loads((data / "run" / "web.json").read_bytes())["url"])
        passwords = orjson.loads((data / "demo-passwords.json").read_bytes())
        site = yaml.safe_load((data / "site.yaml").read_bytes())
        made = Show(data, process, client, str(ready(data)["control"]), site["estates"][0]["id"])
        await asyncio.to_thread(client.login, "admin", passwords["admin"])
        yield made
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 40)
        if process.returncode is None:
            process.kill()
            await process.wait()
        out.close()


async def balanced(s: Show) -> dict[str, Any]:
    """Polling stops, everything is delivered: the balance."""
    broker = orjson.loads((s.data / "broker.json").read_bytes())
    user, password = Users.load(s.data / "broker-users.json").credentials("core")
    address = MqttAddress("127.0.0.1", broker["mqtt_port"], user, password)
    async with orders(address, s.data, CLOCK, "tester") as edges:
        await edges.give(s.estate, "gw-1", "stop_polling")
    sheet: dict[str, Any] = {}
    async with asyncio.timeout(90):
        while sheet.get("residual") != 0 or sheet["in_outbox"] or sheet["in_flight"]:
            await CLOCK.sleep_real(0.5)
            with contextlib.suppress(Retryable):
                sheet = (await s.ask("/api/v1/health"))["balance"]
    return sheet


async def second_instance(data: Path) -> tuple[int, str]:
    """Start the core once more on the same data."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "core", str(data / "site.yaml"), "--data", str(data), "--port", "0",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode()


async def test_core_edge_and_broker_are_killed_in_the_middle_of_the_story(tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with show(data) as s:
        start = CLOCK.monotonic()

        async def at(second: float) -> None:
            await CLOCK.sleep_real(max(0.0, start + second - CLOCK.monotonic()))

        async def alarm_after(what: str, act: Awaitable[Any]) -> None:
            done = asyncio.ensure_future(act)
            s.figures[what] = await s.breaks("call_button", CALL, "call.active")
            await done
            await send(s.control, {"do": "clear", "asset": CALL})
            async with asyncio.timeout(40):
                while s.count("alarm.cleared", rule="call.active") < s.count(
                    "alarm.raised", rule="call.active"
                ):
                    await s.look()
                    await CLOCK.sleep_real(0.2)

        code, said = await second_instance(data)
        assert code == 1, said
        assert str(data) in said
        assert "Traceback" not in said

        await at(8)
        await alarm_after("a kill of the core", s.kill("core"))
        await at(29)
        await s.kill("edge-gw-1")  # the story presses the call button at 30
        await at(38)
        await s.kill("broker")
        await at(52)
        await alarm_after("a kill of the broker", s.kill("broker"))
        store = asyncio.to_thread(shutil.rmtree, data / "nats" / "store")
        await alarm_after("the loss of the broker's store", store)
        await at(66)
        sheet = await balanced(s)
        await s.look()
        found = expected(
            data / "truth.jsonl", [e for e in s.seen.values() if e["kind"] == "alarm.raised"], 2**53
        )
    for name, seconds in s.figures.items():
        print(f"an alarm {seconds:.1f} s after {name}")
    assert sheet["stored"] > 500
    assert found["missed"] == []
    assert found["met"] >= 10
    once = Counter(e["data"]["occurrence"] for e in s.seen.values() if e["kind"] == "alarm.raised")
    assert set(once.values()) == {1}
    assert all(seconds < 30 for seconds in s.figures.values()), s.figures
