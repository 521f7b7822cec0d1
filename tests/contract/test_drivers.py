"""The contract of every driver that asks: what it may return, and what it must refuse. Real sockets and ptys.

Drivers that listen have their own suites in tests/unit/drivers (test_drivers_ascii.py, test_drivers_gst.py)
and take part here in opening and closing.
"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from drivers._blueprint import BlueprintDriver, BlueprintOptions
from drivers.registry import DRIVERS, make_driver
from gateway.adapters.clock import SystemClock
from gateway.ports import Area, Block, DeviceException, Driver, Garbled, LineDown, NoAnswer
from tests.unit.drivers.dlt645_devices import InWords, MeterDevice, on_meter_pty
from tests.unit.drivers.wire_devices import (
    AsciiDevice,
    Device,
    RtuDevice,
    TcpDevice,
    TextDevice,
    on_pty,
    on_tcp,
)

TIMEOUT_S = 0.15
PATIENT_S = 20.0
LATE_REQUESTS = int(os.environ.get("STEWARD_LATE_REQUESTS", "80"))
"""The nightly run asks 10,000 times."""
UNITS = 3 if LATE_REQUESTS == 80 else 200
"""Units that missed their time-out rest for a while; with more of them the bus does not."""
BLOCK = Block(7, "holding", 100, 12)


@dataclass(frozen=True)
class Harness:
    """How to run a driver against a device.

    flips: bytes that random damage may change at once, with the wire's checksum certain to see it.
    """

    device: type[Device]
    serve: Callable[[Device], AbstractAsyncContextManager[Device]]
    make: Callable[[Device], Driver]
    nowhere: Callable[[], Driver]
    flips: int = 2


def _blueprint(device: Device) -> Driver:
    return BlueprintDriver(BlueprintOptions.model_validate(device.options), SystemClock())


HARNESSES: dict[str, Harness] = {
    "modbus_tcp": Harness(
        TcpDevice,
        lambda d: on_tcp(d, 12),
        lambda d: make_driver("modbus_tcp", d.options, SystemClock()),
        lambda: make_driver("modbus_tcp", {"host": "127.0.0.1", "port": 1}, SystemClock()),
    ),
    "modbus_rtu": Harness(
        RtuDevice,
        on_pty,
        lambda d: make_driver("modbus_rtu", d.options, SystemClock()),
        lambda: make_driver("modbus_rtu", {"port": "/dev/no-such-port"}, SystemClock()),
    ),
    "modbus_rtu_tcp": Harness(
        RtuDevice,
        lambda d: on_tcp(d, 8),
        lambda d: make_driver("modbus_rtu_tcp", {**d.options, "baud": 115200}, SystemClock()),
        lambda: make_driver("modbus_rtu_tcp", {"host": "127.0.0.1", "port": 1}, SystemClock()),
    ),
    "modbus_ascii": Harness(
        AsciiDevice,
        on_pty,
        # A pseudo-terminal has eight bits and no parity.
        lambda d: make_driver("modbus_ascii", {**d.options, "bytesize": 8, "parity": "N"}, SystemClock()),
        lambda: make_driver("modbus_ascii", {"port": "/dev/no-such-port"}, SystemClock()),
        flips=1,
    ),
    "blueprint": Harness(
        TextDevice,
        lambda d: on_tcp(d, None),
        _blueprint,
        lambda: BlueprintDriver(BlueprintOptions(host="127.0.0.1", port=1), SystemClock()),
    ),
    "dlt645": Harness(
        MeterDevice,
        on_meter_pty,  # type: ignore[arg-type]  # its devices are MeterDevices
        lambda d: InWords(make_driver("dlt645", d.options, SystemClock())),
        lambda: InWords(make_driver("dlt645", {"port": "/dev/none", "addresses": {7: 1}}, SystemClock())),
        flips=1,  # a sum sees every single change; two may cancel out
    ),
}
LISTENERS = ("ascii_line", "gst_printer")
DIALLED = {"gb26875"}
"""Kinds that wait to be called: tests/contract/test_drivers_gb26875.py."""
KINDS = sorted(HARNESSES)
MODBUS = [kind for kind in KINDS if kind.startswith("modbus_")]
BAD_MODES = [(kind, mode) for kind in KINDS for mode in HARNESSES[kind].device.modes]


@asynccontextmanager
async def running(kind: str) -> AsyncIterator[tuple[Driver, Device]]:
    harness = HARNESSES[kind]
    async with harness.serve(harness.device()) as device:
        driver = harness.make(device)
        await driver.open()
        try:
            yield driver, device
        finally:
            await driver.close()


async def right(driver: Driver, device: Device, block: Block = BLOCK, timeout_s: float = PATIENT_S) -> None:
    """One read that must succeed with the value of this very request."""
    answer = await driver.read(block, timeout_s)
    assert answer.block == block
    assert answer.words.tolist() == device.words(block.address, block.count)
    assert 0 <= answer.rtt_s < timeout_s


async def until_right(driver: Driver, device: Device) -> None:
    """A healthy device is read again, at the latest when late answers have been outwaited."""
    clock = SystemClock()
    deadline = clock.monotonic() + PATIENT_S
    while True:
        await driver.open()
        try:
            return await right(driver, device)
        except (NoAnswer, Garbled, LineDown):
            assert clock.monotonic() < deadline
            await clock.sleep_real(0.01)


def test_every_registered_kind_is_under_contract() -> None:
    assert set(DRIVERS) == (set(HARNESSES) - {"blueprint"}) | {*LISTENERS, *DIALLED}


@pytest.mark.parametrize("kind", KINDS)
async def test_reads_what_the_device_holds(kind: str) -> None:
    async with running(kind) as (driver, device):
        for count in (1, 2, 60, 125):
            await right(driver, device, Block(1, "holding", 40, count))
            await right(driver, device, Block(247, "input", 65000, count))


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_in_pieces_is_one_answer(kind: str) -> None:
    async with running(kind) as (driver, device):
        device.mode = "in pieces"
        await right(driver, device)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_exception_is_told_with_its_code_and_the_line_stays(kind: str) -> None:
    async with running(kind) as (driver, device):
        device.mode = "exception"
        for _ in range(3):
            with pytest.raises(DeviceException) as caught:
                await driver.read(BLOCK, PATIENT_S)
            assert caught.value.code == 2
        device.mode = "ok"
        await right(driver, device)


@pytest.mark.parametrize(("kind", "mode"), BAD_MODES)
async def test_what_is_not_the_answer_is_refused_and_the_next_read_is_right(kind: str, mode: str) -> None:
    async with running(kind) as (driver, device):
        await right(driver, device)
        device.mode = mode
        with pytest.raises((NoAnswer, Garbled, LineDown)) as caught:
            await driver.read(BLOCK, TIMEOUT_S)
        assert isinstance(caught.value, NoAnswer) == (
            mode == "silent" or (kind, mode) == ("blueprint", "junk?")
        )
        device.mode = "ok"
        await until_right(driver, device)


@pytest.mark.parametrize("kind", KINDS)
async def test_one_silent_unit_does_not_keep_the_others_from_answering(kind: str) -> None:
    async with running(kind) as (driver, device):
        device.mode = "silent"
        with pytest.raises(NoAnswer):
            await driver.read(Block(9, "holding", 0, 2), TIMEOUT_S)
        device.mode = "ok"
        await right(driver, device, Block(8, "holding", 0, 2))


@pytest.mark.parametrize("kind", KINDS)
async def test_late_answers_are_never_taken_for_the_next(kind: str) -> None:
    """Answers 0 to 2.5 time-outs late; a wrong value would carry another request's number."""
    rng = random.Random(26875)
    clock = SystemClock()
    deadline = clock.monotonic() + 60 + LATE_REQUESTS
    units = UNITS if kind in MODBUS else 3
    good = missed = 0
    async with running(kind) as (driver, device):
        while device.number < LATE_REQUESTS:
            assert clock.monotonic() < deadline
            device.delay_s = rng.choice((0.0, 0.0, rng.uniform(0.9, 2.5))) * 0.04
            try:
                answer = await driver.read(Block(rng.randint(1, units), "holding", 5, 3), 0.04)
            except (NoAnswer, Garbled, LineDown):
                missed += 1
                await driver.open()
                await clock.sleep_real(0.004)
                continue
            assert answer.words.tolist() == device.words(5, 3)
            good += 1
    assert good > 10
    assert missed > 10


