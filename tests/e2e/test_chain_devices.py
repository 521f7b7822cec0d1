"""Devices that misbehave, from real Modbus TCP through drivers, edge and a broker in memory to the core."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from gateway.adapters.clock import SystemClock
from gateway.adapters.memory_bus import MemoryBroker, MemoryBus, MemoryUplink
from gateway.adapters.memory_store import MemoryStore
from gateway.adapters.state import open_state
from gateway.app.edge_role import edge_config
from gateway.app.setup import Setup, load_setup
from gateway.codec import DeviceAccount
from gateway.core.desk import CoreDesk
from gateway.core.loop import Core
from gateway.core.view import stale_after_s
from gateway.edge.agent import Edge
from gateway.edge.config import Hello
from gateway.model import EVERYTHING, Level, level_of
from simulators.layout import demo_layout
from simulators.pytest_plugin import EstateFactory, LiveEstate
from simulators.site import site_dict
from tests.e2e.chain_support import make_core

SPEED = 2.0
LINE = "e1-plant"
BROKEN = {"ws-plc": "device_silent", "gen-dse": "device_exception", "em-meter": "device_short"}
"""Fault by device; each is the only one of its asset."""


@dataclass
class Chain:
    """Everything of one line, running."""

    live: LiveEstate
    setup: Setup
    core: Core
    edge: Edge
    clock: SystemClock

    def levels(self, device: str) -> dict[str, Level]:
        """How far each value of a device may be trusted, as a screen would show it."""
        values = CoreDesk(self.core, lambda *_: True).snapshot(EVERYTHING)["values"]
        mine = {p for p, (_, d) in self.setup.device_of.items() if d == device}
        return {p: level_of(q) for p, (_, _, q) in values.items() if p in mine}

    def limit_ms(self, point: str) -> float:
        """How old the proof of a value may be."""
        found = self.core.view.point(point)
        assert found is not None
        return stale_after_s(found) * 1000

    def account(self) -> Mapping[str, DeviceAccount]:
        (edge,) = self.core.edges.all.values()
        assert edge.account is not None
        return edge.account.devices

    async def until_accounted(self, after: int) -> None:
        """The first account that was written after this site time."""
        (edge,) = self.core.edges.all.values()
        async with asyncio.timeout(60):
            while edge.account is None or edge.account.t <= after:  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.05)


def plant_only(endpoints: Mapping[str, str], folder: Path) -> Setup:
    """The demonstration's site with one line of one edge."""
    site = site_dict(demo_layout(1), endpoints)
    (gateway,) = site["gateways"]
    gateway["lines"] = [line for line in gateway["lines"] if line["id"] == LINE]
    site["virtual"] = []  # they look at points of the other lines
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(site, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return load_setup(path)


@contextlib.asynccontextmanager
async def chain(estate: EstateFactory, folder: Path) -> AsyncIterator[Chain]:
    clock = SystemClock(SPEED)
    broker = MemoryBroker()
    state = open_state(folder / "state.db", durable=False)
    async with estate("calm", clock=clock) as live:
        setup = plant_only(live.endpoints.lines, folder)
        (gateway,) = setup.site.file.gateways

        def uplink(hello: Hello) -> MemoryUplink:
            return MemoryUplink(broker, gateway.estate, gateway.id, hello.will())

        core = make_core(setup, state, MemoryStore(), MemoryBus(broker), clock, folder)
        edge = Edge(edge_config(setup, folder, gateway, clock), clock, uplink)
        tasks = [asyncio.create_task(core.run()), asyncio.create_task(edge.run())]
        try:
            yield Chain(live, setup, core, edge, clock)
        finally:
            for task in reversed(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            state.close()


@pytest.mark.slow
async def test_broken_units_cost_the_others_nothing_and_show_nothing_current(
    estate: EstateFactory, tmp_path: Path
) -> None:
    async with chain(estate, tmp_path) as c:
        (gateway,) = c.setup.site.file.gateways
        devices = [d for line in gateway.lines for d in line.devices]
        asset = {d.id: d.asset for d in devices}
        others = [d.id for d in devices if d.id not in BROKEN]
        assert len(others) >= 2
        await c.core.ready.wait()
        await c.until_accounted(c.clock.now() + 5_000)
        for d in devices:
            assert set(c.levels(d.id).values()) == {Level.GOOD}, d.id

        start = c.clock.now()
        for device, kind in BROKEN.items():
            c.live.fault(kind, asset[device])
        await c.until_accounted(start + 5_000)
        before = c.account()
        await c.until_accounted(start + 50_000)
        after = c.account()
        for device, kind in BROKEN.items():
            old = {p for p in c.levels(device) if c.limit_ms(p) + 15_000 < c.clock.now() - start}
            assert len(old) > 3
            current = {p: x for p, x in c.levels(device).items() if p in old and x < Level.STALE}
            assert current == {}, kind
        for device in others:
            assert set(c.levels(device).values()) == {Level.GOOD}, device
            due = after[device].due - before[device].due
            gaps = Counter(after[device].gaps) - Counter(before[device].gaps)
            assert due > 0
            assert set(gaps) <= {"missed"}, device  # a busy machine, and site time runs fast
            assert gaps.total() <= due * 0.1, (device, due, gaps)
        found = {a.asset for a in c.core.parts.dispatch.book.alarms.values() if a.rule.endswith(".no_data")}
        assert found == {asset[device] for device in BROKEN}

        for device in BROKEN:
            c.live.clear(asset=asset[device])
        healed = c.clock.now()
        while c.clock.now() < healed + 60_000:
            if all(set(c.levels(d).values()) == {Level.GOOD} for d in BROKEN):
                break
            await asyncio.sleep(0.2)
        for device in BROKEN:
            assert set(c.levels(device).values()) == {Level.GOOD}, device
        await c.edge.stop_polling()
        async with asyncio.timeout(30):
            while not c.edge.drained:  # noqa: ASYNC110 - polls a property of another task
                await asyncio.sleep(0.05)
            sheet = c.core.balance.sheet()
            while sheet.residual or sheet.in_outbox:
                await asyncio.sleep(0.05)
                sheet = c.core.balance.sheet()
        assert {"timeout", "exception", "garbled"} & set(sheet.gaps)
        assert sheet.due == sheet.stored + sheet.suppressed + sheet.thinned + sum(sheet.gaps.values())
