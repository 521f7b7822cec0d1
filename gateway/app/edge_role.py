"""What a site file says about one edge, as the edge needs it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from drivers.registry import BUSES, DRIVERS
from gateway.app.edge_outputs import dangers
from gateway.app.edge_part import edge_part, part_hash
from gateway.app.setup import Setup
from gateway.app.writable import writable
from gateway.config.site import Device, Gateway, Line, check_as
from gateway.edge.config import DeviceConfig, EdgeConfig, LineConfig
from gateway.edge.health import DEVICE, Vitals, self_line
from gateway.edge.wire import TCP, Wire
from gateway.errors import BadInput
from gateway.ports import Clock

VERSION = "0.1.0"


def choose(setup: Setup, gateway: str) -> Gateway:
    """The gateway with this id; "" is fine when there is only one."""
    known = {g.id: g for g in setup.site.file.gateways}
    if gateway in known:
        return known[gateway]
    if not gateway and len(known) == 1:
        return next(iter(known.values()))
    raise BadInput(
        f"there is no gateway {gateway!r} in the site file", field="--gateway",
        hint=f"known: {', '.join(known) or 'none'}",
    )  # fmt: skip


def edge_folder(data: Path, gateway: Gateway) -> Path:
    """Where an edge keeps what is its own."""
    return data / "edge" / gateway.id


def edge_config(
    setup: Setup, data: Path, gateway: Gateway, clock: Clock, vitals: Vitals | None = None
) -> EdgeConfig:
    """Lines with their drivers, devices with their models; and the line on which the edge reads itself.

    vitals: of the running edge; without them (a changed configuration) the line that runs is kept.
    """
    folder = edge_folder(data, gateway)
    own = self_line(vitals or Vitals(folder, clock), setup.models[gateway.id, DEVICE], clock)
    return EdgeConfig(
        gateway.estate, gateway.id, [*(_line(setup, gateway, line, clock) for line in gateway.lines), own],
        folder, part_hash(edge_part(setup, gateway)), VERSION, gateway.outbox_mb * 1_000_000,
        outbox_days=gateway.outbox_days, dangers=dangers(setup, gateway.id),
    )  # fmt: skip


def wire_of(line: Line) -> Wire | None:
    """What requests cost on a line; None where nothing is asked in registers."""
    if line.kind == "modbus_tcp":
        return TCP
    if line.kind not in BUSES:
        return None
    ascii_frames = line.kind == "modbus_ascii"
    options = line.options
    bits = 1 + int(options.get("bytesize", 7 if ascii_frames else 8)) + int(options.get("stopbits", 1))
    bits += options.get("parity", "E" if ascii_frames else "N") != "N"
    # A byte is two characters in ASCII frames.
    return Wire.serial(int(options.get("baud", 9600)), bits * 2 if ascii_frames else bits)


def max_gap(line: Line) -> int:
    """Unused registers that cost less than a second request would: 50 on TCP, fewer on a serial bus."""
    return (wire_of(line) or TCP).max_gap


def _line(setup: Setup, gateway: Gateway, line: Line, clock: Clock) -> LineConfig:
    kind = DRIVERS[line.kind]
    options = check_as(kind.options, line.options, setup.site.marks)
    devices = [_device(setup, gateway, line, d) for d in line.devices]
    made = f"{line.kind} {options.model_dump_json()}"
    driver = kind.factory(options, clock)
    return LineConfig(line.id, driver, devices, max_gap(line), content=made, wire=wire_of(line))


def _device(setup: Setup, gateway: Gateway, line: Line, device: Device) -> DeviceConfig:
    model = setup.models[gateway.id, device.id]
    bound = device.model_dump_json(include={"asset", "rename", "assets", "period_s"})
    made = hashlib.sha256(f"{bound} {model.profile.model_dump_json()}".encode()).hexdigest()
    allowed = writable(device, model)
    return DeviceConfig(device.id, device.unit, model, device.timeout_s, content=made, writes=allowed)
