"""Meters on one bus: our simulated ones, an independent implementation, and what goes wrong between."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from drivers.dlt645 import Dlt645Driver
from drivers.profiles.bind import bind
from drivers.profiles.loader import load_profile
from drivers.registry import make_driver
from gateway.adapters.clock import SystemClock
from gateway.edge.tracing import Traced
from gateway.model import GOOD
from gateway.ports import Block, DeviceException, Garbled, NoAnswer
from simulators.dlt645_meter import Meter, MeterBus, meter_bus, profile_values
from simulators.rtu_bus import serial_bus
from tests.unit.drivers.dlt645_devices import MeterDevice, on_meter_pty

PATIENT_S = 8.0
FAST = 57600
UA, KWH, P = "02010100 XXX.X", "00010000 XXXXXX.XX", "02030000 -XX.XXXX"
THREE = ("000000000001", "202405120031", "202405120032")


def fixed(**values: float) -> dict[str, list[float]]:
    return {UA: [values.get("ua", 230.5)], KWH: [values.get("kwh", 1234.56)], P: [values.get("p", -1.5)]}


def driver_at(path: str, baud: int, addresses: tuple[str, ...] = THREE) -> Dlt645Driver:
    options: dict[str, Any] = {"port": path, "baud": baud, "parity": "N"}
    options["addresses"] = dict(enumerate(addresses, 1))
    driver = make_driver("dlt645", options, SystemClock())
    assert isinstance(driver, Dlt645Driver)
    return driver


@asynccontextmanager
async def three_meters(baud: int = FAST) -> AsyncIterator[tuple[Dlt645Driver, MeterBus]]:
    meters = [Meter(a, lambda n=n: fixed(ua=220.0 + n, kwh=1000.0 + n)) for n, a in enumerate(THREE, 1)]  # type: ignore[misc]  # the default binds n
    async with meter_bus(meters, baud) as bus:
        driver = driver_at(bus.path, baud)
        await driver.open()
        try:
            yield driver, bus
        finally:
            await driver.close()


async def value(driver: Dlt645Driver, unit: int, sentence: str = UA, timeout_s: float = PATIENT_S) -> float:
    answer = await driver.read(Block(unit, "line", sentence=sentence), timeout_s)
    assert answer.fields[0] == sentence
    return float(answer.fields[1])


async def test_each_meter_of_a_bus_answers_for_itself() -> None:
    async with three_meters() as (driver, bus):
        for _ in range(2):
            assert [await value(driver, n) for n in (1, 2, 3)] == [221.0, 222.0, 223.0]
            assert [await value(driver, n, KWH) for n in (3, 1, 2)] == [1003.0, 1001.0, 1002.0]
            assert await value(driver, 2, P) == -1.5
        # A request is heard by all, and answered by one.
        assert [m.counts.answers for m in bus.meters.values()] == [4, 6, 4]


async def test_at_2400_baud_as_meters_leave_the_factory() -> None:
    async with three_meters(2400) as (driver, _):
        answer = await driver.read(Block(3, "line", sentence=UA), PATIENT_S)
        assert answer.fields == (UA, "223.0")
        # 20 bytes there and 19 back, 11 bits each, cannot take less.
        assert answer.rtt_s > 39 * 11 / 2400


@pytest.mark.parametrize("fault", ["silent", "garbled", "short"])
async def test_a_meter_that_fails_leaves_its_neighbours_alone(fault: str) -> None:
    async with three_meters() as (driver, bus):
        bus.meters[THREE[1]].fault = fault
        for _ in range(3):
            assert await value(driver, 1) == 221.0
            with pytest.raises(NoAnswer if fault == "silent" else Garbled):
                await value(driver, 2, timeout_s=0.1 if fault == "silent" else PATIENT_S)
            assert await value(driver, 3) == 223.0


async def test_a_refusal_names_the_meter_the_identifier_and_the_reason() -> None:
    async with three_meters() as (driver, bus):
        with pytest.raises(
            DeviceException, match="meter 000000000001: 02AA0000: error word 02: no such data"
        ) as e:
            await value(driver, 1, "02AA0000 XXXX", PATIENT_S)
        assert e.value.code == 2
        assert await value(driver, 1) == 221.0
        assert bus.meters[THREE[0]].counts.exceptions == 1


async def test_a_late_answer_is_outwaited_and_never_taken_for_another() -> None:
    async with three_meters() as (driver, bus):
        late = bus.meters[THREE[0]]
        late.fault, late.late_s = "late", 0.15
        with pytest.raises(NoAnswer):
            await value(driver, 1, KWH, 0.1)
        with pytest.raises(NoAnswer, match="still awaited"):
            await value(driver, 1, KWH, 0.1)
        assert late.counts.requests == 1
        assert await value(driver, 2, KWH) == 1002.0
        late.fault = ""
        assert await until(driver, 1) == 221.0


async def until(driver: Dlt645Driver, unit: int) -> float:
    clock = SystemClock()
    deadline = clock.monotonic() + PATIENT_S
    while True:
        try:
            return await value(driver, unit)
        except NoAnswer:
            assert clock.monotonic() < deadline
            await clock.sleep_real(0.02)


async def test_a_long_answer_comes_in_several_frames() -> None:
    days = [float(n) for n in range(1, 121)]
    long = "0001FF00 120*XXXXXX.XX"
    async with meter_bus([Meter(THREE[0], lambda: {long: days})], FAST) as bus:
        driver = driver_at(bus.path, FAST)
        await driver.open()
        answer = await driver.read(Block(1, "line", sentence=long), PATIENT_S)
        await driver.close()
        assert [float(f) for f in answer.fields[1:]] == days
        assert bus.meters[THREE[0]].counts.requests == math.ceil(120 * 4 / 195)


async def test_the_only_meter_of_a_line_tells_its_address() -> None:
    async with meter_bus([Meter(THREE[1], fixed)], FAST) as bus:
        driver = driver_at(bus.path, FAST)
        await driver.open()
        assert await driver.read_address(PATIENT_S) == THREE[1]
        bus.meters[THREE[1]].fault = "silent"
        with pytest.raises(NoAnswer):
            await driver.read_address(0.05)
        await driver.close()


@pytest.mark.parametrize("mode", ["echo first", "junk first", "twice"])
async def test_what_an_adapter_adds_does_no_harm(mode: str) -> None:
    """An echo of the request, noise before the answer, the answer twice."""
    async with on_meter_pty(MeterDevice()) as device:
        driver = make_driver("dlt645", device.options, SystemClock())
        await driver.open()
        device.mode = mode
        for number in range(1, 6):
            answer = await driver.read(Block(1, "line", sentence="02020007 2*XXXXXX"), PATIENT_S)
            assert answer.fields[1:] == (f"{number:06d}", "000008")
        await driver.close()


async def test_the_frames_of_a_line_can_be_recorded_from_afar() -> None:
    async with three_meters() as (driver, _):
        assert isinstance(driver, Traced)
        await value(driver, 1)
        driver.trace(True)
        await value(driver, 1)
        await value(driver, 2)
        driver.trace(False)
        await value(driver, 3)
        said = [(f.direction, f.unit) for f in driver.frames()]
        assert said == [("out", 1), ("in", 1), ("out", 2), ("in", 2)]
        asked, answered = driver.frames(1)
        assert asked.hex == "fe fe fe fe 68 01 00 00 00 00 00 68 11 04 33 34 34 35 b6 16"
        assert answered.hex == "fe 68 01 00 00 00 00 00 68 91 06 33 34 34 35 43 55 d0 16"


@pytest.mark.parametrize(("unit", "sentence"), [(9, UA), (1, "WL")])
async def test_a_block_that_check_would_refuse_is_not_asked(unit: int, sentence: str) -> None:
    async with three_meters() as (driver, bus):
        with pytest.raises(NoAnswer):
            await value(driver, unit, sentence)
        assert bus.meters[THREE[0]].counts.requests == 0


async def test_a_profile_is_read_from_a_simulated_meter_point_by_point() -> None:
    profile = load_profile("dlt645_three_phase")
    model = bind(profile, "meter-1")
    plant = {
        "em.ua": 229.7, "em.ub": 230.1, "em.uc": 231.9, "em.ia": 12.345, "em.ib": -1.2, "em.ic": 0.0,
        "em.p": -7.5, "em.pf": -0.983, "em.freq": 49.98, "em.kwh": 98765.43, "em.kwh_export": 12.34,
    }  # fmt: skip
    found: dict[str, float] = {}
    async with meter_bus([Meter(THREE[0], lambda: profile_values(profile, plant))], FAST) as bus:
        driver = driver_at(bus.path, FAST)
        await driver.open()
        for sentence in sorted({s.sentence for s in model.spans}):
            out = model.decode(await driver.read(Block(1, "line", sentence=sentence), PATIENT_S))
            assert out.q.tolist() == [GOOD] * len(out.index)
            found |= {model.points[n].tag: v for n, v in zip(out.index, out.v, strict=True)}
        await driver.close()
    assert found == plant


# ── the independent implementation ────────────────────────────────────────────────────────────────────


@contextmanager
def independent_meter(path: str, values: dict[int, float]) -> Iterator[None]:
    """The server of the package dlt645; it takes the address as it goes over the wire, low byte first."""
    from dlt645.service.serversvc.server_service import MeterServerService

    server = MeterServerService.new_rtu_server(path, 8, 1, FAST, "N", 1.0)
    assert server.set_address(bytes.fromhex(THREE[1])[::-1])
    for di, number in values.items():
        assert (server.set_00 if di >> 24 == 0 else server.set_02)(di, number)
    assert server.start()
    try:
        yield
    finally:
        assert server.stop()


async def test_values_of_an_independent_server_are_right() -> None:
    values = {
        0x00010000: 1234.56, 0x02010100: 230.5, 0x02010300: 231.9, 0x02020100: 12.345, 0x02030000: 1.5,
        0x02060000: 0.96, 0x02800002: 50.01,
    }  # fmt: skip
    forms = {
        0x00010000: "XXXXXX.XX", 0x02010100: "XXX.X", 0x02010300: "XXX.X", 0x02020100: "-XXX.XXX",
        0x02030000: "-XX.XXXX", 0x02060000: "-X.XXX", 0x02800002: "XX.XX",
    }  # fmt: skip
    async with serial_bus(FAST) as wire:
        with independent_meter(wire.inner, values):
            driver = driver_at(wire.outer, FAST)
            await driver.open()
            read = {di: await value(driver, 2, f"{di:08X} {form}") for di, form in forms.items()}
            assert read == values
            # It answers for a meter that it is not, with a refusal: its own address makes that visible.
            with pytest.raises((DeviceException, NoAnswer, Garbled)):
                await value(driver, 1, timeout_s=0.5)
            with pytest.raises(DeviceException, match="error word"):
                await value(driver, 2, "02AA0000 XXXX")
            assert await value(driver, 2) == 230.5
            assert await driver.read_address(PATIENT_S) == THREE[1]
            await driver.close()
            await asyncio.sleep(0)
