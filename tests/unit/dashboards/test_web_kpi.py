"""Figures about the alarm system and the list by cause over the interface: scope, roles, CSV, page."""

from __future__ import annotations

from alerts.alarms_state import Alarm, alarm_id
from gateway.model import Event
from gateway.ports import Commit
from tests.support.web_site import Site
from tests.unit.alerts_life.life_kit import RULES, find, make_desk


def fact(site: Site, n: int, estate: str, asset: str, kind: str = "raised", **more: object) -> Event:
    data = {"rule": "water.low", "priority": 2, "state": "UNACK", "active": True, **more}
    return Event(f"k{n}", estate, site.desk.now() - 60_000 + n, f"alarm.{kind}", f"x{n}", "olga", asset, data)


async def test_the_figures_are_by_seat_and_within_the_scope(site: Site) -> None:
    log = [fact(site, n, "garden", "lift-1") for n in range(3)]
    log += [fact(site, 9, "tower", "lift-9"), fact(site, 10, "garden", "lift-1", "acked", state="ACKED")]
    site.desk.state.commit(Commit(events=log))
    span = {"from": site.desk.now() - 3_600_000, "to": site.desk.now() + 1}
    site.person("green", "manager", firms=["green"])
    client = await site.login("green")
    found = (await client.get("/api/v1/kpi", params=span)).json()
    assert [(s["seat"], s["new"]) for s in found["seats"]] == [("green", 3)]
    assert found["seats"][0]["priority"]["medium"]["drift"] == 0.85
    table = await client.get("/api/v1/kpi.csv", params={**span, "table": "top_ten"})
    assert table.content.decode("utf-8-sig").splitlines() == [
        "seat,rule,count,share",
        "green,water.low,3,1.0",
    ]
    assert (await client.get("/api/v1/kpi", params={**span, "estate": "tower"})).status_code == 404
    page = await client.get("/stats", params={"lang": "en"})
    assert page.status_code == 503, "this web has no figures to ask"


async def test_who_may_read_them(site: Site) -> None:
    span = {"from": site.desk.now() - 3_600_000, "to": site.desk.now()}
    wanted = {
        "operator": (200, 403),
        "manager": (200, 200),
        "regulator": (200, 200),
        "technician": (403, 403),
    }
    for role, (read, export) in wanted.items():
        client = await site.login(role)
        assert (await client.get("/api/v1/kpi", params=span)).status_code == read, role
        assert (await client.get("/api/v1/kpi.csv", params=span)).status_code == export, role


async def test_the_regulator_reads_no_names(site: Site) -> None:
    log = [fact(site, 1, "garden", "lift-1")]
    ack = fact(site, 2, "garden", "lift-1", "acked", state="ACKED")
    log.append(Event(ack.id, ack.estate, ack.t, ack.kind, "x1", "olga", ack.asset, ack.data))
    site.desk.state.commit(Commit(events=log))
    span = {"from": site.desk.now() - 3_600_000, "to": site.desk.now() + 1}
    for role, name in (("manager", "olga"), ("regulator", "")):
        client = await site.login(role)
        seats = (await client.get("/api/v1/kpi", params=span)).json()["seats"]
        assert [o["operator"] for s in seats for o in s["operators"]] == [name]


async def test_the_list_by_cause_holds_the_alarms_of_the_scope(site: Site) -> None:
    desk = make_desk(RULES)
    desk.step([find("power.out", "pw", 1_000), find("water.low", "ws", 2_000)], 2_000)
    for a in desk.book.alarms.values():
        body = Alarm.as_dict(a) | {"id": a.id, "asset": "lift-1", "estate": "garden", "system": "elevator"}
        site.desk.put("alarm", body)
    for old in ("a1", "a9"):
        site.desk.put("alarm", {**body, "id": old, "root": None, "estate": "tower", "asset": "lift-9"})
    site.desk.state.put_record("flood", "green", "", {"times": [], "since": 5, "count": 17})
    site.person("green", "manager", firms=["green"])
    client = await site.login("green")
    found = (await client.get("/api/v1/flood")).json()
    assert (found["on"], found["since"], found["count"], found["total"]) == (True, 5, 17, 2)
    (line,) = found["lines"]
    assert (line["kind"], line["head"], line["count"]) == ("cause", alarm_id("power.out@pw/x"), 2)
    site.person("red", "operator", firms=["red"])
    assert (await (await site.login("red")).get("/api/v1/flood")).json()["on"] is False
