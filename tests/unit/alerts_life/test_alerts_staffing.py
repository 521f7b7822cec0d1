from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest

from alerts.bands import Week
from alerts.calendars import Roster
from alerts.people import Certificate, Person, Staff, demands_of
from alerts.people_notices import people_notices
from alerts.staffing import DAY, HOUR, StaffBook
from alerts.years import Years, years_of
from gateway.config import yamlmarks
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Actor, Event, Scope
from tests.unit.alerts_life.life_kit import DEFAULTS, LEAD, LIFT_TECH, ZONE, cmd

NAMES = {"li": "Li", "wu": "Wu", "zhao": "Zhao"}
FIRMS = {"e1": "f1", "e2": "f2"}
BOSS = Actor("boss", "Boss", "manager")
WU = Actor("wu", "Wu", "technician", frozenset({"CR"}))
DEMANDS = demands_of(yamlmarks.load(DEFAULTS / "certificates.yaml")[0])


def sh(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=ZONE).timestamp()) * 1000  # type: ignore[misc,arg-type]  # year, month, …


MONDAY = sh(2026, 11, 23, 8)
SHIFTS = [
    {"duty": "TE", "people": ["li"], "estate": "e1"},
    {"duty": "CR", "people": ["wu"], "estate": "e1", "first": "2026-11-01", "last": "2026-12-02"},
]


def make(shifts: list[dict[str, Any]] = SHIFTS, *people: Person, years: Years | None = None) -> StaffBook:
    staff = Staff(people, week=Week(ZONE))
    plenty = years_of([{"year": 2027, "holidays": ["2027-01-01"]}])
    roster = Roster.of(shifts, NAMES, ZONE)
    return StaffBook(FIRMS, NAMES, roster=roster, staff=staff, years=years or plenty)


def leave(book: StaffBook, **k: Any) -> str:
    data: dict[str, Any] = {"start": MONDAY + 2 * DAY, "end": MONDAY + 3 * DAY, "reason": "wedding", **k}
    _, answer = book.command(cmd("leave.ask", "li", MONDAY, LIFT_TECH, **data))
    return str(answer["leave"]["id"])


def run(book: StaffBook, start: int, hours: int, every: int = HOUR) -> list[Event]:
    return [e for n in range(0, hours * HOUR, every) for e in book.tick(start + n)]


# ── leave and swaps ───────────────────────────────────────────────────────────────────────────────


def test_leave_holds_once_a_supervisor_approved_it_and_says_which_shift_it_empties() -> None:
    book = make()
    held: list[Roster] = []
    book._use = held.append
    id_ = leave(book)
    in_it = MONDAY + 2 * DAY + HOUR
    assert [p for p, _ in book.roster.on_duty("TE", "e1", in_it)] == ["li"]
    (event,), answer = book.command(cmd("leave.approve", id_, MONDAY, BOSS))
    assert book.roster.on_duty("TE", "e1", in_it) == ()
    assert book.roster.on_duty("TE", "e1", MONDAY + 3 * DAY) == (("li", "Li"),)
    assert held[-1] is book.roster
    assert answer["empty"] == [
        {"estate": "e1", "duty": "TE", "from": MONDAY + 2 * DAY, "to": MONDAY + 3 * DAY}
    ]
    assert (event.kind, event.actor, event.data["state"]) == ("leave.approved", "boss", "approved")
    book.command(cmd("leave.withdraw", id_, MONDAY, LIFT_TECH))
    assert book.roster.on_duty("TE", "e1", in_it) == (("li", "Li"),)


