"""GB/T 26875.3-2011 frames: the envelope around every message, and how to find frames in a byte stream. Pure.

Source: GB/T 26875.3-2011 clause 6 (frame), checked against the public codec shootingfans/codec_gb26875_3_2011
and its recorded frame. Layout: `@@`, serial u16, version (major, minor), time (6 bytes, plain binary: second,
minute, hour, day, month, year - 2000), source and destination (6 bytes each), length n u16, command, n bytes
of application data, checksum, `##`; numbers little-endian. The checksum is the sum of all bytes between `@@`
and itself, modulo 256: it does not see two swapped bytes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

START, END = b"@@", b"##"
HEAD = 27
OVERHEAD = 30
MAX_DATA = 1024
"""Longest application data; widely quoted from the standard, not checked against its text."""
LITTER = 600


class Command(IntEnum):
    """The command byte."""

    CONTROL = 1  # 控制命令
    SEND = 2  # 发送数据
    CONFIRM = 3  # 确认
    REQUEST = 4  # 请求
    RESPONSE = 5  # 应答
    DENY = 6  # 否认


class BadFrame(ValueError):
    """Bytes that are no frame, or application data that do not fit their type."""


def pack_time(at: datetime | None) -> bytes:
    """Six bytes; None gives zeros, which no date has.

    >>> pack_time(datetime(2020, 10, 22, 17, 13, 24)).hex(" ")
    '18 0d 11 16 0a 14'
    """
    if at is None:
        return bytes(6)
    return bytes((at.second, at.minute, at.hour, at.day, at.month, at.year - 2000))


def unpack_time(data: bytes) -> datetime | None:
    """Local time without a zone, as the device has it; None when the bytes are no date."""
    second, minute, hour, day, month, year = data
    try:
        return datetime(2000 + year, month, day, hour, minute, second)  # noqa: DTZ001 - the wire has no zone
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Frame:
    """One message. source, destination: the 48-bit addresses as numbers; `data`: application data, raw.

    raw: the bytes that it was read from; empty for one of our own.
    """

    serial: int
    command: int
    source: int
    destination: int
    data: bytes = b""
    at: datetime | None = None
    version: tuple[int, int] = (1, 1)
    raw: bytes = dataclasses.field(default=b"", compare=False, repr=False)

    def encode(self) -> bytes:
        """The bytes on the wire. Raises BadFrame for data that are too long."""
        if len(self.data) > MAX_DATA:
            raise BadFrame(f"{len(self.data)} bytes of data, at most {MAX_DATA}")
        body = (
            self.serial.to_bytes(2, "little")
            + bytes(self.version)
            + pack_time(self.at)
            + self.source.to_bytes(6, "little")
            + self.destination.to_bytes(6, "little")
            + len(self.data).to_bytes(2, "little")
            + bytes((self.command,))
            + self.data
        )
        return START + body + bytes((sum(body) % 256,)) + END

    def reply(self, command: Command, data: bytes = b"", at: datetime | None = None) -> Frame:
        """The answer to this frame: same serial, version and time (unless `at`), addresses swapped."""
        return dataclasses.replace(
            self, command=command, source=self.destination, destination=self.source, data=data,
            at=at or self.at, raw=b"",
        )  # fmt: skip


def decode(data: bytes) -> Frame:
    """The frame that these bytes are, no more and no less. Raises BadFrame."""
    if len(data) < OVERHEAD or data[:2] != START:
        raise BadFrame("no frame")
    n = int.from_bytes(data[24:26], "little")
    if n > MAX_DATA or len(data) != OVERHEAD + n:
        raise BadFrame(f"{len(data)} bytes, the header says {OVERHEAD + n}")
    if data[-2:] != END:
        raise BadFrame("does not end with ##")
    if sum(data[2:-3]) % 256 != data[-3]:
        raise BadFrame(f"checksum {data[-3]:02X}, computed {sum(data[2:-3]) % 256:02X}")
    return Frame(
        serial=int.from_bytes(data[2:4], "little"),
        command=data[26],
        source=int.from_bytes(data[12:18], "little"),
        destination=int.from_bytes(data[18:24], "little"),
        data=data[HEAD:-3],
        at=unpack_time(data[6:12]),
        version=(data[4], data[5]),
        raw=data,
    )


class Splitter:
    """Frames out of a byte stream. `junk`: bytes thrown away; `bad`: starts that were no frame.

    A bad frame costs its first byte only, so that a good one behind or inside it is still found (also when a
    stray `@` stands before it). Keeps less than one frame beside what is fed.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._litter = bytearray()
        self._told = (0, 0)
        self.junk = 0
        self.bad = 0

    @property
    def waiting(self) -> bool:
        """True while the beginning of a frame waits for the rest."""
        return bool(self._buffer)

    def take_litter(self) -> tuple[int, int, bytes]:
        """Since the last call: starts that were no frame, bytes thrown away, and the last LITTER of them."""
        bad, junk = self._told
        self._told, litter = (self.bad, self.junk), bytes(self._litter)
        self._litter.clear()
        return self.bad - bad, self.junk - junk, litter

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that are complete now."""
        self._buffer += data
        found: list[Frame] = []
        while self._next(found):
            pass
        return found

    def give_up(self) -> list[Frame]:
        """The rest of the present frame will not come: look for frames in what came after its start."""
        if self._buffer:
            self.bad += 1
            self._drop(1)
        return self.feed(b"")

    def _next(self, found: list[Frame]) -> bool:
        """One step; False when more bytes are needed."""
        buffer = self._buffer
        start = buffer.find(START)
        if start < 0:
            self._drop(len(buffer) - buffer.endswith(START[:1]))
            return False
        self._drop(start)
        if len(buffer) < HEAD:
            return False
        n = int.from_bytes(buffer[24:26], "little")
        size = OVERHEAD + n
        if n > MAX_DATA:
            self.bad += 1
            self._drop(1)
            return True
        if len(buffer) < size:
            return False
        try:
            frame = decode(bytes(buffer[:size]))
        except BadFrame:
            self.bad += 1
            self._drop(1)
            return True
        found.append(frame)
        del buffer[:size]
        return True

    def _drop(self, n: int) -> None:
        self.junk += n
        self._litter += self._buffer[:n]
        del self._litter[:-LITTER]
        del self._buffer[:n]
