"""A line on a real serial bus and on real TCP: what it counts is exactly what the simulated devices count."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from drivers.profiles.bind import bind
from drivers.profiles.loader import load_profile
from drivers.registry import make_driver
from gateway.adapters.clock import SystemClock
from gateway.edge.clockguard import ClockGuard
from gateway.edge.config import DeviceConfig, LineConfig
from gateway.edge.line import Line
from gateway.edge.stats import UnitStats
from gateway.edge.unit import Unit
from gateway.edge.wire import TCP, Wire
from gateway.model import Ms
from gateway.ports import Driver
from simulators.devices import Counts, DeviceImage
from simulators.layout import DevicePlan
from simulators.modbus_server import rtu_server, tcp_server
from simulators.rtu_bus import serial_bus
from tests.unit.gateway_edge.edge_fakes import FakeSink, until

PATIENCE_S = 1.0
"""Longer than a busy test machine stalls: an answer that comes late is a count that differs."""

PROFILE = """\
name: twenty
title: {zh: 二十点, en: Twenty points}
kind: meter
source: {document: made for this test}
protocol: modbus
points:
  - {tag: "em.r{n}", name: {zh: "点 {n}", en: "Point {n}"}, area: holding, address: 0, type: u16,
     repeat: {count: 20, stride: 1}}
  - {tag: em.word, name: {zh: 字, en: Word}, area: input, address: 7, type: u16}
cases:
  - {name: one, holding: {0: "00 01"}, expect: {em.r1: 1}}
"""


@dataclass
class Plant:
    """Devices whose faults a test sets."""

    faults: dict[str, tuple[str, float]] = field(default_factory=dict)

    def advance(self) -> Ms:
        return 1

    def values(self, asset: str) -> Mapping[str, float]:
        return {"em.word": float(asset.removeprefix("a"))} | {f"em.r{k}": float(k) for k in range(1, 21)}

    def device_fault(self, device: str) -> tuple[str, float]:
        return self.faults.get(device, ("", 0.0))


class Bed:
    """Simulated units 1, 2, … and a line that polls them."""

    def __init__(self, folder: Path, units: int, period_s: float = 0.25) -> None:
        file = folder / "twenty.yaml"
        file.write_text(PROFILE, encoding="utf-8")
        self.plant, self.sink, self.clock = Plant(), FakeSink(), SystemClock()
        self.names = [f"d{n}" for n in range(1, units + 1)]
        self.images = [
            DeviceImage(DevicePlan(name, n, str(file), f"a{n}"), self.plant)
            for n, name in enumerate(self.names, 1)
        ]
        profile = load_profile(str(file))
        self.devices = [
            DeviceConfig(name, n, bind(profile, f"a{n}", period_s=period_s), PATIENCE_S)
            for n, name in enumerate(self.names, 1)
        ]

    def counts(self, device: str) -> Counts:
        return self.images[self.names.index(device)].counts

    @contextlib.asynccontextmanager
    async def polled(
        self, driver: Driver, wire: Wire, min_timeout_s: float = PATIENCE_S
    ) -> AsyncIterator[Line]:
        config = LineConfig("bus", driver, self.devices, wire.max_gap, wire=wire)
        units, base = [], 0
        for n, device in enumerate(self.devices):
            units.append(Unit(device, n, base, max_gap=wire.max_gap, min_timeout_s=min_timeout_s, lessons=()))
            base += len(device.model.points)
        line = Line(config, units, self.clock, ClockGuard(self.clock), self.sink)
        task = asyncio.create_task(line.run())
        try:
            yield line
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def rounds(self, line: Line, n: int, *devices: str) -> None:
        """Until each of them was asked `n` more times."""
        start = {d: self.counts(d).requests for d in devices}
        await until(lambda: all(self.counts(d).requests >= start[d] + n for d in devices), 60)


def unit_of(line: Line, device: str) -> UnitStats:
    return next(u for u in line.stats().units if device in u.devices)


def same(bed: Bed, stats: Sequence[UnitStats]) -> None:
    """Every count of the line is the devices' own; at most one request was under way when polling ended."""
    given_up = 0
    for unit in stats:
        own = bed.counts(unit.devices[0])
        refused = sum(unit.exceptions.values())
        ended = unit.answers + refused + unit.timeouts + unit.garbled
        last = unit.requests - ended
        given_up += last
        assert unit.requests == own.requests, unit
        assert own.answers - unit.answers - unit.garbled in {0, last}, unit
        assert own.exceptions - refused in {0, last}, unit
        assert own.silent - unit.timeouts in {0, last}, unit
        assert own.short == unit.garbled, unit
        assert sum(unit.rtt) == unit.answers, unit
    assert 0 <= given_up <= 1


