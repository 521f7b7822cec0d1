from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alerts.calendars import (
    ALWAYS,
    WEEKDAYS,
    Calendar,
    Roster,
    Shift,
    add_working,
    default_calendars,
    spans,
    wall,
    working_between,
    working_hours,
)  # fmt: skip
from alerts.years import CN_2026_HOLIDAYS, CN_2026_WORKDAYS
from gateway.errors import BadInput
from tests.unit.alerts_life.life_kit import ZONE

HOUR = 3_600_000


def at(zone: ZoneInfo, *parts: int) -> int:
    return int(datetime(*parts, tzinfo=zone).timestamp()) * 1000  # type: ignore[misc,arg-type]  # year, month, …


def sh(*parts: int) -> int:
    return at(ZONE, *parts)


def test_always_is_plain_addition_and_holds_are_left_out() -> None:
    assert add_working(0, 90.5, ALWAYS) == 90_500
    assert add_working(0, 0, ALWAYS) == 0
    assert add_working(0, 100, ALWAYS, [(10_000, 30_000), (50_000, 60_000)]) == 130_000
    assert working_between(0, 100_000, ALWAYS, [(90_000, 200_000)]) == 90_000


def test_a_day_ends_at_six_and_goes_on_at_nine() -> None:
    work = working_hours(ZONE)
    friday = sh(2026, 11, 20, 17, 59, 59)
    assert add_working(friday, 1, work) == sh(2026, 11, 20, 18)
    assert add_working(friday, 2, work) == sh(2026, 11, 23, 9, 0, 1)
    assert add_working(sh(2026, 11, 21, 3), 1, work) == sh(2026, 11, 23, 9, 0, 1)


def test_the_holidays_of_2026_and_the_weekends_that_are_worked() -> None:
    work = default_calendars(ZONE)["work"]
    assert len(CN_2026_HOLIDAYS) == 3 + 9 + 3 + 5 + 3 + 3 + 7
    assert all(d.weekday() >= 5 for d in CN_2026_WORKDAYS)
    assert add_working(sh(2026, 9, 30, 18), 1, work) == sh(2026, 10, 8, 9, 0, 1)
    assert add_working(sh(2026, 10, 9, 18), 9 * 3600, work) == sh(2026, 10, 10, 18)
    assert working_between(sh(2026, 2, 14), sh(2026, 2, 25), work) == 2 * 9 * HOUR, "the 14th and the 24th"


def test_a_shift_over_midnight_belongs_to_the_day_on_which_it_starts() -> None:
    night = working_hours(ZONE, start=22 * 3600, end=6 * 3600, holidays=[date(2026, 11, 24)])
    assert add_working(sh(2026, 11, 23, 23), 3 * 3600, night) == sh(2026, 11, 24, 2)
    assert add_working(sh(2026, 11, 24, 5), 2 * 3600, night) == sh(2026, 11, 25, 23), (
        "no shift on the holiday"
    )
    assert next(spans(night, sh(2026, 11, 24, 3))) == (sh(2026, 11, 24, 3), sh(2026, 11, 24, 6))


def test_touching_shifts_are_one_and_the_changed_clock_counts_its_true_seconds() -> None:
    round_the_clock = Calendar("three", ZONE, (((0, 28_800), (28_800, 57_600), (57_600, 86_400)),) * 7)
    assert add_working(sh(2026, 11, 20, 7), 100 * 3600, round_the_clock) == sh(2026, 11, 24, 11)
    berlin = ZoneInfo("Europe/Berlin")
    night = working_hours(berlin, start=22 * 3600, end=6 * 3600, days=range(7))
    assert working_between(at(berlin, 2026, 3, 28, 12), at(berlin, 2026, 3, 29, 12), night) == 7 * HOUR
    assert working_between(at(berlin, 2026, 10, 24, 12), at(berlin, 2026, 10, 25, 12), night) == 9 * HOUR
    gone = Calendar("gap", berlin, (((2 * 3600, 3 * 3600),),) * 7)
    assert working_between(at(berlin, 2026, 3, 29, 0), at(berlin, 2026, 3, 29, 12), gone) == 0


@pytest.mark.parametrize("week", [((),) * 7, (((0, 10),),) * 6, (((10, 5),),) * 7, (((0, 200_000),),) * 7])
def test_a_calendar_that_cannot_be_is_refused(week: tuple[tuple[tuple[int, int], ...], ...]) -> None:
    with pytest.raises(BadInput):
        Calendar("bad", UTC, week)


def test_a_calendar_without_enough_time_says_so() -> None:
    with pytest.raises(BadInput, match="no 1e\\+09 s of working time"):
        add_working(0, 1e9, working_hours(ZONE))


