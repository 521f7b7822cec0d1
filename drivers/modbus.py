"""Modbus TCP and RTU through pymodbus 3.16: its requests, framers and transports; the judgement is ours.

What the library leaves open and this file closes (each measured against 3.16.1): it takes an answer with
fewer registers than asked as good; it takes a TCP answer with transaction id 0; it never resynchronises a
TCP stream after junk; on RTU it sends without the 3.5 characters of silence, and a late answer can pass as
the answer to the next request, because a frame carries no id. Retries and reconnects are the caller's.

Registers: Modbus Application Protocol V1.1b3, functions 1 to 4. Silence: Modbus over Serial Line V1.02,
2.5.1.1.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.client.base import ModbusBaseClient
from pymodbus.exceptions import ModbusException
from pymodbus.framer.rtu import FramerRTU
from pymodbus.pdu import ModbusPDU

from gateway.ports import Answer, Block, Clock, DeviceException, Garbled, LineDown, NoAnswer

FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
BIT_FUNCTIONS = (1, 2)
LONGEST_WAIT_S = 3600.0
EXCEPTIONS = {
    1: "exception 1, illegal function",
    2: "exception 2, illegal address",
    3: "exception 3, illegal value",
    4: "exception 4, device failure",
    5: "exception 5, still working on it",
    6: "exception 6, busy",
    8: "exception 8, memory parity",
    10: "exception 10, gateway path unavailable",
    11: "exception 11, the device behind the gateway is silent",
}
QUARANTINE = 3.0
"""A unit that missed its time-out is not asked again before this many time-outs have passed."""

# The library writes an error line for every refused frame; the caller reports the first and counts the rest.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


class TcpOptions(BaseModel):
    """A Modbus TCP connection; `timeout` (s) is for connecting."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    host: str = Field(min_length=1)
    port: int = Field(502, ge=1, le=65535)
    timeout: float = Field(3.0, gt=0, le=60)


