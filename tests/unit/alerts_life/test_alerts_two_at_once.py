"""Two people act on one order at once: the first wins, the other is told who and when. Every act is here."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from alerts import orders_commands
from alerts.calendars import stamp
from alerts.checklists import templates_of
from alerts.desk import Dispatch
from alerts.matrix import EVENTS
from alerts.orders_pass import SEEN_MS
from alerts.orders_state import Order
from gateway.errors import Conflict, Forbidden, NotFound, Refused
from gateway.model import SYSTEMS, Actor, Command
from tests.unit.alerts_life.life_kit import MIN, T0, TECH, cmd, find, make_desk

ONE, OTHER = Actor("zhao", "Zhao", "manager"), Actor("sun", "Sun", "supervisor")
ITEMS = [{"id": "flow", "type": "number", "low": 1, "text": {"zh": "x", "en": "x"}, "required": False}]
TEMPLATES = templates_of([{"id": "t", "items": ITEMS, "needs": ["second"]}], events=EVENTS, kinds=SYSTEMS)
PART = {"kind": "part", "what": "seal", "quantity": 1, "unit_price_fen": 100, "warranty": True}
PHOTO = {"sha256": "a" * 64, "kind": "before", "size": 1, "media": "image/jpeg"}
TO_SITE = ("accept", "arrive")
DONE = (*TO_SITE, "done")
DATA: dict[str, dict[str, Any]] = {
    "done": {"cause_code": "wear", "action": "x"}, "hold": {"reason": "parts"}, "cost": PART,
}  # fmt: skip
BACK = T0 + 5 * MIN
AT = T0 + 10 * MIN


@dataclass(frozen=True)
class Case:
    """before: what the technician did · one, other: data of both acts · said: what the other one is told,
    "" where both acts stand · why: then the reason."""

    before: tuple[str, ...] = ()
    one: dict[str, Any] = field(default_factory=dict)
    other: dict[str, Any] | None = None
    said: str = ""
    why: str = ""
    kind: type[Refused] = Conflict


REASON = {"reason": "no"}
CASES = {
    "accept": Case(said="already accepted by zhao at {t}"),
    "en_route": Case(("accept",), said="already EN_ROUTE, by zhao at {t}"),
    "arrive": Case(("accept",), said="already ON_SITE, by zhao at {t}"),
    "work": Case(TO_SITE, said="already WORKING, by zhao at {t}"),
    "hold": Case(TO_SITE, {"reason": "parts"}, {"reason": "access"}, "already ON_HOLD, by zhao at {t}"),
    "resume": Case((*TO_SITE, "hold"), said="ON_SITE: cannot resume, by zhao at {t}"),
    "done": Case(TO_SITE, DATA["done"], said="already DONE, by zhao at {t}"),
    "verify": Case(DONE, REASON, said="already VERIFIED, by zhao at {t}"),
    "close": Case((*DONE, "normal", "confirm"), said="already CLOSED, by zhao at {t}"),
    "reject": Case((), REASON, said="already REJECTED, by zhao at {t}"),
    "reassign": Case((), {"to": "chen"}, {"to": "li"}, "given to chen, by zhao at {t}"),
    "handover": Case(("accept",), {"to": "wu"}, {"to": "li"}, "given to wu, by zhao at {t}"),
    "cancel": Case((), REASON, said="already CANCELLED, by zhao at {t}"),
    "check": Case(TO_SITE, {"item": "flow", "value": 2}, {"item": "flow", "value": 3},
                  "flow is 2, by zhao at {t}"),
    "uncost": Case((*TO_SITE, "cost"), {"line": "LINE"}, said="no cost line .*, by zhao at {t}",
                   kind=NotFound),
    "costs_ok": Case(DONE, {"total_fen": 0}, said="confirmed already, by zhao at {t}"),
    "confirm": Case(DONE, said="already confirmed, by zhao at {t}"),
    "refuse": Case(DONE, REASON, said="nothing done to confirm, by zhao at {t}"),
    "release": Case(("withhold",), said="no call is being withheld, by zhao at {t}"),
    "note": Case((), {"text": "a"}, {"text": "b"}, why="two notes"),
    "photo": Case(TO_SITE, PHOTO, why="the same photo is kept once"),
    "cost": Case(TO_SITE, PART, why="two lines"),
}  # fmt: skip


def stand(case: Case) -> tuple[Dispatch, Order]:
    """An order, and what the technician has done on it."""
    desk = make_desk()
    desk.orders.templates = TEMPLATES
    desk.step([find("water.low", "ws", T0)], T0)
    (order,) = desk.orders.orders.values()
    for n, act in enumerate(case.before):
        t = T0 + (n + 1) * 1000
        if act == "withhold":
            order.keep.withheld.append({"step": "0", "role": "WM", "channel": "push"})
        elif act == "normal":
            desk.step([find("water.low", "ws", BACK, on=False, onset=T0)], BACK)
            desk.tick(BACK + 2 * MIN)
        else:
            who = OTHER if act == "confirm" else TECH
            desk.command(give(act, order, BACK + 3 * MIN if act == "confirm" else t, who, DATA.get(act, {})))
    return desk, order


def give(
    act: str, order: Order, t: int, who: Actor, data: dict[str, Any], done: int | None = None
) -> Command:
    if data.get("line"):
        data = {"line": order.costs[0]["id"] if order.costs else "gone"}
    return replace(cmd(f"order.{act}", order.id, t, who, done), data=data)


def test_every_act_is_in_the_table() -> None:
    acts = {kind.partition(".")[2] for kind in orders_commands._ACTS}
    assert acts == set(CASES)


@pytest.mark.parametrize("act", CASES)
def test_one_wins_and_the_other_sees_who_and_when(act: str) -> None:
    case = CASES[act]
    desk, order = stand(case)
    second = case.one if case.other is None else case.other
    line = order.costs[0]["id"] if order.costs else ""
    desk.command(give(act, order, AT, ONE, case.one))
    before = order.as_record()
    again = give(act, order, AT + 300, OTHER, second)
    if line:
        again = replace(again, data={"line": line} if act == "uncost" else again.data)
    if not case.said:
        assert case.why
        desk.command(again)
        assert order.version > before["version"]
        return
    with pytest.raises(case.kind, match=case.said.replace("{t}", stamp(AT))):
        desk.command(again)
    assert order.as_record() == before, "nothing of the other act was kept"


SHOWN = sorted(set(CASES) - {"note", "photo", "cost"})


@pytest.mark.parametrize("act", SHOWN)
def test_who_names_the_version_on_the_screen_is_told_who_changed_it(act: str) -> None:
    desk, order = stand(CASES[act])
    shown = order.version
    desk.command(give(act, order, AT, ONE, CASES[act].one))
    with pytest.raises(Conflict, match=f"changed by zhao at {stamp(AT)}"):
        desk.command(replace(give(act, order, AT + 300, OTHER, CASES[act].one), version=shown))


def test_who_has_seen_it_may_change_it() -> None:
    """A correction is no race: some seconds later, or with the version that shows what the other one did."""
    desk, order = stand(CASES["check"])
    desk.command(give("check", order, AT, ONE, {"item": "flow", "value": 2}))
    seen = replace(give("check", order, AT + 1, OTHER, {"item": "flow", "value": 3}), version=order.version)
    desk.command(seen)
    desk.command(give("check", order, AT + 1 + SEEN_MS, ONE, {"item": "flow", "value": 4}))
    desk.command(give("check", order, AT + 2 + SEEN_MS, ONE, {"item": "flow", "value": 5}))  # one's own
    item = order.item("flow")
    assert item is not None
    assert (item["value"], item["by"]) == (5, "zhao")


def test_an_act_from_a_phone_without_signal_does_not_undo_what_came_meanwhile() -> None:
    desk, order = stand(CASES["reassign"])
    desk.command(give("reassign", order, AT, ONE, {"to": "chen"}))
    with pytest.raises(Conflict, match="given to chen, by zhao"):
        desk.command(give("reassign", order, AT + 60 * MIN, OTHER, {"to": "li"}, done=AT - MIN))


def test_accepting_what_was_just_given_to_another_person() -> None:
    desk, order = stand(Case())
    desk.command(give("reassign", order, AT, ONE, {"to": "chen"}))
    with pytest.raises(Conflict, match="given to chen, by zhao"):
        desk.command(give("accept", order, AT + 300, OTHER, {}))
    desk.command(give("accept", order, AT + 400, TECH, {}))
    assert order.assignee == TECH.id == "chen"


def test_what_was_there_before_a_restart_is_told_after_it() -> None:
    desk, order = stand(CASES["resume"])
    desk.command(give("resume", order, AT, ONE, {}))
    fresh = make_desk()
    fresh.load(desk.dump())
    with pytest.raises(Conflict, match="cannot resume, by zhao"):
        fresh.command(give("resume", fresh.orders.orders[order.id], AT + 1, OTHER, {}))
    old = order.as_record()
    del old["keep"]["acts"]
    assert Order.from_dict(old).keep.acts == {}, "orders of before are read"


def test_a_role_may_not_even_try() -> None:
    desk, order = stand(Case())
    with pytest.raises(Forbidden):
        desk.command(give("accept", order, AT, Actor("wall", role="display"), {}))
