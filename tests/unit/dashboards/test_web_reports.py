"""The page of an asset's code: no log-in, limited, nothing personal; the city's signed calls."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import orjson
import pytest

from dashboards.codes import asset_code, asset_of, signature, signed
from dashboards.web import WebOptions
from gateway.adapters.attachments import Attachments
from gateway.adapters.keys import InstallationKeys
from tests.support.web_desk import order
from tests.support.web_site import HASHER, Build, Site
from tests.unit.dashboards.test_web_photos import JPEG

CODE = "abcdefghijklmnop"


@pytest.fixture
def keys(tmp_path: Path) -> InstallationKeys:
    return InstallationKeys(tmp_path)


@pytest.fixture
def site(build: Build, tmp_path: Path, keys: InstallationKeys) -> Site:
    return build(WebOptions(hasher=HASHER, files=Attachments(tmp_path / "attachments"), keys=keys))


def test_keys_are_made_once_and_for_their_owner(tmp_path: Path, keys: InstallationKeys) -> None:
    again = InstallationKeys(tmp_path)
    assert (again.report, again.city, again.public) == (keys.report, keys.city, keys.public)
    assert len({keys.report, keys.city, keys.public}) == 3
    assert {p.stat().st_mode & 0o777 for p in (tmp_path / "keys").iterdir()} == {0o600}


def test_codes_are_of_this_installation_alone(keys: InstallationKeys) -> None:
    codes = {asset_code(keys.report, a): a for a in ("lift-1", "lift-2", "pump-1")}
    assert len(codes) == 3
    for code, asset in codes.items():
        assert asset_of(keys.report, code, codes.values()) == asset
        assert asset_of(b"x" * 32, code, codes.values()) is None
    assert asset_of(keys.report, "", codes.values()) is None
    assert asset_of(keys.report, "a" * 12, codes.values()) is None


async def test_a_report_is_taken_without_a_log_in(site: Site, keys: InstallationKeys) -> None:
    client = site.client()
    url = f"/r/{asset_code(keys.report, 'lift-1')}"
    for lang, word in (("zh", "设施报修"), ("en", "Report a fault")):
        page = await client.get(url, params={"lang": lang})
        assert page.status_code == 200
        assert word in page.text
        assert "<script" not in page.text
    form = {"what": "stopped", "text": "it stands", "where": "B3", "phone": "139"}
    answer = await client.post(url, data=form, files={"photo": ("x.jpg", JPEG, "image/jpeg")})
    assert answer.status_code == 303, answer.text
    (command,) = site.desk.commands
    assert (command.kind, command.subject, command.actor.role) == ("report.make", "lift-1", "public")
    sha = hashlib.sha256(JPEG).hexdigest()
    assert command.data["photos"] == [{"sha256": sha, "size": len(JPEG), "media": "image/jpeg"}]
    assert answer.headers["location"] == f"/r/s/{command.data['code']}"
    await client.aclose()


@pytest.mark.parametrize("path", ["/r/aaaaaaaaaaaa", "/r/lift-1", f"/r/s/{CODE}", "/r/s/x", "/r/..%2fstats"])
async def test_what_is_no_code_is_not_there(site: Site, path: str) -> None:
    client = site.client()
    assert (await client.get(path)).status_code == 404
    await client.aclose()


async def test_limited_by_address(site: Site, keys: InstallationKeys) -> None:
    client = site.client()
    url = f"/r/{asset_code(keys.report, 'lift-1')}"
    answers = [(await client.post(url, data={"text": "it stands"})).status_code for _ in range(8)]
    assert answers == [303] * 6 + [429] * 2
    assert len(site.desk.commands) == 6
    await site.clock.advance(601)
    assert (await client.post(url, data={"text": "it stands"})).status_code == 303
    await client.aclose()


async def test_rubbish_is_refused_before_it_is_kept(site: Site, keys: InstallationKeys) -> None:
    client = site.client()
    url = f"/r/{asset_code(keys.report, 'lift-1')}"
    assert (await client.post(url, data={"text": " "})).status_code == 422
    files = {"photo": ("x.jpg", b"<script>", "image/jpeg")}
    assert (await client.post(url, data={"text": "it stands"}, files=files)).status_code == 422
    foreign = await client.post(url, data={"text": "it stands"}, headers={"Origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert not site.desk.commands
    await client.aclose()


def known(site: Site, state: str, **more: Any) -> None:
    site.desk.keep(
        "report", CODE, "lift-1", order="o1", t=1000, stars=None, what="x", text="Mr Secret", **more
    )
    site.desk.put("order", order("o1", "lift-1", "LM", state=state, assignee="olga"))


async def test_the_status_follows_the_order_and_names_nobody(site: Site) -> None:
    client = site.client()
    for state, word in (("DISPATCHED", "DISPATCHED"), ("ON_SITE", "ON_SITE"), ("CLOSED", "CLOSED")):
        known(site, state, phone="139-0000")
        page = await client.get(f"/r/s/{CODE}?lang=en")
        assert page.status_code == 200
        assert f'data-state="{word}"' in page.text
        assert ("stars" in page.text) == (state == "CLOSED")
        for secret in ("Secret", "139-0000", "olga", "flat 7"):
            assert secret not in page.text
    answer = await client.post(f"/r/s/{CODE}/rate", data={"stars": "4"})
    assert answer.status_code == 303
    assert site.desk.commands[-1].data == {"stars": 4}
    assert (await client.post(f"/r/s/{CODE}/rate", data={"stars": "9"})).status_code == 422
    await client.aclose()


async def test_the_citys_call_is_signed_or_a_persons(site: Site, keys: InstallationKeys) -> None:
    body = orjson.dumps({"number": "12345-1", "asset": "lift-1", "text": "stands", "what": "stopped"})
    client, now = site.client(), site.desk.now()

    async def call(given: str | None, content: bytes = body) -> int:
        headers = {"Content-Type": "application/json"} | ({"X-Steward-Signature": given} if given else {})
        return (await client.post("/api/v1/city/cases", content=content, headers=headers)).status_code

    good = signature(keys.city, now, body)
    assert signed(keys.city, good, body, now)
    assert await call(good) == 200
    assert site.desk.commands[-1].kind == "city.report"
    for wrong in (
        signature(b"x" * 32, now, body), signature(keys.city, now - 600_000, body),
        signature(keys.city, now, body + b" "), "t=1,v1=", "", "t=x,v1=00",
    ):  # fmt: skip
        assert await call(wrong or "none") == 403
    assert await call(None) == 401
    assert await call(signature(keys.city, now, b"{}"), b"{}") == 422
    assert len(site.desk.commands) == 1
    await client.aclose()


async def test_reports_and_codes_are_for_the_firm_and_its_scope(site: Site) -> None:
    known(site, "DISPATCHED")
    site.person("far", "operator", firms=["red"])
    for who, seen, status in (("operator", 1, 200), ("far", 0, 404)):
        client = await site.login(who)
        assert (await client.get("/api/v1/reports")).json()["total"] == seen
        assert (await client.get("/api/v1/assets/lift-1/report-code")).status_code == status
        await client.aclose()
