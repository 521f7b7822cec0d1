"""A serial bus made of two pseudo-terminals with a bridge between them that keeps to a baud rate.

A pseudo-terminal has no speed of its own: without the bridge an RTU figure would mean nothing. The bus is
half-duplex, as RS-485 is: one byte at a time, in whichever direction.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

BITS_PER_CHAR = {"N": 10, "E": 11, "O": 11}
"""Start bit, eight data bits, parity if any, one stop bit."""


@dataclass(slots=True)
class Bus:
    """Device files of both ends and what went over the wire.

    outer: for the client · inner: for the simulated units · log: (time of the last byte on the event
    loop's clock, bytes) of each chunk, the newest 2,000; the test of the pacing reads it · silences: seconds
    between the last byte of an answer and the first of the next request, the newest 2,000 · echo: the
    client's adapter hears what it sends.
    """

    outer: str
    inner: str
    baud: int
    parity: str
    bytes_out: int = 0
    bytes_in: int = 0
    log: list[tuple[float, int]] = field(default_factory=list)
    silences: list[float] = field(default_factory=list)
    echo: bool = False

    @property
    def char_s(self) -> float:
        """Seconds that one byte takes."""
        return BITS_PER_CHAR[self.parity] / self.baud

    def note(self, at: float, n: int) -> None:
        """Write down a delivery."""
        self.log.append((at, n))
        del self.log[:-2000]


class Bridge:
    """Moves bytes between two pseudo-terminal masters; each chunk arrives when its last byte would."""

    def __init__(self, bus: Bus, outer: int, inner: int) -> None:
        self.bus = bus
        self._peer = {outer: inner, inner: outer}
        self._outer = outer
        self._free_at = 0.0
        self._answered_at: float | None = None
        self._loop = asyncio.get_running_loop()
        self._timers: set[asyncio.TimerHandle] = set()
        for fd in self._peer:
            os.set_blocking(fd, False)
            self._loop.add_reader(fd, self._readable, fd)

    def _readable(self, fd: int) -> None:
        try:
            data = os.read(fd, 4096)
        except BlockingIOError:
            return
        except OSError as e:
            if e.errno != errno.EIO:  # EIO: nobody holds the other end just now
                raise
            return
        if fd == self._outer:
            self._note_request()
        self.send(self._peer[fd], data, also=fd if fd == self._outer and self.bus.echo else None)

    def _note_request(self) -> None:
        if self._answered_at is not None:
            self.bus.silences.append(self._loop.time() - self._answered_at)
            del self.bus.silences[:-2000]
            self._answered_at = None

    def send(self, fd: int, data: bytes, also: int | None = None) -> None:
        """Put bytes on the wire behind what is still under way; `also`: another end that hears them."""
        now = self._loop.time()
        self._free_at = max(now, self._free_at) + len(data) * self.bus.char_s
        if fd == self._outer:
            self.bus.bytes_out += len(data)
        else:
            self.bus.bytes_in += len(data)
        handle = self._loop.call_at(self._free_at, self._deliver, fd, data, also)
        self._timers = {t for t in self._timers if t.when() > now} | {handle}

    def _deliver(self, fd: int, data: bytes, also: int | None) -> None:
        for end in (fd, also):
            # A full buffer means that nobody reads: bytes on a wire do not wait either.
            with contextlib.suppress(BlockingIOError):
                if end is not None:
                    os.write(end, data)
        if fd == self._outer:
            self._answered_at = self._loop.time()
        self.bus.note(self._loop.time(), len(data))

    def close(self) -> None:
        """Stop moving bytes."""
        for fd in self._peer:
            self._loop.remove_reader(fd)
        for timer in self._timers:
            timer.cancel()


@asynccontextmanager
async def serial_bus(
    baud: int, parity: str = "N", link: Path | None = None, *, echo: bool = False
) -> AsyncIterator[Bus]:
    """A paced bus; `link` is a lasting name for the client's end. Both slave ends stay open inside."""
    fds: list[int] = []
    try:
        outer, outer_slave = _pair(fds)
        inner, inner_slave = _pair(fds)
        path = os.ttyname(outer_slave)
        if link is not None:
            point_to(link, path)
        bus = Bus(str(link or path), os.ttyname(inner_slave), baud, parity, echo=echo)
        bridge = Bridge(bus, outer, inner)
        try:
            yield bus
        finally:
            bridge.close()
            if link is not None:
                unlink(link)
    finally:
        for fd in fds:
            os.close(fd)


def _pair(fds: list[int]) -> tuple[int, int]:
    master, slave = os.openpty()
    fds += (master, slave)
    tty.setraw(slave)
    return master, slave


def point_to(link: Path, target: str) -> None:
    """Make `link` a symbolic link to a device file, in place of an older link.

    Raises FileExistsError when something that is no link is in the way.
    """
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        link.unlink()
    link.symlink_to(target)


def unlink(link: Path) -> None:
    """Take a link away; it may be gone already."""
    link.unlink(missing_ok=True)
