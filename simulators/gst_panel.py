"""A GST9000-type fire panel's printer port on a pseudo-terminal: prints in GB18030 with printer codes."""

from __future__ import annotations

import os
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from gateway.ports import Clock

CHINA = timezone(timedelta(hours=8))
BEGIN, NORMAL = b"\x1b6", b"\x1b9"


@dataclass
class PrinterPort:
    """path: the device file to listen on; the other methods print."""

    path: str
    fd: int
    clock: Clock

    def event(self, phrase: str, address: str = "", place: str = "", kind: str = "") -> bytes:
        """A record as the panel prints it."""
        at = datetime.fromtimestamp(self.clock.now() // 1000, UTC).astimezone(CHINA)
        head = f"{at:%y/%m/%d  %H:%M}\n" + (f"  {address}\n" if address else "")
        tail = "".join(f"{line}\n" for line in (phrase, place, kind) if line) + "\n"
        data = BEGIN + head.encode("ascii") + NORMAL + tail.encode("gb18030")
        self.raw(data)
        return data

    def fire(self, address: str, place: str, *, first: bool = True) -> bytes:
        """首次火警, or 火警后续 for the next detectors."""
        return self.event("首次火警" if first else "火警后续", address, place, "感烟探测器")

    def reset(self) -> bytes:
        """系统复位."""
        return self.event("系统复位")

    def raw(self, data: bytes) -> None:
        """Any bytes."""
        os.write(self.fd, data)


@contextmanager
def printer_port(clock: Clock) -> Iterator[PrinterPort]:
    """A port that prints; closed on leaving."""
    master, slave = os.openpty()
    try:
        tty.setraw(slave)
        yield PrinterPort(os.ttyname(slave), master, clock)
    finally:
        os.close(master)
        os.close(slave)
