"""Time bands of the responsibility matrix: `mon-fri 22:00-06:00`, `restday`, `workday 09:00-18:00`.

A band belongs to the day on which it starts, also after midnight, as a night shift does. Whether a day is a
workday or a rest day is the public calendar's word (holidays, weekends, weekend days that are worked).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from itertools import pairwise

from alerts.calendars import WEEKDAYS, wall
from alerts.years import CN_2026_HOLIDAYS, CN_2026_WORKDAYS, is_rest_day
from gateway.errors import BadInput
from gateway.model import Ms

DAY_MIN = 1440
KINDS = ("workday", "restday")
_SPAN = re.compile(r"(\d{1,2}:\d\d)-(\d{1,2}:\d\d)")
HINT = "write for example: mon-fri 08:00-20:00, sat,sun, workday 09:00-18:00, restday, 22:00-06:00"


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute of the week as the proof walks it: the day, and of which kind it and yesterday are."""

    day: int
    minute: int
    rest: bool = False
    rest_before: bool = False


@dataclass(frozen=True, slots=True)
class TimeBand:
    """A stretch of some days.

    days: weekdays, Monday 0 · kind: workday, restday or "" for both · start, end: minutes after
    midnight of the day on which it starts; `end` may pass 1440 by up to a day.
    """

    days: frozenset[int]
    kind: str
    start: int
    end: int

    def has(self, m: Minute) -> bool:
        """Whether the minute lies in the band."""
        today = m.day in self.days and self._kind_fits(m.rest) and self.start <= m.minute < self.end
        before = (m.day - 1) % 7 in self.days and self._kind_fits(m.rest_before)
        return today or (before and self.start <= m.minute + DAY_MIN < self.end)

    def _kind_fits(self, rest: bool) -> bool:
        return not self.kind or (self.kind == "restday") == rest

    @property
    def edges(self) -> tuple[int, int]:
        """Minutes of a day at which it begins and ends."""
        return self.start % DAY_MIN, self.end % DAY_MIN


def band_of(text: str) -> TimeBand:
    """A band from its words. Raises BadInput."""
    days: set[int] = set()
    kind, span = "", (0, DAY_MIN)
    for word in re.split(r"[\s,，、]+", text.strip().lower()):
        match = _SPAN.fullmatch(word)
        if match:
            start, end = (wall(x, "band") // 60 for x in match.groups())
            if start >= DAY_MIN:
                raise BadInput(f"{text!r}: a band starts before 24:00", field="band", hint=HINT)
            span = (start, end if end > start else end + DAY_MIN)
        elif word in KINDS and not kind:
            kind = word
        else:
            days |= set(_days(word, text))
    return TimeBand(frozenset(days or range(7)), kind, *span)


def _days(word: str, text: str) -> Iterator[int]:
    first, dash, last = word.partition("-")
    if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
        raise BadInput(f"{text!r} is no time band", field="band", hint=HINT)
    a, b = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
    yield from (n % 7 for n in range(a, b + 1 if b >= a else b + 8))


class Week:
    """What minute of the week a moment is: the zone and the public calendar.

    Dates beyond the calendar's last year count by their weekday alone.
    """

    def __init__(
        self,
        zone: tzinfo,
        holidays: Iterable[date] = CN_2026_HOLIDAYS,
        workdays: Iterable[date] = CN_2026_WORKDAYS,
    ) -> None:
        self.zone = zone
        self._holidays, self._workdays = frozenset(holidays), frozenset(workdays)

    def minute(self, t: Ms) -> Minute:
        """The minute that `t` lies in, by the wall clock of the zone."""
        wall_ = datetime.fromtimestamp(t / 1000, self.zone)
        today = wall_.date()
        return Minute(
            today.weekday(), wall_.hour * 60 + wall_.minute, self.rest(today),
            self.rest(today - timedelta(days=1)),
        )  # fmt: skip

    def rest(self, day: date) -> bool:
        """Whether nobody works on that day by the public calendar."""
        return is_rest_day(day, self._holidays, self._workdays)


def cells(bands: Iterable[TimeBand]) -> Iterator[tuple[Minute, int]]:
    """The week in the fewest pieces in which no band changes: (first minute, last minute + 1 of that day).

    For each day the four combinations of its kind and yesterday's, so that what is proven of the pieces
    holds for every minute of every year.
    """
    bands = tuple(bands)
    cuts = sorted({0, DAY_MIN, *(e for b in bands for e in b.edges)})
    kinds = ((False, False), (False, True), (True, False), (True, True))
    for day in range(7):
        for rest, before in kinds if any(b.kind for b in bands) else kinds[:1]:
            for a, b in pairwise(cuts):
                yield Minute(day, a, rest, before), b


def meet(a: TimeBand, b: TimeBand) -> bool:
    """Whether some minute lies in both."""
    return any(a.has(m) and b.has(m) for m, _ in cells((a, b)))


def clock(minute: int) -> str:
    """`08:30` of a minute after midnight."""
    return f"{minute // 60:02d}:{minute % 60:02d}"
