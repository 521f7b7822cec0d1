"""How an act travels: version, key, time, refusals, and what the answer says."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dashboards.api.acting import AHEAD, DAY, OLDEST, done_at
from dashboards.api.bodies import Act
from dashboards.problems import Problem
from gateway.errors import BadInput, Conflict, Retryable, WorkFailed
from tests.support.web_site import Site

NOW = 1_790_000_000_000


async def test_two_operators_one_wins_and_the_other_sees_who(site: Site) -> None:
    one, two = await site.login("operator"), await site.login("supervisor")
    tag = (await one.get("/api/v1/alarms/a1")).headers["etag"]
    answers = await asyncio.gather(
        *(c.post("/api/v1/alarms/a1/ack", json={}, headers={"If-Match": tag}) for c in (one, two))
    )
    assert sorted(a.status_code for a in answers) == [200, 409]
    won, lost = sorted(answers, key=lambda a: a.status_code)
    problem = lost.json()
    assert problem["who"] == won.json()["alarm"]["acked_by"]
    assert problem["when"] == won.json()["alarm"]["acked_at"]
    assert problem["who_name"] == problem["who"].title()
    assert problem["who_name"] in problem["detail"]
    assert "2026-09-21 22:13:20" in problem["detail"]  # the site's zone
    assert problem["current"]["version"] == 2
    assert won.headers["etag"] == '"2"'
    assert [c.kind for c in site.desk.commands if c.kind.startswith("alarm")] == ["alarm.ack"]
    await one.aclose()
    await two.aclose()


async def test_an_order_conflict_names_the_last_step(site: Site) -> None:
    client = await site.login("technician")
    headers = {"If-Match": '"1"'}
    assert (await client.post("/api/v1/orders/o1/accept", json={}, headers=headers)).status_code == 200
    late = await client.post("/api/v1/orders/o1/arrive", json={}, headers=headers)
    assert (late.status_code, late.json()["who"]) == (409, "technician")
    await client.aclose()


async def test_the_same_key_is_done_once(site: Site) -> None:
    client = await site.login("operator")
    headers = {"Idempotency-Key": "phone-0001", "If-Match": '"1"'}
    first = await client.post("/api/v1/alarms/a1/ack", json={"note": "x"}, headers=headers)
    second = await client.post("/api/v1/alarms/a1/ack", json={"note": "x"}, headers=headers)
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
    assert len([c for c in site.desk.commands if c.kind == "alarm.ack"]) == 1
    await client.aclose()


async def test_a_key_belongs_to_a_person_an_act_and_a_thing(site: Site) -> None:
    operator, manager = await site.login("operator"), await site.login("manager")
    headers = {"Idempotency-Key": "phone-0001"}
    for client, path in (
        (operator, "a1/ack"),
        (operator, "a9/ack"),
        (operator, "a1/unshelve"),
        (manager, "a1/ack"),
    ):
        assert (await client.post(f"/api/v1/alarms/{path}", json={}, headers=headers)).status_code == 200
    ids = [c.id for c in site.desk.commands if c.kind.startswith("alarm.")]
    assert len(set(ids)) == 4
    await operator.aclose()
    await manager.aclose()


@pytest.mark.parametrize(
    "headers",
    [
        {"If-Match": "seven"},
        {"If-Match": '"-1"'},
        {"Idempotency-Key": "x"},
        {"Idempotency-Key": "a b c d e f"},
    ],
)
async def test_odd_headers_are_refused(site: Site, headers: dict[str, str]) -> None:
    client = await site.login("operator")
    assert (await client.post("/api/v1/alarms/a1/ack", json={}, headers=headers)).status_code == 400
    await client.aclose()


async def test_the_command_is_what_the_person_did(site: Site) -> None:
    client = await site.login("operator")
    now = site.clock.now()
    body = {"minutes": 15, "reason": "cleaning", "done_at": 5_000, "sent_at": 65_000}  # a phone stuck in 1970
    await client.post("/api/v1/alarms/a1/shelve", json=body, headers={"If-Match": '"1"'})
    command = site.desk.commands[-1]
    assert (command.kind, command.subject, command.version) == ("alarm.shelve", "a1", 1)
    assert dict(command.data) == {"minutes": 15, "reason": "cleaning"}
    assert (command.done_at, command.received_at) == (now - 60_000, now)
    assert command.actor.id == "operator"
    await client.aclose()


@pytest.mark.parametrize(
    ("done", "sent", "speed", "expected"),
    [
        (None, None, 1.0, NOW),
        (NOW - 1, None, 1.0, NOW - 1),
        (NOW + AHEAD, None, 1.0, NOW),
        (NOW + 9 * DAY, NOW + 9 * DAY + 1000, 1.0, NOW - 1000),
        (0, 1000, 60.0, NOW - 60_000),
        (0, OLDEST, 1.0, NOW - OLDEST),
    ],
)
def test_the_time_of_an_act(done: int | None, sent: int | None, speed: float, expected: int) -> None:
    assert done_at(Act(done_at=done, sent_at=sent), NOW, speed) == expected


@pytest.mark.parametrize(
    ("done", "sent"),
    [(NOW + AHEAD + 1, None), (NOW - OLDEST - 1, None), (1000, 999), (0, OLDEST + 1)],
)
def test_a_time_that_cannot_be_is_refused(done: int, sent: int | None) -> None:
    with pytest.raises(Problem, match="done_at"):
        done_at(Act(done_at=done, sent_at=sent), NOW)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("alarms/a1/shelve", {"minutes": 15}, "reason"),
        ("alarms/a1/shelve", {"minutes": 481, "reason": "because"}, "minutes"),
        ("alarms/a1/ack", {"note": "x", "extra": 1}, "extra"),
        ("orders/o1/done", {"cause_code": "door"}, "action"),
        ("orders/o1/reassign", {"to": "No Such"}, "to"),
    ],
)
async def test_a_wrong_body_names_its_field(
    site: Site, path: str, body: dict[str, object], field: str
) -> None:
    client = await site.login("operator")
    answer = await client.post(f"/api/v1/{path}", json=body)
    assert answer.status_code == 422
    assert [e["field"] for e in answer.json()["errors"]] == [field]
    await client.aclose()


async def test_a_person_who_is_not_there_cannot_be_named(site: Site) -> None:
    client = await site.login("operator")
    answer = await client.post("/api/v1/alarms/a1/assign", json={"to": "ghost"})
    assert (answer.status_code, "ghost" in answer.json()["detail"]) == (422, True)
    assert (await client.post("/api/v1/orders/o1/reassign", json={"to": "ghost"})).status_code == 422
    await client.aclose()


@pytest.mark.parametrize(
    "more",
    [
        {"role": "technician", "estates": ["tower"]},
        {"role": "display"},
        {"role": "technician", "active": False},
    ],
)
async def test_nobody_is_named_who_cannot_see_to_it(site: Site, more: dict[str, Any]) -> None:
    site.person("far", **{"role": "technician", **more})
    client = await site.login("operator")
    for path in ("alarms/a1/assign", "orders/o1/reassign"):
        answer = await client.post(f"/api/v1/{path}", json={"to": "far"})
        assert (answer.status_code, "far" in answer.json()["detail"]) == (422, True)
    await client.aclose()


async def test_what_cannot_be_done_now_says_why(site: Site) -> None:
    client = await site.login("operator")
    assert (await client.post("/api/v1/orders/o1/accept", json={})).status_code == 200
    site.desk.fails = Conflict("say first how many people were freed")
    for headers in ({}, {"If-Match": '"2"'}):
        answer = await client.post(
            "/api/v1/orders/o1/done", json={"cause_code": "door", "action": "x"}, headers=headers
        )
        assert answer.status_code == 409
        assert answer.json()["detail"] == "say first how many people were freed"
        assert "who" not in answer.json()
    await client.aclose()


async def test_refusals_of_the_core_keep_their_meaning(site: Site) -> None:
    client = await site.login("operator")
    site.desk.fails = BadInput("life safety is never shelved", field="alarm", hint="acknowledge it")
    answer = await client.post("/api/v1/alarms/a1/ack", json={})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "alarm", "message": "life safety is never shelved", "hint": "acknowledge it"}
    ]
    site.desk.fails = Retryable("disk /secret/path is slow")
    answer = await client.post("/api/v1/alarms/a1/ack", json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "secret" not in answer.text
    await client.aclose()


async def test_a_failure_inside_says_nothing_of_the_inside(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    client = await site.login("operator")
    site.desk.fails = WorkFailed("disk /secret/path broke")
    answer = await client.post("/api/v1/alarms/a1/ack", json={})
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    assert "/secret/path" in caplog.text
    await client.aclose()


async def test_problems_speak_the_readers_language(site: Site) -> None:
    async with site.client() as c:
        english = (await c.get("/api/v1/me", headers={"Accept-Language": "en-GB,zh;q=0.5"})).json()
        chinese = (await c.get("/api/v1/me", headers={"Accept-Language": "fr, zh-CN;q=0.5"})).json()
        cookie = (await c.get("/api/v1/me", headers={"Cookie": "lang=en"})).json()
        query = (await c.get("/api/v1/me?lang=zh", headers={"Cookie": "lang=en"})).json()
    assert english["title"] == cookie["title"] == "Please log in"
    assert chinese["title"] == query["title"] != "Please log in"


async def test_an_act_shows_in_the_next_snapshot_at_once(site: Site) -> None:
    client = await site.login("operator")
    assert {a["id"]: a["state"] for a in (await client.get("/api/v1/snapshot")).json()["alarms"]}[
        "a1"
    ] == "UNACK"
    await client.post("/api/v1/alarms/a1/ack", json={})
    assert {a["id"]: a["state"] for a in (await client.get("/api/v1/snapshot")).json()["alarms"]}[
        "a1"
    ] == "ACKED"
    await client.aclose()


async def test_an_alarm_comes_with_its_history(site: Site) -> None:
    client = await site.login("operator")
    await client.post("/api/v1/alarms/a1/note", json={"text": "seen"})
    await client.post("/api/v1/alarms/a1/ack", json={})
    body = (await client.get("/api/v1/alarms/a1")).json()
    assert [(e["kind"], e["actor"]) for e in body["events"]] == [
        ("alarm.note", "operator"),
        ("alarm.ack", "operator"),
    ]
    assert body["alarm"]["state"] == "ACKED"
    assert "secret" not in (await client.get("/api/v1/alarms/a1")).text
    for path in ("/orders", "/orders/o1"):
        assert "secret" not in (await client.get(f"/api/v1{path}")).text
    await client.aclose()
