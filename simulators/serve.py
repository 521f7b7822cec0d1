"""All lines of a layout as live endpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.ports import Clock
from simulators.ascii_sensor import text_sensor
from simulators.devices import Counts, DeviceImage
from simulators.layout import Layout, LinePlan
from simulators.modbus_server import rtu_server, tcp_server
from simulators.rtu_bus import Bus, serial_bus
from simulators.world import Live, Simulation

BASE_PORT = 15_020


@dataclass(slots=True)
class Endpoints:
    """Where everything answers.

    lines: URL by line id, `tcp://127.0.0.1:15020`, `rtu:/path?baud=38400&parity=N` or
    `ascii:/path?baud=9600&parity=N` · buses: the serial buses · images: the devices by id.
    """

    layout: Layout
    lines: dict[str, str] = field(default_factory=dict)
    buses: dict[str, Bus] = field(default_factory=dict)
    images: dict[str, DeviceImage] = field(default_factory=dict)

    def devices(self) -> list[dict[str, Any]]:
        """The rows of `simulate --json`."""
        return [
            {
                "device": device.id,
                "asset": device.asset,
                "estate": line.estate,
                "profile": device.profile,
                "endpoint": self.lines[line.id],
                "unit": device.unit,
            }
            for line, device in self.layout.devices()
        ]

    def counts(self) -> Mapping[str, Counts]:
        """What each device was asked."""
        return {id_: image.counts for id_, image in self.images.items()}


def planned_lines(layout: Layout, folder: str, base_port: int = BASE_PORT) -> dict[str, str]:
    """The URLs that `serve` gives with this base port and folder, without serving."""
    urls: dict[str, str] = {}
    port = base_port
    for line in layout.lines:
        if line.kind == "modbus_tcp":
            urls[line.id] = f"tcp://127.0.0.1:{port}"
            port += 1
        else:
            urls[line.id] = serial_url(line, f"{folder}/{line.id}")
    return urls


def serial_url(line: LinePlan, path: str) -> str:
    """`rtu:…` or `ascii:…` with the line's settings."""
    scheme = "rtu" if line.kind == "modbus_rtu" else "ascii"
    return f"{scheme}:{path}?baud={line.baud}&parity={line.parity}"


@asynccontextmanager
async def serve(
    simulation: Simulation,
    layout: Layout,
    clock: Clock,
    *,
    base_port: int = 0,
    folder: Path | None = None,
) -> AsyncIterator[Endpoints]:
    """Serve every line of the layout; all of it is gone on leaving.

    base_port: first of the TCP ports, 0 for free ones · folder: lasting names of the serial lines, by line
    id. Raises WorkFailed when a port is taken, Problems or BadInput for an unusable profile.
    """
    live = Live(simulation, clock)
    live.advance()
    endpoints = Endpoints(layout)
    port = base_port
    async with AsyncExitStack() as stack:
        for line in layout.lines:
            images = [DeviceImage(device, live) for device in line.devices]
            endpoints.images.update({image.plan.id: image for image in images})
            if line.kind == "modbus_tcp":
                bound = await stack.enter_async_context(tcp_server(images, port))
                endpoints.lines[line.id] = f"tcp://127.0.0.1:{bound}"
                port += 1 if base_port else 0
                continue
            link = folder / line.id if folder else None
            if line.kind == "modbus_rtu":
                bus = await stack.enter_async_context(serial_bus(line.baud, line.parity, link))
                await stack.enter_async_context(rtu_server(images, bus))
                endpoints.buses[line.id], path = bus, bus.outer
            else:
                path = await stack.enter_async_context(text_sensor(images[0], clock, line.baud, link))
            endpoints.lines[line.id] = serial_url(line, path)
        yield endpoints