def test_a_swap_puts_the_other_person_into_the_shift_once_that_person_said_yes() -> None:
    book = make()
    id_ = leave(book, swap=True, stand_in="wu")
    with pytest.raises(Conflict, match="Wu has not said yes"):
        book.command(cmd("leave.approve", id_, MONDAY, BOSS))
    for other in (LIFT_TECH, BOSS):
        with pytest.raises(Forbidden, match="only who is asked"):
            book.command(cmd("leave.accept", id_, MONDAY, other))
    (event,), _ = book.command(cmd("leave.accept", id_, MONDAY, WU))
    assert (event.kind, event.data["accepted_at"], event.data["state"]) == ("leave.accepted", MONDAY, "asked")
    with pytest.raises(Conflict, match="already accepted by wu"):
        book.command(cmd("leave.accept", id_, MONDAY + 1, WU))
    assert book.roster.on_duty("TE", "e1", MONDAY + 2 * DAY) == (("li", "Li"),), "not approved yet"
    _, answer = book.command(cmd("leave.approve", id_, MONDAY, BOSS))
    assert answer["empty"] == []
    assert book.roster.on_duty("TE", "e1", MONDAY + 2 * DAY) == (("wu", "Wu"),)
    assert book.roster.gap("TE", "e1", MONDAY, MONDAY + 7 * DAY) is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"end": MONDAY + DAY, "start": MONDAY + 2 * DAY}, "ends before it begins"),
        ({"end": "tomorrow"}, "ends before it begins"),
        ({"start": MONDAY - 3 * DAY, "end": MONDAY - 2 * DAY}, "is over"),
        ({"end": MONDAY + 400 * DAY}, "longer than a year"),
        ({"swap": True}, "needs who stands in"),
        ({"stand_in": "li"}, "cannot stand in"),
        ({"stand_in": "nobody"}, "cannot stand in"),
    ],
)  # fmt: skip
def test_a_leave_that_cannot_be_is_refused(data: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        leave(make(), **data)


def test_who_may_ask_and_decide() -> None:
    book = make()
    times = {"start": MONDAY + DAY, "end": MONDAY + 2 * DAY}
    with pytest.raises(Forbidden, match="ask for yourself"):
        book.command(cmd("leave.ask", "wu", MONDAY, LIFT_TECH, **times))
    with pytest.raises(NotFound):
        book.command(cmd("leave.ask", "nobody", MONDAY, BOSS, **times))
    with pytest.raises(BadInput):
        book.command(cmd("leave.dance", "li", MONDAY, BOSS))
    stranger = Actor("x", "X", "manager", scope=Scope(firms=frozenset({"f2"})))
    with pytest.raises(NotFound):
        book.command(cmd("leave.ask", "li", MONDAY, stranger, **times))
    _, asked = book.command(cmd("leave.ask", "zhao", MONDAY, LEAD, **times))
    id_ = asked["leave"]["id"]
    with pytest.raises(Forbidden, match="their own"):
        book.command(cmd("leave.approve", id_, MONDAY, LEAD))
    with pytest.raises(Forbidden, match="may not do"):
        book.command(cmd("leave.approve", id_, MONDAY, LIFT_TECH))
    with pytest.raises(NotFound):
        book.command(cmd("leave.approve", id_, MONDAY, stranger))
    with pytest.raises(Forbidden, match="only the person"):
        book.command(cmd("leave.withdraw", id_, MONDAY, LIFT_TECH))
    with pytest.raises(Conflict, match="lies in that time already"):
        book.command(cmd("leave.ask", "zhao", MONDAY, LEAD, **times))
    book.command(cmd("leave.refuse", id_, MONDAY, BOSS, version=1))
    with pytest.raises(Conflict, match="already refused by boss"):
        book.command(cmd("leave.approve", id_, MONDAY, BOSS))
    with pytest.raises(Conflict, match="look again"):
        book.command(cmd("leave.approve", id_, MONDAY, BOSS, version=1))


def test_who_is_asked_to_stand_in_hears_of_it_and_may_say_no() -> None:
    book = make()
    data: dict[str, Any] = {
        "start": MONDAY + 2 * DAY,
        "end": MONDAY + 3 * DAY,
        "swap": True,
        "stand_in": "wu",
    }
    asked, answer = book.command(cmd("leave.ask", "li", MONDAY, LIFT_TECH, **data))
    (notice,) = people_notices(asked, ZONE)
    assert (notice.to, notice.person, notice.channel) == ("TE", "wu", "push")
    assert "Li" in notice.title["en"]
    assert "11-25 08:00 – 11-26 08:00" in notice.body["zh"]
    id_ = answer["leave"]["id"]
    said, answer = book.command(cmd("leave.decline", id_, MONDAY, WU, reason="away myself"))
    assert (answer["leave"]["state"], answer["leave"]["note"]) == ("declined", "away myself")
    assert [n.to for n in people_notices(said, ZONE)] == ["DM"]
    with pytest.raises(Conflict, match="already declined by wu at 2026-11-23"):
        book.command(cmd("leave.approve", id_, MONDAY, BOSS))
    book.command(cmd("leave.ask", "li", MONDAY, LIFT_TECH, **data))  # another one may be asked now


def test_who_asks_for_a_swap_with_oneself_has_said_yes() -> None:
    book = make()
    boss = Actor("zhao", "Zhao", "supervisor")
    data: dict[str, Any] = {
        "start": MONDAY + 2 * DAY,
        "end": MONDAY + 3 * DAY,
        "swap": True,
        "stand_in": "zhao",
    }
    asked, answer = book.command(cmd("leave.ask", "li", MONDAY, boss, **data))
    assert answer["leave"]["accepted_at"] == MONDAY
    assert not list(people_notices(asked, ZONE))
    book.command(cmd("leave.approve", answer["leave"]["id"], MONDAY, BOSS))
    assert book.roster.on_duty("TE", "e1", MONDAY + 2 * DAY) == (("zhao", "Zhao"),)


def certified(id_: str, expires: date | None) -> Person:
    held = (Certificate("electrician", "E-1", expires),) if expires else ()
    return Person(id_, NAMES[id_], "e1", certificates=held)


# li's certificate, wu's, and what is said (the swap is on November 25, 8:00, to 26, 8:00)
STAND_INS = [
    (date(2027, 5, 1), date(2027, 5, 1), ""),
    (date(2027, 5, 1), date(2026, 11, 26), ""),
    (date(2027, 5, 1), date(2026, 11, 25), "certificate E-1 ended on 2026-11-25"),
    (date(2027, 5, 1), None, "no Electrician, low voltage"),
    (None, None, ""),  # li may not do it either: the shift loses nothing
    (date(2026, 11, 1), None, ""),
]  # fmt: skip


@pytest.mark.parametrize(("mine", "theirs", "said"), STAND_INS)
def test_a_stand_in_has_the_certificates_that_the_shift_needs(
    mine: date | None, theirs: date | None, said: str
) -> None:
    book = make(SHIFTS, certified("li", mine), certified("wu", theirs))
    book.staff = Staff(book.staff.people.values(), DEMANDS, Week(ZONE))
    if not said:
        id_ = leave(book, swap=True, stand_in="wu")
        book.command(cmd("leave.accept", id_, MONDAY, WU))
        book.command(cmd("leave.approve", id_, MONDAY, BOSS))
        return
    with pytest.raises(BadInput, match=f"Wu cannot stand in for Li: TE .*: {said}") as e:
        leave(book, swap=True, stand_in="wu")
    assert e.value.field == "stand_in"
    assert "Wu 不能替 Li 当班" in str(e.value)


def test_a_certificate_that_is_taken_away_after_the_yes_stops_the_approval() -> None:
    book = make(SHIFTS, certified("li", date(2027, 5, 1)), certified("wu", date(2027, 5, 1)))
    book.staff = Staff(book.staff.people.values(), DEMANDS, Week(ZONE))
    id_ = leave(book, swap=True, stand_in="wu")
    book.command(cmd("leave.accept", id_, MONDAY, WU))
    book.use_staff(Staff([certified("li", date(2027, 5, 1)), certified("wu", None)], DEMANDS, Week(ZONE)))
    with pytest.raises(Forbidden, match="Wu cannot stand in for Li"):
        book.command(cmd("leave.approve", id_, MONDAY, BOSS))
    assert book.leaves[id_].state == "asked"


def test_only_the_shifts_within_the_time_count() -> None:
    shifts: list[dict[str, Any]] = [
        {"duty": "CR", "people": ["li"], "estate": "e1", "days": ["wed"]},
        {"duty": "TE", "people": ["li"], "estate": "e1", "days": ["sun"]},
    ]
    book = make(shifts, certified("li", date(2027, 5, 1)), certified("wu", None))
    book.staff = Staff(book.staff.people.values(), DEMANDS, Week(ZONE))
    assert book.duties("li", "e1") == {"CR", "TE"}
    leave(
        book, swap=True, stand_in="wu"
    )  # Wednesday morning to Thursday: the electrician's shift is on Sunday


def test_a_leave_of_before_stand_ins_were_asked_loads() -> None:
    book = make()
    id_ = leave(book, swap=True, stand_in="wu")
    (record,) = [r for r in book.dump() if r[0] == "leave"]
    old = {k: v for k, v in record[3].items() if k != "accepted_at"}
    fresh = make()
    fresh.load("leave", id_, old)
    with pytest.raises(Conflict, match="has not said yes"):
        fresh.command(cmd("leave.approve", id_, MONDAY, BOSS))
    fresh.load("leave", id_, {**old, "state": "approved"})
    assert fresh.roster.on_duty("TE", "e1", MONDAY + 2 * DAY) == (("wu", "Wu"),), "what was approved holds on"


# ── what runs out ─────────────────────────────────────────────────────────────────────────────────


def test_an_empty_shift_is_told_seven_days_and_one_day_ahead_once_each() -> None:
    book = make()
    hole = sh(2026, 12, 3)
    events = run(book, MONDAY, 14 * 24)
    told = [(e.kind, e.subject, e.data["days"], e.data["from"], e.t) for e in events]
    assert told == [
        ("roster.empty", "e1/CR", 7, hole, hole - 7 * DAY), ("roster.empty", "e1/CR", 1, hole, hole - DAY),
    ]  # fmt: skip
    notices = list(people_notices(events, ZONE))
    assert {(n.to, n.channel) for n in notices} == {("DM", "push"), ("DM", "sms")}
    assert "12-03 00:00" in notices[0].body["zh"]
    assert [len(list(people_notices([e], ZONE))) for e in events] == [1, 2], "the day before, by SMS too"


def test_a_role_that_is_always_empty_is_told_once_not_every_hour() -> None:
    book = make([{"duty": "PM", "people": [], "estate": "e1"}])
    assert len(run(book, MONDAY, 30 * 24)) == 1


def test_a_restart_tells_nothing_twice_and_what_fell_into_it_all_the_same() -> None:
    one, two = make(), make()
    first = run(one, MONDAY, 4 * 24)
    assert len(first) == 1
    for kind, id_, _, body in one.dump():
        two.load(kind, id_, body)
    assert [e.data["days"] for e in run(two, MONDAY + 4 * DAY, 14 * 24)] == [1]
    late = make()
    (told,) = late.tick(sh(2026, 12, 2, 12))
    assert (told.data["days"], told.t) == (1, sh(2026, 12, 2, 12)), "never a warning from the past"


def test_certificates_are_told_60_30_7_days_ahead_and_when_they_have_ended() -> None:
    person = Person("li", "Li", "e1", certificates=(Certificate("electrician", "E-1", date(2027, 2, 1)),))
    book = make([], person)
    events = [e for e in run(book, sh(2026, 11, 23), 24 * 80, 6 * HOUR) if e.kind.startswith("certificate")]
    assert [(e.kind.partition(".")[2], e.data["days"]) for e in events] == [
        ("expiring", 60), ("expiring", 30), ("expiring", 7), ("expiring", 0), ("expired", -1),
    ]  # fmt: skip
    assert events[0].t == sh(2026, 12, 3)
    late = make([], person)
    assert [e.data["days"] for e in late.tick(sh(2027, 1, 20))] == [12], "not the sixty that are long past"


def test_the_calendar_is_told_once_before_it_ends_and_a_new_year_is_quiet() -> None:
    book = make([], years=Years())
    events = run(book, sh(2026, 10, 30), 24 * 60)
    assert [(e.kind, e.estate, e.data["days"]) for e in events] == [
        ("calendar.ending", "e1", 59), ("calendar.ending", "e2", 59),
    ]  # fmt: skip
    assert "2026-12-31" in next(iter(people_notices(events, ZONE))).body["zh"]
    assert run(make([]), sh(2026, 11, 20), 24 * 30) == []


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        ({"year": 1999, "holidays": ["1999-01-01"]}, "calendars.0.year"),
        ({"year": 2027, "holidays": []}, "calendars.0.holidays"),
        ({"year": 2027, "holidays": ["2026-01-01"]}, "calendars.0.holidays.0"),
        ({"year": 2027, "holidays": ["2027-01-03/2027-01-01"]}, "calendars.0.holidays.0"),
        ({"year": 2027, "holidays": ["new year"]}, "calendars.0.holidays.0"),
        ({"year": 2027, "holidays": ["2027-01-01"], "workdays": ["2027-01-04"]}, "calendars.0.workdays"),
        ({"year": 2027, "holidays": ["2027-01-02"], "workdays": ["2027-01-02"]}, "calendars.0.workdays"),
        ({"year": 2027, "holidays": ["2027-01-02"], "colour": 1}, "calendars.0.year"),
    ],
)
def test_a_year_that_cannot_be_is_named(raw: dict[str, Any], where: str) -> None:
    with pytest.raises(BadInput) as e:
        years_of([raw])
    assert e.value.field == where


