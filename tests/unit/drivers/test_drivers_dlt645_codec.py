"""DL/T 645-2007 on paper: frames against bytes worked out by hand and public captures, values, streams."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.dlt645_codec import (
    ANYONE,
    MAX_DATA,
    READ,
    READ_ADDRESS,
    READ_MORE,
    Frame,
    Value,
    encode,
    error_text,
    parse_item,
    request_data,
    split,
)
from drivers.profiles.bind import bind
from drivers.profiles.loader import load_profile
from drivers.profiles.textline import parse
from gateway.ports import Answer, Block

ONE = "000000000001"
UA_ASKED = "FE FE FE FE 68 01 00 00 00 00 00 68 11 04 33 34 34 35 B6 16"
UA_SAID = "68 01 00 00 00 00 00 68 91 06 33 34 34 35 38 56 C6 16"
KWH_ASKED = "68 01 00 00 00 00 00 68 11 04 33 33 34 33 B3 16"
KWH_SAID = "68 01 00 00 00 00 00 68 91 08 33 33 34 33 89 67 45 33 9F 16"
FOX_1 = "68 01 00 00 00 00 00 68 91 09 33 33 34 33 6A 59 33 33 34 95 16"
FOX_2 = "68 01 00 00 00 00 00 68 91 09 33 33 34 33 45 33 33 33 34 4A 16"


def one(text: str) -> Frame:
    frames, rest, junk = split(bytes.fromhex(text))
    assert (rest, junk) == (b"", b"")
    (frame,) = frames
    return frame


def test_requests_are_byte_for_byte_those_worked_out_by_hand() -> None:
    assert encode(Frame(ONE, READ, request_data(0x02010100))) == bytes.fromhex(UA_ASKED)
    assert encode(Frame(ONE, READ, request_data(0x00010000)), 0) == bytes.fromhex(KWH_ASKED)
    asked = "FE FE FE FE 68 AA AA AA AA AA AA 68 13 00 DF 16"
    assert encode(Frame(ANYONE, READ_ADDRESS)) == bytes.fromhex(asked)
    # What another implementation (python-dlt645) sends to meter 123456781012.
    other = "68 12 10 78 56 34 12 68 11 04 33 34 34 35 EB 16"
    assert encode(Frame("123456781012", READ, request_data(0x02010100)), 0) == bytes.fromhex(other)


def test_answers_are_230_volts_and_a_half_and_1234_kilowatt_hours() -> None:
    ua = one(UA_SAID)
    assert ua == Frame(ONE, 0x91, bytes.fromhex("00 01 01 02 05 23"))
    assert parse_item("02010100 XXX.X").fields(ua.data[4:]) == ("230.5",)
    kwh = one("FE FE " + KWH_SAID)
    assert parse_item("00010000 XXXXXX.XX").fields(kwh.data[4:]) == ("001234.56",)


@pytest.mark.parametrize("text", [FOX_1, FOX_2])
def test_public_captures_have_the_checksum_that_we_compute(text: str) -> None:
    frame = one(text)
    assert frame.address == ONE
    assert encode(frame, 0) == bytes.fromhex(text)


def test_a_further_frame_is_asked_for_by_its_number() -> None:
    assert request_data(0x0201FF00, 1) == bytes.fromhex("00 FF 01 02 01")
    frame = encode(Frame(ONE, READ_MORE, request_data(0x0201FF00, 1)), 0)
    assert frame.hex(" ") == "68 01 00 00 00 00 00 68 12 05 33 32 34 35 34 ea 16"


@pytest.mark.parametrize(
    ("sentence", "data", "fields"),
    [
        ("0201FF00 3*XXX.X", "05 23 10 23 FF FF", ("230.5", "231.0", "0xFFFF")),
        ("02030000 -XX.XXXX", "00 50 81", ("-01.5000",)),
        ("02030000 XX.XXXX", "00 50 81", ("81.5000",)),
        ("02020100 -XXX.XXX", "50 12 00", ("001.250",)),
        ("02060000 -X.XXX", "60 89", ("-0.960",)),
        ("02800002 XX.XX", "01 50", ("50.01",)),
        ("04000401 XXXXXXXXXXXX", "01 00 00 00 00 00", ("000000000001",)),
        ("01010000 XX.XXXX XXXXXXXXXX", "34 12 00 30 14 22 11 26", ("00.1234", "2611221430")),
        # Digits that look like a floating-point number are none.
        ("02010100 XXX.X", "05 1E", ("0x1E05",)),
    ],
)
def test_values_by_hand(sentence: str, data: str, fields: tuple[str, ...]) -> None:
    assert parse_item(sentence).fields(bytes.fromhex(data)) == fields


@pytest.mark.parametrize("size", [0, 3, 5, 8])
def test_an_answer_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"0201FF00 came with {size} bytes instead of 6"):
        parse_item("0201FF00 3*XXX.X").fields(bytes(size))


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("", "write an identifier"),
        ("WL", "write an identifier"),
        ("02010100", "and a form"),
        ("2010100 XXX.X", "eight hex digits"),
        ("02010100 XX.X", "has 3 digits"),
        ("02010100 YYY.Y", "is no form of a value"),
        ("02010100 3xXXX.X", "is no form of a value"),
    ],
)
def test_a_wrong_sentence_says_how_it_is_written(sentence: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_item(sentence)


def test_the_error_word_is_told_in_words() -> None:
    assert error_text(0x02) == "error word 02: no such data"
    assert error_text(0x05) == "error word 05: other error, wrong password"
    assert error_text(0x00) == "error word 00: no reason given"


@pytest.mark.parametrize("name", ["dlt645_three_phase", "dlt645_single_phase"])
def test_the_cases_of_the_profiles_are_what_a_meter_sends(name: str) -> None:
    """From the frame on the wire to the value: BCD bytes by hand, put into a frame here."""
    wire = {
        "0201FF00": "05 23 10 23 FF FF", "0202FF00": "50 12 00 00 12 80 00 00 00", "02030000": "00 50 81",
        "02060000": "60 09", "02800002": "01 50", "00010000": "56 34 12 00", "00020000": "07 00 00 00",
        "02010100": "05 23", "02020100": "50 12 80",
    }  # fmt: skip
    if name == "dlt645_single_phase":
        wire["02030000"] = "31 74 00"
    profile = load_profile(name)
    for case in profile.cases:
        sentence = parse(case.line.encode())[0]
        head = bytes.fromhex(sentence[:8])[::-1]
        frame = encode(Frame(ONE, 0x91, head + bytes.fromhex(wire[sentence[:8]])))
        fields = parse_item(sentence).fields(split(frame)[0][0].data[4:])
        assert (sentence, *fields) == parse(case.line.encode())
        out = bind(profile, "m").decode(
            Answer(Block(1, "line", sentence=sentence), 0, fields=(sentence, *fields))
        )
        tags = [profile.expanded[n].tag for n in out.index]
        expected = {t: e.value for t, e in case.expect.items() if e.value is not None}
        assert {t: v for t, v in zip(tags, out.v, strict=True) if math.isfinite(v)} == expected


# ── whatever is sent and whatever comes between ───────────────────────────────────────────────────────

FRAMES = st.builds(
    Frame,
    st.one_of(st.just(ANYONE), st.text("0123456789", min_size=12, max_size=12)),
    st.integers(0, 255),
    st.binary(max_size=MAX_DATA),
)
JUNK = st.binary(max_size=6).map(lambda b: b.replace(b"\x68", b"\x00"))


@given(FRAMES, st.integers(0, 4))
def test_every_frame_comes_back(frame: Frame, preamble: int) -> None:
    assert split(encode(frame, preamble)) == ([frame], b"", b"")


@given(st.lists(st.tuples(JUNK, FRAMES), max_size=4), JUNK, st.lists(st.integers(0, 300), max_size=4))
def test_frames_are_found_between_junk_however_the_stream_is_cut(
    parts: list[tuple[bytes, Frame]], tail: bytes, cuts: list[int]
) -> None:
    stream = b"".join(junk + encode(frame, 1) for junk, frame in parts) + tail
    found: list[Frame] = []
    rest, junk = b"", b""
    at = 0
    for end in [*sorted(c for c in cuts if c < len(stream)), len(stream)]:
        frames, rest, strange = split(rest + stream[at:end])
        found, junk, at = found + frames, junk + strange, end
    assert found == [frame for _, frame in parts]
    assert rest == b""
    assert junk == b"".join([*(j for j, _ in parts), tail]).replace(b"\xfe", b"")


@given(FRAMES, st.data())
def test_no_single_changed_byte_gives_another_frame(frame: Frame, data: st.DataObject) -> None:
    whole = bytearray(encode(frame, 0))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    assert frame not in split(bytes(whole))[0]
    assert [f for f in split(bytes(whole))[0] if encode(f, 0) == bytes(whole)] == []


@given(st.binary(max_size=300))
def test_no_bytes_are_too_strange(data: bytes) -> None:
    frames, rest, _ = split(data)
    assert all(encode(f, 0) in data for f in frames)
    assert data.endswith(rest)


@given(st.integers(1, 6), st.data())
def test_every_number_that_fits_comes_back_exactly(size: int, data: st.DataObject) -> None:
    decimals = data.draw(st.integers(0, min(2 * size - 1, 4)))
    signed = data.draw(st.booleans())
    value = Value(2 * size, decimals, signed)
    top = 8 * 10 ** (2 * size - 1) - 1 if signed else 10 ** (2 * size) - 1
    number = data.draw(st.integers(-top if signed else 0, top)) / 10**decimals
    assert float(value.text(value.data(number))) == number


@pytest.mark.parametrize(
    ("form", "number"), [("XXX.X", 1000), ("XXX.X", -1), ("-XX.XXXX", 80), ("-X.XXX", -8)]
)
def test_a_number_that_does_not_fit_is_not_sent(form: str, number: float) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        parse_item(f"02010100 {form}").data([number])
