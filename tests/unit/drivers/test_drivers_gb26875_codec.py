"""GB/T 26875.3: the worked frames byte for byte, every type there and back, frames found in any stream."""

# ruff: noqa: DTZ001 - the wire has no time zone

from __future__ import annotations

import random
from datetime import datetime
from typing import Any, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.gb26875_frame import (
    MAX_DATA,
    BadFrame,
    Command,
    Frame,
    Splitter,
    decode,
    pack_time,
    unpack_time,
)
from drivers.gb26875_objects import (
    ANALOG,
    TYPES,
    Object,
    PartAnalog,
    PartState,
    PostCheck,
    Raw,
    analog_value,
    text_bytes,
)
from drivers.gb26875_objects import decode as decode_data
from drivers.gb26875_objects import encode as encode_data

PUBLIC = bytes.fromhex(
    "40 40 00 00 01 01 18 0D 11 16 0A 14 00 00 00 00 00 00 06 05 04 03 02 01 30 00 02 02 01 01 03 00 D9 00 06"
    "00 02 00 A3 C1 C7 F8 A3 B1 B2 E3 DF C8 B2 B8 D7 DF C0 C8" + "00" * 15 + "30 12 13 01 08 14 68 23 23"
)
"""Frame of the public codec shootingfans/codec_gb26875_3_2011: a detector in fire."""
ANALOG_FRAME = bytes.fromhex(
    "40 40 01 00 01 01 1E 0F 09 16 0B 1A 05 04 03 02 01 00 0B 0A 09 08 07 06 12 00 02 03 01 0B 01 5B 01 00 00"
    "00 05 94 11 1E 0F 09 16 0B 1A 51 23 23"
)
CONFIRMED = bytes.fromhex(
    "40 40 01 00 01 01 1E 0F 09 16 0B 1A 0B 0A 09 08 07 06 05 04 03 02 01 00 00 00 03 B9 23 23"
)
POST_CHECK = bytes.fromhex(
    "40 40 07 00 01 01 1E 0F 09 16 0B 1A 0B 0A 09 08 07 06 05 04 03 02 01 00 03 00 01 5B 01 0A 26 23 23"
)
NOON = datetime(2026, 11, 22, 9, 15, 30)
SIZES = {
    1: 10, 2: 46, 3: 16, 4: 10, 5: 4, 7: 38, 8: 8, 21: 7, 24: 8, 25: 2, 28: 6, 61: 2, 62: 6, 63: 6, 64: 9,
    65: 2, 66: 2, 67: 6, 68: 2, 81: 1, 84: 7, 85: 1, 86: 1, 88: 1, 89: 1, 90: 6, 91: 1,
}  # fmt: skip


def test_the_public_frame() -> None:
    frame = decode(PUBLIC)
    assert (frame.serial, frame.version, frame.source, frame.destination) == (0, (1, 1), 0, 0x010203040506)
    assert frame.at == datetime(2020, 10, 22, 17, 13, 24)
    assert frame.command == Command.SEND
    assert decode_data(frame.data) == (
        2,
        [PartState(1, 3, 0, 0x000600D9, 0x0002, "Ａ区１层呷哺走廊", datetime(2020, 8, 1, 19, 18, 48))],
    )
    assert frame.encode() == PUBLIC
    assert encode_data(*decode_data(frame.data)) == frame.data


def test_an_analog_value_and_its_confirmation() -> None:
    frame = decode(ANALOG_FRAME)
    pressure = PartAnalog(system=11, address=1, part_type=91, part=1, kind=5, raw=4500, at=NOON)
    assert decode_data(frame.data) == (3, [pressure])
    assert (analog_value(pressure), ANALOG[5][1]) == (450.0, "kPa")
    assert frame.reply(Command.CONFIRM).encode() == CONFIRMED


