"""Programs that know nothing of us read the simulated devices: mbpoll (C), minimalmodbus (Python)."""

from __future__ import annotations

import asyncio
import re
import shutil
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import minimalmodbus
import pytest
import serial

from drivers.profiles.textline import parse
from gateway.adapters.clock import ManualClock
from simulators.layout import demo_layout
from simulators.pytest_plugin import EstateFactory, LiveEstate

START = 1_772_447_400_000
needs_mbpoll = pytest.mark.skipif(
    shutil.which("mbpoll") is None, reason="mbpoll is not installed (apt-get install mbpoll)"
)


@pytest.fixture
async def live(estate: EstateFactory) -> AsyncIterator[LiveEstate]:
    """One estate whose site time stands still, so that two readings of one instant are the same."""
    clock = ManualClock(START)
    async with estate("calm", seed=11, clock=clock) as running:
        clock.step(95)
        running.simulation.step(clock.now())
        yield running


def port_of(live: LiveEstate, line: str) -> str:
    return live.endpoints.lines[line].rsplit(":", 1)[1]


def path_of(live: LiveEstate, line: str) -> str:
    return live.endpoints.lines[line].split(":", 1)[1].split("?")[0]


def is_there(path: str) -> bool:
    return Path(path).exists()


def values(live: LiveEstate, asset: str) -> dict[str, float]:
    return dict(live.simulation.values(asset))


# ── mbpoll ────────────────────────────────────────────────────────────────────────────────────────────


