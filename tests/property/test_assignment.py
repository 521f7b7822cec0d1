"""Who gets the order, in ten thousand random cases: never without a valid certificate, never lost."""

from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from alerts.assign import Assignment, Work, assign, may_take
from alerts.bands import Week
from alerts.calendars import Absence, Roster, Shift, working_hours
from alerts.matrix import Duty, Matrix
from alerts.people import Certificate, Demands, Person, Staff, demands_of
from gateway.config import yamlmarks
from gateway.model import Asset
from tests.unit.alerts_life.life_kit import DEFAULTS, T0, default_roles, default_rows

ZONE = ZoneInfo("Asia/Shanghai")
DAY_MS = 86_400_000
CASES = 10_000
WORK = [
    ("entrapment", "elevator"), ("lift_stopped", "elevator"), ("fire_alarm", "fire"), ("outage", "power"),
    ("drain_blocked", "manhole"), ("septic", "septic"), ("water_supply", "water"), ("lighting", "lighting"),
]  # fmt: skip


@cache
def demands() -> Demands:
    return demands_of(yamlmarks.load(DEFAULTS / "certificates.yaml")[0])


@cache
def template() -> Matrix:
    return Matrix(default_rows(), default_roles())


def random_case(r: random.Random) -> tuple[Duty, Work, Staff, Roster]:
    t = T0 + r.randrange(0, 300 * DAY_MS, 60_000)
    today = date(2026, 9, 21) + timedelta(days=(t - T0) // DAY_MS)
    people = []
    for n in range(r.randrange(1, 7)):
        certificates = tuple(
            Certificate(k, f"{k}-{n}", today + timedelta(days=r.choice([-400, -2, -1, 0, 1, 400])))
            for k in r.sample(sorted(demands().kinds), r.randrange(0, 4))
        )
        skills = frozenset(r.sample(["pumps", "lifts", "rescue", "networks"], r.randrange(0, 3)))
        people.append(
            Person(f"p{n}", f"P{n}", r.choice(["e1", "e2", ""]), r.choice(["", "B1"]), certificates, skills,
                   max_orders=r.choice([0, 0, 2]))
        )  # fmt: skip
    names = [(p.id, p.name) for p in people]
    shifts = [
        Shift(role, tuple(r.sample(names, r.randrange(0, len(names) + 1))), r.choice(["", "e1"]),
              working_hours(ZONE, start=r.choice([0, 8, 20]) * 3600, end=r.choice([0, 8, 20]) * 3600,
                            days=range(7)))
        for role in r.sample(["LM", "TE", "CR", "DR", "PM"], r.randrange(1, 6))
    ]  # fmt: skip
    away = [Absence(i, t - 5, t + 5, r.choice([None, *names])) for i, _ in names if r.random() < 0.2]
    event, kind = r.choice(WORK)
    asset = Asset("a", "e1", kind, {"zh": "a", "en": "a"}, {"zh": "B1"})  # type: ignore[arg-type]  # a kind
    duty = template().match(event, asset, r.choice([1, 2]), t)
    load = {i: r.randrange(0, 4) for i, _ in names}
    return duty, Work(event, asset, t, load), Staff(people, demands(), Week(ZONE)), Roster(shifts, away)


def valid(person: str, role: str, duty: Duty, work: Work, staff: Staff) -> bool:
    """Written from the law's side: every kind asked for is there and has not ended on that day."""
    need = staff.demands.of(work.event, role, work.asset.kind, duty.part)
    if need is None:
        return True
    today = staff.today(work.t)
    held = {c.kind for c in staff.people[person].certificates if c.expires >= today}
    return set(need.all) <= held and (not need.any_of or bool(set(need.any_of) & held))


def check(case: tuple[Duty, Work, Staff, Roster], got: Assignment) -> None:
    duty, work, staff, roster = case
    assert got.role in (duty.party, duty.backup, duty.supervisor)
    assert got.why["zh"]
    assert got.why["en"]
    if got.outcome == "role":
        assert not roster.knows(duty.party, "e1")
        assert (got.role, got.person) == (duty.party, "")
        return
    roles = [x for x in (duty.party, duty.backup) if roster.knows(x, "e1")]
    able = [
        (role, i)
        for role in roles
        for i, _ in roster.on_duty(role, "e1", work.t)
        if valid(i, role, duty, work, staff)
        and not (staff.people[i].max_orders and work.load[i] >= staff.people[i].max_orders)
    ]
    if got.outcome == "supervisor":
        assert not able, "somebody could have taken it"
        assert got.role == duty.supervisor
        return
    assert (got.role, got.person) in able
    assert [c.person for c in got.candidates if c.chosen] == [got.person]
    assert may_take(got.person, got.role, work.event, work.asset, work.t, staff, duty.part) is None
    assert all(c.why["en"] for c in got.candidates if not c.chosen), "each of the others has its reason"


def test_nobody_without_a_valid_certificate_in_ten_thousand_cases_and_no_order_is_lost() -> None:
    r = random.Random(20261122)
    outcomes: Counter[str] = Counter()
    for _ in range(CASES):
        case = random_case(r)
        got = assign(*case)
        check(case, got)
        outcomes[got.outcome] += 1
    assert sum(outcomes.values()) == CASES
    assert min(outcomes[k] for k in ("person", "role", "supervisor")) > CASES // 20, outcomes
