"""Samples that nobody chooses, and that anybody can draw again."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from alerts.desk import Dispatch, Outcome
from alerts.inspections import SampleBook, draw, seed_of
from alerts.plans_state import begin
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Actor
from tests.unit.alerts_life.life_kit import LEAD, LIFT_TECH, OPERATOR, T0, TECH, ZONE, cmd, make_desk

NEXT = begin(date(2026, 10, 1), ZONE)
BOSS = Actor("qian", "Qian", "manager")


def test_a_sample_is_spread_over_the_parties_and_moves_with_everything_that_was_closed() -> None:
    closed = [(f"wo-{n}", "LM" if n % 4 else "TE", T0 + n) for n in range(40)]
    seed = seed_of("e1", "2026-09", closed)
    chosen = draw(seed, closed)
    assert chosen == draw(seed_of("e1", "2026-09", closed[::-1]), closed[::-1]), "anybody draws the same"
    by_party = [p for i, p, _ in closed if i in chosen]
    assert (by_party.count("LM"), by_party.count("TE")) == (3, 1)
    later = [*closed[:-1], (closed[-1][0], closed[-1][1], T0 + 10**6)]
    seeds = {
        seed,
        seed_of("e1", "2026-09", later),
        seed_of("e1", "2026-10", closed),
        seed_of("e2", "2026-09", closed),
    }
    assert len(seeds) == 4


def test_over_many_months_every_order_is_drawn_about_as_often() -> None:
    counts = [0] * 20
    for month in range(400):
        closed = [(f"wo-{n}", "LM", T0 + month) for n in range(20)]
        for id_ in draw(seed_of("e1", str(month), closed), closed):
            counts[int(id_[3:])] += 1
    assert sum(counts) == 800
    assert min(counts) > 15, counts
    assert max(counts) < 75, counts


def desk_with() -> tuple[Dispatch, SampleBook]:
    desk = make_desk()
    book = SampleBook(desk.orders, ZONE)
    desk.add(book)
    return desk, book


def closed_order(desk: Dispatch, t: int, asset: str, who: Actor) -> str:
    _, answer = desk.command(cmd("order.create", asset, t, OPERATOR, text="rattles"))
    order = str(answer["order"]["id"])
    desk.command(cmd("order.reassign", order, t, OPERATOR, to=next(iter(who.duties))))
    for act in ("accept", "arrive"):
        desk.command(cmd(f"order.{act}", order, t, who))
    desk.command(cmd("order.done", order, t, who, cause_code="wear", action="x"))
    desk.command(cmd("order.verify", order, t, LEAD, reason="seen"))
    desk.command(cmd("order.close", order, t, LEAD))
    return order


def result(desk: Dispatch, sample: str, t: int, who: Actor, **data: Any) -> Outcome:
    return desk.command(replace(cmd("sample.result", sample, t, who), data=data))[0]


def test_drawn_when_the_month_is_over_and_found_by_somebody_else() -> None:
    desk, book = desk_with()
    mine = closed_order(desk, NEXT - 2000, "lift", LIFT_TECH)
    own = closed_order(desk, NEXT - 1000, "ws", TECH)
    assert not [e for e in desk.tick(NEXT - 1).events if e.kind == "sample.drawn"]
    (drawn,) = [e for e in desk.tick(NEXT).events if e.kind == "sample.drawn"]
    assert (drawn.data["period"], drawn.data["of"]) == ("2026-09", 2)
    assert sorted(drawn.data["chosen"]) == sorted([mine, own])
    facts = [(i, c["party"], c["t"]) for i, c in book.samples["e1:2026-09"]["closed"].items()]
    assert drawn.data["seed"] == seed_of("e1", "2026-09", facts), "the log is enough to draw it again"
    assert not [e for e in desk.tick(NEXT + 10**9).events if e.kind == "sample.drawn"], "once"
    id_, t = "e1:2026-09", NEXT + 10
    good = {"order": mine, "result": "fail", "text": "still rattles"}
    with pytest.raises(Forbidden, match="worked on"):
        result(desk, id_, t, LEAD, **good)
    with pytest.raises(Forbidden):
        result(desk, id_, t, LIFT_TECH, **good)
    for wrong in ({"result": "fine"}, {"text": ""}):
        with pytest.raises(BadInput):
            result(desk, id_, t, BOSS, **{**good, **wrong})
    with pytest.raises(NotFound):
        result(desk, id_, t, BOSS, **{**good, "order": "wo-x"})
    out = result(desk, id_, t, BOSS, **good)
    assert {k: out.events[0].data[k] for k in ("order", "party", "result")} == {
        "order": mine, "party": "LM", "result": "fail",
    }  # fmt: skip
    (again,) = [o for o in desk.orders.orders.values() if o.follows]
    assert (again.party, again.follows) == ("LM", f"{mine}/inspection")
    with pytest.raises(Conflict):
        result(desk, id_, t, BOSS, **good)


def test_what_is_closed_later_belongs_to_its_own_month_and_a_restart_is_unseen() -> None:
    desk, _ = desk_with()
    closed_order(desk, NEXT - 1000, "ws", TECH)
    records = desk.dump()
    twin, book = desk_with()
    twin.load(records)
    drawn = [e for e in twin.tick(NEXT).events if e.kind == "sample.drawn"]
    assert [e.id for e in drawn] == [e.id for e in desk.tick(NEXT).events if e.kind == "sample.drawn"]
    closed_order(twin, NEXT + 5, "ws", TECH)
    assert sorted(book.samples) == ["e1:2026-09", "e1:2026-10"]
