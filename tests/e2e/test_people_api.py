"""Responsibility and people over the real interface: the pages over a core of a real site file and store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from alerts.desk import Dispatch
from dashboards.app import create_app
from dashboards.web import WebOptions
from gateway.adapters.clock import ManualClock
from gateway.app.dispatch import make_dispatch
from gateway.app.matrix_view import MatrixView
from gateway.app.settings import Settings
from gateway.app.setup import Setup, load_setup
from gateway.model import Command, Finding, Scope
from gateway.ports import Commit
from tests.support.web_desk import WebDesk
from tests.support.web_site import HASHER, Site

SITE = Path(__file__).parents[2] / "examples" / "small.yaml"
PEOPLE = """
people:
  - {id: wang, name: Wang, role: operator, duties: [CR]}
  - {id: liu, name: Liu, role: operator, duties: [CR]}
  - {id: li, name: Li, role: technician, duties: [TE]}
  - {id: zhao, name: Zhao, role: supervisor, duties: [PM]}
  - {id: boss, name: Boss, role: manager, duties: [DM]}
shifts:
  - {duty: TE, people: [li]}
  - {duty: CR, people: [wang], from: "08:00", to: "20:00"}
  - {duty: CR, people: [liu], from: "20:00", to: "08:00"}
"""


class CoreDesk(WebDesk):
    """The web's desk over the real dispatch half and settings; each command is one commit."""

    def __init__(self, folder: Path, clock: ManualClock, setup: Setup) -> None:
        super().__init__(folder, clock)
        self.setup = setup
        self.dispatch: Dispatch = make_dispatch(setup, self.state)
        self.settings = Settings(setup, self.state, self.dispatch)
        self.settings.restore(clock.now())

    def snapshot(self, scope: Scope) -> dict[str, Any]:
        file = self.setup.site.file
        return {
            "now": self.now(), "seq": self.hub.seq, "values": {}, "points": [], "shift": [], "alarms": [],
            "site": {"id": "s", "name": {}, "timezone": "Asia/Shanghai"}, "contractors": [],
            "estates": [{"id": e.id, "name": e.name.as_text(), "firm": e.firm} for e in file.estates],
            "assets": [
                {"id": a.id, "estate": a.estate, "system": a.kind} for a in self.setup.assets.values()
            ],
            "orders": [], "health": self.health(),
        }  # fmt: skip

    def take(self, outcome: Any) -> None:
        records = [*outcome.records, *((*g, None) for g in outcome.gone)]
        self.state.commit(Commit(events=outcome.events, records=records, notices=outcome.notices))

    async def submit(self, command: Command) -> dict[str, Any]:
        command = command.received(self.clock.now())
        known = self.dispatch.knows(command.kind)
        outcome, answer = (self.dispatch.command if known else self.settings.command)(command)
        self.take(outcome)
        return answer


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    text = SITE.read_text(encoding="utf-8").split("\npeople:")[0] + PEOPLE
    path = tmp_path / "site.yaml"
    path.write_text(text, encoding="utf-8")
    clock = ManualClock()
    desk = await asyncio.to_thread(CoreDesk, tmp_path, clock, load_setup(path))
    view = MatrixView(desk.setup, desk.state, desk.dispatch, desk.settings)
    web = Site(create_app(desk, desk.state, clock, WebOptions(hasher=HASHER, matrix=view)), desk, clock)
    for p in desk.setup.site.file.people:
        web.person(p.id, p.role, duties=list(p.duties))
    yield web
    await asyncio.to_thread(desk.close)


