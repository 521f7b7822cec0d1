"""Pages of work as the server makes them: by role, within scope, with what is empty said in words."""

from __future__ import annotations

import html
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from alerts.inspections import SampleBook
from alerts.orders_state import Order
from dashboards.app import create_app
from dashboards.i18n import LANGS, t
from dashboards.pages.order import clocks_of, held_of, second_of
from dashboards.pages.plans import plan_row
from dashboards.pages.work import fits, next_due
from dashboards.web import WebOptions
from gateway.adapters.clock import ManualClock
from gateway.model import Scope
from tests.support.web_site import HASHER, Site
from tests.unit.dashboards.test_web_life import LifeDesk, desk_of, life, ok

__all__ = ["life"]
TABS = {
    "orders": "supervisor operator technician manager", "plans": "supervisor operator technician manager",
    "permits": "supervisor operator technician manager",
    "hazards": "supervisor operator technician manager regulator",
    "reports": "supervisor operator manager", "fund": "supervisor manager",
    "samples": "supervisor operator manager regulator",
}  # fmt: skip
SAMPLE = {
    "id": "garden:2026-08", "estate": "garden", "period": "2026-08", "seed": "5eed" * 16,
    "closed": {
        i: {"party": "TE", "asset": "pump-1", "t": 1, "incident": "inc-1", "by": ["technician", "steward"]}
        for i in ("wo-1", "wo-2")
    },
    "chosen": {"wo-1": None},
}  # fmt: skip


@pytest.fixture
def sampled(tmp_path: Path) -> Iterator[Site]:
    """A month is over and one order of it was drawn."""
    clock = ManualClock()
    desk = LifeDesk(tmp_path, clock)
    book = SampleBook(desk.dispatch.orders)
    desk.dispatch.add(book)
    book.load("sample", SAMPLE["id"], SAMPLE)  # type: ignore[arg-type] # its id is text
    desk.state.put_record("sample", str(SAMPLE["id"]), "garden", SAMPLE)
    site = Site(create_app(desk, desk.state, clock, WebOptions(hasher=HASHER)), desk, clock)
    for role in ("supervisor", "manager", "regulator", "technician"):
        site.person(role, role)
    site.person("far", "supervisor", firms=["red"])
    yield site
    desk.close()


async def page(client: httpx.AsyncClient, path: str, lang: str = "zh", status: int = 200) -> str:
    answer = await client.get(path, headers={"Accept": "text/html", "Accept-Language": lang})
    assert answer.status_code == status, answer.text
    return answer.text


@pytest.mark.parametrize("role", ["supervisor", "operator", "technician", "manager", "regulator"])
async def test_each_role_opens_its_sheets_and_no_other(life: Site, role: str) -> None:
    client = await life.login(role)
    for tab, roles in TABS.items():
        allowed = role in roles.split()
        text = await page(client, f"/work/{tab}", status=200 if allowed else 403)
        assert (f'href="/work/{tab}"' in text) == allowed
    first = await client.get("/work", follow_redirects=False)
    assert first.headers["location"] == ("/work/hazards" if role == "regulator" else "/work/orders")
    await page(client, "/work/nothing", status=404)
    await client.aclose()


async def test_what_is_empty_says_what_to_do_in_both_languages(life: Site) -> None:
    client = await life.login("supervisor")
    for lang in LANGS:
        for tab, key in (
            ("orders", "work.none.open"), ("plans", "plan.none.due"), ("permits", "permit.none"),
            ("hazards", "hazard.none.open"), ("reports", "city.none"), ("samples", "sample.none"),
        ):  # fmt: skip
            text = html.unescape(await page(client, f"/work/{tab}", lang))
            assert t(key, lang) in text, (tab, lang)
    await client.aclose()


async def test_a_hazard_of_another_firm_is_on_nobodys_page(life: Site) -> None:
    lead = await life.login("supervisor")
    body = {"asset": "pump-1", "text": "open pit", "source": "inspection"}
    await ok(lead.post("/api/v1/hazards", json=body))
    assert "open pit" in await page(lead, "/work/hazards")
    life.person("far", "supervisor", firms=["red"])
    far = await life.login("far")
    assert "open pit" not in await page(far, "/work/hazards")
    await page(far, "/work/hazards?estate=garden", status=404)
    for client in (lead, far):
        await client.aclose()


