"""Devices for driver tests on real sockets and pseudo-terminals, that misbehave on demand.

Each answer's first word is the number of the request that it answers, so that an answer taken for another
request shows as a wrong value. The others are `address + position`.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from drivers.profiles.cases import crc16
from tests.unit.drivers.far_end import FarEnd, far_end

Reply = Callable[[bytes], None]
NAMES = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}


class Device(ABC):
    """`mode` says how it answers; `number` counts requests; `delay_s` holds every answer back."""

    modes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.mode = "ok"
        self.number = 0
        self.delay_s = 0.0
        self.requests: list[tuple[float, bytes]] = []
        self.options: dict[str, Any] = {}
        self.asked = asyncio.Event()

    def words(self, address: int, count: int) -> list[int]:
        """What the request with the present number is told."""
        return [self.number & 0xFFFF, *range(address + 1, address + count)]

    def receive(self, request: bytes, send: Reply) -> None:
        """Answer one request."""
        self.number += 1
        self.asked.set()
        loop = asyncio.get_running_loop()
        self.requests.append((loop.time(), request))
        if self.mode == "silent":
            return
        for part in self.reply(request):
            loop.call_later(self.delay_s, send, part)

    @abstractmethod
    def reply(self, request: bytes) -> list[bytes]:
        """The bytes of the answer in the present mode, in the pieces in which they are sent."""


def _pdu(device: Device, request: bytes) -> bytes:
    """The response to a request PDU: function, address, count."""
    function, address, count = (
        request[0],
        int.from_bytes(request[1:3], "big"),
        int.from_bytes(request[3:5], "big"),
    )
    if function in (1, 2):
        bits = sum(((address + n) % 3 == 0) << n for n in range(count))
        data = bits.to_bytes((count + 7) // 8, "little")
        return bytes((function, len(data))) + data
    words = device.words(address, count)
    if device.mode == "short":
        words = words[:-1]
    if device.mode == "long":
        words += [0xDEAD]
    data = b"".join(w.to_bytes(2, "big") for w in words)
    if device.mode == "exception":
        return bytes((function | 0x80, 2))
    if device.mode == "other function":
        return bytes((7 - function, len(data))) + data
    if device.mode == "other exception":
        return bytes(((7 - function) | 0x80, 2))
    size = len(data) - 2 if device.mode == "byte count too small" else len(data)
    return bytes((function, size)) + data


class TcpDevice(Device):
    """Modbus TCP."""

    modes = (
        "silent", "short", "long", "byte count too small", "foreign unit", "wrong id", "no id",
        "other function", "other exception", "junk", "junk first", "half", "no function", "hang up",
    )  # fmt: skip

    def reply(self, request: bytes) -> list[bytes]:
        transaction, unit = request[:2], request[6]
        pdu = b"" if self.mode == "no function" else _pdu(self, request[7:])
        if self.mode == "wrong id":
            transaction = (int.from_bytes(transaction, "big") - 1).to_bytes(2, "big")
        if self.mode == "no id":
            transaction = b"\0\0"
        unit += self.mode == "foreign unit"
        frame = transaction + b"\0\0" + (len(pdu) + 1).to_bytes(2, "big") + bytes((unit,)) + pdu
        if self.mode == "junk":
            return [b"\x99" * 9]
        if self.mode == "junk first":
            return [b"\x99" * 7 + frame]
        if self.mode == "half":
            return [frame[:-3]]
        if self.mode == "in pieces":
            return [frame[:3], frame[3:9], frame[9:]]
        return [frame]


class RtuDevice(Device):
    """Modbus RTU."""

    modes = (
        "silent", "short", "long", "byte count too small", "foreign unit", "bad crc", "other function",
        "other exception", "junk", "junk first", "half", "twice",
    )  # fmt: skip

    def reply(self, request: bytes) -> list[bytes]:
        body = bytes((request[0] + (self.mode == "foreign unit"),)) + _pdu(self, request[1:-2])
        frame = body + crc16(body)
        if self.mode == "bad crc":
            return [frame[:-1] + bytes((frame[-1] ^ 0x10,))]
        if self.mode == "junk":
            return [b"\x99" * 9]
        if self.mode == "junk first":
            return [b"\x01\x03\x04" + frame]
        if self.mode == "half":
            return [frame[:-3]]
        if self.mode == "twice":
            return [frame + frame]
        if self.mode == "in pieces":
            return [frame[:3], frame[3:9], frame[9:]]
        return [frame]


class AsciiDevice(Device):
    """Modbus ASCII."""

    modes = (
        "silent", "short", "long", "byte count too small", "foreign unit", "bad crc", "other function",
        "other exception", "junk", "half", "no hex", "twice",
    )  # fmt: skip

    def reply(self, request: bytes) -> list[bytes]:
        asked = bytes.fromhex(request.strip(b":\r\n").decode("ascii"))
        assert sum(asked) & 0xFF == 0
        body = bytes((asked[0] + (self.mode == "foreign unit"),)) + _pdu(self, asked[1:-1])
        check = -sum(body) + (self.mode == "bad crc") & 0xFF
        frame = b":%s%02X\r\n" % (body.hex().upper().encode(), check)
        if self.mode == "junk":
            return [b"\x99" * 9]
        if self.mode == "junk first":
            return [b"\x00\xff:0103" + frame]
        if self.mode == "half":
            return [frame[:-3]]
        if self.mode == "no hex":
            return [frame[:9] + b"XY" + frame[11:]]
        if self.mode == "twice":
            return [frame + frame]
        if self.mode == "in pieces":
            return [frame[:3], frame[3:10], frame[10:]]
        return [frame]


class TextDevice(Device):
    """The blueprint's made-up protocol."""

    modes = ("silent", "short", "long", "foreign unit", "wrong id", "junk", "hang up")

    def reply(self, request: bytes) -> list[bytes]:
        number, unit, _, address, count = request.split()
        words = self.words(int(address), int(count))
        if self.mode == "exception":
            return [b"%s %s !2\n" % (number, unit)]
        if self.mode == "junk":
            return [b"\x99\x99 nonsense\n"]
        words = words[:-1] if self.mode == "short" else [*words, 1] if self.mode == "long" else words
        if self.mode == "wrong id":
            number = b"%d" % (int(number) + 1)
        if self.mode == "foreign unit":
            unit = b"%d" % (int(unit) + 1)
        line = b"%s %s %s\n" % (number, unit, b" ".join(b"%d" % w for w in words))
        return [line[:4], line[4:]] if self.mode == "in pieces" else [line]