def test_a_year_is_read_with_its_stretches() -> None:
    years = years_of([{"year": 2027, "holidays": ["2027-02-05/2027-02-11"], "workdays": ["2027-01-30"]}])
    assert date(2027, 2, 8) in years.holidays
    assert date(2026, 10, 1) in years.holidays
    assert date(2027, 1, 30) in years.workdays
    assert years.last_day(date(2026, 5, 1)) == date(2027, 12, 31)
    assert Years().last_day(date(2027, 1, 1)) == date(2026, 12, 31)


def test_nobody_stands_in_who_works_elsewhere_or_is_a_screen() -> None:
    names = {**NAMES, "wall": "Wall", "far": "Far"}
    shifts = [*SHIFTS, {"duty": "TE", "people": ["far"], "estate": "e9"}]
    staff = Staff([Person("li", estate="e1"), Person("wu", estate="e1"), Person("zhao", estate="e1")],
                  week=Week(ZONE))  # fmt: skip
    roster = Roster.of(shifts, names, ZONE)
    book = StaffBook({**FIRMS, "e9": "other"}, names, roster=roster, staff=staff)
    near = replace(LIFT_TECH, scope=Scope(firms=frozenset(FIRMS.values())))
    data = {"start": MONDAY + 2 * DAY, "end": MONDAY + 3 * DAY}
    for person in ("wall", "far"):
        with pytest.raises(BadInput, match="cannot stand in"):
            book.command(cmd("leave.ask", "li", MONDAY, near, **data, stand_in=person))
    (event,), _ = book.command(cmd("leave.ask", "li", MONDAY, near, **data, stand_in="zhao"))
    assert event.kind == "leave.asked"
    with pytest.raises(BadInput, match="years ahead"):
        book.command(cmd("leave.ask", "li", MONDAY, near, start=2**52, end=2**52 + DAY))


@pytest.mark.parametrize("shift", [None, {"duty": "TE", "people": ["zhao"]}])
def test_who_belongs_to_no_estate_stands_in_in_every_one(shift: dict[str, Any] | None) -> None:
    """Nobody kept a record of Zhao, who is on no shift or on one of all estates."""
    own = [{"duty": "CR", "people": [p], "estate": e} for p, e in (("li", "e2"), ("wu", "e1"))]
    book = make([*own, *([shift] if shift else [])])
    second = replace(LIFT_TECH, scope=Scope(estates=frozenset({"e2"})))
    data = {"start": MONDAY + 2 * DAY, "end": MONDAY + 3 * DAY}
    with pytest.raises(BadInput, match="cannot stand in"):
        book.command(cmd("leave.ask", "li", MONDAY, second, **data, stand_in="wu"))
    (event,), _ = book.command(cmd("leave.ask", "li", MONDAY, second, **data, stand_in="zhao"))
    assert (event.estate, event.data["stand_in"]) == ("e2", "zhao")
