"""Asking an edge over the interface: what reaches it, and what a refusal looks like."""

from __future__ import annotations

from typing import Any

import pytest

from dashboards.web import WebOptions
from tests.support.web_site import HASHER, Build, Site


class Edge:
    """Answers what it was told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] = {"ok": True, "line": "bus", "frames": [[1, "out", 1, "01 03"]]}
        self.asked: list[tuple[Any, ...]] = []

    async def act(self, actor: Any, kind: str, gateway: str, facts: Any, key: str) -> dict[str, Any]:
        self.asked.append((actor.id, kind, gateway, dict(facts), key))
        return self.answer


@pytest.fixture
def edge() -> Edge:
    return Edge()


@pytest.fixture
def asking(build: Build, edge: Edge) -> Site:
    return build(WebOptions(hasher=HASHER, edge=edge.act))


async def test_what_is_asked_reaches_the_edge_and_nothing_else(asking: Site, edge: Edge) -> None:
    client = await asking.login("technician")
    headers = {"Idempotency-Key": "phone-0001"}
    shown = await client.post("/api/v1/edges/gw-1/trace", json={"line": "bus", "unit": 1}, headers=headers)
    assert shown.json() == {"trace": {"line": "bus", "frames": [[1, "out", 1, "01 03"]]}}
    edge.answer = {"ok": True}
    assert (await client.post("/api/v1/edges/gw-1/retry", json={})).json() == {"retry": {}}
    assert [a[:4] for a in edge.asked] == [
        ("technician", "edge.trace", "gw-1", {"line": "bus", "unit": 1}),
        ("technician", "edge.retry", "gw-1", {}),
    ]
    assert edge.asked[0][4] == "technician:edge.trace:gw-1:phone-0001"
    for path, body in (("trace", {}), ("trace", {"line": "bus", "until": 1}), ("retry", {"device": ""})):
        assert (await client.post(f"/api/v1/edges/gw-1/{path}", json=body)).status_code == 422
    assert len(edge.asked) == 2
    await client.aclose()


@pytest.mark.parametrize(
    ("code", "status", "zh"),
    [
        ("no_line", 409, "没有这条线路"),
        ("offline", 409, "离线"),
        ("silent", 503, "没有回应"),
        ("odd", 409, "未能"),
    ],
)
async def test_why_not_is_said_in_the_readers_language(
    asking: Site, edge: Edge, code: str, status: int, zh: str
) -> None:
    edge.answer = {"ok": False, "code": code, "error": "there is no line 'x'"}
    client = await asking.login("manager")
    answers = [
        await client.post("/api/v1/edges/gw-1/trace", json={"line": "x"}, headers={"Accept-Language": lang})
        for lang in ("zh", "en")
    ]
    assert [a.status_code for a in answers] == [status, status]
    assert zh in answers[0].json()["detail"]
    assert answers[1].json()["detail"].isascii()
    assert answers[1].json()["code"] == code
    await client.aclose()


async def test_where_no_edge_can_be_asked_there_is_none(site: Site) -> None:
    client = await site.login("admin")
    assert (await client.post("/api/v1/edges/gw-1/retry", json={})).status_code == 404
    await client.aclose()