async def mbpoll(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "mbpoll", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(30):
        out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def poll_tcp(
    live: LiveEstate, line: str, unit: int, kind: str, first: int, count: int
) -> tuple[int, str]:
    return await mbpoll(
        "-m", "tcp", "-p", port_of(live, line), "-a", str(unit), "-t", kind, "-0", "-r", str(first),
        "-c", str(count), "-1", "-q", "-o", "1", "-B", "127.0.0.1",
    )  # fmt: skip


def numbers(text: str) -> dict[int, float]:
    """`[12]: 	3.5` or `[12]: 	65535 (-1)` per line."""
    rows = re.findall(r"^\[(\d+)\]:\s+(-?[\d.]+(?:e[+-]\d+)?)", text, re.MULTILINE)
    return {int(address): float(value) for address, value in rows}


@needs_mbpoll
async def test_mbpoll_reads_floats_of_the_energy_meter_over_tcp(live: LiveEstate) -> None:
    code, text = await poll_tcp(live, "e1-plant", 2, "3:float", 0, 3)
    assert code == 0, text
    pw = values(live, "pw-1")
    got = numbers(text)
    for address, tag in ((0, "pw.meter.ua"), (2, "pw.meter.ub"), (4, "pw.meter.uc")):
        assert got[address] == pytest.approx(pw[tag], rel=1e-4)


@needs_mbpoll
async def test_mbpoll_reads_coils_and_discrete_inputs(live: LiveEstate) -> None:
    code, text = await poll_tcp(live, "e1-safety", 4, "0", 0, 4)
    assert code == 0, text
    lamps = values(live, "lt-1")
    assert [numbers(text)[n] for n in range(4)] == [lamps[f"lt.c{n}.on"] for n in (1, 2, 3, 4)]
    live.fault("call_button", "call-1")
    code, text = await poll_tcp(live, "e1-safety", 2, "1", 0, 4)
    assert code == 0, text
    assert 1 in numbers(text).values()


@needs_mbpoll
async def test_mbpoll_gets_an_exception_for_an_address_that_is_not_there(live: LiveEstate) -> None:
    code, text = await poll_tcp(live, "e1-plant", 1, "3", 4000, 2)
    assert code != 0
    assert "Illegal data address" in text


@needs_mbpoll
async def test_mbpoll_gets_nothing_from_a_unit_that_is_not_there_or_silent(live: LiveEstate) -> None:
    code, text = await poll_tcp(live, "e1-plant", 99, "3", 0, 2)
    assert code != 0
    assert "timed out" in text
    live.fault("device_silent", "ws-1")
    code, text = await poll_tcp(live, "e1-plant", 1, "3", 0, 2)
    assert code != 0
    assert "timed out" in text
    counts = live.endpoints.counts()["ws-plc"]
    assert counts.silent == counts.requests >= 1
    live.clear()
    code, _ = await poll_tcp(live, "e1-plant", 1, "3", 0, 2)
    assert code == 0
    assert counts.answers == 1


@needs_mbpoll
async def test_mbpoll_gets_the_exception_of_a_failing_device(live: LiveEstate) -> None:
    live.fault("device_exception", "gen-1")
    code, text = await poll_tcp(live, "e1-plant", 10, "4", 0x400, 2)
    assert code != 0
    assert "Slave device or server failure" in text
    assert live.endpoints.counts()["gen-dse"].exceptions == 1


@needs_mbpoll
async def test_mbpoll_reads_every_unit_of_the_serial_bus(live: LiveEstate) -> None:
    for unit, lift in ((1, "lift-1"), (2, "lift-2"), (3, "lift-3")):
        code, text = await mbpoll(
            "-m", "rtu", "-b", "38400", "-P", "none", "-a", str(unit), "-t", "3", "-0", "-r", "0", "-c", "16",
            "-1", "-q", "-o", "1", path_of(live, "e1-bus"),
        )  # fmt: skip
        assert code == 0, text
        got, v = numbers(text), values(live, lift)
        assert int(got[0]) & 1 == v["lift.moving"]
        assert int(got[0]) >> 5 & 1 == v["lift.mains"] == 1
        assert got[1] == v["lift.service_mode"] == 1
        assert got[3] == v["lift.floor"]


# ── minimalmodbus and pyserial ────────────────────────────────────────────────────────────────────────


async def with_instrument(live: LiveEstate, unit: int, ask: Callable[[Any], Any]) -> Any:
    """What `ask` gets from the unit, in a thread: minimalmodbus blocks."""

    def work() -> Any:
        instrument = minimalmodbus.Instrument(path_of(live, "e1-bus"), unit)
        try:
            instrument.serial.baudrate = 38_400
            instrument.serial.timeout = 1.0
            return ask(instrument)
        finally:
            instrument.serial.close()

    return await asyncio.to_thread(work)


async def test_minimalmodbus_reads_a_sump_on_the_bus(live: LiveEstate) -> None:
    words = await with_instrument(live, 4, lambda i: i.read_registers(0, 12, functioncode=4))
    v = values(live, "sump-1")
    image = live.endpoints.images["sump-1-plc"]
    level = image.profile.point("sump.level")
    assert words[level.address] * level.scale == pytest.approx(v["sump.level"], abs=level.scale)
    starts = image.profile.point("sump.pump1.starts")
    raw = struct.pack(">2H", *words[starts.address : starts.address + 2])
    assert (
        int.from_bytes(raw, "big") == v["sump.pump1.starts"]
        or words[starts.address] == v["sump.pump1.starts"]
    )


async def test_minimalmodbus_waits_in_vain_for_a_silent_unit_and_reads_the_others(live: LiveEstate) -> None:
    live.fault("device_silent", "lift-2")
    with pytest.raises(minimalmodbus.NoResponseError):
        await with_instrument(live, 2, lambda i: i.read_registers(0, 4, functioncode=4))
    assert len(await with_instrument(live, 3, lambda i: i.read_registers(0, 4, functioncode=4))) == 4


async def test_minimalmodbus_refuses_a_short_answer(live: LiveEstate) -> None:
    live.fault("device_short", "lift-1")
    with pytest.raises((minimalmodbus.InvalidResponseError, minimalmodbus.NoResponseError)):
        await with_instrument(live, 1, lambda i: i.read_registers(0, 8, functioncode=4))
    assert live.endpoints.counts()["lift-1-box"].short == 1


async def test_an_answer_takes_the_time_of_its_bytes(live: LiveEstate) -> None:
    bus = live.endpoints.buses["e1-bus"]
    loop = asyncio.get_running_loop()
    started = loop.time()
    await with_instrument(live, 1, lambda i: [i.read_registers(0, 16, functioncode=4) for _ in range(5)])
    wire = 5 * (8 + 5 + 32) * 10 / 38_400
    assert (bus.bytes_in, bus.bytes_out) == (5 * 8, 5 * 37)
    assert loop.time() - started >= wire


async def test_a_serial_reader_hears_the_level_sensor(estate: EstateFactory) -> None:
    async with estate("calm", seed=11, speed=5.0) as live:

        def listen() -> list[bytes]:
            with serial.Serial(path_of(live, "e1-level"), 9600, timeout=5) as port:
                return [port.readline() for _ in range(3)]

        for line in await asyncio.to_thread(listen):
            fields = parse(line)
            assert fields[0] == "WL"
            assert float(fields[2]) == pytest.approx(values(live, "sump-2")["sump.level"], abs=0.05)


async def test_the_layout_of_the_endpoints_is_the_one_of_the_ready_object(live: LiveEstate) -> None:
    rows = live.endpoints.devices()
    assert len(rows) == len(list(demo_layout().devices()))
    for row in rows:
        assert re.fullmatch(
            r"tcp://127\.0\.0\.1:\d+|(rtu|ascii):/\S+\?baud=\d+&parity=[NEO]", row["endpoint"]
        )
        if not row["endpoint"].startswith("tcp"):
            assert is_there(row["endpoint"].split(":", 1)[1].split("?")[0])
