"""Occurrences, verdicts, silences, permits and hazards over the interface, with the real desk behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from alerts.alarms import RuleInfo, alarm_id
from alerts.calendars import default_calendars
from alerts.desk import Dispatch, Outcome
from alerts.matrix import Matrix
from dashboards.app import create_app
from dashboards.web import WebOptions
from gateway.adapters.attachments import Attachments
from gateway.adapters.clock import ManualClock
from gateway.model import Asset, Command, Finding, Scope
from gateway.ports import Commit
from tests.support.web_desk import ASSETS, FIRM_OF, WebDesk, text
from tests.support.web_site import HASHER, PASSWORD, Site
from tests.unit.alerts_life.life_kit import ZONE, default_roles, default_rows, make_cards, rule

MIN = 60_000
PUMP, LIFT = alarm_id("water.low@pump-1/x"), alarm_id("lift.trapped@lift-1/x")
FAR = alarm_id("lift.trapped@lift-9/x")
RULES: dict[str, RuleInfo] = {
    "water.low": rule("water.low", "water_supply", 2),
    "lift.trapped": rule("lift.trapped", "entrapment", 1, life=True, latch=True),
}


class LifeDesk(WebDesk):
    """Commands go through the real desk into the real store."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        super().__init__(folder, clock)
        assets = {a: Asset(a, e, s, text(a), text("place")) for a, (e, s) in ASSETS.items()}  # type: ignore[arg-type]  # systems of the test site are real ones
        self.dispatch = Dispatch.build(
            RULES, assets, Matrix(default_rows(), default_roles()), cards=make_cards(), firms=FIRM_OF,
            calendars=default_calendars(ZONE), watchdog_s=0, config="c0ffee",
        )  # fmt: skip

    def store(self, out: Outcome) -> None:
        commit = Commit(events=out.events)
        commit.records += [*out.records, *((*g, None) for g in out.gone)]
        self.state.commit(commit)

    def find(self, name: str, asset: str, *, on: bool = True, onset: int | None = None) -> int:
        now = self.now()
        f = Finding(name, f"{asset}/x", asset, ASSETS[asset][0], onset or now, now, on, value=0.1, limit=0.2)
        self.store(self.dispatch.step([f], now))
        return onset or now

    async def submit(self, command: Command) -> dict[str, Any]:
        if not self.dispatch.knows(command.kind):
            return await super().submit(command)
        out, answer = self.dispatch.command(command.received(self.now()))
        self.store(out)
        return answer

    def snapshot(self, scope: Scope) -> dict[str, Any]:
        return super().snapshot(scope) | {
            "alarms": [
                a.as_dict() for a in self.dispatch.book.alarms.values()
                if scope.allows(firm=FIRM_OF[a.estate], estate=a.estate, system=a.system)
            ]
        }  # fmt: skip


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Site]:
    clock = ManualClock()
    desk = LifeDesk(tmp_path, clock)
    options = WebOptions(hasher=HASHER, files=Attachments(tmp_path / "attachments"))
    site = Site(create_app(desk, desk.state, clock, options), desk, clock)
    for role in ("operator", "supervisor", "manager", "technician", "regulator"):
        site.person(role, role)
    site.person("green", "operator", firms=["green"], estates=["river"])
    yield site
    desk.close()


def desk_of(site: Site) -> LifeDesk:
    assert isinstance(site.desk, LifeDesk)
    return site.desk


async def ok(answer: Any) -> dict[str, Any]:
    got = await answer
    assert got.status_code == 200, got.text
    body: dict[str, Any] = got.json()
    return body


async def second(client: httpx.AsyncClient, who: str) -> str:
    answer = await ok(client.post("/api/v1/act-token", json={"user": who, "password": PASSWORD}))
    return str(answer["token"])


