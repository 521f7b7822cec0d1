"""Hours and kinds of day by the clock on the wall, and baselines that know them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from alerts.backtest import expectations, score
from alerts.detect.baseline import Baseline
from alerts.detect.days import HOURS, KEPT, OFF, PLAIN, QUARTER, WORK, Days, days_of
from gateway.errors import BadInput
from gateway.model import Ms

SHANGHAI = ZoneInfo("Asia/Shanghai")
HOUR: Ms = 3_600_000


def at(text: str, zone: str = "Asia/Shanghai") -> Ms:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1000


@pytest.mark.parametrize(
    ("moment", "kind", "hour"),
    [
        ("2026-03-02 07:59", WORK, 7),  # a Monday
        ("2026-03-01 00:00", OFF, 0),  # Sunday begins at midnight in Shanghai, Saturday 16:00 UTC
        ("2026-02-28 12:00", WORK, 12),  # a Saturday that is worked in exchange
        ("2026-10-01 23:59", OFF, 23),  # National Day, a Thursday
        ("2026-10-08 00:15", WORK, 0),
    ],
)
def test_days_off_are_those_of_the_public_calendar(moment: str, kind: int, hour: int) -> None:
    days = days_of("Asia/Shanghai", "china")
    assert divmod(days.slot(at(moment)), HOURS) == (kind, hour)
    assert days_of("Asia/Shanghai", "none").slot(at(moment)) == hour


def test_holidays_are_known_only_of_years_that_have_one() -> None:
    """Nobody entered the Spring Festival of 2027: that it comes out as a working day is not sure."""
    shipped = days_of("Asia/Shanghai", "china")
    entered = days_of("Asia/Shanghai", "china", "2027-01-01|2027-02-08")
    moments = [at(f"{day} 00:00") for day in ("2025-10-01", "2026-01-01", "2027-01-01", "2027-02-08")]
    assert [shipped.sure(t) for t in moments] == [False, True, False, False]
    assert [entered.sure(t) for t in moments] == [False, True, True, True]
    assert shipped.sures(np.array(moments)).tolist() == [False, True, False, False]
    assert not shipped.sure(at("2026-01-01 00:00") - 1)
    assert not days_of("Asia/Shanghai", "weekend").sure(moments[1])
    assert not shipped.sure(2**61)


def test_a_zone_that_changes_its_clock_is_followed() -> None:
    days = days_of("Europe/Berlin", "weekend")
    night = at("2026-03-29 00:00", "Europe/Berlin")
    hours = [days.slot(night + k * HOUR) % HOURS for k in range(5)]
    assert hours == [0, 1, 3, 4, 5], "the hour from two to three is not there that night"
    night = at("2026-10-25 00:00", "Europe/Berlin")
    assert [days.slot(night + k * HOUR) % HOURS for k in range(5)] == [0, 1, 2, 2, 3]


def test_an_offset_of_quarters_is_exact() -> None:
    days = days_of("Asia/Kathmandu", "weekend")  # UTC+5:45
    assert days.slot(at("2026-03-02 08:00", "Asia/Kathmandu")) == 8
    assert days.slot(at("2026-03-02 08:00", "Asia/Kathmandu") - 1) == 7


def test_columns_give_the_slots_of_single_moments() -> None:
    days = Days(SHANGHAI)
    t = np.random.default_rng(1).integers(-(10**12), 4 * 10**12, 3 * KEPT)
    assert days.slots(t).tolist() == [Days(SHANGHAI).slot(int(k)) for k in t]
    assert days.slots(np.zeros(0, np.int64)).tolist() == []


def test_times_beyond_every_calendar_have_a_slot() -> None:
    for t in (2**61, -(2**61)):
        assert 0 <= PLAIN.slot(t) < 2 * HOURS
        assert 0 <= Days(alike=True).slot(t // QUARTER * QUARTER) < HOURS


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("Asia/Peking", "china"), "zone"),
        (("Asia/Shanghai", "moon"), "calendar"),
        (("Asia/Shanghai", "china", "2027-13-01"), "holidays"),
        (("Asia/Shanghai", "china", "", "tomorrow"), "workdays"),
    ],
)
def test_what_cannot_be_read_names_its_field(arguments: tuple[str, ...], field: str) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        days_of(*arguments)


# ── baselines ─────────────────────────────────────────────────────────────────────────────────────────

WEEKS = 7
BEGIN = at("2026-03-02 00:00")
"""A Monday."""


def workshop(n: int = WEEKS * 7 * 24) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Hourly means of a workshop: 20 kW from eight to eighteen on working days, 4 kW else."""
    hour, day = np.arange(n) % 24, np.arange(n) // 24
    at_work = (hour >= 8) & (hour < 18) & (day % 7 < 5)
    noise = np.random.default_rng(3).normal(0, 0.5, n)
    out: np.ndarray[tuple[int], np.dtype[np.float64]] = np.where(at_work, 20.0, 4.0) + noise
    return out


