"""Lines: four forms against servers of another make, odd devices, silence on the bus, counts, the trace."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.modbus import AsciiDriver, RtuDriver, RtuTcpDriver, TcpDriver
from drivers.modbus_line import ModbusDriver
from drivers.modbus_options import ModbusAsciiOptions, RtuOptions, RtuTcpOptions, TcpOptions
from drivers.trace import FrameTrace
from gateway.adapters.clock import SystemClock
from gateway.edge.plan import plan
from gateway.ports import Area, Block, DeviceException, Garbled, LineDown, NoAnswer, Writer
from simulators.faulty import Odd, odd_rtu, odd_tcp, word_at
from simulators.rtu_bus import serial_bus
from tests.unit.drivers.test_drivers_decode import profile
from tests.unit.drivers.wire_devices import TcpDevice, on_tcp

BLOCK = Block(1, "holding", 10, 3)
RIGHT = [word_at(10), word_at(11), word_at(12)]


@asynccontextmanager
async def opened(driver: ModbusDriver) -> AsyncIterator[ModbusDriver]:
    await driver.open()
    try:
        yield driver
    finally:
        await driver.close()


def tcp(port: int, **more: Any) -> TcpDriver:
    return TcpDriver(TcpOptions(host="127.0.0.1", port=port, **more), SystemClock())


# ── the four forms, served by a library ───────────────────────────────────────────────────────────────


def unit() -> SimDevice:
    return SimDevice(
        3,
        simdata=(
            [SimData(0, values=[True, False, False, True], datatype=DataType.BITS)],
            [SimData(0, values=[False, True, True, True], datatype=DataType.BITS)],
            [SimData(1024, values=[380, 82, 0xFFFF, 76], datatype=DataType.REGISTERS)],
            [SimData(0, values=[0x4366, 0x3333], datatype=DataType.REGISTERS)],
        ),
    )


@asynccontextmanager
async def library_tcp(framer: FramerType, make: Callable[[int], ModbusDriver]) -> AsyncIterator[ModbusDriver]:
    server = ModbusTcpServer([unit()], framer=framer, address=("127.0.0.1", 0), ignore_missing_devices=True)
    await server.serve_forever(background=True)
    try:
        yield make(server.transport.sockets[0].getsockname()[1])  # type: ignore[attr-defined]  # an asyncio server
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]  # the library does not type it


@asynccontextmanager
async def library_bus(framer: FramerType, make: Callable[[str], ModbusDriver]) -> AsyncIterator[ModbusDriver]:
    async with serial_bus(115200) as bus:
        server = ModbusSerialServer(
            [unit()], framer=framer, port=bus.inner, baudrate=115200, ignore_missing_devices=True
        )
        await server.serve_forever(background=True)
        try:
            yield make(bus.outer)
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]  # the library does not type it


def _rtu_tcp(port: int) -> ModbusDriver:
    return RtuTcpDriver(RtuTcpOptions(host="127.0.0.1", port=port, baud=115200), SystemClock())


def _rtu(port: str) -> ModbusDriver:
    return RtuDriver(RtuOptions(port=port, baud=115200), SystemClock())


def _ascii(port: str) -> ModbusDriver:
    return AsciiDriver(ModbusAsciiOptions(port=port, baud=115200, bytesize=8, parity="N"), SystemClock())


FORMS: dict[str, Callable[[], AbstractAsyncContextManager[ModbusDriver]]] = {
    "tcp": lambda: library_tcp(FramerType.SOCKET, tcp),
    "rtu over tcp": lambda: library_tcp(FramerType.RTU, _rtu_tcp),
    "rtu": lambda: library_bus(FramerType.RTU, _rtu),
    "ascii": lambda: library_bus(FramerType.ASCII, _ascii),
}


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_reads_all_four_areas_of_a_library_server(form: str) -> None:
    wanted: list[tuple[Area, int, int, list[int]]] = [
        ("coil", 0, 4, [1, 0, 0, 1]),
        ("discrete", 1, 3, [1, 1, 1]),
        ("holding", 1024, 4, [380, 82, 0xFFFF, 76]),
        ("input", 0, 2, [0x4366, 0x3333]),
    ]
    async with FORMS[form]() as made, opened(made) as driver:
        for area, address, count, words in wanted:
            assert (await driver.read(Block(3, area, address, count), 5)).words.tolist() == words
        with pytest.raises(DeviceException) as caught:
            await driver.read(Block(3, "holding", 1026, 4), 5)
        assert caught.value.code == 2
        counts = driver.stats.unit(3)
        assert (counts.requests, counts.answers, dict(counts.exceptions)) == (5, 4, {2: 1})


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_writes_one_and_several_and_the_device_confirms(form: str) -> None:
    async with FORMS[form]() as made, opened(made) as driver:
        driver.trace(True)
        for area, address, words in (
            ("holding", 1024, [7]), ("holding", 1025, [8, 9]), ("coil", 1, [1]), ("coil", 0, [0, 0, 1, 1]),
        ):  # fmt: skip
            block = Block(3, area, address, len(words))  # type: ignore[arg-type]  # both are areas
            await driver.write(block, words, 5)
            assert (await driver.read(block, 5)).words.tolist() == words
        with pytest.raises(DeviceException) as caught:
            await driver.write(Block(3, "holding", 60000, 1), [1], 5)
        assert caught.value.code == 2
        with pytest.raises(ValueError, match="cannot be written"):
            await driver.write(Block(3, "input", 0, 1), [1], 5)
        assert isinstance(driver, Writer)
        written = [f.hex for f in driver.frames() if "[+" in f.hex]
        assert len(written) == 10
        assert driver.stats.unit(3).explained == driver.stats.unit(3).requests == 9


async def test_a_write_confirmed_with_another_value_is_refused() -> None:
    async with on_tcp(_Liar(), 12) as device, opened(tcp(device.options["port"])) as driver:
        with pytest.raises(Garbled, match="confirm"):
            await driver.write(Block(1, "holding", 5, 1), [700], 1)
        assert driver.stats.unit(1).faults["confirm"] == 1


class _Liar(TcpDevice):
    def reply(self, request: bytes) -> list[bytes]:
        return [request[:-1] + b"\x01"]


async def test_reads_and_writes_of_several_tasks_take_turns() -> None:
    async with FORMS["rtu"]() as made, opened(made) as driver:
        block = Block(3, "holding", 1024, 1)
        jobs = [driver.write(block, [n], 5) if n % 2 else driver.read(block, 5) for n in range(8)]
        await asyncio.gather(*jobs)
        assert driver.stats.unit(3).answers == 8
        assert (await driver.read(block, 5)).words.tolist() == [7]


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
            client = driver._client
            assert client is not None
            settings = termios.tcgetattr(client.ctx.transport.sync_serial.fileno())  # type: ignore[attr-defined]  # pymodbus' serial transport
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


# ── counts and trace ──────────────────────────────────────────────────────────────────────────────────


async def test_counts_equal_those_of_the_device() -> None:
    device = Odd(max_registers=20)
    async with odd_tcp(device) as port, opened(tcp(port)) as driver:
        for n in range(12):
            if n % 4 == 3:
                with pytest.raises(NoAnswer):
                    await driver.read(Block(1, "holding", 0, 30), 0.05)
            else:
                await driver.read(BLOCK, 5)
        counts = driver.stats.unit(1)
        assert (counts.requests, counts.answers, counts.timeouts) == (12, 9, 3)
        assert (counts.requests, counts.answers) == (device.requests, device.answers)
        assert counts.timeouts == device.ignored
        assert counts.explained == counts.requests
        assert sum(counts.rtt) == 9
        assert (counts.bytes_out, counts.bytes_in) == (12 * 12, 9 * 15)
        assert counts.last_ok > 0
        assert counts.as_dict()["faults"] == {}
        assert driver.stats.busy_s > 0


async def test_the_trace_is_switched_while_it_runs_and_keeps_the_last_frames() -> None:
    async with odd_tcp(Odd()) as port, opened(tcp(port)) as driver:
        await driver.read(BLOCK, 5)
        assert driver.frames() == ()
        driver.trace(True)
        for _ in range(300):
            await driver.read(BLOCK, 5)
        frames = driver.frames()
        assert len(frames) == 500
        assert [f.direction for f in frames[-2:]] == ["out", "in"]
        sent, heard = frames[-2:]
        assert sent.hex.endswith("00 00 00 06 01 03 00 0a 00 03")
        assert heard.hex.endswith("01 03 06 00 47 00 4e 00 55")
        assert (sent.unit, heard.unit) == (1, 1)
        assert sent.t <= heard.t
        driver.trace(False)
        await driver.read(BLOCK, 5)
        assert driver.frames() == frames
        assert driver.frames(unit=2) == ()
        driver.trace(True)
        assert driver.frames() == ()


async def test_the_trace_shows_what_was_refused_in_one_piece() -> None:
    async with serial_bus(19200, echo=True) as bus, odd_rtu(Odd(), bus):
        driver = RtuDriver(RtuOptions(port=bus.outer, baud=19200), SystemClock())
        driver.trace(True)
        async with opened(driver):
            with pytest.raises(Garbled):
                await driver.read(BLOCK, 1)
        sent, heard = driver.frames(unit=1)
        assert heard.hex.startswith(sent.hex)


def test_the_trace_is_bounded_and_leaves_out_what_may_be_secret() -> None:
    trace = FrameTrace(capacity=3)
    trace.switch(on=True)
    trace.sent(1, 5, bytes.fromhex("05 10 00 01 00 02 04 12 34 56 78 AA BB"), head=2)
    trace.heard(2, 5, bytes(1000))
    trace.heard(3, 5, b"x" * 1000)
    trace.heard(4, None, b"?")
    secret, long, unasked = trace.frames()
    assert secret.hex == "05 10 [+11]"
    assert long.hex.endswith(" 00 [+1400]")
    assert long.t == 2
    assert (unasked.hex, unasked.unit) == ("3f", None)
    trace.sent(5, 5, b"1")
    assert len(trace.frames()) == 3
