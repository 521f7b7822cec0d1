"""What a fire transmission device reported, as sentences: no fire is dropped, nothing is made up."""

# ruff: noqa: DTZ001 - the wire has no time zone

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import gb26875_picture
from drivers.gb26875_frame import decode
from drivers.gb26875_objects import (
    Object,
    Operation,
    PartAnalog,
    PartState,
    SystemState,
    UnitOperation,
    UnitState,
)
from drivers.gb26875_objects import decode as decode_data
from drivers.gb26875_picture import Picture
from drivers.profiles import textline
from drivers.profiles.bind import bind
from drivers.profiles.loader import load_profile
from gateway.model import GOOD, Level, Reason, quality
from gateway.ports import Answer, Block
from tests.unit.drivers.test_drivers_gb26875_codec import ANALOG_FRAME, PUBLIC

T0 = datetime(2026, 11, 22, 9, 0, 0)
NEVER = quality(Level.BAD, Reason.NEVER_SEEN)
ALARM, FAULT, COUNT, TEXT, MANUAL = 3, 4, 21, 19, 13


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def part(status: int, seconds: float = 0, *, n: int = 7, text: str = "") -> PartState:
    return PartState(1, 1, 40, n, status, text, at(seconds))


def system(status: int, seconds: float = 0) -> SystemState:
    return SystemState(1, 1, status, at(seconds))


def picture(*objects: Object, bit0_normal: int = 1) -> Picture:
    made = Picture("010203040506", bit0_normal)
    made.apply(objects, 0.0)
    return made


def panel(p: Picture, now: float = 0.0) -> tuple[str, ...]:
    fields = p.fields("panel", now)
    assert fields is not None
    assert len(fields) == 34
    return fields


def decoded(fields: tuple[str, ...]) -> dict[str, tuple[float, int, str]]:
    model = bind(load_profile("gb26875_panel"), "fire-1")
    out = model.decode(Answer(Block(1, "line", sentence=fields[0]), 0, fields=fields))
    return {
        model.points[n].tag: (float(v), int(q), str(out.attrs.get(n, {}).get("text", "")))
        for n, v, q in zip(out.index.tolist(), out.v.tolist(), out.q.tolist(), strict=True)
    }


def test_the_public_frame_as_values() -> None:
    p = Picture("010203040506")
    p.apply(decode_data(decode(PUBLIC).data)[1], 0.0)
    values = decoded(panel(p))
    assert values["fire.panel.alarm"][:2] == (1.0, GOOD)
    assert values["fire.alarm_count"][:2] == (1.0, GOOD)
    assert values["fire.panel.fire_text"][2] == (
        "火警 fire Ａ区１层呷哺走廊 [1-3 0 000600D9] 2020-08-01 19:18:48"
    )
    assert values["fire.panel.fault"][:2] == (0.0, GOOD)
    for tag in ("fire.panel.test", "fire.panel.main_power_fault", "fire.panel.state", "fire.utd.fault"):
        assert values[tag][1] == NEVER, tag


def test_the_worked_cases_of_the_profile_are_what_the_driver_says() -> None:
    """The case lines were written by hand; here the same reports go through the driver's state."""
    lines = [textline.parse(c.line.encode()) for c in load_profile("gb26875_panel").cases]
    fire, fine, bad, beaten = lines
    reported = panel(picture(PartState(1, 3, 0, 0x000600D9, 2)))
    assert reported[:TEXT] + reported[21:32] == fire[:TEXT] + fire[21:32]
    reported = panel(picture(system(0x0001), UnitState(0x01)))
    assert reported[:32] == fine[:32]
    reported = panel(picture(system(0x0903), part(2, n=1), part(2, n=2)))
    assert reported[:TEXT] + reported[21:24] == bad[:TEXT] + bad[21:24]
    assert panel(picture(UnitState(0x01)))[:32] == beaten[:32]


def test_nothing_is_known_before_the_first_report() -> None:
    fields = panel(Picture("010203040506"))
    assert set(fields[2:31]) == {""}
    assert all(q == NEVER for tag, (_, q, _) in decoded(fields).items() if tag not in KNOWN_ANYWAY)


