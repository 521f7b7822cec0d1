"""What the tests of lines share: drivers on a port, opened and closed, and one block with its right words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from drivers.modbus import AsciiDriver, RtuDriver, RtuTcpDriver, TcpDriver
from drivers.modbus_line import ModbusDriver
from drivers.modbus_options import ModbusAsciiOptions, RtuOptions, RtuTcpOptions, TcpOptions
from gateway.adapters.clock import SystemClock
from gateway.ports import Block
from simulators.faulty import word_at

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


def over_tcp(port: int) -> ModbusDriver:
    return RtuTcpDriver(RtuTcpOptions(host="127.0.0.1", port=port, baud=115200), SystemClock())


def rtu(port: str) -> ModbusDriver:
    return RtuDriver(RtuOptions(port=port, baud=115200), SystemClock())


def ascii_bus(port: str) -> ModbusDriver:
    return AsciiDriver(ModbusAsciiOptions(port=port, baud=115200, bytesize=8, parity="N"), SystemClock())
