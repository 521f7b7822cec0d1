"""One exchange as the bytes see it: what was sent, what came since, and which of it is the answer."""

from __future__ import annotations

from drivers.linestats import LineStats, UnitStats
from drivers.modbus_frames import Ask, Fault, Found, Refused, Wire, hexed
from drivers.trace import FrameTrace
from gateway.ports import Clock


class Ear:
    """Hears all bytes of a line; counts and records them, and judges those of the request under way.

    echo: the adapter hears what it sends. `heard`: the bytes since the request, without the echo;
    `quiet_from`: monotonic time (s) of the last byte.
    """

    def __init__(self, wire: Wire, clock: Clock, stats: LineStats, *, echo: bool) -> None:
        self._wire, self._clock, self._stats, self._echo = wire, clock, stats, echo
        self.trace = FrameTrace()
        self.asked: Ask | None = None
        self.heard = self.pdu = b""
        self.quiet_from = 0.0
        self._sent = b""
        self._held = 0
        self._head: int | None = None
        self._counts = UnitStats()

    def begin(self, ask: Ask, frame: bytes) -> None:
        """This request goes out now; bytes that had come before are thrown away."""
        self.heard, self.pdu, self.asked = b"", b"", ask
        self._sent, self._held = frame, 0
        # What is written to a device is not recorded, nor what it says to that.
        self._head = self._wire.head if ask.exact is not None else None
        self._counts = counts = self._stats.unit(ask.unit)
        counts.requests += 1
        counts.bytes_out += len(frame)
        if self.trace.on:
            self.trace.sent(self._clock.now(), ask.unit, frame, head=self._head)

    def end(self) -> None:
        """Whatever comes from now on is not asked for."""
        self.asked = None

    def reset(self) -> None:
        """A new connection holds no old bytes."""
        self._held = 0

    def hear(self, data: bytes, transaction: int) -> Found | None:
        """All bytes that the connection holds, each time some come. Raises Refused."""
        self._note(data)
        if self.asked is None:
            return None
        self.heard = self._without_echo(data)
        found = self._wire.find(self.asked, transaction, self.heard) if self.heard else None
        if found is not None:
            self._counts.late += found.late
            self.pdu, self.asked = found.pdu, None
            self._held = max(0, len(data) - len(found.frame))
        return found

    def _note(self, data: bytes) -> None:
        new = data[self._held :] if len(data) > self._held else data
        self._held = len(data)
        self.quiet_from = self._clock.monotonic()
        if self.asked is None:
            self._stats.unasked += len(new)
        else:
            self._counts.bytes_in += len(new)
        if self.trace.on:
            unit = self.asked.unit if self.asked else None
            self.trace.heard(self._clock.now(), unit, new, head=self._head)

    def _without_echo(self, data: bytes) -> bytes:
        """What came behind the echo of our own request. That is never an answer, but to a single write."""
        if not self._echo:
            if data.startswith(self._sent) and (self.asked is None or self.asked.exact is None):
                raise Refused(Fault.ECHO, "the line echoes what is sent: set the option local_echo")
            return data
        if data.startswith(self._sent):
            return data[len(self._sent) :]
        if self._sent.startswith(data):
            return b""
        raise Refused(Fault.ECHO, f"sent {hexed(self._sent)}, but the line echoed {hexed(data)}")
