"""An alarm button while nobody hears: the siren on site, and one alarm with its true start afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

from gateway.adapters.clock import SystemClock
from gateway.adapters.memory_bus import MemoryBroker, MemoryBus, MemoryUplink
from gateway.adapters.memory_store import MemoryStore
from gateway.adapters.state import open_state
from gateway.app.edge_outputs import outputs_of, watched
from gateway.app.edge_role import choose, edge_config
from gateway.app.setup import Setup, load_setup
from gateway.edge.agent import Edge
from gateway.edge.config import Hello
from tests.e2e.chain_support import ESTATE, GATEWAY, make_core, site_file
from tests.unit.drivers.wire_devices import TcpDevice, on_tcp
from tests.unit.gateway_edge.edge_fakes import until

RULE = "lift.alarm_button"
CALM = 0b0110_0110
"""In the door zone, door closed, mains on (map of steward_elevator, input 0)."""
BUTTON = 1 << 4


class Lift(TcpDevice):
    """A controller whose alarm button can be pressed."""

    pressed = False

    def words(self, address: int, count: int) -> list[int]:
        first = CALM | (BUTTON if self.pressed else 0)
        return [first if address + n == 0 else 0 for n in range(count)]


def lift_with_siren(folder: Path, port: int) -> Setup:
    device = {"id": "lift-box", "unit": 2, "profile": "steward_elevator", "asset": "lift-1"}
    path = site_file(folder, [device], port)
    site = yaml.safe_load(path.read_text(encoding="utf-8"))
    site["gateways"][0]["outputs"] = [{"id": "siren", "kind": "file", "path": "siren"}]
    path.write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")
    return load_setup(path)


@pytest.mark.slow
async def test_pressed_while_the_link_is_down(tmp_path: Path) -> None:
    lift, clock, siren = Lift(), SystemClock(), tmp_path / "siren"
    broker, state = MemoryBroker(), open_state(tmp_path / "state.db", durable=False)
    links: list[MemoryUplink] = []
    async with on_tcp(lift, 12):
        setup = lift_with_siren(tmp_path, int(lift.options["port"]))
        gateway = choose(setup, GATEWAY)
        core = make_core(setup, state, MemoryStore(), MemoryBus(broker), clock, tmp_path)

        def uplink(hello: Hello) -> MemoryUplink:
            links.append(MemoryUplink(broker, ESTATE, GATEWAY, hello.will()))
            return links[-1]

        config = edge_config(setup, tmp_path, gateway, clock)
        outputs = outputs_of(setup, gateway, config, clock, lambda: bool(links) and links[-1].connected)
        edge = Edge(watched(config, outputs), clock, uplink, outputs.core_silent)

        def alarms(*kinds: str) -> list[int]:
            events = [e for _, e in state.events(kinds=kinds, limit=1000)]
            return [e.t for e in events if e.data.get("rule") == RULE]

        tasks = [asyncio.create_task(x) for x in (core.run(), edge.run(), outputs.run())]
        try:
            await asyncio.wait_for(lift.asked.wait(), 30)
            await until(lambda: core.ready.is_set() and links[-1].connected, 30)
            broker.cut()
            await until(lambda: not links[-1].connected, 30)
            assert siren.read_text() == "0\n"
            pressed = clock.now()
            lift.pressed = True
            await until(lambda: siren.read_text() == "1\n", 30)
            assert alarms("alarm.raised") == [], "nobody has heard of it"
            broker.mend()
            await until(lambda: siren.read_text() == "0\n", 30)
            await until(lambda: bool(alarms("alarm.raised")), 60)
            (t,) = alarms("alarm.raised")
            delay = setup.rules.by_id[RULE].on_delay_s * 1000  # type: ignore[attr-defined]  # a digital rule
            assert pressed <= t - delay <= pressed + 5_000, "when it was pressed, not when it was heard of"
            lift.pressed = False
            await until(lambda: bool(alarms("alarm.cleared", "alarm.returned")), 90)
            assert len(alarms("alarm.raised", "alarm.occurred")) == 1
        finally:
            for task in reversed(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            state.close()
