"""Silences hold back notices and sound, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from alerts.alarms import alarm_id
from alerts.desk import Dispatch, Outcome
from alerts.silences import Match, preview
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Actor, Scope
from tests.unit.alerts_life.life_kit import ASSETS, LEAD, MIN, OPERATOR, T0, TECH, cmd, find, make_desk

WS = alarm_id("water.low@ws/x")
HOUR = 60 * MIN


def silence(desk: Dispatch, t: int = T0, actor: Actor = OPERATOR, minutes: int = 60, **match: Any) -> str:
    _, answer = desk.command(
        cmd("silence.create", "e1", t, actor, match=match, minutes=minutes, reason="painting")
    )
    return str(answer["silence"]["id"])


def kinds(out: Outcome, noun: str = "") -> list[str]:
    return [e.kind for e in out.events if e.kind.startswith(noun)]


def test_it_holds_back_notices_but_records_lists_and_orders_go_on(desk: Dispatch) -> None:
    id_ = silence(desk, asset="ws")
    out = desk.step([find("water.low", "ws", T0 + MIN), find("lift.stop", "lift", T0 + MIN)], T0 + MIN)
    assert {n.subject for n in out.notices} == {desk.book.alarms[alarm_id("lift.stop@lift/x")].order}
    assert kinds(out).count("notice.held") == desk.silences.silences[id_].held > 0
    alarm = desk.book.alarms[WS]
    assert (alarm.state, alarm.silenced, alarm.as_dict()["silenced"]) == ("UNACK", id_, id_)
    assert desk.orders.get(alarm.order or "").open
    assert {"alarm.raised", "order.created"} <= set(kinds(out))


def test_life_safety_is_never_held_back(desk: Dispatch) -> None:
    silence(desk, asset="lift*")
    out = desk.step([find("lift.trapped", "lift", T0 + MIN)], T0 + MIN)
    assert out.notices
    assert desk.book.alarms[alarm_id("lift.trapped@lift/x")].silenced == ""
    with pytest.raises(Forbidden, match="never silenced"):
        silence(desk, rule="lift.trapped")


def test_what_was_held_back_goes_out_when_it_ends_unless_somebody_has_taken_the_work(desk: Dispatch) -> None:
    silence(desk, asset="ws", minutes=30)
    silence(desk, asset="em", minutes=30)
    desk.step([find("water.low", "ws", T0 + MIN), find("meter.flat", "em", T0 + MIN)], T0 + MIN)
    taken = desk.book.alarms[alarm_id("meter.flat@em/x")].order
    desk.command(cmd("order.accept", taken or "", T0 + 2 * MIN, OPERATOR))
    assert desk.tick(T0 + 30 * MIN - 1).notices == []
    out = desk.tick(T0 + 30 * MIN)
    ended = [e for e in out.events if e.kind == "silence.ended"]
    assert {(e.t, e.actor) for e in ended} == {(T0 + 30 * MIN, "steward")}
    assert {n.subject for n in out.notices} == {desk.book.alarms[WS].order}
    assert desk.book.alarms[WS].silenced == ""
    later = desk.step([find("water.fault", "ws", T0 + 31 * MIN)], T0 + 31 * MIN)
    assert "notice.held" not in kinds(later)


def test_its_end_is_told_a_quarter_of_an_hour_before_once_and_over_a_restart(desk: Dispatch) -> None:
    silence(desk, asset="ws", minutes=60)
    assert kinds(desk.tick(T0 + 45 * MIN - 1), "silence") == []
    (e,) = [e for e in desk.tick(T0 + 50 * MIN).events if e.kind == "silence.ending"]
    assert (e.t, e.data["until"]) == (T0 + 45 * MIN, T0 + HOUR)
    fresh = make_desk()
    fresh.load(desk.dump())
    assert kinds(fresh.tick(T0 + 51 * MIN), "silence") == []
    out = fresh.step([find("water.low", "ws", T0 + 52 * MIN)], T0 + 52 * MIN)
    assert "notice.held" in kinds(out), "it runs on after a restart"
    assert kinds(fresh.tick(T0 + HOUR), "silence") == ["silence.ended"]


def test_what_was_held_back_survives_a_restart(desk: Dispatch) -> None:
    silence(desk, asset="ws")
    desk.step([find("water.low", "ws", T0 + MIN)], T0 + MIN)
    fresh = make_desk()
    fresh.load(desk.dump())
    assert {n.subject for n in fresh.tick(T0 + HOUR).notices} == {desk.book.alarms[WS].order}


@pytest.mark.parametrize(
    ("match", "minutes", "ok"),
    [
        ({"rule": "cover.moved"}, 60, True), ({"rule": "cover.moved"}, 61, False),
        ({"rule": "water.low"}, 480, True), ({"rule": "water.low"}, 481, False),
        ({"rule": "meter.flat"}, 72 * 60, True), ({"rule": "meter.flat"}, 72 * 60 + 1, False),
        ({"asset": "mh"}, 61, False),
    ],
)  # fmt: skip
def test_the_longest_time_is_that_of_the_most_urgent_rule(
    desk: Dispatch, match: dict[str, Any], minutes: int, ok: bool
) -> None:
    if ok:
        silence(desk, minutes=minutes, **match)
    else:
        with pytest.raises(BadInput, match="too long"):
            silence(desk, minutes=minutes, **match)


@pytest.mark.parametrize(
    "wrong", [{}, {"asset": ""}, {"colour": "red"}, {"asset": "nothing-*"}, {"rule": 7}, {"rule": "**"}]
)
def test_a_matcher_that_names_nothing_is_refused(desk: Dispatch, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        silence(desk, **wrong)
    with pytest.raises(BadInput):
        desk.command(cmd("silence.create", "e1", T0, match={"asset": "ws"}, minutes=5))


def test_who_may_and_where(desk: Dispatch) -> None:
    with pytest.raises(Forbidden):
        silence(desk, actor=TECH, asset="ws")
    elsewhere = Actor("fu", role="operator", scope=Scope(estates=frozenset({"e2"})))
    with pytest.raises(NotFound):
        silence(desk, actor=elsewhere, asset="ws")
    lifts = Actor("lu", role="operator", scope=Scope(systems=frozenset({"elevator"})))
    with pytest.raises(Forbidden, match="not yours"):
        silence(desk, actor=lifts, rule="*.*")
    assert silence(desk, actor=lifts, system="elevator", minutes=30)


def test_ending_by_hand_and_who_comes_second(desk: Dispatch) -> None:
    id_ = silence(desk, asset="ws")
    out, _ = desk.command(cmd("silence.end", id_, T0 + MIN, LEAD, None, 1))
    assert [(e.kind, e.actor) for e in out.events if e.kind.startswith("silence")] == [
        ("silence.ended", "zhao")
    ]
    with pytest.raises(Conflict, match=r"ended by zhao at 20"):
        desk.command(cmd("silence.end", id_, T0 + 2 * MIN, OPERATOR, None, 1))
    with pytest.raises(NotFound):
        desk.command(cmd("silence.end", "si-none", T0 + 2 * MIN))


def test_the_preview_counts_what_would_be_held_and_what_never(desk: Dispatch) -> None:
    desk.step([find("water.low", "ws", T0), find("lift.trapped", "lift", T0), find("leak", "em", T0)], T0)
    alarms = [a.as_dict() for a in desk.book.alarms.values()]
    places = {a.id: a.place for a in ASSETS.values()}
    found = preview(Match(system="[ew]*"), alarms, places)
    assert {(a["asset"], a["held"]) for a in found} == {("ws", True), ("lift", False)}
    assert [a["asset"] for a in preview(Match(place="b1*"), alarms, places)] == ["ws"]
