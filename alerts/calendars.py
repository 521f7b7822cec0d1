"""Working time, exact to the second: calendars with shifts over midnight, holidays, and who is on duty.

Bands are wall-clock times of the calendar's zone; sums are taken in UTC, so that a night in which the clock
is changed counts its true seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from gateway.errors import BadInput
from gateway.model import Ms

DAY_S = 86_400
FOREVER: Ms = 2**62
_HORIZON_DAYS = 800
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Band = tuple[int, int]
"""Seconds after local midnight [start, end); `end` may pass 86 400 by up to a day: a shift over midnight."""

Span = tuple[Ms, Ms]
"""[start, end) in ms UTC."""


@dataclass(frozen=True)
class Calendar:
    """When work is done. No `week`: always (24x7).

    `week`: bands per weekday, Monday first. A date in `holidays` has none; a date in `workdays`
    (a weekend day that is worked in exchange, 调休) has those of Monday.
    """

    name: str
    zone: tzinfo = UTC
    week: tuple[tuple[Band, ...], ...] = ()
    holidays: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        if not self.week:
            return
        if len(self.week) != len(WEEKDAYS) or not any(self.week):
            raise BadInput("seven days with at least one working band are needed", field=self.name)
        for band in (b for day in self.week for b in day):
            if not (0 <= band[0] < DAY_S and band[0] < band[1] <= band[0] + DAY_S):
                raise BadInput(f"band {band} must start within the day and last at most one", field=self.name)

    def bands(self, day: date) -> tuple[Band, ...]:
        """The bands that start on this local date."""
        if day in self.workdays:
            return self.week[0]
        return () if day in self.holidays else self.week[day.weekday()]


ALWAYS = Calendar("24x7")


def working_hours(
    zone: tzinfo,
    *,
    name: str = "work",
    start: int = 9 * 3600,
    end: int = 18 * 3600,
    days: Sequence[int] = range(5),
    holidays: Iterable[date] = (),
    workdays: Iterable[date] = (),
) -> Calendar:
    """Working hours on some weekdays (0 = Monday); `end` at or before `start` means the next day."""
    band = (start, end if end > start else end + DAY_S)
    week = tuple((band,) if d in days else () for d in range(7))
    return Calendar(name, zone, week, frozenset(holidays), frozenset(workdays))


def _dates(month: int, first: int, last: int) -> list[date]:
    return [date(2026, month, d) for d in range(first, last + 1)]


CN_2026_HOLIDAYS = frozenset(
    d
    for span in ((1, 1, 3), (2, 15, 23), (4, 4, 6), (5, 1, 5), (6, 19, 21), (9, 25, 27), (10, 1, 7))
    for d in _dates(*span)
)
"""Public holidays of 2026. Source: 国务院办公厅关于2026年部分节假日安排的通知, 2025-11-04."""
CN_2026_WORKDAYS = frozenset(
    date(2026, m, d) for m, d in ((1, 4), (2, 14), (2, 28), (5, 9), (9, 20), (10, 10))
)
"""Weekend days that are worked in exchange. Source: the same notice."""


def default_calendars(zone: tzinfo) -> dict[str, Calendar]:
    """`24x7` and `work` (Mon–Fri 9–18 with the public holidays that are known)."""
    work = working_hours(zone, holidays=CN_2026_HOLIDAYS, workdays=CN_2026_WORKDAYS)
    return {"24x7": ALWAYS, "work": work}


def _at(day: date, seconds: int, zone: tzinfo) -> Ms:
    wall = datetime.combine(day, datetime.min.time()) + timedelta(seconds=seconds)
    return int(wall.replace(tzinfo=zone).timestamp()) * 1000


def _raw_spans(calendar: Calendar, start: Ms) -> Iterator[Span]:
    today = datetime.fromtimestamp(start / 1000, calendar.zone).date()
    for n in range(-1, _HORIZON_DAYS):  # from yesterday: its night shift may still run
        day = today + timedelta(days=n)
        for a, b in sorted(calendar.bands(day)):
            span = (_at(day, a, calendar.zone), _at(day, b, calendar.zone))
            if span[1] > span[0]:
                yield span


def spans(calendar: Calendar, start: Ms, excluded: Sequence[Span] = ()) -> Iterator[Span]:
    """Working time from `start` on, in order and disjoint, without what is excluded.

    `excluded` must be in order and disjoint. Ends after about two years (24x7: never).
    """
    if not calendar.week:
        yield from _without(start, FOREVER, excluded)
        return
    pending: Span | None = None
    for a, b in _raw_spans(calendar, start):
        if pending and a <= pending[1]:
            pending = (pending[0], max(b, pending[1]))
            continue
        if pending and pending[1] > start:
            yield from _without(max(pending[0], start), pending[1], excluded)
        pending = (a, b)
    if pending and pending[1] > start:
        yield from _without(max(pending[0], start), pending[1], excluded)


def _without(start: Ms, end: Ms, excluded: Sequence[Span]) -> Iterator[Span]:
    for a, b in excluded:
        if b <= start or a >= end:
            continue
        if a > start:
            yield start, a
        start = max(start, b)
    if start < end:
        yield start, end


def add_working(start: Ms, seconds: float, calendar: Calendar, excluded: Sequence[Span] = ()) -> Ms:
    """The instant at which `seconds` of working time have passed since `start`.

    Time that ends exactly with a shift is due at the end of that shift. Raises BadInput when the calendar
    has not that much working time in the next two years.
    """
    left = round(seconds * 1000)
    if left <= 0:
        return start
    for a, b in spans(calendar, start, excluded):
        if b - a >= left:
            return a + left
        left -= b - a
    raise BadInput(
        f"no {seconds:g} s of working time within {_HORIZON_DAYS} days",
        field=calendar.name, hint="check the bands and holidays of the calendar",
    )  # fmt: skip


def working_between(start: Ms, end: Ms, calendar: Calendar, excluded: Sequence[Span] = ()) -> Ms:
    """Working milliseconds in [start, end)."""
    total = 0
    for a, b in spans(calendar, start, excluded):
        if a >= end:
            break
        total += min(b, end) - a
    return total


# ── who is on duty ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Shift:
    """People who fill a duty role in an estate (all estates when empty) during a calendar."""

    role: str
    people: tuple[tuple[str, str], ...]
    estate: str = ""
    calendar: Calendar = field(default=ALWAYS)


class Roster:
    """Who is on duty. A role that nobody put into a shift is not judged: its phone is the contractor's."""

    def __init__(self, shifts: Iterable[Shift] = ()) -> None:
        self.shifts = tuple(shifts)

    @classmethod
    def of(cls, data: Sequence[Mapping[str, Any]], names: Mapping[str, str], zone: tzinfo) -> Roster:
        """From plain data: `{duty, people: [id], estate?, days?: [mon…], from?: "20:00", to?: "08:00"}`.

        names: the people that exist. Raises BadInput with the field (`shifts.0.people.1`).
        """
        return cls(_shift(n, raw, names, zone) for n, raw in enumerate(data))

    def _of(self, role: str, estate: str) -> list[Shift]:
        return [s for s in self.shifts if s.role == role and s.estate in ("", estate)]

    def knows(self, role: str, estate: str) -> bool:
        """Whether somebody is planned for the role at any time."""
        return bool(self._of(role, estate))

    def on_duty(self, role: str, estate: str, t: Ms) -> tuple[tuple[str, str], ...]:
        """(id, name) of the people who fill the role now; each person once."""
        found: dict[str, str] = {}
        for shift in self._of(role, estate):
            if next(spans(shift.calendar, t), (FOREVER, FOREVER))[0] <= t:
                found.update(shift.people)
        return tuple(found.items())

    def table(self, estate: str, t: Ms) -> list[dict[str, Any]]:
        """[{duty, people: [{id, name}]}] of everybody on duty in the estate."""
        roles = dict.fromkeys(s.role for s in self.shifts if s.estate in ("", estate))
        return [
            {"duty": r, "people": [{"id": i, "name": n} for i, n in self.on_duty(r, estate, t)]}
            for r in roles
        ]

    def gap(self, role: str, estate: str, start: Ms, end: Ms) -> Span | None:
        """The first time in [start, end) at which the role has nobody; None when it is always filled."""
        covered = start
        open_ = [spans(s.calendar, start) for s in self._of(role, estate) if s.people]
        heads = [next(s, (FOREVER, FOREVER)) for s in open_]
        while covered < end and heads:
            n = min(range(len(heads)), key=heads.__getitem__)
            if heads[n][0] > covered:
                return covered, min(heads[n][0], end)
            covered = max(covered, heads[n][1])
            heads[n] = next(open_[n], (FOREVER, FOREVER))
        return (covered, end) if covered < end else None


