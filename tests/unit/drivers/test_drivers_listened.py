"""What drivers beside Modbus count and record: the same as the devices themselves count."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from drivers.ascii_line import AsciiLineDriver
from drivers.ascii_line import frame as sentence
from drivers.gb26875 import Gb26875Driver, Gb26875Options
from drivers.gst_printer import GstPrinterDriver, GstPrinterOptions
from drivers.linestats import UnitStats
from drivers.registry import DRIVERS, make_driver
from drivers.trace import MAX_BYTES, Frame, FrameTrace
from gateway.adapters.clock import ManualClock, SystemClock
from gateway.edge.tracing import Traced
from gateway.ports import Block, DeviceException, Garbled, LineDown, NoAnswer
from simulators.devices import Counts
from simulators.dlt645_meter import Meter, meter_bus
from simulators.gb26875_device import CONFIRM, REQUEST, RESPONSE, FireDevice, dialled_in, message
from simulators.gst_panel import printer_port
from tests.unit.drivers.far_end import far_end
from tests.unit.drivers.test_drivers_dlt645_bus import (
    FAST,
    KWH,
    PATIENT_S,
    THREE,
    driver_at,
    fixed,
    three_meters,
    value,
)

OPTIONS: dict[str, dict[str, Any]] = {
    "ascii_line": {"port": "/dev/none"},
    "gst_printer": {"port": "/dev/none"},
    "dlt645": {"port": "/dev/none", "addresses": {1: THREE[0]}},
    "gb26875": {"host": "127.0.0.1", "devices": {1: {"address": "010203040506"}}},
}


def as_bytes(frames: Sequence[Frame]) -> list[bytes]:
    return [bytes.fromhex(f.hex) for f in frames]


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("kind", sorted(k for k in DRIVERS if not k.startswith("modbus")))
def test_every_kind_counts_and_records(kind: str) -> None:
    driver = make_driver(kind, OPTIONS[kind], ManualClock())
    assert isinstance(driver, Traced)
    driver.trace(True)
    assert driver.frames() == ()
    assert driver.stats.opened == 0  # type: ignore[attr-defined]  # what the edge looks for


# ── meters: they are asked ────────────────────────────────────────────────────────────────────────────


def same_as(meter: Counts, unit: UnitStats) -> None:
    """Frame by frame; nothing is under way."""
    assert unit.requests == meter.requests == unit.explained
    assert unit.answers + unit.faults.total() == meter.answers
    assert unit.exceptions.total() == meter.exceptions
    assert unit.timeouts == meter.silent
    assert sum(unit.rtt) == unit.answers


async def test_meters_count_the_same() -> None:
    async with three_meters() as (driver, bus):
        meters = [bus.meters[a] for a in THREE]
        for _ in range(3):
            for n in (1, 2, 3):
                await value(driver, n)
        meters[0].fault, meters[1].fault, meters[2].fault = "silent", "exception", "short"
        with pytest.raises(NoAnswer):
            await value(driver, 1, timeout_s=0.1)
        with pytest.raises(NoAnswer, match="still awaited"):
            await value(driver, 1, timeout_s=0.1)
        with pytest.raises(DeviceException):
            await value(driver, 2)
        with pytest.raises(Garbled):
            await value(driver, 3)
        meters[2].fault = "garbled"
        with pytest.raises(Garbled):
            await value(driver, 3, timeout_s=1.0)
        stats = [driver.stats.unit(n) for n in (1, 2, 3)]
        for meter, unit in zip(meters, stats, strict=True):
            same_as(meter.counts, unit)
        assert (stats[0].held, stats[0].timeouts) == (1, 1)
        assert stats[1].exceptions == {2: 1}
        assert stats[2].faults == {"short": 1, "junk": 1}
        # 4 bytes that wake up, 16 of the frame; answers: 1 and 18, a refusal 1 and 13, a short one 1 and 17.
        assert [u.bytes_out for u in stats] == [4 * 20, 4 * 20, 5 * 20]
        assert [u.bytes_in for u in stats] == [3 * 19, 3 * 19 + 14, 3 * 19 + 18 + 19]
        assert driver.stats.opened == 1
        assert driver.stats.busy_s > 0


async def test_a_long_answer_counts_frame_by_frame_and_a_cancelled_read_is_cut_off() -> None:
    long = "0001FF00 120*XXXXXX.XX"
    async with meter_bus([Meter(THREE[0], lambda: {long: [1.0] * 120})], FAST) as bus:
        driver = driver_at(bus.path, FAST)
        await driver.open()
        await driver.read(Block(1, "line", sentence=long), PATIENT_S)
        unit = driver.stats.unit(1)
        assert unit.answers == 3
        same_as(bus.meters[THREE[0]].counts, unit)
        bus.meters[THREE[0]].fault = "silent"
        reading = asyncio.create_task(driver.read(Block(1, "line", sentence=long), PATIENT_S))
        await until(lambda: unit.requests == 4)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert unit.cut_off == 1
        await driver.close()
        with pytest.raises(LineDown):
            await driver.read(Block(1, "line", sentence=KWH), PATIENT_S)
        assert (unit.requests, unit.cut_off) == (4, 1), "nothing was sent on a closed port"
        assert unit.explained == unit.requests


async def test_the_address_of_a_lonely_meter_is_asked_for_without_a_count() -> None:
    async with meter_bus([Meter(THREE[1], fixed)], FAST) as bus:
        driver = driver_at(bus.path, FAST)
        await driver.open()
        await value(driver, 2)
        await driver.read_address(PATIENT_S)
        await driver.close()
        assert driver.stats.unit(2).requests == 1
        assert set(driver.stats.units) == {2}


# ── sensors that speak by themselves ──────────────────────────────────────────────────────────────────


async def test_sentences_are_counted_when_they_are_heard_and_damaged_lines_too() -> None:
    async with far_end() as end:
        driver = make_driver("ascii_line", {"port": end.path, "id_field": None}, SystemClock())
        assert isinstance(driver, AsciiLineDriver)
        await driver.open()
        driver.trace(True)
        wl = Block(4, "line", sentence="WL")
        good = [sentence(["WL", "001", f"{n}.000", "m"]) for n in range(5)]
        bad = good[0][:-4] + b"\r\n"
        for line in (good[0], good[1], bad, b"\r\n", good[2]):
            end.write(line)
        unit = driver.stats.one(4)
        await until(lambda: unit.answers == 3)
        assert (await driver.read(wl, PATIENT_S)).fields[2] == "2.000"
        with pytest.raises(NoAnswer):
            await driver.read(wl, 0.0)
        assert (unit.requests, unit.answers, unit.faults, unit.timeouts) == (0, 3, {"junk": 1}, 1)
        assert unit.bytes_in + driver.stats.unasked == end.sent_bytes
        assert driver.stats.unasked == 2
        assert unit.last_ok > 0
        assert as_bytes(driver.frames()) == [good[0], good[1], bad, good[2]]
        await driver.close()


async def test_a_damaged_line_of_one_of_several_sensors_is_nobodys() -> None:
    async with far_end() as end:
        driver = make_driver("ascii_line", {"port": end.path}, SystemClock())
        assert isinstance(driver, AsciiLineDriver)
        await driver.open()
        driver.trace(True)
        lines = [sentence(["WL", f"00{n}", "1.0", "m"]) for n in (1, 2, 1)]
        far = sentence(["WL", "256", "1.0", "m"])
        end.write(b"".join((lines[0], lines[1], b"$WL,001,1.0*00\n", far, lines[2])))
        await until(lambda: driver.stats.unit(1).answers == 2)
        assert driver.stats.unit(2).answers == 1
        assert driver.stats.faults == {"junk": 2}
        assert set(driver.stats.units) == {1, 2}
        assert [f.unit for f in driver.frames()] == [1, 2, None, None, 1]
        assert as_bytes(driver.frames(2)) == [lines[1]]
        total = sum(u.bytes_in for u in driver.stats.units.values()) + driver.stats.unasked
        assert total == end.sent_bytes
        await driver.close()


async def test_a_panels_lines_are_counted_whatever_unit_it_is_asked_as() -> None:
    with printer_port(SystemClock()) as port:
        driver = GstPrinterDriver(GstPrinterOptions(port=port.path), SystemClock())
        await driver.open()
        driver.trace(True)
        printed = [port.event("系统复位"), port.fire("004-004", "裙楼一层上空"), b"\xff\xff\n", port.reset()]
        port.raw(printed[2])
        data = b"".join(printed)
        unit = driver.stats.one(3)
        await until(lambda: unit.bytes_in == len(data))
        assert unit.answers + unit.faults.total() == data.count(b"\n")
        assert unit.faults == {"junk": 1}
        assert unit.requests == 0
        await driver.read(Block(3, "line", sentence="gst"), 0.1)
        with pytest.raises(DeviceException):
            await driver.read(Block(3, "line", sentence="panel"), 0.1)
        assert unit.exceptions == {2: 1}
        frames = as_bytes(driver.frames(3))
        assert len(frames) == data.count(b"\n")
        assert sorted(frames) == sorted(data.splitlines(keepends=True))
        await driver.close()


# ── devices that dial in ──────────────────────────────────────────────────────────────────────────────

ONE, TWO = "010203040506", "0a0b0c0d0e0f"


async def test_a_fire_device_and_the_driver_count_the_same_frames_both_ways() -> None:
    clock = SystemClock()
    options = {"host": "127.0.0.1", "port": 0, "devices": {1: {"address": ONE}, 2: {"address": TWO}}}
    driver = Gb26875Driver(Gb26875Options.model_validate(options), clock)
    await driver.open()
    driver.trace(True)
    device = FireDevice(ONE, clock, port=driver.port)
    unit = driver.stats.unit(1)
    async with dialled_in(device):
        await until(lambda: device.heard[REQUEST, 61] > 0)
        for n in range(5):
            await device.confirmed(device.part(n, 2, "大厅"))
        await device.confirmed(device.private(9, b"\x01abc"))
        whole = message(900, CONFIRM, ONE, b"", device._local())
        damaged = whole[:-3] + bytes([whole[-3] ^ 0xFF]) + b"##"
        device.raw(damaged)
        device.raw(message(901, RESPONSE, "999999999999", b"", device._local()))
        await device.confirmed(device.beat())
        # The answers to the driver's own questions may still be under way.
        await until(lambda: unit.answers == device.sent.total())
        await until(lambda: unit.requests == sum(device.heard.values()) - driver.counts["foreign"])
        assert unit.faults == {"junk": 1}
        assert driver.stats.unasked == 30
        assert (driver.stats.unit(2).answers, driver.stats.unit(2).requests) == (0, 0)
        with pytest.raises(NoAnswer):
            await driver.read(Block(2, "line", sentence="panel"), 0.1)
        assert driver.stats.unit(2).timeouts == 1
        await driver.read(Block(1, "line", sentence="panel"), 0.1)
        assert unit.timeouts == 0
        frames = driver.frames(1)
        assert sum(f.direction == "out" for f in frames) == unit.requests
        heard = as_bytes([f for f in frames if f.direction == "in"])
        assert damaged in heard
        assert len(heard) == unit.answers + 1
        assert sum(map(len, heard)) == unit.bytes_in
        assert sum(map(len, as_bytes([f for f in frames if f.direction == "out"]))) == unit.bytes_out
        assert all(f[:2] == b"@@" and f[-2:] == b"##" for f in heard)
        assert driver.stats.opened == 1
    await driver.close()


# ── the recorder ──────────────────────────────────────────────────────────────────────────────────────


def test_lines_of_text_are_frames_of_their_own_and_bounded() -> None:
    trace = FrameTrace(capacity=3)
    trace.heard_text(1, 0, b"lost\n")
    trace.switch(True)
    for piece in (b"on", b"e\ntwo", b"\n", b"x" * (2 * MAX_BYTES), b"\n\n"):
        trace.heard_text(2, 0, piece)
    frames = trace.frames()
    assert [f.direction for f in frames] == ["in"] * 3
    assert frames[0].hex.endswith(f" [+{MAX_BYTES}]")
    assert [f.hex for f in frames[1:]] == ["0a", "0a"]
    trace.heard(3, 1, b"\x01")
    trace.heard(3, 1, b"\x02", apart=True)
    assert [f.hex for f in trace.frames(1)] == ["01", "02"]