@asynccontextmanager
async def on_tcp(device: Device, request_size: int | None) -> AsyncIterator[Device]:
    """The device behind a TCP port; requests of a fixed size, or lines."""

    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        def send(data: bytes) -> None:
            if not writer.is_closing():
                writer.write(data)

        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            while True:
                size = request_size
                request = await (reader.readexactly(size) if size else reader.readuntil(b"\n"))
                if device.mode == "hang up":
                    device.number += 1
                    break
                device.receive(request, send)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    device.options = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
    try:
        yield device
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _request(device: Device, held: bytearray) -> bytes:
    """Take the request at the front off; empty: not whole yet."""
    if isinstance(device, AsciiDevice):
        size = held.find(b"\r\n") + 2 if b"\r\n" in held else 0
    else:
        size = 8 if len(held) >= 8 else 0
        assert not size or crc16(bytes(held[:6])) == bytes(held[6:8])
    request = bytes(held[:size])
    del held[:size]
    return request


@asynccontextmanager
async def on_pty(device: Device, baud: int = 115200, *, echo: bool = False) -> AsyncIterator[Device]:
    """The device at the far end of a pseudo-terminal; `echo`: the master hears what it sends."""

    def heard(request: bytes, end: FarEnd) -> None:
        if echo:
            end.write(request)
        device.receive(request, end.write)

    async with far_end(partial(_request, device), heard) as end:
        device.options = {"port": end.path, "baud": baud}
        yield device
