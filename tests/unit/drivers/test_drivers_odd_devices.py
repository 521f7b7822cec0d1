"""Odd devices, each of which fails without its option; settings of the port; silence on the bus."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from typing import Any

import pytest

from drivers.modbus import RtuDriver
from drivers.modbus_line import ModbusDriver
from drivers.modbus_options import RtuOptions
from gateway.adapters.clock import SystemClock
from gateway.edge.plan import plan
from gateway.ports import Block, Garbled, LineDown, NoAnswer
from simulators.faulty import Odd, odd_rtu, odd_tcp, word_at
from simulators.rtu_bus import serial_bus
from tests.unit.drivers.line_kit import BLOCK, RIGHT, opened, tcp
from tests.unit.drivers.test_drivers_decode import profile

# ── odd devices: each fails without its option ────────────────────────────────────────────────────────


async def test_a_device_that_is_deaf_after_connecting_needs_a_pause() -> None:
    device = Odd(deaf_after_connect_s=0.6)
    async with odd_tcp(device) as port:
        async with opened(tcp(port)) as driver:
            with pytest.raises(NoAnswer):
                await driver.read(BLOCK, 0.1)
        async with opened(tcp(port, connect_pause_s=0.7)) as driver:
            assert (await driver.read(BLOCK, 5)).words.tolist() == RIGHT
    assert (device.requests, device.ignored, device.answers) == (2, 1, 1)


async def test_a_device_that_is_deaf_after_answering_needs_a_gap() -> None:
    device = Odd(deaf_after_answer_s=0.5)
    async with odd_tcp(device) as port:
        async with opened(tcp(port)) as driver:
            await driver.read(BLOCK, 5)
            with pytest.raises(NoAnswer):
                await driver.read(BLOCK, 0.1)
        async with opened(tcp(port, gap_s=0.6)) as driver:
            await asyncio.sleep(0.6)
            for _ in range(2):
                assert (await driver.read(BLOCK, 5)).words.tolist() == RIGHT
    assert (device.ignored, device.answers) == (1, 3)


async def test_a_device_with_one_connection_is_free_for_others_between_rounds() -> None:
    device = Odd(single=True)
    async with odd_tcp(device) as port:
        async with opened(tcp(port)) as keeps, opened(tcp(port)) as other:
            await keeps.read(BLOCK, 5)
            with pytest.raises(LineDown):
                await other.read(BLOCK, 5)
        async with opened(tcp(port, close_idle_s=0.02)) as polite:
            for _ in range(3):
                assert (await polite.read(BLOCK, 5)).words.tolist() == RIGHT
                await _until_answered(port)
        assert polite.stats.opened == 3
    assert device.turned_away >= 1


async def _until_answered(port: int) -> None:
    """Another master gets its answer and goes."""
    clock = SystemClock()
    deadline = clock.monotonic() + 10
    while True:
        async with opened(tcp(port)) as other:
            try:
                assert (await other.read(BLOCK, 5)).words.tolist() == RIGHT
            except LineDown:
                assert clock.monotonic() < deadline
            else:
                return
        await clock.sleep_real(0.01)


async def test_a_closed_driver_stays_closed_although_it_had_an_idle_rule() -> None:
    async with odd_tcp(Odd()) as port:
        driver = tcp(port, close_idle_s=0.02)
        await driver.open()
        await driver.read(BLOCK, 5)
        await driver.close()
        with pytest.raises(LineDown):
            await driver.read(BLOCK, 5)


@pytest.mark.parametrize("one_field", [False, True])
async def test_a_device_that_answers_one_field_at_a_time_lies_to_merged_reads(one_field: bool) -> None:
    fields = ((10, 1), (11, 2))
    points = [
        {"tag": "a", "address": 10, "type": "u16"},
        {"tag": "b", "address": 11, "type": "u32"},
    ]
    p = profile(*points, one_field_per_request=one_field)
    reads = plan([q.span for q in p.expanded], [1.0, 1.0], p.max_registers, 50, [])
    device = Odd(fields=fields)
    got: dict[int, int] = {}
    async with odd_tcp(device) as port, opened(tcp(port)) as driver:
        for read in reads:
            words = (await driver.read(read.block(1), 5)).words.tolist()
            got.update(zip(range(read.address, read.stop), words, strict=True))
    right = {n: word_at(n) for n in (10, 11, 12)}
    assert (got == right) == one_field
    assert device.requests == (2 if one_field else 1)


@pytest.mark.parametrize("limit", [125, 20])
async def test_a_device_with_few_registers_a_read_is_silent_to_longer_ones(limit: int) -> None:
    p = profile(*[{"tag": f"x{n}", "address": n, "type": "u16"} for n in range(60)], max_registers=limit)
    reads = plan([q.span for q in p.expanded], [1.0] * 60, p.max_registers, 50, [])
    async with odd_tcp(Odd(max_registers=20)) as port, opened(tcp(port)) as driver:
        if limit > 20:
            with pytest.raises(NoAnswer):
                await driver.read(reads[0].block(1), 0.1)
            return
        words = [w for r in reads for w in (await driver.read(r.block(1), 5)).words.tolist()]
        assert words == [word_at(n) for n in range(60)]


@pytest.mark.parametrize("local_echo", [False, True])
async def test_an_adapter_that_hears_itself_needs_local_echo(local_echo: bool) -> None:
    async with serial_bus(19200, echo=True) as bus, odd_rtu(Odd(), bus):
        options = RtuOptions(port=bus.outer, baud=19200, local_echo=local_echo)
        async with opened(RtuDriver(options, SystemClock())) as driver:
            if local_echo:
                for _ in range(3):
                    assert (await driver.read(BLOCK, 5)).words.tolist() == RIGHT
                return
            with pytest.raises(Garbled):
                await driver.read(BLOCK, 1)
            # 24 bits at 0x0300: the request has the very form of an answer with three bytes of data.
            with pytest.raises(Garbled, match="local_echo"):
                await driver.read(Block(2, "coil", 0x0300, 24), 1)
            assert driver.stats.unit(2).faults["echo"] == 1


async def test_an_echo_that_is_not_what_was_sent_is_a_collision() -> None:
    async with serial_bus(19200) as bus, odd_rtu(Odd(), bus):
        options = RtuOptions(port=bus.outer, baud=19200, local_echo=True)
        async with opened(RtuDriver(options, SystemClock())) as driver:
            with pytest.raises(Garbled, match="the line echoed"):
                await driver.read(BLOCK, 1)
            assert driver.stats.unit(1).faults["echo"] == 1


# ── settings of the port ──────────────────────────────────────────────────────────────────────────────


async def test_a_port_without_rts_control_says_that_it_cannot_switch() -> None:
    """A pseudo-terminal has no RTS: that it refuses shows that the request reaches the port."""
    async with serial_bus(9600) as bus:
        options = RtuOptions.model_validate({"port": bus.outer, "rs485": {"rts_on_send": False}})
        driver = RtuDriver(options, SystemClock())
        with pytest.raises(LineDown, match="rs485"):
            await driver.open()
        with pytest.raises(LineDown, match="not connected"):
            await driver.read(BLOCK, 1)
        async with opened(RtuDriver(RtuOptions(port=bus.outer), SystemClock())):
            pass


async def test_rts_settings_as_they_reach_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """`struct serial_rs485` of linux/serial.h: flags, delays before and after (ms). No test port has RTS."""
    calls: list[tuple[int, ...]] = []
    ioctl = fcntl.ioctl

    def kernel(fd: int, request: int, *rest: Any) -> Any:
        if request not in (0x542E, 0x542F):
            return ioctl(fd, request, *rest)
        if request == 0x542F:
            calls.append(struct.unpack_from("3I", bytes(rest[0])))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", kernel)
    async with serial_bus(9600) as bus:
        switching = {"rts_on_send": True, "delay_before_s": 0.002, "delay_after_s": 0.001}
        options = RtuOptions.model_validate({"port": bus.outer, "rs485": switching})
        async with opened(RtuDriver(options, SystemClock())):
            enabled, rts_on_send = 0x1, 0x2
            assert calls == [(enabled | rts_on_send, 2, 1)]


async def test_baud_and_stop_bits_reach_the_port_and_what_it_refuses_is_told() -> None:
    async with serial_bus(4800) as bus:
        options = RtuOptions(port=bus.outer, baud=4800, stopbits=2)
        async with opened(RtuDriver(options, SystemClock())) as driver:
            port = driver._port
            assert port is not None
            settings = termios.tcgetattr(port.transport.sync_serial.fileno())  # type: ignore[attr-defined]  # pymodbus' serial transport
            assert settings[4] == settings[5] == termios.B4800
            assert settings[2] & termios.CSTOPB
        # A pseudo-terminal has no parity; some C libraries say so, others pass it over.
        even = RtuDriver(RtuOptions(port=bus.outer, baud=4800, parity="E"), SystemClock())
        said = ""
        try:
            await even.open()
        except LineDown as e:
            said = str(e)
        assert said == "" or "refuses its settings" in said
        await even.close()


async def test_a_missing_port_says_why() -> None:
    driver = RtuDriver(RtuOptions(port="/dev/no-such-port"), SystemClock())
    with pytest.raises(LineDown, match="there is no such port"):
        await driver.open()


# ── silence between frames ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("baud", [1200, 9600, 19200, 115200])
async def test_every_gap_on_the_wire_is_at_least_three_and_a_half_characters(baud: int) -> None:
    """Measured on the bus: from the last byte of an answer to the first of the next request."""
    async with serial_bus(baud) as bus, odd_rtu(Odd(), bus):
        options = RtuOptions(port=bus.outer, baud=baud)
        async with opened(RtuDriver(options, SystemClock())) as driver:
            for _ in range(8):
                assert (await driver.read(BLOCK, 5)).words.tolist() == RIGHT
        assert len(bus.silences) == 7
        assert min(bus.silences) >= options.silence_s
        assert options.silence_s == pytest.approx(max(3.5 * 10 / baud, 0.00175), rel=0.06)


async def test_a_bus_that_is_never_silent_is_told_and_not_waited_for() -> None:
    async with serial_bus(115200) as bus:
        driver = RtuDriver(RtuOptions(port=bus.outer, baud=1200), SystemClock())
        port = os.open(bus.inner, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        babbling = asyncio.create_task(_babble(port))
        async with opened(driver):
            with pytest.raises(Garbled, match="never silent"):
                await _until_refused(driver)
        babbling.cancel()
        os.close(port)
        assert driver.stats.unit(1).held >= 1


async def _babble(port: int) -> None:
    while True:
        os.write(port, b"\x55")
        await asyncio.sleep(0.002)


async def _until_refused(driver: ModbusDriver) -> None:
    clock = SystemClock()
    deadline = clock.monotonic() + 20
    while clock.monotonic() < deadline:
        try:
            await driver.read(BLOCK, 0.2)
        except NoAnswer:
            continue
        except Garbled as e:
            if "never silent" in str(e):
                raise
