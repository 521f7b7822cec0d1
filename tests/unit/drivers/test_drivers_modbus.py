"""What only Modbus has: silence on the bus, quarantine of a late unit, broken streams, a library's server."""

from __future__ import annotations

import asyncio
import itertools
import logging

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.modbus import RtuDriver, RtuOptions, TcpDriver, TcpOptions
from drivers.profiles.cases import crc16
from gateway.adapters.clock import SystemClock
from gateway.ports import Block, DeviceException, Garbled, LineDown, NoAnswer
from tests.unit.drivers.wire_devices import Reply, RtuDevice, TcpDevice, on_pty, on_tcp


async def test_a_library_server_is_read_in_all_four_areas() -> None:
    unit = SimDevice(
        3,
        simdata=(
            [SimData(0, values=[True, False, False] * 10 + [False, True], datatype=DataType.BITS)],
            [SimData(0, values=[False, True] * 8, datatype=DataType.BITS)],
            [SimData(1024, values=[380, 82, 0xFFFF, 76], datatype=DataType.REGISTERS)],
            [SimData(0, values=[0x4366, 0x3333], datatype=DataType.REGISTERS)],
        ),
    )
    server = ModbusTcpServer([unit], address=("127.0.0.1", 0), ignore_missing_devices=True)
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # an asyncio server
    driver = TcpDriver(TcpOptions(host="127.0.0.1", port=port), SystemClock())
    try:
        await driver.open()
        assert (await driver.read(Block(3, "coil", 2, 8), 5)).words.tolist() == [0, 1, 0, 0, 1, 0, 0, 1]
        assert (await driver.read(Block(3, "discrete", 0, 3), 5)).words.tolist() == [0, 1, 0]
        assert (await driver.read(Block(3, "holding", 1024, 4), 5)).words.tolist() == [380, 82, 0xFFFF, 76]
        assert (await driver.read(Block(3, "input", 0, 2), 5)).words.tolist() == [0x4366, 0x3333]
        with pytest.raises(DeviceException) as caught:
            await driver.read(Block(3, "holding", 1026, 4), 5)
        assert caught.value.code == 2
    finally:
        await driver.close()
        await server.shutdown()  # type: ignore[no-untyped-call]  # the library does not type it


@pytest.mark.parametrize(
    ("options", "char_s", "silence_s"),
    [
        ({"baud": 9600}, 10 / 9600, 35 / 9600),
        ({"baud": 9600, "parity": "E"}, 11 / 9600, 38.5 / 9600),
        ({"baud": 19200, "stopbits": 2}, 11 / 19200, 38.5 / 19200),
        ({"baud": 115200}, 10 / 115200, 0.00175),
    ],
)
def test_character_and_silence_times(options: dict[str, object], char_s: float, silence_s: float) -> None:
    made = RtuOptions.model_validate({"port": "x", **options})
    assert made.char_s == pytest.approx(char_s)
    assert made.silence_s == pytest.approx(silence_s)


async def test_the_bus_is_silent_for_three_and_a_half_characters_before_every_request() -> None:
    async with on_pty(RtuDevice(), baud=1200) as device:
        options = RtuOptions(port=device.options["port"], baud=1200)
        driver = RtuDriver(options, SystemClock())
        await driver.open()
        for _ in range(4):
            await driver.read(Block(1, "holding", 0, 1), 5)
        times = [t for t, _ in device.requests]
        gaps = [b - a for a, b in itertools.pairwise(times)]
        # The device answers at once: what lies between two requests is the silence (29 ms at 1200 baud).
        assert min(gaps) >= options.silence_s
        await driver.close()


async def test_a_silent_rtu_unit_costs_one_time_out_and_is_then_left_alone() -> None:
    async with on_pty(RtuDevice()) as device:
        driver = RtuDriver(RtuOptions(port=device.options["port"], baud=115200), SystemClock())
        await driver.open()
        device.mode = "silent"
        with pytest.raises(NoAnswer, match="nothing in"):
            await driver.read(Block(5, "holding", 0, 4), 0.1)
        for _ in range(20):
            with pytest.raises(NoAnswer, match="late answer is still awaited"):
                await driver.read(Block(5, "holding", 0, 4), 0.1)
        assert len(device.requests) == 1
        await driver.close()


