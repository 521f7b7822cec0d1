"""Every raw type by bytes computed by hand, every order, and the way back; pymodbus judges where it can."""

from __future__ import annotations

import itertools
import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client import ModbusTcpClient

from drivers.profiles.encode import encode
from drivers.profiles.lint import lint
from drivers.profiles.model import flag_names
from drivers.profiles.raw import BYTES, FLOATS, TYPES
from gateway.config.yamlmarks import Marks
from tests.unit.drivers.test_drivers_decode import NAME, decode, profile, value

VECTORS: list[tuple[str, dict[str, Any], list[int], float]] = [
    ("bit", {"bit": 3}, [0x0008], 1),
    ("u8h", {}, [0x80FF], 128),
    ("u8l", {}, [0x80FF], 255),
    ("i8h", {}, [0x80FF], -128),
    ("i8l", {}, [0x80FF], -1),
    ("i16", {}, [0x8000], -32768),
    ("u16", {}, [0x8000], 32768),
    ("i32", {}, [0xFFFF, 0xFFFE], -2),
    ("u32", {}, [0xFFFF, 0xFFFE], 4294967294),
    ("i48", {}, [0xFFFF, 0xFFFF, 0xFFFE], -2),
    ("u48", {}, [0x0001, 0x0002, 0x0003], 4295098371),
    ("i64", {}, [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE], -2),
    ("u64", {}, [0x0000, 0x0001, 0x0000, 0x0002], 4294967298),
    ("f16", {}, [0x3C00], 1.0),
    ("f16", {}, [0xC000], -2.0),
    ("f16", {}, [0x7BFF], 65504.0),
    ("f16", {}, [0x0001], 2.0**-24),
    ("f32", {}, [0x4366, 0x3333], 230.1999969482422),
    ("f64", {}, [0x3FF8, 0, 0, 0], 1.5),
    ("bcd16", {}, [0x1234], 1234),
    ("bcd32", {}, [0x0012, 0x3456], 123456),
    ("bcd48", {}, [0x1234, 0x5678, 0x9012], 123456789012),
    ("bcd64", {}, [0x1234, 0x5678, 0x9012, 0x3456], 1234567890123456),
    ("m10k32", {}, [123, 4567], 1234567),
    ("m10k48", {}, [1, 2, 3], 100020003),
    ("m10k64", {}, [1, 2, 3, 4], 1000200030004),
    ("im10k32", {}, [123, 4567], 1234567),
    ("im10k32", {}, [0xFF85, 0xEE29], -1234567),
    ("enum", {}, [7], 7),
    ("flags", {}, [0x8001], 0x8001),
    ("flags32", {}, [0x8000, 0x0001], 0x80000001),
    ("alarm4", {"length": 1}, [0x1211], 1),
    # fixed point: a whole number and a power of two
    ("i32", {"scale": "1/65536"}, [0x0001, 0x8000], 1.5),
    ("i16", {"scale": "1/256"}, [0xFF80], -0.5),
    ("m10k32", {"scale": 0.01}, [123, 4567], 12345.67),
    ("i8l", {"scale": 0.5, "offset": -40}, [0x00FE], -41),
    ("bcd48", {"scale": 0.01}, [0x0012, 0x3456, 0x7890], 12345678.90),
]


@pytest.mark.parametrize(("kind", "more", "words", "expected"), VECTORS)
def test_every_type_by_hand(kind: str, more: dict[str, Any], words: list[int], expected: float) -> None:
    assert value({"type": kind, **more}, words) == (expected, "GOOD")


def test_no_type_is_left_out_of_the_table() -> None:
    assert {kind for kind, *_ in VECTORS} == set(TYPES) - {"string"}


