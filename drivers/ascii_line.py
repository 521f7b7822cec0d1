"""Sensors that speak by themselves: checked text sentences on a serial line, e.g. `$WL,001,02.345,m*75`.

Framing and checksum are those of NMEA 0183 (drivers/profiles/textline.py). The line is listened to all the
time; a read hands out a sentence once, with the time at which it was complete.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NoReturn

from pydantic import Field

from drivers.linestats import LineStats, UnitStats
from drivers.profiles.textline import MAX_LINE, frame, parse
from drivers.serial_port import PortOptions, SerialPort
from drivers.trace import Frame as TracedFrame
from drivers.trace import FrameTrace
from gateway.model import Ms
from gateway.ports import Answer, Block, Clock, Garbled, NoAnswer

MAX_UNIT = 255
MAX_KEPT = 1024
"""Sentences that nobody has read; beyond that the one that came first goes."""
JUNK = "junk"

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
    """Keeps the last sentence of each (name, sensor) until it is read.

    `stats`: nothing is ever sent, so `requests` stays 0; `answers` are whole sentences, read or not.
    """

    def __init__(self, options: AsciiLineOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._buffer = b""
        self._fresh: dict[tuple[str, int], _Sentence] = {}
        self._damaged = ""
        self._news = asyncio.Event()
        self._port = SerialPort(options, self._hear, self._news.set)
        self._trace = FrameTrace()
        self.stats = LineStats()

    def trace(self, on: bool) -> None:
        """Begin to record lines, or stop."""
        self._trace.switch(on)

    def frames(self, unit: int | None = None) -> tuple[TracedFrame, ...]:
        """What was recorded, oldest first; of one sensor, or of the whole line."""
        return self._trace.frames(unit)

    async def open(self) -> None:
        """Open the port and begin to listen. Raises LineDown. Idempotent when open."""
        if self._port.is_open:
            return
        self._port.open()
        self._buffer, self._damaged = b"", ""
        self._fresh.clear()
        self.stats.opened += 1

    async def close(self) -> None:
        """Stop listening; idempotent."""
        self._port.close()

    async def read(self, block: Block, timeout_s: float) -> Answer:
        """The sentence `block.sentence` of sensor `block.unit` that came since the last read of it.

        Waits up to `timeout_s` for one. Raises NoAnswer when none came, Garbled when a damaged line came
        instead, LineDown when the port is gone.
        """
        started = self._clock.monotonic()
        alone = self._options.id_field is None
        counts = self.stats.one(block.unit) if alone else self.stats.unit(block.unit)
        key = (block.sentence, 0 if alone else block.unit)
        while (sentence := self._fresh.pop(key, None)) is None:
            self._port.need()
            left = timeout_s - (self._clock.monotonic() - started)
            if left <= 0:
                self._give_up(block, counts)
            self._news.clear()
            try:
                async with asyncio.timeout(left):
                    await self._news.wait()
            except TimeoutError:
                self._give_up(block, counts)
        self._damaged = ""
        return Answer(block, sentence.t, fields=sentence.fields, rtt_s=self._clock.monotonic() - started)

    def _give_up(self, block: Block, counts: UnitStats) -> NoReturn:
        damaged, self._damaged = self._damaged, ""
        if damaged:
            raise Garbled(f"{self._options.port}: {damaged}")
        counts.timeouts += 1
        raise NoAnswer(f"{self._options.port}: no {block.sentence} sentence of sensor {block.unit}")

    def _hear(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._take(line)
        if len(self._buffer) > MAX_LINE:
            self._refuse(self._buffer, f"more than {MAX_LINE} characters without a line end")
            self._buffer = b""

    def _refuse(self, line: bytes, why: str) -> None:
        """Of the only sensor of the line, if there is but one: a damaged line does not say whose it is."""
        self._damaged = why
        self.stats.damaged(self.stats.alone(), JUNK, 1, len(line))
        self._trace.heard(self._clock.now(), None, line, apart=True)

    def _take(self, line: bytes) -> None:
        if not line.strip():
            self.stats.unasked += len(line) + 1
            return
        try:
            fields = parse(line)
            at = self._options.id_field
            unit = 0 if at is None else _sensor(fields[at])
        except (ValueError, IndexError) as e:
            self._refuse(line + b"\n", f"{line[:40]!r}: {e}")
            return
        now = self._clock.now()
        self.stats.unit(unit).spoke(now, len(line) + 1)
        self._trace.heard(now, unit, line + b"\n", apart=True)
        self._fresh[fields[0], unit] = _Sentence(fields, now)
        if len(self._fresh) > MAX_KEPT:
            del self._fresh[next(iter(self._fresh))]
        self._news.set()


def _sensor(text: str) -> int:
    """The number of a sensor. Raises ValueError."""
    if not 0 <= (unit := int(text)) <= MAX_UNIT:
        raise ValueError(f"sensor {unit}: 0 to {MAX_UNIT}")
    return unit