def _shift(n: int, raw: Mapping[str, Any], names: Mapping[str, str], zone: tzinfo) -> Shift:
    at = f"shifts.{n}"
    unknown = set(raw) - {"duty", "people", "estate", "days", "from", "to"}
    if unknown or "duty" not in raw:
        raise BadInput(
            f"unknown {sorted(unknown)}" if unknown else "a shift needs a duty role", field=at,
            hint="duty, people, estate, days, from, to",
        )  # fmt: skip
    for k, person in enumerate(raw.get("people", ())):
        if person not in names:
            raise BadInput(f"there is no person {person!r}", field=f"{at}.people.{k}", hint="add the person")
    people = tuple((str(p), names[p]) for p in raw.get("people", ()))
    days = [d for d, name in enumerate(WEEKDAYS) if name in raw.get("days", WEEKDAYS)]
    if not days:
        raise BadInput(
            f"no weekday in {raw['days']!r}", field=f"{at}.days", hint="mon tue wed thu fri sat sun"
        )
    calendar = ALWAYS
    if {"from", "to", "days"} & set(raw):
        start, end = wall(raw.get("from", "00:00"), f"{at}.from"), wall(raw.get("to", "24:00"), f"{at}.to")
        calendar = working_hours(zone, name=at, start=start, end=end, days=days)
    return Shift(str(raw["duty"]), people, str(raw.get("estate", "")), calendar)


def wall(text: Any, field_: str) -> int:
    """Seconds after midnight of `HH:MM`. Raises BadInput."""
    hours, _, minutes = str(text).partition(":")
    if not (hours.isdigit() and minutes.isdigit() and int(minutes) < 60 and int(hours) <= 24):
        raise BadInput(f"{text!r} is not a time", field=field_, hint='write "08:30"')
    return (int(hours) * 60 + int(minutes)) * 60


def stamp(t: Ms) -> str:
    """A moment for a message to a person who may sit anywhere: ISO 8601, UTC."""
    return datetime.fromtimestamp(t / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
