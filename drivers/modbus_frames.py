"""Is this the answer to that request? Pure judgement over bytes, for every form in which Modbus travels.

An answer counts only as a whole: unit, function, byte count, length and check sum must be those of the very
request (on TCP also its transaction). Everything else is refused with the fault that a technician can act on.

Forms: Modbus Messaging on TCP/IP V1.0b, 3.1.3 (MBAP header); Modbus over Serial Line V1.02, 2.5.1 (RTU) and
2.5.2 (ASCII). Registers and bits: Modbus Application Protocol V1.1b3, functions 1 to 4.

What a check sum cannot see stays unseen: CRC-16 lets 1 in 65,536 randomly damaged RTU frames pass, the LRC of
ASCII 1 in 256; Modbus TCP has none of its own and trusts the check sum of TCP.
"""

from __future__ import annotations

import re
import struct
from binascii import a2b_hex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.ports import Block, DeviceException, Garbled, NoAnswer

FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
WRITES = {"coil": (5, 15), "holding": (6, 16)}
"""Functions that write one, and several."""
BIT_FUNCTIONS = (1, 2)
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
NOISE = b"\x00\xff"
"""What a bus shows when its drivers switch over; no unit that answers on a bus has such an address."""
MORE = "more came behind what looked like an exception: the beginning of a damaged answer"
_HEAD_TCP = struct.Struct(">HHHBBB")
LATE_WINDOW = 1000
"""Transactions this far back are late answers of ours; others are foreign."""


class Fault(StrEnum):
    """What is wrong with an answer. Written to statistics: names are never changed."""

    CRC = "crc"  # the check sum (CRC, LRC) does not match
    CUT = "cut"  # it began and never became whole
    SHORT = "short"  # fewer data than asked for
    LONG = "long"  # more data than asked for
    BYTE_COUNT = "byte_count"  # it says another length than it has
    UNIT = "foreign_unit"
    FUNCTION = "foreign_function"
    TRANSACTION = "foreign_transaction"
    CONFIRM = "confirm"  # a write confirmed with another address, value or count
    LATE = "late"  # the answer to an earlier request
    JUNK = "junk"  # no frame of this protocol
    BABBLE = "babble"  # the bus is never silent
    ECHO = "echo"  # the local echo is not what was sent: two talk at once


class Refused(Garbled):
    """A garbled answer, with its fault."""

    def __init__(self, fault: Fault, message: str) -> None:
        self.fault = fault
        super().__init__(message)


