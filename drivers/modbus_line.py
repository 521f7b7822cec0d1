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
from collections.abc import Awaitable, Callable
from typing import Any

from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.client.base import ModbusBaseClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from drivers.linestats import LineStats
from drivers.modbus_ear import Ear
from drivers.modbus_frames import Fault, Refused, Wire, hexed, reading
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


class ModbusDriver:
    """What all forms share: one request at a time, and a frame is judged whole before it is believed.

    `stats` counts since the driver was made; `trace(True)` begins to record frames, `frames()` gives them.
    """

    wire: Wire

    def __init__(self, options: Quirks, clock: Clock, where: str, *, echo: bool = False) -> None:
        self._clock, self._where, self._quirks = clock, where, options
        self._client: Client | None = None
        self._again = False
        self._idle: asyncio.TimerHandle | None = None
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

    def _make_client(self) -> Client:
        raise NotImplementedError

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
        await self._ready(block)
        client = self._connected()
        counts, sent = self.stats.unit(block.unit), self._clock.monotonic()
        error: DeviceError
        try:
            answer = await self._exchange(client, block, timeout_s)
        except TimeoutError:
            error = self._missed(block, timeout_s)
        except DeviceError as e:
            error = e
        except asyncio.CancelledError:
            self._distrust(block, sent + QUARANTINE * timeout_s)
            raise
        else:
            counts.answered(answer.t, answer.rtt_s)
            return answer
        finally:
            self.stats.busy_s += self._clock.monotonic() - sent
            self._rest()
        error = await self._recover(block, error, sent + QUARANTINE * timeout_s)
        self._count(block, error)
        self._rest()
        raise error

    async def _ready(self, block: Block) -> None:
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

    async def _exchange(self, client: Client, block: Block, timeout_s: float) -> Answer:
        """Raises TimeoutError besides what `Driver.read` raises."""
        self._ear.begin(block)
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                await _request(client, block)
        except ModbusException as e:
            raise Refused(Fault.JUNK, f"unit {block.unit}: {e}") from e
        finally:
            self._ear.end()
        rtt = self._clock.monotonic() - started
        return Answer(block, self._clock.now(), reading(block, self._ear.pdu), (), rtt)

    def _missed(self, block: Block, timeout_s: float) -> DeviceError:
        if not self._ear.heard:
            return NoAnswer(f"unit {block.unit} of {self._where}: nothing in {timeout_s:.3f} s")
        fault = self.wire.explain(block, self._transaction(), self._ear.heard)
        what = f"no whole answer to this request ({fault}) in {hexed(self._ear.heard)}"
        return Refused(fault, f"unit {block.unit} of {self._where}: {what}")

    def _transaction(self) -> int:
        return self._client.ctx.request_transaction_id if self._client else 0

    def _count(self, block: Block, error: DeviceError) -> None:
        counts = self.stats.unit(block.unit)
        if isinstance(error, DeviceException):
            counts.exceptions[error.code] += 1
        elif isinstance(error, Refused):
            counts.faults[error.fault] += 1
        elif isinstance(error, NoAnswer):
            counts.timeouts += 1
        else:
            counts.cut_off += 1

    async def _recover(self, block: Block, error: DeviceError, until: float) -> DeviceError:
        """Make the line fit for the next request; what the error turned out to be."""
        raise NotImplementedError

    def _distrust(self, block: Block, until: float) -> None:
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


def _request(client: Client, block: Block) -> Awaitable[ModbusPDU]:
    ask: Callable[..., Awaitable[ModbusPDU]] = {
        "coil": client.read_coils,
        "discrete": client.read_discrete_inputs,
        "holding": client.read_holding_registers,
        "input": client.read_input_registers,
    }[block.area]
    return ask(block.address, count=block.count, device_id=block.unit)


def tcp_client(o: TcpOptions | RtuTcpOptions, framer: str, hooks: dict[str, Any]) -> Client:
    """A client that is not connected yet; `framer`: socket or rtu."""
    return AsyncModbusTcpClient(o.host, framer=FramerType(framer), port=o.port, timeout=o.timeout, **hooks)


def serial_client(o: RtuOptions | ModbusAsciiOptions, framer: str, hooks: dict[str, Any]) -> Client:
    """A client whose port is not open yet; `framer`: rtu or ascii."""
    return AsyncModbusSerialClient(
        o.port, framer=FramerType(framer), baudrate=o.baud, parity=o.parity, stopbits=o.stopbits,
        bytesize=o.bytesize, timeout=o.timeout, **hooks,
    )  # fmt: skip
