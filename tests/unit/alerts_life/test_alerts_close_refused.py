"""Closing against the sensor: refused with the alarms that are still active, and written into the log."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.desk import Dispatch, Outcome
from alerts.orders_state import Order, OrderState
from gateway.errors import Conflict
from gateway.model import Event
from tests.unit.alerts_life.life_kit import T0, TECH, cmd, find, make_desk

REFUSED = "order.close_refused"


def do(desk: Dispatch, act: str, order: Order, t: int, /, **data: Any) -> Outcome:
    return desk.command(cmd(f"order.{act}", order.id, t, TECH, **data))[0]


def done(desk: Dispatch) -> Order:
    desk.step([find("water.low", "ws", T0)], T0)
    (order,) = desk.orders.orders.values()
    do(desk, "accept", order, T0 + 1)
    do(desk, "arrive", order, T0 + 2)
    do(desk, "done", order, T0 + 3, cause_code="wear", action="x")
    return order


def refusals(events: list[Event]) -> list[Event]:
    return [e for e in events if e.kind == REFUSED]


def test_a_closing_against_the_sensor_is_refused_with_its_alarm_and_stands_in_the_log() -> None:
    desk = make_desk()
    order = done(desk)
    version = order.version
    with pytest.raises(Conflict, match="still says abnormal"):
        do(desk, "close", order, T0 + 4)
    assert (order.state, order.version) == (OrderState.DONE, version), "nothing else has changed"
    (fact,) = refusals(desk.tick(T0 + 5).events)
    assert (fact.subject, fact.actor, fact.t) == (order.id, TECH.id, T0 + 4)
    assert fact.data["active"] == [order.alarm]
    assert fact.data["reason"]
    assert refusals(desk.tick(T0 + 6).events) == [], "once"


def test_the_same_try_is_the_same_fact_and_another_one_is_another() -> None:
    desk = make_desk()
    order = done(desk)
    close = cmd("order.close", order.id, T0 + 4, TECH)
    for _ in range(2):
        with pytest.raises(Conflict):
            desk.command(close)
    with pytest.raises(Conflict):
        do(desk, "close", order, T0 + 5)
    ids = [e.id for e in refusals(desk.tick(T0 + 6).events)]
    assert len(ids) == 3
    assert len(set(ids)) == 2


def test_once_the_sensor_is_normal_a_closing_that_comes_too_early_is_no_such_fact() -> None:
    desk = make_desk()
    order = done(desk)
    desk.step([find("water.low", "ws", T0 + 10, on=False, onset=T0)], T0 + 10)
    with pytest.raises(Conflict, match="DONE: cannot close"):
        do(desk, "close", order, T0 + 11)
    assert refusals(desk.tick(T0 + 12).events) == []
    desk.tick(T0 + 10 + 60_000)
    assert order.stamps[OrderState.VERIFIED] == T0 + 10 + 60_000
    do(desk, "close", order, T0 + 60_100, total_fen=0)
    assert order.state is OrderState.CLOSED
