"""The ways in which a device or a profile is wrong, each on a real line under the edge's own scheduler.

Each ends in a quality with its reason or in a gap with its cause, in a count, and in words for a technician.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import tty
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from drivers.modbus_frames import EXCEPTIONS, Fault
from drivers.profiles.bind import bind
from drivers.profiles.textline import frame
from drivers.registry import make_driver
from gateway import advice
from gateway.adapters.clock import SystemClock
from gateway.edge.clockguard import ClockGuard
from gateway.edge.config import DeviceConfig, LineConfig
from gateway.edge.line import Line
from gateway.edge.unit import Unit
from gateway.model import Reason, Text, reason_of
from gateway.ports import DeviceError, Driver
from tests.unit.drivers.test_drivers_decode import NAME, profile
from tests.unit.drivers.wire_devices import Device, RtuDevice, TcpDevice, on_pty, on_tcp

UNIT = 7
TIMEOUT_S = 0.1


@dataclass
class Seen:
    """What came out of a line."""

    gaps: dict[str, int] = field(default_factory=dict)
    values: list[tuple[float, int]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def readings(self, device: int, gid: Any, t: int, v: Any, q: Any, attrs: Mapping[int, Any]) -> None:
        self.values += zip(v.tolist(), q.tolist(), strict=True)
        self.news.set()

    def gap(self, device: int, cause: str, points: int) -> None:
        self.gaps[cause] = self.gaps.get(cause, 0) + points
        self.news.set()

    def learned(self, device: int, lessons: Any) -> None:
        """Not of interest here."""


@asynccontextmanager
async def polled(driver: Driver, model: Any, seen: Seen) -> AsyncIterator[Line]:
    """A line with one device under the edge's scheduler."""
    clock = SystemClock()
    device = DeviceConfig("d", UNIT, model, TIMEOUT_S)
    line = Line(
        LineConfig("line", driver, [device]),
        [Unit(device, 0, 0, max_gap=10, min_timeout_s=TIMEOUT_S, lessons=())],
        clock, ClockGuard(clock), seen,
    )  # fmt: skip
    task = asyncio.create_task(line.run())
    try:
        async with asyncio.timeout(30):
            await seen.news.wait()
        yield line
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(happened: Callable[[], bool]) -> None:
    clock = SystemClock()
    deadline = clock.monotonic() + 30
    while not happened():
        assert clock.monotonic() < deadline
        await clock.sleep_real(0.01)


def model_of(point: dict[str, Any] | None = None) -> Any:
    one = {"area": "holding", "address": 100, "type": "u16", **(point or {})}
    return bind(profile(one, period_s=0.1), "asset")


def on_wire(device: Device) -> AbstractAsyncContextManager[Device]:
    return on_pty(device) if isinstance(device, RtuDevice) else on_tcp(device, 12)


def made(device: Device) -> Driver:
    kind = "modbus_rtu" if isinstance(device, RtuDevice) else "modbus_tcp"
    return make_driver(kind, device.options, SystemClock())


def readable(text: Text) -> None:
    """Both languages, with something to do in each."""
    assert set(text) == {"zh", "en"}
    assert any("一" <= letter <= "鿿" for letter in text["zh"])
    assert text["en"].isascii()
    assert all(words.rstrip().endswith(("。", ".")) for words in text.values())


# ── the device answers wrongly, or not at all ─────────────────────────────────────────────────────────

WIRE: dict[str, tuple[type[Device], str, Fault]] = {
    "too short": (TcpDevice, "short", Fault.SHORT),
    "too long": (TcpDevice, "long", Fault.LONG),
    "wrong byte count": (TcpDevice, "byte count too small", Fault.BYTE_COUNT),
    "foreign unit": (TcpDevice, "foreign unit", Fault.UNIT),
    "foreign transaction": (TcpDevice, "no id", Fault.TRANSACTION),
    "foreign function": (TcpDevice, "other function", Fault.FUNCTION),
    "junk": (TcpDevice, "junk", Fault.JUNK),
    "junk first": (TcpDevice, "junk first", Fault.JUNK),
    "half": (TcpDevice, "half", Fault.CUT),
    "bad CRC": (RtuDevice, "bad crc", Fault.CRC),
    "foreign unit on a bus": (RtuDevice, "foreign unit", Fault.UNIT),
    "two answer at once": (RtuDevice, "twice", Fault.LONG),
    "half on a bus": (RtuDevice, "half", Fault.CUT),
    "short on a bus": (RtuDevice, "short", Fault.SHORT),
}