async def live_through(bed: Bed, line: Line) -> None:
    """Well, then each kind of fault, then well again."""
    await bed.rounds(line, 5, *bed.names)
    bed.plant.faults = {
        "d2": ("device_silent", 1.0),
        "d3": ("device_exception", 1.0),
        "d4": ("device_short", 1.0),
    }
    await bed.rounds(line, 5, "d1", "d3")
    await bed.rounds(line, 2, "d2", "d4")
    bed.plant.faults = {}
    line.retry_now()
    await until(lambda: line.silent_units == 0, 60)
    await bed.rounds(line, 2, *bed.names)


Check = Callable[[Bed, Sequence[UnitStats]], None]


@pytest.mark.slow
async def test_counts_on_tcp_are_the_devices_own(tmp_path: Path) -> None:
    bed = Bed(tmp_path, 4)
    async with tcp_server(bed.images) as port:
        driver = make_driver("modbus_tcp", {"host": "127.0.0.1", "port": port}, bed.clock)
        async with bed.polled(driver, TCP) as line:
            await live_through(bed, line)
        stats = line.stats()
        same(bed, stats.units)
        assert stats.units[1].timeouts >= 2
        assert stats.units[2].exceptions[4] >= 4
        assert stats.units[3].garbled >= 2
        # 12 bytes a request on TCP.
        assert all(u.bytes_out == 12 * u.requests for u in stats.units)


@pytest.mark.slow
async def test_counts_on_a_paced_bus_are_the_devices_own_and_so_are_its_bytes(tmp_path: Path) -> None:
    bed = Bed(tmp_path, 4, period_s=0.5)
    wire = Wire.serial(19200)
    async with serial_bus(19200) as bus, rtu_server(bed.images, bus):
        driver = make_driver("modbus_rtu", {"port": bus.outer, "baud": 19200}, bed.clock)
        async with bed.polled(driver, wire) as line:
            await live_through(bed, line)
            utilisation = line.stats().utilisation
        stats = line.stats()
        same(bed, stats.units)
        # The bus names its directions from the devices' end.
        assert sum(u.bytes_out for u in stats.units) == bus.bytes_in
        heard = bus.bytes_out - sum(u.bytes_in for u in stats.units)
        assert 0 <= heard <= 45  # of the answer that was under way when polling ended
    assert 0 <= utilisation <= 1


async def test_every_value_lies_in_its_own_account(tmp_path: Path) -> None:
    bed = Bed(tmp_path, 3)
    async with tcp_server(bed.images) as port:
        driver = make_driver("modbus_tcp", {"host": "127.0.0.1", "port": port}, bed.clock)
        async with bed.polled(driver, TCP) as line:
            await bed.rounds(line, 8, *bed.names)
    points = [len(d.model.points) for d in bed.devices]
    for gid, rows in bed.sink.values.items():
        device, n = divmod(gid, points[0])
        expected = float(n + 1) if n < 20 else float(device + 1)
        assert {v for _, v in rows} == {expected}
    assert not bed.sink.gaps or {cause for _, cause in bed.sink.gaps} <= {"stopped"}


@pytest.mark.parametrize("devices", [13])
async def test_thirteen_facilities_of_one_controller_cost_it_one_request_a_round(
    tmp_path: Path, devices: int
) -> None:
    bed = Bed(tmp_path, 1)
    profile = load_profile(str(tmp_path / "twenty.yaml"))
    # The same controller holds all of them: each reads the registers it needs, here all the same ones.
    bed.devices = [
        DeviceConfig(f"room{n}", 1, bind(profile, f"room{n}", period_s=0.25), PATIENCE_S)
        for n in range(devices)
    ]
    async with tcp_server(bed.images) as port:
        driver = make_driver("modbus_tcp", {"host": "127.0.0.1", "port": port}, bed.clock)
        async with bed.polled(driver, TCP) as line:
            await bed.rounds(line, 10, "d1")
        (unit,) = line.stats().units
    assert unit.requests == bed.counts("d1").requests
    assert len(unit.devices) == devices
    # Two areas, so two requests a round, whatever the number of facilities.
    rounds = unit.answers / 2
    assert all(bed.sink.count[d] >= 21 * (rounds - 1) for d in range(devices))
