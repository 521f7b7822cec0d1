"""Fire panels of the GST9000 type, listened to at their printer port. See gst_printer_text for the lines.

Nothing is ever sent to the panel. A printer port has no heartbeat: while nothing happens nothing is printed,
so a panel that is switched off looks like a quiet one unless `silence_h` is set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from drivers.gst_printer_text import Lines, Panel
from drivers.linestats import LineStats
from drivers.serial_port import PortOptions, SerialPort
from drivers.trace import Frame, FrameTrace
from gateway.ports import Answer, Block, Clock, DeviceException, NoAnswer, Span

SENTENCE = "gst"
ILLEGAL_ADDRESS = 2
JUNK = "junk"


class GstPrinterOptions(PortOptions):
    """The serial port at the panel's printer output.

    silence_h: longest time without a print before the panel counts as silent; null: it may stay quiet ·
    quiet_is_normal: take a panel that has not printed since the start for normal (else: not known until it
    prints 复位) · half_line_s: after this pause the rest of a line will not come.
    """

    silence_h: float | None = Field(None, gt=0, le=8784)
    quiet_is_normal: bool = False
    half_line_s: float = Field(2.0, ge=0.1, le=60)

    def device_faults(self, unit: int, spans: Sequence[Span]) -> Iterator[tuple[str, str, str]]:
        """(field of the device, what is wrong, what to do), before anything is heard."""
        if any(span.area == "line" and span.sentence != SENTENCE for span in spans):
            yield "profile", f"a printer port gives only the sentence {SENTENCE!r}", "write gst9000_printer"


class GstPrinterDriver:
    """One panel at one port; what it printed outlives `close`.

    `stats`: nothing is ever sent, so `requests` stays 0; `answers` are whole lines, empty ones too.
    """

    def __init__(self, options: GstPrinterOptions, clock: Clock) -> None:
        self._options, self._clock = options, clock
        self._port = SerialPort(options, self._hear)
        self._lines = Lines()
        self._panel = Panel(quiet_is_normal=options.quiet_is_normal)
        self._was_open = False
        self._heard_at = self._opened_at = 0.0
        self._trace = FrameTrace()
        self.stats = LineStats()

    def trace(self, on: bool) -> None:
        """Begin to record lines, or stop."""
        self._trace.switch(on)

    def frames(self, unit: int | None = None) -> tuple[Frame, ...]:
        """What was recorded, oldest first. There is one panel: whatever unit it is asked as."""
        return self._trace.frames()

    async def open(self) -> None:
        """Open the port and begin to listen. Raises LineDown. Idempotent when open."""
        if self._port.is_open:
            return
        self._port.open()
        self._lines.restart()
        if self._was_open:
            self._panel.doubt()
        self._was_open = True
        self._opened_at = self._clock.monotonic()
        self.stats.opened += 1

    async def close(self) -> None:
        """Stop listening; idempotent."""
        self._port.close()

    async def read(self, block: Block, timeout_s: float) -> Answer:
        """The panel's state as its prints tell it. Raises LineDown, NoAnswer after `silence_h`."""
        self._port.need()
        counts = self.stats.one(block.unit)
        if block.sentence != SENTENCE:
            counts.exceptions[ILLEGAL_ADDRESS] += 1
            raise DeviceException(
                ILLEGAL_ADDRESS, f"there is no sentence {block.sentence!r}, only {SENTENCE}"
            )
        limit = self._options.silence_h
        silent = self._clock.monotonic() - max(self._heard_at, self._opened_at)
        if limit is not None and silent > limit * 3600:
            counts.timeouts += 1
            raise NoAnswer(f"{self._options.port}: nothing printed for {silent / 3600:.1f} h")
        return Answer(block, self._clock.now(), fields=self._panel.fields(block.unit, self._lines.refused))

    def _hear(self, data: bytes) -> None:
        now, t, refused = self._clock.monotonic(), self._clock.now(), self._lines.refused
        if self._lines.waiting and now - self._heard_at > self._options.half_line_s:
            self._lines.drop()
        self._heard_at = now
        counts = self.stats.unit(0)
        counts.bytes_in += len(data)
        self._trace.heard_text(t, 0, data)
        for line in self._lines.feed(data):
            counts.spoke(t, 0)
            self._panel.take(line)
        if self._lines.refused > refused:
            counts.faults[JUNK] += self._lines.refused - refused