def test_the_post_check() -> None:
    frame = decode(POST_CHECK)
    assert (frame.command, decode_data(frame.data)) == (Command.CONTROL, (91, [PostCheck(10)]))
    assert Frame(7, 1, 0x060708090A0B, 0x000102030405, frame.data, NOON).encode() == POST_CHECK


def test_a_negative_value_and_an_undefined_analog_type() -> None:
    cold = encode_data(3, [PartAnalog(1, 1, 30, 1, 3, -125, NOON)])
    assert analog_value(decode_data(cold)[1][0]) == -12.5  # type: ignore[arg-type]  # it is a PartAnalog
    assert analog_value(PartAnalog(1, 1, 30, 1, 200, 7)) is None


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "u8": st.integers(0, 255),
    "u16": st.integers(0, 65_535),
    "s16": st.integers(-32_768, 32_767),
    "u32": st.integers(0, 2**32 - 1),
    "time": st.none()
    | st.datetimes(datetime(2000, 1, 1), datetime(2255, 12, 31)).map(lambda t: t.replace(microsecond=0)),
    "text31": st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), max_size=7),
    "counted": st.binary(max_size=40),
}


def _objects(type_: int) -> st.SearchStrategy[Object]:
    hints = get_type_hints(TYPES[type_], include_extras=True)
    parts = [VALUES[hint.__metadata__[0]] for hint in hints.values()]
    return st.tuples(*parts).map(lambda values: TYPES[type_](*values))


@pytest.mark.parametrize("type_", sorted(TYPES))
@settings(max_examples=25)
@given(data=st.data())
def test_every_type_there_and_back_in_its_size(type_: int, data: st.DataObject) -> None:
    objects = data.draw(st.lists(_objects(type_), max_size=5))
    encoded = encode_data(type_, objects)
    if type_ in SIZES:
        assert len(encoded) == 2 + len(objects) * SIZES[type_]
    assert decode_data(encoded) == (type_, objects)


@given(
    st.integers(0, 65_535), st.integers(0, 255), st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1),
    st.binary(max_size=MAX_DATA), VALUES["time"],
)  # fmt: skip
def test_every_frame_there_and_back(
    serial: int, command: int, source: int, target: int, data: bytes, at: datetime | None
) -> None:
    frame = Frame(serial, command, source, target, data, at)
    assert decode(frame.encode()) == frame
    answer = frame.reply(Command.CONFIRM)
    assert (answer.serial, answer.source, answer.destination, answer.data) == (serial, target, source, b"")


def test_private_and_reserved_types_stay_raw() -> None:
    for type_ in (0, 9, 10, 20, 22, 128, 254, 255):
        for rest in (b"", b"\x01", bytes(40)):
            assert decode_data(bytes((type_,)) + rest) == (type_, [Raw(rest)])
            assert encode_data(type_, [Raw(rest)]) == bytes((type_,)) + rest


def test_data_that_do_not_fit_their_type_are_refused() -> None:
    good = decode(PUBLIC).data
    for bad in (
        b"",
        good[:1],
        good[:-1],
        good + b"\0",
        b"\x02\x02" + good[2:],
        b"\x02\x00" + good[2:],
        b"\x06\x01\x01\x01",
    ):
        with pytest.raises(BadFrame):
            decode_data(bad)
    with pytest.raises(BadFrame):
        encode_data(1, [PostCheck(10)])
    with pytest.raises(BadFrame):
        encode_data(9, [PostCheck(10)])


def test_times_that_are_none() -> None:
    assert unpack_time(bytes(6)) is None
    assert unpack_time(bytes((0, 0, 0, 31, 2, 20))) is None
    assert pack_time(None) == bytes(6)


def test_text_is_cut_between_characters() -> None:
    assert len(text_bytes("走" * 20)) == 30
    assert text_bytes("𠀀" * 9).decode("gb18030") == "𠀀" * 7  # four bytes each
    whole = encode_data(2, [PartState(1, 1, 40, 1, 2, "走" * 20)])
    assert decode_data(whole)[1][0] == PartState(1, 1, 40, 1, 2, "走" * 15)


