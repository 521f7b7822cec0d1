"""Plans: two years on a fake clock against a list made by hand, the law's dates, counters, conditions."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from alerts.desk import Dispatch, Outcome
from alerts.orders_state import OrderState
from alerts.plans import PlanBook
from alerts.plans_state import Plan, begin, plan_templates_of
from gateway.app.policy import shipped_plans
from gateway.config import yamlmarks
from gateway.errors import BadInput, Conflict, Forbidden, NotFound, Problems
from gateway.model import SYSTEMS, Actor, Asset, Event, Level, Ms, quality
from tests.unit.alerts_life.life_kit import LEAD, LIFT_TECH, TECH, ZONE, cmd, default_roles, make_desk, text

GOLDEN = Path(__file__).parents[2] / "golden" / "plans"
CASES = sorted(p.name for p in GOLDEN.iterdir())
DAY: Ms = 86_400_000
LIFT = Asset("lift", "e1", "elevator", text("Lift"))
PUMP = Asset("ws", "e1", "water", text("Pumps"))
T0 = begin(date(2026, 1, 1), ZONE)
ROLES = list(default_roles())
LAW = {
    "id": "p", "kinds": ["elevator"], "name": text("half-monthly"), "kind": "completion", "every": "15d",
    "statutory": True, "limit_days": 15, "legal": "Art. 31", "party": "LM",
}  # fmt: skip
HOURS = {
    "id": "h", "kinds": ["water"], "name": text("bearings"), "kind": "run_hours", "tag": "hours",
    "amount": 100, "party": "TE",
}  # fmt: skip


def desk_of(*plans: dict[str, Any]) -> tuple[Dispatch, PlanBook]:
    desk = make_desk(assets={a.id: a for a in (LIFT, PUMP)})
    templates = plan_templates_of(plans, roles=ROLES, classes=SYSTEMS)
    book = PlanBook(desk.orders, templates, ZONE)
    desk.add(book)
    return desk, book


def work(desk: Dispatch, order: str, t: Ms, who: Actor = LIFT_TECH) -> list[Event]:
    """Accept, arrive, fill in and finish."""
    out = []
    for act in ("accept", "arrive"):
        out += desk.command(cmd(f"order.{act}", order, t, who))[0].events
    done = cmd("order.done", order, t, who, cause_code="wear", action="maintained")
    return [*out, *desk.command(done)[0].events]


def days(start: str, end: str) -> Iterator[date]:
    day = date.fromisoformat(start)
    while day < date.fromisoformat(end):
        yield day
        day += timedelta(days=1)


def told(events: list[Event]) -> Iterator[str]:
    """The lines of the list that events stand for."""
    for e in events:
        day = date.fromordinal(date(1970, 1, 1).toordinal() + (e.t + 8 * 3_600_000) // DAY)
        if e.kind == "order.created":
            yield f"{e.data['due']} opened {day}"
        elif e.kind == "plan.overdue":
            yield f"{e.data['due']} overdue {day}"
        elif e.kind == "plan.completed":
            yield f"{e.data['due']} done {day} late {e.data['late_days']}"


@pytest.mark.parametrize("hours", [1, 23])
@pytest.mark.parametrize("case", CASES)
def test_two_years_equal_the_list_made_by_hand(case: str, hours: int) -> None:
    given, _ = yamlmarks.load(GOLDEN / case / "plan.yaml")
    desk, book = desk_of(given["plan"])
    lines: list[str] = []
    n = 0
    for day in days(given["start"], given["end"]):
        at = begin(day, ZONE)
        lines += told(desk.tick(at).events)
        lines += told(desk.tick(at + hours * 3_600_000).events)
        plan = book.plans["p@lift"]
        early = given["done_before"][n % len(given["done_before"])]
        if plan.order and day == date.fromisoformat(plan.due) - timedelta(days=early):
            lines += told(work(desk, plan.order, at + hours * 3_600_000))
            n += 1
    assert lines == (GOLDEN / case / "expected.txt").read_text(encoding="utf-8").splitlines()


def test_a_due_order_has_its_checklist_clock_ladder_and_second_person() -> None:
    items = [{"id": "lock", "type": "number", "low": 7, "text": text("lock")}]
    desk, book = desk_of({**LAW, "items": items, "needs": ["second"]})
    desk.tick(T0)
    out = desk.tick(T0 + 12 * DAY)
    (order,) = desk.orders.orders.values()
    assert (order.plan, order.event, order.party, order.needs) == (
        "p@lift",
        "maintenance",
        "LM",
        ["second", "costs"],
    )
    assert order.legal == "Art. 31"
    assert order.clocks["restore"].due == T0 + 16 * DAY, "until the end of the due date"
    assert [i["id"] for i in order.checklist] == ["lock"]
    assert {n.to for n in out.notices} == {"LM"}
    late = desk.tick(T0 + 18 * DAY)
    assert [(e.t, e.data["due"]) for e in late.events if e.kind == "plan.overdue"] == [
        (T0 + 16 * DAY, "2026-01-16")
    ]
    assert [(e.t, e.data["role"]) for e in late.events if e.kind == "order.escalated"] == [
        (T0 + 16 * DAY, "PM"), (T0 + 17 * DAY, "DM"),
    ]  # fmt: skip
    for act in ("accept", "arrive"):
        desk.command(cmd(f"order.{act}", order.id, T0 + 18 * DAY, LIFT_TECH))
    check = cmd("order.check", order.id, T0 + 18 * DAY, LIFT_TECH, item="lock", value=7)
    desk.command(check)
    desk.command(cmd("order.done", order.id, T0 + 18 * DAY, LIFT_TECH, cause_code="wear", action="x"))
    with pytest.raises(Forbidden):
        desk.command(cmd("order.confirm", order.id, T0 + 18 * DAY, LIFT_TECH))
    desk.command(cmd("order.confirm", order.id, T0 + 18 * DAY, LEAD))
    assert order.state is OrderState.VERIFIED, "no sensor will ever say that it was maintained"
    assert book.plans["p@lift"].due == "2026-02-03"


def act(
    kind: str, t: Ms, who: Actor = LEAD, id_: str = "p@lift", version: int | None = None, **data: Any
) -> Any:
    return replace(cmd(f"plan.{kind}", id_, t, who, None, version), data=data)


def test_what_the_law_sets_is_moved_only_within_it_and_never_silently() -> None:
    desk, book = desk_of(LAW)
    desk.tick(T0)
    with pytest.raises(Conflict, match=r"Art\. 31.*2026-01-16"):
        desk.command(act("move", T0 + 1, due="2026-01-17", reason="busy"))
    with pytest.raises(BadInput, match="reason"):
        desk.command(act("move", T0 + 1, due="2026-01-10"))
    with pytest.raises(BadInput, match="no date"):
        desk.command(act("move", T0 + 1, due="soon", reason="x"))
    with pytest.raises(Forbidden):
        desk.command(act("move", T0 + 1, LIFT_TECH, due="2026-01-10", reason="x"))
    with pytest.raises(NotFound):
        desk.command(act("move", T0 + 1, id_="nothing", due="2026-01-10", reason="x"))
    assert book.plans["p@lift"].due == "2026-01-16"
    out, answer = desk.command(act("move", T0 + 2, due="2026-01-10", reason="holiday"))
    (event,) = out.events
    assert (event.kind, event.actor) == ("plan.moved", "zhao")
    assert {k: event.data[k] for k in ("was", "due", "reason")} == {
        "was": "2026-01-16", "due": "2026-01-10", "reason": "holiday",
    }  # fmt: skip
    assert answer["plan"]["due"] == "2026-01-10"
    for change in ({"every": "1m"}, {"limit_days": 30}, {"statutory": False}, {"kind": "calendar"}):
        with pytest.raises(Conflict, match="Art"):
            desk.command(act("put", T0 + 3, asset="lift", template={**LAW, **change}))
    desk.command(act("put", T0 + 3, asset="lift", template={**LAW, "every": "10d"}))
    assert book.plans["p@lift"].due == "2026-01-11"
    with pytest.raises(Conflict, match="look again"):
        desk.command(act("pause", T0 + 4, version=1, active=False, reason="x"))
    out, _ = desk.command(act("pause", T0 + 4, active=False, reason="lift is being replaced"))
    assert out.events[0].data["statutory"]
    assert not desk.tick(T0 + 30 * DAY).events


def test_what_the_papers_say_counts_and_the_future_does_not() -> None:
    desk, book = desk_of(LAW)
    desk.tick(T0)
    desk.command(act("last", T0 + 1, done="2025-12-28", reason="sheet 114"))
    assert book.plans["p@lift"].due == "2026-01-12"
    with pytest.raises(BadInput, match="still to come"):
        desk.command(act("last", T0 + 1, done="2026-01-05", reason="x"))
    with pytest.raises(Conflict, match="later"):
        desk.command(act("last", T0 + 1, done="2025-12-01", reason="x"))
    desk.tick(T0 + 8 * DAY)
    with pytest.raises(Conflict, match="is open"):
        desk.command(act("last", T0 + 8 * DAY, done="2026-01-08", reason="x"))


def test_a_cancelled_order_of_the_law_is_opened_again() -> None:
    desk, book = desk_of(LAW, {**HOURS, "id": "c", "kind": "completion", "every": "10d"})
    desk.tick(T0)
    desk.tick(T0 + 12 * DAY)
    plans = book.plans
    law, own = plans["p@lift"].order, plans["c@ws"].order
    for order in (law, own):
        desk.command(cmd("order.cancel", order, T0 + 12 * DAY + 1, LEAD, reason="no"))
    desk.tick(T0 + 12 * DAY + 2)
    assert plans["p@lift"].order not in ("", law)
    assert plans["p@lift"].due == "2026-01-16", "its date stays"
    assert (plans["c@ws"].order, plans["c@ws"].due) == ("", "2026-01-23")


def test_running_hours_call_over_a_new_counter_and_not_on_doubtful_values() -> None:
    desk, book = desk_of(HOURS)
    value: list[Any] = [(0, 5_000.0, 0)]
    book.value_of = lambda point: value[0] if point == "ws/hours" else None
    desk.tick(T0)

    def after(minutes: int, v: float | None, q: int = 0) -> Outcome:
        value[0] = (0, v, q)
        return desk.tick(T0 + minutes * 60_000)

    assert not after(1, 5_060.0).events
    assert not after(2, 99_999.0, quality(Level.BAD)).events
    assert not after(3, None).events
    assert not after(4, 10.0).events, "the meter was exchanged: 60 h are carried on"
    assert book.plans["h@ws"].used == 60
    out = after(5, 50.0)
    assert [e.kind for e in out.events if e.kind.startswith("plan.")] == ["plan.called"]
    assert book.plans["h@ws"].due == "2026-01-08"
    assert not [e for e in after(6, 60.0).events if e.kind.startswith("plan.")], "once"
    desk.tick(T0 + 5 * DAY)
    work(desk, book.plans["h@ws"].order, T0 + 5 * DAY, TECH)
    assert (book.plans["h@ws"].used, book.plans["h@ws"].due) == (0, "")


def test_a_condition_calls_again_only_after_it_was_false() -> None:
    desk, book = desk_of({**HOURS, "kind": "condition", "tag": "dp", "op": ">", "amount": 0.3})
    value = [0.1]
    book.value_of = lambda _: (0, value[0], 0)
    for minute, (v, called) in enumerate([(0.1, 0), (0.4, 1), (0.5, 0)]):
        value[0] = v
        out = desk.tick(T0 + minute * 60_000)
        assert [e.kind for e in out.events].count("plan.called") == called
    desk.tick(T0 + 5 * DAY)
    work(desk, book.plans["h@ws"].order, T0 + 5 * DAY, TECH)
    for minute, (v, called) in enumerate([(0.5, 0), (0.2, 0), (0.4, 1)]):
        value[0] = v
        out = desk.tick(T0 + 6 * DAY + minute * 60_000)
        assert [e.kind for e in out.events].count("plan.called") == called


def test_a_restart_is_unseen() -> None:
    desk, _ = desk_of(LAW, HOURS)
    store = {(r[0], r[1]): r for r in desk.tick(T0).records}
    out = desk.tick(T0 + 12 * DAY)
    store |= {(r[0], r[1]): r for r in out.records}
    twin, book = desk_of(LAW, HOURS)
    twin.load(store.values())
    one, other = desk.tick(T0 + 20 * DAY), twin.tick(T0 + 20 * DAY)
    assert [e.id for e in one.events] == [e.id for e in other.events]
    assert one.events
    for plan in book.plans.values():
        assert Plan.from_dict(plan.as_dict()) == plan


def test_an_alarm_is_no_part_of_maintenance() -> None:
    from tests.unit.alerts_life.life_kit import find

    desk, _ = desk_of({**LAW, "kinds": ["water"], "party": "TE"})
    desk.tick(T0)
    desk.tick(T0 + 12 * DAY)
    t = T0 + 13 * DAY
    desk.step([find("water.low", "ws", t)], t)
    own, plan = sorted(desk.orders.orders.values(), key=lambda o: bool(o.plan))
    assert (own.party, plan.party) == ("TE", "TE")
    assert own.incident != plan.incident


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "moon"}, "kind"), ({"every": "15"}, "every"), ({"party": "XX"}, "party"),
        ({"legal": ""}, "legal"), ({"kinds": ["boat"]}, "kinds"), ({"lead_days": 1.5}, "lead_days"),
        ({"name": "x"}, "name"), ({"colour": 1}, "colour"), ({"items": [{}]}, "items.0"),
        ({"kind": "starts"}, "tag"), ({"needs": ["luck"]}, "needs"), ({"op": "~"}, "op"), ({"id": ""}, "id"),
    ],
)  # fmt: skip
def test_a_wrong_plan_is_named_with_its_place(change: dict[str, Any], field: str) -> None:
    with pytest.raises(Problems) as e:
        plan_templates_of(
            [LAW, {**LAW, **change}], roles=ROLES, classes=SYSTEMS, at=lambda p: ("p.yaml", len(p))
        )
    assert [(p.file, p.field) for p in e.value.problems] == [("p.yaml", f"plans.1.{field}")]
    assert all(p.hint for p in e.value.problems)


def test_the_shipped_plans_name_the_law_and_have_a_checklist_that_loads() -> None:
    plans = shipped_plans(default_roles())
    law = {p.id: (p.every, p.limit_days) for p in plans if p.statutory}
    assert law["lift.maintenance"] == ("15d", 15)
    assert law["fire.year"] == ("1y", 366)
    assert all(p.legal for p in plans if p.statutory)
    assert len({p.id for p in plans}) == len(plans)


def test_between_two_midnights_only_what_was_touched_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every turn of the core runs the timers: thousands of plans must not be weighed in each."""
    desk, book = desk_of(LAW)
    desk.tick(T0)
    desk.tick(T0 + 1)
    looked: list[Ms] = []
    real = PlanBook._run

    def watched(b: PlanBook, plan: Plan, now: Ms) -> list[Event]:
        looked.append(now)
        return real(b, plan, now)

    monkeypatch.setattr(PlanBook, "_run", watched)
    for t in range(2, 200):
        desk.tick(T0 + t)
    assert looked == []
    desk.tick(T0 + DAY - 1)
    assert looked == []
    desk.tick(T0 + DAY)
    assert looked == [T0 + DAY]
    assert book.plans
