"""Working time, exact to the second: calendars with shifts over midnight, holidays, and who is on duty.

Bands are wall-clock times of the calendar's zone; sums are taken in UTC, so that a night in which the clock
is changed counts its true seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any

from alerts.shapes import check_shape
from alerts.years import CN_2026_HOLIDAYS, CN_2026_WORKDAYS, is_rest_day
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
    (a weekend day that is worked in exchange, 调休) has those of Monday. With `kind` (workday or restday) the
    bands of the weekday hold on days of that kind alone. `first`, `last`: the dates of the first and the last
    start · `every`: it starts every so many days from `first` on (24 h on, 48 h off: 3).
    """

    name: str
    zone: tzinfo = UTC
    week: tuple[tuple[Band, ...], ...] = ()
    holidays: frozenset[date] = frozenset()
    workdays: frozenset[date] = frozenset()
    kind: str = ""
    first: date | None = None
    last: date | None = None
    every: int = 1

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
        if self.first is not None and (day < self.first or (day - self.first).days % self.every):
            return ()
        if self.last is not None and day > self.last:
            return ()
        if self.kind:
            rest = is_rest_day(day, self.holidays, self.workdays)
            return self.week[day.weekday()] if rest == (self.kind == "restday") else ()
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


def default_calendars(
    zone: tzinfo,
    holidays: Iterable[date] = CN_2026_HOLIDAYS,
    workdays: Iterable[date] = CN_2026_WORKDAYS,
) -> dict[str, Calendar]:
    """`24x7` and `work` (Mon–Fri 9–18 with the public holidays that are known)."""
    return {"24x7": ALWAYS, "work": working_hours(zone, holidays=holidays, workdays=workdays)}


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


def open_at(calendar: Calendar, t: Ms) -> bool:
    """Whether work is done at this moment."""
    if not calendar.week:
        return True
    today = datetime.fromtimestamp(t / 1000, calendar.zone).date()
    return any(
        _at(day, a, calendar.zone) <= t < _at(day, b, calendar.zone)
        for day in (today - timedelta(days=1), today)
        for a, b in calendar.bands(day)
    )


def add_working(start: Ms, seconds: float, calendar: Calendar, excluded: Sequence[Span] = ()) -> Ms:
    """The instant at which `seconds` of working time have passed since `start`.

    Time that ends exactly with a shift is due at the end of that shift. Raises BadInput when the calendar
    has not that much working time in the next two years.
    """
    left = round(seconds * 1000)
    if left <= 0:
        return start
    if not calendar.week and not excluded:
        return start + left
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

Named = tuple[str, str]
"""(id, name) of a person."""
People = tuple[Named, ...]


@dataclass(frozen=True)
class Shift:
    """People who fill a duty role in an estate (all estates when empty) during a calendar."""

    role: str
    people: tuple[Named, ...]
    estate: str = ""
    calendar: Calendar = field(default=ALWAYS)


@dataclass(frozen=True, slots=True)
class Absence:
    """Approved leave of a person in [start, end), or a swap: `stand_in` takes the shifts of that time."""

    person: str
    start: Ms
    end: Ms
    stand_in: Named | None = None


