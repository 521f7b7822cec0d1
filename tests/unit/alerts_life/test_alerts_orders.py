from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from alerts.alarms import alarm_id
from alerts.calendars import Roster, Shift, add_working, default_calendars
from alerts.desk import Dispatch, Outcome
from alerts.orders_state import FLOW, Order, OrderState
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Actor
from tests.unit.alerts_life.life_kit import (
    ASSETS,
    LEAD,
    LIFT_TECH,
    MIN,
    OPERATOR,
    T0,
    TECH,
    ZONE,
    cmd,
    find,
    make_desk,
)  # fmt: skip

HOUR = 60 * MIN


def one(desk: Dispatch, **match: Any) -> Order:
    (order,) = [o for o in desk.orders.orders.values() if all(getattr(o, k) == v for k, v in match.items())]
    return order


def do(
    desk: Dispatch, kind: str, order: Order, t: int, who: Actor = TECH, done: int | None = None, **data: Any
) -> Outcome:
    return desk.command(cmd(f"order.{kind}", order.id, t, who, done, None, **data))[0]


def pump(desk: Dispatch, t: int = T0) -> Order:
    desk.step([find("water.low", "ws", t)], t)
    return one(desk, asset="ws")


def state(o: Order) -> OrderState:
    return o.state


def test_the_straight_way_from_alarm_to_close(desk: Dispatch) -> None:
    o = pump(desk)
    assert desk.book.alarms[o.alarm or ""].order == o.id
    assert (state(o), o.party, o.stamps) == (OrderState.DISPATCHED, "TE", {"NEW": T0, "DISPATCHED": T0})
    do(desk, "accept", o, T0 + 2 * MIN)
    do(desk, "en_route", o, T0 + 3 * MIN)
    do(desk, "arrive", o, T0 + 10 * MIN, lat=29.5, lon=106.5)
    do(desk, "work", o, T0 + 11 * MIN)
    do(desk, "done", o, T0 + 40 * MIN, cause_code="equipment", action="pump 2 replaced")
    assert desk.tick(T0 + 60 * MIN).events == [] or state(o) is OrderState.DONE, "the sensor still says low"
    desk.step([find("water.low", "ws", T0 + 70 * MIN, on=False, onset=T0)], T0 + 70 * MIN)
    out = desk.tick(T0 + 80 * MIN)
    (verified,) = [e for e in out.events if e.kind == "order.verified"]
    assert (verified.t, verified.data["by"], o.verified_by) == (T0 + 71 * MIN, "sensor", "sensor")
    do(desk, "close", o, T0 + 90 * MIN)
    assert list(o.stamps) == [
        "NEW",
        "DISPATCHED",
        "ACCEPTED",
        "EN_ROUTE",
        "ON_SITE",
        "WORKING",
        "DONE",
        "VERIFIED",
        "CLOSED",
    ]
    assert {n: c.state for n, c in o.clocks.items()} == dict.fromkeys(o.clocks, "met")
    assert o.clocks["restore"].met_at == T0 + 70 * MIN, "service is back when the sensor says so"


def test_the_dict_is_as_agreed_and_a_record_restores_it(desk: Dispatch) -> None:
    o = pump(desk)
    do(desk, "accept", o, T0 + MIN)
    wanted = (
        "id estate asset system alarm alarms incident event party party_name title priority life drill state "
        "stamps by assignee backup supervisor clocks ladder_level ladder informed fund_eligible legal notes "
        "checklist cause_code action verified_by override_reason hold_reason version matrix_version source "
        "matrix_row follows plan needs photos costs costs_total costs_confirmed confirmed downtime arrival"
    )
    assert sorted(o.as_dict()) == sorted(wanted.split())
    assert o.as_dict()["clocks"]["accept"] == {
        "start": T0, "due": T0 + 5 * MIN, "met_at": T0 + MIN, "state": "met",
    }  # fmt: skip
    assert Order.from_dict(o.as_record()) == o


