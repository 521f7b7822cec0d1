from datetime import datetime
from typing import Any

import pytest

from alerts.calendars import Roster
from alerts.desk import Dispatch
from alerts.handover import GRACE, HandoverBook, digest
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Actor, Event, Scope
from tests.unit.alerts_life.life_kit import LEAD, MIN, TECH, ZONE, cmd, find

NAMES = {"wang": "Wang", "liu": "Liu"}
WANG, LIU = (Actor(i, NAMES[i], "operator", frozenset({"CR"})) for i in NAMES)
SHIFTS = [
    {"duty": "CR", "people": ["wang"], "from": "08:00", "to": "20:00"},
    {"duty": "CR", "people": ["liu"], "from": "20:00", "to": "08:00"},
]
FIRMS = {"e1": "f1"}
T0 = int(datetime(2026, 9, 21, 20, tzinfo=ZONE).timestamp()) * 1000


def make(desk: Dispatch) -> HandoverBook:
    roster = Roster.of(SHIFTS, NAMES, ZONE)
    book = HandoverBook(FIRMS, desk.book.alarms, desk.orders.orders, lambda: roster)
    desk.add(book)
    return book


def act(desk: Dispatch, verb: str, subject: str, t: int, actor: Actor = WANG, **data: Any) -> dict[str, Any]:
    answer: dict[str, Any] = desk.command(cmd(f"handover.{verb}", subject, t, actor, **data))[1]["handover"]
    return answer


def unsigned(events: list[Event]) -> list[Event]:
    return [e for e in events if e.kind == "handover.unsigned"]


def test_the_document_holds_what_is_open_and_both_sign_it(desk: Dispatch) -> None:
    make(desk)
    start = T0 - 10 * 3_600_000
    found = [find("lift.stop", "lift-2", start), find("leak", "mh", start), find("meter.flat", "em", start)]
    desk.step(found, start)
    meter = next(a.id for a in desk.book.alarms.values() if a.asset == "em")
    desk.command(cmd("alarm.shelve", meter, T0 - MIN, WANG, minutes=60, reason="known"))
    sheet = act(desk, "open", "e1", T0 - MIN)
    act(desk, "note", sheet["id"], T0 - MIN, text="pump 2 is loud")
    assert {a["asset"] for a in sheet["alarms"]} == {"lift-2", "mh"}
    assert [(a["asset"], a["until"]) for a in sheet["shelved"]] == [("em", T0 + 59 * MIN)]
    assert {"accept"} <= set(sheet["overdue"][0]["clocks"])
    half = act(desk, "sign", sheet["id"], T0, side="outgoing", session="s1")
    assert (half["state"], half["signatures"][0]["by"]) == ("half", "wang")
    assert "session" not in half["signatures"][0]
    outcome, answer = desk.command(
        cmd("handover.sign", sheet["id"], T0 + MIN, LIU, side="incoming", session="s2")
    )
    assert answer["handover"]["state"] == "signed"
    (event,) = [e for e in outcome.events if e.kind == "handover.completed"]
    assert event.data["hash"] == digest(event.data["document"])
    assert event.data["document"]["notes"][0]["text"] == "pump 2 is loud"
    assert [s["by"] for s in event.data["signatures"]] == ["wang", "liu"]
    assert unsigned(desk.tick(T0 + 2 * GRACE).events) == []


def test_two_people_in_two_sessions_sign_and_the_first_signature_freezes_it(desk: Dispatch) -> None:
    make(desk)
    id_ = act(desk, "open", "e1", T0)["id"]
    act(desk, "sign", id_, T0, side="outgoing", session="s1")
    for actor, data, error, said in (
        (WANG, {"side": "incoming", "session": "s2"}, Forbidden, "two different people"),
        (LIU, {"side": "incoming", "session": "s1"}, Forbidden, "session of their own"),
        (LIU, {"side": "incoming"}, BadInput, "own session"),
        (LIU, {"side": "outgoing", "session": "s2"}, Conflict, "already signed as outgoing by wang at 2026"),
        (LIU, {"side": "beside", "session": "s2"}, BadInput, "no side"),
        (TECH, {"side": "incoming", "session": "s3"}, Forbidden, "may not"),
    ):
        with pytest.raises(error, match=said):
            act(desk, "sign", id_, T0, actor, **data)
    with pytest.raises(Conflict, match="does not change any more"):
        act(desk, "note", id_, T0, text="too late")
    assert act(desk, "open", "e1", T0 + MIN)["as_of"] == T0, "the open one, as it was signed"
    with pytest.raises(NotFound):
        act(desk, "sign", "ho-x", T0, side="outgoing", session="s")
    with pytest.raises(NotFound):
        act(desk, "open", "e1", T0, Actor("z", "Z", "operator", scope=Scope(estates=frozenset({"e9"}))))
    with pytest.raises(BadInput, match="text of"):
        act(desk, "note", id_, T0, text=" ")
    with pytest.raises(Conflict, match="look again"):
        desk.command(cmd("handover.note", id_, T0, WANG, version=0, text="x"))


def test_half_an_hour_after_the_change_the_manager_hears_once(desk: Dispatch) -> None:
    make(desk)
    desk.tick(T0 - 60 * MIN)
    told: list[Event] = []
    for n in range(-50, 100):
        told += unsigned(desk.tick(T0 + n * MIN).events)
    assert [(e.t, e.data["outgoing"], e.data["incoming"]) for e in told] == [(T0 + GRACE, ["Wang"], ["Liu"])]
    later = unsigned(desk.tick(T0 + 13 * 60 * MIN).events)
    assert [e.t for e in later] == [T0 + 12 * 60 * MIN + GRACE], (
        "the morning, although nobody looked till then"
    )


@pytest.mark.parametrize(("signed_at", "calls"), [(-119, 0), (30, 0), (31, 1), (-121, 1)])
def test_signatures_count_from_two_hours_before_to_half_an_hour_after(
    desk: Dispatch, signed_at: int, calls: int
) -> None:
    make(desk)
    desk.tick(T0 - 180 * MIN)
    told: list[Event] = []
    for n in range(-170, 40):
        if n == signed_at:
            id_ = act(desk, "open", "e1", T0 + n * MIN)["id"]
            act(desk, "sign", id_, T0 + n * MIN, side="outgoing", session="1")
            outcome, _ = desk.command(
                cmd("handover.sign", id_, T0 + n * MIN, LEAD, side="incoming", session="2")
            )
            told += unsigned(outcome.events)
        told += unsigned(desk.tick(T0 + n * MIN).events)
    assert len(told) == calls


def test_a_restart_forgets_neither_document_nor_what_was_told(desk: Dispatch) -> None:
    book = make(desk)
    desk.tick(T0 - 60 * MIN)
    id_ = act(desk, "open", "e1", T0 - MIN)["id"]
    act(desk, "sign", id_, T0, side="outgoing", session="s1")
    first = unsigned(desk.tick(T0 + GRACE + MIN).events)
    assert [e.subject for e in first] == [id_], "half signed is not signed"
    other = HandoverBook(FIRMS, {}, {}, lambda: Roster.of(SHIFTS, NAMES, ZONE))
    for kind, key, _, body in book.dump():
        other.load(kind, key, body)
    assert other.tick(T0 + GRACE + 2 * MIN) == []
    answer = other.command(cmd("handover.sign", id_, T0 + 60 * MIN, LIU, side="incoming", session="s2"))[1]
    assert answer["handover"]["state"] == "signed"
    other.drain()
    other.tick(T0 + 9 * 24 * 60 * MIN)
    assert other.drain()[1] == [("handover", id_, "")]
