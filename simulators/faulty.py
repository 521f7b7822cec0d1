"""Odd devices: each behaves as some real ones do, and fails for a client that does not know its oddity.

Raw bytes on real sockets and pseudo-terminals, independent of any Modbus library. Register `n` holds 7 n + 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from drivers.profiles.cases import crc16
from simulators.rtu_bus import Bus


@dataclass(slots=True)
class Odd:
    """A device and its oddity; it counts what it was asked.

    deaf_after_connect_s: hears nothing that soon after a connection · deaf_after_answer_s: nor after an
    answer · single: one connection at a time, others are closed · max_registers: says nothing to a longer
    read · fields: (address, count) that it can read; of a longer read it fills only the first, then zeros.
    """

    deaf_after_connect_s: float = 0.0
    deaf_after_answer_s: float = 0.0
    single: bool = False
    max_registers: int = 125
    fields: tuple[tuple[int, int], ...] = ()
    requests: int = 0
    answers: int = 0
    ignored: int = 0
    turned_away: int = 0
    connected: int = 0
    _answered_at: float = field(default=float("-inf"))

    def hears(self, now: float, connected_at: float) -> bool:
        """Whether a request that comes now is heard."""
        self.requests += 1
        deaf = now - connected_at < self.deaf_after_connect_s
        if deaf or now - self._answered_at < self.deaf_after_answer_s:
            self.ignored += 1
            return False
        return True

    def answer(self, pdu: bytes, now: float) -> bytes | None:
        """The response to a read of registers; None: silence."""
        address, count = int.from_bytes(pdu[1:3], "big"), int.from_bytes(pdu[3:5], "big")
        if count > self.max_registers:
            self.ignored += 1
            return None
        known = count if not self.fields else next((n for a, n in self.fields if a == address), 0)
        words = [word_at(address + n) if n < known else 0 for n in range(count)]
        self.answers += 1
        self._answered_at = now
        return bytes((pdu[0], 2 * count)) + b"".join(word.to_bytes(2, "big") for word in words)


def word_at(address: int) -> int:
    """What a register holds."""
    return 7 * address + 1 & 0xFFFF


@asynccontextmanager
async def odd_tcp(device: Odd) -> AsyncIterator[int]:
    """The device behind Modbus TCP on 127.0.0.1; gives the port."""
    talking: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if device.single and talking:
            device.turned_away += 1
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        talking.add(task)
        device.connected += 1
        try:
            await _talk(device, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client has gone, or the device is switched off
        finally:
            talking.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(talking):
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


async def _talk(device: Odd, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    connected_at = loop.time()
    while True:
        head = await reader.readexactly(7)
        pdu = await reader.readexactly(int.from_bytes(head[4:6], "big") - 1)
        answer = device.answer(pdu, loop.time()) if device.hears(loop.time(), connected_at) else None
        if answer is not None:
            writer.write(head[:4] + (len(answer) + 1).to_bytes(2, "big") + head[6:7] + answer)


@asynccontextmanager
async def odd_rtu(device: Odd, bus: Bus) -> AsyncIterator[None]:
    """The device, whatever unit is asked, on the inner end of a bus."""
    loop = asyncio.get_running_loop()
    fd = os.open(bus.inner, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
    tty.setraw(fd)
    held = bytearray()

    def ready() -> None:
        with contextlib.suppress(BlockingIOError):
            held.extend(os.read(fd, 256))
        while len(held) >= 8:
            request = bytes(held[:8])
            del held[:8]
            heard = crc16(request[:-2]) == request[-2:] and device.hears(loop.time(), float("-inf"))
            answer = device.answer(request[1:-2], loop.time()) if heard else None
            if answer is not None:
                body = request[:1] + answer
                os.write(fd, body + crc16(body))

    loop.add_reader(fd, ready)
    try:
        yield
    finally:
        loop.remove_reader(fd)
        os.close(fd)
