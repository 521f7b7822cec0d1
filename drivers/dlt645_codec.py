"""DL/T 645-2007, multi-function electricity meters: frames and values ↔ bytes. Pure, and reads only.

Frame: `FE`×0–4 · 68 · address, 6 bytes of BCD, low byte first · 68 · control · length · data, each byte plus
0x33 · checksum · 16. The checksum is the sum from the first 68 to the last byte of data, modulo 256 (the
standard, clause 5.2). Control codes: clause 7; identifiers and formats of values: annex A.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

START, END, WAKE, SHIFT = 0x68, 0x16, 0xFE, 0x33
READ, READ_MORE, READ_ADDRESS = 0x11, 0x12, 0x13
REPLY, REFUSED, MORE = 0x80, 0x40, 0x20
"""Bits of the control code of an answer: from the meter · refused, an error word follows · more to come."""
ANYONE = "AAAAAAAAAAAA"
"""The address that any meter takes for its own: only with one meter on the line."""
EVERYONE = "999999999999"
MAX_DATA = 200
MAX_PREAMBLE = 4
FIXED = 12
"""Bytes of a frame without data and preamble."""
ERRORS = ("other error", "no such data", "wrong password", "speed cannot be changed", "too many year zones",
          "too many day periods", "too many tariffs", "reserved")  # fmt: skip
"""Bits of the error word, from bit 0."""
_FORMAT = re.compile(r"(?:(\d+)\*)?(-?)(X+)(?:\.(X+))?")
_ADDRESS = re.compile(r"\d{12}")


class Frame(NamedTuple):
    """`address`: the twelve digits on the meter's label · `data`: as meant, without the shift by 0x33."""

    address: str
    control: int
    data: bytes = b""


def wire_address(address: str) -> bytes:
    """Six bytes, low byte first. Raises ValueError for anything but twelve digits or ANYONE."""
    if address != ANYONE and not _ADDRESS.fullmatch(address):
        raise ValueError(f"{address!r} is no meter address of twelve digits")
    return bytes.fromhex(address)[::-1]


def encode(frame: Frame, preamble: int = MAX_PREAMBLE) -> bytes:
    """The bytes on the wire.

    >>> encode(Frame("000000000001", READ, request_data(0x02010100)), 0).hex(" ")
    '68 01 00 00 00 00 00 68 11 04 33 34 34 35 b6 16'
    """
    head = bytes((START, *wire_address(frame.address), START, frame.control, len(frame.data)))
    body = head + bytes((b + SHIFT) & 0xFF for b in frame.data)
    return bytes((WAKE,)) * preamble + body + bytes((sum(body) & 0xFF, END))


def split(data: bytes) -> tuple[list[Frame], bytes, bytes]:
    """(whole frames, the beginning of one that may still be completed, bytes that belong to no frame).

    Wake-up bytes are not counted as foreign. A 68 that begins no frame is skipped, so that the stream is
    found again after junk; a frame whose checksum is wrong is junk.
    """
    frames, junk, at = [], bytearray(), 0
    while at < len(data):
        size = _size(data, at)
        if size == 0:
            junk += data[at : at + 1].strip(bytes((WAKE,)))
            at += 1
        elif at + size > len(data):
            break
        else:
            frames.append(_frame(data[at : at + size]))
            at += size
    return frames, data[at:], bytes(junk)


def _size(data: bytes, at: int) -> int:
    """Bytes of the frame that begins here, as far as can be told; 0 when none does."""
    head = data[at : at + 10]
    if head[0] != START or (len(head) > 7 and head[7] != START):
        return 0
    if len(head) < 10:
        return FIXED
    if head[9] > MAX_DATA or not all(_digits(b) or b == 0xAA for b in head[1:7]):
        return 0
    size = FIXED + head[9]
    whole = data[at : at + size]
    if len(whole) == size and (whole[-1] != END or whole[-2] != sum(whole[:-2]) & 0xFF):
        return 0
    return size


def _digits(byte: int) -> bool:
    return byte >> 4 < 10 and byte & 15 < 10


def _frame(whole: bytes) -> Frame:
    data = bytes((b - SHIFT) & 0xFF for b in whole[10:-2])
    return Frame(whole[6:0:-1].hex().upper(), whole[8], data)


