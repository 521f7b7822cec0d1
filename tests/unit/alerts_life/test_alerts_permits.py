"""Work permits: announced ahead, begin and end by themselves, mark what happens, enter the ledger."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.alarms import State, alarm_id
from alerts.desk import Dispatch, Outcome
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.ledger import TimeClass, figures, partition
from gateway.ledger.claims import claims_of
from gateway.model import Actor, Event
from tests.unit.alerts_life.life_kit import ASSETS, LEAD, MIN, OPERATOR, T0, cmd, find, make_desk

WS = alarm_id("water.low@ws/x")
TRAP = alarm_id("lift.trapped@lift/x")
HOUR, DAY = 60 * MIN, 24 * 60 * MIN


def announce(
    desk: Dispatch, asset: str = "ws", t: int = T0, start: int = T0, hours: float = 4, actor: Actor = LEAD,
    number: str = "P-1", **more: Any,
) -> tuple[Outcome, str]:  # fmt: skip
    data = {"number": number, "person": "Chen", "reason": "overhaul", "start": start,
            "until": start + round(hours * HOUR)} | more  # fmt: skip
    out, answer = desk.command(cmd("permit.announce", asset, t, actor, None, None, **data))
    return out, str(answer["permit"]["id"])


def kinds(out: Outcome, noun: str) -> list[str]:
    return [e.kind for e in out.events if e.kind.startswith(noun)]


def test_it_begins_and_ends_by_itself_at_its_own_times(desk: Dispatch) -> None:
    announce(desk, start=T0 + DAY)
    assert desk.book.mode("ws") == "normal"
    (begun,) = [e for e in desk.tick(T0 + DAY + 9_999).events if e.kind == "permit.started"]
    assert (begun.t, begun.asset, begun.data["announced"]) == (T0 + DAY, "ws", T0)
    assert desk.book.mode("ws") == "permit"
    fresh = make_desk()
    fresh.load(desk.dump())
    assert fresh.book.mode("ws") == "permit", "kept over a restart"
    (ended,) = [e for e in fresh.tick(T0 + 2 * DAY).events if e.kind == "permit.ended"]
    assert (ended.t, ended.actor) == (T0 + DAY + 4 * HOUR, "steward")
    assert fresh.book.mode("ws") == "normal"


def test_meanwhile_alarms_are_listed_and_marked_and_call_nobody_below_priority_one(desk: Dispatch) -> None:
    announce(desk)
    out = desk.step([find("water.low", "ws", T0 + MIN)], T0 + MIN)
    alarm = desk.book.alarms[WS]
    assert (alarm.state, alarm.mode, alarm.order) == (State.UNACK, "permit", None)
    assert out.notices == []
    (row,) = desk.occurrences.open[WS].values()
    assert row["mode"] == "permit", "figures can leave it out"
    desk.command(cmd("alarm.ack", WS, T0 + 2 * MIN))
    end = desk.tick(T0 + 4 * HOUR)
    assert kinds(end, "alarm.mode") == ["alarm.mode"]
    assert (desk.book.alarms[WS].mode, desk.book.alarms[WS].state) == ("normal", State.UNACK)
    assert end.notices, "what outlasts the permit is live again"
    assert desk.book.alarms[WS].order


def test_life_safety_sounds_and_its_outside_calls_wait_for_one_confirmation(desk: Dispatch) -> None:
    announce(desk, "lift", second="sun")
    out = desk.step([find("lift.trapped", "lift", T0 + MIN)], T0 + MIN)
    alarm = desk.book.alarms[TRAP]
    assert (alarm.state, alarm.mode, alarm.dispatchable) == (State.UNACK, "permit", True)
    order = desk.orders.get(alarm.order or "")
    outside = [n for n in out.notices if desk.announcer.matrix.external(n.to)]
    assert outside == []
    assert order.keep.withheld, "the calls that leave the estate wait"
    assert {n.to for n in out.notices}, "those inside do not"
    released, _ = desk.command(cmd("order.release", order.id, T0 + 2 * MIN))
    assert [n for n in released.notices if desk.announcer.matrix.external(n.to)]


def test_life_safety_takes_a_second_person(desk: Dispatch) -> None:
    nobody: dict[str, Any] = {}
    for second in (nobody, {"second": "zhao"}):
        with pytest.raises(Forbidden, match="second person"):
            announce(desk, "lift", **second)
    announce(desk, "lift", second="sun")


def permit_claims(events: list[Event], asset: str = "ws") -> list[Any]:
    known = [Event("r", "e1", T0 - 40 * DAY, "asset.registered", asset, asset=asset)]
    return claims_of(ASSETS[asset], [], [*known, *events])


@pytest.mark.parametrize(("ahead", "ok_h", "late_h"), [(DAY, 4, 0), (DAY + 1, 4, 0), (HOUR, 0, 4), (0, 0, 4)])
def test_announced_work_is_planned_on_time_and_unannounced_work_late(
    desk: Dispatch, ahead: int, ok_h: int, late_h: int
) -> None:
    start = T0 + ahead
    out, _ = announce(desk, start=start)
    events = [*out.events, *desk.tick(start).events, *desk.tick(start + 9 * HOUR).events]
    claims = permit_claims(sorted(events, key=lambda e: e.t))
    segments = partition(start - HOUR, start + 9 * HOUR, claims, T0 + 9 * DAY)
    f = figures(segments, claims, start - HOUR, start + 9 * HOUR)
    assert f.of(TimeClass.DOWN_PLANNED) == 4 * HOUR
    assert (f.planned_ok, f.planned_late) == (ok_h * HOUR, late_h * HOUR)
    announced = next(e for e in events if e.kind == "permit.started").data["announced"]
    assert announced == (T0 if ahead else None)


def test_ended_by_hand_books_what_it_took(desk: Dispatch) -> None:
    _, id_ = announce(desk)
    seen = desk.permits.permits[id_].version
    out, answer = desk.command(cmd("permit.end", id_, T0 + HOUR, LEAD, None, seen))
    assert (answer["permit"]["state"], answer["permit"]["ended_by"]) == ("ended", "zhao")
    assert [(e.kind, e.t) for e in out.events if e.kind == "permit.ended"] == [("permit.ended", T0 + HOUR)]
    with pytest.raises(Conflict, match="by zhao"):
        desk.command(cmd("permit.end", id_, T0 + 2 * HOUR, LEAD, None, seen))
    assert kinds(desk.tick(T0 + 5 * HOUR), "permit") == []


def test_withdrawn_before_it_begins_nothing_happens(desk: Dispatch) -> None:
    _, id_ = announce(desk, start=T0 + DAY)
    with pytest.raises(Conflict, match="coming"):
        desk.command(cmd("permit.end", id_, T0 + 1, LEAD))
    out, _ = desk.command(cmd("permit.withdraw", id_, T0 + 2, LEAD))
    assert kinds(out, "permit") == ["permit.withdrawn"]
    assert kinds(desk.tick(T0 + 2 * DAY), "permit") == []
    assert desk.book.mode("ws") == "normal"


def test_an_out_of_service_under_an_announced_permit_is_announced(desk: Dispatch) -> None:
    announce(desk, start=T0 + DAY)
    t = T0 + DAY - MIN
    desk.step([find("water.low", "ws", t)], t)
    out, _ = desk.command(cmd("alarm.oos", WS, t, LEAD, minutes=60, permit="P-1"))
    (e,) = [e for e in out.events if e.kind == "alarm.oos"]
    assert (e.data["announced"], e.data["why"]) == (T0, "P-1")


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"start": T0 - HOUR}, "start"), ({"start": T0 + 400 * DAY}, "start"), ({"hours": 0}, "until"),
        ({"hours": 31 * 24}, "until"), ({"number": " "}, "number"), ({"person": ""}, "person"),
        ({"assets": "ws"}, "assets"), ({"until": "soon"}, "until"), ({"until": True}, "until"),
    ],
)  # fmt: skip
def test_bad_input_names_its_field(desk: Dispatch, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as caught:
        announce(desk, **wrong)
    assert caught.value.field == field


def test_two_permits_on_one_asset_and_strangers_are_refused(desk: Dispatch) -> None:
    announce(desk, assets=["em"])
    with pytest.raises(Conflict, match="covers em"):
        announce(desk, "em", number="P-2", start=T0 + HOUR)
    announce(desk, "em", number="P-3", start=T0 + 4 * HOUR)
    with pytest.raises(Conflict, match="announced already"):
        announce(desk, "mh", number="P-1", second="sun")
    with pytest.raises(NotFound):
        announce(desk, "nowhere", number="P-4")
    with pytest.raises(Forbidden):
        announce(desk, "pw", actor=OPERATOR, number="P-5")


def test_a_new_asset_in_commissioning_records_everything_and_dispatches_only_priority_one(
    desk: Dispatch,
) -> None:
    quiet = desk.step([find("water.low", "new", T0)], T0)
    assert quiet.notices == []
    (row,) = desk.occurrences.open[alarm_id("water.low@new/x")].values()
    assert (row["mode"], row["state"]) == ("commissioning", "UNACK")
    loud = desk.step([find("cover.moved", "new", T0 + 1)], T0 + 1)
    assert loud.notices
    assert not [n for n in loud.notices if desk.announcer.matrix.external(n.to)]
    announce(desk, "new", number="P-9")
    assert desk.book.mode("new") == "permit"
    desk.tick(T0 + 5 * HOUR)
    assert desk.book.mode("new") == "commissioning", "a permit does not end the commissioning"


@pytest.mark.parametrize("by_hand", [True, False])
def test_what_is_out_of_service_under_a_permit_is_watched_again_when_it_ends(by_hand: bool) -> None:
    desk = make_desk()
    desk.step([find("water.low", "ws", T0)], T0)
    _, permit = announce(desk, t=T0 + MIN, start=T0 + MIN)
    desk.command(cmd("alarm.oos", WS, T0 + 2 * MIN, LEAD, minutes=600, permit="P-1"))
    assert desk.book.alarms[WS].state is State.OUT_OF_SERVICE
    if by_hand:
        out, _ = desk.command(cmd("permit.end", permit, T0 + HOUR, LEAD))
    else:
        out = desk.tick(T0 + 5 * HOUR)
    (end,) = [e for e in out.events if e.kind == "alarm.oos_end"]
    assert end.t == (T0 + HOUR if by_hand else T0 + MIN + 4 * HOUR)
    assert (desk.book.alarms[WS].state, desk.book.alarms[WS].memory.permit) == (State.UNACK, "")
    assert "alarm.oos_end" not in kinds(desk.tick(T0 + 11 * HOUR), "alarm"), "once"
