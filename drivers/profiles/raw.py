"""The raw types: how many registers, and how the bits are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

RawType = Literal[
    "bit", "u8h", "u8l", "i8h", "i8l", "i16", "u16", "i32", "u32", "i48", "u48", "i64", "u64",
    "f16", "f32", "f64", "bcd16", "bcd32", "bcd48", "bcd64", "m10k32", "m10k48", "m10k64", "im10k32",
    "enum", "flags", "flags32", "string", "alarm4",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Raw:
    """words: registers (0 = `length` says) · form: how the joined bits become a number · mask: its bits."""

    words: int
    form: Literal["unsigned", "signed", "float", "bcd", "m10k", "im10k", "text", "alarm4"]
    mask: int = 0


TYPES: dict[str, Raw] = {
    "bit": Raw(1, "unsigned"),
    "u8h": Raw(1, "unsigned", 0xFF00),
    "u8l": Raw(1, "unsigned", 0x00FF),
    "i8h": Raw(1, "signed", 0xFF00),
    "i8l": Raw(1, "signed", 0x00FF),
    "i16": Raw(1, "signed"),
    "u16": Raw(1, "unsigned"),
    "i32": Raw(2, "signed"),
    "u32": Raw(2, "unsigned"),
    "i48": Raw(3, "signed"),
    "u48": Raw(3, "unsigned"),
    "i64": Raw(4, "signed"),
    "u64": Raw(4, "unsigned"),
    "f16": Raw(1, "float"),
    "f32": Raw(2, "float"),
    "f64": Raw(4, "float"),
    # Packed decimal digits, four bits each; another digit than 0 to 9 is no value.
    "bcd16": Raw(1, "bcd"),
    "bcd32": Raw(2, "bcd"),
    "bcd48": Raw(3, "bcd"),
    "bcd64": Raw(4, "bcd"),
    # Modulo 10,000: each register is a digit of base 10,000. `im10k32`: each with the sign of the value.
    "m10k32": Raw(2, "m10k"),
    "m10k48": Raw(3, "m10k"),
    "m10k64": Raw(4, "m10k"),
    "im10k32": Raw(2, "im10k"),
    "enum": Raw(1, "unsigned"),
    "flags": Raw(1, "unsigned"),
    "flags32": Raw(2, "unsigned"),
    "string": Raw(0, "text"),
    # Deep Sea GenComm alarm tables: four 4-bit conditions a register, 2 warning, 3 shutdown, 4 trip.
    "alarm4": Raw(0, "alarm4"),
}
assert set(TYPES) == set(get_args(RawType))

FLOATS = {"f16": "e", "f32": "f", "f64": "d"}
"""Letters of `struct` for the floating types."""
FLAGS = ("flags", "flags32")
BYTES = ("u8h", "u8l", "i8h", "i8l")
BASE = 10_000
"""Base of the m10k types."""
EXACT = 2**53
"""Whole numbers from here on are not all exact in a float64."""

ALARM4_ACTIVE = (2, 3, 4)


def parse_order(order: str, words: int) -> tuple[tuple[int, ...], bool]:
    """Wire positions of the words, most significant first, and whether the bytes of a word are swapped.

    >>> parse_order("CDAB", 2)
    ((1, 0), False)
    >>> parse_order("BADC", 2)
    ((0, 1), True)

    Raises ValueError for letters that are not an order of 2 × `words` bytes.
    """
    pairs = [order[n : n + 2] for n in range(0, len(order), 2)]
    plain = [chr(65 + 2 * n) + chr(66 + 2 * n) for n in range(words)]
    swapped = [pair[::-1] for pair in plain]
    if sorted(pairs) == plain:
        return tuple(pairs.index(pair) for pair in plain), False
    if sorted(pairs) == sorted(swapped):
        return tuple(pairs.index(pair) for pair in swapped), True
    raise ValueError(f"order {order!r} is not an order of {2 * words} bytes, e.g. {''.join(plain)}")


def field_bits(mask: int) -> tuple[int, int]:
    """(shift, width in bits) of a mask; the bits in between need not all be set."""
    shift = (mask & -mask).bit_length() - 1
    return shift, mask.bit_length() - shift
