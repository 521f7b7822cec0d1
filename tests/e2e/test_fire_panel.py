"""A simulated panel, its line of the site file, the edge, the core's side of the wire: the fire and its text.

The site file and the profile are those of docs/how-to/fire-panel.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.adapters.clock import SystemClock
from gateway.app.checks import check_site
from gateway.app.edge_role import choose, edge_config
from gateway.app.setup import load_setup
from gateway.codec import EventMessage
from gateway.edge.agent import Edge
from simulators.gb26875_device import FireDevice, dialled_in
from simulators.gst_panel import PrinterPort, printer_port
from tests.unit.gateway_edge.edge_fakes import FakeCore, MemoryUplink, until

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "fire-panel.md"
HEAD = (
    "site: {id: s, name: {en: S}}\nfirms: [{id: f, name: {en: F}}]\n"
    "estates: [{id: home, firm: f, name: {en: Home}}]\n"
)
NOW = 1_790_000_000_000


def site_file(folder: Path, *, tcp_port: int = 26_875, tty: str = "/dev/ttyUSB0") -> Path:
    """The guide's installation, at this port and on this serial line."""
    site, profile = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    site = site.replace("192.168.1.10", "127.0.0.1").replace("port: 26875", f"port: {tcp_port}")
    (folder / "site.yaml").write_text(HEAD + site.replace("/dev/ttyUSB0", tty), encoding="utf-8")
    (folder / "hydrant.yaml").write_text(profile, encoding="utf-8")
    return folder / "site.yaml"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class Chain:
    """The edge of the guide's site between two panels and a core in memory."""

    def __init__(self, device: FireDevice, printer: PrinterPort, core: FakeCore) -> None:
        self.device, self.printer, self.core = device, printer, core

    def events(self, point: str) -> list[EventMessage]:
        return [
            m
            for m in self.core.messages
            if isinstance(m, EventMessage) and self.core.tables[m.tab].points[m.i].id == point
        ]

    def last(self, point: str) -> float:
        events = self.events(point)
        return events[-1].v if events else math.nan

    def texts(self, point: str) -> str:
        return " | ".join(str(e.attrs.get("text", "")) for e in self.events(point))


@asynccontextmanager
async def chain(folder: Path) -> AsyncIterator[Chain]:
    clock, core, uplinks = SystemClock(), FakeCore(), list[MemoryUplink]()
    port = free_port()

    def make(hello: object) -> MemoryUplink:
        uplinks.append(MemoryUplink(hello, core))  # type: ignore[arg-type]  # it is a Hello
        return uplinks[-1]

    with printer_port(clock) as printer:
        setup = load_setup(site_file(folder, tcp_port=port, tty=printer.path))
        edge = Edge(edge_config(setup, folder / "data", choose(setup, "gw-1"), clock), clock, make)
        running = asyncio.create_task(edge.run())
        await asyncio.wait_for(edge.started.wait(), 20)
        uplinks[0].link(up=True)
        device = FireDevice("010203040506", clock, port=port)
        try:
            async with dialled_in(device):
                yield Chain(device, printer, core)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def test_a_detector_in_fire_reaches_the_core_with_its_text_and_ends_with_the_reset(
    tmp_path: Path,
) -> None:
    async with chain(tmp_path) as c:
        await until(lambda: c.last("fire-1/fire.panel.alarm") == 0, 60)
        c.device.part(0x000600D9, 0x0002, "Ａ区１层呷哺走廊")
        await until(lambda: c.last("fire-1/fire.panel.alarm") == 1, 60)
        await until(lambda: "Ａ区１层呷哺走廊" in c.texts("fire-1/fire.panel.fire_text"), 60)
        assert c.last("fire-1/fire.alarm_count") == 1
        c.device.reset()
        await until(lambda: c.last("fire-1/fire.panel.alarm") == 0, 60)


async def test_a_fire_that_came_and_went_between_two_reads_reaches_the_core(tmp_path: Path) -> None:
    async with chain(tmp_path) as c:
        await until(lambda: c.last("fire-1/fire.panel.alarm") == 0, 60)
        c.device.part(7, 3, "大厅")
        c.device.part(7, 1, "大厅")
        await until(lambda: [e.v for e in c.events("fire-1/fire.panel.alarm")][-2:] == [1.0, 0.0], 60)


async def test_a_pressure_by_a_profile_of_the_site(tmp_path: Path) -> None:
    async with chain(tmp_path) as c:
        await until(lambda: bool(c.device.answers), 60)
        c.device.analog(1, 5, 4500, system=(11, 1), part_type=91)
        await until(
            lambda: [v for _, v in c.core.series().get("fire-1/fire.hydrant_p", [])][-1:] == [0.45], 60
        )


async def test_a_printed_fire_reaches_the_core_with_its_place(tmp_path: Path) -> None:
    async with chain(tmp_path) as c:
        await until(lambda: len(c.events("fire-2/fire.panel.alarm")) > 0, 60)
        assert math.isnan(c.last("fire-2/fire.panel.alarm")), "not known before the first print"
        c.printer.fire("004-004", "裙楼一层上空")
        await until(lambda: c.last("fire-2/fire.panel.alarm") == 1, 60)
        await until(lambda: "裙楼一层上空" in c.texts("fire-2/fire.panel.fire_text"), 60)
        c.printer.reset()
        await until(lambda: c.last("fire-2/fire.panel.alarm") == 0, 60)


def test_the_site_of_the_guide_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_site(site_file(tmp_path), NOW, as_json=True) == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('"010203040506"', "010203040506", "devices.1.address"),
        ('"010203040506"', '"0102"', "devices.1.address"),
        ("unit: 1, profile: gb26875_panel", "unit: 3, profile: gb26875_panel", "unit 3 has no address"),
        ("profile: gb26875_panel", "profile: level_wl_ascii", "'WL' is no sentence of GB/T 26875.3"),
        ("profile: gst9000_printer", "profile: gb26875_panel", "a printer port gives only the sentence"),
        ("profile: gb26875_panel", "profile: steward_fire", "speaks modbus"),
        ("heartbeat_s: 120", "heartbeat: 120", "heartbeat"),
    ],
)
def test_mistakes_are_told_with_their_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], right: str, wrong: str, said: str
) -> None:
    site = site_file(tmp_path)
    text = site.read_text(encoding="utf-8")
    assert right in text
    site.write_text(text.replace(right, wrong), encoding="utf-8")
    assert check_site(site, NOW, as_json=False) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "site.yaml:" in told
