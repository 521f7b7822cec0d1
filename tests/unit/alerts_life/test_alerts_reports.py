"""Residents, the hotline and the sensor tell of one thing: one order. What is personal is not logged."""

from dataclasses import replace
from typing import Any

import pytest

from alerts.desk import Dispatch, Outcome
from alerts.reports import KEEP_MS, ReportBook, city_notices
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Actor, Command, Scope
from tests.unit.alerts_life.life_kit import LEAD, LIFT_TECH, MIN, OPERATOR, T0, TECH, cmd, find, make_desk

PUBLIC = Actor("resident", "Resident", "public", frozenset(), Scope(estates=frozenset({"e1"})))
SECRET = "Mr Secret 13800000000"


def desk_with() -> tuple[Dispatch, ReportBook]:
    desk = make_desk()
    book = ReportBook(desk.orders)
    desk.add(book)
    desk.tellers.append(city_notices)
    return desk, book


def say(kind: str, subject: str, t: int, who: Actor = PUBLIC, **data: Any) -> Command:
    return replace(cmd(kind, subject, t, who), data=data)


def report(
    desk: Dispatch, n: int, t: int, asset: str = "lift", **data: Any
) -> tuple[Outcome, dict[str, Any]]:
    given = {"code": f"code{n}", "text": SECRET, "where": "flat 7", "phone": "13900000000", **data}
    return desk.command(say("report.make", asset, t, **given))


def test_five_calls_an_alarm_and_the_hotline_are_one_order() -> None:
    desk, book = desk_with()
    for n in range(3):
        report(desk, n, T0 + n, what="trapped")
    desk.step([find("lift.trapped", "lift", T0 + 10)], T0 + 10)
    for n in range(3, 5):
        report(desk, n, T0 + 20 + n, what="trapped")
    case = {"number": "12345-7", "asset": "lift", "text": "somebody is in the lift", "what": "trapped"}
    _, answer = desk.command(say("city.report", "lift", T0 + 30, OPERATOR, **case))
    (order,) = desk.orders.orders.values()
    assert (order.event, order.life, order.priority) == ("entrapment", True, 1)
    assert {r["order"] for r in book.reports.values()} == {order.id}
    assert len(book.reports) == 6
    assert answer["report"]["number"] == "12345-7"


def test_a_report_of_less_joins_what_is_open_on_the_asset_whoever_has_it() -> None:
    desk, _ = desk_with()
    desk.step([find("lift.stop", "lift", T0)], T0)
    (order,) = desk.orders.orders.values()
    out, _ = report(desk, 1, T0 + 1, what="other")
    assert list(desk.orders.orders) == [order.id]
    assert out.events[0].kind == "order.linked"
    report(desk, 2, T0 + 2, asset="lift-2", what="stopped")
    assert len(desk.orders.orders) == 2
    report(desk, 3, T0 + 3, what="trapped")
    assert len(desk.orders.orders) == 3, "people in danger are never merely a note"


def test_nothing_personal_enters_the_log_and_the_record_forgets() -> None:
    desk, book = desk_with()
    out, answer = report(desk, 1, T0, what="stopped")
    said = repr([*out.events, answer])
    for word in ("Secret", "138", "139", "flat 7"):
        assert word not in said
    assert (book.reports["code1"]["text"], book.reports["code1"]["phone"]) == (SECRET, "13900000000")
    (order,) = desk.orders.orders.values()
    desk.tick(T0 + KEEP_MS + 1)
    assert book.reports["code1"]["phone"], "its order is open"
    desk.command(cmd("order.cancel", order.id, T0 + KEEP_MS + 2, LEAD, reason="no"))
    out = desk.tick(T0 + KEEP_MS + 3_700_000)
    assert {book.reports["code1"][k] for k in ("text", "phone", "where")} == {""}
    assert [r[3]["phone"] for r in out.records if r[0] == "report"] == [""]


