import re
from datetime import date
from typing import Any

import pytest

from alerts.assign import Work, assign, distance, may_take
from alerts.assigner import Assigner
from alerts.bands import Week, band_of
from alerts.calendars import Absence, Roster, Shift
from alerts.matrix import Duty, Matrix
from alerts.people import Certificate, Demands, Person, Reach, Staff, demands_of, midnight_after, people_of
from alerts.staffing import StaffBook
from gateway.config import yamlmarks
from gateway.errors import BadInput, Forbidden, Problems
from gateway.model import Asset
from tests.unit.alerts_life.life_kit import (
    ASSETS,
    DEFAULTS,
    LEAD,
    T0,
    ZONE,
    cmd,
    default_roles,
    default_rows,
    find,
    make_desk,
)

DATA = yamlmarks.load(DEFAULTS / "certificates.yaml")[0]
DEMANDS = demands_of(DATA)
LIFT = ASSETS["lift"]
TODAY = date(2026, 9, 21)
OK = (Certificate("lift_repair", "T-1", date(2027, 1, 1)),)
OLD = (Certificate("lift_repair", "T-2", date(2026, 9, 20)),)
NAMES = {"a": "Ann", "b": "Bo", "c": "Cy", "pm": "Pam"}


def staff(*people: Person) -> Staff:
    return Staff([*people, Person("pm", "Pam")], DEMANDS, Week(ZONE))


def person(id_: str, certificates: tuple[Certificate, ...] = OK, **k: Any) -> Person:
    return Person(id_, NAMES[id_], certificates=certificates, **k)


def roster(*ids: str, role: str = "LM", absences: tuple[Absence, ...] = ()) -> Roster:
    shifts = [Shift(role, tuple((i, NAMES[i]) for i in ids)), Shift("PM", (("pm", "Pam"),))]
    return Roster(shifts, absences)


def duty(event: str = "lift_stopped", asset: Asset = LIFT) -> Duty:
    return Matrix(default_rows(), default_roles()).match(event, asset, 2, T0)


def work(**load: int) -> Work:
    return Work("lift_stopped", LIFT, T0, load)


def test_the_order_is_skill_then_load_then_way_and_each_is_explained() -> None:
    people = [
        person("a", skills=frozenset({"lifts"})), person("b"),
        person("c", skills=frozenset({"lifts"}), estate="e1"),
    ]  # fmt: skip
    got = assign(duty(), work(a=1, b=0, c=1), staff(*people), roster("a", "b", "c"))
    assert (got.outcome, got.person, got.needs) == ("person", "c", ("lift_repair",))
    why = {c.person: c.why["en"] for c in got.candidates}
    assert why == {"a": "could, but Cy is better by way", "b": "could, but Cy is better by skill", "c": ""}
    assert got.why["en"] == "Cy is on shift, certificate valid, skilled, 1 open orders"
    assert assign(duty(), work(a=0, c=1), staff(*people), roster("a", "b", "c")).person == "a"


def test_an_ended_certificate_blocks_and_the_supervisor_gets_the_order_with_the_reason() -> None:
    people = [person("a", OLD), person("b", ()), person("c", max_orders=1)]
    got = assign(duty(), work(c=1), staff(*people), roster("a", "b", "c"))
    assert (got.outcome, got.role, got.person) == ("supervisor", "PM", "pm")
    assert got.why["en"] == (
        "nobody of LM can (Ann: certificate T-2 ended on 2026-09-20; "
        "Bo: no Special equipment operator, lift repair (T); Cy: has 1 open orders already)"
    )
    assert "已于 2026-09-20 到期" in got.why["zh"]


def test_the_backup_role_is_asked_before_the_supervisor() -> None:
    shifts = [Shift("LM", ()), Shift("TE", (("b", "Bo"),)), Shift("PM", (("pm", "Pam"),))]
    got = assign(duty(), work(), staff(person("b")), Roster(shifts))
    assert (got.outcome, got.role, got.person) == ("person", "TE", "b")
    assert got.why["en"].startswith("nobody of LM is on shift; Bo is on shift")


