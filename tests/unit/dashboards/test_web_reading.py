"""What can be read: snapshot, series, figures, events, the residents' board, and the outer wall."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from dashboards.api.public import silent_assets
from dashboards.api.stats import to_csv
from dashboards.http import host_allowed
from dashboards.web import WebOptions
from gateway.model import Event, Level, Ms, Reason, Samples, Scope, quality
from gateway.ports import Commit, Desk
from tests.support.web_desk import alarm, order
from tests.support.web_site import HASHER, Build, Site

T0 = 1_790_000_000_000


# ── the outer wall ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/login", "/api/v1/snapshot", "/healthz", "/nowhere", "/static/nothing.js"])
async def test_every_answer_wears_the_headers(site: Site, path: str) -> None:
    async with site.client() as c:
        answer = await c.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cache-control"]
    assert "server" not in answer.headers


async def test_our_own_pages_obey_the_policy(site: Site) -> None:
    client = await site.login("operator")
    for path in ("/login", "/password", "/nowhere", "/api/v1/reference"):
        html = (await client.get(path, headers={"accept": "text/html"})).text
        assert html.startswith("<!doctype html>")
        for forbidden in ("style=", "<style", " onclick", "http://", "https://"):
            assert forbidden not in html, (path, forbidden)
        assert all("src=" in tag for tag in re.findall("<script[^>]*>", html)), path
    await client.aclose()


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True), ("LOCALHOST:8080", True), ("127.0.0.1:1", True), ("[::1]:8080", True),
        ("evil.example", False), ("localhost.evil.example", False), ("", False), ("[::2]", False),
    ],
)  # fmt: skip
async def test_foreign_host_names_are_refused(site: Site, host: str, allowed: bool) -> None:
    async with site.client() as c:
        answer = await c.get("/healthz", headers={"Host": host})
    assert answer.status_code == (200 if allowed else 400)


def test_host_patterns() -> None:
    assert host_allowed("a.example.cn:443", ("*.example.cn",))
    assert not host_allowed("example.cn.evil", ("*.example.cn",))
    assert not host_allowed("notexample.cn", ("*.example.cn",))
    assert host_allowed("anything", ("*",))


async def test_large_bodies_are_refused_announced_or_not(build: Build) -> None:
    site = build(WebOptions(hasher=HASHER, max_body=1000))

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100

    client = await site.login("operator")
    announced = await client.post("/api/v1/alarms/a1/note", content=b" " * 1001)
    streamed = await client.post(
        "/api/v1/alarms/a1/note", content=pieces(), headers={"content-type": "application/json"}
    )
    assert announced.status_code == streamed.status_code == 413
    assert (await client.post("/api/v1/alarms/a1/note", json={"text": "x" * 900})).status_code == 200
    await client.aclose()


async def test_errors_are_pages_for_people_and_objects_for_programs(site: Site) -> None:
    async with site.client() as c:
        page = await c.get("/nowhere", headers={"accept": "text/html"})
        data = await c.get("/api/v1/nowhere", headers={"accept": "text/html"})
    assert page.status_code == data.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert data.headers["content-type"] == "application/problem+json"
    assert set(data.json()) >= {"type", "title", "status", "detail"}


async def test_the_log_has_no_secrets(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="dashboards")
    client = await site.login("operator")
    await client.get("/api/v1/events?subject=flat-7-secret")
    token = dict(client.cookies)["steward_session"]
    assert "method=POST path='/api/v1/login' status=200" in caplog.text
    for secret in ("correct-horse", token, client.headers["X-CSRF-Token"], "flat-7-secret"):
        assert secret not in caplog.text
    await client.aclose()


async def test_metrics_name_routes_not_ids(site: Site) -> None:
    client = await site.login("operator")
    await client.get("/api/v1/alarms/a1")
    await client.get("/api/v1/alarms/a9")
    await client.get("/guess/1")
    text = (await client.get("/metrics")).text
    assert 'handler="alarms.alarm",status="200"} 2' in text
    assert 'steward_health{name="edges.gw-garden.online"} 1' in text
    assert "/guess" not in text
    assert "a9" not in text
    away = await client.get("/metrics", headers={"X-Forwarded-For": "1.2.3.4"})
    assert away.status_code == 403
    await client.aclose()


async def test_metrics_from_elsewhere_need_the_token(build: Build) -> None:
    site = build(WebOptions(hasher=HASHER, metrics_token="let-me-in"))
    headers = {"X-Forwarded-For": "1.2.3.4"}
    async with site.client(headers=headers) as c:
        assert (await c.get("/metrics")).status_code == 403
        assert (await c.get("/metrics", headers={"Authorization": "Bearer x"})).status_code == 403
        assert (await c.get("/metrics", headers={"Authorization": "Bearer let-me-in"})).status_code == 200


async def test_the_reference_shows_every_call(site: Site) -> None:
    async with site.client() as c:
        schema = (await c.get("/api/v1/openapi.json")).json()
        page = (await c.get("/api/v1/reference?lang=en")).text
    for path in schema["paths"]:
        assert path in page
    assert "why; shown to everybody concerned" in page


# ── snapshot ──────────────────────────────────────────────────────────────────────────────────────────


async def test_snapshot_has_a_tag_and_comes_packed(site: Site) -> None:
    client = await site.login("operator")
    first = await client.get("/api/v1/snapshot", headers={"Accept-Encoding": "gzip"})
    assert first.headers["content-encoding"] == "gzip"
    plain = await client.get("/api/v1/snapshot", headers={"Accept-Encoding": "identity"})
    assert first.json() == plain.json()
    assert len(gzip.compress(plain.content, 1)) < len(plain.content)
    same = await client.get("/api/v1/snapshot", headers={"If-None-Match": first.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    assert int(same.headers["x-site-now"]) == site.clock.now()
    site.desk.put("alarm", alarm("a2", "lift-1"))
    await site.clock.advance(2)
    changed = await client.get("/api/v1/snapshot", headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200
    assert changed.json()["cursor"].endswith(f".{site.desk.hub.seq}")
    await client.aclose()


async def test_one_tag_is_not_anothers(site: Site) -> None:
    site.person("olga", "operator", estates=["garden"])
    olga, admin = await site.login("olga"), await site.login("admin")
    tags = {(await c.get("/api/v1/snapshot")).headers["etag"] for c in (olga, admin)}
    part = await admin.get("/api/v1/snapshot?estate=garden&system=water")
    assert {a["id"] for a in part.json()["assets"]} == {"pump-1"}
    assert len(tags | {part.headers["etag"]}) == 3
    await olga.aclose()
    await admin.aclose()


# ── series ────────────────────────────────────────────────────────────────────────────────────────────


def fill(site: Site, values: np.ndarray[Any, np.dtype[np.float64]], step: Ms = 1000) -> None:
    number = site.desk.series_id("lift-1/lift.speed", Scope())
    n = len(values)
    rows = Samples(
        np.full(n, number, np.uint32), T0 + np.arange(n, dtype=np.int64) * step, values, np.zeros(n, np.uint8)
    )
    rows.q[0] = quality(Level.BAD, Reason.SENTINEL)
    site.desk.samples.append(rows, [], historical=False)


async def read(site: Site, end: Ms, px: int) -> dict[str, Any]:
    client = await site.login("operator")
    params: dict[str, str | int] = {"point": "lift-1/lift.speed", "from": T0, "to": end, "px": px}
    answer = await client.get("/api/v1/series", params=params)
    await client.aclose()
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_short_series_is_whole_and_a_bad_value_is_none(site: Site) -> None:
    fill(site, np.linspace(0, 1, 20))
    body = await read(site, T0 + 20_000, 100)
    assert body["kind"] == "raw"
    assert len(body["t"]) == 20
    assert body["v"][0] is None
    assert body["q"][0] >> 5 == Level.BAD
    assert body["v"][-1] == 1.0


async def test_a_spike_of_one_sample_is_seen_in_a_long_series(site: Site) -> None:
    values = np.zeros(5000)
    values[3333] = 99.0
    fill(site, values)
    body = await read(site, T0 + 5_000_000, 100)
    assert body["kind"] == "minmax"
    assert len(body["low"]) + len(body["high"]) <= 200
    assert max(body["high"]) == 99.0
    assert sum(body["n"]) == 4999


async def test_running_time_and_what_is_recorded_of_a_period(site: Site) -> None:
    fill(site, np.array([9.0, 0.0, 1.0, 1.0, 0.0]), step=60_000)  # the first one is bad
    client = await site.login("operator")
    params: dict[str, str | int] = {"point": "lift-1/lift.speed", "from": T0, "to": T0 + 300_000}
    answer = await client.get("/api/v1/shares", params=params)
    other = await client.get("/api/v1/shares", params={**params, "point": "elsewhere/lift.speed"})
    long = await client.get("/api/v1/shares", params={**params, "point": ["lift-1/lift.speed"] * 501})
    await client.aclose()
    assert answer.json()["points"] == {"lift-1/lift.speed": {"on_ms": 120_000, "known_ms": 240_000}}
    assert (other.status_code, long.status_code) == (404, 422)


@pytest.mark.parametrize(
    ("start", "end", "px", "status"),
    [
        (10, 10, 100, 422),
        (10, 5, 100, 422),
        (0, 401 * 86_400_000, 100, 422),
        (0, 10, 5, 422),
        (0, 10, 4001, 422),
    ],
)
async def test_odd_periods_are_refused(site: Site, start: int, end: int, px: int, status: int) -> None:
    client = await site.login("operator")
    params: dict[str, str | int] = {"point": "lift-1/lift.speed", "from": start, "to": end, "px": px}
    assert (await client.get("/api/v1/series", params=params)).status_code == status
    await client.aclose()


# ── figures ───────────────────────────────────────────────────────────────────────────────────────────


def test_csv_is_safe_for_spreadsheets() -> None:
    rows = [
        {"name": "=1+1", "n": -3, "x": float("nan"), "text": {"zh": "zh", "en": "@en"}},
        {"name": " +evil", "n": 2.5, "ok": True, "list": [1], "map": {"a": 1}},
    ]
    data = to_csv(rows, "en")
    assert data.startswith(b"\xef\xbb\xbf")
    table = list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))
    assert table[0] == ["name", "n", "x", "text", "ok"]
    assert table[1] == ["'=1+1", "-3", "", "'@en", ""]
    assert table[2] == ["' +evil", "2.5", "", "", "1"]


async def test_figures_get_the_readers_scope(build: Build) -> None:
    asked: list[tuple[Scope, Ms, Ms]] = []

    def figures(_: Desk, scope: Scope, start: Ms, end: Ms) -> Mapping[str, Any]:
        asked.append((scope, start, end))
        return {"rows": [{"asset": "lift-1", "availability": 0.5}], "causes": [{"cause": "door"}]}

    site = build(WebOptions(hasher=HASHER, figures=figures))
    site.person("reg", "regulator", estates=["garden", "river"])
    client = await site.login("reg")
    body = (await client.get("/api/v1/stats?from=0&to=1000&estate=garden")).json()
    assert body["rows"] == [{"asset": "lift-1", "availability": 0.5}]
    assert asked == [(Scope(estates=frozenset({"garden"})), 0, 1000)]
    assert (await client.get("/api/v1/stats?from=0&to=1000&estate=tower")).status_code == 404
    file = await client.get("/api/v1/stats.csv?from=0&to=1000&table=causes")
    assert file.content == b"\xef\xbb\xbfcause\r\ndoor\r\n"
    assert "attachment" in file.headers["content-disposition"]
    assert (await client.get("/api/v1/stats.csv?from=0&to=1000&table=none")).status_code == 404
    await client.aclose()


# ── events ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_chain_can_be_walked(site: Site) -> None:
    client = await site.login("admin")
    for n in range(5):
        await client.post("/api/v1/alarms/a1/note", json={"text": f"n{n}"})
    seen, after = [], 0
    while True:
        params: dict[str, Any] = {"estate": "garden", "after": after, "limit": 2}
        page = (await client.get("/api/v1/events", params=params)).json()
        if not page["events"]:
            break
        seen += [e["seq"] for e in page["events"]]
        after = page["last"]
    assert seen == list(range(1, seen[-1] + 1))
    assert (await client.get("/api/v1/events?after=1")).status_code == 422
    await client.aclose()


async def test_hidden_events_do_not_shorten_a_page(site: Site) -> None:
    client = await site.login("operator")
    for n in range(3):
        await client.post("/api/v1/alarms/a1/note", json={"text": f"n{n}"})
        await (await site.login("manager")).aclose()  # user.login, which an operator does not see
    for path in ("?limit=3", "?estate=garden&limit=3"):
        events = (await client.get(f"/api/v1/events{path}")).json()["events"]
        assert [e["data"]["text"] for e in events] == ["n2", "n1", "n0"]
    walked, after = [], 0
    while True:
        page = (await client.get(f"/api/v1/events?estate=garden&after={after}&limit=1")).json()
        if not page["events"]:
            break
        walked += [e["data"]["text"] for e in page["events"]]
        after = page["last"]
    assert walked == ["n0", "n1", "n2"]
    await client.aclose()


# ── the residents' board ──────────────────────────────────────────────────────────────────────────────


async def test_the_board_names_nobody(site: Site) -> None:
    async with site.client() as c:
        answer = await c.get("/api/v1/public/garden")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=30"
    for personal in ("Secret", "olga", "flat 7", "assignee", "notes", "values", "shift", "households"):
        assert personal not in answer.text
    assets = {a["id"]: a for a in answer.json()["assets"]}
    assert set(assets) == {"lift-1", "pump-1", "lamp-1"}
    assert assets["lift-1"]["contractor"] == {
        "name": {"zh": "Fixit-zh", "en": "Fixit-en"},
        "phone": "400-800",
    }
    assert assets["lift-1"]["work"][0]["expected_end"] == 99_000


async def test_the_board_repeats_nothing_that_somebody_wrote(site: Site) -> None:
    written = {"zh": "电梯 王女士 13800001111", "en": "Lift Mrs Wang 13800001111"}
    site.desk.put("order", order("o7", "lift-1", "TE", title=written, source="resident"))
    async with site.client() as c:
        answer = await c.get("/api/v1/public/garden")
    assert "13800001111" not in answer.text
    titles = [w["title"] for a in answer.json()["assets"] for w in a["work"]]
    assert {"zh": "lift-1-zh 报修处理中", "en": "lift-1-en reported and being dealt with"} in titles


@pytest.mark.parametrize("state", ["REASSIGNED", "REJECTED"])
async def test_an_order_that_waits_for_somebody_is_open(site: Site, state: str) -> None:
    site.desk.put("order", order("o7", "lift-1", "LM", state=state))
    client = await site.login("operator")
    listed = (await client.get("/api/v1/orders?open=true")).json()["orders"]
    assert "o7" in {o["id"] for o in listed}
    await client.aclose()


async def test_the_regulator_reads_no_names_in_events(site: Site) -> None:
    data = {"assignee": "olga", "was": "olga", "evidence": "olga saw it", "party": "LM"}
    fact = Event("x1", "garden", T0, "order.reassigned", "o1", "olga", "lift-1", data)
    other = Event("x2", "garden", T0, "alarm.level", "a1", "steward", "lift-1", {"was": "H"})
    site.desk.state.commit(Commit(events=[fact, other]))
    site.person("rex", "regulator")
    client = await site.login("rex")
    answer = await client.get("/api/v1/events?kind=order.reassigned&kind=alarm.level")
    assert "olga" not in answer.text
    assert [e["data"] for e in answer.json()["events"] if e["id"] == "x2"] == [{"was": "H"}]
    assert [e["data"] for e in answer.json()["events"] if e["id"] == "x1"] == [{"party": "LM"}]
    await client.aclose()


async def test_the_board_says_how_things_are(site: Site) -> None:
    async with site.client() as c:

        async def statuses() -> dict[str, str]:
            await site.clock.advance(31)
            body = (await c.get("/api/v1/public/garden?lang=en")).json()
            return {a["id"]: a["status_text"] for a in body["assets"]}

        assert await statuses() == {"lift-1": "fault", "pump-1": "normal", "lamp-1": "not monitored"}
        site.desk.put("alarm", alarm("a1", "lift-1", state="OUT_OF_SERVICE"))
        assert (await statuses())["lift-1"] == "under repair"
        site.desk.put("alarm", alarm("a1", "lift-1", drill=True))
        site.desk.bad_points.add("pump-1/ws.out_p")
        assert await statuses() == {"lift-1": "normal", "pump-1": "no data", "lamp-1": "not monitored"}
        site.desk.put("order", order("o1", "lift-1", "LM", state="WORKING"))
        assert (await statuses())["lift-1"] == "under repair"


@pytest.mark.parametrize(
    ("levels", "silent"),
    [
        ([0, 1], False), ([0, 2], True), ([0, 3], False), ([3, 3], True), ([2], True), ([0, None], False),
        ([None, None], True),
    ],
)  # fmt: skip
def test_one_fresh_reading_does_not_hide_a_silent_device(levels: list[int | None], silent: bool) -> None:
    points = [{"id": f"pump-1/p{n}", "asset": "pump-1"} for n in range(len(levels))]
    values = {f"pump-1/p{n}": [T0, 1.0, level << 5] for n, level in enumerate(levels) if level is not None}
    assert silent_assets({"points": points, "values": values}) == {"pump-1": silent}


async def test_the_board_is_made_once_in_thirty_seconds(site: Site) -> None:
    async with site.client() as c:
        first = (await c.get("/api/v1/public/garden")).json()["now"]
        await site.clock.advance(29)
        assert (await c.get("/api/v1/public/garden")).json()["now"] == first
        await site.clock.advance(2)
        assert (await c.get("/api/v1/public/garden")).json()["now"] == first + 31_000
        assert (await c.get("/api/v1/public/nowhere")).status_code == 404


async def test_texts_are_served_for_modules(site: Site) -> None:
    async with site.client() as c:
        zh, en = [(await c.get(f"/i18n/{lang}.json")).content for lang in ("zh", "en")]
        assert (await c.get("/i18n/fr.json")).status_code == 404
    assert orjson.loads(zh).keys() == orjson.loads(en).keys()
    assert orjson.loads(en)["priority.1"] == "critical"


async def test_the_guide_names_what_there_is(site: Site) -> None:
    text = (Path(__file__).parents[3] / "docs" / "how-to" / "api.md").read_text(encoding="utf-8")
    async with site.client() as c:
        paths = set((await c.get("/api/v1/openapi.json")).json()["paths"])
        metrics = (await c.get("/metrics")).text
    named = set(re.findall(r"`(?:GET |POST |PUT )?(/api/v1/[a-z.{}/_-]+)", text))
    named = {n for n in named if not n.endswith("/")}
    assert named - paths == {"/api/v1/reference", "/api/v1/openapi.json"}
    for verb in re.findall(r"Alarms: (.*?)\. Orders: (.*?)\. All", text)[0]:
        for name in re.findall(r"`(\w+)`", verb):
            assert {f"/api/v1/alarms/{{id}}/{name}", f"/api/v1/orders/{{id}}/{name}"} & paths, name
    for metric in re.findall(r"`(steward_\w+)", text):
        assert metric in metrics