async def test_the_board_shows_hazards_only_where_the_estate_allows_it(
    life: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead = await life.login("supervisor")
    for source, words in (("inspection", "open pit"), ("resident", "Mr Secret says")):
        body = {"asset": "pump-1", "text": words, "source": source}
        await ok(lead.post("/api/v1/hazards", json=body))
    stranger = life.client()
    assert "open pit" not in await page(stranger, "/p/garden")
    assert "hazards" not in (await ok(stranger.get("/api/v1/public/garden")))
    desk, plain = desk_of(life), desk_of(life).snapshot

    def opened(scope: Scope) -> dict[str, Any]:
        found = plain(scope)
        return found | {"estates": [e | {"hazards_public": True} for e in found["estates"]]}

    monkeypatch.setattr(desk, "snapshot", opened)
    life.app.state.web.directory.learn()
    text = await page(stranger, "/p/garden", "en")
    assert "open pit" in text
    assert "Mr Secret" not in text
    shown = (await ok(stranger.get("/api/v1/public/garden")))["hazards"]
    assert len(shown) == 2
    assert all("found_by" not in h and "assignee" not in h for h in shown)
    for client in (lead, stranger):
        await client.aclose()


async def test_a_drawn_order_is_inspected_by_somebody_else_and_the_seed_stands_there(sampled: Site) -> None:
    lead = await sampled.login("supervisor")
    text = await page(lead, "/work/samples", "en")
    assert "5eed" * 16 in text
    assert "1 drawn of 2" in text
    assert 'data-drawn="wo-1"' in text
    assert 'data-drawn="wo-2"' not in text
    assert 'data-path="/api/v1/samples/garden:2026-08/result"' in text
    assert "not by Technician" in text
    found = {"order": "wo-1", "result": "fail", "text": "drips again"}
    await ok(lead.post("/api/v1/samples/garden:2026-08/result", json=found))
    text = await page(lead, "/work/samples", "en")
    assert "drips again" in text
    assert "data-path" not in text
    again = await lead.post(
        "/api/v1/samples/garden:2026-08/result", json=found, headers={"Accept-Language": "zh"}
    )
    assert (again.status_code, again.json()["detail"]) == (409, "复检结果已登记")
    orders: list[Order] = list(desk_of(sampled).dispatch.orders.orders.values())
    assert [o.follows for o in orders] == ["wo-1/inspection"]
    regulator = await sampled.login("regulator")
    text = await page(regulator, "/work/samples", "en")
    assert "failed" in text
    assert "drips again" not in text
    assert "Technician" not in text
    far = await sampled.login("far")
    assert "5eed" not in await page(far, "/work/samples")
    for client in (lead, regulator, far):
        await client.aclose()


async def test_the_order_page_of_another_scope_does_not_exist(life: Site) -> None:
    lead = await life.login("supervisor")
    made = await ok(lead.post("/api/v1/orders", json={"asset": "pump-1", "text": "it <b>rattles</b>"}))
    id_ = made["order"]["id"]
    text = await page(lead, f"/order/{id_}", "en")
    assert "it &lt;b&gt;rattles" in text
    assert 'id="total">CNY 0.00' in text
    green = await life.login("green")
    await page(green, f"/order/{id_}", status=404)
    await page(green, "/plan/lift.maintenance@lift-1", status=404)
    for client in (lead, green):
        await client.aclose()


def test_clocks_holds_and_the_second_person_are_read_from_the_record() -> None:
    order: dict[str, Any] = {
        "state": "ON_HOLD", "life": False, "hold_reason": "parts", "needs": ["second"], "assignee": "li",
        "by": {"ON_SITE": "li", "DONE": "steward"},
        "clocks": {
            "accept": {"due": 5, "met_at": 3, "state": "met"}, "restore": {"due": 9, "state": "running"},
        },
        "keep": {"clocks": {"accept": {"seconds": 60}}, "holds": [[1, 2], [4, None]]},
    }  # fmt: skip
    clocks = clocks_of(order)
    assert [c["name"] for c in clocks] == ["accept", "arrive", "restore", "close"]
    assert (clocks[0]["seconds"], clocks[1]["state"]) == (60, "off")
    held = held_of(order)
    assert (held["now"], held["pauses"], held["reason"]["en"]) == (4, True, "Waiting for parts")
    assert held_of(order | {"life": True})["pauses"] is False
    assert held_of(order | {"state": "WORKING"})["now"] is None
    second = second_of(order, "li")
    assert (second["asked"], second["did"], second["mine"]) == (True, ["li"], True)
    assert next_due(order) == 9
    assert fits(order, "open", 0)
    assert fits(order, "over", 10)
    assert not fits(order, "over", 8)
    assert fits(order | {"state": "CLOSED"}, "ended", 0)


def test_a_plan_is_overdue_the_day_after_its_date() -> None:
    template = {"id": "x", "kinds": ["elevator"], "name": {"zh": "x", "en": "x"}, "kind": "completion",
                "party": "LM", "every": "15d", "limit_days": 15}  # fmt: skip
    body = {"id": "x@a", "estate": "e", "asset": "a", "template": template, "anchor": "2026-01-01",
            "due": "2026-01-16"}  # fmt: skip
    for day, status in ((16, "due"), (17, "overdue"), (2, "later")):
        assert plan_row(body, date(2026, 1, day))["status"] == status
    assert plan_row(body, date(2026, 1, 2))["latest"] == "2026-01-16"
    assert plan_row(body | {"active": False}, date(2026, 1, 20))["status"] == "paused"
    assert plan_row(body | {"due": ""}, date(2026, 1, 20))["status"] == "waits"
