"""Getting in, staying in, getting out."""

from __future__ import annotations

import re

import pytest

from dashboards.access.passwords import Passwords
from dashboards.access.people import ensure_admin, seed_people
from dashboards.access.sessions import COOKIE, key_of
from dashboards.api.account import safe_next
from dashboards.web import WebOptions
from gateway.config.site import Person
from gateway.errors import Retryable
from tests.support.web_site import HASHER, PASSWORD, Build, Site


async def test_login_sets_a_closed_cookie_and_stores_only_the_hash(site: Site) -> None:
    async with site.client() as c:
        answer = await c.post("/api/v1/login", json={"user": "operator", "password": PASSWORD})
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie
        token = c.cookies[COOKIE]
        assert len(token) >= 43  # 256 bits
        stored = site.desk.state.session(key_of(token))
        assert stored is not None
        assert stored.user == "operator"
        assert site.desk.state.session(token) is None
        assert (await c.get("/api/v1/me")).json()["role"] == "operator"


async def test_over_tls_the_cookie_is_secure(build: Build) -> None:
    site = build(WebOptions(hasher=HASHER, https=True))
    async with site.client() as c:
        answer = await c.post("/api/v1/login", json={"user": "operator", "password": PASSWORD})
        assert "Secure" in answer.headers["set-cookie"]
        assert "max-age" in answer.headers["strict-transport-security"]


async def test_stranger_is_sent_to_the_login_or_gets_401(site: Site) -> None:
    async with site.client() as c:
        api = await c.get("/api/v1/snapshot")
        assert api.status_code == 401
        assert api.headers["content-type"] == "application/problem+json"
        assert api.json()["status"] == 401
        page = await c.get("/password?x=1", headers={"accept": "text/html"})
        assert page.status_code == 303
        assert page.headers["location"] == "/login?next=/password%3Fx%3D1"
        assert (await c.get("/")).headers["location"] == "/login"


async def test_wrong_password_and_unknown_person_cannot_be_told_apart(site: Site) -> None:
    site.person("gone", "operator", active=False)
    answers = []
    async with site.client() as c:
        for user, password in (("operator", "wrong"), ("nobody", "wrong"), ("gone", PASSWORD)):
            answer = await c.post("/api/v1/login", json={"user": user, "password": password})
            answers.append((answer.status_code, answer.json()))
    assert answers[0][0] == 401
    assert answers[0] == answers[1] == answers[2]
    kinds = [(c.kind, c.subject) for c in site.desk.commands]
    assert kinds[0] == ("user.login_failed", "operator")
    assert kinds[1][1].startswith("unknown-")  # the name itself may be a password in the wrong field


