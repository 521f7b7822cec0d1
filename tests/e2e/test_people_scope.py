"""Attacks across firms: people of one firm read and change what is another one's. All must fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dashboards.app import create_app
from dashboards.web import WebOptions
from gateway.adapters.clock import ManualClock
from gateway.app.matrix_view import MatrixView
from gateway.app.setup import load_setup
from gateway.model import Finding
from tests.e2e.test_people_api import CoreDesk, post
from tests.support.web_site import HASHER, Site

SITE = """
site: {id: two, name: {en: Two}, timezone: Asia/Shanghai}
firms: [{id: ours, name: {en: Ours}}, {id: theirs, name: {en: Theirs}}]
estates:
  - {id: home, firm: ours, name: {en: Home}}
  - {id: tower, firm: theirs, name: {en: Tower}}
assets:
  - {id: ws-1, estate: home, kind: water, name: {en: Pumps}}
  - {id: lift-1, estate: home, kind: elevator, name: {en: Lift}}
  - {id: ws-9, estate: tower, kind: water, name: {en: Their pumps}}
people:
  - {id: li, name: Li, role: technician, duties: [TE]}
  - {id: ma, name: Ma, role: technician, duties: [TE]}
shifts:
  - {duty: TE, people: [li], estate: home}
  - {duty: TE, people: [ma], estate: tower}
matrix:
  - {id: tower.water, event: water_supply, responsible: TE, estate: tower, contacts: [Mr Secret 139],
     ladder: [{after_s: 60, role: PM}, {after_s: 120, role: DM}]}
  - {id: tower.pump, event: water_quality, responsible: TE, asset: ws-9, contacts: [Ms Hidden 138],
     ladder: [{after_s: 60, role: PM}, {after_s: 120, role: DM}]}
"""
HEAD = "id,event,estate,responsible,ladder\r\n"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    path = tmp_path / "site.yaml"
    path.write_text(SITE, encoding="utf-8")
    clock = ManualClock()
    desk = await asyncio.to_thread(CoreDesk, tmp_path, clock, load_setup(path))
    view = MatrixView(desk.setup, desk.state, desk.dispatch, desk.settings)
    web = Site(create_app(desk, desk.state, clock, WebOptions(hasher=HASHER, matrix=view)), desk, clock)
    web.person("root", "manager")
    web.person("boss", "manager", firms=["ours"])
    web.person("zhao", "supervisor", firms=["ours"])
    web.person("zhou", "supervisor", firms=["theirs"])
    web.person("ma", "technician", firms=["theirs"], duties=["TE"])
    web.person("pumps", "supervisor", firms=["ours"], systems=["water"])
    yield web
    await asyncio.to_thread(desk.close)


async def test_the_sheet_of_the_matrix_holds_no_row_of_another_firm(site: Site) -> None:
    root, zhao, boss = [await site.login(n) for n in ("root", "zhao", "boss")]
    everything = (await root.get("/api/v1/matrix.csv?lang=en")).text
    assert "Mr Secret 139" in everything
    assert "Ms Hidden 138" in everything
    await post(root, "/matrix/import", text=everything.replace("Mr Secret 139", "Mr Secret 137"))
    for path in ("?lang=en", "?lang=en&edition=1"):
        sheet = (await zhao.get(f"/api/v1/matrix.csv{path}")).text
        assert "Secret" not in sheet
        assert "Hidden" not in sheet
        assert "water.supply" in sheet, "the shipped rows are everybody's"
    assert "Secret" not in (await zhao.get("/api/v1/matrix/editions")).text
    assert "Mr Secret 139" in (await root.get("/api/v1/matrix/editions")).text
    assert (await zhao.get("/api/v1/matrix.csv?estate=tower")).status_code == 404
    assert (await boss.get("/api/v1/matrix.csv?lang=en&edition=7")).status_code == 404


@pytest.mark.parametrize("taken", ["tower.water", "water.supply"])
async def test_an_import_takes_no_row_of_another_firm_or_of_the_template(site: Site, taken: str) -> None:
    boss = await site.login("boss")
    before = site.desk.state.record("matrix", taken)
    text = f"{HEAD}{taken},gas,home,TE,60 PM; 120 DM\r\n"
    answer = await boss.post("/api/v1/matrix/import", json={"text": text, "estate": "home"})
    assert answer.status_code == 422
    assert "already" in answer.json()["errors"][0]["message"]
    assert site.desk.state.record("matrix", taken) == before
    twice = HEAD + "a,gas,home,TE,60 PM; 120 DM\r\n" * 2
    assert (
        await boss.post("/api/v1/matrix/import", json={"text": twice, "estate": "home"})
    ).status_code == 422


async def test_leave_of_people_without_a_record_is_decided_where_they_work(site: Site) -> None:
    ma, zhao, zhou = [await site.login(n) for n in ("ma", "zhao", "zhou")]
    day = 86_400_000
    times = {"start": site.clock.now() + day, "end": site.clock.now() + 2 * day}
    leave = (await post(ma, "/leave", person="ma", reason="wedding", **times))["leave"]
    assert leave["estate"] == "tower"
    assert (await zhao.get("/api/v1/leave")).json()["leave"] == []
    await post(zhao, f"/leave/{leave['id']}/approve", 404, reason="no reason")
    await post(zhao, "/leave", 404, person="ma", reason="no reason", **times)
    assert (await post(zhou, f"/leave/{leave['id']}/approve", reason="no reason"))["leave"][
        "state"
    ] == "approved"


async def test_a_handover_is_for_whoever_sees_all_systems(site: Site) -> None:
    zhao, zhou, pumps = [await site.login(n) for n in ("zhao", "zhou", "pumps")]
    desk = site.desk
    assert isinstance(desk, CoreDesk)
    rule = next(r for r in desk.setup.rules if r.asset_kind == "elevator" and not r.life)
    now = site.clock.now()
    desk.take(desk.dispatch.step([Finding(rule.id, "lift-1/x", "lift-1", "home", now, now, True)], now))
    id_ = (await post(zhao, "/handovers/home/open"))["handover"]["id"]
    for other in (zhou, pumps):
        await post(other, "/handovers/home/open", 404)
        await post(other, f"/handovers/{id_}/sign", 404, side="incoming")
        assert "lift-1" not in (await other.get("/api/v1/handovers")).text
        assert (await other.get("/handover/home")).status_code == 404
        assert "lift-1" not in (await other.get("/handover")).text


async def test_a_handover_lists_silences_that_run_without_the_calls_they_hold(site: Site) -> None:
    zhao = await site.login("zhao")
    match = {"asset": "ws-1"}
    made = [
        await post(zhao, "/silences", estate="home", match=match, minutes=30, reason=why)
        for why in ("pump overhaul", "over already")
    ]
    await post(zhao, f"/silences/{made[1]['silence']['id']}/end")
    sheet: dict[str, Any] = (await post(zhao, "/handovers/home/open"))["handover"]
    (silence,) = sheet["silenced"]
    assert silence["reason"] == "pump overhaul"
    assert "notices" not in silence
