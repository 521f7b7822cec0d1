"""Guests by a one-time link: one order, one device, five acts; everything else is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

from dashboards.access.guests import ACTS
from dashboards.access.permissions import ACTIONS
from dashboards.codes import asset_code
from dashboards.web import WebOptions
from gateway.adapters.attachments import Attachments
from gateway.adapters.keys import InstallationKeys
from gateway.model import Command
from tests.support.web_desk import order
from tests.support.web_site import HASHER, Build, Site

JPEG = b"\xff\xd8\xff\xe0 \xff\xd9"
BODIES: dict[str, Any] = {
    "accept": {}, "arrive": {}, "check": {"item": "light", "value": True},
    "done": {"cause_code": "door", "action": "cleaned"},
}  # fmt: skip
WHO = {"name": "Zhang San", "firm": "Fixit", "hours": 2}


@pytest.fixture
def keys(tmp_path: Path) -> InstallationKeys:
    return InstallationKeys(tmp_path / "data")


@pytest.fixture
def site(build: Build, tmp_path: Path, keys: InstallationKeys) -> Site:
    return build(WebOptions(hasher=HASHER, files=Attachments(tmp_path / "attachments"), keys=keys))


async def made(site: Site, order_id: str = "o1") -> tuple[str, str]:
    """(id of the link, token)."""
    lead = await site.login("supervisor")
    answer = await lead.post(f"/api/v1/orders/{order_id}/links", json=WHO)
    await lead.aclose()
    assert answer.status_code == 200, answer.text
    path, _, token = answer.json()["path"].partition("#")
    assert answer.json()["url"] == f"http://localhost{answer.json()['path']}"
    return path.removeprefix("/g/"), token


async def entered(site: Site, link: str, token: str) -> httpx.AsyncClient:
    client = site.client()
    answer = await client.post(f"/api/v1/guest/{link}/open", json={"token": token})
    assert answer.status_code == 200, answer.text
    client.headers["X-CSRF-Token"] = answer.json()["csrf"]
    return client


def orders_of(site: Site) -> list[Command]:
    return [c for c in site.desk.commands if c.kind.startswith("order.")]


async def test_a_guest_does_five_things_under_name_and_firm(site: Site) -> None:
    guest = await entered(site, *(await made(site)))
    link = next(iter(guest.cookies)).removeprefix("steward_guest_")
    for act, body in BODIES.items():
        answer = await guest.post(f"/api/v1/guest/{link}/{act}", json=body)
        assert answer.status_code == 200, (act, answer.text)
    photo = await guest.post(f"/api/v1/guest/{link}/photos?kind=after", content=JPEG)
    assert photo.status_code == 200, photo.text
    sent = orders_of(site)
    assert {c.kind.removeprefix("order.") for c in sent} == ACTS
    assert {(c.actor.id, c.actor.name, c.actor.role) for c in sent} == {
        (f"guest-{link}", "Zhang San (Fixit)", "contractor")
    }
    assert {c.subject for c in sent} == {"o1"}
    kept = site.desk.state.user(f"guest-{link}")
    assert kept is not None
    assert (kept.body["name"], kept.body["active"], kept.password_hash) == ("Zhang San (Fixit)", False, "")
    await guest.aclose()


@pytest.mark.parametrize("action", sorted(a for a in ACTIONS if a.startswith("order.")))
async def test_every_other_act_on_the_order_is_403(site: Site, action: str) -> None:
    act = action.removeprefix("order.")
    if act in ACTS:
        return
    link, token = await made(site)
    guest = await entered(site, link, token)
    answer = await guest.post(
        f"/api/v1/guest/{link}/{act}", json={"reason": "because", "text": "x", "to": "TE"}
    )
    assert answer.status_code == 403, answer.text
    assert answer.json()["action"] == action
    assert orders_of(site) == []
    await guest.aclose()


async def test_every_other_address_is_closed_to_a_guest(site: Site) -> None:
    link, token = await made(site)
    guest = await entered(site, link, token)
    schema = (await guest.get("/api/v1/openapi.json")).json()
    open_to_all = {"/api/v1/login", "/api/v1/public/{estate}", "/api/v1/answers"}
    paths = [p for p in schema["paths"] if p not in open_to_all and not p.startswith("/api/v1/guest/")]
    assert len(paths) > 40
    for path in paths:
        for method in schema["paths"][path]:
            answer = await guest.request(
                method, path.replace("{id}", "o1").replace("{", "").replace("}", ""), json={}
            )
            assert answer.status_code == 401, (method, path, answer.text)
    assert orders_of(site) == []
    await guest.aclose()


async def test_a_guest_sees_one_order_without_sums_notes_and_people(site: Site) -> None:
    site.desk.put("order", order("o1", "lift-1", "LM", costs=[{"what": "secret"}], alarm="a1"))
    link, token = await made(site)
    guest = await entered(site, link, token)
    answer = await guest.get(f"/api/v1/guest/{link}/job")
    body = answer.json()
    assert [o["id"] for o in body["orders"]] == ["o1"]
    assert [a["id"] for a in body["assets"]] == ["lift-1"]
    assert [a["id"] for a in body["alarms"]] == ["a1"]
    assert body["shift"] == []
    assert "Secret" not in str(body["orders"])
    assert "secret" not in str(body["orders"])
    await guest.aclose()


async def test_only_hashes_are_kept_and_the_address_of_the_page_has_no_secret(site: Site) -> None:
    link, token = await made(site)
    guest = await entered(site, link, token)
    record = site.desk.state.record("link", link)
    assert record is not None
    device = guest.cookies[f"steward_guest_{link}"]
    assert record["token"] == hashlib.sha256(token.encode()).hexdigest()
    assert record["device"] == hashlib.sha256(device.encode()).hexdigest()
    everything = repr(site.desk.state.records("link")) + repr(site.desk.state.events())
    assert token not in everything
    assert device not in everything
    assert token not in (await guest.get(f"/g/{link}")).text
    await guest.aclose()


async def test_one_device_has_it_even_when_looked_at_before(site: Site) -> None:
    link, token = await made(site)
    async with site.client() as preview:
        assert (await preview.get(f"/g/{link}")).status_code == 200
    first = await entered(site, link, token)
    again = await first.post(f"/api/v1/guest/{link}/open", json={"token": token})
    assert again.status_code == 200, "the same phone may come again"
    async with site.client() as second:
        answer = await second.post(f"/api/v1/guest/{link}/open", json={"token": token})
        assert answer.status_code == 401
        assert (await second.get(f"/api/v1/guest/{link}/job")).status_code == 401
        assert not second.cookies
    assert (await first.get(f"/api/v1/guest/{link}/job")).status_code == 200
    await first.aclose()


async def test_the_cookie_of_one_link_opens_no_other(site: Site) -> None:
    one, two = await made(site), await made(site, "o2")
    guest = await entered(site, *one)
    other = await entered(site, *two)
    secret = guest.cookies[f"steward_guest_{one[0]}"]
    other.cookies.clear()
    other.cookies.set(f"steward_guest_{two[0]}", secret)
    assert (await other.get(f"/api/v1/guest/{two[0]}/job")).status_code == 401
    assert (await guest.get(f"/api/v1/guest/{two[0]}/job")).status_code == 401
    await guest.aclose()
    await other.aclose()


@pytest.mark.parametrize("how", ["revoked", "over"])
async def test_an_ended_link_opens_nothing_from_the_next_call_on(site: Site, how: str) -> None:
    link, token = await made(site)
    guest = await entered(site, link, token)
    if how == "revoked":
        lead = await site.login("supervisor")
        assert (await lead.post(f"/api/v1/links/{link}/revoke", json={})).status_code == 200
        listed = (await lead.get("/api/v1/orders/o1/links")).json()["links"]
        assert [k["state"] for k in listed if k["id"] == link] == ["revoked"]
        assert not {"token", "device"} & set().union(*listed)
        await lead.aclose()
    else:
        await site.clock.advance(2 * 3600 + 1)
    assert (await guest.get(f"/api/v1/guest/{link}/job")).status_code == 401
    assert (await guest.post(f"/api/v1/guest/{link}/accept", json={})).status_code == 401
    assert (await guest.post(f"/api/v1/guest/{link}/open", json={"token": token})).status_code == 401
    assert orders_of(site) == []
    await guest.aclose()


async def test_guessing_is_slow_and_an_act_needs_the_token_of_the_page(site: Site) -> None:
    link, token = await made(site)
    guest = await entered(site, link, token)
    del guest.headers["X-CSRF-Token"]
    assert (await guest.post(f"/api/v1/guest/{link}/accept", json={})).status_code == 403
    async with site.client() as thief:
        codes = [
            (await thief.post(f"/api/v1/guest/{link}/open", json={"token": f"guess-{n}"})).status_code
            for n in range(12)
        ]
    assert codes == [401] * 10 + [429] * 2
    assert orders_of(site) == []
    await guest.aclose()


async def test_the_same_key_shows_no_second_address(site: Site) -> None:
    lead = await site.login("supervisor")
    headers = {"Idempotency-Key": "same-key-1"}
    assert (await lead.post("/api/v1/orders/o1/links", json=WHO, headers=headers)).status_code == 200
    again = await lead.post("/api/v1/orders/o1/links", json=WHO, headers=headers)
    assert again.status_code == 409
    assert "#" not in again.text
    await lead.aclose()


# ── proof of arrival ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({}, {"proof": "none"}),
        ({"lat": 30.0, "lon": 120.0}, {"proof": "gps"}),
        ({"code": "https://10.0.0.5/r/{lift-1}", "scanned": True}, {"proof": "qr"}),
        ({"code": " {LIFT-1} "}, {"proof": "typed"}),
        ({"code": "{pump-1}", "scanned": True}, {"proof": "none", "code_refused": True}),
        ({"code": "{pump-1}", "lat": 30.0, "lon": 120.0}, {"proof": "gps", "code_refused": True}),
        ({"code": "aaaaaaaaaaaa"}, {"proof": "none", "code_refused": True}),
        ({"code": "no code"}, {"proof": "none", "code_refused": True}),
    ],
)
async def test_only_the_code_of_the_orders_asset_proves_an_arrival(
    site: Site, keys: InstallationKeys, body: dict[str, Any], wanted: dict[str, Any]
) -> None:
    given = dict(body)
    for asset in ("lift-1", "pump-1"):
        code = asset_code(keys.report, asset)
        for mark, shown in (
            (f"{{{asset}}}", code),
            (f"{{{asset.upper()}}}", f"{code[:4]}-{code[4:]}".upper()),
        ):
            if mark in str(given.get("code", "")):
                given["code"] = given["code"].replace(mark, shown)
    client = await site.login("technician")
    answer = await client.post("/api/v1/orders/o1/arrive", json=given)
    assert answer.status_code == 200, answer.text
    data = orders_of(site)[0].data
    assert {k: data[k] for k in ("proof", "code_refused") if k in data} == wanted
    await client.aclose()


async def test_nobody_says_himself_that_it_is_proven(site: Site) -> None:
    client = await site.login("technician")
    answer = await client.post("/api/v1/orders/o1/arrive", json={"proof": "qr"})
    assert answer.status_code == 422
    assert orders_of(site) == []
    await client.aclose()


@pytest.mark.parametrize(
    ("to", "status"), [("contractor", 200), ("regulator", 422), ("operator", 422), ("nobody", 422)]
)
async def test_work_goes_to_a_colleague_of_the_duty(site: Site, to: str, status: int) -> None:
    client = await site.login("technician")
    assert (await client.post("/api/v1/orders/o1/handover", json={"to": to})).status_code == status
    assert len(orders_of(site)) == (status == 200)
    await client.aclose()
