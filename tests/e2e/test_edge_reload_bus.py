"""One connection, fifty devices behind it, another configuration: the 49 that stay miss no poll.

A real Modbus TCP server counts every request of every unit. Site time is virtual and stands while the line
is busy, so that a poll that is missed is one that was not made, however slow the machine is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from drivers.profiles.bind import bind
from drivers.profiles.loader import load_profile
from drivers.registry import make_driver
from gateway.adapters.clock import ManualClock
from gateway.edge.agent import Edge
from gateway.edge.config import DeviceConfig, EdgeConfig, Hello, LineConfig
from gateway.edge.line import Line
from simulators.modbus_server import tcp_server
from tests.e2e.test_edge_bus_counts import Bed
from tests.unit.gateway_edge.edge_fakes import FakeCore, MemoryUplink, stop

PERIOD_S = 0.5
POINTS = 21
"""Of each device, in two requests."""
REQUESTS = 2
STEP_S = 0.02
EDITED, REMOVED, ADDED = "d7", "d13", "d51"


class Site:
    """An edge with one line to one server, and its core."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.clock, self.core = ManualClock(), FakeCore()
        self.uplinks: list[MemoryUplink] = []

    def config(self, devices: Sequence[DeviceConfig]) -> EdgeConfig:
        """Each time with a driver of its own, as a site file that is read again gives it."""
        driver = make_driver("modbus_tcp", {"host": "127.0.0.1", "port": self.port}, self.clock)
        line = LineConfig("gateway", driver, devices, min_timeout_s=30.0, content="the same address")
        return EdgeConfig("garden", "gw-1", [line], self.folder, "cfg", "1", tick_s=0.01, account_s=1.0)

    def make(self, hello: Hello) -> MemoryUplink:
        self.uplinks.append(MemoryUplink(hello, self.core))
        return self.uplinks[-1]

    async def idle(self, line: Line) -> None:
        """Nothing is under way on the wire."""
        async with asyncio.timeout(60):
            while line._asleep is None:  # noqa: ASYNC110 - a line that falls asleep sets no event
                await asyncio.sleep(0)

    async def go(self, edge: Edge, site_seconds: float) -> None:
        for _ in range(round(site_seconds / STEP_S)):
            await self.idle(edge._fleet.lines[0])
            await self.clock.advance(STEP_S)

    async def round_begins(self, edge: Edge) -> None:
        """To an instant at which requests are under way."""
        line = edge._fleet.lines[0]
        async with asyncio.timeout(60):
            await self.idle(line)
            while line._asleep is not None:
                await self.clock.advance(STEP_S)

    async def end(self, edge: Edge) -> None:
        """Stop between two rounds, and until the core has all of it."""
        await self.idle(edge._fleet.lines[0])
        await edge.stop_polling()
        async with asyncio.timeout(60):
            while not edge.drained:
                await self.clock.advance(STEP_S)
                await asyncio.sleep(0.001)


async def test_fifty_units_behind_one_gateway(tmp_path: Path) -> None:
    bed = Bed(tmp_path, 51, PERIOD_S)
    profile = load_profile(str(tmp_path / "twenty.yaml"))
    devices = {d.id: replace(d, timeout_s=30.0, content=d.id) for d in bed.devices}
    first = [d for d in devices.values() if d.id != ADDED]
    async with tcp_server(bed.images) as port:
        site = Site(tmp_path, port)
        edge = Edge(site.config(first), site.clock, site.make)
        running = asyncio.create_task(edge.run())
        try:
            async with asyncio.timeout(60):
                await edge.started.wait()
            site.uplinks[-1].link(up=True)
            line = edge._fleet.lines[0]
            await site.go(edge, 2.0)
            under_way = 0
            for k in range(6):
                await site.go(edge, 0.34)
                await site.round_begins(edge)
                edited = bind(profile, "a7", period_s=PERIOD_S * (1 + k % 2))
                devices[EDITED] = replace(devices[EDITED], model=edited, content=f"edit {k}")
                wanted = [d for d in devices.values() if d.id != ADDED or k >= 2]
                wanted = [d for d in wanted if d.id != REMOVED or k < 4]
                under_way += line._asleep is None
                change = await edge.apply(site.config(wanted))
                assert (change.changed, change.started, change.stopped) == (("gateway",), (), ())
            await site.go(edge, 2.0)
            assert under_way > 0
            assert edge._fleet.lines == [line]
            assert line.missed == 0
            await site.end(edge)
        finally:
            await stop(running)
    driver = edge.config.lines[0].driver
    assert driver.stats.opened == 1, "the connection was made anew"  # type: ignore[attr-defined]  # Modbus counts
    check(bed, site, edge)


def check(bed: Bed, site: Site, edge: Edge) -> None:
    """The account, what the core got, and the server's own counts say the same."""
    account = site.core.account(edge.boot)
    assert account.outbox == 0
    rounds = {name: bed.counts(name).requests / REQUESTS for name in bed.names}
    stay = [name for name in bed.names if name not in (EDITED, REMOVED, ADDED)]
    assert len(stay) == 48
    most = max(rounds[name] for name in stay)
    assert most >= 10
    for name, d in account.devices.items():
        assert d.residual == 0, (name, d)
        assert sum(d.gaps.values()) == 0 or name in (EDITED, REMOVED), (name, d)
        assert set(d.gaps) <= {"stopped"}, (name, d)
        assert d.due == POINTS * -(-bed.counts(name).requests // REQUESTS), (name, d)
        kept = sum(len(rows) for id_, rows in site.core.series().items() if id_.startswith(f"a{name[1:]}/"))
        assert d.stored == kept, (name, d)
    assert {rounds[name] for name in stay} <= {most, most - 1}, "somebody missed a round"
    assert 0 < rounds[ADDED] < most
    assert 0 < rounds[REMOVED] < most
    assert rounds[EDITED] < most, "every second time it had twice the period"
