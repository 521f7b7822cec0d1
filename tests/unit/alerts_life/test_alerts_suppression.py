"""What may stand for another alarm: only a cause for which somebody is called."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from alerts.alarms import State, alarm_id
from alerts.desk import Dispatch
from alerts.graph import Graph
from gateway.model import Asset
from tests.unit.alerts_life.life_kit import ASSETS, LEAD, MIN, RULES, T0, cmd, find, make_desk, rule, text

OUT = alarm_id("power.out@pw/x")
STOP = alarm_id("lift.stop@lift/x")
SUMP = alarm_id("sump@sump/x")


def states(desk: Dispatch) -> tuple[State, State]:
    return desk.book.alarms[OUT].state, desk.book.alarms[STOP].state


def outage(desk: Dispatch, t: int = T0) -> None:
    desk.step([find("power.out", "pw", t), find("lift.stop", "lift", t)], t)


@pytest.mark.parametrize("act", ["shelve", "oos"])
@pytest.mark.parametrize("first", [True, False])
def test_a_cause_that_calls_nobody_hides_nothing(act: str, first: bool) -> None:
    desk = make_desk()
    data: dict[str, Any] = {"minutes": 30, "reason": "meter is changed", "permit": "P-1"}
    if first:
        desk.step([find("power.out", "pw", T0)], T0)
    else:
        outage(desk)
        assert states(desk) == (State.UNACK, State.SUPPRESSED)
    desk.command(cmd(f"alarm.{act}", OUT, T0 + MIN, LEAD, **data))
    if first:
        out = desk.step([find("lift.stop", "lift", T0 + 2 * MIN)], T0 + 2 * MIN)
    else:
        out = desk.tick(T0 + MIN)
        assert [e.t for e in out.events if e.kind == "alarm.unsuppressed"] == [T0 + MIN]
    assert desk.book.alarms[STOP].state is State.UNACK
    assert desk.book.alarms[STOP].order
    assert out.notices


def test_a_supply_in_commissioning_hides_only_what_is_in_commissioning_too() -> None:
    desk = make_desk()
    desk.command(cmd("asset.mode", "pw", T0 - 1, LEAD, mode="commissioning"))
    desk.command(cmd("asset.mode", "lift-2", T0 - 1, LEAD, mode="commissioning"))
    outage(desk)
    desk.step([find("lift.stop", "lift-2", T0)], T0)
    assert states(desk) == (State.UNACK, State.UNACK)
    assert desk.book.alarms[STOP].order
    other = desk.book.alarms[alarm_id("lift.stop@lift-2/x")]
    assert other.suppressed_by == OUT
    desk.command(cmd("asset.mode", "lift-2", T0 + MIN, LEAD, mode="normal"))
    desk.tick(T0 + MIN)
    assert other.suppressed_by is None
    assert other.order


def test_after_its_cause_an_alarm_goes_under_another_one_only_if_that_may_hide_it() -> None:
    """A sump that stays high after an outage because the drain is blocked needs somebody of its own."""
    assets = ASSETS | {
        "drain": Asset("drain", "e1", "manhole", text("Drain")),
        "sump": Asset("sump", "e1", "drain", text("Sump"), depends_on=("pw", "drain")),
    }
    rules = RULES | {r.id: r for r in (rule("sump", "sump_high", 2), rule("blocked", "drain_blocked", 2))}
    for n, a in {"drain": assets["drain"], "sump": assets["sump"]}.items():
        ASSETS.setdefault(n, a)
    try:
        desk = make_desk(rules, assets)
        assert "drain" in Graph(assets).above("sump")
        desk.step([find("power.out", "pw", T0), find("sump", "sump", T0)], T0)
        desk.step([find("blocked", "drain", T0 + MIN)], T0 + MIN)
        assert desk.book.alarms[SUMP].state is State.SUPPRESSED
        end = T0 + 5 * MIN
        desk.step([find("power.out", "pw", end, on=False, onset=T0)], end)
        desk.tick(end + MIN)
        assert desk.book.alarms[SUMP].state is State.UNACK
        assert desk.book.alarms[SUMP].order
    finally:
        for n in ("drain", "sump"):
            del ASSETS[n]


def test_a_rule_that_becomes_life_safety_takes_every_cover_off() -> None:
    desk = make_desk()
    desk.step([find("water.fault", "ws", T0)], T0)
    id_ = alarm_id("water.fault@ws/x")
    silence: dict[str, Any] = {"match": {"rule": "water.fault"}, "minutes": 30, "reason": "noise"}
    desk.command(cmd("silence.create", "e1", T0 + MIN, LEAD, **silence))
    desk.command(cmd("alarm.oos", id_, T0 + MIN, LEAD, minutes=60, permit="P-1"))
    assert desk.book.alarms[id_].silenced
    rules = RULES | {"water.fault": rule("water.fault", "water_supply", 1, life=True)}
    fresh = make_desk(rules)
    fresh.load(desk.dump())
    out = fresh.tick(T0 + 2 * MIN)
    alarm = fresh.book.alarms[id_]
    assert (alarm.state, alarm.silenced) == (State.UNACK, "")
    (told,) = [e for e in out.events if e.kind == "alarm.rule_changed"]
    assert told.data["taken_off"] == ["oos_until", "silenced"]


def test_people_are_called_for_what_a_rule_edit_makes_life_safety() -> None:
    desk = make_desk()
    desk.step([find("power.out", "pw", T0), find("lift.stop", "lift", T0)], T0)
    assert states(desk) == (State.UNACK, State.SUPPRESSED)
    fresh = make_desk(RULES | {"lift.stop": rule("lift.stop", "lift_stopped", 1, life=True)})
    fresh.load(desk.dump())
    out = fresh.tick(T0 + MIN)
    assert fresh.book.alarms[STOP].state is State.UNACK
    (order,) = [o for o in fresh.orders.orders.values() if o.life]
    assert list(order.keep.own) == [STOP], "an order of its own, beside that of the outage"
    assert any(n.life and n.subject == order.id for n in out.notices)
    assert not [e for e in fresh.tick(T0 + MIN).events if e.subject == STOP], "once"


SURE, MAYBE = alarm_id("trapped@lift/x"), alarm_id("maybe@lift/x")
TRAPPED = RULES | {
    r.id: r for r in (rule("trapped", "entrapment", 1, life=True), rule("maybe", "entrapment", 2))
}


@pytest.mark.parametrize("first", ["maybe", "trapped", "together"])
def test_a_confirmed_entrapment_stands_for_the_suspicion_and_is_never_hidden(first: str) -> None:
    desk = make_desk(TRAPPED)
    at = {"maybe": (0, MIN), "trapped": (MIN, 0), "together": (0, 0)}[first]
    found = sorted((T0 + t, r) for t, r in zip(at, ("maybe", "trapped"), strict=True))
    out = [desk.step([find(r, "lift", t)], t) for t, r in found]
    assert desk.book.alarms[SURE].state is State.UNACK
    assert desk.book.alarms[SURE].order
    assert desk.book.alarms[MAYBE].state is State.SUPPRESSED
    assert desk.book.alarms[MAYBE].suppressed_by == desk.book.alarms[MAYBE].root == SURE
    assert desk.book.alarms[MAYBE].active, "it is still watched"
    said = [e.kind for o in out for e in o.events]
    assert said.count("alarm.raised") == 2, "both are recorded"
    other = find("maybe", "lift-2", T0 + 2 * MIN)
    desk.step([other], T0 + 2 * MIN)
    assert desk.book.alarms[alarm_id("maybe@lift-2/x")].state is State.UNACK, "another lift speaks for itself"


def test_a_suspicion_that_outlasts_the_confirmed_entrapment_calls_again() -> None:
    desk = make_desk(TRAPPED)
    desk.step([find("maybe", "lift", T0), find("trapped", "lift", T0)], T0)
    end = T0 + 5 * MIN
    desk.step([find("trapped", "lift", end, on=False, onset=T0)], end)
    assert desk.book.alarms[MAYBE].state is State.SUPPRESSED
    desk.tick(end + MIN)
    assert desk.book.alarms[MAYBE].state is State.UNACK
    assert desk.book.alarms[MAYBE].order


def test_a_drill_hides_no_suspicion() -> None:
    desk = make_desk(TRAPPED)
    desk.step([find("trapped", "lift", T0, facts={"drill": True})], T0)
    desk.step([find("maybe", "lift", T0 + MIN)], T0 + MIN)
    assert desk.book.alarms[MAYBE].state is State.UNACK


def test_what_an_outage_brings_late_takes_no_order_from_a_suspicion() -> None:
    desk = make_desk(TRAPPED)
    at = T0 + 10 * MIN
    desk.step([find("maybe", "lift", at)], at)
    (order,) = desk.orders.orders
    late = [replace(find("trapped", "lift", T0), late=True)]
    late.append(replace(find("trapped", "lift", T0 + MIN, on=False, onset=T0), late=True))
    desk.step(late, at + MIN)
    assert desk.book.alarms[MAYBE].state is State.UNACK
    assert desk.book.alarms[MAYBE].order == order
    assert desk.orders.orders[order].state != "CANCELLED"
