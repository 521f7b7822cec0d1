"""Sensors that speak by themselves: checked text sentences on a serial line, e.g. `$WL,001,02.345,m*75`.

Framing and checksum are those of NMEA 0183 (drivers/profiles/textline.py). The line is listened to all the
time; a read hands out a sentence once, with the time at which it was complete.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pydantic import Field

from drivers.profiles.textline import MAX_LINE, frame, parse
from drivers.serial_port import PortOptions, SerialPort
from gateway.model import Ms
from gateway.ports import Answer, Block, Clock, Garbled, NoAnswer

__all__ = ["AsciiLineDriver", "AsciiLineOptions", "frame", "parse"]


class AsciiLineOptions(PortOptions):
    """A serial line of talking sensors.

    id_field: number of the field that tells several sensors of one line apart (compared with the device's
    unit); null when there is only one sensor, whatever its unit.
    """

    id_field: int | None = Field(1, ge=1, le=80)


@dataclass(slots=True)
class _Sentence:
    fields: tuple[str, ...]
    t: Ms


class AsciiLineDriver:
    """Keeps the last sentence of each (name, sensor) until it is read."""

    def __init__(self, options: AsciiLineOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._buffer = b""
        self._fresh: dict[tuple[str, int], _Sentence] = {}
        self._damaged = ""
        self._news = asyncio.Event()
        self._port = SerialPort(options, self._hear, self._news.set)

    async def open(self) -> None:
        """Open the port and begin to listen. Raises LineDown. Idempotent when open."""
        if self._port.is_open:
            return
        self._port.open()
        self._buffer, self._damaged = b"", ""
        self._fresh.clear()

    async def close(self) -> None:
        """Stop listening; idempotent."""
        self._port.close()

    async def read(self, block: Block, timeout_s: float) -> Answer:
        """The sentence `block.sentence` of sensor `block.unit` that came since the last read of it.

        Waits up to `timeout_s` for one. Raises NoAnswer when none came, Garbled when a damaged line came
        instead, LineDown when the port is gone.
        """
        started = self._clock.monotonic()
        key = (block.sentence, block.unit if self._options.id_field is not None else 0)
        while (sentence := self._fresh.pop(key, None)) is None:
            self._port.need()
            left = timeout_s - (self._clock.monotonic() - started)
            if left <= 0:
                self._give_up(block)
            self._news.clear()
            try:
                async with asyncio.timeout(left):
                    await self._news.wait()
            except TimeoutError:
                self._give_up(block)
        self._damaged = ""
        return Answer(block, sentence.t, fields=sentence.fields, rtt_s=self._clock.monotonic() - started)

    def _give_up(self, block: Block) -> None:
        damaged, self._damaged = self._damaged, ""
        if damaged:
            raise Garbled(f"{self._options.port}: {damaged}")
        raise NoAnswer(f"{self._options.port}: no {block.sentence} sentence of sensor {block.unit}")

    def _hear(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._take(line)
        if len(self._buffer) > MAX_LINE:
            self._buffer, self._damaged = b"", f"more than {MAX_LINE} characters without a line end"

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            fields = parse(line)
            at = self._options.id_field
            unit = 0 if at is None else int(fields[at])
        except (ValueError, IndexError) as e:
            self._damaged = f"{line[:40]!r}: {e}"
            return
        self._fresh[fields[0], unit] = _Sentence(fields, self._clock.now())
        self._news.set()
