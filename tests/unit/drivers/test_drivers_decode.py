"""Decoding and encoding: every type and order, judged by pymodbus and by hand; sentinels, ranges, codes."""

from __future__ import annotations

import itertools
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client import ModbusTcpClient

from drivers.profiles.cases import quality_words
from drivers.profiles.decode import Decoder, _run
from drivers.profiles.encode import encode
from drivers.profiles.model import PointSpec, Profile
from drivers.profiles.raw import parse_order
from gateway.ports import Answer, Area, Block

NAME = {"zh": "值", "en": "value"}
CASE = {"name": "none", "holding": {0: "00 00"}, "expect": {"x": {}}}
HEAD = {"name": "t", "title": NAME, "kind": "water", "source": {"document": "test"}, "protocol": "modbus"}


def profile(*points: dict[str, Any], **head: Any) -> Profile:
    full = [{"tag": "x", "name": NAME, "area": "holding", "address": 0, **p} for p in points]
    return Profile.model_validate({**HEAD, **head, "points": full, "cases": [CASE]})


def decode(
    p: Profile, words: list[int], at: int = 0, area: Area = "holding"
) -> dict[str, tuple[float, str, Any]]:
    decoder = Decoder(p)
    out = decoder.decode(Answer(Block(1, area, at, len(words)), 0, np.array(words, np.uint16)))
    return {
        decoder.points[n].tag: (float(v), quality_words(int(q)), out.attrs.get(int(n), {}).get("text"))
        for n, v, q in zip(out.index, out.v, out.q, strict=True)
    }


def value(point: dict[str, Any], words: list[int], **head: Any) -> tuple[float, str]:
    return decode(profile(point, **head), words)["x"][:2]


T = ModbusTcpClient.DATATYPE
ORACLE = {
    "i16": T.INT16, "u16": T.UINT16, "i32": T.INT32, "u32": T.UINT32, "i64": T.INT64, "u64": T.UINT64,
    "f32": T.FLOAT32, "f64": T.FLOAT64,
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(ORACLE))
@pytest.mark.parametrize("word_order", ["big", "little"])
@given(data=st.data())
def test_types_agree_with_pymodbus(kind: str, word_order: str, data: st.DataObject) -> None:
    count = ORACLE[kind].value[1]
    words = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=count, max_size=count))
    theirs = ModbusTcpClient.convert_from_registers(words, ORACLE[kind], word_order=word_order)  # type: ignore[arg-type]
    assert isinstance(theirs, (int, float))
    v, q = value({"type": kind}, words, word_order=word_order)
    if math.isfinite(theirs):
        assert (v, q) == (float(theirs), "GOOD")
    else:
        assert math.isnan(v)
        assert q == "BAD NOT_A_NUMBER"


