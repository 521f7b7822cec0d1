"""Acceptance by the link of a message or a key in a call, on the real life cycle; one's own channels."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alerts.bands import Week, band_of
from alerts.desk import Dispatch
from alerts.orders_state import OrderState
from alerts.people import Person, Reach, Staff
from dashboards.web import WebOptions
from gateway.adapters.clock import ManualClock
from gateway.adapters.state import SqlState, open_state
from gateway.app.answers import Answers
from gateway.app.channels import People
from gateway.errors import NotFound
from gateway.model import Command, Notice
from tests.support.web_site import HASHER, Build, Site
from tests.unit.alerts_life.life_kit import find, make_desk

PAGES = "https://steward.example/"


class Loop:
    """The core's inbox without the core: commands go straight to the life cycle, each id once."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self.done: dict[str, dict[str, Any]] = {}

    async def submit(self, command: Command) -> dict[str, Any]:
        if command.id not in self.done:
            self.done[command.id] = self._dispatch.command(command)[1]
        return self.done[command.id]

    def boot_of(self, gateway: str) -> str:
        raise AssertionError(gateway)


class Kit:
    """An order that waits, the people, and what stands behind the links."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.state: SqlState = open_state(folder / "state.db")
        for id_, name, role in (("li", "Li", "technician"), ("wang", "Wang", "technician")):
            self.state.put_user(id_, {"name": name, "role": role, "duties": ["LM"], "active": True})
        self.dispatch = make_desk()
        now = self.clock.now()
        out = self.dispatch.step([find("lift.trapped", "lift", now)], now)
        (self.order,) = self.dispatch.orders.orders.values()
        self.notice = next(n for n in out.notices if n.channel == "sms")
        self.answers = Answers(self.dispatch, self.state, self.clock, folder)
        self.loop = Loop(self.dispatch)
        self.answers.loop = self.loop  # type: ignore[assignment] # what it needs of a CoreLoop

    def to(self, person: str) -> Notice:
        return replace(self.notice, person=person)

    def token(self, person: str) -> str:
        return self.answers.link(self.to(person), PAGES).rpartition("/")[2]


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    made = Kit(tmp_path)
    yield made
    made.state.close()


@pytest.fixture
def site(kit: Kit, build: Build) -> Site:
    return build(WebOptions(hasher=HASHER, answers=kit.answers))


def test_a_link_is_short_lasting_and_for_one_person(kit: Kit, tmp_path: Path) -> None:
    link = kit.answers.link(kit.to("li"), PAGES)
    assert link == f"https://steward.example/n/{kit.token('li')}"
    assert len(kit.token("li")) == 12
    assert kit.token("li") != kit.token("wang")
    again = Answers(kit.dispatch, kit.state, kit.clock, tmp_path)
    assert again.link(kit.to("li"), PAGES) == link, "a restart does not break the links of before"
    assert kit.answers.link(kit.notice, PAGES) == "https://steward.example/t", "nobody in particular"
    assert (tmp_path / "answers.key").stat().st_mode & 0o077 == 0


async def test_looking_changes_nothing_and_the_button_accepts_for_that_person(kit: Kit, site: Site) -> None:
    async with site.client() as client:
        for _ in range(3):
            page = await client.get(f"/n/{kit.token('li')}", headers={"accept": "text/html"})
            assert page.status_code == 200
            assert "<form" in page.text
        assert kit.order.state is OrderState.DISPATCHED
        page = await client.post(f"/n/{kit.token('li')}", headers={"accept": "text/html"})
        assert page.status_code == 200
        assert "<form" not in page.text
        assert (kit.order.state, kit.order.by[OrderState.ACCEPTED]) == (OrderState.ACCEPTED, "li")
        assert (await client.post(f"/n/{kit.token('li')}")).status_code == 200, "twice is once"
        late = await client.post(f"/n/{kit.token('wang')}")
        assert late.status_code == 409
        assert kit.order.by[OrderState.ACCEPTED] == "li"


async def test_guessing_is_slow(kit: Kit, site: Site) -> None:
    async with site.client() as client:
        answers = [(await client.get(f"/n/{n:012}")).status_code for n in range(12)]
        assert answers == [404] * 10 + [429] * 2
        assert (await client.get(f"/n/{kit.token('li')}")).status_code == 429


REPORTS: dict[str, Callable[[str, str], Any]] = {
    "plain": lambda token, key: {"token": token, "key": key},
    "list": lambda token, key: [
        {"call_id": "1", "out_id": token, "dtmf": f"{key}#", "status_code": "200000"}
    ],
    "nested": lambda token, key: {"voicekey_callback": {"keypress": key, "session_context": token}},
}


@pytest.mark.parametrize("report", REPORTS)
async def test_the_key_of_a_call_accepts_and_no_other_key_does(kit: Kit, site: Site, report: str) -> None:
    body = REPORTS[report]
    async with site.client() as client:
        answer = await client.post("/api/v1/answers", json=body(kit.token("li"), "7"))
        assert answer.json() == {"code": 0, "accepted": False}
        assert kit.order.state is OrderState.DISPATCHED
        answer = await client.post("/api/v1/answers", json=body(kit.token("li"), "1"))
        assert answer.json() == {"code": 0, "accepted": True, "order": kit.order.id}
        assert kit.order.by[OrderState.ACCEPTED] == "li"
        assert (await client.post("/api/v1/answers", content=b"{")).status_code == 422
        assert (await client.post("/api/v1/answers", json={"key": "1"})).status_code == 422
        assert (await client.post("/api/v1/answers", json={"token": "nope", "key": "1"})).status_code == 404


async def test_a_key_that_the_modem_heard_accepts(kit: Kit) -> None:
    await kit.answers.pressed(kit.to("li"), "5")
    assert kit.order.state is OrderState.DISPATCHED
    await kit.answers.pressed(kit.to("li"), "1")
    assert kit.order.by[OrderState.ACCEPTED] == "li"


async def test_who_is_not_there_any_more_accepts_nothing(kit: Kit) -> None:
    token = kit.token("li")
    kit.state.put_user("li", {"name": "Li", "role": "technician", "active": False})
    with pytest.raises(NotFound):
        await kit.answers.accept(token, "link")


def test_the_directory_knows_numbers_addresses_and_quiet_hours(kit: Kit) -> None:
    reach = {"addresses": {"mail": "li@example.com"}, "quiet": {"from": "22:00", "to": "07:00"}}
    kit.state.put_user("li", {"name": "Li", "role": "technician", "phone": "138", "reach": reach})
    people = People(kit.state, ZoneInfo("Asia/Shanghai"))
    li = people("li")
    assert li is not None
    assert (li.phone, li.addresses, li.quiet) == ("138", {"mail": "li@example.com"}, (79_200, 25_200))
    assert people("nobody") is None
    kit.state.put_user("li", {"name": "Li", "active": False})
    assert people("li") is None


def test_the_directory_has_what_is_on_file_and_the_own_address_first(kit: Kit) -> None:
    kit.state.put_user("li", {"name": "Li", "reach": {"addresses": {"mail": "li@example.com"}}})
    night = band_of("22:00-07:00")
    reach = (Reach("sms", "139", night), Reach("mail", "office@example.com"))
    staff = Staff([Person("li", reach=reach, substitute="wu")], week=Week(ZoneInfo("Asia/Shanghai")))
    li = People(kit.state, ZoneInfo("Asia/Shanghai"), lambda: staff)("li")
    assert li is not None
    assert li.addresses == {"sms": "139", "mail": "li@example.com"}
    at_23 = 1_790_000_000_000 - 1_790_000_000_000 % 86_400_000 + 15 * 3_600_000
    assert li.quiet_until(at_23, "sms") == at_23 + 8 * 3_600_000
    assert li.quiet_until(at_23, "mail") is None
    assert li.record is not None
    assert li.record.substitute == "wu"


async def test_a_person_sets_how_notices_reach_them_and_an_administrator_does_not_undo_it(
    build: Build,
) -> None:
    site = build(WebOptions(hasher=HASHER))
    client = await site.login("technician")
    quiet = {"from": "22:00", "to": "07:00"}
    answer = await client.put("/api/v1/me/reach", json={"quiet": quiet})
    assert answer.status_code == 200, answer.text
    assert (await client.get("/api/v1/me/reach")).json()["quiet"] == quiet
    for wrong in ({"quiet": {"from": "25:00", "to": "07:00"}}, {"addresses": {"nowhere": "x"}}):
        assert (await client.put("/api/v1/me/reach", json=wrong)).status_code == 422
    admin = await site.login("admin")
    people = (await admin.get("/api/v1/users")).json()["users"]
    mine = next(p for p in people if p["id"] == "technician")
    allowed = ("name", "role", "duties", "firms", "estates", "systems", "phone", "active")
    answer = await admin.put("/api/v1/users/technician", json={k: mine[k] for k in allowed if k in mine})
    assert answer.status_code == 200, answer.text
    again = await site.login("technician")
    assert (await again.get("/api/v1/me/reach")).json()["quiet"] == quiet
