"""Short messages as protocol data units: UCS-2, in several parts where they are long.

Source: 3GPP TS 23.040 clauses 9.1.2.5 (address), 9.2.2.2 (SMS-SUBMIT), 9.2.3.24.1 (concatenation);
TS 23.038 clause 4 (data coding scheme 08: UCS-2).
"""

from __future__ import annotations

import hashlib
import re

SINGLE, PART = 70, 67
"""UTF-16 units in a message that stands alone, and in one part of several (6 octets of header)."""
MOST_PARTS = 255
VALID_1_H = 0x0B
"""Validity period, relative: (11 + 1) × 5 minutes. An alarm that comes tomorrow is none."""


def parts(text: str) -> list[str]:
    """The text in as many parts as it needs; a character outside the first plane is never split."""
    if _units(text) <= SINGLE:
        return [text]
    out, part, room = [], "", PART
    for character in text:
        units = _units(character)
        if units > room:
            out.append(part)
            part, room = "", PART
        part += character
        room -= units
    return [*out, part]


def submit(number: str, text: str, key: str) -> list[tuple[int, str]]:
    """For each part (length for AT+CMGS, hex digits). The same key gives the same reference number.

    Raises ValueError for what is no number, and for a text of more than 255 parts.
    """
    pieces = parts(text)
    if len(pieces) > MOST_PARTS:
        raise ValueError(f"the text needs {len(pieces)} parts")
    reference = hashlib.sha256(key.encode()).digest()[0]
    out = []
    for n, piece in enumerate(pieces, 1):
        data = piece.encode("utf-16-be")
        header = bytes((5, 0, 3, reference, len(pieces), n)) if len(pieces) > 1 else b""
        first = 0x11 | (0x40 if header else 0)  # submit, relative validity period, user data header
        tpdu = bytes((first, 0)) + address(number) + bytes((0, 8, VALID_1_H, len(header) + len(data)))
        tpdu += header + data
        out.append((len(tpdu), "00" + tpdu.hex().upper()))  # 00: the card's own service centre
    return out


def address(number: str) -> bytes:
    """Length in digits, type, digits in swapped halves. Raises ValueError."""
    plain = re.sub(r"[ \-()]", "", number)
    if not re.fullmatch(r"\+?\d{3,20}", plain):
        raise ValueError(f"{number!r} is no telephone number")
    digits = plain.removeprefix("+")
    padded = digits + "F" * (len(digits) % 2)
    swapped = "".join(padded[n + 1] + padded[n] for n in range(0, len(padded), 2))
    return bytes((len(digits), 0x91 if plain.startswith("+") else 0x81)) + bytes.fromhex(swapped)


def _units(text: str) -> int:
    return len(text.encode("utf-16-be")) // 2