@pytest.mark.parametrize("way", WIRE)
async def test_an_answer_that_is_not_one_is_a_gap_and_is_counted_by_its_fault(way: str) -> None:
    kind, mode, fault = WIRE[way]
    device, seen, model = kind(), Seen(), model_of({"type": "u32"})
    device.mode = mode
    async with on_wire(device):
        driver = made(device)
        async with polled(driver, model, seen) as line:
            counts = line.stats().units[0]
            assert counts.garbled >= 1
            assert driver.stats.unit(UNIT).faults[fault] >= 1  # type: ignore[attr-defined]  # Modbus drivers count
        assert set(seen.gaps) <= {"garbled", "breaker", "stopped", "timeout"}
        assert seen.gaps["garbled"] >= 1
    assert seen.values == []
    readable(advice.of_gap("garbled"))
    readable(advice.FAULTS[fault])


async def test_silence_is_a_gap() -> None:
    device, seen = TcpDevice(), Seen()
    device.mode = "silent"
    async with on_wire(device), polled(made(device), model_of(), seen) as line:
        assert line.stats().units[0].timeouts >= 1
    assert seen.gaps["timeout"] >= 1
    assert seen.values == []
    readable(advice.of_gap("timeout"))


async def test_an_answer_that_comes_too_late_is_thrown_away_and_counted() -> None:
    device, seen = TcpDevice(), Seen()
    device.delay_s = 0.25
    async with on_wire(device):
        driver = made(device)
        async with polled(driver, model_of(), seen):
            # Patience doubles after each failure, until the device is in time for one.
            await until(lambda: _late(driver) > 0)
    assert seen.gaps["timeout"] >= 1
    readable(advice.of_fault("late"))


def _late(driver: Any) -> int:
    counts = driver.stats.unit(UNIT)
    return int(counts.late + counts.faults["late"] + driver.stats.unasked)


async def test_a_connection_that_is_cut_is_a_gap() -> None:
    device, seen = TcpDevice(), Seen()
    device.mode = "hang up"
    async with on_wire(device), polled(made(device), model_of(), seen) as line:
        assert line.stats().units[0].cut_off >= 1
    assert seen.gaps["line"] >= 1
    readable(advice.of_gap("line"))


async def test_a_line_that_is_not_there_is_a_gap() -> None:
    driver, seen = make_driver("modbus_tcp", {"host": "127.0.0.1", "port": 1}, SystemClock()), Seen()
    async with polled(driver, model_of(), seen) as line:
        assert not line.up
    assert set(seen.gaps) <= {"line", "stopped"}


class Refusing(TcpDevice):
    """Answers every request with one exception."""

    code = 0

    def reply(self, request: bytes) -> list[bytes]:
        return [request[:4] + b"\0\3" + request[6:7] + bytes((request[7] | 0x80, self.code))]


@pytest.mark.parametrize("code", sorted(EXCEPTIONS))
async def test_an_exception_is_a_gap_and_is_counted_by_its_code(code: int) -> None:
    device, seen = Refusing(), Seen()
    device.code = code
    async with on_wire(device), polled(made(device), model_of(), seen) as line:
        assert line.stats().units[0].exceptions[code] >= 1
    # The unit behind a converter is as silent as any other.
    assert seen.gaps["timeout" if code in (10, 11) else "exception"] >= 1
    assert seen.values == []
    readable(advice.EXCEPTIONS[code])


