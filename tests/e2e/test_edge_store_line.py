"""A serial port that is pulled out: an alarm of the gateway itself, and it is open again by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from gateway.adapters.clock import SystemClock
from gateway.adapters.memory_bus import MemoryBroker, MemoryBus, MemoryUplink
from gateway.adapters.memory_store import MemoryStore
from gateway.adapters.state import open_state
from gateway.app.edge_role import choose, edge_config, edge_folder
from gateway.app.setup import Setup, load_setup
from gateway.edge.agent import Edge
from gateway.edge.config import Hello
from gateway.edge.health import Vitals
from simulators.rtu_bus import point_to, unlink
from tests.e2e.chain_support import ESTATE, GATEWAY, make_core, site_file
from tests.unit.drivers.wire_devices import RtuDevice, on_pty
from tests.unit.gateway_edge.edge_fakes import until

LEVEL = {
    "id": "level", "unit": 3, "profile": "level_qdy30a", "asset": "sump-1",
    "rename": {"level.value": "sump.level"},
}  # fmt: skip


def one_line(folder: Path, port: Path) -> Setup:
    """A level sensor on a serial port."""
    path = site_file(folder, [LEVEL])
    site = yaml.safe_load(path.read_text(encoding="utf-8"))
    (line,) = site["gateways"][0]["lines"]
    line |= {"id": "bus", "kind": "modbus_rtu", "options": {"port": str(port), "baud": 115200}}
    path.write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")
    return load_setup(path)


@pytest.mark.slow
async def test_a_port_that_is_pulled_out_is_an_alarm_and_comes_back_by_itself(tmp_path: Path) -> None:
    port, clock = tmp_path / "usb0", SystemClock()
    setup = one_line(tmp_path, port)
    gateway = choose(setup, GATEWAY)
    broker, state = MemoryBroker(), open_state(tmp_path / "state.db", durable=False)
    core = make_core(setup, state, MemoryStore(), MemoryBus(broker), clock, tmp_path)
    vitals = Vitals(edge_folder(tmp_path, gateway), clock)

    def uplink(hello: Hello) -> MemoryUplink:
        return MemoryUplink(broker, ESTATE, GATEWAY, hello.will())

    edge = Edge(edge_config(setup, tmp_path, gateway, clock, vitals), clock, uplink)
    vitals.source = edge.facts

    def alarms(kind: str) -> list[int]:
        events = [e for _, e in state.events(kinds=(kind,), limit=1000)]
        return [e.t for e in events if e.data.get("rule") == "gateway.line_down"]

    tasks = [asyncio.create_task(core.run()), asyncio.create_task(edge.run())]
    try:
        async with on_pty(RtuDevice()) as device:
            point_to(port, device.options["port"])
            await asyncio.wait_for(device.asked.wait(), 30)
            assert edge.facts()["lines_down"] == 0
            pulled = clock.now()
            unlink(port)
        await until(lambda: bool(alarms("alarm.raised")), 60)
        (raised,) = alarms("alarm.raised")
        assert raised - pulled <= 10_000
        async with on_pty(RtuDevice()) as device:
            point_to(port, device.options["port"])
            await asyncio.wait_for(device.asked.wait(), 30)
            await until(lambda: bool(alarms("alarm.cleared")), 60)
        assert len(alarms("alarm.raised")) == 1
    finally:
        for task in reversed(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        state.close()