async def test_three_occurrences_are_three_rows_with_their_verdicts(life: Site) -> None:
    desk, client = desk_of(life), await life.login("operator")
    onsets = []
    for _ in range(3):
        onsets.append(desk.find("water.low", "pump-1"))
        await life.clock.advance(60)
        desk.find("water.low", "pump-1", on=False, onset=onsets[-1])
        await life.clock.advance(60)
    await ok(client.post(f"/api/v1/alarms/{PUMP}/ack", json={}))
    judged = {"verdict": "nuisance", "note": "steam", "occurrence": f"water.low@pump-1/x@{onsets[1]}"}
    await ok(client.post(f"/api/v1/alarms/{PUMP}/judge", json=judged))
    body = await ok(client.get(f"/api/v1/alarms/{PUMP}/occurrences"))
    rows = body["occurrences"]
    assert (body["total"], [r["start"] for r in rows]) == (3, onsets[::-1])
    assert {(r["duration_ms"], r["acked_by"], r["config"]) for r in rows} == {(MIN, "operator", "c0ffee")}
    assert [r["verdict"] and r["verdict"]["verdict"] for r in rows] == [None, "nuisance", None]
    older = await ok(client.get(f"/api/v1/alarms/{PUMP}/occurrences?before={onsets[1]}"))
    assert [r["start"] for r in older["occurrences"]] == onsets[:1]
    page = await client.get(f"/alarm/{PUMP}", headers={"Accept": "text/html"})
    assert page.text.count('scope="row"') == 3
    none = await client.get(f"/api/v1/alarms/{PUMP}/occurrences/{onsets[0]}/evidence")
    assert none.status_code == 404
    await client.aclose()


async def test_what_is_outside_the_scope_does_not_exist(life: Site) -> None:
    desk = desk_of(life)
    onset = desk.find("lift.trapped", "lift-9")
    client = await life.login("green")
    for path in (f"alarms/{FAR}/occurrences", f"alarms/{FAR}/occurrences/{onset}/evidence"):
        assert (await client.get(f"/api/v1/{path}")).status_code == 404
    for path, body in (
        ("silences", {"estate": "tower", "match": {"asset": "*9"}, "minutes": 5, "reason": "no"}),
        ("silences/preview", {"estate": "tower", "match": {"asset": "*9"}}),
        ("hazards", {"asset": "lift-9", "text": "crack"}),
    ):
        assert (await client.post(f"/api/v1/{path}", json=body)).status_code == 404
    far = await life.login("manager")
    await ok(far.post("/api/v1/hazards", json={"asset": "lift-9", "text": "crack"}))
    assert (await ok(client.get("/api/v1/hazards")))["hazards"] == []
    assert (await ok(far.get("/api/v1/hazards")))["total"] == 1
    await client.aclose()
    await far.aclose()