# ── the value is none ─────────────────────────────────────────────────────────────────────────────────


class Holding(TcpDevice):
    """A device with these registers from 100 on."""

    held: tuple[int, ...] = ()

    def words(self, address: int, count: int) -> list[int]:
        return [self.held[n - 100] for n in range(address, address + count)]


VALUES: dict[str, tuple[dict[str, Any], tuple[int, ...], Reason]] = {
    "code instead of a value": (
        {"type": "i16", "sentinels": {0x8000: "SENTINEL"}},
        (0x8000,),
        Reason.SENTINEL,
    ),
    "sensor open": ({"type": "u16", "sentinels": {0xFFFF: "SENSOR_OPEN"}}, (0xFFFF,), Reason.SENSOR_OPEN),
    "sensor short": ({"type": "u16", "sentinels": {0xFFFE: "SENSOR_SHORT"}}, (0xFFFE,), Reason.SENSOR_SHORT),
    "not a number": ({"type": "f32"}, (0x7FC0, 0), Reason.NOT_A_NUMBER),
    "infinite": ({"type": "f32"}, (0xFF80, 0), Reason.NOT_A_NUMBER),
    "above the range": ({"type": "u16", "high": 100}, (101,), Reason.OUT_OF_RANGE),
    "below the range": ({"type": "i16", "low": 0}, (0xFFFF,), Reason.OUT_OF_RANGE),
    "unknown code": ({"type": "enum", "codes": {1: NAME}}, (9,), Reason.BAD_ENUM),
    "no decimal digit": ({"type": "bcd32"}, (0x12A4, 0), Reason.NOT_A_NUMBER),
    "no digit of 10,000": ({"type": "m10k32"}, (0, 60000), Reason.NOT_A_NUMBER),
    "count too large": ({"type": "u64", "kind": "counter"}, (0xFFFF, 0, 0, 0), Reason.OVER_RANGE),
    "unknown factor": ({"type": "u16", "scale_by": {101: {1: 10}}}, (5, 9), Reason.BAD_ENUM),
    "no text": ({"type": "string", "length": 2}, (0xFFFE, 0x4142), Reason.NOT_A_NUMBER),
    # the profile is wrong
    "profile: word order": (
        {"type": "f32", "order": "CDAB", "low": 1, "high": 500},
        (0x4366, 0),
        Reason.OUT_OF_RANGE,
    ),
    "profile: byte order": ({"type": "u16", "order": "BA", "high": 500}, (230,), Reason.OUT_OF_RANGE),
    "profile: scale": ({"type": "u16", "scale": 10, "high": 500}, (2203,), Reason.OUT_OF_RANGE),
    "profile: binary is not BCD": ({"type": "bcd16"}, (2203,), Reason.NOT_A_NUMBER),
    "profile: sign": ({"type": "u16", "high": 1000}, (0xFFF6,), Reason.OUT_OF_RANGE),
}


@pytest.mark.parametrize("way", VALUES)
async def test_a_value_that_is_none_has_a_reason_and_is_counted_by_it(way: str) -> None:
    point, held, reason = VALUES[way]
    device, seen, model = Holding(), Seen(), model_of(point)
    device.held = held
    async with on_wire(device), polled(made(device), model, seen):
        pass
    assert seen.values
    for v, q in seen.values:
        assert reason_of(q) is reason
        assert q >> 5 >= 1
        if reason is not Reason.OUT_OF_RANGE and way != "unknown code":
            assert math.isnan(v)
    assert model.doubted[reason] == len(seen.values)
    readable(advice.of_quality(seen.values[0][1]))


class Picky(TcpDevice):
    """Ten holding registers from 0 on, at most four a read; nothing else."""

    def reply(self, request: bytes) -> list[bytes]:
        function, address, count = request[7], request[8] << 8 | request[9], request[10] << 8 | request[11]
        code = 1 if function != 3 else 2 if address + count > 10 else 3 if count > 4 else 0
        if code:
            return [request[:4] + b"\0\3" + request[6:7] + bytes((function | 0x80, code))]
        return super().reply(request)


