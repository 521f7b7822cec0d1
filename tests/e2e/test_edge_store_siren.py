"""An alarm button while nobody hears: the siren on site, and one alarm with its true start afterwards."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from gateway.adapters.clock import SystemClock
from gateway.adapters.memory_bus import MemoryBroker, MemoryBus, MemoryUplink
from gateway.adapters.memory_store import MemoryStore
from gateway.adapters.state import open_state
from gateway.app.edge_host import EdgeHost
from gateway.app.edge_outputs import outputs_of, watched
from gateway.app.edge_part import edge_part
from gateway.app.edge_role import choose, edge_config
from gateway.app.setup import Setup, load_setup
from gateway.codec.bundle import digest, pack
from gateway.codec.signed import sign
from gateway.edge.agent import Edge
from gateway.edge.config import Hello
from tests.e2e.chain_support import ESTATE, GATEWAY, make_core, site_file
from tests.unit.drivers.wire_devices import TcpDevice, on_tcp
from tests.unit.gateway_edge.edge_fakes import KEY, FakeCore, stop, until
from tests.unit.gateway_edge.edge_fakes import MemoryUplink as FakeUplink

RULE = "lift.alarm_button"
CALM = 0b0110_0110
"""In the door zone, door closed, mains on (map of steward_elevator, input 0)."""
BUTTON = 1 << 4
PUMP = {"id": "pump-box", "unit": 1, "profile": "steward_pump_station", "asset": "ws-1"}


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


@dataclass
class Site:
    """An edge as its process builds it, with a core that sends it configurations. `up`: the link."""

    folder: Path
    lift: Lift
    core: FakeCore = field(default_factory=FakeCore)
    links: list[FakeUplink] = field(default_factory=list)
    host: EdgeHost = field(init=False)
    part: dict[str, str] = field(init=False)

    def begin(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The own site file reads a pump station; the lift comes with a push."""
        monkeypatch.setenv("STEWARD_EDGE_KEY", KEY.hex())
        whole = lift_with_siren(self.folder, int(self.lift.options["port"]))
        self.part = edge_part(whole, choose(whole, GATEWAY))
        site = yaml.safe_load(whole.site.path.read_text(encoding="utf-8"))
        for line in site["gateways"][0]["lines"]:
            line["devices"] = [PUMP]
        whole.site.path.write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")
        self.host = EdgeHost(load_setup(whole.site.path), self.folder, GATEWAY)
        monkeypatch.setattr(self.host, "_uplink", self._uplink)
        monkeypatch.setattr(self.host, "_online", lambda: self.links[-1].connected)

    def _uplink(self, hello: Hello) -> FakeUplink:
        self.links.append(FakeUplink(hello, self.core))
        return self.links[-1]

    def push(self, version: int, minutes: float) -> None:
        (text,) = pack(self.part)
        body = {"cmd": "config", "id": f"c{version}", "version": version, "hash": digest(self.part),
                "part": 1, "parts": 1, "minutes": minutes, "text": text}  # fmt: skip
        self.links[-1].command(**sign(KEY, body))

    def confirm(self, version: int) -> None:
        self.links[-1].command(**sign(KEY, {"cmd": "confirm", "id": "k", "version": version}))

    def steps(self, id_: str) -> list[str]:
        return [str(b.get("step")) for leaf, b in self.core.other if leaf == "reply" and b["id"] == id_]


@pytest.mark.slow
async def test_an_input_that_comes_with_a_push_switches_the_siren(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    siren = tmp_path / "siren"
    lift = Lift()
    async with on_tcp(lift, 12):
        site = Site(tmp_path, lift)
        site.begin(monkeypatch)
        task = asyncio.create_task(site.host.run())
        try:
            await until(lambda: bool(site.links) and siren.exists(), 30)
            site.links[-1].link(up=True)
            await until(lambda: bool(site.core.other), 30)
            lift.pressed = True
            site.push(3, minutes=0.05)
            await until(lambda: "trial" in site.steps("c3"), 30)
            site.confirm(3)
            await until(lambda: "kept" in site.steps("c3"), 60)
            assert siren.read_text() == "0\n", "the link stands: the core does it"
            site.links[-1].link(up=False)
            await until(lambda: siren.read_text() == "1\n", 30)
            lift.pressed = False
            await until(lambda: siren.read_text() == "0\n", 30)
        finally:
            await stop(task)


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
