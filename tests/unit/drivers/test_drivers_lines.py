"""Lines: the four forms against servers of another make, counts that equal the device's, the trace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.modbus import RtuDriver
from drivers.modbus_line import ModbusDriver
from drivers.modbus_options import RtuOptions
from drivers.trace import FrameTrace
from gateway.adapters.clock import ManualClock, SystemClock
from gateway.ports import Area, Block, DeviceException, Garbled, NoAnswer, Writer
from simulators.devices import DeviceImage
from simulators.faulty import Odd, odd_rtu, odd_tcp
from simulators.layout import demo_layout
from simulators.modbus_server import rtu_server, tcp_server
from simulators.rtu_bus import serial_bus
from simulators.world import Live, Simulation
from tests.unit.drivers.line_kit import BLOCK, ascii_bus, opened, over_tcp, rtu, tcp
from tests.unit.drivers.wire_devices import TcpDevice, on_tcp

START = 1_772_447_400_000
LAYOUT = demo_layout()


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


FORMS: dict[str, Callable[[], AbstractAsyncContextManager[ModbusDriver]]] = {
    "tcp": lambda: library_tcp(FramerType.SOCKET, tcp),
    "rtu over tcp": lambda: library_tcp(FramerType.RTU, over_tcp),
    "rtu": lambda: library_bus(FramerType.RTU, rtu),
    "ascii": lambda: library_bus(FramerType.ASCII, ascii_bus),
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


@pytest.mark.parametrize("form", ["tcp", "rtu over tcp", "rtu", "ascii"])
async def test_counts_equal_those_of_the_simulator(form: str) -> None:
    world = Live(Simulation(LAYOUT, 1, START), ManualClock(START))
    image = DeviceImage(next(d for _, d in LAYOUT.devices() if d.id == "em-meter"), world)
    at = image.plan.unit
    async with _served(image, form) as made, opened(made) as driver:
        for n in range(9):
            block = Block(at, "holding", 0x2006 if n % 3 else 0x9000, 6)
            if n % 3:
                assert (await driver.read(block, 5)).words.tolist() == image.words("holding", 0x2006, 6)
                continue
            with pytest.raises(DeviceException):
                await driver.read(block, 5)
        with pytest.raises(NoAnswer):
            await driver.read(Block(99, "holding", 0x2006, 6), 0.1)
        mine, theirs = driver.stats.unit(at), image.counts
        assert (mine.requests, mine.answers) == (theirs.requests, theirs.answers) == (9, 6)
        assert mine.exceptions[2] == theirs.exceptions == 3
        assert driver.stats.unit(99).timeouts == 1


@asynccontextmanager
async def _served(image: DeviceImage, form: str) -> AsyncIterator[ModbusDriver]:
    if "tcp" in form:
        async with tcp_server([image], rtu=form != "tcp") as port:
            yield tcp(port) if form == "tcp" else over_tcp(port)
        return
    async with serial_bus(115200) as bus, rtu_server([image], bus, ascii_frames=form == "ascii"):
        yield ascii_bus(bus.outer) if form == "ascii" else rtu(bus.outer)


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