PROFILES: dict[str, tuple[dict[str, Any], int]] = {
    "profile: area": ({"area": "input", "address": 0}, 1),
    "profile: address counted from 1": ({"address": 10}, 2),
    "profile: longer than the device allows": ({"address": 0, "type": "string", "length": 5}, 3),
}


@pytest.mark.parametrize("way", PROFILES)
async def test_a_profile_that_does_not_fit_the_device_is_told_by_its_exception(way: str) -> None:
    point, code = PROFILES[way]
    device, seen = Picky(), Seen()
    async with on_wire(device), polled(made(device), model_of(point), seen) as line:
        assert line.stats().units[0].exceptions[code] >= 1
    assert seen.gaps["exception"] >= 1
    assert seen.values == []


# ── talking text lines ────────────────────────────────────────────────────────────────────────────────

LINES: dict[str, tuple[bytes, str | Reason]] = {
    "text: check sum": (b"$WL,007,02.345,m*00\r\n", "garbled"),
    "text: no sentence": (b"ERROR 17\r\n", "garbled"),
    "text: field missing": (frame(["WL", "007"]), Reason.NOT_A_NUMBER),
    "text: no number": (frame(["WL", "007", "--.---"]), Reason.NOT_A_NUMBER),
    "text: out of range": (frame(["WL", "007", "99.0"]), Reason.OUT_OF_RANGE),
    "text: another sensor": (frame(["WL", "008", "1.0"]), "timeout"),
}


@pytest.mark.parametrize("way", LINES)
async def test_a_text_line_that_is_wrong(way: str) -> None:
    said, expected = LINES[way]
    point = {"area": "line", "sentence": "WL", "address": 2, "type": "f64", "high": 10}
    model, seen = model_of(point), Seen()
    master, slave = os.openpty()
    tty.setraw(slave)
    talking = asyncio.create_task(_talk(master, said))
    try:
        driver = make_driver("ascii_line", {"port": os.ttyname(slave)}, SystemClock())
        async with polled(driver, model, seen) as line:
            await until(lambda: expected in seen.gaps or bool(seen.values))
            counts = line.stats().units[0]
    finally:
        talking.cancel()
        os.close(master)
        os.close(slave)
    if isinstance(expected, Reason):
        assert {reason_of(q) for _, q in seen.values} == {expected}
        assert model.doubted[expected] == len(seen.values)
        return
    assert seen.values == []
    assert (counts.garbled if expected == "garbled" else counts.timeouts) >= 1


async def _talk(fd: int, said: bytes) -> None:
    while True:
        os.write(fd, said)
        await asyncio.sleep(0.03)


# ── the tables are complete ───────────────────────────────────────────────────────────────────────────


def test_there_are_more_than_twenty_ways() -> None:
    ways = [*WIRE, *VALUES, *PROFILES, *LINES, *(f"exception {code}" for code in EXCEPTIONS)]
    assert len(ways) == len(set(ways)) >= 20


def test_the_words_cover_all_that_the_program_can_say() -> None:
    assert set(advice.REASONS) == set(Reason)
    assert set(advice.FAULTS) == set(Fault)
    assert set(advice.EXCEPTIONS) == set(EXCEPTIONS)
    errors: list[type[DeviceError]] = [DeviceError, *DeviceError.__subclasses__()]
    causes = {error.cause for error in errors}
    assert set(advice.GAPS) == causes | {"breaker", "missed", "no_value", "stopped"}
    for table in (advice.GAPS, advice.EXCEPTIONS, advice.FAULTS, advice.REASONS):
        assert len({text["en"] for text in table.values()}) == len(table)
        for text in table.values():
            readable(text)


def test_what_nobody_knows_has_words_too() -> None:
    for text in (advice.of_gap("x"), advice.of_exception(99), advice.of_fault("x"), advice.of_quality(31)):
        readable(text)