# ── frames in a stream ────────────────────────────────────────────────────────────────────────────────

GOOD = [PUBLIC, ANALOG_FRAME, CONFIRMED, POST_CHECK]
FRAMES = [decode(f) for f in GOOD]


def _flip(at: int, by: int = 1) -> bytes:
    return ANALOG_FRAME[:at] + bytes((ANALOG_FRAME[at] ^ by,)) + ANALOG_FRAME[at + 1 :]


DAMAGED = {
    "bad checksum": _flip(-3 + len(ANALOG_FRAME)),
    "changed byte": _flip(40),
    "no end": _flip(len(ANALOG_FRAME) - 1),
    "length too small": _flip(24, 0x02),
    "longer than 1024": _flip(25, 0x40),
    "junk": b"\x00\xff@ab@@cd##",
    "ends in the middle of a start": b"@",
    "start twice": b"@@",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_good_frames_around_a_damaged_one_are_found(name: str) -> None:
    splitter = Splitter()
    found = splitter.feed(PUBLIC + DAMAGED[name] + POST_CHECK + CONFIRMED)
    found += splitter.give_up() if splitter.waiting else []
    assert found == [FRAMES[0], FRAMES[3], FRAMES[2]]
    assert splitter.junk + len(PUBLIC + POST_CHECK + CONFIRMED) == len(
        PUBLIC + DAMAGED[name] + POST_CHECK + CONFIRMED
    )


def test_half_a_frame_is_waited_for_and_given_up() -> None:
    splitter = Splitter()
    assert splitter.feed(PUBLIC[:50]) == []
    assert splitter.waiting
    assert splitter.feed(PUBLIC[50:]) == [FRAMES[0]]
    assert not splitter.waiting
    assert splitter.feed(PUBLIC[:50]) == []
    assert splitter.give_up() == []
    assert splitter.feed(PUBLIC + CONFIRMED) == [FRAMES[0], FRAMES[2]]


def test_a_length_that_was_made_larger_does_not_swallow_what_follows() -> None:
    """The splitter waits for 270 bytes more; when they do not come the frames behind are found."""
    longer = bytearray(ANALOG_FRAME)
    longer[25] = 1
    splitter = Splitter()
    assert splitter.feed(bytes(longer) + PUBLIC) == []
    assert splitter.give_up() == [FRAMES[0]]


@given(st.lists(st.sampled_from([*range(len(GOOD)), -1]), max_size=12), st.randoms(use_true_random=False))
def test_a_stream_in_any_pieces_gives_its_frames_in_order(order: list[int], rng: random.Random) -> None:
    """-1: bytes without a start. Cut anywhere, several in one piece, junk in between."""
    stream = b"".join(GOOD[n] if n >= 0 else bytes(rng.randrange(1, 0x40) for _ in range(9)) for n in order)
    cuts = sorted(rng.randrange(len(stream) + 1) for _ in range(len(order)))
    splitter = Splitter()
    found = [
        f for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) for f in splitter.feed(stream[a:b])
    ]
    assert found == [FRAMES[n] for n in order if n >= 0]
    assert splitter.junk == 9 * order.count(-1)


def test_single_damage_is_always_seen() -> None:
    """The sum sees every change of one byte: no damaged frame passes as another one."""
    for at in range(len(PUBLIC)):
        for by in (1, 0x80, 0xFF):
            damaged = PUBLIC[:at] + bytes((PUBLIC[at] ^ by,)) + PUBLIC[at + 1 :]
            splitter = Splitter()
            assert splitter.feed(damaged) + splitter.give_up() == []


def test_endless_junk_is_not_kept() -> None:
    rng = random.Random(26875)
    splitter = Splitter()
    for _ in range(200):
        splitter.feed(rng.randbytes(4096))
        assert len(splitter._buffer) <= MAX_DATA + 30
    assert splitter.junk > 200 * 4096 - 2 * MAX_DATA
