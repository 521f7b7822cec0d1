"""A speed that the wires cannot keep is refused with the highest possible one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.app.setup import load_setup
from gateway.app.speed import check_speed, highest_speed, load_of, request_s
from gateway.config.site import Device, Line
from gateway.edge.plan import Read
from gateway.errors import BadInput

EXAMPLES = Path(__file__).parents[3] / "examples"
DEVICE = Device(id="d", profile="p", asset="a")


def line(kind: str, **options: object) -> Line:
    return Line(id="l", kind=kind, devices=(DEVICE,), options=dict(options))


def test_the_wire_time_of_a_serial_read() -> None:
    read = Read("holding", 0, 20, 1.0, (0,))
    # 53 characters of 10 bits and two silences of 3.5 characters at 9600 baud: 62.5 ms
    assert request_s(line("modbus_rtu", baud=9600), read) == pytest.approx(0.0625, abs=1e-4)
    assert request_s(line("modbus_rtu", baud=9600, parity="E"), read) > 0.067
    assert request_s(line("modbus_rtu", baud=115200), read) == pytest.approx(0.0081, abs=1e-4)
    assert request_s(line("modbus_rtu_tcp", baud=9600), read) == request_s(
        line("modbus_rtu", baud=9600), read
    )
    assert request_s(line("modbus_ascii", baud=9600), read) > 0.11
    assert request_s(line("ascii_line"), read) == 0


def test_the_demo_may_run_as_fast_as_its_slowest_line() -> None:
    setup = load_setup(EXAMPLES / "demo.yaml")
    limit, name = highest_speed(setup)
    gateway = setup.site.file.gateways[0]
    loads = {x.id: load_of(setup, gateway, x) for x in gateway.lines}
    assert limit * loads[name] == pytest.approx(0.8)
    assert loads[name] == max(loads.values())
    check_speed(setup, limit)
    with pytest.raises(BadInput, match=f"at most {limit:.1f}"):
        check_speed(setup, limit + 0.2)
