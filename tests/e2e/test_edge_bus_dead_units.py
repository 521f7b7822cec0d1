"""Dead units on a real serial bus that keeps to its baud rate: what they cost the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.registry import make_driver
from gateway.edge.line import Line
from gateway.edge.wire import Wire
from simulators.modbus_server import rtu_server
from simulators.rtu_bus import serial_bus
from tests.e2e.test_edge_bus_counts import Bed
from tests.unit.gateway_edge.edge_fakes import until

BAUD = 19200
UNITS = 10


async def round_s(bed: Bed, line: Line, rounds: int) -> float:
    """Mean time from round to round of a healthy unit: two requests each."""
    started, asked = bed.clock.monotonic(), bed.counts("d1").requests
    await bed.rounds(line, 2 * rounds, "d1")
    return 2 * (bed.clock.monotonic() - started) / (bed.counts("d1").requests - asked)


@pytest.mark.slow
async def test_two_dead_units_of_ten_leave_the_others_their_rounds(tmp_path: Path) -> None:
    # A period that the bus cannot keep, so that it is read as fast as the wire allows.
    bed = Bed(tmp_path, UNITS, period_s=0.2)
    wire = Wire.serial(BAUD)
    async with serial_bus(BAUD) as bus, rtu_server(bed.images, bus):
        driver = make_driver("modbus_rtu", {"port": bus.outer, "baud": BAUD}, bed.clock)
        async with bed.polled(driver, wire, min_timeout_s=0.15) as line:
            await bed.rounds(line, 8, *bed.names)
            healthy = await round_s(bed, line, 10)
            bed.plant.faults = dict.fromkeys(("d4", "d9"), ("device_silent", 1.0))
            await until(lambda: line.silent_units == 2, 60)
            dead = {d: bed.counts(d).requests for d in ("d4", "d9")}
            started = bed.counts("d1").requests
            broken = await round_s(bed, line, 20)
            rounds = (bed.counts("d1").requests - started) / 2
            probes = {d: bed.counts(d).requests - n for d, n in dead.items()}
            overloaded = line.overloaded
            bed.plant.faults = {}
            line.retry_now()
            await until(lambda: line.silent_units == 0, 60)
    # The goal is 1.15; the machine that runs this test is shared.
    assert broken <= 1.5 * healthy
    assert all(n <= rounds / 2 for n in probes.values()), probes
    assert overloaded
    assert {cause for (_, cause) in bed.sink.gaps} >= {"breaker", "missed"}
