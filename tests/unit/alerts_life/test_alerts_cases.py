"""A case of the emergency fund: slots named until they are filled, the review, three working days."""

from dataclasses import replace
from datetime import date, datetime
from typing import Any

import pytest

from alerts.calendars import default_calendars
from alerts.cases import FILLED, REVIEW_FEN, SLOTS, CaseBook, missing, pay_due
from alerts.desk import Dispatch
from alerts.plans_state import begin
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Actor
from tests.unit.alerts_life.life_kit import LEAD, MIN, OPERATOR, T0, TECH, ZONE, cmd, find, make_desk

BOSS = Actor("qian", "Qian", "manager")


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp() * 1000)


def act(desk: Dispatch, kind: str, id_: str, t: int, who: Actor = LEAD, **data: Any) -> Any:
    return desk.command(replace(cmd(f"case.{kind}", id_, t, who), data=data))


def case_of(t: int = T0) -> tuple[Dispatch, CaseBook, str]:
    desk = make_desk()
    book = CaseBook(desk.orders, ZONE)
    desk.add(book)
    desk.step([find("water.low", "ws", t)], t)
    (order,) = desk.orders.orders.values()
    _, answer = act(desk, "open", order.id, t + 1, order=order.id)
    return desk, book, str(answer["case"]["id"])


def finish(desk: Dispatch, t: int) -> None:
    (order,) = desk.orders.orders.values()
    for name in ("accept", "arrive"):
        desk.command(cmd(f"order.{name}", order.id, t, TECH))
    for n, kind in enumerate(("before", "after")):
        photo = {"sha256": str(n) * 64, "size": 1, "media": "image/jpeg", "kind": kind}
        desk.command(replace(cmd("order.photo", order.id, t, TECH), data=photo))
    desk.command(cmd("order.done", order.id, t, TECH, cause_code="wear", action="x"))
    desk.step([find("water.low", "ws", t, on=False, onset=T0)], t)
    desk.tick(t + 2 * MIN)


def test_every_slot_is_filled_or_named_missing() -> None:
    desk, book, id_ = case_of()
    (order,) = desk.orders.orders.values()
    case = book.cases[id_]
    named = [s for s in SLOTS if s not in ("alarm", "raw_data", "review")]
    assert missing(case, order.as_dict()) == named
    assert "raw_data" in missing(case, order.as_dict(), raw_rows=0)
    with pytest.raises(Conflict, match="survey, necessity, plan"):
        act(desk, "request", id_, T0 + 2)
    finish(desk, T0 + 3)
    for slot in FILLED:
        act(desk, "fill", id_, T0 + 10 * MIN, slot=slot, text="said", files=[{"sha256": "a" * 64}])
    assert missing(case, order.as_dict()) == ["amount"]
    act(desk, "amount", id_, T0 + 10 * MIN, amount_fen=5_000_000)
    assert missing(case, order.as_dict()) == []


def test_above_a_hundred_thousand_somebody_else_reviews() -> None:
    desk, book, id_ = case_of()
    (order,) = desk.orders.orders.values()
    with pytest.raises(Conflict, match="no amount"):
        act(desk, "review", id_, T0 + 2, BOSS, result="pass", text="ok")
    for amount, needed in ((REVIEW_FEN, False), (REVIEW_FEN + 1, True)):
        act(desk, "amount", id_, T0 + 3, amount_fen=amount)
        assert ("review" in missing(book.cases[id_], order.as_dict())) == needed
    with pytest.raises(Forbidden):
        act(desk, "review", id_, T0 + 4, LEAD, result="pass", text="my own")
    act(desk, "review", id_, T0 + 4, BOSS, result="fail", text="too dear")
    assert "review" in missing(book.cases[id_], order.as_dict())
    act(desk, "review", id_, T0 + 5, BOSS, result="pass", text="agreed")
    assert "review" not in missing(book.cases[id_], order.as_dict())
    act(desk, "amount", id_, T0 + 6, amount_fen=REVIEW_FEN + 2)
    assert "review" in missing(book.cases[id_], order.as_dict()), "another amount is another review"


def test_the_payment_has_three_working_days_and_its_delay_is_a_fact() -> None:
    desk, book, id_ = case_of()
    finish(desk, T0 + 3)
    for slot in FILLED:
        act(desk, "fill", id_, T0 + 10 * MIN, slot=slot, text="said")
    act(desk, "amount", id_, T0 + 10 * MIN, amount_fen=100)
    with pytest.raises(Conflict, match="waits"):
        act(desk, "paid", id_, T0 + 10 * MIN)
    act(desk, "request", id_, T0 + 10 * MIN)
    due = book.cases[id_]["pay_due"]
    assert due == pay_due(T0 + 10 * MIN, default_calendars(ZONE)["work"], ZONE)
    with pytest.raises(Conflict, match="another amount"):
        act(desk, "amount", id_, T0 + 11 * MIN, amount_fen=200)
    assert not [e for e in desk.tick(due - 1).events if e.kind.startswith("case.")]
    (late,) = [e for e in desk.tick(due + 5).events if e.kind.startswith("case.")]
    assert (late.kind, late.t) == ("case.overdue", due)
    out, _ = act(desk, "paid", id_, due + 6)
    assert out.events[0].data == {**out.events[0].data, "in_time": False, "amount_fen": 100}


@pytest.mark.parametrize(
    ("asked", "due"),
    [
        ("2026-03-02T09:00", date(2026, 3, 6)),  # Monday → Tue, Wed, Thu: over when Friday begins
        ("2026-03-05T23:59", date(2026, 3, 11)),  # Thursday → Fri, Mon, Tue
        ("2026-03-07T12:00", date(2026, 3, 12)),  # Saturday → Mon, Tue, Wed
        ("2026-09-30T10:00", date(2026, 10, 11)),  # 1–7 October is a holiday → 8, 9, 10 (worked in exchange)
    ],
)  # fmt: skip
def test_working_days_know_weekends_holidays_and_days_worked_in_exchange(asked: str, due: date) -> None:
    assert pay_due(ms(asked), default_calendars(ZONE)["work"], ZONE) == begin(due, ZONE)


def test_only_what_the_fund_pays_and_once() -> None:
    desk, book, id_ = case_of()
    (order,) = desk.orders.orders.values()
    with pytest.raises(Conflict, match="has its case"):
        act(desk, "open", "x", T0 + 2, order=order.id)
    desk.step([find("meter.flat", "em", T0 + 3)], T0 + 3)
    other = next(o for o in desk.orders.orders.values() if o.asset == "em")
    with pytest.raises(Conflict, match="fund's list"):
        act(desk, "open", "x", T0 + 4, order=other.id)
    for wrong in (TECH, OPERATOR):
        with pytest.raises(Forbidden):
            act(desk, "fill", id_, T0 + 4, wrong, slot="plan", text="x")
    paper = {"slot": "plan", "text": "x", "files": [{"sha256": "../x"}]}
    for bad in ({"slot": "alarm", "text": "x"}, {"slot": "plan", "text": ""}, paper):
        with pytest.raises(BadInput):
            act(desk, "fill", id_, T0 + 4, **bad)
    with pytest.raises(NotFound):
        act(desk, "fill", "case-x", T0 + 4, slot="plan", text="x")
    twin = make_desk()
    again = CaseBook(twin.orders, ZONE)
    twin.add(again)
    twin.load(desk.dump())
    assert again.cases == book.cases