def test_a_role_without_shifts_keeps_the_order_as_a_role() -> None:
    got = assign(duty(), work(), staff(person("a")), Roster([Shift("PM", (("pm", "Pam"),))]))
    assert (got.outcome, got.role, got.person) == ("role", "LM", "")
    assert assign(duty(), work(), Staff(), roster("a")).outcome == "role", "no records are kept here"


def test_leave_and_a_swap_change_who_is_looked_at() -> None:
    people = (person("a"), person("b"))
    away = Absence("a", T0 - 1, T0 + 1)
    assert assign(duty(), work(), staff(*people), roster("a", absences=(away,))).outcome == "supervisor"
    swap = Absence("a", T0 - 1, T0 + 1, ("b", "Bo"))
    assert assign(duty(), work(), staff(*people), roster("a", absences=(swap,))).person == "b"


def test_a_certificate_holds_until_the_end_of_its_day_in_the_zone() -> None:
    last = person("a", (Certificate("lift_repair", "T", TODAY),))
    end = midnight_after(TODAY, ZONE)
    for t, ok in ((end - 1, True), (end, False)):
        against = may_take("a", "LM", "lift_stopped", LIFT, t, staff(last))
        assert (against is None) == ok
    assert may_take("nobody-knows", "LM", "lift_stopped", LIFT, T0, staff(last)) is None


def test_the_way_is_building_estate_or_elsewhere() -> None:
    pump = ASSETS["ws"]
    assert distance(Person("a", estate="e1", building="B1"), pump) == 0
    assert distance(Person("a", estate="e1", building="B2"), pump) == 1
    assert distance(Person("a", estate="e2", building="B1"), pump) == 2


def test_quiet_hours_hold_for_all_but_life_safety() -> None:
    week = Week(ZONE)
    night = band_of("22:00-07:00")
    p = Person("a", reach=(Reach("push", "x", night), Reach("voice", "138", band_of("restday"))))
    at_23 = T0 - T0 % 86_400_000 + 15 * 3_600_000  # 23:00 in Shanghai, a Monday
    assert [r.channel for r in p.ways(at_23, week)] == ["voice"]
    assert [r.channel for r in p.ways(at_23, week, urgent=True)] == ["push", "voice"]
    only = Person("a", reach=(Reach("push", "x", night),))
    assert only.next_way(at_23, week) == at_23 + 8 * 3_600_000, "seven in the morning"
    assert Person("a").next_way(at_23, week) is None


GOOD = {"id": "a", "certificates": [{"kind": "electrician", "number": "E1", "expires": "2027-05-31"}]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "x"}, "staff.0.id: there is no person 'x'"),
        ({"colour": 1}, "staff.0.colour: nobody knows this field"),
        ({"substitute": "x"}, "staff.0.substitute: there is no person 'x'"),
        ({"substitute": "a"}, "staff.0.substitute: substitutes in a circle: a → a"),
        ({"max_orders": -1}, "staff.0.max_orders: -1 is no number"),
        ({"certificates": [{"kind": "magic", "number": "1", "expires": "2027-01-01"}]},
         "staff.0.certificates.0.kind: there is no certificate 'magic'"),
        ({"certificates": [{"kind": "electrician", "number": "E9", "expires": "2026-09-20"}]},
         "staff.0.certificates.0.expires: certificate E9 ended on 2026-09-20"),
        ({"certificates": [{"kind": "electrician", "number": "E9", "expires": "soon"}]},
         "staff.0.certificates.0.expires: 'soon' is no day"),
        ({"certificates": [{"kind": "electrician"}]}, "staff.0.certificates.0: a certificate has"),
        ({"reach": [{"channel": "pigeon"}]}, "staff.0.reach.0: a way has"),
        ({"reach": [{"channel": "sms", "quiet": "always"}]}, "staff.0.reach.0.quiet: 'always' is no time"),
    ],
)  # fmt: skip
def test_a_wrong_record_is_named_by_row_and_field(change: dict[str, Any], said: str) -> None:
    with pytest.raises(Problems) as e:
        people_of([{**GOOD, **change}], NAMES, DEMANDS.kinds, today=TODAY)
    assert str(e.value).startswith(said)