NAMES = {"wang": "Wang", "li": "Li"}
DAY_NIGHT = [
    {"duty": "CR", "people": ["wang"], "from": "08:00", "to": "20:00"},
    {"duty": "CR", "people": ["li"], "from": "20:00", "to": "08:00", "days": list(WEEKDAYS[:6])},
    {"duty": "PM", "people": ["wang", "li"], "estate": "e1"},
]  # fmt: skip


def test_who_is_on_duty() -> None:
    roster = Roster.of(DAY_NIGHT, NAMES, ZONE)
    assert roster.on_duty("CR", "e1", sh(2026, 11, 23, 8)) == (("wang", "Wang"),)
    assert roster.on_duty("CR", "e1", sh(2026, 11, 24, 7, 59, 59)) == (("li", "Li"),)
    assert roster.on_duty("CR", "e1", sh(2026, 11, 23, 7)) == (), "no shift starts on Sunday night"
    assert roster.knows("PM", "e1")
    assert not roster.knows("PM", "e2")
    assert roster.table("e2", sh(2026, 11, 23, 9)) == [
        {"duty": "CR", "people": [{"id": "wang", "name": "Wang"}]}
    ]


def test_the_first_hour_without_anybody_is_named() -> None:
    roster = Roster.of(DAY_NIGHT, NAMES, ZONE)
    monday = sh(2026, 11, 23, 8)
    assert roster.gap("CR", "e1", monday, monday + 7 * 24 * HOUR) == (
        sh(2026, 11, 29, 20),
        sh(2026, 11, 30, 8),
    )
    assert roster.gap("CR", "e1", monday, monday + 24 * HOUR) is None
    assert roster.gap("PM", "e1", monday, monday + 7 * 24 * HOUR) is None
    assert Roster([Shift("TE", ())]).gap("TE", "e1", 0, 10) == (0, 10)


@pytest.mark.parametrize(
    "wrong",
    [
        {"people": []}, {"duty": "CR", "who": []}, {"duty": "CR", "people": ["nobody"]},
        {"duty": "CR", "people": [], "days": ["someday"]}, {"duty": "CR", "people": [], "from": "8 o'clock"},
    ],
)  # fmt: skip
def test_a_shift_that_is_wrong_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput, match=r"shifts\.0"):
        Roster.of([wrong], NAMES, ZONE)
    assert wall("24:00", "x") == 86_400


def test_every_hour_of_a_week_with_holidays_night_shifts_and_a_changed_clock() -> None:
    """24 × 7 × holidays: each hour asked for itself, against the rule written out by hand.

    The week of the national day 2026 (holidays from Thursday on, Saturday 10 October is worked) in Shanghai,
    and the same shifts through the nights in which Berlin changes its clock.
    """
    rows: list[dict[str, Any]] = [
        {"duty": "DAY", "people": ["wang"], "on": "workday", "from": "08:00", "to": "18:00"},
        {"duty": "REST", "people": ["li"], "on": "restday", "from": "08:00", "to": "18:00"},
        {"duty": "NIGHT", "people": ["li"], "on": "workday", "from": "22:00", "to": "06:00"},
        {"duty": "ROTA", "people": ["li"], "first": "2026-09-28", "every": 3, "from": "08:00", "to": "08:00"},
    ]  # fmt: skip
    for zone, first in ((ZONE, date(2026, 9, 28)), (ZoneInfo("Europe/Berlin"), date(2026, 10, 19))):
        roster = Roster.of(rows, NAMES, zone)
        start = at(zone, first.year, first.month, first.day)
        for n in range(14 * 24):
            t = start + n * HOUR
            local = datetime.fromtimestamp(t / 1000, zone)
            today, before = local.date(), local.date() - timedelta(days=1)

            def rest(day: date) -> bool:
                return day in CN_2026_HOLIDAYS or (day.weekday() > 4 and day not in CN_2026_WORKDAYS)

            day_hours = 8 <= local.hour < 18
            night = (local.hour >= 22 and not rest(today)) or (local.hour < 6 and not rest(before))
            on_rota = (today if local.hour >= 8 else before) - date(2026, 9, 28)
            wanted = {
                "DAY": day_hours and not rest(today), "REST": day_hours and rest(today), "NIGHT": night,
                "ROTA": on_rota.days >= 0 and on_rota.days % 3 == 0,
            }  # fmt: skip
            found = {duty: bool(roster.on_duty(duty, "e1", t)) for duty in wanted}
            assert found == wanted, (zone, local)
        end = start + 14 * 24 * HOUR
        for duty in ("DAY", "REST", "NIGHT", "ROTA"):
            empty = list(roster.gaps(duty, "e1", start, end))
            hours = sum(bool(roster.on_duty(duty, "e1", start + n * HOUR)) for n in range(14 * 24))
            assert sum(b - a for a, b in empty) == (14 * 24 - hours) * HOUR, duty
