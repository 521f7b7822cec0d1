"""How much faster than life a site can be polled: the wire and the devices set the limit."""

from __future__ import annotations

from gateway.app.edge_role import max_gap, wire_of
from gateway.app.setup import Setup
from gateway.config.site import Gateway, Line
from gateway.edge.plan import Read, plan
from gateway.errors import BadInput

TCP_REQUEST_S = 0.004
"""Real seconds that a simulated device needs for one request (measured: 1 to 3 ms)."""
SHARE = 0.8
"""Of a line's time that the plan may fill; the rest is for retries and probes."""
MAX_SPEED = 600.0


def load_of(setup: Setup, gateway: Gateway, line: Line) -> float:
    """Real seconds of the line that one site second of polling costs at speed 1."""
    load = 0.0
    for device in line.devices:
        model = setup.models[gateway.id, device.id]
        gap = max_gap(line) if model.max_gap is None else model.max_gap
        periods = [p.period_s for p in model.points]
        for read in plan(model.spans, periods, model.max_registers, gap, ()):
            load += request_s(line, read) / read.period_s
    return load


def request_s(line: Line, read: Read) -> float:
    """Real seconds of one request and its answer."""
    if line.kind == "modbus_tcp":
        return TCP_REQUEST_S
    wire = wire_of(line)
    return wire.read_s(read.area, read.count) if wire else 0.0  # a talking sensor is only listened to


def highest_speed(setup: Setup) -> tuple[float, str]:
    """(site seconds per real second that every line can keep, the line that sets it)."""
    limit, name = MAX_SPEED, ""
    for gateway in setup.site.file.gateways:
        for line in gateway.lines:
            load = load_of(setup, gateway, line)
            if load > 0 and SHARE / load < limit:
                limit, name = SHARE / load, line.id
    return limit, name


def check_speed(setup: Setup, speed: float) -> None:
    """Raises BadInput with the highest possible speed when the poll plan cannot keep this one."""
    limit, line = highest_speed(setup)
    if speed > limit:
        raise BadInput(
            f"{speed:g} is faster than line {line} can be polled",
            field="--speed",
            hint=f"at most {limit:.1f}",
        )
