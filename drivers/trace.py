"""The last frames of a line, for the person who has to find out why a device does not talk.

Off until somebody switches it on; bounded in frames and in bytes of each; a ring, so that the frames before a
fault are there afterwards. Data of anything but a read (functions 1 to 4) is left out: what is written to a
device may be a code or a password.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from gateway.model import Ms

CAPACITY = 500
MAX_BYTES = 600
"""Longest frame kept whole: 513 characters of Modbus ASCII and an echo."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, or the bytes that came instead of one.

    t: site time, ms · direction: out to the device, in from it · hex: bytes with spaces; the number of bytes
    that were left out in brackets at its end · unit: whom it was about, None for what came unasked.
    """

    t: Ms
    direction: Literal["out", "in"]
    hex: str
    unit: int | None


class FrameTrace:
    """A ring of at most `capacity` frames."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._ring: deque[tuple[Ms, Literal["out", "in"], bytes, int, int | None]] = deque(maxlen=capacity)
        self.on = False
        self._line = b""

    def switch(self, on: bool) -> None:
        """Begin anew, or stop; what was recorded stays until the next beginning."""
        if on and not self.on:
            self._ring.clear()
            self._line = b""
        self.on = on

    def sent(self, t: Ms, unit: int | None, data: bytes, *, head: int | None = None) -> None:
        """A frame went out; only its first `head` bytes are kept."""
        if self.on:
            self._add(t, "out", data, unit, head)

    def heard(
        self, t: Ms, unit: int | None, data: bytes, *, head: int | None = None, apart: bool = False
    ) -> None:
        """Bytes came; they are joined to those of the same answer. apart: they are a frame of their own."""
        if not self.on or not data:
            return
        if self._ring and not apart:
            t0, direction, kept, left_out, whose = self._ring[-1]
            if direction == "in" and whose == unit:
                self._ring.pop()
                self._add(t0, "in", kept + data, unit, head, left_out)
                return
        self._add(t, "in", data, unit, head)

    def heard_text(self, t: Ms, unit: int | None, data: bytes) -> None:
        """Bytes of a text came; each of its lines becomes a frame when it is whole, or too long."""
        if not self.on:
            return
        *whole, self._line = (self._line + data).split(b"\n")
        for line in whole:
            self.heard(t, unit, line + b"\n", apart=True)
        if len(self._line) >= MAX_BYTES:
            self.heard(t, unit, self._line, apart=True)
            self._line = b""

    def _add(
        self,
        t: Ms,
        direction: Literal["out", "in"],
        data: bytes,
        unit: int | None,
        head: int | None,
        left_out: int = 0,
    ) -> None:
        kept = data[: MAX_BYTES if head is None else min(head, MAX_BYTES)]
        self._ring.append((t, direction, kept, left_out + len(data) - len(kept), unit))

    def frames(self, unit: int | None = None) -> tuple[Frame, ...]:
        """Oldest first; of one unit, or of the whole line."""
        return tuple(
            Frame(t, direction, data.hex(" ") + (f" [+{left_out}]" if left_out else ""), whose)
            for t, direction, data, left_out, whose in self._ring
            if unit is None or whose == unit
        )
