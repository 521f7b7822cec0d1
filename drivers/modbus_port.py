"""What pymodbus 3.16 does for the Modbus drivers: it words requests, frames them and carries the bytes.

Its client is left out: it decodes each answer value by value and keeps two more time-outs and locks for each
request (ADR 0009), and what it takes for an answer is not what the drivers take for one (modbus_line).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from pymodbus.framer import FramerAscii, FramerBase, FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)
from pymodbus.transport import CommParams, CommType, ModbusProtocol
from serial.rs485 import RS485Settings

from drivers.modbus_frames import Ask
from drivers.modbus_options import ModbusAsciiOptions, Rs485, RtuOptions, RtuTcpOptions, TcpOptions

BUFFER = 4096
"""Bytes that wait for judgement; the library's own bound is shorter than an ASCII frame with its echo."""
LAST_TRANSACTION = 65_000

_FRAMERS: dict[str, type[FramerBase]] = {"tcp": FramerSocket, "rtu": FramerRTU, "ascii": FramerAscii}
_READS: dict[int, type[ModbusPDU]] = {
    1: ReadCoilsRequest,
    2: ReadDiscreteInputsRequest,
    3: ReadHoldingRegistersRequest,
    4: ReadInputRegistersRequest,
}
_BIT_WRITES: dict[int, type[ModbusPDU]] = {5: WriteSingleCoilRequest, 15: WriteMultipleCoilsRequest}
_WORD_WRITES: dict[int, type[ModbusPDU]] = {6: WriteSingleRegisterRequest, 16: WriteMultipleRegistersRequest}


class Port(ModbusProtocol):
    """One connection or serial port, connected once.

    hear: gets all bytes since the last request each time some come, says how many of them are dealt with ·
    lost: the other side closed. `transaction`: number of the last request (TCP; 0 on a bus).
    """

    def __init__(
        self, params: CommParams, wire: str, hear: Callable[[bytes], int], lost: Callable[[], None]
    ) -> None:
        super().__init__(params, is_server=False)
        self.max_buffer_size = BUFFER
        self.transaction = 0
        self._framer = _FRAMERS[wire](DecodePDU(is_server=False))
        self._counted = wire == "tcp"
        self._hear, self._lost = hear, lost

    def frame(self, ask: Ask, words: Sequence[int]) -> bytes:
        """The next request, ready to be sent. Raises ValueError: nobody can ask that."""
        if self._counted:
            self.transaction = self.transaction % LAST_TRANSACTION + 1
        pdu = _read(ask.function, ask.block.address, ask.block.count) if not words else _write(ask, words)
        return self._framer.encode(pdu, ask.unit, self.transaction)

    def switch_rts(self, rs485: Rs485) -> None:
        """The kernel switches the transmitter. Raises ValueError, OSError, NotImplementedError."""
        self.transport.sync_serial.rs485_mode = RS485Settings(  # type: ignore[attr-defined]  # of serial ports
            rts_level_for_tx=rs485.rts_on_send, rts_level_for_rx=not rs485.rts_on_send,
            delay_before_tx=rs485.delay_before_s, delay_before_rx=rs485.delay_after_s,
        )  # fmt: skip

    def callback_new_connection(self) -> ModbusProtocol:
        """Of servers only."""
        return self

    def callback_connected(self) -> None:
        """Transactions are numbered anew."""
        self.transaction = 0

    def callback_disconnected(self, exc: Exception | None) -> None:
        """See `lost`."""
        self._lost()

    def callback_data(self, data: bytes, addr: tuple[str, int] | None = None) -> int:
        """See `hear`."""
        return self._hear(data)


@lru_cache(4096)
def _read(function: int, address: int, count: int) -> bytes:
    return _worded(_READS[function](address=address, count=count))


def _write(ask: Ask, words: Sequence[int]) -> bytes:
    at = ask.block.address
    if ask.function in _BIT_WRITES:
        return _worded(_BIT_WRITES[ask.function](address=at, bits=[bool(word) for word in words]))
    return _worded(_WORD_WRITES[ask.function](address=at, registers=list(words)))


def _worded(pdu: ModbusPDU) -> bytes:
    return bytes((pdu.function_code,)) + pdu.encode()


def tcp_params(o: TcpOptions | RtuTcpOptions) -> CommParams:
    """A TCP connection."""
    return CommParams(comm_type=CommType.TCP, host=o.host, port=o.port, timeout_connect=o.timeout)


def serial_params(o: RtuOptions | ModbusAsciiOptions) -> CommParams:
    """A serial port."""
    return CommParams(
        comm_type=CommType.SERIAL, host=o.port, baudrate=o.baud, parity=o.parity, stopbits=o.stopbits,
        bytesize=o.bytesize, timeout_connect=o.timeout,
    )  # fmt: skip