KNOWN_ANYWAY = ("fire.utd.post_check", "fire.utd.refused")


@pytest.mark.parametrize("bit0_normal", [0, 1])
@pytest.mark.parametrize("bit0", [0, 1])
def test_a_fire_counts_whatever_bit_0_says(bit0: int, bit0_normal: int) -> None:
    for p in (
        picture(system(2 | bit0), bit0_normal=bit0_normal),
        picture(part(2 | bit0), bit0_normal=bit0_normal),
    ):
        assert panel(p)[ALARM] == "1"
    test = panel(picture(system(2 | bit0), bit0_normal=bit0_normal))[2]
    assert test == ("0" if bit0 == bit0_normal else "1")


def test_a_state_that_came_and_went_between_two_reads_is_shown_once() -> None:
    p = picture(system(0x0001), part(1))
    assert panel(p)[ALARM] == "0"
    p.apply([part(3, 1, text="大厅"), part(1, 2), system(0x0801, 3), system(0x0001, 4)], 0.0)
    fields = panel(p)
    assert (fields[ALARM], fields[MANUAL], fields[COUNT]) == ("1", "1", "1")
    assert "大厅" in fields[TEXT]
    fields = panel(p)
    assert (fields[ALARM], fields[MANUAL], fields[COUNT]) == ("0", "0", "0")
    assert "大厅" in fields[TEXT], "the text holds until the next one"


def test_each_sentence_has_its_own_memory_of_what_it_showed() -> None:
    p = picture(part(3), part(1, 1))
    assert panel(p)[ALARM] == "1"
    one = p.fields("p.1.1.40.7", 0.0)
    assert one is not None
    assert one[ALARM] == "1"
    again = p.fields("p.1.1.40.7", 0.0)
    assert again is not None
    assert again[ALARM] == "0"


def test_a_reset_ends_fires_and_leaves_faults() -> None:
    for reset in (Operation(1, 1, 1, 7, at(5)), system(0x2001, 5)):
        p = picture(system(0x0003), part(3, n=1), part(5, n=2))
        assert panel(p)[ALARM] == "1"
        p.apply([reset], 0.0)
        panel(p)
        fields = panel(p)
        assert (fields[ALARM], fields[COUNT], fields[22]) == ("0", "0", "1")


def test_a_reset_that_still_reports_a_fire_clears_nothing() -> None:
    p = picture(part(3))
    panel(p)
    p.apply([system(0x2003, 5)], 0.0)
    panel(p)
    assert panel(p)[ALARM] == "1"


def test_a_reset_of_another_system_clears_nothing() -> None:
    p = picture(part(3))
    panel(p)
    p.apply([Operation(1, 2, 1, 7, at(5)), SystemState(1, 2, 0x2001, at(5))], 0.0)
    panel(p)
    assert panel(p)[ALARM] == "1"


def test_an_old_report_sent_again_does_not_end_a_fire() -> None:
    p = picture(part(3, 60))
    panel(p)
    p.apply([part(1, 0)], 0.0)
    assert (panel(p)[ALARM], p.late) == ("1", 1)
    p.apply([part(1, 61)], 0.0)
    assert panel(p)[ALARM] == "0"


def test_an_old_fire_sent_again_is_a_fire() -> None:
    p = picture(part(1, 60))
    panel(p)
    p.apply([part(3, 0)], 0.0)
    assert [panel(p)[ALARM], panel(p)[ALARM]] == ["1", "1"]


def test_a_clock_that_was_set_back_does_not_make_news_old() -> None:
    p = picture(part(3, 300))
    panel(p)
    p.forget_times()
    p.apply([part(1, 0)], 0.0)
    assert panel(p)[ALARM] == "0"


def test_two_detectors_are_two() -> None:
    p = picture(part(3, n=1), part(3, n=2), part(3, 1, n=2))
    assert panel(p)[COUNT] == "2"


def test_a_part_without_power_is_a_fault() -> None:
    assert panel(picture(part(0x0101)))[FAULT] == "1"


