"""The process that reads devices: one edge of a site file."""

from __future__ import annotations

from pathlib import Path

from drivers.registry import DRIVERS
from gateway.adapters.mqtt_side import MqttAddress
from gateway.adapters.paho_uplink import PahoUplink, Tls
from gateway.app.context import ClockOrigin, broker_url
from gateway.app.setup import Setup
from gateway.config.site import Gateway, Line, check_as
from gateway.edge.agent import Edge
from gateway.edge.config import DeviceConfig, EdgeConfig, Hello, LineConfig
from gateway.edge.health import DEVICE, Vitals, self_line
from gateway.errors import BadInput
from gateway.ports import Clock

VERSION = "0.1.0"


async def run_edge(setup: Setup, data: Path, gateway: str) -> None:
    """Until cancelled. Raises BadInput when the site has no such gateway."""
    clock = ClockOrigin.from_env().clock()
    here = choose(setup, gateway)
    vitals = Vitals(edge_folder(data, here), clock)
    config = edge_config(setup, data, here, clock, vitals)
    address = MqttAddress.parse(broker_url(setup.site.file.broker.url))

    def uplink(hello: Hello) -> PahoUplink:
        return PahoUplink(
            address.host, address.port, client_id=hello.client_id, subscribe=hello.subscribe, will=hello.will,
            username=address.user, password=address.password, tls=Tls() if address.tls else None,
        )  # fmt: skip

    edge = Edge(config, clock, uplink)
    vitals.source = edge.facts
    await edge.run()


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
        folder, setup.hash, VERSION, gateway.outbox_mb * 1_000_000,
    )  # fmt: skip


def max_gap(line: Line) -> int:
    """Unused registers that cost less than a second request would: 50 on TCP, fewer on a serial bus."""
    if line.kind != "modbus_rtu":
        return 50
    return 10 if int(line.options.get("baud", 9600)) <= 19_200 else 27


def _line(setup: Setup, gateway: Gateway, line: Line, clock: Clock) -> LineConfig:
    kind = DRIVERS[line.kind]
    options = check_as(kind.options, line.options, setup.site.marks)
    devices = [DeviceConfig(d.id, d.unit, setup.models[gateway.id, d.id], d.timeout_s) for d in line.devices]
    return LineConfig(line.id, kind.factory(options, clock), devices, max_gap(line))