@pytest.mark.parametrize(
    ("point", "words", "quality"),
    [
        ({"type": "bcd48"}, [0x1234, 0x567A, 0x9012], "BAD NOT_A_NUMBER"),
        ({"type": "bcd64"}, [0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF], "BAD NOT_A_NUMBER"),
        ({"type": "m10k32"}, [0, 10_000], "BAD NOT_A_NUMBER"),
        ({"type": "m10k32"}, [0xFFFF, 0xFFFF], "BAD NOT_A_NUMBER"),
        ({"type": "im10k32"}, [0, 0x8000], "BAD NOT_A_NUMBER"),
        ({"type": "im10k32"}, [1, 0xFFFF], "BAD NOT_A_NUMBER"),
        ({"type": "f16"}, [0x7C00], "BAD NOT_A_NUMBER"),
        ({"type": "f16"}, [0x7E00], "BAD NOT_A_NUMBER"),
        ({"type": "u64", "kind": "counter"}, [0x0020, 0, 0, 0], "BAD OVER_RANGE"),
        ({"type": "i8h", "sentinels": {-128: "SENTINEL"}}, [0x8000], "BAD SENTINEL"),
        ({"type": "u8l", "sentinels": {0xFF: "SENSOR_OPEN"}}, [0x12FF], "BAD SENSOR_OPEN"),
        ({"type": "m10k32", "sentinels": {0xFFFFFFFF: "SENTINEL"}}, [0xFFFF, 0xFFFF], "BAD SENTINEL"),
        ({"type": "i48", "sentinels": {-(2**47): "SENTINEL"}}, [0x8000, 0, 0], "BAD SENTINEL"),
        ({"type": "f16", "sentinels": {0x7E00: "SENSOR_OPEN"}}, [0x7E00], "BAD SENSOR_OPEN"),
        ({"type": "u8h", "kind": "enum", "codes": {1: NAME}}, [0x0200], "UNCERTAIN BAD_ENUM"),
    ],
)
def test_what_no_type_can_hold_is_never_good(point: dict[str, Any], words: list[int], quality: str) -> None:
    v, q = value(point, words)
    assert q == quality
    assert math.isnan(v) == quality.startswith("BAD")


def test_the_sentinel_of_a_byte_is_a_byte() -> None:
    """0xFF in the other half of the register means nothing."""
    p = profile(
        {"tag": "h", "type": "u8h", "sentinels": {0xFF: "SENTINEL"}},
        {"tag": "l", "type": "u8l", "sentinels": {0xFF: "SENTINEL"}},
    )
    got = decode(p, [0x00FF])
    assert got["h"][:2] == (0, "GOOD")
    assert got["l"][1] == "BAD SENTINEL"
    assert encode(p, {"l": "SENTINEL", "h": 7})["holding"] == {0: 0x07FF}
    assert encode(p, {"h": 255})["holding"] == {0: 0xFE00}  # shown one below its sentinel


@pytest.mark.parametrize("number", [0, 1, 2**52 + 1, 2**53 - 1])
def test_counters_are_exact_whole_numbers(number: int) -> None:
    words = list(struct.unpack(">4H", number.to_bytes(8, "big")))
    assert value({"type": "u64", "kind": "counter"}, words) == (number, "GOOD")


def word_orders(words: int) -> list[str]:
    """Every order of whole registers, with their bytes swapped or not."""
    pairs = [chr(65 + 2 * n) + chr(66 + 2 * n) for n in range(words)]
    plain = ["".join(order) for order in itertools.permutations(pairs)]
    return plain + ["".join(pair[::-1] for pair in order) for order in itertools.permutations(pairs)]


@pytest.mark.parametrize(("kind", "words", "count"), [("i32", 2, 4), ("u48", 3, 12), ("i64", 4, 48)])
def test_all_permutations_of_registers_and_bytes(kind: str, words: int, count: int) -> None:
    orders = word_orders(words)
    assert len(set(orders)) == count
    plain = bytes((0, *range(0x12, 0x11 + 2 * words)))
    number = int.from_bytes(plain, "big")
    for order in orders:
        wire = bytes(plain[ord(letter) - 65] for letter in order)
        registers = list(struct.unpack(f">{words}H", wire))
        assert value({"type": kind, "order": order}, registers) == (number, "GOOD")
        assert encode(profile({"type": kind, "order": order}), {"x": number})["holding"] == dict(
            enumerate(registers)
        )


NUMERIC = sorted(set(TYPES) - {"string", "alarm4", "bit", "enum", "flags", "flags32"})


@given(kind=st.sampled_from(NUMERIC), data=st.data())
def test_what_is_encoded_is_decoded(kind: str, data: st.DataObject) -> None:
    raw = TYPES[kind]
    order = data.draw(st.sampled_from(word_orders(raw.words)))
    number: float
    if kind in FLOATS:
        width: Any = {"f16": 16, "f32": 32, "f64": 64}[kind]
        number = data.draw(st.floats(width=width, allow_nan=False, allow_infinity=False))
    else:
        number = data.draw(st.integers(*_room(kind)))
    p = profile({"type": kind, "order": order})
    registers = encode(p, {"x": number})["holding"]
    assert decode(p, [registers[n] for n in range(raw.words)])["x"][:2] == (number, "GOOD")


def _room(kind: str) -> tuple[int, int]:
    form, words = TYPES[kind].form, TYPES[kind].words
    bits = 8 if kind in BYTES else 16 * words
    low, high = {
        "unsigned": (0, 2**bits - 1),
        "signed": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1),
        "bcd": (0, 10 ** (4 * words) - 1),
        "m10k": (0, 10_000**words - 1),
        "im10k": (-(10_000**words) + 1, 10_000**words - 1),
    }[form]
    return max(low, -(2**53)), min(high, 2**53)