def test_analog_values_have_their_unit_and_an_old_one_does_not_replace_a_new_one() -> None:
    p = Picture("010203040506")
    assert p.fields("a.11.1.91.1.5", 0.0) == ("a.11.1.91.1.5", "010203040506", "", "", "", "")
    p.apply(decode_data(decode(ANALOG_FRAME).data)[1], 0.0)
    fields = p.fields("a.11.1.91.1.5", 0.0)
    assert fields is not None
    assert fields[2:] == ("450", "kPa", "4500", "2026-11-22 09:15:30")
    p.apply([PartAnalog(11, 1, 91, 1, 5, 1, datetime(2026, 11, 22, 9, 15, 0))], 0.0)
    assert p.fields("a.11.1.91.1.5", 0.0) == fields


def test_the_device_itself() -> None:
    fields = panel(picture(UnitState(0b0110_0001)))
    assert fields[24:31] == ("0", "0", "0", "0", "0", "1", "1")


def test_a_fire_that_is_reported_by_hand_is_a_fire() -> None:
    p = picture(system(0x0001), UnitState(0x03))
    assert [panel(p)[ALARM] for _ in range(2)] == ["1", "1"]
    p.apply([UnitState(0x01)], 0.0)
    panel(p)
    assert panel(p)[ALARM] == "0"
    for done in (Operation(1, 1, 1 << 2, 7, at(9)), UnitOperation(1 << 2, 7, at(9))):
        p.apply([done], 0.0)
        fields = panel(p)
        assert (fields[ALARM], fields[COUNT]) == ("1", "1")
        assert "手动报警" in fields[TEXT]
        assert panel(p)[ALARM] == "0"


def test_a_post_check_is_waiting_answered_or_missed() -> None:
    p = Picture("010203040506")
    assert panel(p)[31] == "0"
    p.post.ask(0.0, 10)
    assert panel(p, 599.0)[31] == "1"
    p.apply([UnitOperation(1 << 5, 7, at(0))], 599.0)
    assert panel(p, 5000.0)[31] == "2"
    p.post.ask(6000.0, 10)
    p.apply([UnitOperation(1 << 5, 7, at(0))], 6600.0)
    assert (panel(p, 6600.0)[31], p.post.missed) == ("3", 1)


def test_there_is_no_sentence_for_a_wrong_name() -> None:
    p = Picture("010203040506")
    for name in ("", "PANEL", "panel.1", "s.1", "s.1.x", "p.1.1.40", "a.1", "x", "u.1", "s.1.-1"):
        assert p.fields(name, 0.0) is None, name
    for name in ("panel", "u", "s.1.1", "p.1.1.40.7", "a.1.1.40.7.3"):
        assert p.fields(name, 0.0) is not None, name


def test_memory_is_bounded_and_a_fire_is_never_put_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gb26875_picture, "MAX_WORDS", 20)
    p = picture(part(3, n=1), *(part(1, n=n) for n in range(2, 500)))
    assert len(p._words) <= 20
    assert panel(p)[COUNT] == "1"
    p.apply([part(3, n=n) for n in range(500, 530)], 0.0)
    assert len(p._words) <= 20
    assert (panel(p)[ALARM], int(panel(p)[COUNT])) == ("1", 20)
    assert p.overflow > 0
    p.apply([part(1, n=n) for n in (1, *range(500, 530))], 0.0)
    panel(p)
    assert panel(p)[ALARM] == "0"


@given(st.lists(st.tuples(st.sampled_from(["fire", "calm", "read"]), st.integers(0, 3)), max_size=40))
def test_every_fire_is_seen_by_the_next_read(steps: list[tuple[str, int]]) -> None:
    """Oracle: a read shows a fire when a part is in fire now, or one was since the last read."""
    p = picture(system(0x0001))
    burning: set[int] = set()
    since_read = False
    for seconds, (what, n) in enumerate(steps):
        if what == "read":
            assert panel(p)[ALARM] == str(int(bool(burning) or since_read))
            since_read = False
        else:
            p.apply([part(3 if what == "fire" else 1, seconds, n=n)], 0.0)
            (burning.add if what == "fire" else burning.discard)(n)
            since_read |= what == "fire"
