"""A fire transmission device (GB/T 26875.3-2011) that dials in, reports, and repeats until it is confirmed.

Its bytes are made here and not by the driver's codec, so that a mistake on one side shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

from gateway.ports import Clock

CONTROL, SEND, CONFIRM, REQUEST, RESPONSE, DENY = range(1, 7)
CHINA = timezone(timedelta(hours=8))
Damage = Callable[[bytes], bytes]


def message(serial: int, command: int, source: str, data: bytes, at: datetime, target: str = "") -> bytes:
    """A whole frame. source, target: 12 hex digits, most significant first."""
    clock = struct.pack("6B", at.second, at.minute, at.hour, at.day, at.month, at.year - 2000)
    body = struct.pack("<HBB", serial, 1, 1) + clock
    body += bytes.fromhex(source)[::-1] + bytes.fromhex(target or "0" * 12)[::-1]
    body += struct.pack("<HB", len(data), command) + data
    return b"@@" + body + struct.pack("B", sum(body) & 0xFF) + b"##"


def whole(frame: bytes) -> bytes:
    """No damage."""
    return frame


@dataclass
class FireDevice:
    """address: 12 hex digits · repeat_s: an unconfirmed message is sent again after so many site seconds.

    damage: applied to every frame before it goes out · deaf: confirmations are not noticed · answers: replies
    by (serial, command) · heard: what came from the server, by (command, type).
    """

    address: str
    clock: Clock
    host: str = "127.0.0.1"
    port: int = 0
    repeat_s: float = 5.0
    heartbeat_s: float = 30.0
    system: tuple[int, int] = (1, 1)
    status: int = 1
    clock_off_s: float = 0.0
    post_answered: bool = True
    damage: Damage = whole
    deaf: bool = False
    sent: Counter[int] = field(default_factory=Counter)
    heard: Counter[tuple[int, int]] = field(default_factory=Counter)
    answers: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._serial = 0
        self._open: dict[int, bytes] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._confirmed = asyncio.Event()

    # ── reports ───────────────────────────────────────────────────────────────────────────────────

    def state(self, status: int) -> int:
        """Type 1: the state of the system."""
        self.status = status
        return self._report(1, struct.pack("<BBH", *self.system, status) + self._now())

    def part(self, part: int, status: int, text: str = "", part_type: int = 40) -> int:
        """Type 2: the state of a detector."""
        words = text.encode("gb18030")[:31].ljust(31, b"\0")
        data = struct.pack("<BBBIH", *self.system, part_type, part, status) + words + self._now()
        return self._report(2, data)

    def analog(self, part: int, kind: int, raw: int, *, system: tuple[int, int], part_type: int) -> int:
        """Type 3: a measured value in steps of its kind."""
        return self._report(3, struct.pack("<BBBIBh", *system, part_type, part, kind, raw) + self._now())

    def reset(self) -> int:
        """Type 4: somebody pressed 复位."""
        return self._report(4, struct.pack("<BBBB", *self.system, 1, 7) + self._now())

    def beat(self) -> int:
        """Type 21: the device itself is well."""
        return self._report(21, b"\x01" + self._now())

    def private(self, type_: int, data: bytes) -> int:
        """A type that is the maker's own."""
        return self._send(SEND, bytes((type_,)) + data)

    def raw(self, data: bytes) -> None:
        """Any bytes."""
        assert self._writer is not None
        self._writer.write(data)

    def ask(self, type_: int, data: bytes = b"\x00") -> int:
        """A request of our own, for example for the time (90)."""
        return self._send(REQUEST, bytes((type_, 1)) + data)

    async def confirmed(self, serial: int, seconds: float = 10.0) -> None:
        """Wait until this message is answered, however."""
        async with asyncio.timeout(seconds):
            while serial in self._open:
                self._confirmed.clear()
                await self._confirmed.wait()

    def _report(self, type_: int, data: bytes) -> int:
        return self._send(SEND, bytes((type_, 1)) + data)

    def _local(self) -> datetime:
        at = datetime.fromtimestamp(self.clock.now() // 1000, UTC) + timedelta(seconds=self.clock_off_s)
        return at.astimezone(CHINA)

    def _now(self) -> bytes:
        at = self._local()
        return struct.pack("6B", at.second, at.minute, at.hour, at.day, at.month, at.year - 2000)

    def _send(self, command: int, data: bytes) -> int:
        self._serial += 1
        frame = message(self._serial, command, self.address, data, self._local())
        self._open[self._serial] = frame
        self._write(frame)
        return self._serial

    def _write(self, frame: bytes) -> None:
        if self._writer is not None:
            self.sent[frame[26]] += 1
            self._writer.write(self.damage(frame))

    # ── the connection ────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Dial in, beat, repeat; again when the connection is lost. Until cancelled."""
        while True:
            try:
                reader, self._writer = await asyncio.open_connection(self.host, self.port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            beats = asyncio.create_task(self._beats())
            try:
                for frame in list(self._open.values()):
                    self._write(frame)
                await self._listen(reader)
            finally:
                beats.cancel()
                self._writer.close()
                self._writer = None
            await asyncio.sleep(0.05)

    def hang_up(self) -> None:
        """Lose the connection; it dials in again."""
        if self._writer is not None:
            self._writer.transport.abort()

    async def _beats(self) -> None:
        self.beat()
        since = 0.0
        while True:
            await self.clock.sleep(self.repeat_s)
            since += self.repeat_s
            for frame in list(self._open.values()):
                self._write(frame)
            if since >= self.heartbeat_s:
                since = 0.0
                self.beat()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        buffer = b""
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(4096):
                buffer += data
                while len(buffer) >= 30 and len(buffer) >= (size := 30 + buffer[24] + 256 * buffer[25]):
                    self._heard(buffer[:size])
                    buffer = buffer[size:]

    def _heard(self, frame: bytes) -> None:
        assert frame[:2] == b"@@"
        assert frame[-2:] == b"##"
        assert sum(frame[2:-3]) & 0xFF == frame[-3]
        serial, command, data = frame[2] + 256 * frame[3], frame[26], frame[27:-3]
        self.heard[command, data[0] if data else 0] += 1
        if command in (CONFIRM, DENY, RESPONSE):
            if not self.deaf:
                self._open.pop(serial, None)
                self.answers.append((serial, command))
                self._confirmed.set()
            return
        self._obey(serial, command, data)

    def _obey(self, serial: int, command: int, data: bytes) -> None:
        answer, reply = b"", CONFIRM
        if command == REQUEST and data[0] == 61 and (data[2], data[3]) == self.system:
            reply, answer = (
                RESPONSE,
                b"\x01\x01" + struct.pack("<BBH", *self.system, self.status) + self._now(),
            )
        elif command == REQUEST and data[0] == 81:
            reply, answer = RESPONSE, b"\x15\x01\x01" + self._now()
        elif command == CONTROL and data[0] == 90:
            self.clock_off_s = 0.0
        elif command == CONTROL and data[0] == 91:
            if self.post_answered:
                self._report(24, b"\x20\x07" + self._now())
        else:
            reply = DENY
        self._write(message(serial, reply, self.address, answer, self._local()))


@asynccontextmanager
async def dialled_in(device: FireDevice) -> AsyncIterator[FireDevice]:
    """The device runs; it is gone on leaving."""
    task = asyncio.create_task(device.run(), name=f"fire device {device.address}")
    try:
        yield device
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
