"""One Modbus line through pymodbus 3.16: its requests, framers and transports; the judgement is ours.

What the library leaves open and the drivers close (each measured against 3.16.1): it takes an answer with
fewer registers than asked as good; it takes a TCP answer with transaction id 0; it never resynchronises a
TCP stream after junk; on RTU it sends without the 3.5 characters of silence, and a late answer can pass as
the answer to the next request, because a frame carries no id. Retries and reconnects are the caller's, but
for a connection that a driver closed by itself.
"""

from __future__ import annotations

import asyncio
import logging
import termios
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.client.base import ModbusBaseClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from drivers.linestats import LineStats
from drivers.modbus_ear import Ear
from drivers.modbus_frames import Ask, Fault, Refused, Wire, hexed, reading, to_read, to_write
from drivers.modbus_options import ModbusAsciiOptions, Quirks, RtuOptions, RtuTcpOptions, TcpOptions
from drivers.trace import Frame
from gateway.ports import Answer, Block, Clock, DeviceError, DeviceException, LineDown, NoAnswer

Client = ModbusBaseClient
LONGEST_WAIT_S = 3600.0
BUFFER = 4096
"""Bytes that wait for judgement; the library's own bound is shorter than an ASCII frame with its echo."""
QUARANTINE = 3.0
"""A unit that missed its time-out is not asked again before this many time-outs have passed."""

QUARANTINE = 3.0
"""On a bus, a unit that missed its time-out is not asked again before this many time-outs have passed."""

# The library writes an error line for every refused frame; the caller reports the first and counts the rest.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


class ModbusDriver(ABC):
    """What all forms share: one request at a time, and a frame is judged whole before it is believed.

    `stats` counts since the driver was made; `trace(True)` begins to record frames, `frames()` gives them.
    """

    wire: Wire

    def __init__(self, options: Quirks, clock: Clock, where: str, *, echo: bool = False) -> None:
        self._clock, self._where, self._quirks = clock, where, options
        self._client: Client | None = None
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
    def _make_client(self) -> Client:
        """Not connected yet."""

    def _ready_port(self, client: Client) -> None:
        """Settings of the port beyond what the library knows. Raises LineDown."""

    def _hint(self) -> str:
        """Why it may not have opened."""
        return ""

    async def open(self) -> None:
        """Connect. Raises LineDown. Idempotent when open."""
        if self._client is not None and self._client.connected:
            return
        await self.close()
        client = self._make_client()
        try:
            if not await client.connect():
                raise LineDown(f"{self._where} cannot be reached{self._hint()}")
        except (ModbusException, OSError) as e:
            raise LineDown(f"{self._where} cannot be reached: {e}") from e
        except termios.error as e:
            raise LineDown(f"{self._where} refuses its settings (baud, parity, bits): {e}") from e
        # From here on the library's time-out would be that of each answer; ours always comes first.
        client.ctx.comm_params.timeout_connect = LONGEST_WAIT_S
        client.ctx.max_buffer_size = BUFFER
        self._client = client
        try:
            self._ready_port(client)
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
        if self._client is not None:
            self._client.close()
            self._client = None
        self._ear.reset()

    def _drop_for_now(self) -> None:
        """Close; the next read connects again."""
        self._drop()
        self._again = True

    def _connection(self, connected: bool) -> None:
        if not connected:
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
        client, sent = self._connected(), self._clock.monotonic()
        error: DeviceError
        try:
            return await self._exchange(client, ask, timeout_s, words), self._clock.monotonic() - sent
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

    def _connected(self) -> Client:
        if self._client is None or not self._client.connected:
            raise LineDown(f"{self._where} is not connected")
        return self._client

    async def _exchange(self, client: Client, ask: Ask, timeout_s: float, words: Sequence[int]) -> bytes:
        """Raises TimeoutError besides what `Driver.read` raises."""
        self._ear.begin(ask)
        try:
            async with asyncio.timeout(timeout_s):
                await _request(client, ask, words)
        except ModbusException as e:
            raise Refused(Fault.JUNK, f"unit {ask.unit}: {e}") from e
        finally:
            self._ear.end()
        pdu = self._ear.pdu
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
        return self._client.ctx.request_transaction_id if self._client else 0

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
        if self._quirks.close_idle_s is not None and self._client is not None and self._idle is None:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(self._quirks.close_idle_s, self._drop_for_now)

    # ── bytes ─────────────────────────────────────────────────────────────────────────────────────────

    def _packet(self, sending: bool, data: bytes) -> bytes:
        """All bytes since the request, each time some come; the library sees only the right answer."""
        if sending:
            self._ear.sending(data)
            return data
        try:
            found = self._ear.hear(data, self._transaction())
        except Refused as e:
            self._fail(e)
            return b""
        return b"" if found is None else found.frame

    def _fail(self, error: Exception) -> None:
        if self._client is not None and self._ear.asked and not self._client.ctx.response_future.done():
            self._client.ctx.response_future.set_exception(error)

    def _hooks(self) -> dict[str, Any]:
        hooks = {"trace_packet": self._packet, "trace_connect": self._connection}
        return {"retries": 0, "reconnect_delay": 0, **hooks}


def _request(client: Client, ask: Ask, words: Sequence[int]) -> Awaitable[ModbusPDU]:
    at, unit = ask.block.address, ask.unit
    if ask.function in (5, 15):
        bits = [bool(word) for word in words]
        if ask.function == 5:
            return client.write_coil(at, bits[0], device_id=unit)
        return client.write_coils(at, bits, device_id=unit)
    if ask.function == 6:
        return client.write_register(at, words[0], device_id=unit)
    if ask.function == 16:
        return client.write_registers(at, list(words), device_id=unit)
    read: Callable[..., Awaitable[ModbusPDU]] = {
        1: client.read_coils,
        2: client.read_discrete_inputs,
        3: client.read_holding_registers,
        4: client.read_input_registers,
    }[ask.function]
    return read(at, count=ask.block.count, device_id=unit)


def tcp_client(o: TcpOptions | RtuTcpOptions, framer: str, hooks: dict[str, Any]) -> Client:
    """A client that is not connected yet; `framer`: socket or rtu."""
    return AsyncModbusTcpClient(o.host, framer=FramerType(framer), port=o.port, timeout=o.timeout, **hooks)


def serial_client(o: RtuOptions | ModbusAsciiOptions, framer: str, hooks: dict[str, Any]) -> Client:
    """A client whose port is not open yet; `framer`: rtu or ascii."""
    return AsyncModbusSerialClient(
        o.port, framer=FramerType(framer), baudrate=o.baud, parity=o.parity, stopbits=o.stopbits,
        bytesize=o.bytesize, timeout=o.timeout, **hooks,
    )  # fmt: skip
