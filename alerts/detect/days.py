"""Which hour of which kind of day a moment is, by the clock on the wall of the site.

Kinds of day: `WORK` and `OFF` (weekends and holidays, without the weekend days that are worked in exchange
调休). 24 hours of two kinds are what an estate's week is made of: the five working days are alike, and a
holiday on a Wednesday is like a Sunday. 168 hours of a week would need a month to be seen four times each,
three and a half times the memory, and would still take that Wednesday for a working day.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from alerts.years import CN_2026_HOLIDAYS, CN_2026_WORKDAYS, is_rest_day
from gateway.model import Ms

I8 = NDArray[np.int64]
Bool = NDArray[np.bool_]
HOURS = 24
WORK, OFF = 0, 1
QUARTER: Ms = 900_000
"""All offsets in use are whole quarters of an hour, so that within one nothing changes."""
KEPT = 4096
"""Quarters whose slot is remembered."""
DAY: Ms = 86_400_000


class Days:
    """Slots of the week: kind of day × 24 + hour. alike: all days are of one kind.

    A year's holidays are known when it has one.
    """

    __slots__ = ("_known", "_years", "alike", "holidays", "workdays", "zone")

    def __init__(
        self, zone: tzinfo = UTC, holidays: Iterable[date] = (), workdays: Iterable[date] = (),
        *, alike: bool = False,
    ) -> None:  # fmt: skip
        self.zone, self.alike = zone, alike
        self.holidays, self.workdays = frozenset(holidays), frozenset(workdays)
        self._years = frozenset(day.year for day in self.holidays)
        self._known: dict[int, tuple[int, bool]] = {}

    def slot(self, t: Ms) -> int:
        """Of one moment."""
        return self._of(t // QUARTER)[0]

    def sure(self, t: Ms) -> bool:
        """Whether the holidays of that year are known: else a day off may be taken for a working day."""
        return self._of(t // QUARTER)[1]

    def _of(self, quarter: int) -> tuple[int, bool]:
        found = self._known.get(quarter)
        if found is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            found = self._known[quarter] = self._slot(quarter)
        return found

    def slots(self, t: I8) -> I8:
        """Of many."""
        quarters, back = np.unique(t // QUARTER, return_inverse=True)
        slots = [self._of(q)[0] for q in quarters.tolist()]
        out: I8 = np.asarray(slots, np.int64)[back]
        return out

    def sures(self, t: I8) -> Bool:
        """`sure` of many."""
        quarters, back = np.unique(t // QUARTER, return_inverse=True)
        out: Bool = np.asarray([self._of(q)[1] for q in quarters.tolist()], np.bool_)[back]
        return out

    def _slot(self, quarter: int) -> tuple[int, bool]:
        try:
            local = datetime.fromtimestamp(quarter * (QUARTER // 1000), self.zone)
        except (OverflowError, ValueError, OSError):  # beyond the years that a calendar has
            hour, weekday = quarter // 4 % HOURS, (quarter * QUARTER // DAY + 3) % 7
            return (hour if self.alike else (OFF if weekday > 4 else WORK) * HOURS + hour), False
        sure = local.year in self._years
        if self.alike:
            return local.hour, sure
        kind = OFF if is_rest_day(local.date(), self.holidays, self.workdays) else WORK
        return kind * HOURS + local.hour, sure


PLAIN = Days()
"""UTC, weekends off: times that are already those of the wall."""


def dates(text: str) -> frozenset[date]:
    """`2027-01-01|2027-02-05`. Raises ValueError."""
    return frozenset(date.fromisoformat(part) for part in text.split("|") if part)


@lru_cache(maxsize=64)
def days_of(zone: str, calendar: str, holidays: str = "", workdays: str = "") -> Days:
    """Days of a time zone (IANA) with a calendar.

    calendar: `china` (public holidays and days worked in exchange, those of 2026 and what is given),
    `weekend` (Saturday, Sunday and what is given), `none` (all days are alike). Raises ValueError with the
    name of the field.
    """
    try:
        where = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"zone: {zone!r} is no time zone; write Asia/Shanghai") from None
    if calendar not in ("china", "weekend", "none"):
        raise ValueError(f"calendar: {calendar!r} must be china, weekend or none")
    more = []
    for name, text in (("holidays", holidays), ("workdays", workdays)):
        try:
            more.append(dates(text))
        except ValueError:
            raise ValueError(f"{name}: {text!r:.60} must be dates with | between: 2027-01-01") from None
    if calendar == "china":
        return Days(where, CN_2026_HOLIDAYS | more[0], CN_2026_WORKDAYS | more[1])
    return Days(where, *more, alike=calendar == "none")
