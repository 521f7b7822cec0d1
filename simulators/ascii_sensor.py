"""A sensor that sends a text sentence by itself, once a second, over a paced pseudo-terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.ports import Clock
from simulators.devices import DeviceImage
from simulators.rtu_bus import BITS_PER_CHAR, point_to, unlink


@asynccontextmanager
async def text_sensor(
    image: DeviceImage, clock: Clock, baud: int, link: Path | None = None
) -> AsyncIterator[str]:
    """Gives the device file to listen on. The sensor speaks once each site second."""
    master, slave = os.openpty()
    try:
        tty.setraw(slave)
        os.set_blocking(master, False)
        path = os.ttyname(slave)
        if link is not None:
            point_to(link, path)
        task = asyncio.create_task(_speak(image, clock, baud, master, slave), name=f"sensor.{image.plan.id}")
        try:
            yield str(link or path)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            if link is not None:
                unlink(link)
    finally:
        os.close(master)
        os.close(slave)


async def _speak(image: DeviceImage, clock: Clock, baud: int, fd: int, listener: int) -> None:
    while True:
        await clock.sleep(max(1.0, image.profile.period_s))
        kind, _ = image.fault()
        if kind in ("device_silent", "device_exception"):
            image.counts.silent += 1
            continue
        line = image.sentence()
        if kind == "device_short":
            line, image.counts.short = line[:-4], image.counts.short + 1
        await asyncio.sleep(len(line) * BITS_PER_CHAR["N"] / baud)
        # What nobody has read by now was said to nobody: a wire does not keep it for a later listener.
        termios.tcflush(listener, termios.TCIFLUSH)
        os.write(fd, line)
        image.counts.answers += 1