def test_reminders_at_50_80_100_150_percent_to_the_millisecond(desk: Dispatch) -> None:
    o = pump(desk)
    out = desk.tick(T0 + 7 * MIN + 30_000)
    got = [(e.data["percent"], e.t - T0, e.data["role"]) for e in out.events if e.kind == "order.reminded"]
    assert got == [(50, 150_000, "TE"), (80, 240_000, "TE"), (100, 300_000, "TE"), (150, 450_000, "TE")]
    assert (o.clocks["accept"].state, o.clocks["accept"].due) == ("missed", T0 + 5 * MIN)
    assert desk.tick(T0 + 7 * MIN + 30_000).events == []


def test_the_entrapment_ladder_stops_rung_by_rung() -> None:
    def ladder(*acts: tuple[int, str, dict[str, Any]]) -> list[tuple[int, str]]:
        desk = make_desk()
        desk.step([find("lift.trapped", "lift", T0)], T0)
        o = one(desk, asset="lift")
        events = []
        for t, kind, data in acts:
            events += do(desk, kind, o, T0 + t * MIN, LIFT_TECH, **data).events
        events += desk.tick(T0 + 115 * MIN).events
        return [((e.t - T0) // MIN, e.data["role"]) for e in events if e.kind == "order.escalated"]

    late = [(30, "FRB"), (30, "SAMR"), (60, "DM"), (110, "SAMR"), (110, "ST")]
    assert ladder() == [(3, "PM"), (15, "R2"), *late]
    assert ladder((2, "accept", {})) == [(15, "R2"), *late], "accepting stops the accept rungs alone"
    assert ladder((2, "accept", {}), (12, "arrive", {})) == late
    assert ladder((2, "accept", {}), (12, "arrive", {}), (25, "check", {"item": "freed", "value": 2})) == []


def test_ticks_of_any_spacing_give_the_same_events() -> None:
    def run(step: int) -> list[tuple[int, str, str]]:
        desk = make_desk()
        out = list(desk.step([find("lift.trapped", "lift", T0), find("water.low", "ws", T0)], T0).events)
        for t in range(T0 + step, T0 + 7 * HOUR + 1, step):
            out += desk.tick(t).events
        out += desk.tick(T0 + 7 * HOUR).events
        return sorted((e.t, e.id, e.kind) for e in out)

    fine = run(7_000)
    assert fine == run(7 * HOUR)
    assert len({i for _, i, _ in fine}) == len(fine), "no doubles"


def test_an_offline_acceptance_counts_from_when_it_was_done(desk: Dispatch) -> None:
    o = pump(desk)
    desk.tick(T0 + 20 * MIN)
    assert o.clocks["accept"].state == "missed"
    do(desk, "accept", o, T0 + 20 * MIN, done=T0 + 4 * MIN)
    do(desk, "arrive", o, T0 + 21 * MIN, done=T0 + 2 * MIN)
    assert (o.stamps["ACCEPTED"], o.clocks["accept"].state) == (T0 + 4 * MIN, "met")
    assert o.stamps["ON_SITE"] == T0 + 4 * MIN, "never before the stamp before it"


def test_who_comes_second_is_told_and_who_is_not_concerned_is_refused(desk: Dispatch) -> None:
    o = pump(desk)
    with pytest.raises(Forbidden, match="belongs to TE"):
        do(desk, "accept", o, T0 + 1, LIFT_TECH)
    do(desk, "accept", o, T0 + 2)
    with pytest.raises(Conflict, match=r"already accepted by chen at 20\d\d"):
        do(desk, "accept", o, T0 + 3, OPERATOR)
    with pytest.raises(Conflict):
        do(desk, "done", o, T0 + 3, cause_code="wear", action="x")
    with pytest.raises(NotFound):
        desk.command(cmd("order.accept", "wo-x", T0 + 3, TECH))
    with pytest.raises(BadInput):
        desk.command(cmd("settings.put", o.id, T0 + 3, LEAD))
    with pytest.raises(BadInput):
        desk.orders.command(cmd("alarm.ack", o.id, T0 + 3, LEAD))


def test_what_time_made_due_before_a_refused_command_is_not_lost(desk: Dispatch) -> None:
    o = pump(desk)
    with pytest.raises(Forbidden):
        do(desk, "accept", o, T0 + 6 * MIN, LIFT_TECH)
    assert "order.escalated" in [e.kind for e in desk.tick(T0 + 6 * MIN).events]


def test_a_supervisor_overrides_with_a_reason_and_never_the_one_who_did_it(desk: Dispatch) -> None:
    o = pump(desk)
    for kind in ("accept", "arrive"):
        do(desk, kind, o, T0 + 1, LEAD)
    do(desk, "done", o, T0 + 2, LEAD, cause_code="sensor", action="transmitter is broken")
    with pytest.raises(Forbidden, match="whoever did the work"):
        do(desk, "verify", o, T0 + 3, LEAD, reason="believe me")
    other = Actor("sun", role="manager")
    with pytest.raises(BadInput):
        do(desk, "verify", o, T0 + 3, other)
    out = do(desk, "verify", o, T0 + 4, other, reason="gauge read by hand")
    assert out.events[-1].data["active"] == [o.alarm]
    assert (o.override_reason, o.verified_by, o.clocks["restore"].met_at) == (
        "gauge read by hand",
        "sun",
        T0 + 4,
    )


def test_entrapment_is_not_done_before_the_freed_are_counted_nor_closed_before_the_list_is(
    desk: Dispatch,
) -> None:
    desk.step([find("lift.trapped", "lift", T0)], T0)
    o = one(desk, asset="lift")
    with pytest.raises(Conflict, match="accepted"):
        do(desk, "check", o, T0 + 1, LIFT_TECH, item="freed", value=2)
    for kind in ("accept", "arrive"):
        do(desk, kind, o, T0 + 2, LIFT_TECH)
    with pytest.raises(Conflict, match="freed"):
        do(desk, "done", o, T0 + 3, LIFT_TECH, cause_code="door", action="x")
    for wrong in ("two", True, None, float("nan")):
        with pytest.raises(BadInput):
            do(desk, "check", o, T0 + 3, LIFT_TECH, item="freed", value=wrong)
    with pytest.raises(NotFound):
        do(desk, "check", o, T0 + 3, LIFT_TECH, item="nothing", value=2)
    reset = cmd("alarm.reset", o.alarm or "", T0 + 3, LEAD, evidence="looks normal")
    with pytest.raises(Conflict, match="how many people were freed"):
        desk.command(reset)
    out = do(desk, "check", o, T0 + 3, LIFT_TECH, item="freed", value=99)
    assert out.events[-1].data["out_of_limits"]
    do(desk, "check", o, T0 + 4, LIFT_TECH, item="freed", value=2)
    with pytest.raises(Conflict, match="unhurt, cause"):
        do(desk, "done", o, T0 + 5, LIFT_TECH, cause_code="door", action="x")
    do(desk, "check", o, T0 + 5, LIFT_TECH, item="unhurt", value=True)
    do(desk, "check", o, T0 + 5, LIFT_TECH, item="cause", value="doors")
    do(desk, "done", o, T0 + 5, LIFT_TECH, cause_code="door", action="x")
    desk.step([find("lift.trapped", "lift", T0 + 10, on=False, onset=T0)], T0 + 10)
    desk.tick(T0 + 2 * MIN)
    assert state(o) is OrderState.VERIFIED
    do(desk, "close", o, T0 + 3 * MIN, LIFT_TECH)
    assert state(o) is OrderState.CLOSED


def test_a_hold_moves_what_is_due_and_never_for_life_safety(desk: Dispatch) -> None:
    o = pump(desk)
    do(desk, "accept", o, T0 + 1)
    with pytest.raises(BadInput, match="parts"):
        do(desk, "hold", o, T0 + MIN, reason="lunch")
    do(desk, "hold", o, T0 + MIN, reason="parts")
    kinds = [e.kind for e in desk.tick(T0 + 24 * HOUR).events]
    assert "order.reminded" not in kinds
    do(desk, "resume", o, T0 + 25 * HOUR)
    assert state(o) is OrderState.ACCEPTED
    assert o.clocks["arrive"].due == T0 + HOUR + 25 * HOUR - MIN
    with pytest.raises(Conflict):
        do(desk, "resume", o, T0 + 25 * HOUR)

    desk.step([find("gas.high", "mh", T0 + 25 * HOUR)], T0 + 25 * HOUR)
    gas = one(desk, asset="mh")
    do(desk, "accept", gas, T0 + 25 * HOUR)
    due = gas.clocks["arrive"].due
    do(desk, "hold", gas, T0 + 25 * HOUR, reason="permit")
    assert "order.reminded" in [e.kind for e in desk.tick(T0 + 26 * HOUR).events]
    do(desk, "resume", gas, T0 + 26 * HOUR)
    assert gas.clocks["arrive"].due == due


def at(day: int, hour: int) -> int:
    return int(datetime(2026, 10, day, hour, tzinfo=ZONE).timestamp()) * 1000


def test_a_working_clock_over_holidays_and_a_hold_across_the_night(desk: Dispatch) -> None:
    friday = at(2, 17)  # within the holidays of October 1 to 7
    desk.step([find("meter.flat", "em", friday)], friday)
    o = one(desk, asset="em")
    # 24 working hours: Thursday 8 and Friday 9 from 9 to 18, and 6 hours of Saturday 10, which is worked
    assert o.clocks["accept"].due == at(10, 15)
    do(desk, "accept", o, at(8, 10))
    before = o.clocks["restore"].due or 0
    do(desk, "hold", o, at(9, 17), reason="parts")
    do(desk, "resume", o, at(10, 10))
    work = default_calendars(ZONE)["work"]
    assert o.clocks["restore"].due == add_working(before, 2 * 3600, work), (
        "one hour on each side of the night"
    )


def test_rejecting_calls_the_backup_and_reassigning_starts_acceptance_again(desk: Dispatch) -> None:
    o = pump(desk)
    with pytest.raises(BadInput):
        do(desk, "reject", o, T0 + 1)
    out = do(desk, "reject", o, T0 + 1, reason="not ours")
    assert {n.to for n in out.notices} == {"WM", "PM"}
    out = do(desk, "reassign", o, T0 + 2, OPERATOR, to="WM")
    assert (o.party, state(o), o.party_name["en"]) == (
        "WM",
        OrderState.REASSIGNED,
        "Water supply contractor or utility",
    )
    assert o.clocks["accept"].start == T0, "nobody had accepted: the clock runs on"
    do(desk, "accept", o, T0 + 3, OPERATOR)
    desk.tick(T0 + MIN)
    named = do(desk, "reassign", o, T0 + MIN, OPERATOR, to="chen")
    assert (o.assignee, o.clocks["accept"].start, o.clocks["accept"].state) == ("chen", T0 + MIN, "running")
    assert [(n.to, n.channel) for n in named.notices if n.person == "chen"] == [("WM", "push"), ("WM", "sms")]
    again = [e.t - T0 for e in desk.tick(T0 + 10 * MIN).events if e.kind == "order.escalated"]
    assert again == [6 * MIN], "the rung for acceptance counts from the reassignment"
    do(desk, "accept", o, T0 + 11 * MIN, TECH)
    do(desk, "hold", o, T0 + 11 * MIN, reason="parts")
    do(desk, "reassign", o, T0 + 12 * MIN, OPERATOR, to="TE")
    assert o.hold_reason == ""
    assert o.keep.holds[-1][1] == T0 + 12 * MIN


def test_cancelling_needs_a_reason_and_not_a_life_in_danger(desk: Dispatch) -> None:
    desk.step([find("lift.trapped", "lift", T0)], T0)
    o = one(desk, asset="lift")
    with pytest.raises(Conflict, match="not cancelled"):
        do(desk, "cancel", o, T0 + 1, LEAD, reason="x")
    p = pump(desk, T0 + 2)
    with pytest.raises(BadInput):
        do(desk, "cancel", p, T0 + 3, LEAD)
    do(desk, "accept", p, T0 + 3)
    do(desk, "hold", p, T0 + 3, reason="parts")
    do(desk, "cancel", p, T0 + 4, LEAD, reason="work permit forgotten")
    assert (state(p), p.clocks["restore"].state) == (OrderState.CANCELLED, "off")
    assert desk.tick(T0 + 24 * HOUR).events == [] or p.ladder == []


# ── one incident, one order per party ─────────────────────────────────────────────────────────────


def test_the_same_party_on_the_same_asset_gets_one_order(desk: Dispatch) -> None:
    o = pump(desk)
    desk.step([find("water.fault", "ws", T0 + MIN)], T0 + MIN)
    assert one(desk, asset="ws") is o
    assert len(o.alarms) == 2
    desk.step([find("water.low", "ws", T0 + 2 * MIN, on=False, onset=T0)], T0 + 2 * MIN)
    assert o.clocks["restore"].met_at is None, "the other alarm is still active"


def test_a_more_urgent_alarm_takes_the_order_over(desk: Dispatch) -> None:
    desk.step([find("water.fault", "ws", T0)], T0)
    o = one(desk, asset="ws")
    assert o.priority == 3
    out = desk.step([find("water.low", "ws", T0 + HOUR)], T0 + HOUR)
    assert "order.upgraded" in [e.kind for e in out.events]
    assert o.priority == 2
    assert [n.channel for n in out.notices if "up1" in n.id] == ["push", "sms"]


def test_a_ladder_that_takes_over_counts_from_then(desk: Dispatch) -> None:
    desk.step([find("water.fault", "ws", T0)], T0)
    o = one(desk, asset="ws")
    do(desk, "accept", o, T0 + MIN)
    joined = T0 + 20 * HOUR
    desk.tick(joined)
    told = len(o.ladder)
    desk.step([find("water.low", "ws", joined)], joined)
    assert o.priority == 2
    desk.tick(joined + MIN)
    assert len(o.ladder) == told, "no step is late before its time has come"
    desk.tick(joined + 48 * HOUR)
    assert min(step["t"] for step in o.ladder[told:]) > joined


@pytest.mark.parametrize(("rule", "asset", "orders"), [("water.low", "ws", 0), ("cover.moved", "mh", 2)])
def test_what_was_over_before_anybody_could_be_told_calls_for_priority_1_only(
    desk: Dispatch, rule: str, asset: str, orders: int
) -> None:
    blip = [find(rule, asset, T0), find(rule, asset, T0 + 5000, on=False, onset=T0)]
    desk.step(blip, T0 + MIN)
    assert len(desk.orders.orders) == orders
    (alarm,) = desk.book.alarms.values()
    assert alarm.state.value == "RTNUN", "it is listed until somebody has seen it"


def test_an_order_of_a_commissioning_becomes_real_with_its_calls() -> None:
    assets = {**ASSETS, "lift": replace(ASSETS["lift"], mode="commissioning")}
    desk = make_desk(assets=assets)
    desk.step([find("lift.trapped", "lift", T0)], T0)
    o = one(desk, event="entrapment")
    held = {(c["role"], c["channel"]) for c in o.keep.withheld}
    assert ("LM", "voice") in held
    out, _ = desk.command(cmd("asset.mode", "lift", T0 + MIN, LEAD, mode="normal"))
    assert held <= {(n.to, n.channel) for n in out.notices}
    assert o.keep.withheld == []
    out = desk.tick(T0 + HOUR)
    assert {"FRB", "SAMR"} <= {n.to for n in out.notices}, "the ladder leaves the firm by itself now"
    (e,) = [e for e in out.events if e.kind == "order.escalated" and e.data["role"] == "FRB"]
    assert e.data["commissioning"] is False


def test_a_number_of_people_is_a_number_of_people(desk: Dispatch) -> None:
    desk.step([find("lift.trapped", "lift", T0)], T0)
    o = one(desk, event="entrapment")
    do(desk, "accept", o, T0 + MIN, LIFT_TECH)
    for value in (-1, 1.5):
        with pytest.raises(BadInput):
            do(desk, "check", o, T0 + 2 * MIN, LIFT_TECH, item="freed", value=value)
    assert o.keep.met["restore"] is None
    do(desk, "check", o, T0 + 2 * MIN, LIFT_TECH, item="freed", value=2)
    assert o.keep.met["restore"] == T0 + 2 * MIN


def test_a_duty_that_does_not_exist_gets_no_order(desk: Dispatch) -> None:
    o = pump(desk)
    with pytest.raises(BadInput):
        do(desk, "reassign", o, T0 + MIN, OPERATOR, to="ZZ")
    assert (state(o), o.party) == (OrderState.DISPATCHED, "TE")


def test_a_more_urgent_report_is_not_lost_in_a_lesser_order(desk: Dispatch) -> None:
    for n, priority in enumerate((4, 4, 2)):
        data = {"text": "water on the floor", "priority": priority}
        desk.command(cmd("order.create", "ws", T0 + n, OPERATOR, None, None, **data))
    assert sorted(o.priority for o in desk.orders.orders.values()) == [2, 4]


def test_the_log_tells_when_the_core_heard_of_a_step(desk: Dispatch) -> None:
    o = pump(desk)
    out = do(desk, "accept", o, T0 + 10 * MIN, done=T0 + MIN)
    (e,) = [e for e in out.events if e.kind == "order.accepted"]
    assert (e.t, e.data["received_at"]) == (T0 + MIN, T0 + 10 * MIN)


def test_a_manhole_has_a_guard_and_an_owner(desk: Dispatch) -> None:
    desk.step([find("cover.moved", "mh", T0)], T0)
    guard, owner = one(desk, party="TE"), one(desk, party="OW")
    assert guard.incident == owner.incident
    assert (guard.clocks["arrive"].due, owner.clocks["arrive"].due) == (T0 + 15 * MIN, T0 + 120 * MIN)


def test_a_power_cut_with_an_entrapment_makes_two_orders_and_links_the_rest(desk: Dispatch) -> None:
    batch = [find("water.low", "ws", T0, tag=f"p{n}") for n in range(200)]
    batch += [find("power.out", "pw", T0 + 2000), find("lift.trapped", "lift", T0 + 15_000)]
    batch += [find("lift.trapped", "lift-2", T0 + 15_000)]
    out = desk.step(batch, T0 + 15_000)
    orders = list(desk.orders.orders.values())
    assert sorted((o.asset, o.party) for o in orders) == [("lift", "LM"), ("lift-2", "LM"), ("pw", "TE")]
    power = one(desk, asset="pw")
    assert len(power.alarms) == 201
    assert {o.incident for o in orders} == {power.incident}
    assert {n.subject for n in out.notices} == {o.id for o in orders}
    linked = desk.book.alarms[alarm_id("water.low@ws/p7")]
    assert linked.order == power.id


def test_an_order_that_nobody_took_is_dropped_when_its_alarm_turns_out_to_follow(desk: Dispatch) -> None:
    child = pump(desk)
    desk.step([find("power.out", "pw", T0 + 5_000)], T0 + 5_000)
    assert state(child) is OrderState.CANCELLED
    desk.step([find("power.out", "pw", T0 + 10 * MIN, on=False, onset=T0 + 5_000)], T0 + 10 * MIN)
    out = desk.tick(T0 + 30 * MIN)
    (fresh,) = [e for e in out.events if e.kind == "order.dispatched"]
    assert fresh.t == T0 + 11 * MIN, "it did not recover: it is work after all, from when the grace ended"


def test_an_accepted_order_is_kept_and_joins_the_incident(desk: Dispatch) -> None:
    child = pump(desk)
    do(desk, "accept", child, T0 + 1)
    desk.step([find("power.out", "pw", T0 + 5_000)], T0 + 5_000)
    assert state(child) is OrderState.ACCEPTED
    assert child.incident == one(desk, asset="pw").incident


def test_an_alarm_that_comes_back_reopens_and_after_closing_stays_in_the_incident(desk: Dispatch) -> None:
    o = pump(desk)
    for kind in ("accept", "arrive"):
        do(desk, kind, o, T0 + 1)
    desk.step([find("water.low", "ws", T0 + 2, on=False, onset=T0)], T0 + 2)
    do(desk, "done", o, T0 + 3, cause_code="wear", action="x")
    out = desk.step([find("water.low", "ws", T0 + 10)], T0 + 10)
    assert "order.reopened" in [e.kind for e in out.events]
    assert (state(o), o.clocks["restore"].state) == (OrderState.WORKING, "running")
    assert {n.to for n in out.notices} == {"TE"}
    desk.step([find("water.low", "ws", T0 + 20, on=False, onset=T0 + 10)], T0 + 20)
    do(desk, "done", o, T0 + 30, cause_code="wear", action="x")
    desk.tick(T0 + 2 * MIN)
    do(desk, "close", o, T0 + 2 * MIN)
    out = desk.step([find("water.low", "ws", T0 + 3 * HOUR)], T0 + 3 * HOUR)
    (made,) = [e for e in out.events if e.kind == "order.created"]
    assert made.data["refire_of"] == o.id
    assert made.data["incident"] == o.incident
    late = make_desk()
    late.load(desk.dump())
    assert o.id in late.orders.orders
    late.tick(T0 + 8 * 24 * HOUR)
    assert o.id not in late.orders.orders, "an ended order leaves the memory after a week"


def test_five_calls_and_an_alarm_are_one_order(desk: Dispatch) -> None:
    for n in range(5):
        desk.command(
            cmd("order.create", "lift", T0 + n, event="entrapment", text="somebody shouts", source="call")
        )
    o = one(desk, asset="lift")
    assert (o.life, o.priority, len(o.notes), o.source) == (True, 1, 5, "call")
    desk.step([find("lift.trapped", "lift", T0 + MIN)], T0 + MIN)
    assert one(desk, asset="lift") is o
    assert o.alarms == [alarm_id("lift.trapped@lift/x")]
    for wrong in ({"event": "dance", "text": "x"}, {"text": ""}, {"text": "x", "priority": 9}):
        with pytest.raises(BadInput):
            desk.command(cmd("order.create", "lift", T0, OPERATOR, None, None, **wrong))
    with pytest.raises(NotFound):
        desk.command(cmd("order.create", "nowhere", T0, text="x"))


def test_a_report_without_a_sensor_is_confirmed_by_a_supervisor(desk: Dispatch) -> None:
    _, answer = desk.command(cmd("order.create", "ws", T0, text="roof leaks", priority=2))
    o = desk.orders.get(answer["order"]["id"])
    for kind in ("accept", "arrive"):
        do(desk, kind, o, T0 + 1)
    do(desk, "done", o, T0 + 2, cause_code="water", action="sealed")
    assert o.clocks["restore"].met_at == T0 + 2
    desk.tick(T0 + 24 * HOUR)
    assert state(o) is OrderState.DONE
    do(desk, "verify", o, T0 + 24 * HOUR, LEAD, reason="looked at it")
    assert state(o) is OrderState.VERIFIED
    do(desk, "note", o, T0 + 24 * HOUR, text="owner informed")
    assert o.notes[-1]["text"] == "owner informed"


# ── notices ───────────────────────────────────────────────────────────────────────────────────────


def test_priority_one_calls_on_three_channels_and_life_goes_first(desk: Dispatch) -> None:
    out = desk.step([find("meter.flat", "em", T0), find("lift.trapped", "lift", T0)], T0)
    first = out.notices[0]
    assert first.life
    assert first.title["zh"] == "【P1 生命安全】Lift lift.trapped"
    assert {(n.to, n.channel) for n in out.notices if n.life} == {
        ("LM", "push"), ("LM", "sms"), ("LM", "voice"), ("CR", "push"),
    }  # fmt: skip
    o = one(desk, asset="lift")
    assert first.id == f"{o.id}:0:LM:push"
    queued = [e.subject for e in out.events if e.kind == "notice.queued"]
    assert queued == [n.id for n in out.notices]


def test_an_empty_shift_calls_the_backup_too() -> None:
    desk = make_desk(roster=Roster([Shift("TE", ()), Shift("PM", (("zhao", "Zhao"),))]))
    out = desk.step([find("water.low", "ws", T0)], T0)
    assert {(n.to, n.channel) for n in out.notices} == {
        ("TE", "push"),
        ("TE", "sms"),
        ("WM", "push"),
        ("WM", "sms"),
    }
    out = desk.tick(T0 + 2 * HOUR)
    (pm,) = [n for n in out.notices if ":L2-0:PM" in n.id]
    assert "Zhao" in pm.body["en"]


def test_a_worse_level_calls_again(desk: Dispatch) -> None:
    desk.step([find("water.low", "ws", T0, level="L")], T0)
    out = desk.step([find("water.low", "ws", T0 + MIN, onset=T0, level="LL")], T0 + MIN)
    assert [n.channel for n in out.notices] == ["push", "sms"]
    assert out.notices[0].body["en"].startswith("The alarm has become worse")


def test_the_table_of_states_has_no_dead_end() -> None:
    leaves = {s for s, _ in FLOW}
    assert set(OrderState) - leaves == {OrderState.CLOSED, OrderState.CANCELLED}