async def post(client: httpx.AsyncClient, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = await client.post(f"/api/v1{path}", json=body)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def test_a_matrix_goes_out_as_a_spreadsheet_and_in_again(site: Site) -> None:
    boss = await site.login("boss")
    out = await boss.get("/api/v1/matrix.csv?lang=zh")
    assert out.headers["content-type"].startswith("text/csv")
    assert out.content.startswith("\ufeff编号,事件".encode())
    same = await post(boss, "/matrix/import", text=out.text, reason="nothing", dry_run=True)
    assert same["difference"] == {"added": [], "removed": [], "changed": []}
    changed = out.text.replace("water.supply,water_supply,,", "water.supply,water_supply,,", 1).replace(
        ",TE,WM,PM,", ",TE,DM,PM,", 1
    )  # fmt: skip
    done = await post(boss, "/matrix/import", text=changed, file="权责清单.csv", reason="new contract")
    assert len(done["difference"]["changed"]) == 1
    (edition,) = (await boss.get("/api/v1/matrix/editions")).json()["editions"]
    assert (edition["author"], edition["reason"], edition["edition"]) == ("boss", "new contract", 1)
    kept = await boss.get("/api/v1/matrix.csv?lang=zh&edition=1")
    assert kept.text == (await boss.get("/api/v1/matrix.csv?lang=zh")).text
    assert (await boss.get("/api/v1/matrix.csv?edition=9")).status_code == 404
    wrong = await boss.post(
        "/api/v1/matrix/import", json={"text": changed.replace("\ngas,gas,", "\ngas,gasp,", 1)}
    )
    assert wrong.status_code == 422
    (fault,) = wrong.json()["errors"]
    assert fault["field"] == "column B 事件"
    assert "'gasp' 不是事件类型" in fault["message"]
    assert "matrix.csv:" in wrong.json()["detail"], "with file and row"
    assert {"file", "row"} <= set(wrong.json()["errors"][0])
    assert (await boss.get("/api/v1/matrix.csv?lang=zh")).text == kept.text
    zhao = await site.login("zhao")
    assert (await zhao.post("/api/v1/matrix/import", json={"text": "x"})).status_code == 403


async def test_why_a_row_wins_the_proof_and_who_is_on_duty(site: Site) -> None:
    boss = await site.login("boss")
    asked = "/api/v1/matrix/explain?event=electrical_fire&asset=pw-1&priority=2"
    asset = next(a for a in (await boss.get("/api/v1/snapshot")).json()["assets"])
    told = (await boss.get(asked.replace("pw-1", asset["id"]))).json()
    assert [r["row"] for r in told["rows"] if r["chosen"]] == ["fire.electrical.p2"]
    assert told["rows"][1]["why"]["en"].endswith("fire.electrical.p2 is more specific: severity")
    assert told["in_turn"][0]["assignment"]["outcome"] == "role", "no records of people are kept here"
    assert (await boss.get(asked.replace("pw-1", "nobody"))).status_code == 404
    proof = (await boss.get("/api/v1/matrix/proof")).json()
    assert proof["complete"], proof
    assert proof["pairs"] > 50
    estate = asset["estate"]
    duty = (await boss.get(f"/api/v1/duty/{estate}")).json()
    assert {d["duty"] for d in duty["on"]} == {"TE", "CR"}
    assert duty["empty"] == []
    assert (await boss.get("/api/v1/duty/nowhere")).status_code == 404


async def test_leave_is_asked_approved_by_another_and_empties_the_shift(site: Site) -> None:
    li, zhao = await site.login("li"), await site.login("zhao")
    now = site.clock.now()
    day = 86_400_000
    times = {"start": now + day, "end": now + 2 * day}
    asked = await post(li, "/leave", person="li", reason="wedding", **times)
    id_ = asked["leave"]["id"]
    await post(li, "/leave", 403, person="zhao", **times)
    await post(li, f"/leave/{id_}/approve", 403, reason="me")
    done = await post(zhao, f"/leave/{id_}/approve", reason="enjoy it")
    assert done["leave"]["state"] == "approved"
    assert done["empty"][0]["duty"] == "TE"
    again = await zhao.post(f"/api/v1/leave/{id_}/refuse", json={"reason": "no"})
    assert again.status_code == 409
    assert "Zhao" in again.json()["detail"], "who was first, in the reader's language"
    (mine,) = (await li.get("/api/v1/leave")).json()["leave"]
    assert mine["state"] == "approved"
    wang = await site.login("wang")
    assert (await wang.get("/api/v1/leave")).json()["leave"] == [], "of no concern to others"
    estate = mine["estate"]
    duty = (await zhao.get(f"/api/v1/duty/{estate}")).json()
    assert [(g["from"], g["to"]) for g in duty["empty"]] == [(now + day, now + 2 * day)]


async def test_who_is_to_stand_in_is_asked_and_says_yes(site: Site) -> None:
    li, zhao, wang = [await site.login(n) for n in ("li", "zhao", "wang")]
    times = {"start": site.clock.now() + 86_400_000, "end": site.clock.now() + 2 * 86_400_000}
    asked = await post(li, "/leave", person="li", swap=True, stand_in="wang", **times)
    way = f"/leave/{asked['leave']['id']}"
    early = await zhao.post(f"/api/v1{way}/approve", json={"reason": "fine"})
    assert early.status_code == 409
    assert "Wang" in early.json()["detail"]
    await post(zhao, f"{way}/accept", 403)
    (mine,) = (await wang.get("/api/v1/leave")).json()["leave"]
    assert mine["state"] == "asked", "who is asked sees it"
    assert (await post(wang, f"{way}/accept"))["leave"]["accepted_at"]
    assert (await post(zhao, f"{way}/approve", reason="fine"))["empty"] == []
    other = await post(
        li, "/leave", person="li", swap=True, stand_in="wang",
        start=times["end"] + 1000, end=times["end"] + 9_000_000,
    )  # fmt: skip
    declined = await post(wang, f"/leave/{other['leave']['id']}/decline", reason="away myself")
    assert declined["leave"]["state"] == "declined"


async def test_two_people_hand_over_in_two_sessions(site: Site) -> None:
    wang, liu = await site.login("wang"), await site.login("liu")
    desk = site.desk
    assert isinstance(desk, CoreDesk)
    pump, rule = next(
        (a, r)
        for a in desk.setup.assets.values()
        for r in desk.setup.rules
        if r.asset_kind == a.kind and r.event == "water_supply"
    )
    now = site.clock.now()
    desk.take(
        desk.dispatch.step([Finding(rule.id, f"{pump.id}/x", pump.id, pump.estate, now, now, True)], now)
    )
    sheet = (await post(wang, f"/handovers/{pump.estate}/open"))["handover"]
    assert [a["asset"] for a in sheet["alarms"]] == [pump.id]
    id_ = sheet["id"]
    await post(wang, f"/handovers/{id_}/note", text="the UPS beeps")
    await post(wang, f"/handovers/{id_}/sign", side="outgoing")
    await post(wang, f"/handovers/{id_}/sign", 403, side="incoming")
    # At the same screen, by name and password for one act: not a session of one's own.
    token = (await post(wang, "/act-token", user="liu", password="correct-horse"))["token"]
    lent = await wang.post(
        f"/api/v1/handovers/{id_}/sign", json={"side": "incoming"}, headers={"X-Act-As": token}
    )
    assert lent.status_code == 403
    done = (await post(liu, f"/handovers/{id_}/sign", side="incoming"))["handover"]
    assert (done["state"], [s["by"] for s in done["signatures"]]) == ("signed", ["wang", "liu"])
    assert all("session" not in s for s in done["signatures"])
    assert (await liu.get("/api/v1/handovers")).json()["handovers"][0]["id"] == id_
    (kept,) = [e for _, e in desk.state.events(kinds=["handover.completed"])]
    assert kept.data["document"]["notes"][0]["text"] == "the UPS beeps"
    assert desk.state.verify(pump.estate) is None, "in the chain, for ever"


async def test_records_of_people_and_calendars_are_put_and_refused_by_field(site: Site) -> None:
    boss = await site.login("boss")

    async def put(path: str, body: dict[str, Any]) -> httpx.Response:
        return await boss.put(f"/api/v1/settings/{path}", json={"body": body, "reason": "autumn"})

    good = {"id": "li", "certificates": [{"kind": "electrician", "number": "E-1", "expires": "2099-01-01"}]}
    assert (await put("staff/li", good)).status_code == 200
    old = {"id": "li", "certificates": [{"kind": "electrician", "number": "E-1", "expires": "2020-01-01"}]}
    refused = await put("staff/li", old)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "staff/li.certificates.0.expires"
    year = {"year": 2099, "holidays": ["2099-01-01/2099-01-03"]}
    assert (await put("calendars/2099", year)).status_code == 200
    listed = (await boss.get("/api/v1/settings/staff")).json()["records"]
    assert [(r["id"], r["body"]["version"], r["body"]["reason"]) for r in listed] == [("li", 1, "autumn")]
    assert (await boss.get("/api/v1/certificates")).json() == {"certificates": []}


async def test_the_pages_of_matrix_shifts_and_handover_show_it(site: Site) -> None:
    zhao, wang = await site.login("zhao"), await site.login("wang")
    now = site.clock.now()
    await post(zhao, "/leave", person="li", reason="wedding", start=now + 1000, end=now + 9_000_000)
    assert isinstance(site.desk, CoreDesk)
    estate = site.desk.setup.site.file.estates[0].id
    id_ = (await post(wang, f"/handovers/{estate}/open"))["handover"]["id"]
    await post(wang, f"/handovers/{id_}/note", text="<b>the UPS beeps</b>")
    await post(wang, f"/handovers/{id_}/sign", side="outgoing")
    page = await wang.get("/handover?lang=en")
    assert page.status_code == 200
    assert "&lt;b&gt;the UPS beeps" in page.text, "words of people are text"
    assert 'data-side="incoming"' in page.text
    assert 'data-side="outgoing"' not in page.text, "that one is there"
    assert (await wang.get("/handover/elsewhere")).status_code == 404
    shifts = await zhao.get("/admin/shifts")
    assert "wedding" in shifts.text
    assert 'data-do="approve"' in shifts.text
    matrix = await zhao.get("/admin/matrix")
    assert "/api/v1/matrix.csv" in matrix.text
    assert 'id="matrix-import"' not in matrix.text, "a supervisor reads it"
    boss = await site.login("boss")
    assert 'id="matrix-import"' in (await boss.get("/admin/matrix")).text
    li = await site.login("li")
    assert (await li.get("/handover")).status_code == 403