class RtuOptions(BaseModel):
    """A serial bus; `port` is the device file."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    port: str = Field(min_length=1)
    baud: int = Field(9600, ge=300, le=1_000_000)
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    bytesize: Literal[8] = 8
    timeout: float = Field(3.0, gt=0, le=60)

    @property
    def char_s(self) -> float:
        """Time of one character on the wire: start, data, parity, stop bits."""
        return (1 + self.bytesize + (self.parity != "N") + self.stopbits) / self.baud

    @property
    def silence_s(self) -> float:
        """3.5 characters; 1.75 ms above 19,200 baud (Modbus over Serial Line V1.02, 2.5.1.1)."""
        return 3.5 * self.char_s if self.baud <= 19200 else 0.00175


class _ModbusDriver:
    """What TCP and RTU share: one request at a time, and a frame is judged whole before it is believed."""

    def __init__(self, clock: Clock, where: str) -> None:
        self._clock = clock
        self._where = where
        self._client: ModbusBaseClient | None = None
        self._asked: Block | None = None
        self._heard = b""
        self._pdu = b""

    def _make_client(self) -> ModbusBaseClient:
        raise NotImplementedError

    def _find_answer(self, client: ModbusBaseClient, block: Block, data: bytes) -> bytes | None:
        """The PDU that answers `block` among the bytes heard; None: wait for more. Raises Garbled."""
        raise NotImplementedError

    async def open(self) -> None:
        """Connect. Raises LineDown. Idempotent when open."""
        if self._client is not None and self._client.connected:
            return
        await self.close()
        client = self._make_client()
        try:
            if not await client.connect():
                raise LineDown(f"{self._where} cannot be reached")
        except (ModbusException, OSError) as e:
            raise LineDown(f"{self._where} cannot be reached: {e}") from e
        # From here on the library's time-out would be that of each answer; ours always comes first.
        client.ctx.comm_params.timeout_connect = LONGEST_WAIT_S
        self._client = client
        # A serial transport registers its reader in the next turn of the loop.
        await asyncio.sleep(0)

    async def close(self) -> None:
        """Disconnect; idempotent."""
        if self._client is not None:
            self._client.close()
            self._client = None
            await asyncio.sleep(0)

    async def _exchange(self, block: Block, timeout_s: float) -> Answer:
        """One request and its answer. Raises TimeoutError besides what `Driver.read` raises."""
        client = self._client
        if client is None or not client.connected:
            raise LineDown(f"{self._where} is not connected")
        self._heard, self._pdu, self._asked = b"", b"", block
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                await _request(client, block)
        except ModbusException as e:
            raise Garbled(f"unit {block.unit}: {e}") from e
        finally:
            self._asked = None
        rtt = self._clock.monotonic() - started
        if self._pdu[0] & 0x80:
            code = self._pdu[1]
            raise DeviceException(code, f"unit {block.unit}: {EXCEPTIONS.get(code, f'exception {code}')}")
        return Answer(block, self._clock.now(), _words(block, self._pdu[2:]), (), rtt)

    def _packet(self, sending: bool, data: bytes) -> bytes:
        """All bytes since the request, each time some come; the library sees only the right answer."""
        if sending:
            return data
        self._heard = data
        self._note_arrival()
        if self._client is None or self._asked is None:
            return b""
        try:
            pdu = self._find_answer(self._client, self._asked, data)
        except Garbled as e:
            self._fail(e)
            return b""
        if pdu is None:
            return b""
        # Whatever comes from now on is not asked for, even before the reader has woken up.
        self._pdu, self._asked = pdu, None
        return data

    def _note_arrival(self) -> None:
        """Bytes have come in."""

    def _connection(self, connected: bool) -> None:
        if not connected:
            self._fail(LineDown(f"{self._where} was cut off"))

    def _fail(self, error: Exception) -> None:
        if self._client is not None and self._asked and not self._client.ctx.response_future.done():
            self._client.ctx.response_future.set_exception(error)

    def _traces(self) -> dict[str, Any]:
        return {"trace_packet": self._packet, "trace_connect": self._connection}


class TcpDriver(_ModbusDriver):
    """One Modbus TCP connection, with one request in flight."""

    def __init__(self, options: TcpOptions, clock: Clock) -> None:
        super().__init__(clock, f"{options.host}:{options.port}")
        self._options = options

    def _make_client(self) -> ModbusBaseClient:
        o = self._options
        return AsyncModbusTcpClient(
            o.host, port=o.port, timeout=o.timeout, retries=0, reconnect_delay=0, **self._traces()
        )

    async def read(self, block: Block, timeout_s: float) -> Answer:
        """One request, one checked answer. After junk or half a frame the connection is closed."""
        if self._client is not None and not _whole_frames(self._client.ctx.recv_buffer):
            await self.close()
            raise Garbled(f"{self._where}: half a frame came without a request; reconnecting")
        try:
            return await self._exchange(block, timeout_s)
        except TimeoutError:
            if not self._heard:
                raise NoAnswer(f"unit {block.unit} of {self._where}: nothing in {timeout_s:.3f} s") from None
            if not _whole_frames(self._heard):
                await self.close()
            what = f"unit {block.unit} of {self._where}: no answer to this request in {_hex(self._heard)}"
            raise Garbled(what) from None
        except (Garbled, LineDown):
            await self.close()
            raise

    def _find_answer(self, client: ModbusBaseClient, block: Block, data: bytes) -> bytes | None:
        frames = _frames(data)
        rest = data[sum(len(frame) for frame in frames) :]
        for header in (*frames, rest):
            size = int.from_bytes(header[4:6], "big") if len(header) >= 6 else 3
            if len(header) >= 4 and (header[2:4] != b"\0\0" or not 3 <= size <= 254):
                raise Garbled(f"{self._where}: not Modbus TCP: {_hex(header)}")
        for frame in frames:
            transaction = int.from_bytes(frame[:2], "big")
            if transaction == client.ctx.request_transaction_id:
                if frame[6] != block.unit:
                    raise Garbled(f"unit {block.unit}: unit {frame[6]} answered")
                return _checked(frame[7:], block)
            if transaction == 0:
                raise Garbled(f"unit {block.unit}: an answer without a transaction id")
        return None


class RtuDriver(_ModbusDriver):
    """One serial bus with its units. `read` keeps the silence between frames and outwaits late answers."""

    def __init__(self, options: RtuOptions, clock: Clock) -> None:
        super().__init__(clock, options.port)
        self._options = options
        self._quiet_from = 0.0
        self._quarantine: dict[int, float] = {}

    def _make_client(self) -> ModbusBaseClient:
        o = self._options
        return AsyncModbusSerialClient(
            o.port, baudrate=o.baud, parity=o.parity, stopbits=o.stopbits, bytesize=o.bytesize,
            timeout=o.timeout, retries=0, reconnect_delay=0, **self._traces(),
        )  # fmt: skip

    async def read(self, block: Block, timeout_s: float) -> Answer:
        """One request, one checked answer.

        A unit that missed its time-out may still answer: for QUARANTINE time-outs it is not asked again
        (NoAnswer at once), since its late answer could not be told from the next one. Other units are.
        """
        if self._clock.monotonic() < self._quarantine.get(block.unit, 0.0):
            raise NoAnswer(f"unit {block.unit} of {self._where}: its late answer is still awaited")
        await self._silence()
        sent = self._clock.monotonic()
        try:
            return await self._exchange(block, timeout_s)
        except TimeoutError:
            heard = self._heard
            await self._after_failure(block, sent + QUARANTINE * timeout_s)
            if heard:
                what = f"unit {block.unit} of {self._where}: no whole answer in {_hex(heard)}"
                raise Garbled(what) from None
            raise NoAnswer(f"unit {block.unit} of {self._where}: nothing in {timeout_s:.3f} s") from None
        except Garbled:
            await self._after_failure(block, sent + QUARANTINE * timeout_s)
            raise
        except LineDown:
            await self.close()
            raise
        finally:
            self._quiet_from = max(self._quiet_from, self._clock.monotonic())

    async def _silence(self) -> None:
        """Wait until the bus has been silent for 3.5 characters; what came unasked is thrown away."""
        while True:
            left = self._quiet_from + self._options.silence_s - self._clock.monotonic()
            if left > 0:
                await self._clock.sleep_real(left)
            before = self._quiet_from
            # One turn of the loop reads what the port has already received.
            await asyncio.sleep(0)
            if left <= 0 and self._quiet_from == before:
                return

    async def _after_failure(self, block: Block, until: float) -> None:
        """Let an answer that is about to begin go by: the time of a whole frame, then silence.

        When the unit itself was heard it has answered, however badly. Otherwise its answer may still come.
        """
        frame_s = _frame_size(block) * self._options.char_s
        if self._heard[:1] != bytes((block.unit,)):
            self._quarantine[block.unit] = until + frame_s
        await self._clock.sleep_real(frame_s)
        await self._silence()

    def _note_arrival(self) -> None:
        self._quiet_from = self._clock.monotonic()

    def _find_answer(self, client: ModbusBaseClient, block: Block, data: bytes) -> bytes | None:
        function, size = FUNCTIONS[block.area], _frame_size(block)
        if len(data) == 5 and data[:2] == bytes((block.unit, function | 0x80)) and _good_crc(data):
            return data[1:-2]
        if len(data) < size:
            return None
        if len(data) > size or data[0] != block.unit or not _good_crc(data):
            raise Garbled(f"unit {block.unit} of {self._where}: not its answer: {_hex(data)}")
        return _checked(data[1:-2], block)


def _request(client: ModbusBaseClient, block: Block) -> Awaitable[ModbusPDU]:
    ask: Callable[..., Awaitable[ModbusPDU]] = {
        "coil": client.read_coils,
        "discrete": client.read_discrete_inputs,
        "holding": client.read_holding_registers,
        "input": client.read_input_registers,
    }[block.area]
    return ask(block.address, count=block.count, device_id=block.unit)


def _data_bytes(block: Block) -> int:
    return (block.count + 7) // 8 if FUNCTIONS[block.area] in BIT_FUNCTIONS else 2 * block.count


def _frame_size(block: Block) -> int:
    """Bytes of the RTU answer: unit, function, byte count, data, CRC."""
    return 3 + _data_bytes(block) + 2


def _checked(pdu: bytes, block: Block) -> bytes:
    """The PDU, when function and length are what was asked for, or when it is an exception to that."""
    function, size = FUNCTIONS[block.area], _data_bytes(block)
    if len(pdu) == 2 and pdu[0] == function | 0x80:
        return pdu
    if pdu[0] != function or len(pdu) != 2 + size or pdu[1] != size:
        raise Garbled(
            f"unit {block.unit}: function {pdu[0]} with {len(pdu) - 2} bytes of data (it says {pdu[1]})"
            f" instead of function {function} with {size}"
        )
    return pdu


def _words(block: Block, data: bytes) -> NDArray[np.uint16]:
    if FUNCTIONS[block.area] in BIT_FUNCTIONS:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        return bits[: block.count].astype(np.uint16)
    return np.frombuffer(data, ">u2").astype(np.uint16)


def _frames(data: bytes) -> list[bytes]:
    """The whole MBAP frames at the front of the bytes."""
    frames = []
    while len(data) >= 8:
        size = 6 + int.from_bytes(data[4:6], "big")
        if len(data) < size or size < 8:
            break
        frames.append(data[:size])
        data = data[size:]
    return frames


def _whole_frames(data: bytes) -> bool:
    return sum(len(frame) for frame in _frames(data)) == len(data)


def _good_crc(frame: bytes) -> bool:
    return len(frame) >= 5 and FramerRTU.compute_CRC(frame[:-2]) == int.from_bytes(frame[-2:], "big")


def _hex(data: bytes) -> str:
    return data[:24].hex(" ") + (" …" if len(data) > 24 else "")