class Found(NamedTuple):
    """The answer among the bytes: its PDU, the frame for the library, and late frames that were skipped."""

    pdu: bytes
    frame: bytes
    late: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request awaits.

    body: bytes of the answer's PDU behind its function · exact: the whole PDU, when the device can only
    confirm (a write) · block: what it is about.
    """

    unit: int
    function: int
    body: int
    block: Block
    exact: bytes | None = None


def to_read(block: Block) -> Ask:
    """A read of the block: the byte count and the data."""
    function = FUNCTIONS[block.area]
    data = (block.count + 7) // 8 if function in BIT_FUNCTIONS else 2 * block.count
    return Ask(block.unit, function, 1 + data, block)


def to_write(block: Block, words: Sequence[int]) -> Ask:
    """A write of the block: the device repeats address and value, or address and count.

    Raises ValueError for an area that nobody can write, or words that do not fill the block.
    """
    if block.area not in WRITES or len(words) != block.count or not words:
        raise ValueError(f"{len(words)} words cannot be written to {block.count} of area {block.area}")
    single, several = WRITES[block.area]
    function, said = (single, words[0]) if block.count == 1 else (several, block.count)
    if function == 5:
        said = 0xFF00 if words[0] else 0
    exact = bytes((function,)) + block.address.to_bytes(2, "big") + said.to_bytes(2, "big")
    return Ask(block.unit, function, 4, block, exact)


Find = Callable[[Ask, int, bytes], Found | None]
"""(ask, transaction, all bytes since the request) → the answer; None: wait for more. Raises Refused."""
Explain = Callable[[Ask, int, bytes], Fault]
"""What these bytes are, when no more came in time."""


@dataclass(frozen=True, slots=True)
class Wire:
    """A form of Modbus.

    find: the answer among bytes · explain: why there is none · chars: length of the answer ·
    speaker: the unit that these bytes
    seem to come from · head: bytes up to and with the function.
    """

    name: str
    find: Find
    explain: Explain
    chars: Callable[[Ask], int]
    speaker: Callable[[bytes], int | None]
    head: int


# ── what all forms share ──────────────────────────────────────────────────────────────────────────────


def reading(block: Block, pdu: bytes) -> NDArray[np.uint16]:
    """Registers or 0/1 bits of a checked PDU. Raises DeviceException when it is one."""
    if pdu[0] & 0x80:
        code = pdu[1]
        raise DeviceException(code, f"unit {block.unit}: {EXCEPTIONS.get(code, f'exception {code}')}")
    if FUNCTIONS[block.area] in BIT_FUNCTIONS:
        bits = np.unpackbits(np.frombuffer(pdu, np.uint8, offset=2), bitorder="little")
        return bits[: block.count].astype(np.uint16)
    return np.frombuffer(pdu, ">u2", offset=2).astype(np.uint16)


def listen(wire: Wire, block: Block, transaction: int, chunks: Sequence[bytes]) -> NDArray[np.uint16]:
    """What a driver makes of these arrivals, without sockets and time.

    Raises DeviceException, Refused, and NoAnswer when nothing came.
    """
    heard, ask = b"", to_read(block)
    for n, chunk in enumerate(chunks):
        heard += chunk
        found = wire.find(ask, transaction, heard)
        if found is None:
            continue
        if wire is not TCP and found.pdu[0] & 0x80 and any(chunks[n + 1 :]):
            raise Refused(Fault.LONG, MORE)
        return reading(block, found.pdu)
    if not heard:
        raise NoAnswer("nothing came")
    raise Refused(wire.explain(ask, transaction, heard), hexed(heard))


def hexed(data: bytes) -> str:
    """The first bytes, for a message."""
    return data[:24].hex(" ") + (" …" if len(data) > 24 else "")


def _pdu_fault(pdu: bytes, ask: Ask) -> Fault | None:
    """None when it is the answer or an exception to the request."""
    if len(pdu) < 2:
        return Fault.CUT
    if pdu[0] & 0x7F != ask.function:
        return Fault.FUNCTION
    if pdu[0] & 0x80:
        return None if len(pdu) == 2 else Fault.LONG
    if ask.exact is None and pdu[1] != len(pdu) - 2:
        return Fault.BYTE_COUNT
    if len(pdu) != 1 + ask.body:
        return Fault.SHORT if len(pdu) <= ask.body else Fault.LONG
    return Fault.CONFIRM if ask.exact is not None and pdu != ask.exact else None


def _checked(pdu: bytes, ask: Ask) -> bytes:
    fault = _pdu_fault(pdu, ask)
    if fault is None:
        return pdu
    what = f"function {ask.function} with {ask.body} bytes behind it"
    raise Refused(fault, f"unit {ask.unit}: {hexed(pdu)} instead of {what} ({fault})")


# ── TCP ───────────────────────────────────────────────────────────────────────────────────────────────


def frames(data: bytes) -> list[bytes]:
    """The whole MBAP frames at the front of the bytes."""
    found = []
    while len(data) >= 8:
        size = 6 + int.from_bytes(data[4:6], "big")
        if len(data) < size or size < 8:
            break
        found.append(data[:size])
        data = data[size:]
    return found


def whole_frames(data: bytes) -> bool:
    """True when the bytes end where a frame ends."""
    return sum(map(len, frames(data))) == len(data)


def _head_tcp(ask: Ask, transaction: int) -> bytes:
    """How the answer to a read begins, up to its byte count."""
    return _HEAD_TCP.pack(transaction, 0, 2 + ask.body, ask.unit, ask.function, ask.body - 1)


def _find_tcp(ask: Ask, transaction: int, heard: bytes) -> Found | None:
    if ask.exact is None and len(heard) == 8 + ask.body and heard.startswith(_head_tcp(ask, transaction)):
        return Found(heard[7:], heard)  # nearly always: what follows finds the same, more slowly
    whole = frames(heard)
    rest = heard[sum(map(len, whole)) :]
    for header in (*whole, rest):
        size = int.from_bytes(header[4:6], "big") if len(header) >= 6 else 3
        if len(header) >= 4 and (header[2:4] != b"\0\0" or not 3 <= size <= 254):
            raise Refused(Fault.JUNK, f"not Modbus TCP: {hexed(header)}")
    for late, frame in enumerate(whole):
        number = int.from_bytes(frame[:2], "big")
        if number == transaction:
            if frame[6] != ask.unit:
                raise Refused(Fault.UNIT, f"unit {ask.unit}: unit {frame[6]} answered")
            return Found(_checked(frame[7:], ask), heard, late)
        if number == 0:
            raise Refused(Fault.TRANSACTION, f"unit {ask.unit}: an answer without a transaction id")
    return None


def _explain_tcp(ask: Ask, transaction: int, heard: bytes) -> Fault:
    if len(heard) >= 2 and heard[:2] == transaction.to_bytes(2, "big"):
        return Fault.CUT
    if len(heard) < 8:
        return Fault.CUT
    back = transaction - int.from_bytes(heard[:2], "big")
    return Fault.LATE if 0 < back < LATE_WINDOW else Fault.TRANSACTION


# ── RTU ───────────────────────────────────────────────────────────────────────────────────────────────


def _crc_table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return table


_CRC = _crc_table()


def crc16(data: bytes) -> bytes:
    """CRC-16/MODBUS, low byte first as on the wire.

    >>> crc16(bytes.fromhex("01 04 00 00 00 02")).hex(" ")
    '71 cb'
    """
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def _good_crc(frame: bytes) -> bool:
    return len(frame) >= 4 and crc16(frame[:-2]) == frame[-2:]


def _without_noise(ask: Ask, heard: bytes) -> bytes:
    return heard if ask.unit in NOISE else heard.lstrip(NOISE)


def _rtu_size(ask: Ask) -> int:
    """Unit, function, body, CRC."""
    return 2 + ask.body + 2


def _find_rtu(ask: Ask, transaction: int, heard: bytes) -> Found | None:
    data = _without_noise(ask, heard)
    function, size = ask.function, _rtu_size(ask)
    if len(data) == 5 and data[:2] == bytes((ask.unit, function | 0x80)) and _good_crc(data):
        return Found(data[1:-2], data)
    if len(data) < size:
        return None
    if len(data) > size or data[0] != ask.unit or not _good_crc(data):
        fault = _explain_rtu(ask, transaction, heard)
        raise Refused(fault, f"unit {ask.unit}: not its answer ({fault}): {hexed(heard)}")
    return Found(_checked(data[1:-2], ask), data)


def _explain_rtu(ask: Ask, transaction: int, heard: bytes) -> Fault:
    data = _without_noise(ask, heard)
    mine = bytes((ask.unit, ask.function))
    if _good_crc(data):
        return Fault.UNIT if data[0] != ask.unit else _pdu_fault(data[1:-2], ask) or Fault.LONG
    if data[:2] == mine:
        size = len(data) - _rtu_size(ask)
        return Fault.CRC if size == 0 else Fault.CUT if size < 0 else Fault.LONG
    return Fault.CRC if len(data) == _rtu_size(ask) and mine not in data else Fault.JUNK


# ── ASCII ─────────────────────────────────────────────────────────────────────────────────────────────

ASCII_END = b"\r\n"
ASCII_LONGEST = 513
_HEX = re.compile(rb"([0-9A-F]{2})+")


def lrc(data: bytes) -> int:
    """Two's complement of the sum of the bytes (Modbus over Serial Line V1.02, 2.5.2.2 and 6.2.1)."""
    return -sum(data) & 0xFF


