"""Modbus devices on real sockets and a pseudo-terminal that break at random, and know what they did.

A value says which unit and register it belongs to and differs from the one before, so that every value that
is wrong, foreign or old shows.
"""

from __future__ import annotations

import asyncio
import random
from abc import abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from drivers.profiles.cases import crc16
from tests.unit.drivers.wire_devices import Device, Reply, RtuDevice, TcpDevice

REGISTERS, STATES, CALL = range(8), range(100, 104), 200
POINTS = len(REGISTERS) + len(STATES) + 1
EXCEPTIONS = (1, 2, 3, 4, 5, 6, 8, 10, 11)
PATIENCE_S = 0.5
"""The longest time-out of the edge; the one that it learns is shorter."""
HEAD = 9
"""Bytes of a TCP answer before its registers: what lies behind has no check on TCP, so it is not damaged."""


def word(unit: int, address: int, count: int) -> int:
    """What a register holds at its `count`-th reading; the call button is pressed every other time."""
    if address == CALL:
        return count & 1
    return unit << 8 | (address % 64) << 2 | count & 3


def belongs(value: float, unit: int, address: int) -> bool:
    """Whether a value can be this register's."""
    if address == CALL:
        return value in (0.0, 1.0)
    return int(value) >> 2 == word(unit, address, 0) >> 2


@dataclass(frozen=True)
class Chaos:
    """What may go wrong with one request: faults by name and how often."""

    faults: tuple[str, ...] = ()
    share: float = 0.0


CALM = Chaos()


class Line(Device):
    """What both wires share. answered: points in right answers, by unit · injected: faults by name."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.chaos = CALM
        self.answered: Counter[int] = Counter()
        self.injected: Counter[str] = Counter()
        self._reads: Counter[tuple[int, int]] = Counter()
        self._rng = random.Random(seed)
        self._unit = 0

    @abstractmethod
    def unit_of(self, request: bytes) -> int:
        """The unit that the request is for."""

    @abstractmethod
    def spoil(self, frame: bytes) -> bytes:
        """The frame, damaged so that the wire's check sees it."""

    @abstractmethod
    def exception(self, request: bytes, code: int) -> bytes:
        """An exception answer."""

    def words(self, address: int, count: int) -> list[int]:
        """Each reading of a block counts once."""
        seen = self._reads[self._unit, address]
        self._reads[self._unit, address] += 1
        return [word(self._unit, a, seen) for a in range(address, address + count)]

    def receive(self, request: bytes, send: Reply) -> None:
        """One request; perhaps something goes wrong with it."""
        self._unit = self.unit_of(request)
        count = int.from_bytes(self.pdu(request)[3:5], "big")
        self.number += 1
        fault = ""
        if self.chaos.faults and self._rng.random() < self.chaos.share:
            fault = self._rng.choice(self.chaos.faults)
            self.injected[fault] += 1
        (frame,) = self.reply(request)
        if fault not in ("loss", "exception", "crc", "garbled"):
            self.answered[self._unit] += count
        loop = asyncio.get_running_loop()
        for delay_s, part in self._parts(fault, frame, request):
            loop.call_later(delay_s, send, part)

    @abstractmethod
    def pdu(self, request: bytes) -> bytes:
        """The request without what the wire adds to it."""

    def _parts(self, fault: str, frame: bytes, request: bytes) -> list[tuple[float, bytes]]:
        rng = self._rng
        kinds: dict[str, Callable[[], list[tuple[float, bytes]]]] = {
            "": lambda: [(0.0, frame)],
            "loss": list,
            "delay": lambda: [(rng.uniform(0.02, 0.1), frame)],
            "late": lambda: [(rng.uniform(0.8, 2.5) * PATIENCE_S, frame)],
            "twice": lambda: [(0.0, frame), (rng.choice((0.0, 0.05)), frame)],
            "crc": lambda: [(0.0, self.spoil(frame))],
            "exception": lambda: [(0.0, self.exception(request, self._code()))],
            "garbled": lambda: [(0.0, self._garbled(frame))],
        }
        return kinds[fault]()

    def _code(self) -> int:
        """Each code for a while, so that the halves of a refused block are refused too."""
        return EXCEPTIONS[self.injected["exception"] // 12 % len(EXCEPTIONS)]

    def _garbled(self, frame: bytes) -> bytes:
        rng = self._rng
        return rng.choice((frame[:-3], b"\x99" * 7 + frame, rng.randbytes(len(frame)), frame[:5]))


class TcpLine(Line, TcpDevice):
    """Units behind one Modbus TCP port. junk_on_open: connections are cut, and each begins with noise."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.junk_on_open = False
        self.connections: set[asyncio.Transport] = set()

    def opening(self) -> bytes:
        """What comes before anything was asked; every third connection is clean."""
        if not self.junk_on_open or self._rng.random() < 1 / 3:
            return b""
        self.injected["junk on open"] += 1
        return self._rng.choice((b"\x99" * 5, self._rng.randbytes(23), b"\0\0\0\0\0\5\1\3\2"))

    def cuts(self) -> bool:
        """Whether to hang up on a request."""
        return self.junk_on_open and self._rng.random() < 0.3

    def unit_of(self, request: bytes) -> int:
        return request[6]

    def pdu(self, request: bytes) -> bytes:
        return request[7:]

    def spoil(self, frame: bytes) -> bytes:
        """Its head; for what lies behind it a TCP answer has no check."""
        body = bytearray(frame)
        body[self._rng.randrange(HEAD)] ^= self._rng.randrange(1, 256)
        return bytes(body)

    def exception(self, request: bytes, code: int) -> bytes:
        return request[:4] + b"\0\3" + bytes((request[6], request[7] | 0x80, code))


class _Connection(asyncio.Protocol):
    """Requests of 12 bytes; what `junk_on_open` asks for."""

    def __init__(self, line: TcpLine) -> None:
        self._line, self._held = line, b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._line.connections.add(transport)
        junk = self._line.opening()
        if junk:
            transport.write(junk)

    def connection_lost(self, exc: Exception | None) -> None:
        self._line.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._held += data
        while len(self._held) >= 12:
            request, self._held = self._held[:12], self._held[12:]
            if self._line.cuts():
                self._transport.abort()
                return
            self._line.receive(request, self._send)

    def _send(self, part: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(part)


@asynccontextmanager
async def tcp_port(line: TcpLine) -> AsyncIterator[TcpLine]:
    """The line behind a port of its own."""
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(line), "127.0.0.1", 0)
    line.options = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
    try:
        yield line
    finally:
        server.close()
        for transport in list(line.connections):
            transport.abort()
        await asyncio.sleep(0)


class RtuLine(Line, RtuDevice):
    """Units on one serial bus."""

    def unit_of(self, request: bytes) -> int:
        return request[0]

    def pdu(self, request: bytes) -> bytes:
        return request[1:]

    def spoil(self, frame: bytes) -> bytes:
        """Any bytes, in a way that the CRC sees (one random damage in 65,536 would pass it)."""
        while True:
            body = bytearray(frame)
            for at in self._rng.sample(range(len(frame)), self._rng.randint(1, 3)):
                body[at] ^= self._rng.randrange(1, 256)
            if crc16(bytes(body[:-2])) != bytes(body[-2:]):
                return bytes(body)

    def exception(self, request: bytes, code: int) -> bytes:
        body = bytes((request[0], request[1] | 0x80, code))
        return body + crc16(body)
