"""Who may do what: every role times every action, the scope, the duty, and one act at the wall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from alerts.alarms_access import MAY
from dashboards.access.permissions import ACTIONS, DUTY_BOUND, actions_of, allows, markdown
from dashboards.web import WebOptions
from gateway.adapters.attachments import Attachments
from gateway.model import ROLES
from tests.support.web_desk import order
from tests.support.web_site import HASHER, PASSWORD, Build, Site

NOUNS = (
    "plan.", "report.", "city.", "sample.", "case.", "alarm.", "order.", "link.", "drill.", "asset.",
    "silence.", "permit.", "hazard.",
)  # fmt: skip
DOC = Path(__file__).parents[3] / "docs" / "permissions.md"
REASON = {"reason": "because"}
COST = {"kind": "part", "what": "bearing", "quantity": 2, "unit_price_fen": 1250}
NEW_PERSON = {"name": "New", "role": "operator"}

# One call for every action: method, address, body. A duty-bound role gets an order of its own duty.
CALLS: dict[str, tuple[str, str, Any]] = {
    "view.wall": ("GET", "/snapshot", None),
    "view.orders": ("GET", "/orders", None),
    "view.events": ("GET", "/events", None),
    "view.stats": ("GET", "/stats?from=0&to=1000", None),
    "export": ("GET", "/stats.csv?from=0&to=1000", None),
    "alarm.ack": ("POST", "/alarms/a1/ack", {}),
    "alarm.shelve": ("POST", "/alarms/a1/shelve", {"minutes": 15, **REASON}),
    "alarm.unshelve": ("POST", "/alarms/a1/unshelve", {}),
    "alarm.assign": ("POST", "/alarms/a1/assign", {"to": "technician"}),
    "alarm.note": ("POST", "/alarms/a1/note", {"text": "x"}),
    "alarm.oos": ("POST", "/alarms/a1/oos", {"minutes": 60, "permit": "P-17"}),
    "alarm.judge": ("POST", "/alarms/a1/judge", {"verdict": "false"}),
    "silence.create": (
        "POST",
        "/silences",
        {"estate": "garden", "match": {"asset": "pump-1"}, "minutes": 30, **REASON},
    ),
    "silence.end": ("POST", "/silences/si-1/end", {}),
    "permit.announce": (
        "POST",
        "/permits",
        {"assets": ["pump-1"], "number": "P-1", "person": "Chen", "until": 1_790_003_600_000, **REASON},
    ),
    "permit.withdraw": ("POST", "/permits/pm-1/withdraw", {}),
    "permit.end": ("POST", "/permits/pm-1/end", {}),
    "view.hazards": ("GET", "/hazards", None),
    "hazard.report": ("POST", "/hazards", {"asset": "pump-1", "text": "open pit"}),
    "hazard.assign": ("POST", "/hazards/hz-1/assign", {"to": "technician"}),
    "hazard.fix": ("POST", "/hazards/hz-1/fix", {"proof": "covered"}),
    "hazard.refuse": ("POST", "/hazards/hz-1/refuse", REASON),
    "hazard.verify": ("POST", "/hazards/hz-1/verify", {}),
    "alarm.reset": ("POST", "/alarms/a1/reset", {"evidence": "seen"}),
    "order.create": ("POST", "/orders", {"asset": "lift-1", "text": "it rattles"}),
    "order.release": ("POST", "/orders/o1/release", {}),
    "order.accept": ("POST", "/orders/o1/accept", {}),
    "order.en_route": ("POST", "/orders/o1/en_route", {}),
    "order.arrive": ("POST", "/orders/o1/arrive", {"lat": 30.0, "lon": 120.0}),
    "order.work": ("POST", "/orders/o1/work", {}),
    "order.hold": ("POST", "/orders/o1/hold", REASON),
    "order.resume": ("POST", "/orders/o1/resume", {}),
    "order.done": ("POST", "/orders/o1/done", {"cause_code": "door", "action": "cleaned"}),
    "order.check": ("POST", "/orders/o1/check", {"item": "light", "value": True}),
    "order.note": ("POST", "/orders/o1/note", {"text": "x"}),
    "order.photo": ("POST", "/orders/o1/photos?kind=before", b"\xff\xd8\xff\xe0 \xff\xd9"),
    "order.cost": ("POST", "/orders/o1/costs", COST),
    "order.uncost": ("POST", "/orders/o1/costs/drop", {"line": "cost-1"}),
    "order.costs_ok": ("POST", "/orders/o1/costs/confirm", {"total_fen": 0}),
    "order.confirm": ("POST", "/orders/o1/confirm", {}),
    "order.refuse": ("POST", "/orders/o1/refuse", REASON),
    "order.reject": ("POST", "/orders/o1/reject", REASON),
    "order.reassign": ("POST", "/orders/o1/reassign", {"to": "TE"}),
    "order.verify": ("POST", "/orders/o1/verify", REASON),
    "order.close": ("POST", "/orders/o1/close", {}),
    "order.cancel": ("POST", "/orders/o1/cancel", REASON),
    "view.reports": ("GET", "/reports", None),
    "city.report": ("POST", "/city/cases", {"number": "1", "asset": "lift-1", "text": "stands"}),
    "view.cases": ("GET", "/cases", None),
    "case.open": ("POST", "/cases", {"order": "o1"}),
    "case.fill": ("POST", "/cases/c1/fill", {"slot": "plan", "text": "new pump"}),
    "case.amount": ("POST", "/cases/c1/amount", {"amount_fen": 100}),
    "case.review": ("POST", "/cases/c1/review", {"result": "pass", "text": "agreed"}),
    "case.request": ("POST", "/cases/c1/request", {}),
    "case.paid": ("POST", "/cases/c1/paid", {}),
    "export.dossier": ("GET", "/cases/c1/dossier.zip", None),
    "sample.result": ("POST", "/samples/s1/result", {"order": "o1", "result": "pass", "text": "dry"}),
    "plan.put": ("PUT", "/plans/p1", {"asset": "lift-1", "template": {}}),
    "plan.move": ("POST", "/plans/p1/move", {"due": "2026-01-31", **REASON}),
    "plan.last": ("POST", "/plans/p1/last", {"done": "2026-01-31", **REASON}),
    "plan.pause": ("POST", "/plans/p1/pause", {"active": False, **REASON}),
    "leave.ask": ("POST", "/leave", {"person": "li", "start": 1, "end": 2}),
    "leave.withdraw": ("POST", "/leave/lv-1/withdraw", {}),
    "leave.accept": ("POST", "/leave/lv-1/accept", {}),
    "leave.decline": ("POST", "/leave/lv-1/decline", REASON),
    "leave.approve": ("POST", "/leave/lv-1/approve", REASON),
    "leave.refuse": ("POST", "/leave/lv-1/refuse", REASON),
    "view.handover": ("GET", "/handovers", None),
    "handover.open": ("POST", "/handovers/garden/open", {}),
    "handover.note": ("POST", "/handovers/ho-1/note", {"text": "x"}),
    "handover.sign": ("POST", "/handovers/ho-1/sign", {"side": "incoming"}),
    "order.handover": ("POST", "/orders/o1/handover", {"to": "contractor"}),
    "link.make": ("POST", "/orders/o1/links", {"name": "Zhang", "firm": "Fixit"}),
    "link.revoke": ("POST", "/links/0123456789/revoke", {}),
    "asset.mode": ("PUT", "/assets/lift-1/mode", {"mode": "commissioning"}),
    "drill.start": ("POST", "/drill", {"asset": "lift-1"}),
    "point.write": ("POST", "/points/pump-1/ws.set_p/write", {"value": 0.4, **REASON}),
    "edge.trace": ("POST", "/edges/gw-garden/trace", {"line": "bus", "on": True}),
    "edge.retry": ("POST", "/edges/gw-garden/retry", {"device": "d1"}),
    "settings.view": ("GET", "/settings/matrix", None),
    "settings.put": ("PUT", "/settings/matrix/row-1", {"body": {"event": "gas"}}),
    "users.view": ("GET", "/users", None),
    "users.put": ("PUT", "/users/somebody", NEW_PERSON),
    "session.password": ("POST", "/password", {"old": PASSWORD, "new": "another-horse-9"}),
    "session.logout": ("POST", "/logout", None),
    "breakit": ("POST", "/breakit", {"do": "cut"}),
}
PAGES_ONLY = {"view.asset"}
ROLES_THAT_LOG_IN = [r for r in ROLES if r != "public"]


async def _broken(body: Any) -> dict[str, Any]:
    return {"broken": body["do"]}


async def _written(*_: Any) -> dict[str, Any]:
    return {"result": "done", "old": 0.3, "new": 0.4}


async def _asked(*_: Any) -> dict[str, Any]:
    return {"ok": True}


@pytest.fixture
def demo(build: Build, tmp_path: Path) -> Site:
    """A web with everything switched on."""
    return build(
        WebOptions(
            hasher=HASHER,
            breakit=_broken,
            write=_written,
            edge=_asked,
            dossier=lambda _: b"PK",
            files=Attachments(tmp_path / "attachments"),
            figures=lambda *_: {"rows": [{"asset": "lift-1", "availability": 1.0}]},
        )
    )


def test_every_action_has_its_call() -> None:
    assert set(CALLS) | PAGES_ONLY == set(ACTIONS)


@pytest.mark.parametrize("role", ROLES_THAT_LOG_IN)
async def test_every_action_of_a_role_is_allowed_or_403(demo: Site, role: str) -> None:
    client = await demo.login(role)
    # Logging out and a new password come last: they end the session.
    for action in sorted(CALLS, key=lambda a: (a == "session.logout", a.startswith("session"))):
        method, path, body = CALLS[action]
        before = len(demo.desk.commands)
        sent = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = await client.request(method, f"/api/v1{path}", **sent)
        if allows(role, action):
            assert answer.status_code == 200, (role, action, answer.text)
            if action == "session.password":
                client.headers["X-CSRF-Token"] = answer.json()["csrf"]
        else:
            assert answer.status_code == 403, (role, action, answer.text)
            assert answer.json()["action"] == action
            assert len(demo.desk.commands) == before
    await client.aclose()


def test_the_display_sees_the_wall_and_nothing_else() -> None:
    assert actions_of("display") == ["view.wall"]
    assert actions_of("public") == []


def test_the_core_allows_what_the_web_allows() -> None:
    acts = {a for a in ACTIONS if a.startswith(NOUNS)}
    assert acts == set(MAY)
    for action in acts:
        assert ACTIONS[action][1] == MAY[action], action


def test_the_document_holds_this_very_table() -> None:
    assert markdown() in DOC.read_text(encoding="utf-8"), "docs/permissions.md is old: put markdown() into it"


async def test_no_address_is_open_by_mistake(site: Site) -> None:
    """Every call of the schema, without a log-in: 401, except for what is named here."""
    open_to_all = {"/api/v1/login", "/api/v1/public/{estate}", "/api/v1/answers"}
    async with site.client() as c:
        schema = (await c.get("/api/v1/openapi.json")).json()
        assert len(schema["paths"]) > 35
        for path, methods in schema["paths"].items():
            for method in methods:
                if path in open_to_all:
                    continue
                answer = await c.request(method, path.replace("{", "").replace("}", ""), json={})
                assert answer.status_code == 401, (method, path, answer.text)


@pytest.mark.parametrize("headers", [{}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": "ü"}])
async def test_no_act_without_the_token_of_the_session(site: Site, headers: dict[str, str]) -> None:
    client = await site.login("operator")
    other = await site.login("manager")
    del client.headers["X-CSRF-Token"]
    foreign = {"X-CSRF-Token": other.headers["X-CSRF-Token"]}
    for given in (headers, foreign):
        answer = await client.post("/api/v1/alarms/a1/ack", json={}, headers=httpx.Headers(given, "utf-8"))
        assert answer.status_code == 403
        assert "action" not in answer.json()
    assert all(c.kind.startswith("user.") for c in site.desk.commands)
    await client.aclose()
    await other.aclose()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example"])
async def test_another_origin_is_refused(site: Site, origin: str) -> None:
    client = await site.login("operator")
    answer = await client.post("/api/v1/alarms/a1/ack", json={}, headers={"Origin": origin})
    assert answer.status_code == 403
    own = await client.post("/api/v1/alarms/a1/ack", json={}, headers={"Origin": "http://localhost"})
    assert own.status_code == 200
    await client.aclose()


async def test_a_cross_site_login_form_is_refused(site: Site) -> None:
    async with site.client() as c:
        fields = {"user": "operator", "password": PASSWORD}
        answer = await c.post("/login", data=fields, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers


# ── scope ─────────────────────────────────────────────────────────────────────────────────────────────

LIMITS: list[tuple[dict[str, Any], set[str]]] = [
    ({"firms": ["green"]}, {"lift-1", "pump-1", "lamp-1", "lift-5"}),
    ({"estates": ["river"]}, {"lift-5"}),
    ({"systems": ["elevator"]}, {"lift-1", "lift-5", "lift-9"}),
    ({"firms": ["green"], "systems": ["elevator"]}, {"lift-1", "lift-5"}),
    ({"firms": []}, set()),
]


@pytest.mark.parametrize(("limit", "assets"), LIMITS)
async def test_queries_hold_to_the_scope(site: Site, limit: dict[str, Any], assets: set[str]) -> None:
    site.person("olga", "supervisor", **limit)
    client = await site.login("olga")
    picture = (await client.get("/api/v1/snapshot")).json()
    assert {a["id"] for a in picture["assets"]} == assets
    assert {p.partition("/")[0] for p in picture["values"]} <= assets
    found = (await client.get("/api/v1/orders")).json()["orders"]
    assert {o["asset"] for o in found} == assets & {"lift-1", "pump-1", "lift-9"}
    for asset in ("lift-1", "lift-5", "lift-9", "pump-1"):
        point = f"{asset}/{'ws.out_p' if asset == 'pump-1' else 'lift.speed'}"
        answer = await client.get("/api/v1/series", params={"point": point, "from": 0, "to": 1000})
        assert answer.status_code == (200 if asset in assets else 404), asset
        drill = await client.post("/api/v1/drill", json={"asset": asset})
        assert drill.status_code == (200 if asset in assets else 404), asset
    for alarm, asset in (("a1", "lift-1"), ("a9", "lift-9")):
        for method, tail in (("GET", ""), ("POST", "/ack")):
            answer = await client.request(method, f"/api/v1/alarms/{alarm}{tail}", json={})
            assert answer.status_code == (200 if asset in assets else 404), (alarm, tail)
    await client.aclose()


async def test_what_is_outside_looks_like_what_does_not_exist(site: Site) -> None:
    site.person("olga", "operator", estates=["garden"])
    client = await site.login("olga")
    outside = await client.post("/api/v1/alarms/a9/ack", json={})
    nowhere = await client.post("/api/v1/alarms/zz/ack", json={})
    assert (outside.status_code, outside.json()) == (nowhere.status_code, nowhere.json())
    await client.aclose()


async def test_health_and_events_hold_to_the_scope(site: Site) -> None:
    admin = await site.login("admin")
    for alarm in ("a1", "a9"):
        assert (await admin.post(f"/api/v1/alarms/{alarm}/ack", json={})).status_code == 200
    site.person("olga", "supervisor", estates=["garden"])
    client = await site.login("olga")
    health = (await client.get("/api/v1/health")).json()
    assert list(health["edges"]) == ["gw-garden"]
    events = (await client.get("/api/v1/events?kind=alarm.ack")).json()["events"]
    assert [e["subject"] for e in events] == ["a1"]
    assert (await client.get("/api/v1/events?estate=tower")).status_code == 404
    both = (await admin.get("/api/v1/events?kind=alarm.ack")).json()["events"]
    assert {e["subject"] for e in both} == {"a1", "a9"}
    await client.aclose()
    await admin.aclose()


# ── duty ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("role", sorted(DUTY_BOUND))
async def test_orders_of_another_duty_are_seen_but_not_touched(site: Site, role: str) -> None:
    client = await site.login(role)
    assert (await client.get("/api/v1/orders/o2")).json()["mine"] is False
    assert (await client.post("/api/v1/orders/o2/accept", json={})).status_code == 403
    assert (await client.post("/api/v1/orders/o1/accept", json={})).status_code == 200
    site.desk.put("order", order("o3", "pump-1", "TE", assignee=role))
    assert (await client.post("/api/v1/orders/o3/accept", json={})).status_code == 200
    mine = (await client.get("/api/v1/orders?mine=true")).json()["orders"]
    assert {o["id"] for o in mine} == {"o1", "o3", "o9"}
    site.desk.put("order", order("o4", "pump-1", "TE", backup="LM"))
    site.desk.put("order", order("o5", "pump-1", "TE", ladder=[{"t": 1, "level": 1, "role": "LM"}]))
    for called in ("o4", "o5"):
        assert (await client.post(f"/api/v1/orders/{called}/accept", json={})).status_code == 200
    await client.aclose()


# ── one act at the wall ───────────────────────────────────────────────────────────────────────────────


async def test_an_act_at_the_wall_is_the_persons(site: Site) -> None:
    wall = await site.login("display")
    assert (await wall.post("/api/v1/alarms/a1/ack", json={})).status_code == 403
    given = await wall.post("/api/v1/act-token", json={"user": "operator", "password": PASSWORD})
    act = {"X-Act-As": given.json()["token"]}
    assert (await wall.post("/api/v1/alarms/a1/ack", json={}, headers=act)).json()["alarm"][
        "acked_by"
    ] == "operator"
    again = await wall.post("/api/v1/alarms/a1/ack", json={}, headers=act)
    assert again.status_code == 403
    assert (await wall.get("/api/v1/me")).json()["role"] == "display"
    await wall.aclose()


async def test_an_act_token_is_of_one_screen_and_short_lived(site: Site) -> None:
    wall, other = await site.login("display"), await site.login("display")
    body = {"user": "operator", "password": PASSWORD}
    token = (await wall.post("/api/v1/act-token", json=body)).json()["token"]
    stolen = await other.post("/api/v1/alarms/a1/ack", json={}, headers={"X-Act-As": token})
    assert stolen.status_code == 403
    token = (await wall.post("/api/v1/act-token", json=body)).json()["token"]
    await site.clock.advance(61)
    late = await wall.post("/api/v1/alarms/a1/ack", json={}, headers={"X-Act-As": token})
    assert late.status_code == 403
    await wall.aclose()
    await other.aclose()


async def test_an_act_token_brings_the_persons_own_limits(site: Site) -> None:
    site.person("olga", "operator", estates=["garden"])
    wall = await site.login("display")

    async def act(user: str, path: str, body: dict[str, Any]) -> int:
        token = (await wall.post("/api/v1/act-token", json={"user": user, "password": PASSWORD})).json()[
            "token"
        ]
        answer = await wall.post(f"/api/v1{path}", json=body, headers={"X-Act-As": token})
        return answer.status_code

    assert await act("olga", "/alarms/a9/ack", {}) == 404
    assert await act("olga", "/alarms/a1/ack", {}) == 200
    assert await act("regulator", "/alarms/a1/ack", {}) == 403
    await wall.aclose()


async def test_the_wall_logs_out_only_for_a_person(site: Site) -> None:
    wall = await site.login("display")
    assert (await wall.post("/api/v1/logout")).status_code == 403
    body = {"user": "operator", "password": PASSWORD}
    token = (await wall.post("/api/v1/act-token", json=body)).json()["token"]
    assert (await wall.post("/api/v1/logout", headers={"X-Act-As": token})).status_code == 200
    assert (await wall.get("/api/v1/me")).status_code == 401
    await wall.aclose()


@pytest.mark.parametrize(
    ("second", "status"), [("manager", 200), ("supervisor", 403), ("operator", 403), (None, 403)]
)
async def test_the_second_person_is_another_one_who_may(site: Site, second: str | None, status: int) -> None:
    client = await site.login("supervisor")
    token = "made-up"
    if second:
        body = {"user": second, "password": PASSWORD}
        token = (await client.post("/api/v1/act-token", json=body)).json()["token"]
    answer = await client.post(
        "/api/v1/alarms/a1/oos", json={"minutes": 60, "permit": "P-17", "second": token}
    )
    assert answer.status_code == status
    sent = [c for c in site.desk.commands if c.kind == "alarm.oos"]
    assert [c.data["second"] for c in sent] == (["manager"] if status == 200 else [])
    await client.aclose()


# ── people and settings ───────────────────────────────────────────────────────────────────────────────


async def test_nobody_gives_more_than_he_has(site: Site) -> None:
    site.person("boss", "admin", firms=["green"])
    client = await site.login("boss")
    wide = await client.put("/api/v1/users/new", json=NEW_PERSON)
    assert wide.status_code == 403
    foreign = await client.put("/api/v1/users/manager", json={**NEW_PERSON, "firms": ["green"]})
    assert foreign.status_code == 403  # the manager's present scope reaches further
    fine = await client.put(
        "/api/v1/users/new", json={**NEW_PERSON, "firms": ["green"], "password": PASSWORD}
    )
    assert fine.status_code == 200
    assert {u["id"] for u in (await client.get("/api/v1/users")).json()["users"]} == {"boss", "new"}
    assert "argon2" not in (await client.get("/api/v1/users")).text
    new = await site.login("new")
    assert (await new.get("/api/v1/me")).json()["scope"]["firms"] == ["green"]
    assert site.desk.commands[-2].kind == "user.put"
    assert PASSWORD not in repr(site.desk.commands)
    await client.aclose()
    await new.aclose()


async def test_a_changed_role_takes_effect_at_once(site: Site) -> None:
    admin, operator = await site.login("admin"), await site.login("operator")
    await admin.put("/api/v1/users/operator", json={"name": "Operator", "role": "technician"})
    assert (await operator.get("/api/v1/me")).status_code == 401
    await admin.aclose()
    await operator.aclose()


async def test_the_last_administrator_stays(site: Site) -> None:
    client = await site.login("admin")
    body = {"name": "Admin", "role": "operator"}
    assert (await client.put("/api/v1/users/admin", json=body)).status_code == 409
    site.person("second", "admin")
    assert (await client.put("/api/v1/users/admin", json=body)).status_code == 200
    await client.aclose()


async def test_settings_of_all_need_the_whole_scope(site: Site) -> None:
    site.person("boss", "manager", estates=["garden"])
    client = await site.login("boss")

    async def put(body: dict[str, Any]) -> int:
        return (await client.put("/api/v1/settings/matrix/r1", json={"body": body})).status_code

    assert await put({"event": "gas"}) == 403
    assert await put({"event": "gas", "estate": "tower"}) == 404
    assert await put({"event": "gas", "estate": "garden"}) == 200
    site.desk.state.put_record("matrix", "r1", "tower", {"estate": "tower"})
    assert await put({"event": "gas", "estate": "garden"}) == 404  # would take another estate's row
    assert (await client.get("/api/v1/settings/matrix")).json()["records"] == []
    assert (await client.get("/api/v1/settings/passwords")).status_code == 404
    await client.aclose()


async def test_the_regulator_gets_no_names(site: Site) -> None:
    operator, regulator = await site.login("operator"), await site.login("regulator")
    await operator.post("/api/v1/alarms/a1/note", json={"text": "Mr Secret, flat 7"})
    answer = await regulator.get("/api/v1/events")
    assert [e["kind"] for e in answer.json()["events"]] == ["alarm.note"]
    assert answer.json()["events"][0]["actor"] == "person"
    assert "Secret" not in answer.text
    assert "Secret" in (await operator.get("/api/v1/events")).text
    await operator.aclose()
    await regulator.aclose()