def request_data(di: int, number: int | None = None) -> bytes:
    """Data of a read: the identifier, low byte first; for a further frame with its number, from 1."""
    return di.to_bytes(4, "little") + (b"" if number is None else bytes((number,)))


def error_text(word: int) -> str:
    """The error word of a refusal in words.

    >>> error_text(2)
    'error word 02: no such data'
    """
    said = [text for bit, text in enumerate(ERRORS) if word >> bit & 1]
    return f"error word {word:02X}: {', '.join(said) or 'no reason given'}"


@dataclass(frozen=True, slots=True)
class Value:
    """The form of one value: BCD, low byte first, the last `decimals` of `digits` behind the point.

    signed: the top bit of the first digit is the sign (powers, currents, power factors).
    """

    digits: int
    decimals: int
    signed: bool

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return self.digits // 2

    def text(self, data: bytes) -> str:
        """The number as text; what holds no decimal digits is shown as `0x…`, which is no number.

        >>> Value(4, 1, False).text(bytes.fromhex("05 23"))
        '230.5'
        """
        raw = data[::-1]
        negative = self.signed and bool(raw[0] & 0x80)
        if negative:
            raw = bytes((raw[0] & 0x7F,)) + raw[1:]
        digits = raw.hex()
        if not digits.isdecimal():
            return f"0x{data[::-1].hex().upper()}"
        whole = self.digits - self.decimals
        point = "." if self.decimals else ""
        return ("-" if negative else "") + digits[:whole] + point + digits[whole:]

    def data(self, number: float) -> bytes:
        """The bytes that mean the number. Raises ValueError when it does not fit."""
        digits = f"{abs(round(number * 10**self.decimals)):0{self.digits}d}"
        top = "79"[not self.signed]
        if len(digits) > self.digits or digits[0] > top or (number < 0 and not self.signed):
            raise ValueError(f"{number} does not fit into {self.digits} digits")
        raw = bytearray.fromhex(digits)
        if number < 0:
            raw[0] |= 0x80
        return bytes(raw[::-1])


@dataclass(frozen=True, slots=True)
class Item:
    """What a profile's `sentence` says: a data identifier and the values of its answer.

    `02010100 XXX.X` is one voltage, `0201FF00 3*XXX.X` the block of three, `02030000 -XX.XXXX` a power that
    may be negative. Each X is a digit; a value has an even number of them. Several values of different form
    stand behind one another: `01010000 XX.XXXX XXXXXXXXXX` is a demand and its time.
    """

    di: int
    values: tuple[Value, ...]

    @property
    def size(self) -> int:
        """Bytes of the answer behind the identifier."""
        return sum(v.size for v in self.values)

    def fields(self, data: bytes) -> tuple[str, ...]:
        """The values' texts. Raises ValueError when there are more or fewer bytes."""
        if len(data) != self.size:
            raise ValueError(f"{self.di:08X} came with {len(data)} bytes instead of {self.size}")
        out, at = [], 0
        for value in self.values:
            out.append(value.text(data[at : at + value.size]))
            at += value.size
        return tuple(out)

    def data(self, numbers: Sequence[float]) -> bytes:
        """The bytes that a meter with these values answers. Raises ValueError when one does not fit."""
        return b"".join(v.data(n) for v, n in zip(self.values, numbers, strict=True))


@lru_cache(1024)
def parse_item(sentence: str) -> Item:
    """Read a profile's `sentence`. Raises ValueError that says how it is written."""
    di, *formats = sentence.split() or [""]
    if not re.fullmatch(r"[0-9A-Fa-f]{8}", di) or not formats:
        raise ValueError(f"{sentence!r}: write an identifier of eight hex digits and a form: 02010100 XXX.X")
    return Item(int(di, 16), tuple(value for text in formats for value in _values(text)))


def _values(text: str) -> list[Value]:
    m = _FORMAT.fullmatch(text)
    if not m:
        raise ValueError(f"{text!r} is no form of a value; write for example XXX.X, -XX.XXXX or 3*XXX.X")
    digits, decimals = len(m[3]) + len(m[4] or ""), len(m[4] or "")
    if digits % 2:
        raise ValueError(f"{text!r} has {digits} digits; a value has an even number: two digits are a byte")
    return [Value(digits, decimals, bool(m[2]))] * int(m[1] or 1)
