"""An edited rule makes an order that stands one of life safety: clocks, priority, calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from alerts.alarms_state import RuleInfo
from alerts.desk import Dispatch, Outcome
from alerts.notices_repeat import REPEAT_MS, CallBook
from alerts.orders_state import Order, OrderState
from gateway.errors import Conflict
from tests.unit.alerts_life.life_kit import LEAD, MIN, RULES, T0, TECH, cmd, find, make_desk, rule

HOUR = 60 * MIN
LIFE = RULES | {"water.low": rule("water.low", "water_supply", 1, life=True)}
AS_TRAP = RULES | {"lift.stop": rule("lift.stop", "entrapment", 1, life=True)}


def edited(desk: Dispatch, rules: Mapping[str, RuleInfo], now: int) -> tuple[Dispatch, Outcome]:
    """The same state under other rules, as after a restart."""
    fresh = make_desk(rules)
    fresh.add(CallBook(fresh.orders.orders))
    fresh.load(desk.dump())
    return fresh, fresh.tick(now)


def started(*acts: tuple[str, int, dict[str, Any]], name: str = "water.low", asset: str = "ws") -> Dispatch:
    desk = make_desk()
    desk.step([find(name, asset, T0)], T0)
    (order,) = desk.orders.orders.values()
    for act, t, data in acts:
        desk.command(cmd(f"order.{act}", order.id, t, LEAD, **data))
    return desk


def only(desk: Dispatch) -> Order:
    (order,) = desk.orders.orders.values()
    return order


# state of the order when the rule is edited, and which of its clocks begin anew
TABLE = {
    "nobody has accepted": ((), {"accept", "arrive", "restore"}),
    "accepted": ((("accept", T0 + MIN, {}),), {"arrive", "restore"}),
    "on site": ((("accept", T0 + MIN, {}), ("arrive", T0 + 5 * MIN, {})), {"restore"}),
    "held overnight": (
        (("accept", T0 + MIN, {}), ("hold", T0 + 2 * MIN, {"reason": "parts"})),
        {"arrive", "restore"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_clocks_priority_and_calls_follow_the_rule(case: str) -> None:
    acts, anew = TABLE[case]
    desk = started(*acts)
    before = {n: c.met_at for n, c in only(desk).clocks.items()}
    now = T0 + 12 * HOUR
    desk.tick(now - MIN)
    fresh, out = edited(desk, LIFE, now)
    order = only(fresh)
    assert (order.life, order.priority) == (True, 1)
    (told,) = [e for e in out.events if e.kind == "order.upgraded"]
    assert (told.t, told.data["was"], told.data["why"]) == (now, 2, "the rule was edited")
    calls = {(n.to, n.channel) for n in out.notices if n.subject == order.id and n.life and n.priority == 1}
    assert {(order.party, "push"), (order.party, "sms"), (order.party, "voice"), ("CR", "push")} <= calls
    for name in ("accept", "arrive", "restore"):
        clock, seconds = order.clocks[name], order.duty.clocks[name]
        if name in anew and seconds:
            assert (clock.start, clock.due, clock.state) == (now, now + seconds * 1000, "running"), name
            assert clock.sent == []
        else:
            assert clock.met_at == before[name]
    assert not [e for e in fresh.tick(now).events if e.kind == "order.upgraded"], "once"


def test_its_clocks_run_on_through_the_hold_that_it_was_in() -> None:
    desk = started(("accept", T0 + MIN, {}), ("hold", T0 + 2 * MIN, {"reason": "parts"}))
    now = T0 + 3 * HOUR
    assert not [e for e in desk.tick(now - 1).events if e.kind == "order.reminded"], "held: nothing is due"
    fresh, _ = edited(desk, LIFE, now)
    order = only(fresh)
    seconds = order.duty.clocks["arrive"] or 0
    assert order.state is OrderState.ON_HOLD
    told = [
        (e.data["percent"], e.t - now)
        for e in fresh.tick(now + 2 * seconds * 1000).events
        if e.kind == "order.reminded" and e.data["clock"] == "arrive"
    ]
    assert told == [(p, seconds * 10 * p) for p in (50, 80, 100, 150)]
    fresh.command(cmd("order.resume", order.id, now + 2 * seconds * 1000 + 1, LEAD))
    assert order.clocks["arrive"].due == now + seconds * 1000, "the hold has moved nothing"


def test_nobody_has_accepted_so_it_rings_until_somebody_does() -> None:
    now = T0 + HOUR
    fresh, _ = edited(started(), LIFE, now)
    rings = [e.t - now for n in (1, 2, 3) for e in fresh.tick(now + n * REPEAT_MS).events
             if e.kind == "order.called_again"]  # fmt: skip
    assert rings == [REPEAT_MS, 2 * REPEAT_MS, 3 * REPEAT_MS]
    fresh.command(cmd("order.accept", only(fresh).id, now + 3 * REPEAT_MS + 1, TECH))
    later = fresh.tick(now + 9 * REPEAT_MS).events
    assert not [e for e in later if e.kind == "order.called_again"]


def test_its_ladder_counts_from_the_edit() -> None:
    now = T0 + 20 * HOUR
    desk = started()
    desk.tick(now - 1)
    fresh, _ = edited(desk, LIFE, now)
    order = only(fresh)
    first = min(s.after_s for s in order.duty.ladder)
    steps = [e.t for e in fresh.tick(now + 24 * HOUR).events if e.kind == "order.escalated"]
    assert steps
    assert min(steps) == now + first * 1000


def test_an_order_that_nobody_took_goes_to_the_party_of_the_new_event() -> None:
    fresh, out = edited(started(name="lift.stop", asset="lift"), AS_TRAP, T0 + HOUR)
    order = only(fresh)
    assert (order.event, order.party, order.life) == ("entrapment", "LM", True)
    assert order.item("freed") is not None, "an entrapment asks how many were freed"
    assert any(n.to == "LM" and n.life for n in out.notices)


def test_other_work_in_the_order_stays_there_and_life_safety_gets_its_own() -> None:
    desk = started()
    desk.step([find("water.fault", "ws", T0 + MIN)], T0 + MIN)
    both = only(desk)
    assert len(both.keep.own) == 2
    fresh, _ = edited(desk, LIFE, T0 + HOUR)
    life = [o for o in fresh.orders.orders.values() if o.life]
    (rest,) = [o for o in fresh.orders.orders.values() if not o.life]
    assert [list(o.keep.own) for o in life] == [[o.alarm for o in life][0:1]]
    assert (rest.id, rest.priority) == (both.id, both.priority)
    assert life[0].incident == rest.incident


def test_a_milder_rule_calls_nobody_off() -> None:
    desk, _ = edited(started(), LIFE, T0 + HOUR)
    again, out = edited(desk, RULES, T0 + 2 * HOUR)
    assert (only(again).life, only(again).priority) == (True, 1)
    assert "order.upgraded" not in [e.kind for e in out.events]


def test_a_rule_that_is_more_urgent_without_life_raises_its_order_too() -> None:
    desk = make_desk()
    desk.step([find("water.fault", "ws", T0)], T0)
    worse = RULES | {"water.fault": rule("water.fault", "water_supply", 2)}
    fresh, out = edited(desk, worse, T0 + HOUR)
    assert (only(fresh).priority, only(fresh).life) == (2, False)
    assert "order.upgraded" in [e.kind for e in out.events]


def test_what_is_over_when_the_rule_is_edited_stays_as_it_was() -> None:
    desk = started()
    desk.step([find("water.low", "ws", T0 + MIN, on=False, onset=T0)], T0 + MIN)
    fresh, _ = edited(desk, LIFE, T0 + HOUR)
    assert (only(fresh).life, only(fresh).priority) == (False, 2)


def test_it_cannot_be_cancelled_any_more_while_the_alarm_is_active() -> None:
    fresh, _ = edited(started(), LIFE, T0 + HOUR)
    with pytest.raises(Conflict, match="not cancelled"):
        fresh.command(cmd("order.cancel", only(fresh).id, T0 + HOUR + 1, LEAD, reason="no"))