class Roster:
    """Who is on duty. A role that nobody put into a shift is not judged: its phone is the contractor's."""

    def __init__(self, shifts: Iterable[Shift] = (), absences: Iterable[Absence] = ()) -> None:
        self.shifts = tuple(shifts)
        self.absences = tuple(absences)

    @classmethod
    def of(
        cls,
        data: Sequence[Mapping[str, Any]],
        names: Mapping[str, str],
        zone: tzinfo,
        *,
        holidays: Iterable[date] = CN_2026_HOLIDAYS,
        workdays: Iterable[date] = CN_2026_WORKDAYS,
    ) -> Roster:
        """From plain data with SHIFT_KEYS. names: the people that exist.

        Raises BadInput with the field (`shifts.0.people.1`).
        """
        years = (frozenset(holidays), frozenset(workdays))
        return cls(_shift(n, raw, names, zone, years) for n, raw in enumerate(data))

    def with_absences(self, absences: Iterable[Absence]) -> Roster:
        """The same shifts with these absences in place of its own."""
        return Roster(self.shifts, absences)

    def _of(self, role: str, estate: str) -> list[Shift]:
        return [s for s in self.shifts if s.role == role and s.estate in ("", estate)]

    def knows(self, role: str, estate: str) -> bool:
        """Whether somebody is planned for the role at any time."""
        return bool(self._of(role, estate))

    def on_duty(self, role: str, estate: str, t: Ms) -> tuple[Named, ...]:
        """(id, name) of the people who fill the role now; each person once."""
        found: dict[str, str] = {}
        for shift in self._of(role, estate):
            if open_at(shift.calendar, t):
                found.update(self._present(shift.people, t))
        return tuple(found.items())

    def _present(self, people: Iterable[Named], t: Ms) -> Iterator[Named]:
        for person in people:
            away = next((a for a in self.absences if a.person == person[0] and a.start <= t < a.end), None)
            if away is None:
                yield person
            elif away.stand_in is not None:
                yield from self._present_once(away.stand_in, t)

    def _present_once(self, person: Named, t: Ms) -> Iterator[Named]:
        if not any(a.person == person[0] and a.start <= t < a.end for a in self.absences):
            yield person

    def table(self, estate: str, t: Ms) -> list[dict[str, Any]]:
        """[{duty, people: [{id, name}]}] of everybody on duty in the estate."""
        roles = dict.fromkeys(s.role for s in self.shifts if s.estate in ("", estate))
        return [
            {"duty": r, "people": [{"id": i, "name": n} for i, n in self.on_duty(r, estate, t)]}
            for r in roles
        ]

    def gap(self, role: str, estate: str, start: Ms, end: Ms) -> Span | None:
        """The first time in [start, end) at which the role has nobody; None when it is always filled."""
        return next(self.gaps(role, estate, start, end), None)

    def gaps(self, role: str, estate: str, start: Ms, end: Ms) -> Iterator[Span]:
        """All times in [start, end) at which the role has nobody, in order."""
        covered = start
        manned = sorted(x for s in self._of(role, estate) if s.people for x in self._manned(s, start, end))
        for a, b in manned:
            if a > covered:
                yield covered, a
            covered = max(covered, b)
        if covered < end:
            yield covered, end

    def _manned(self, shift: Shift, start: Ms, end: Ms) -> Iterator[Span]:
        """Times of the shift in [start, end) at which one of its people is there."""
        cuts = sorted({t for a in self.absences for t in (a.start, a.end) if start < t < end})
        for a, b in spans(shift.calendar, start):
            if a >= end:
                return
            edges = [a, *(t for t in cuts if a < t < b), min(b, end)]
            for x, y in pairwise(edges):
                if not self.absences or next(self._present(shift.people, x), None):
                    yield x, y

    def changes(self, role: str, estate: str, start: Ms, end: Ms) -> Iterator[tuple[Ms, People, People]]:
        """Moments in (start, end] at which other people fill the role: (t, who before, who from then on)."""
        times = {t for a in self.absences for t in (a.start, a.end)}
        for shift in self._of(role, estate):
            for a, b in spans(shift.calendar, start - DAY_S * 1000):
                if a > end:
                    break
                times |= {a, b}
        for t in sorted(t for t in times if start < t <= end):
            before, after = self.on_duty(role, estate, t - 1), self.on_duty(role, estate, t)
            if set(before) != set(after):
                yield t, before, after


# {duty: CR, people: [li], from: "20:00", to: "08:00", on: workday, first: 2026-11-01, every: 3}
SHIFT_KEYS = ("duty", "people", "estate", "days", "from", "to", "on", "first", "last", "every")
Years = tuple[frozenset[date], frozenset[date]]