def orders(words: int) -> list[str]:
    """2 × n! would be more than any device has: bytes swapped or not, words swapped, double words swapped."""
    letters = [chr(65 + n) for n in range(2 * words)]
    found = set()
    for byte, word, double in itertools.product((False, True), repeat=3):
        pairs = ["".join(letters[n : n + 2]) for n in range(0, len(letters), 2)]
        pairs = [p[::-1] for p in pairs] if byte else pairs
        if word:
            pairs = [p for n in range(0, len(pairs), 2) for p in (pairs[n + 1], pairs[n])]
        found.add("".join(pairs[len(pairs) // 2 :] + pairs[: len(pairs) // 2] if double else pairs))
    return sorted(found)


def test_there_are_four_orders_of_32_and_eight_of_64_bits() -> None:
    assert orders(2) == ["ABCD", "BADC", "CDAB", "DCBA"]
    assert len(orders(4)) == 8


@pytest.mark.parametrize("order", orders(2) + orders(4))
def test_every_order_of_letters(order: str) -> None:
    kind, code, number = ("f32", ">f", -1234.5) if len(order) == 4 else ("f64", ">d", 6.02214076e23)
    plain = struct.pack(code, number)
    wire = bytes(plain["ABCDEFGH".index(letter)] for letter in order)
    words = list(struct.unpack(f">{len(wire) // 2}H", wire))
    assert value({"type": kind, "order": order}, words) == (number, "GOOD")
    assert encode(profile({"type": kind, "order": order}), {"x": number})["holding"] == dict(enumerate(words))


def test_an_order_that_tears_words_apart_is_refused() -> None:
    with pytest.raises(ValueError, match="not an order of 4 bytes"):
        parse_order("ACBD", 2)


@pytest.mark.parametrize(
    ("point", "words", "expected"),
    [
        ({"type": "bit", "bit": 15}, [0x8000], 1),
        ({"type": "bit", "bit": 0}, [0x8000], 0),
        ({"type": "u8h"}, [0xAB01], 0xAB),
        ({"type": "u8l"}, [0xAB01], 1),
        ({"type": "bcd16"}, [0x1234], 1234),
        ({"type": "bcd32"}, [0x0012, 0x3456], 123456),
        ({"type": "u16", "mask": 0x0F00}, [0xABCD], 0xB),
        ({"type": "u16", "on": [3, 4]}, [4], 1),
        ({"type": "u16", "on": [3, 4]}, [5], 0),
        ({"type": "u16", "off": [0]}, [9], 1),
        ({"type": "u16", "off": [0]}, [0], 0),
        ({"type": "flags"}, [0x8001], 0x8001),
        ({"type": "i16", "scale": 0.1, "offset": -40}, [0xFFFF], -40.1),
        ({"type": "u16", "scale": 0.1}, [2203], 220.3),
        ({"type": "u16", "scale": 10}, [22], 220),
        ({"type": "u32", "scale": "1/3600"}, [0, 5400], 1.5),
        ({"type": "alarm4", "length": 2}, [0x1111, 0x1F11], 0),
        ({"type": "alarm4", "length": 2}, [0x1111, 0x1112], 1),
        ({"type": "u16", "order": "BA"}, [0x3412], 0x1234),
    ],
)
def test_values_by_hand(point: dict[str, Any], words: list[int], expected: float) -> None:
    assert value(point, words) == (expected, "GOOD")


def test_a_decimal_scale_gives_the_decimal_number() -> None:
    """220.3, not 220.30000000000001."""
    for raw in range(0, 65536, 7):
        assert value({"type": "u16", "scale": 0.01}, [raw])[0] == float(f"{raw / 100:.2f}")


@pytest.mark.parametrize(
    ("point", "words", "quality"),
    [
        ({"type": "bcd16"}, [0x12A4], "BAD NOT_A_NUMBER"),
        ({"type": "f32"}, [0x7FC0, 0], "BAD NOT_A_NUMBER"),
        ({"type": "f32", "high": 1e9}, [0x7F80, 0], "BAD NOT_A_NUMBER"),
        ({"type": "u16", "high": 100}, [101], "BAD OUT_OF_RANGE"),
        ({"type": "i16", "low": -10}, [0xFFF5], "BAD OUT_OF_RANGE"),
        ({"type": "u16", "high": 100, "out_of_range": "DEVICE_STALE"}, [101], "BAD DEVICE_STALE"),
        ({"type": "enum", "codes": {1: NAME}}, [2], "UNCERTAIN BAD_ENUM"),
        ({"type": "i16", "sentinels": {-1: "NEVER_SEEN"}}, [0xFFFF], "BAD NEVER_SEEN"),
        ({"type": "i16", "scale": 0.1, "sentinels": {0x7FFF: "SENSOR_OPEN"}}, [0x7FFF], "BAD SENSOR_OPEN"),
        ({"type": "u16", "high": 9, "sentinels": {0xFFFF: "SENTINEL"}}, [0xFFFF], "BAD SENTINEL"),
        ({"type": "bit", "bit": 3, "sentinels": {0xFFFF: "SENTINEL"}}, [0xFFFF], "BAD SENTINEL"),
        ({"type": "f32", "sentinels": {0x7FC00000: "SENSOR_SHORT"}}, [0x7FC0, 0], "BAD SENSOR_SHORT"),
        ({"type": "u32", "sentinels": {0xFFFFFFFF: "SENTINEL"}}, [0xFFFF, 0xFFFF], "BAD SENTINEL"),
    ],
)
def test_what_is_no_value_is_never_good(point: dict[str, Any], words: list[int], quality: str) -> None:
    v, q = value(point, words)
    assert q == quality
    if quality.startswith("BAD") and "RANGE" not in quality and "STALE" not in quality:
        assert math.isnan(v)


@given(slot=st.integers(0, 59), low=st.integers(0, 5))
def test_a_sentinel_in_any_slot_of_a_long_answer(slot: int, low: int) -> None:
    words = [low] * 60
    words[slot] = 0x8000
    got = decode(PROFILE_OF_60, words)
    assert got.pop(f"x{slot}")[1] == "BAD SENTINEL"
    assert {(v, q) for v, q, _ in got.values()} == {(float(low), "GOOD")}


PROFILE_OF_60 = profile(
    *[{"tag": f"x{n}", "address": n, "type": "i16", "sentinels": {0x8000: "SENTINEL"}} for n in range(60)]
)


@given(at=st.integers(0, 90), count=st.integers(1, 40))
def test_values_are_keyed_by_the_address_that_was_asked_for(at: int, count: int) -> None:
    p = profile(*[{"tag": f"x{n}", "address": n, "type": "u16"} for n in range(100)])
    got = decode(p, [(at + n) * 3 for n in range(count)], at)
    assert {tag: v for tag, (v, _, _) in got.items()} == {
        f"x{n}": n * 3.0 for n in range(at, min(at + count, 100))
    }


def test_a_point_that_is_only_half_inside_is_not_decoded() -> None:
    p = profile({"type": "u32", "address": 4}, {"tag": "y", "type": "u16", "address": 3})
    assert set(decode(p, [1, 2], 3)) == {"y"}


def test_an_answer_with_too_few_words_is_refused() -> None:
    with pytest.raises(ValueError, match="1 words for a block of 2"):
        Decoder(profile({"type": "u16"})).decode(Answer(Block(1, "holding", 0, 2), 0, np.zeros(1, np.uint16)))


def test_texts_are_facts_and_not_numbers() -> None:
    p = profile({"type": "string", "length": 3})
    assert decode(p, [0x4142, 0x4320, 0x0000])["x"][1:] == ("GOOD", "ABC")
    swapped = profile({"type": "string", "length": 2}, byte_order="little")
    assert decode(swapped, [0x4241, 0x0043])["x"][2] == "ABC"
    words = encode(swapped, {"x": "ABC"})["holding"]
    assert words == {0: 0x4241, 1: 0x0043}
    chinese = profile({"type": "string", "length": 4, "encoding": "gb18030"})
    assert decode(chinese, list(encode(chinese, {"x": "泵房"})["holding"].values()))["x"][2] == "泵房"


def test_a_factor_from_another_register() -> None:
    p = profile({"address": 4, "type": "i16", "scale_by": {2: {16: 1, 17: 0.001}, 3: {3: 0.001, 0: 1}}})
    assert decode(p, [16, 3, 2345], 2)["x"][:2] == (2.345, "GOOD")
    assert decode(p, [17, 0, 2345], 2)["x"][:2] == (2.345, "GOOD")
    assert decode(p, [99, 0, 2345], 2)["x"][1] == "BAD BAD_ENUM"
    assert decode(p, [2345], 4) == {}


def test_one_based_addresses_are_moved_once() -> None:
    assert decode(profile({"type": "u16", "address": 33}, address_base=1), [7], 32)["x"][0] == 7


def test_encode_shows_what_a_device_would_show() -> None:
    limits = {0xFFFE: "OVER_RANGE", 0xFFFD: "UNDER_RANGE", 0xFFFF: "SENTINEL"}
    p = profile({"type": "u16", "scale": 0.1, "sentinels": limits})
    assert encode(p, {"x": 9999})["holding"] == {0: 0xFFFE}
    assert encode(p, {"x": -1})["holding"] == {0: 0xFFFD}
    assert encode(p, {"x": "SENTINEL"})["holding"] == {0: 0xFFFF}
    assert encode(profile({"type": "i16"}), {"x": 99999})["holding"] == {0: 0x7FFF}
    assert encode(profile({"type": "u16", "kind": "counter"}), {"x": 65537})["holding"] == {0: 1}
    with pytest.raises(ValueError, match="no raw value means 'SENSOR_OPEN'"):
        encode(p, {"x": "SENSOR_OPEN"})
    with pytest.raises(ValueError, match="no raw form"):
        encode(p, {"x": math.nan})
    with pytest.raises(KeyError, match="has no y"):
        encode(p, {"y": 1})


def test_bits_share_their_register() -> None:
    p = profile(
        {"tag": "a", "type": "bit", "bit": 0},
        {"tag": "b", "type": "bit", "bit": 9},
        {"tag": "w", "type": "flags"},
    )
    assert encode(p, {"b": 1})["holding"] == {0: 0x0200}
    assert encode(p, {"w": 0x8000, "a": 1, "b": 0})["holding"] == {0: 0x8001}


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"type": "bit"}, "needs `bit: 0`"),
        ({"type": "u16", "bit": 1}, "`bit` goes with"),
        ({"type": "u16", "area": "coil"}, "holds single bits"),
        ({"type": "f32", "mask": 1}, "`mask` goes with"),
        ({"type": "u16", "mask": 0x10000}, "must fit"),
        ({"type": "u16", "on": [1], "off": [0]}, "not both"),
        ({"type": "u16", "low": 2, "high": 1}, "must be below"),
        ({"type": "u16", "scale": 0}, "loses the value"),
        ({"type": "u32", "order": "AB"}, "not an order of 4"),
        ({"type": "u16", "tag": "x{n}"}, "belong together"),
        ({"type": "f64", "area": "line"}, "needs `sentence`"),
        ({"type": "u16", "sentinels": {1: "NO_SUCH"}}, "is unknown; one of"),
    ],
)
def test_a_point_that_makes_no_sense_is_refused(point: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        profile(point)


def test_point_spec_kinds_follow_from_the_type() -> None:
    kinds = {
        "bit": "digital",
        "enum": "enum",
        "flags": "enum",
        "string": "text",
        "alarm4": "digital",
        "u16": "analog",
    }
    for kind, expected in kinds.items():
        spec = {"tag": "x", "name": NAME, "area": "holding", "address": 0, "type": kind}
        spec |= {"bit": 0} if kind == "bit" else {}
        assert PointSpec.model_validate(spec).value_kind == expected


PLAIN_POINTS = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["u16", "i16"]),
            "scale": st.sampled_from([1, 0.1, 0.01, 10]),
            "offset": st.sampled_from([0, -40, 2.5]),
            "low": st.sampled_from([None, -5, 0]),
            "high": st.sampled_from([None, 100, 30000]),
            "sentinels": st.sampled_from([{}, {0x7FFF: "SENTINEL"}, {-1: "SENTINEL"}]),
        }
    ),
    min_size=1,
    max_size=6,
)


@given(PLAIN_POINTS, st.data())
def test_plain_words_take_the_short_way_to_the_same_values(
    points: list[dict[str, Any]], data: st.DataObject
) -> None:
    decoder = Decoder(profile(*[{**p, "tag": f"x{n}", "address": n} for n, p in enumerate(points)]))
    edges = st.sampled_from([0, 1, 0x7FFF, 0x8000, 0xFFFF])
    drawn = data.draw(st.lists(edges | st.integers(0, 0xFFFF), min_size=len(points), max_size=len(points)))
    words, block = np.array(drawn, np.uint16), Block(1, "holding", 0, len(points))
    window = decoder._window(block)
    assert window.word is not None
    short, long = decoder.decode(Answer(block, 0, words)), _run(window, words, block)
    np.testing.assert_array_equal(short.index, long.index)
    np.testing.assert_array_equal(short.v, long.v)
    np.testing.assert_array_equal(short.q, long.q)