def finish(desk: Dispatch, order: str, t: int, who: Actor) -> None:
    for act in ("accept", "arrive"):
        desk.command(cmd(f"order.{act}", order, t, who))
    desk.command(cmd("order.done", order, t, who, cause_code="door", action="door cleaned"))
    desk.command(cmd("order.verify", order, t, LEAD, reason="seen"))


def test_the_city_hears_the_result_once_and_its_number_makes_one_case() -> None:
    desk, book = desk_with()
    case = {"number": "12345-7", "asset": "ws", "text": "no water", "what": "no_water"}
    _, first = desk.command(say("city.report", "ws", T0, OPERATOR, **case))
    out, again = desk.command(say("city.report", "ws", T0 + 1, OPERATOR, **case))
    assert (again, out.events, len(book.reports)) == (first, [], 1)
    order = first["report"]["order"]
    finish(desk, order, T0 + MIN, TECH)
    out, _ = desk.command(cmd("order.close", order, T0 + 2 * MIN, TECH))
    (notice,) = [n for n in out.notices if n.to == "CITY"]
    assert (notice.channel, notice.subject) == ("city", "12345-7")
    assert "door cleaned" in notice.body["en"]
    _, late = desk.command(say("city.report", "ws", T0 + 3 * MIN, OPERATOR, **case))
    assert late["report"]["ended"]
    with pytest.raises(Forbidden):
        desk.command(say("city.report", "ws", T0, TECH, **{**case, "number": "8"}))


def test_rated_once_when_it_is_done() -> None:
    desk, _ = desk_with()
    _, answer = report(desk, 1, T0, asset="lift", what="stopped")
    order = answer["report"]["order"]
    with pytest.raises(Conflict, match="when the work is done"):
        desk.command(say("report.rate", "code1", T0 + 1, stars=5))
    finish(desk, order, T0 + MIN, LIFT_TECH)
    for wrong in (0, 6, True, "5", 4.5, None):
        with pytest.raises(BadInput):
            desk.command(say("report.rate", "code1", T0 + MIN, stars=wrong))
    with pytest.raises(NotFound):
        desk.command(say("report.rate", "code9", T0 + MIN, stars=5))
    out, _ = desk.command(say("report.rate", "code1", T0 + MIN, stars=4))
    assert {k: out.events[0].data[k] for k in ("stars", "order", "party")} == {
        "stars": 4, "order": order, "party": "LM",
    }  # fmt: skip
    with pytest.raises(Conflict, match="already"):
        desk.command(say("report.rate", "code1", T0 + MIN, stars=5))


def test_a_photo_of_a_resident_is_evidence_of_the_order() -> None:
    desk, _ = desk_with()
    photo = {"sha256": "a" * 64, "size": 9, "media": "image/jpeg"}
    out, _ = report(desk, 1, T0, what="other", photos=[photo])
    (order,) = desk.orders.orders.values()
    assert [(p["sha256"], p["kind"], p["by"]) for p in order.photos] == [("a" * 64, "other", "resident")]
    assert [e.kind for e in out.events if e.kind == "order.photo"]


def test_who_may_report_and_what() -> None:
    desk, _ = desk_with()
    with pytest.raises(Forbidden):
        desk.command(say("report.make", "lift", T0, OPERATOR, code="x", text="yy"))
    with pytest.raises(BadInput, match="trapped"):
        report(desk, 1, T0, what="party")
    with pytest.raises(NotFound):
        report(desk, 1, T0, asset="nothing")
    away = replace(PUBLIC, scope=Scope(estates=frozenset({"e9"})))
    with pytest.raises(NotFound):
        desk.command(say("report.make", "lift", T0, away, code="x", text="yy"))
    report(desk, 1, T0)
    with pytest.raises(Conflict):
        report(desk, 1, T0)


def test_reports_survive_a_restart() -> None:
    desk, _ = desk_with()
    out, _ = report(desk, 1, T0, what="stopped")
    twin, book = desk_with()
    twin.load(out.records)
    assert book.reports["code1"]["phone"] == "13900000000"
    (order,) = twin.orders.orders.values()
    report(twin, 2, T0 + 1, what="stopped")
    assert list(twin.orders.orders) == [order.id]