def _shift(n: int, raw: Mapping[str, Any], names: Mapping[str, str], zone: tzinfo, years: Years) -> Shift:
    at = f"shifts.{n}"
    unknown = set(raw) - set(SHIFT_KEYS)
    if unknown or "duty" not in raw:
        raise BadInput(
            f"unknown {sorted(unknown)}" if unknown else "a shift needs a duty role", field=at,
            hint=", ".join(SHIFT_KEYS),
        )  # fmt: skip
    check_shape(raw, at, texts=("duty", "estate", "on"), lists=("people", "days"))
    for k, person in enumerate(raw.get("people", ())):
        if person not in names:
            raise BadInput(f"there is no person {person!r}", field=f"{at}.people.{k}", hint="add the person")
    people = tuple((str(p), names[p]) for p in raw.get("people", ()))
    calendar = _calendar(at, raw, zone, years) if set(raw) - {"duty", "people", "estate"} else ALWAYS
    return Shift(str(raw["duty"]), people, str(raw.get("estate", "")), calendar)


def _calendar(at: str, raw: Mapping[str, Any], zone: tzinfo, years: Years) -> Calendar:
    """When the shift is worked."""
    for k, name in enumerate(raw.get("days", ())):
        if name not in WEEKDAYS:
            raise BadInput(
                f"no weekday: {name!r}", field=f"{at}.days.{k}", hint="mon tue wed thu fri sat sun"
            )
    days = [d for d, name in enumerate(WEEKDAYS) if name in raw.get("days", WEEKDAYS)]
    if not days:
        raise BadInput("no weekday is named", field=f"{at}.days", hint="mon tue wed thu fri sat sun")
    if raw.get("on", "") not in ("", "workday", "restday"):
        raise BadInput(f"{raw['on']!r} is no kind of day", field=f"{at}.on", hint="workday or restday")
    start, end = wall(raw.get("from", "00:00"), f"{at}.from"), wall(raw.get("to", "24:00"), f"{at}.to")
    if start >= DAY_S:
        raise BadInput("a shift starts before 24:00", field=f"{at}.from", hint='write "00:00"')
    first, last = (_day(raw.get(k), f"{at}.{k}") for k in ("first", "last"))
    if first and last and last < first:
        raise BadInput(
            f"the shift ends ({last}) before it begins ({first})", field=f"{at}.last", hint="swap the dates"
        )
    every = raw.get("every", 1)
    if type(every) is not int or not 1 <= every <= 60 or (every > 1 and first is None):
        raise BadInput(
            f"every {every!r} days needs a whole number of 1 to 60 and `first`", field=f"{at}.every",
            hint="first: 2026-11-01, every: 3",
        )  # fmt: skip
    plain = working_hours(zone, name=at, start=start, end=end, days=days)
    holidays, workdays = years if raw.get("on") else (frozenset[date](), frozenset[date]())
    return replace(
        plain, kind=str(raw.get("on", "")), holidays=holidays, workdays=workdays, first=first, last=last,
        every=every,
    )  # fmt: skip


def _day(value: Any, field_: str) -> date | None:
    if value in (None, ""):
        return None
    try:
        return date.fromisoformat(str(value))
    except ValueError as e:
        raise BadInput(f"{value!r} is no date", field=field_, hint="write 2026-11-30") from e


def wall(text: Any, field_: str) -> int:
    """Seconds after midnight of `HH:MM`. Raises BadInput."""
    hours, _, minutes = str(text).partition(":")
    if not (hours.isdecimal() and minutes.isdecimal() and int(minutes) < 60 and int(hours) <= 24):
        raise BadInput(f"{text!r} is not a time", field=field_, hint='write "08:30"')
    return (int(hours) * 60 + int(minutes)) * 60


def stamp(t: Ms) -> str:
    """A moment for a message to a person who may sit anywhere: ISO 8601, UTC."""
    return datetime.fromtimestamp(t / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
