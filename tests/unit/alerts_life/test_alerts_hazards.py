"""The hazard list: every source in one list, deadlines, proof, a second person."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from alerts.alarms import alarm_id
from alerts.desk import Dispatch
from alerts.hazards import GRADES, Hazard
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Actor, Scope
from tests.unit.alerts_life.life_kit import LEAD, MIN, OPERATOR, RULES, T0, TECH, cmd, find, make_desk

DAY = 86_400_000
FLAGGED = RULES | {"cover.moved": replace(RULES["cover.moved"], hazard="major")}


@pytest.fixture
def desk() -> Dispatch:
    return make_desk(FLAGGED)


def report(desk: Dispatch, actor: Actor = TECH, t: int = T0, **data: Any) -> Hazard:
    given = {"text": "crack", "source": "inspection"} | data
    _, answer = desk.command(cmd("hazard.report", "mh", t, actor, None, None, **given))
    return desk.hazards.hazards[answer["hazard"]["id"]]


def act(desk: Dispatch, what: str, h: Hazard, t: int, actor: Actor = LEAD, **data: Any) -> None:
    desk.command(cmd(f"hazard.{what}", h.id, t, actor, None, None, **data))


def test_each_source_ends_in_the_same_list(desk: Dispatch) -> None:
    for n, source in enumerate(("inspection", "resident", "manual")):
        report(desk, source=source, t=T0 + n)
    out = desk.step([find("cover.moved", "mh", T0 + 9)], T0 + 9)
    assert [e.data["source"] for e in out.events if e.kind == "hazard.found"] == ["detector"]
    listed = {(h.source, h.asset, h.state) for h in desk.hazards.hazards.values()}
    assert listed == {(s, "mh", "open") for s in ("inspection", "resident", "manual", "detector")}


def test_from_open_to_verified_by_a_second_person_with_proof(desk: Dispatch) -> None:
    h = report(desk)
    act(desk, "assign", h, T0 + 1, OPERATOR, to="DR")
    with pytest.raises(BadInput):
        act(desk, "fix", h, T0 + 2, TECH)
    act(desk, "fix", h, T0 + 2, TECH, proof="new cover", files=("ab" * 32,))
    act(desk, "refuse", h, T0 + 3, LEAD, reason="the photo shows another one")
    assert (h.state, h.fixed_by) == ("assigned", "")
    act(desk, "fix", h, T0 + 4, LEAD, proof="new cover, photo 2")
    with pytest.raises(Forbidden, match="second person"):
        act(desk, "verify", h, T0 + 5, LEAD)
    act(desk, "verify", h, T0 + 6, Actor("ma", role="manager"))
    assert (h.state, h.verified_by, len(h.proof)) == ("verified", "ma", 2)
    with pytest.raises(Conflict, match=r"verified since 20.* by ma"):
        act(desk, "assign", h, T0 + 7, OPERATOR, to="DR")


@pytest.mark.parametrize("grade", sorted(GRADES))
def test_an_overdue_one_is_told_once_at_its_deadline_and_over_a_restart(desk: Dispatch, grade: str) -> None:
    h = report(desk, grade=grade)
    due = T0 + GRADES[grade]
    assert h.deadline == due
    assert not [e for e in desk.tick(due - 1).events if e.kind == "hazard.overdue"]
    (e,) = [e for e in desk.tick(due + 5 * MIN).events if e.kind == "hazard.overdue"]
    assert (e.t, e.subject, e.data["grade"]) == (due, h.id, grade)
    fresh = make_desk(FLAGGED)
    fresh.load(desk.dump())
    assert not [e for e in fresh.tick(due + DAY).events if e.kind == "hazard.overdue"]
    assert fresh.hazards.hazards[h.id].overdue


def test_a_later_deadline_is_told_again_when_it_passes(desk: Dispatch) -> None:
    h = report(desk, grade="major")
    desk.tick(T0 + 3 * DAY)
    act(desk, "assign", h, T0 + 3 * DAY + 1, OPERATOR, to="DR", deadline=T0 + 5 * DAY)
    assert not h.overdue
    out = desk.tick(T0 + 6 * DAY)
    assert [e.t for e in out.events if e.kind == "hazard.overdue"] == [T0 + 5 * DAY]


def test_a_detector_puts_its_condition_on_the_list_once_and_drills_never(desk: Dispatch) -> None:
    for n in range(3):
        t = T0 + n * 10 * MIN
        desk.step([find("cover.moved", "mh", t)], t)
        desk.step([find("cover.moved", "mh", t + MIN, on=False, onset=t)], t + MIN)
    (h,) = desk.hazards.hazards.values()
    assert (h.seen, h.rule, h.grade, h.deadline) == (3, "cover.moved", "major", T0 + 3 * DAY)
    desk.command(cmd("drill.start", "mh", T0 + 60 * MIN))
    assert len(desk.hazards.hazards) == 1


def test_what_the_detector_still_sees_is_not_verified_and_comes_back_when_it_does(desk: Dispatch) -> None:
    desk.step([find("cover.moved", "mh", T0)], T0)
    (h,) = desk.hazards.hazards.values()
    act(desk, "fix", h, T0 + 1, TECH, proof="put back")
    with pytest.raises(Conflict, match="detector still sees it"):
        act(desk, "verify", h, T0 + 2)
    desk.step([find("cover.moved", "mh", T0 + 3, on=False, onset=T0)], T0 + 3)
    out = desk.step([find("cover.moved", "mh", T0 + 4)], T0 + 4)
    assert [e.kind for e in out.events if e.kind.startswith("hazard")] == ["hazard.again"]
    assert (h.state, h.fixed_by) == ("open", "")
    assert h.alarm == alarm_id("cover.moved@mh/x")


def test_who_where_and_bad_input(desk: Dispatch) -> None:
    with pytest.raises(BadInput):
        report(desk, grade="huge")
    with pytest.raises(BadInput):
        report(desk, source="detector")
    with pytest.raises(Forbidden):
        report(desk, Actor("r", role="regulator"))
    lifts = Actor("lu", role="technician", scope=Scope(systems=frozenset({"elevator"})))
    with pytest.raises(NotFound):
        report(desk, lifts)
    h = report(desk)
    with pytest.raises(NotFound):
        act(desk, "fix", h, T0 + 1, lifts, proof="done")
    with pytest.raises(Forbidden):
        act(desk, "verify", h, T0 + 1, TECH)
    with pytest.raises(Conflict, match="changed by chen"):
        desk.command(cmd("hazard.assign", h.id, T0 + 1, OPERATOR, None, 7, to="DR"))


def test_a_refused_assignment_changes_nothing(desk: Dispatch) -> None:
    h = report(desk)
    before = h.shown()
    with pytest.raises(BadInput, match="a number from"):
        act(desk, "assign", h, T0 + 1, OPERATOR, to="DR", grade="major", deadline=T0 - DAY)
    assert h.shown() == before