@pytest.mark.parametrize("kind", KINDS)
async def test_random_damage_gives_no_value(kind: str) -> None:
    """1 to 3 bytes changed. Where the wire has a CRC it must see it; on TCP the data bytes are left alone."""
    rng = random.Random(50974)
    async with running(kind) as (driver, device):
        whole = device.reply
        head = {"modbus_tcp": 9, "blueprint": 2}.get(kind)

        def damaged(request: bytes) -> list[bytes]:
            frame = bytearray(whole(request)[0])
            for at in rng.sample(range(head or len(frame)), rng.randint(1, HARNESSES[kind].flips)):
                frame[at] ^= rng.randrange(1, 256)
            return [bytes(frame)]

        for _ in range(60):
            device.reply = damaged  # type: ignore[method-assign]
            with pytest.raises((NoAnswer, Garbled, LineDown, DeviceException)):
                await driver.read(BLOCK, 0.02)
            device.reply = whole  # type: ignore[method-assign]
            await until_right(driver, device)


@pytest.mark.parametrize("kind", KINDS)
async def test_open_and_close_may_be_called_again(kind: str) -> None:
    async with running(kind) as (driver, device):
        await driver.open()
        await right(driver, device)
        await driver.close()
        await driver.close()
        with pytest.raises(LineDown):
            await driver.read(BLOCK, TIMEOUT_S)
        await driver.open()
        await right(driver, device)


@pytest.mark.parametrize("kind", [*KINDS, *LISTENERS])
async def test_a_line_that_is_not_there_is_told(kind: str) -> None:
    if kind in HARNESSES:
        driver = HARNESSES[kind].nowhere()
    else:
        driver = make_driver(kind, {"port": "/dev/no-such-port"}, SystemClock())
    for _ in range(2):
        with pytest.raises(LineDown):
            await driver.open()
    with pytest.raises(LineDown):
        await driver.read(Block(1, "line", sentence="WL") if kind in LISTENERS else BLOCK, TIMEOUT_S)
    await driver.close()


@pytest.mark.parametrize("kind", MODBUS)
async def test_bits_come_in_the_order_of_their_addresses(kind: str) -> None:
    async with running(kind) as (driver, _):
        areas: tuple[Area, ...] = ("coil", "discrete")
        for area in areas:
            for count in (1, 8, 9, 100):
                answer = await driver.read(Block(1, area, 20, count), PATIENT_S)
                assert answer.words.tolist() == [int((20 + n) % 3 == 0) for n in range(count)]