async def test_a_damaged_rtu_answer_fails_at_once_and_the_unit_may_be_asked_again() -> None:
    clock = SystemClock()
    async with on_pty(RtuDevice()) as device:
        driver = RtuDriver(RtuOptions(port=device.options["port"], baud=115200), clock)
        await driver.open()
        device.mode = "bad crc"
        started = clock.monotonic()
        with pytest.raises(Garbled, match="not its answer"):
            await driver.read(Block(5, "holding", 0, 4), 30)
        assert clock.monotonic() - started < 10
        device.mode = "ok"
        assert len((await driver.read(Block(5, "holding", 0, 4), 5)).words) == 4
        await driver.close()


async def test_what_comes_unasked_on_a_bus_is_thrown_away() -> None:
    async with on_pty(RtuDevice()) as device:
        driver = RtuDriver(RtuOptions(port=device.options["port"], baud=115200), SystemClock())
        await driver.open()
        sends: list[Reply] = []
        receive = device.receive

        def remember(request: bytes, send: Reply) -> None:
            sends.append(send)
            receive(request, send)

        device.receive = remember  # type: ignore[method-assign]
        await driver.read(Block(5, "holding", 0, 1), 5)
        foreign = bytes((5, 3, 2, 0xDE, 0xAD))
        sends[0](foreign + crc16(foreign))
        answer = await driver.read(Block(5, "holding", 0, 1), 5)
        assert answer.words.tolist() == [2]
        await driver.close()


async def test_after_junk_the_very_next_request_succeeds_on_a_new_connection() -> None:
    async with on_tcp(TcpDevice(), 12) as device:
        driver = TcpDriver(TcpOptions.model_validate(device.options), SystemClock())
        await driver.open()
        for mode in ("junk first", "junk", "half"):
            device.mode = mode
            with pytest.raises(Garbled):
                await driver.read(Block(1, "holding", 0, 2), 0.1)
            device.mode = "ok"
            assert len((await driver.read(Block(1, "holding", 0, 2), 5)).words) == 2
        assert driver.stats.opened == 4
        await driver.close()


async def test_a_connection_that_is_cut_tells_at_once_and_not_after_the_time_out() -> None:
    async with on_tcp(TcpDevice(), 12) as device:
        driver = TcpDriver(TcpOptions.model_validate(device.options), SystemClock())
        await driver.open()
        device.mode = "hang up"
        with pytest.raises(LineDown, match="cut off"):
            await driver.read(Block(1, "holding", 0, 2), 30)
        await driver.close()


async def test_the_library_writes_no_line_for_each_refused_frame(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with on_tcp(TcpDevice(), 12) as device:
        driver = TcpDriver(TcpOptions.model_validate(device.options), SystemClock())
        for mode in ("foreign unit", "wrong id", "short", "silent"):
            await driver.open()
            device.mode = mode
            with pytest.raises((Garbled, NoAnswer)):
                await driver.read(Block(1, "holding", 0, 2), 0.05)
        await driver.close()
    assert [r for r in caplog.records if r.name.startswith("pymodbus")] == []


async def test_a_late_frame_right_behind_the_answer_does_not_take_it_away() -> None:
    """Both arrive before the reader wakes up."""
    async with on_tcp(TcpDevice(), 12) as device:
        device.mode = "silent"
        driver = TcpDriver(TcpOptions.model_validate(device.options), SystemClock())
        await driver.open()
        port = driver._port
        assert port is not None
        reading = asyncio.create_task(driver.read(Block(1, "holding", 0, 2), 5))
        await device.asked.wait()
        ours = device.requests[0][1][:2]
        port.data_received(ours + bytes.fromhex("00 00 00 07 01 03 04 00 0B 00 0C"))
        port.data_received(b"\x77\x77" + bytes.fromhex("00 00 00 07 01 03 04 DE AD DE AD"))
        assert (await reading).words.tolist() == [11, 12]
        device.mode = "ok"
        assert (await driver.read(Block(1, "holding", 0, 2), 5)).words.tolist() == [2, 1]
        await driver.close()
