"""The far end of a serial line for driver tests: a pseudo-terminal whose master answers or speaks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

Take = Callable[[bytearray], bytes]
"""Takes a whole request off the front; empty when there is none yet."""


class FarEnd:
    """`path`: the device file for the driver. `sent_bytes`: written by us."""

    def __init__(self, path: str, master: int) -> None:
        self.path, self._master = path, master
        self.sent_bytes = 0
        self.open = True

    def write(self, data: bytes) -> None:
        """Say something; nothing when the line has gone."""
        if self.open:
            self.sent_bytes += os.write(self._master, data)


def nothing(_held: bytearray) -> bytes:
    """Of a device that does not listen."""
    return b""


@asynccontextmanager
async def far_end(
    take: Take = nothing, heard: Callable[[bytes, FarEnd], None] = lambda _request, _end: None
) -> AsyncIterator[FarEnd]:
    """A line; `heard` gets each whole request that `take` finds in what came."""
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    held = bytearray()
    end = FarEnd(os.ttyname(slave), master)

    def ready() -> None:
        with contextlib.suppress(BlockingIOError):
            held.extend(os.read(master, 1024))
        while request := take(held):
            heard(request, end)

    loop = asyncio.get_running_loop()
    loop.add_reader(master, ready)
    try:
        yield end
    finally:
        end.open = False
        loop.remove_reader(master)
        os.close(master)
        os.close(slave)