def judged(values: list[float], days: Days, *, sure: bool) -> list[tuple[float, float]]:
    series, out = Baseline(HOUR), []
    for k, v in enumerate(values):
        t = BEGIN + k * HOUR
        found = series.take(t, v, days.slot(t), sure=sure)
        out.append((found.z, found.rarity))
    return out


def test_a_sunday_that_is_worked_is_seen_and_an_ordinary_one_is_not() -> None:
    v = workshop()
    sunday = (WEEKS * 7 - 1) * 24
    v[sunday + 8 : sunday + 18] += 16.0
    week = judged(v.tolist(), Days(SHANGHAI), sure=True)
    hours = judged(v.tolist(), Days(SHANGHAI, alike=True), sure=True)
    before = slice(sunday - 24 + 8, sunday - 24 + 18)
    assert max(r for _, r in week[before]) < 4.0, "the Saturday is as Saturdays are"
    assert week[sunday + 8][0] > 3 * hours[sunday + 8][0], "twenty kW is what the hour alone expects"
    assert week[sunday + 8][1] > hours[sunday + 8][1]


def test_an_unknown_holiday_is_no_event_unless_holidays_are_known() -> None:
    v = workshop()
    wednesday = (WEEKS * 7 - 5) * 24
    v[wednesday : wednesday + 24] = v[wednesday - 72 : wednesday - 48]  # as on the Sunday before
    spread = slice(wednesday + 8, wednesday + 18)
    sure, unsure = (judged(v.tolist(), Days(SHANGHAI), sure=s)[spread] for s in (True, False))
    assert min(z for z, _ in sure) < -4.5
    assert max(abs(z) for z, _ in unsure) < 3.0


def test_while_weeks_are_few_the_hour_alone_counts() -> None:
    v = workshop(14 * 24).tolist()
    assert judged(v, Days(SHANGHAI), sure=True) == judged(v, Days(SHANGHAI, alike=True), sure=True)


def test_a_series_without_a_week_is_judged_as_by_the_hour() -> None:
    n = WEEKS * 7 * 24
    v = 10 + 3 * np.sin(np.arange(n) % 24 / 24 * 6.28) + np.random.default_rng(5).normal(0, 1, n)
    assert judged(v.tolist(), Days(SHANGHAI), sure=True) == judged(
        v.tolist(), Days(SHANGHAI, alike=True), sure=True
    )


def test_files_go_by_the_clock_that_their_times_tell() -> None:
    v = workshop()
    n = len(v)
    v[(WEEKS * 7 - 1) * 24 + 9] = 20.0
    ms = BEGIN + HOUR * np.arange(n)
    said = [datetime.fromtimestamp(int(t) / 1000, SHANGHAI).isoformat() for t in ms]
    wall = [text[:19] for text in said]
    assert score(said, v).tolist() == score(wall, v).tolist(), "an offset is the clock on the wall"
    assert score(ms, v, zone=SHANGHAI).tolist() == score(said, v).tolist()
    aware = [datetime.fromtimestamp(int(t) / 1000, UTC) for t in ms]
    assert score(np.asarray(aware, object), v, zone=SHANGHAI).tolist() == score(ms, v).tolist(), (
        "a time's own offset counts"
    )
    mixed = [text if n == len(ms) - 1 else int(t) for n, (t, text) in enumerate(zip(ms, said, strict=True))]
    utc = [*mixed[:-1], datetime.fromtimestamp(int(ms[-1]) / 1000, UTC).isoformat()]
    for times in (mixed, utc):
        found = score(np.asarray(times, object), v, zone=SHANGHAI).tolist()
        assert found[:-1] == score(ms, v, zone=SHANGHAI).tolist()[:-1], "a later row changes no score"
    wall = wall[:-1] + said[-1:]  # texts without an offset are of UTC, told on the clock of the zone
    found = score(wall[:-1], v[:-1], zone=SHANGHAI).tolist()
    assert any(found)
    assert score([*wall[:-1], f"{wall[-1][:10]}T23:59:59Z"], v, zone=SHANGHAI).tolist()[:-1] == found
    expected, _ = expectations(ms, v, zone=SHANGHAI)
    sunday = (WEEKS * 7 - 1) * 24 + 12
    assert abs(expected[sunday] - 4.0) < 2.0
    other, _ = expectations(ms, v)
    assert (other != expected).any(), "in UTC Sunday ends in the middle of Monday's shift"


def test_bad_times_are_still_told() -> None:
    with pytest.raises(BadInput, match="entry 1"):
        score(["2026-03-01 00:00", "yesterday"], [1.0, 2.0])