def _ascii_chars(ask: Ask) -> int:
    return 1 + 2 * (2 + ask.body + 1) + 2


def _find_ascii(ask: Ask, transaction: int, heard: bytes) -> Found | None:
    """A colon begins a frame wherever it comes: what stood before it is thrown away (2.5.2.1)."""
    end = heard.find(ASCII_END, heard.find(b":") + 1)
    if b":" not in heard or end < 0:
        if len(heard) > 2 * ASCII_LONGEST:
            raise Refused(Fault.LONG, f"unit {ask.unit}: {len(heard)} characters without an end")
        return None
    start = heard.rfind(b":", 0, end)
    frame = heard[start : end + 2]
    if not _HEX.fullmatch(frame, 1, len(frame) - 2):
        raise Refused(Fault.CRC, f"unit {ask.unit}: not hexadecimal: {frame[:48]!r}")
    body = a2b_hex(frame[1:-2])
    if len(body) < 3 or lrc(body[:-1]) != body[-1]:
        raise Refused(Fault.CRC, f"unit {ask.unit}: not its answer, the LRC is wrong: {frame[:48]!r}")
    if body[0] != ask.unit:
        raise Refused(Fault.UNIT, f"unit {ask.unit}: unit {body[0]} answered")
    if heard[end + 2 :]:
        raise Refused(Fault.LONG, f"unit {ask.unit}: more behind its answer: {heard[end + 2 :][:48]!r}")
    return Found(_checked(body[1:-1], ask), frame)


def _explain_ascii(ask: Ask, transaction: int, heard: bytes) -> Fault:
    return Fault.CUT if b":" in heard else Fault.JUNK


def _first(data: bytes) -> int | None:
    return data[0] if data else None


def _ascii_speaker(heard: bytes) -> int | None:
    try:
        return _first(a2b_hex(heard.partition(b":")[2][:2]))
    except ValueError:
        return None


TCP = Wire("tcp", _find_tcp, _explain_tcp, lambda ask: 8 + ask.body, lambda h: _first(h[6:]), 8)
RTU = Wire("rtu", _find_rtu, _explain_rtu, _rtu_size, lambda h: _first(h.lstrip(NOISE)), 2)
ASCII = Wire("ascii", _find_ascii, _explain_ascii, _ascii_chars, _ascii_speaker, 5)
WIRES = {wire.name: wire for wire in (TCP, RTU, ASCII)}