@pytest.mark.parametrize(
    ("kind", "shown", "expected"),
    [("bcd16", 10_000, 9999), ("m10k32", 1e9, 99_999_999), ("im10k32", -1e9, -99_999_999), ("i8l", 999, 127)],
)
def test_a_simulated_device_ends_at_its_scale(kind: str, shown: float, expected: float) -> None:
    p = profile({"type": kind})
    registers = encode(p, {"x": shown})["holding"]
    assert decode(p, list(registers.values()))["x"][:2] == (expected, "GOOD")
    counter = profile({"type": kind, "kind": "counter"})
    if kind != "im10k32":
        rolled = encode(counter, {"x": expected + 1})["holding"]
        assert decode(counter, list(rolled.values()))["x"][0] == (0 if kind != "i8l" else -0.0)


def test_texts_by_hand_and_by_pymodbus() -> None:
    words = ModbusTcpClient.convert_to_registers("pump 7", ModbusTcpClient.DATATYPE.STRING)
    assert decode(profile({"type": "string", "length": 3}), words)["x"][1:] == ("GOOD", "pump 7")
    low = profile({"type": "string", "length": 3, "chars": "low"})
    assert decode(low, [0x0041, 0x0042, 0x0000])["x"][2] == "AB"
    assert encode(low, {"x": "AB"})["holding"] == {0: 0x0041, 1: 0x0042, 2: 0}
    high = profile({"type": "string", "length": 2, "chars": "high"})
    assert decode(high, [0x4100, 0x4299])["x"][2] == "AB"
    assert encode(high, {"x": "AB"})["holding"] == {0: 0x4100, 1: 0x4200}
    swapped = profile({"type": "string", "length": 2, "chars": "low", "order": "BA"})
    assert decode(swapped, [0x4100, 0x4200])["x"][2] == "AB"


def test_a_text_ends_at_its_first_nul_and_broken_bytes_are_no_text() -> None:
    plain = profile({"type": "string", "length": 3})
    assert decode(plain, [0x4142, 0x0058, 0x5858])["x"][1:] == ("GOOD", "AB")
    assert decode(plain, [0x41FF, 0x4242, 0])["x"][1:] == ("BAD NOT_A_NUMBER", None)


FAULTS = {0: {"zh": "过载", "en": "overload"}, 15: NAME, 17: {"zh": "缺相", "en": "phase lost"}}


@pytest.mark.parametrize(("order", "registers"), [("ABCD", [0x0002, 0x0001]), ("CDAB", [0x0001, 0x0002])])
def test_a_word_of_flags_becomes_named_points(order: str, registers: list[int]) -> None:
    p = profile(
        {
            "type": "flags32",
            "order": order,
            "codes": FAULTS,
            "split": True,
            "sentinels": {0xFFFFFFFF: "SENTINEL"},
        }
    )
    assert lint(p, Marks()) == []
    got = decode(p, registers)
    assert {tag: v for tag, (v, _, _) in got.items()} == {"x": 0x20001, "x.b0": 1, "x.b15": 0, "x.b17": 1}
    assert [name["en"] for name in flag_names(p.point("x"), 0x20001)] == ["overload", "phase lost"]
    assert [name["zh"] for name in flag_names(p.point("x"), 4)] == ["第 2 位"]
    assert p.point("x.b17").name.en == "phase lost"
    assert p.point("x.b17").value_kind == "digital"
    assert {q for _, q, _ in decode(p, [0xFFFF, 0xFFFF]).values()} == {"BAD SENTINEL"}


def test_a_document_that_counts_bits_from_the_most_significant() -> None:
    p = profile(
        {"tag": "a", "type": "bit", "bit": 0},
        {"tag": "f", "type": "flags", "codes": {0: NAME, 15: NAME}, "split": True},
        bit_order="msb",
    )
    got = decode(p, [0x8000])
    assert got["a"][0] == 1
    assert got["f"][0] == 0x8000
    assert (got["f.b0"][0], got["f.b15"][0]) == (1, 0)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"type": "u16", "split": True}, "`split` goes with flags"),
        ({"type": "flags", "split": True}, "whose bits have names"),
        ({"type": "flags", "codes": {16: NAME}}, "names the bits 0 to 15"),
        ({"type": "u16", "chars": "low"}, "`chars` goes with"),
        ({"type": "m10k32", "mask": 1}, "`mask` goes with"),
    ],
)
def test_options_that_do_not_go_together_are_refused(point: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        profile(point)


def test_one_field_per_request_makes_every_read_stand_alone() -> None:
    points = [{"tag": f"x{n}", "address": n, "type": "u16"} for n in range(3)]
    assert not any(p.span.alone for p in profile(*points).expanded)
    assert all(p.span.alone for p in profile(*points, one_field_per_request=True).expanded)
