"""Figures of the service over the interface: within scope, with what is behind them, and as a table."""

from __future__ import annotations

from gateway.ledger.service import service
from gateway.model import Event
from gateway.ports import Commit
from tests.support.web_site import Site


def work(site: Site, estate: str, asset: str, order: str) -> list[Event]:
    now, data = site.desk.now(), {"party": "LM"}
    kinds = ("dispatched", "accepted", "arrived", "done", "closed")
    events = [
        Event(f"{order}-{k}", estate, now - 600_000 + 60_000 * n, f"order.{k}", order, asset=asset, data=data)
        for n, k in enumerate(kinds)
    ]
    site.desk.state.commit(Commit(events=events))
    return events


async def test_each_sees_the_firms_of_the_own_scope(site: Site) -> None:
    work(site, "garden", "lift-1", "wo-1")
    work(site, "tower", "lift-9", "wo-9")
    site.person("far", "manager", firms=["red"])
    now = site.desk.now()
    for who, orders in (("manager", 2), ("far", 1)):
        client = await site.login(who)
        answer = await client.get("/api/v1/service", params={"from": now - 3_600_000, "to": now})
        (row,) = answer.json()["firms"]
        assert (row["firm"], row["orders"], row["accept_p50_ms"]) == ("fixit", orders, 60_000)
        assert row["parts"]["sla"] == {"value": 1.0, "n": 3 * orders, "weight": 35, "facts": []}
        refused = await client.get("/api/v1/service", params={"from": 0, "to": now, "estate": "nothing"})
        assert refused.status_code in (404, 422)
        await client.aclose()


async def test_samples_of_other_firms_do_not_exist(site: Site) -> None:
    site.person("far", "manager", firms=["red"])
    client = await site.login("far")
    assert (await client.get("/api/v1/samples")).json() == {"samples": []}
    body = {"order": "o1", "result": "pass", "text": "dry"}
    assert (await client.post("/api/v1/samples/s1/result", json=body)).status_code == 404
    await client.aclose()


async def test_the_table_shows_score_and_facts(site: Site) -> None:
    events = work(site, "garden", "lift-1", "wo-1")
    rows = service(events, events[0].t, events[-1].t + 1, lambda party, _: party)
    web = site.app.state.web
    for lang, word in (("zh", "服务单位绩效"), ("en", "Service by firm")):
        html = web.render("_stats_service.html", lang, firms=rows)
        assert word in html
        assert "<summary>100.0</summary>" in html
        assert "service.part" not in html