async def test_a_preview_reads_the_alarms_in_the_thread_that_changes_them(
    life: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []
    real = life.desk.snapshot

    def watched(scope: Scope) -> dict[str, Any]:
        threads.append(threading.get_ident())
        return real(scope)

    monkeypatch.setattr(life.desk, "snapshot", watched)
    client = await life.login("operator")
    body = {"estate": "garden", "match": {"asset": "pump*"}}
    threads.clear()
    await ok(client.post("/api/v1/silences/preview", json=body))
    assert set(threads) == {threading.get_ident()}
    await client.aclose()


async def test_a_silence_is_previewed_made_listed_and_ended_by_one_of_two(life: Site) -> None:
    desk, client = desk_of(life), await life.login("operator")
    desk.find("water.low", "pump-1")
    desk.find("lift.trapped", "lift-1")
    match = {"estate": "garden", "match": {"asset": "*-1"}}
    seen = await ok(client.post("/api/v1/silences/preview", json=match))
    assert (seen["count"], seen["never"]) == (1, 1)
    assert desk.dispatch.silences.silences == {}, "a preview changes nothing"
    made = await ok(client.post("/api/v1/silences", json=match | {"minutes": 60, "reason": "washing"}))
    id_ = made["silence"]["id"]
    (listed,) = (await ok(client.get("/api/v1/silences")))["silences"]
    assert (listed["id"], listed["author"], listed["running"]) == (id_, "operator", True)
    assert "notices" not in listed
    assert desk.dispatch.book.alarms[PUMP].silenced == id_
    assert desk.dispatch.book.alarms[LIFT].silenced == ""
    other = await life.login("supervisor")
    both = await asyncio.gather(
        *(
            c.post(f"/api/v1/silences/{id_}/end", json={}, headers={"If-Match": '"1"'})
            for c in (client, other)
        )
    )
    assert sorted(a.status_code for a in both) == [200, 409]
    lost = next(a for a in both if a.status_code == 409).json()
    won = next(a for a in both if a.status_code == 200).json()
    assert lost["who"] == won["silence"]["ended_by"]
    assert (await ok(client.get("/api/v1/silences")))["silences"] == []
    too_long = await client.post("/api/v1/silences", json=match | {"minutes": 481, "reason": "washing"})
    assert too_long.status_code == 422
    await client.aclose()
    await other.aclose()


async def test_a_permit_for_a_lift_needs_the_second_person_s_own_password(life: Site) -> None:
    client = await life.login("supervisor")
    body = {
        "assets": ["lift-1"], "number": "P-7", "person": "Chen", "reason": "ropes",
        "start": life.desk.now() + 60 * MIN, "until": life.desk.now() + 120 * MIN,
    }  # fmt: skip
    assert (await client.post("/api/v1/permits", json=body)).status_code == 403
    token = await second(client, "technician")
    assert (await client.post("/api/v1/permits", json=body | {"second": token})).status_code == 403
    token = await second(client, "manager")
    made = (await ok(client.post("/api/v1/permits", json=body | {"second": token})))["permit"]
    assert (made["state"], made["second"], made["ahead"], made["notice_s"]) == (
        "coming",
        "manager",
        True,
        3600,
    )
    (listed,) = (await ok(client.get("/api/v1/permits")))["permits"]
    assert listed["number"] == "P-7"
    done = await ok(client.post(f"/api/v1/permits/{made['id']}/withdraw", json={}))
    assert done["permit"]["state"] == "withdrawn"
    assert (await client.post(f"/api/v1/permits/{made['id']}/withdraw", json={})).status_code == 409
    assert len((await ok(client.get("/api/v1/permits?all=true")))["permits"]) == 1
    await client.aclose()


async def test_a_hazard_goes_its_way_and_the_regulator_sees_no_names(life: Site) -> None:
    tech, lead = await life.login("technician"), await life.login("supervisor")
    made = await ok(
        tech.post("/api/v1/hazards", json={"asset": "pump-1", "text": "open pit", "grade": "major"})
    )
    id_ = made["hazard"]["id"]
    await ok(lead.post(f"/api/v1/hazards/{id_}/assign", json={"to": "technician"}))
    path, picture = f"/api/v1/hazards/{id_}", b"\xff\xd8\xff\xe0 pit \xff\xd9"
    absent = await tech.post(f"{path}/fix", json={"proof": "covered", "files": ["ab" * 32]})
    assert (absent.status_code, absent.json()["detail"]) == (422, "照片尚未上传。")
    sha = (await ok(tech.post(f"{path}/photos", content=picture)))["sha256"]
    await ok(tech.post(f"{path}/fix", json={"proof": "covered", "files": [sha]}))
    assert (await tech.get(f"{path}/photos/{sha}")).content == picture
    assert (await tech.get(f"{path}/photos/{'ab' * 32}")).status_code == 404
    assert (await (await life.login("green")).get(f"{path}/photos/{sha}")).status_code == 404
    regulator = await life.login("regulator")
    (seen,) = (await ok(regulator.get("/api/v1/hazards")))["hazards"]
    assert (seen["state"], seen["found_by"], seen["assignee"], seen["fixed_by"]) == ("fixed", "", "", "")
    assert seen["proof"][0].keys() == {"t", "files"}
    assert (await regulator.post(f"/api/v1/hazards/{id_}/verify", json={})).status_code == 403
    done = await ok(lead.post(f"/api/v1/hazards/{id_}/verify", json={"note": "seen"}))
    assert (done["hazard"]["state"], done["hazard"]["verified_by"]) == ("verified", "supervisor")
    assert (await ok(lead.get("/api/v1/hazards?state=open")))["total"] == 0
    for c in (tech, lead, regulator):
        await c.aclose()


async def test_every_new_call_is_described_with_an_example(life: Site) -> None:
    client = await life.login("operator")
    paths = (await ok(client.get("/api/v1/openapi.json")))["paths"]
    mine = [p for p in paths if p.split("/")[3] in ("silences", "permits", "hazards") or "occurrences" in p]
    mine = [p for p in mine if "sha256" not in p]
    assert len(mine) == 14
    for path in mine:
        for call in paths[path].values():
            assert call["summary"]
            assert call["description"]
            assert call["responses"]["200"]["content"]["application/json"]["example"]
    await client.aclose()