def test_what_is_good_is_read_and_a_circle_of_two_and_a_double_are_named() -> None:
    (read,) = people_of([GOOD], NAMES, DEMANDS.kinds, today=TODAY)
    assert read.holds("electrician", TODAY) == Certificate("electrician", "E1", date(2027, 5, 31))
    with pytest.raises(Problems, match="a → b → a"):
        people_of([{"id": "a", "substitute": "b"}, {"id": "b", "substitute": "a"}], NAMES, ())
    with pytest.raises(Problems, match="a is there twice"):
        people_of([{"id": "a"}, {"id": "a"}], NAMES, ())


def test_certificates_are_called_before_they_end_unless_renewed() -> None:
    soon, later = (Certificate("electrician", n, date(2026, m, 30)) for n, m in (("E1", 9), ("E2", 12)))
    assert [left for *_, left in staff(person("a", (soon,))).expiring(T0)] == [9]
    assert list(staff(person("a", (soon, later))).expiring(T0)) == []


def test_a_site_may_ask_for_more_and_what_cannot_be_is_named() -> None:
    own = demands_of(DATA, [{"event": "meter", "roles": ["TE"], "all": ["electrician"]}])
    need = own.of("meter", "TE", "meter")
    assert need is not None
    assert need.all == ("electrician",)
    assert DEMANDS.of("meter", "TE", "meter") is None
    for wrong in ({"event": "party", "roles": ["TE"]}, {"event": "gas", "roles": ["TE"], "all": ["magic"]}):
        with pytest.raises(BadInput, match=r"certificate_needs\.0"):
            demands_of(DATA, [wrong])
    assert Demands().name("x") == {"zh": "x", "en": "x"}


def test_orders_of_one_turn_are_spread_over_who_can() -> None:
    """The load is counted once a turn; what the turn itself gives out counts, too."""
    desk = make_desk()
    book = StaffBook({"e1": "f"}, NAMES, roster=roster("a", "b"), staff=staff(person("a"), person("b")))
    desk.orders.assigner = assigner = Assigner(book, desk.orders.orders, ASSETS)
    found = [find("lift.stop", lift, T0) for lift in ("lift", "lift-2")]
    desk.step(found, T0)
    assert sorted(o.assignee for o in desk.orders.orders.values()) == ["a", "b"]
    assert assigner.load() == {"a": 1, "b": 1}


# who is named, what is said ("" : the order goes to that person)
NAMED = [
    ("a", ""),
    ("b", "Bo cannot do this work: no Special equipment operator, lift repair (T)"),
    ("c", "Cy cannot do this work: certificate T-2 ended on 2026-09-20"),
    ("pm", ""),  # who leads may get it, to direct it
    ("stranger", ""),  # an outside firm answers for its own people
    ("TE", ""),  # a duty: who takes it is judged when it is accepted
]


@pytest.mark.parametrize("act", ["reassign", "handover"])
@pytest.mark.parametrize(("to", "said"), NAMED)
def test_an_order_is_not_given_to_somebody_without_the_certificate(act: str, to: str, said: str) -> None:
    desk = make_desk()
    people = staff(person("a"), person("b", ()), person("c", OLD))
    shifts = roster("a", "b", "c")
    book = StaffBook({"e1": "f"}, NAMES, roster=shifts, staff=people)
    desk.orders.assigner = Assigner(book, desk.orders.orders, ASSETS)
    desk.step([find("lift.stop", "lift", T0)], T0)
    (order,) = desk.orders.orders.values()
    before = order.as_record()
    if said:
        with pytest.raises(Forbidden, match=re.escape(said)) as e:
            desk.command(cmd(f"order.{act}", order.id, T0 + 1, LEAD, to=to))
        assert "不能承接此工作" in str(e.value)
        assert order.as_record() == before
        return
    desk.command(cmd(f"order.{act}", order.id, T0 + 1, LEAD, to=to))
    assert to in (order.assignee, order.party)


def test_a_drill_is_given_to_anybody() -> None:
    desk = make_desk()
    book = StaffBook({"e1": "f"}, NAMES, roster=roster("a", "b"), staff=staff(person("b", ())))
    desk.orders.assigner = Assigner(book, desk.orders.orders, ASSETS)
    desk.command(cmd("drill.start", "lift", T0))
    (order,) = desk.orders.orders.values()
    desk.command(cmd("order.reassign", order.id, T0 + 1, LEAD, to="b"))
    assert order.assignee == "b"
