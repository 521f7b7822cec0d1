import pytest

from alerts.alarms import State, alarm_id
from alerts.desk import Dispatch
from alerts.matrix import Matrix
from gateway.errors import BadInput, Conflict, NotFound
from tests.unit.alerts_life.life_kit import (
    LEAD,
    LIFT_TECH,
    MIN,
    T0,
    cmd,
    default_roles,
    default_rows,
    find,
    make_desk,
)  # fmt: skip


def test_a_drill_goes_the_whole_way_marked_and_calls_nobody_outside(desk: Dispatch) -> None:
    out, answer = desk.command(cmd("drill.start", "lift", T0))
    alarm = desk.book.alarms[answer["alarm"]["id"]]
    (order,) = desk.orders.orders.values()
    assert alarm.drill
    assert alarm.card
    assert order.drill
    assert (order.event, order.party) == ("entrapment", "LM")
    assert {n.to for n in out.notices} == {"CR"}, "the contractor is not called unasked"
    assert all(n.drill and n.title["zh"].startswith("【演练】") for n in out.notices)
    later = desk.tick(T0 + 16 * MIN)
    assert {n.to for n in later.notices} <= {"PM", "CR"}
    released, _ = desk.command(cmd("order.release", order.id, T0 + 17 * MIN))
    assert {n.to for n in released.notices} >= {"LM", "R2"}
    with pytest.raises(Conflict, match="withheld"):
        desk.command(cmd("order.release", order.id, T0 + 17 * MIN))
    with pytest.raises(Conflict, match="is running"):
        desk.command(cmd("drill.start", "lift", T0 + 17 * MIN))
    for kind, data in (("accept", {}), ("arrive", {}), ("check", {"item": "freed", "value": 0})):
        desk.command(cmd(f"order.{kind}", order.id, T0 + 18 * MIN, LIFT_TECH, None, None, **data))
    desk.command(cmd("order.done", order.id, T0 + 19 * MIN, LIFT_TECH, cause_code="drill", action="drill"))
    assert not alarm.active
    assert alarm.state is State.RTNUN


def test_a_forgotten_drill_ends_after_half_an_hour_and_a_reset_ends_it_at_once(desk: Dispatch) -> None:
    _, answer = desk.command(cmd("drill.start", "pw", T0))
    alarm = desk.book.alarms[answer["alarm"]["id"]]
    desk.step([find("water.low", "ws", T0 + 1)], T0 + 1)
    assert desk.book.alarms[alarm_id("water.low@ws/x")].state is State.UNACK, "a drill suppresses nothing"
    out = desk.tick(T0 + 40 * MIN)
    (end,) = [e for e in out.events if e.kind == "alarm.cleared"]
    assert end.t == T0 + 30 * MIN
    desk.command(cmd("drill.start", "pw", T0 + 50 * MIN))
    desk.command(cmd("alarm.reset", alarm.id, T0 + 51 * MIN, evidence="drill over"))
    assert alarm.state.value == "NORM"


def test_commissioning_is_recorded_and_becomes_normal_by_command(desk: Dispatch) -> None:
    out = desk.step([find("water.low", "new", T0)], T0)
    assert [e.kind for e in out.events] == ["alarm.raised"]
    assert out.notices == []
    with pytest.raises(BadInput):
        desk.command(cmd("asset.mode", "new", T0 + 1, LEAD, mode="holiday"))
    with pytest.raises(NotFound):
        desk.command(cmd("asset.mode", "nowhere", T0 + 1, LEAD, mode="normal"))
    out, _ = desk.command(cmd("asset.mode", "new", T0 + 2, LEAD, mode="normal"))
    assert [e.kind for e in out.events][:4] == [
        "asset.mode",
        "alarm.mode",
        "order.created",
        "order.dispatched",
    ]
    assert ("asset_mode", "new", "e1", {"mode": "normal"}) in out.records
    again = make_desk()
    again.load(desk.dump())
    assert again.book.mode("new") == "normal"


def test_the_watchdog_fires_once_in_its_period_and_survives_a_restart() -> None:
    desk = make_desk(watchdog_s=3600)
    hour = T0 // 3_600_000 * 3_600_000 + 3_600_000
    assert desk.watchdog_due(hour)
    out = desk.tick(hour)
    (notice,) = out.notices
    assert (notice.to, notice.id) == ("CR", f"watchdog:e1:{hour // 3_600_000}:CR:push")
    assert not desk.watchdog_due(hour + 3_599_999)
    again = make_desk(watchdog_s=3600)
    again.load(out.records)
    assert again.tick(hour + 1).notices == []
    assert len(again.tick(hour + 3_600_000).notices) == 1
    assert not make_desk(watchdog_s=0).watchdog_due(hour)


def test_a_restart_neither_repeats_nor_forgets(desk: Dispatch) -> None:
    batch = [find("lift.trapped", "lift", T0), find("power.out", "pw", T0), find("water.low", "ws", T0)]
    records = {(k, i): (k, i, e, b) for k, i, e, b in desk.step(batch, T0).records}
    for t in range(T0 + MIN, T0 + 20 * MIN, MIN):
        records |= {(k, i): (k, i, e, b) for k, i, e, b in desk.tick(t).records}
    fresh = make_desk()
    fresh.load(records.values())
    assert {k for k, *_ in fresh.dump()} <= set(fresh.kinds)
    key = lambda r: (r[0], r[1])  # noqa: E731 - a name for what follows
    assert sorted(fresh.dump(), key=key) == sorted(desk.dump(), key=key), (
        "the records of each turn are the whole state"
    )
    later = T0 + 200 * MIN
    assert fresh.tick(later).events == desk.tick(later).events


def test_a_new_matrix_holds_for_new_orders_only(desk: Dispatch) -> None:
    desk.step([find("water.low", "ws", T0)], T0)
    (order,) = desk.orders.orders.values()
    desk.use_matrix(Matrix([r for r in default_rows() if r.event != "meter"], default_roles()))
    desk.step([find("meter.flat", "em", T0 + 1)], T0 + 1)
    rows = {o.asset: o.matrix_row for o in desk.orders.orders.values()}
    assert rows == {"ws": "water.supply", "em": "fallback"}
    assert order.clocks["accept"].due == T0 + 5 * MIN