async def test_an_unknown_person_costs_a_hash_too(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    passwords = site.app.state.web.passwords
    original = passwords._verify

    def counted(stored: str, password: str) -> bool:
        seen.append(stored)
        return bool(original(stored, password))

    monkeypatch.setattr(passwords, "_verify", counted)
    async with site.client() as c:
        await c.post("/api/v1/login", json={"user": "nobody", "password": "wrong-wrong"})
    assert len(seen) == 1
    assert seen[0].startswith("$argon2id$")


async def test_guessing_is_limited_per_person_and_address(site: Site) -> None:
    async with site.client() as c:
        for _ in range(5):
            assert (
                await c.post("/api/v1/login", json={"user": "operator", "password": "no"})
            ).status_code == 401
        blocked = await c.post("/api/v1/login", json={"user": "operator", "password": PASSWORD})
        assert blocked.status_code == 429
        assert 0 < int(blocked.headers["retry-after"]) <= 300
        other = await c.post("/api/v1/login", json={"user": "manager", "password": PASSWORD})
        assert other.status_code == 200
        await site.clock.advance(301)
        again = await c.post("/api/v1/login", json={"user": "operator", "password": PASSWORD})
        assert again.status_code == 200


async def test_guessing_many_names_from_one_address_is_limited(site: Site) -> None:
    async with site.client() as c:
        for n in range(30):
            await c.post("/api/v1/login", json={"user": f"name{n}", "password": "no"})
        answer = await c.post("/api/v1/login", json={"user": "operator", "password": PASSWORD})
        assert answer.status_code == 429


async def test_login_works_while_the_core_takes_no_audit(site: Site) -> None:
    site.desk.fails = Retryable("down")
    client = await site.login("operator")
    assert (await client.get("/api/v1/me")).status_code == 200
    await client.aclose()


async def test_idle_sessions_end_and_used_ones_do_not(site: Site) -> None:
    client = await site.login("operator")
    for _ in range(3):
        await site.clock.advance(11 * 3600)
        assert (await client.get("/api/v1/me")).status_code == 200
    await site.clock.advance(12 * 3600 + 1)
    assert (await client.get("/api/v1/me")).status_code == 401
    await client.aclose()


async def test_a_stepped_system_clock_throws_nobody_out(site: Site) -> None:
    client = await site.login("operator")
    assert (await client.get("/api/v1/me")).status_code == 200
    site.clock.step(30 * 86_400)
    assert (await client.get("/api/v1/me")).status_code == 200
    await client.aclose()


async def test_after_a_restart_the_store_decides(site: Site, build: Build) -> None:
    client = await site.login("operator")
    token = client.cookies[COOKIE]
    await client.aclose()
    sessions = site.app.state.web.sessions
    sessions._known.clear()  # what a new process knows
    assert await sessions.find(token) is not None
    sessions._known.clear()
    await site.clock.advance(12 * 3600 + 1)
    assert await sessions.find(token) is None


async def test_the_wall_never_expires(site: Site) -> None:
    client = await site.login("display")
    await site.clock.advance(400 * 86_400)
    assert (await client.get("/api/v1/snapshot")).status_code == 200
    await client.aclose()


async def test_logout_ends_the_session_for_good(site: Site) -> None:
    client = await site.login("operator")
    token = client.cookies[COOKIE]
    assert (await client.post("/api/v1/logout")).status_code == 200
    client.cookies.set(COOKIE, token)
    assert (await client.get("/api/v1/me")).status_code == 401
    assert site.desk.commands[-1].kind == "user.logout"
    await client.aclose()


async def test_a_blocked_person_is_out_within_seconds(site: Site) -> None:
    client = await site.login("operator")
    site.person("operator", "operator", active=False)
    await site.clock.advance(6)
    assert (await client.get("/api/v1/me")).status_code == 401
    await client.aclose()


async def test_new_password_logs_other_devices_out(site: Site) -> None:
    one, two = await site.login("operator"), await site.login("operator")
    wrong = await one.post("/api/v1/password", json={"old": "nope-nope", "new": "another-horse-9"})
    assert wrong.status_code == 422
    short = await one.post("/api/v1/password", json={"old": PASSWORD, "new": "short"})
    assert short.json()["errors"][0]["field"] == "password"
    done = await one.post("/api/v1/password", json={"old": PASSWORD, "new": "another-horse-9"})
    assert done.status_code == 200
    assert (await one.get("/api/v1/me")).status_code == 200
    assert (await two.get("/api/v1/me")).status_code == 401
    await (await site.login("operator", "another-horse-9")).aclose()
    assert all("horse" not in repr(c.data) for c in site.desk.commands)
    await one.aclose()
    await two.aclose()


async def test_forms_work_without_script(site: Site) -> None:
    async with site.client() as c:
        form = await c.get("/login?next=/password&lang=en")
        assert 'lang="en"' in form.text
        assert 'value="/password"' in form.text
        bad = await c.post("/login", data={"user": "operator", "password": "no", "next": "/password"})
        assert bad.status_code == 401
        assert 'role="alert"' in bad.text
        good = await c.post("/login", data={"user": "operator", "password": PASSWORD, "next": "/password"})
        assert (good.status_code, good.headers["location"]) == (303, "/password")
        page = await c.get("/password")
        csrf = re.search(r'name="csrf" value="(\w+)"', page.text)
        assert csrf is not None
        fields = {"old": PASSWORD, "new": "another-horse-9"}
        assert (await c.post("/password", data=fields)).status_code == 403
        done = await c.post("/password", data={**fields, "csrf": csrf[1]})
        assert 'role="status"' in done.text


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https://evil.example", "x", "/a\nb"]
)
def test_login_never_leads_to_another_site(target: str) -> None:
    assert safe_next(target, "/wall") == "/wall"


def test_the_first_administrator_is_made_once(site: Site) -> None:
    accounts = site.desk.state
    assert ensure_admin(accounts) is None  # there is one
    accounts.drop_user("admin")
    password = ensure_admin(accounts, Passwords(HASHER))
    assert password is not None
    assert len(password) == 16
    stored = accounts.user("admin")
    assert stored is not None
    assert HASHER.verify(stored.password_hash, password)
    assert ensure_admin(accounts) is None


def test_people_of_the_site_file_are_seeded_once(site: Site) -> None:
    people = [
        Person(id="wang", name="Wang", role="operator", estates=("garden",)),
        Person(id="manager", name="Other", role="admin"),
        Person(id="mute", name="Mute", role="operator"),
    ]
    assert seed_people(site.desk.state, people, {"wang": PASSWORD}, Passwords(HASHER)) == ["wang", "mute"]
    wang, mute, manager = (site.desk.state.user(u) for u in ("wang", "mute", "manager"))
    assert wang is not None
    assert mute is not None
    assert manager is not None
    assert wang.body["estates"] == ["garden"]
    assert wang.body["firms"] is None
    assert mute.password_hash == ""
    assert manager.body["role"] == "manager"
