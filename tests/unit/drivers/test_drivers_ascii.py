"""Talking sensors on a pseudo-terminal: each sentence is handed out once, damaged ones never."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from drivers.ascii_line import AsciiLineDriver, frame, parse
from drivers.profiles.bind import bind
from drivers.profiles.loader import load_profile
from drivers.registry import make_driver
from gateway.adapters.clock import ManualClock, SystemClock
from gateway.ports import Block, Garbled, LineDown, NoAnswer

WL = Block(1, "line", sentence="WL")
PATIENT_S = 5.0
NO_TIME_S = 0.0


@asynccontextmanager
async def sensor_line(clock: Any = None, **options: Any) -> AsyncIterator[tuple[AsciiLineDriver, int]]:
    """The driver at one end, a file descriptor to speak with at the other."""
    master, slave = os.openpty()
    tty.setraw(slave)
    driver = make_driver("ascii_line", {"port": os.ttyname(slave), **options}, clock or SystemClock())
    assert isinstance(driver, AsciiLineDriver)
    try:
        await driver.open()
        yield driver, master
    finally:
        await driver.close()
        os.close(slave)
        os.close(master)


def say(fd: int, level: str, *, unit: str = "001") -> None:
    os.write(fd, frame(["WL", unit, level, "m"]))


async def test_a_sentence_becomes_a_level_with_the_time_of_its_arrival() -> None:
    async with sensor_line() as (driver, fd):
        say(fd, "02.345")
        answer = await driver.read(WL, PATIENT_S)
        assert answer.fields == ("WL", "001", "02.345", "m")
        assert answer.t > 0
        out = bind(load_profile("level_wl_ascii"), "sump-1", {"level": "sump"}).decode(answer)
        assert out.v.tolist() == [2.345]


async def test_a_sentence_is_given_out_once_and_the_newest_counts() -> None:
    async with sensor_line() as (driver, fd):
        say(fd, "1.000")
        assert (await driver.read(WL, PATIENT_S)).fields[2] == "1.000"
        with pytest.raises(NoAnswer, match="no WL sentence of sensor 1"):
            await driver.read(WL, NO_TIME_S)
        os.write(fd, frame(["WL", "001", "2.000", "m"]) + frame(["WL", "001", "3.000", "m"]))
        assert (await driver.read(WL, PATIENT_S)).fields[2] == "3.000"


async def test_a_read_waits_for_the_next_sentence_even_in_pieces() -> None:
    async with sensor_line() as (driver, fd):
        reading = asyncio.create_task(driver.read(WL, PATIENT_S))
        for byte in frame(["WL", "001", "4.2", "m"]):
            os.write(fd, bytes((byte,)))
            await asyncio.sleep(0)
        assert (await reading).fields[2] == "4.2"


async def test_the_time_is_that_of_arrival_and_not_of_the_read() -> None:
    clock = ManualClock(start=1_000_000)
    async with sensor_line(clock) as (driver, fd):
        say(fd, "1.0")
        other = asyncio.create_task(driver.read(Block(2, "line", sentence="WL"), PATIENT_S))
        say(fd, "5.0", unit="002")
        await other
        await clock.advance(60.0)
        assert (await driver.read(WL, PATIENT_S)).t == 1_000_000


async def test_sensors_of_one_line_are_told_apart() -> None:
    async with sensor_line() as (driver, fd):
        say(fd, "1.0", unit="001")
        say(fd, "2.0", unit="002")
        assert (await driver.read(Block(2, "line", sentence="WL"), PATIENT_S)).fields[2] == "2.0"
        assert (await driver.read(WL, PATIENT_S)).fields[2] == "1.0"


async def test_without_an_id_field_every_unit_is_the_one_sensor() -> None:
    async with sensor_line(id_field=None) as (driver, fd):
        os.write(fd, frame(["WL", "abc", "1.5"]))
        assert (await driver.read(Block(9, "line", sentence="WL"), PATIENT_S)).fields[2] == "1.5"


@pytest.mark.parametrize(
    "line",
    [
        b"$WL,001,02.345,m*76\r\n",
        b"$WL,001,02.345,m\r\n",
        b"WL,001,02.345,m*75\r\n",
        b"$WL,001,02.3$WL,001,02.345,m*75\r\n",
        b"$WL,x,1,m*" + frame(["WL", "x", "1", "m"])[-4:-2] + b"\r\n",
        b"\xff\xfe\x00\n",
        b"x" * 300,
    ],
)
async def test_a_damaged_line_is_told_and_gives_no_value(line: bytes) -> None:
    async with sensor_line() as (driver, fd):
        os.write(fd, line)
        with pytest.raises(Garbled):
            await driver.read(WL, 0.1)
        os.write(fd, b"\n")
        say(fd, "1.0")
        assert (await driver.read(WL, PATIENT_S)).fields[2] == "1.0"


async def test_a_port_that_goes_away_is_a_line_down() -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    driver = make_driver("ascii_line", {"port": os.ttyname(slave)}, SystemClock())
    await driver.open()
    os.close(slave)
    reading = asyncio.create_task(driver.read(WL, PATIENT_S))
    await asyncio.sleep(0)
    os.close(master)
    with pytest.raises(LineDown):
        await reading
    await driver.close()


def test_parse_is_the_inverse_of_frame() -> None:
    assert parse(frame(["WL", "001", "02.345", "m"])) == ("WL", "001", "02.345", "m")
    assert parse(b"$WL,001,02.345,m*75\r\n") == ("WL", "001", "02.345", "m")
