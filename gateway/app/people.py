"""Joins people, shifts, leave, the public calendar and the handover to the dispatch half of the brain."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from alerts.assigner import Assigner
from alerts.bands import Week
from alerts.calendars import Calendar, Roster, default_calendars
from alerts.desk import Dispatch
from alerts.handover import HandoverBook
from alerts.people import Demands, Person, Staff, demands_of, people_of
from alerts.people_notices import people_notices
from alerts.staffing import StaffBook
from alerts.years import Years, years_of
from gateway.app.policy import shipped
from gateway.app.setup import Setup
from gateway.config import yamlmarks
from gateway.errors import BadInput, Problems
from gateway.ports import AccountStore

Plain = Sequence[Mapping[str, Any]]


def names_of(setup: Setup, accounts: AccountStore | None = None) -> dict[str, str]:
    """Names by id: of the people of the site file, and of those who were made since. Blocking."""
    made = {u.id: str(u.body.get("name") or u.id) for u in accounts.users()} if accounts else {}
    return {p.id: p.name for p in setup.site.file.people} | made


def years(setup: Setup, own: Plain | None = None) -> Years:
    """The public calendar: 2026, and what the site file or the settings add. Raises BadInput."""
    return years_of(setup.site.file.calendars if own is None else own)


def week(setup: Setup, known: Years) -> Week:
    """The site's week under those holidays."""
    return Week(setup.site.timezone, known.holidays, known.workdays)


def demands(setup: Setup) -> Demands:
    """Which work asks for which certificate. Raises BadInput."""
    return demands_of(shipped("certificates.yaml")[0], setup.site.file.certificate_needs)


def staff_of(
    setup: Setup,
    own: Plain | None,
    names: Mapping[str, str],
    known: Years,
    today: date | None = None,
    had: Mapping[str, Person] | None = None,
) -> Staff:
    """Records of people: of the site file, or `own` as edited.

    today: refuse certificates that ended before and are not in `had`, the records as they are.
    Raises Problems.
    """
    asked = demands(setup)
    data = setup.site.file.staff if own is None else own
    return Staff(people_of(data, names, asked.kinds, today=today, had=had), asked, week(setup, known))


def calendars_of(setup: Setup, known: Years) -> dict[str, Calendar]:
    """The calendars of clocks under those holidays."""
    return default_calendars(setup.site.timezone, known.holidays, known.workdays)


def roster_of(
    setup: Setup,
    own: Plain | None,
    names: Mapping[str, str],
    known: Years,
    *,
    roles: Container[str] | None = None,
) -> Roster:
    """Who is on duty: from the file, or `own` as edited. roles: refuse duties that do not exist.

    Raises BadInput.
    """
    data = list(setup.site.file.shifts if own is None else own)
    for n, shift in enumerate(data):
        duty = shift.get("duty")
        if roles is not None and duty is not None and (not isinstance(duty, str) or duty not in roles):
            said, hint = f"there is no duty role {duty!r:.40}", f"known: {', '.join(setup.roles)}"
            raise BadInput(said, field=f"shifts.{n}.duty", hint=hint)
    return Roster.of(data, names, setup.site.timezone, holidays=known.holidays, workdays=known.workdays)


def add_people(setup: Setup, dispatch: Dispatch) -> StaffBook:
    """The books of people and handovers, and what assigns orders."""
    known, names = years(setup), names_of(setup)
    book = StaffBook(
        setup.site.firm_of, names, roster=roster_of(setup, None, names, known),
        staff=staff_of(setup, None, names, known), years=known, use=dispatch.use_roster,
    )  # fmt: skip
    dispatch.add(book)
    silences = (b for b in dispatch.books if "silence" in b.kinds)
    kept = next(silences, None)
    dispatch.add(
        HandoverBook(
            setup.site.firm_of, dispatch.book.alarms, dispatch.orders.orders, lambda: book.roster,
            kept.dump if kept is not None else lambda: (),
        )
    )  # fmt: skip
    dispatch.tellers.append(lambda events: people_notices(events, setup.site.timezone))
    dispatch.orders.assigner = Assigner(book, dispatch.orders.orders, setup.assets)
    return book


def people_faults(setup: Setup) -> list[BadInput]:
    """What is wrong with `staff`, `calendars` and `certificate_needs` of the site file, by line."""
    found: list[BadInput] = []
    try:
        known = years(setup)
    except BadInput as e:
        found.append(_placed(setup, e))
        known = Years()
    try:
        staff_of(setup, None, names_of(setup), known)
    except Problems as e:
        found += [_placed(setup, p) for p in e.problems]
    except BadInput as e:
        found.append(_placed(setup, e))
    return found


def _placed(setup: Setup, e: BadInput) -> BadInput:
    path: yamlmarks.Path_ = tuple(int(x) if x.isdigit() else x for x in e.field.split("."))
    return setup.site.marks.error(path, e.message, e.hint)


def plain(records: Iterable[Mapping[str, Any]], meta: Iterable[str]) -> list[dict[str, Any]]:
    """Records as they were given, without what the store adds."""
    hidden = set(meta)
    return [{k: v for k, v in r.items() if k not in hidden} for r in records]
