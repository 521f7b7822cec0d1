"""One Modbus line: requests go out through pymodbus (modbus_port), answers are judged here.

What that library's client leaves open and the drivers close (each measured against 3.16.1): it takes an
answer with fewer registers than asked as good; it takes a TCP answer with transaction id 0; it never
resynchronises a TCP stream after junk; on RTU it sends without the 3.5 characters of silence, and a late
answer can pass as the answer to the next request, because a frame carries no id. Retries and reconnects are
the caller's, but for a connection that a driver closed by itself.
"""

from __future__ import annotations

import asyncio
import logging
import termios
from abc import ABC, abstractmethod
from collections.abc import Sequence

from drivers.linestats import LineStats
from drivers.modbus_ear import Ear
from drivers.modbus_frames import Ask, Refused, Wire, hexed, reading, to_read, to_write
from drivers.modbus_options import Quirks
from drivers.modbus_port import Port
from drivers.trace import Frame
from gateway.ports import Answer, Block, Clock, DeviceError, DeviceException, LineDown, NoAnswer

QUARANTINE = 3.0
"""On a bus, a unit that missed its time-out is not asked again before this many time-outs have passed."""

# The library writes a line for every refused connection; the caller reports the first and counts the rest.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


class ModbusDriver(ABC):
    """What all forms share: one request at a time, and a frame is judged whole before it is believed.

    `stats` counts since the driver was made; `trace(True)` begins to record frames, `frames()` gives them.
    """

    wire: Wire

    def __init__(self, options: Quirks, clock: Clock, where: str, *, echo: bool = False) -> None:
        self._clock, self._where, self._quirks = clock, where, options
        self._port: Port | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._again = False
        self._idle: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()
        self.stats = LineStats()
        self._ear = Ear(self.wire, clock, self.stats, echo=echo)

    # ── for people ────────────────────────────────────────────────────────────────────────────────────

    def trace(self, on: bool) -> None:
        """Record frames from now on (the last 500), or stop."""
        self._ear.trace.switch(on)

    def frames(self, unit: int | None = None) -> tuple[Frame, ...]:
        """What was recorded, oldest first; of one unit, or of the whole line."""
        return self._ear.trace.frames(unit)

    # ── the connection ────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    def _make_port(self) -> Port:
        """Not connected yet."""

    def _ready_port(self, port: Port) -> None:
        """Settings of the port beyond what the library knows. Raises LineDown."""

    def _hint(self) -> str:
        """Why it may not have opened."""
        return ""

    async def open(self) -> None:
        """Connect. Raises LineDown. Idempotent when open."""
        if self._port is not None and self._port.is_active():
            return
        await self.close()
        port = self._make_port()
        try:
            if not await port.connect():
                raise LineDown(f"{self._where} cannot be reached{self._hint()}")
        except OSError as e:
            raise LineDown(f"{self._where} cannot be reached: {e}") from e
        except termios.error as e:
            raise LineDown(f"{self._where} refuses its settings (baud, parity, bits): {e}") from e
        self._port = port
        try:
            self._ready_port(port)
        except LineDown:
            await self.close()
            raise
        self.stats.opened += 1
        # A serial transport registers its reader in the next turn of the loop.
        await asyncio.sleep(0)
        if self._quirks.connect_pause_s:
            await self._clock.sleep_real(self._quirks.connect_pause_s)

    async def close(self) -> None:
        """Disconnect; idempotent."""
        self._again = False
        self._drop()
        await asyncio.sleep(0)

    def _drop(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._port is not None:
            self._port.close()
            self._port = None
        self._ear.reset()

    def _drop_for_now(self) -> None:
        """Close; the next read connects again."""
        self._drop()
        self._again = True

    def _lost(self) -> None:
        self._fail(LineDown(f"{self._where} was cut off"))

    # ── one request ───────────────────────────────────────────────────────────────────────────────────

    async def read(self, block: Block, timeout_s: float) -> Answer:
        """One request, one checked answer. See `Driver.read`."""
        async with self._turn:
            pdu, rtt_s = await self._ask(to_read(block), timeout_s)
        t = self._clock.now()
        self.stats.unit(block.unit).answered(t, rtt_s)
        return Answer(block, t, reading(block, pdu), (), rtt_s)

    async def write(self, block: Block, words: Sequence[int], timeout_s: float) -> None:
        """One request, confirmed. See `Writer.write`. Raises ValueError for an area that nobody can write."""
        ask = to_write(block, words)
        async with self._turn:
            _, rtt_s = await self._ask(ask, timeout_s, words)
        self.stats.unit(block.unit).answered(self._clock.now(), rtt_s)

    async def _ask(self, ask: Ask, timeout_s: float, words: Sequence[int] = ()) -> tuple[bytes, float]:
        """The PDU of the checked answer, which is no exception, and the time that it took (s)."""
        await self._ready(ask)
        port, sent = self._connected(), self._clock.monotonic()
        error: DeviceError
        try:
            return await self._exchange(port, ask, timeout_s, words), self._clock.monotonic() - sent
        except TimeoutError:
            error = self._missed(ask, timeout_s)
        except DeviceError as e:
            error = e
        except asyncio.CancelledError:
            self._distrust(ask, sent + QUARANTINE * timeout_s)
            self.stats.unit(ask.unit).cut_off += 1
            raise
        finally:
            self.stats.busy_s += self._clock.monotonic() - sent
            self._rest()
        error = await self._recover(ask, error, sent + QUARANTINE * timeout_s)
        self._count(ask, error)
        self._rest()
        raise error

    async def _ready(self, ask: Ask) -> None:
        """Connected, and rested since the last exchange."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._again:
            await self.open()
        self._connected()
        left = self._ear.quiet_from + self._quirks.gap_s - self._clock.monotonic()
        if self._quirks.gap_s and left > 0:
            await self._clock.sleep_real(left)

    def _connected(self) -> Port:
        if self._port is None or not self._port.is_active():
            raise LineDown(f"{self._where} is not connected")
        return self._port

    async def _exchange(self, port: Port, ask: Ask, timeout_s: float, words: Sequence[int]) -> bytes:
        """Raises TimeoutError besides what `Driver.read` raises."""
        frame = port.frame(ask, words)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        self._answer = answer
        self._ear.begin(ask, frame)
        timer = loop.call_later(timeout_s, _expire, answer)
        try:
            port.send(frame)
            pdu = await answer
        finally:
            timer.cancel()
            self._ear.end()
        if pdu[0] & 0x80:
            reading(ask.block, pdu)
        return pdu

    def _missed(self, ask: Ask, timeout_s: float) -> DeviceError:
        if not self._ear.heard:
            return NoAnswer(f"unit {ask.unit} of {self._where}: nothing in {timeout_s:.3f} s")
        fault = self.wire.explain(ask, self._transaction(), self._ear.heard)
        what = f"no whole answer to this request ({fault}) in {hexed(self._ear.heard)}"
        return Refused(fault, f"unit {ask.unit} of {self._where}: {what}")

    def _transaction(self) -> int:
        return self._port.transaction if self._port else 0

    def _count(self, ask: Ask, error: DeviceError) -> None:
        counts = self.stats.unit(ask.unit)
        if isinstance(error, DeviceException):
            counts.exceptions[error.code] += 1
        elif isinstance(error, Refused):
            counts.faults[error.fault] += 1
        elif isinstance(error, NoAnswer):
            counts.timeouts += 1
        else:
            counts.cut_off += 1

    @abstractmethod
    async def _recover(self, ask: Ask, error: DeviceError, until: float) -> DeviceError:
        """Make the line fit for the next request; what the error turned out to be."""

    def _distrust(self, ask: Ask, until: float) -> None:
        """An answer may still come."""

    def _rest(self) -> None:
        self._ear.quiet_from = max(self._ear.quiet_from, self._clock.monotonic())
        if self._quirks.close_idle_s is not None and self._port is not None and self._idle is None:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(self._quirks.close_idle_s, self._drop_for_now)

    # ── bytes ─────────────────────────────────────────────────────────────────────────────────────────

    def _hear(self, data: bytes) -> int:
        """All bytes since the request, each time some come; how many of them are the answer."""
        try:
            found = self._ear.hear(data, self._transaction())
        except Refused as e:
            self._fail(e)
            return 0
        if found is None:
            return 0
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(found.pdu)
        return len(found.frame)

    def _fail(self, error: Exception) -> None:
        if self._ear.asked and self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def _expire(answer: asyncio.Future[bytes]) -> None:
    if not answer.done():
        answer.set_exception(TimeoutError())
