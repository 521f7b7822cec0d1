"""Modbus TCP, RTU, RTU over TCP and ASCII servers: several units on one port or bus.

Values are computed when they are read. The only file of this package that knows pymodbus (3.16: `SimData`,
`SimDevice`, `action`). A unit that nobody has, and one that is silent by fault, does not answer at all, as on
a real bus.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from pymodbus import FramerType
from pymodbus.constants import ExcCodes
from pymodbus.pdu import ModbusPDU
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.errors import WorkFailed
from simulators.devices import DeviceImage
from simulators.rtu_bus import Bus

AREAS = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
BIT_FUNCTIONS = (1, 2)
UNIT_AT = {FramerType.SOCKET: 6, FramerType.RTU: 0, FramerType.ASCII: 1}
"""Where the unit address stands in a frame; in ASCII as two digits."""


class Units:
    """The units of one line: what they answer, what they refuse, and what they were asked."""

    def __init__(self, images: Sequence[DeviceImage], framer: FramerType) -> None:
        self._images = {image.plan.unit: image for image in images}
        self._framer, self._unit_at = framer, UNIT_AT[framer]

    def devices(self) -> list[SimDevice]:
        """The units for a pymodbus server."""
        return [_sim_device(image) for image in self._images.values()]

    def pdu(self, sending: bool, pdu: ModbusPDU) -> ModbusPDU:
        """Count; drop requests that nobody answers."""
        image = self._images.get(pdu.dev_id)
        if image is None:
            return None  # type: ignore[return-value]  # pymodbus then answers nothing, as a bus without this unit
        if sending:
            image.counts.exceptions += pdu.isError()
            image.counts.answers += not pdu.isError()
            return pdu
        image.counts.requests += 1
        if image.fault()[0] == "device_silent":
            image.counts.silent += 1
            return None  # type: ignore[return-value]  # as above
        return pdu

    def packet(self, sending: bool, data: bytes) -> bytes:
        """Cut the end off the answers of a unit whose answers are short."""
        if not sending or len(data) <= self._unit_at:
            return data
        at = self._unit_at
        unit = int(data[at : at + 2], 16) if self._framer is FramerType.ASCII else data[at]
        image = self._images.get(unit)
        if image is None or image.fault()[0] != "device_short":
            return data
        image.counts.short += 1
        return data[:-2]


def _sim_device(image: DeviceImage) -> SimDevice:
    blocks = tuple(_block(image, area) for area in AREAS.values())
    return SimDevice(image.plan.unit, simdata=blocks, action=partial(_action, image))  # type: ignore[arg-type]  # four blocks


def _block(image: DeviceImage, area: str) -> list[SimData]:
    addresses = image.valid.get(area, frozenset())
    first, last = min(addresses, default=0), max(addresses, default=0)
    if area in ("coil", "discrete"):
        start = first - first % 16
        bits = (last // 16 + 1) * 16 - start
        return [SimData(start, values=[False] * bits, datatype=DataType.BITS)]
    return [SimData(first, count=last - first + 1, values=0, datatype=DataType.REGISTERS)]


async def _action(
    image: DeviceImage,
    function: int,
    start: int,
    address: int,
    count: int,
    registers: list[int],
    writes: list[int] | list[bool] | None,
) -> ExcCodes | None:
    """Fill the registers that are being read. For bits `start` and `count` are in words of 16."""
    kind, severity = image.fault()
    if kind == "device_slow":
        await asyncio.sleep(2.0 * severity)
    if kind == "device_exception":
        return ExcCodes.DEVICE_FAILURE
    if writes is not None or function not in AREAS:
        return ExcCodes.ILLEGAL_FUNCTION
    if function in BIT_FUNCTIONS:
        return _fill_bits(image, AREAS[function], start, address, count, registers)
    words = image.words(AREAS[function], address, count)
    if words is None:
        return ExcCodes.ILLEGAL_ADDRESS
    registers[address - start : address - start + count] = words
    return None


def _fill_bits(
    image: DeviceImage, area: str, start: int, address: int, count: int, registers: list[int]
) -> ExcCodes | None:
    valid = image.valid.get(area, frozenset())
    if address not in valid:
        return ExcCodes.ILLEGAL_ADDRESS
    for word in range(address // 16, address // 16 + count):
        bits = [b for b in range(word * 16, word * 16 + 16) if b in valid]
        values = {b: (image.words(area, b, 1) or [0])[0] for b in bits}
        registers[word - start] = sum(v << (b % 16) for b, v in values.items())
    return None


@asynccontextmanager
async def tcp_server(
    images: Sequence[DeviceImage], port: int = 0, *, rtu: bool = False
) -> AsyncIterator[int]:
    """Serve on 127.0.0.1; gives the port. Raises WorkFailed when the port is taken.

    rtu: frames of a serial bus through the connection, as serial converters pass them.
    """
    framer = FramerType.RTU if rtu else FramerType.SOCKET
    units = Units(images, framer)
    server = ModbusTcpServer(
        units.devices(), framer=framer, address=("127.0.0.1", port), ignore_missing_devices=True,
        trace_packet=units.packet, trace_pdu=units.pdu,
    )  # fmt: skip
    await _start(server, f"port {port} of 127.0.0.1")
    try:
        yield server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # an asyncio server
    finally:
        await _stop(server)


@asynccontextmanager
async def rtu_server(
    images: Sequence[DeviceImage], bus: Bus, *, ascii_frames: bool = False
) -> AsyncIterator[None]:
    """Serve on the inner end of a bus, RTU or ASCII."""
    framer = FramerType.ASCII if ascii_frames else FramerType.RTU
    units = Units(images, framer)
    server = ModbusSerialServer(
        units.devices(), framer=framer, port=bus.inner, baudrate=bus.baud, parity=bus.parity,
        ignore_missing_devices=True, trace_packet=units.packet, trace_pdu=units.pdu,
    )  # fmt: skip
    await _start(server, bus.inner)
    try:
        yield
    finally:
        await _stop(server)


async def _start(server: Any, where: str) -> None:
    try:
        await server.serve_forever(background=True)
    except (RuntimeError, OSError) as e:
        raise WorkFailed(
            f"cannot serve Modbus on {where}: {e}; choose another base port, or 0 for free ones"
        ) from e


async def _stop(server: Any) -> None:
    await server.shutdown()
