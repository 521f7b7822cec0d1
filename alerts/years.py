"""Years of the public calendar: holidays and the weekend days that are worked in exchange 调休.

The State Council publishes a year in the autumn before it. 2026 is built in; a later year is a small record
that is added when it is out: {year, holidays: [2027-01-01, 2027-02-05/2027-02-13], workdays: [], source}.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from alerts.shapes import is_list
from gateway.errors import BadInput

WARN_DAYS = 60
"""So long before the last known year ends somebody is told."""


def is_rest_day(day: date, holidays: Collection[date], workdays: Collection[date]) -> bool:
    """A holiday, or a weekend day that is not worked in exchange."""
    return day in holidays or (day.weekday() > 4 and day not in workdays)


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


@dataclass(frozen=True, slots=True)
class Year:
    """One year of the public calendar. source: the notice that it was taken from."""

    year: int
    holidays: frozenset[date]
    workdays: frozenset[date]
    source: str = ""


CN_2026 = Year(
    2026, CN_2026_HOLIDAYS, CN_2026_WORKDAYS, "国务院办公厅关于2026年部分节假日安排的通知, 2025-11-04"
)


@dataclass(frozen=True, slots=True)
class Years:
    """All years that are known; a later one of the same number takes the place of the earlier."""

    years: Mapping[int, Year] = field(default_factory=lambda: {2026: CN_2026})

    @property
    def holidays(self) -> frozenset[date]:
        """Of all years."""
        return frozenset(d for y in self.years.values() for d in y.holidays)

    @property
    def workdays(self) -> frozenset[date]:
        """Of all years."""
        return frozenset(d for y in self.years.values() for d in y.workdays)

    def last_day(self, today: date) -> date:
        """The last day that is known without a year missing between; `today` itself must be known, too."""
        year = today.year
        if year not in self.years:
            return date(year, 1, 1) - timedelta(days=1)
        while year + 1 in self.years:
            year += 1
        return date(year, 12, 31)


def years_of(data: Iterable[Mapping[str, Any]]) -> Years:
    """2026 and what is given. Raises BadInput with the field (`calendars.0.holidays.2`)."""
    found = {2026: CN_2026}
    for n, raw in enumerate(data):
        year = _year(f"calendars.{n}", raw)
        found[year.year] = year
    return Years(found)


def _year(at: str, raw: Mapping[str, Any]) -> Year:
    unknown = set(raw) - {"year", "holidays", "workdays", "source"}
    number = raw.get("year")
    if unknown or type(number) is not int or not 2020 <= number <= 2100:
        raise BadInput(
            f"unknown {sorted(unknown)}" if unknown else f"{number!r} is no year", field=f"{at}.year",
            hint="year: 2027, holidays: [2027-01-01/2027-01-03], workdays: [2027-01-04], source: …",
        )  # fmt: skip
    holidays = frozenset(_days(at, "holidays", raw, number))
    workdays = frozenset(_days(at, "workdays", raw, number))
    if not holidays:
        raise BadInput("a year has holidays", field=f"{at}.holidays", hint="copy them from the notice")
    both = holidays & workdays
    if both:
        raise BadInput(f"{min(both)} is both holiday and workday", field=f"{at}.workdays", hint="remove one")
    wrong = [d for d in workdays if d.weekday() < 5]
    if wrong:
        raise BadInput(
            f"{min(wrong)} is no weekend day", field=f"{at}.workdays", hint="only weekend days are exchanged"
        )
    return Year(number, holidays, workdays, str(raw.get("source", "")))


def _days(at: str, name: str, raw: Mapping[str, Any], year: int) -> Iterator[date]:
    if not is_list(raw.get(name)):
        raise BadInput("a list of days is needed", field=f"{at}.{name}", hint="[2027-01-01/2027-01-03]")
    for k, words in enumerate(raw.get(name) or ()):
        first, _, last = str(words).partition("/")
        try:
            a, b = date.fromisoformat(first), date.fromisoformat(last or first)
        except ValueError as e:
            raise BadInput(
                f"{words!r} is no day", field=f"{at}.{name}.{k}", hint="2027-01-01 or 2027-01-01/2027-01-03"
            ) from e
        if b < a or {a.year, b.year} != {year}:
            raise BadInput(
                f"{words!r} is no stretch of {year}", field=f"{at}.{name}.{k}", hint="first/last day"
            )
        yield from (a + timedelta(days=n) for n in range((b - a).days + 1))
