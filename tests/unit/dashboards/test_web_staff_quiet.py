"""Quiet hours in a record of staff: the rest of it stays, others' estates do not exist."""

from __future__ import annotations

import pytest

from tests.support.web_site import Site

RECORD = {
    "id": "technician", "estate": "garden", "version": 3, "author": "site file", "changed_at": 0,
    "skills": ["pumps"], "reach": [{"channel": "sms", "address": "138", "quiet": "21:00-07:00"},
                                   {"channel": "voice", "address": "139"}],
}  # fmt: skip


@pytest.fixture
def kept(site: Site) -> Site:
    site.desk.state.put_record("staff", "technician", "garden", RECORD)
    site.desk.state.put_record("staff", "wall", "", RECORD | {"estate": ""})
    site.person("far", "manager", firms=["red"])
    site.person("near", "manager", estates=["garden"])
    return site


async def test_only_the_bands_change_and_the_version_that_was_read_is_named(kept: Site) -> None:
    boss = await kept.login("near")
    body = {"quiet": {"voice": " 22:00-06:00 "}, "reason": "asked for"}
    answer = await boss.put("/api/v1/staff/technician/quiet", json=body)
    assert answer.status_code == 200, answer.text
    (command,) = [c for c in kept.desk.commands if c.kind == "settings.put"]
    assert (command.version, command.data["reason"]) == (3, "asked for")
    assert command.data["body"] == {
        "id": "technician", "estate": "garden", "skills": ["pumps"],
        "reach": [{"channel": "sms", "address": "138"},
                  {"channel": "voice", "address": "139", "quiet": "22:00-06:00"}],
    }  # fmt: skip
    await boss.put("/api/v1/staff/technician/quiet", json=body, headers={"If-Match": '"2"'})
    assert kept.desk.commands[-1].version == 2, "what the page showed; the core refuses it"
    await boss.aclose()


@pytest.mark.parametrize(
    ("who", "id_", "quiet", "status"),
    [
        ("far", "technician", {}, 404), ("near", "wall", {}, 404), ("near", "nobody", {}, 404),
        ("near", "technician", {"push": "22:00-06:00"}, 422), ("near", "technician", {"pigeon": "x"}, 422),
        ("supervisor", "technician", {}, 403), ("regulator", "technician", {}, 403),
    ],
)  # fmt: skip
async def test_who_may_not_or_what_is_not_there(
    kept: Site, who: str, id_: str, quiet: dict[str, str], status: int
) -> None:
    person = await kept.login(who)
    answer = await person.put(f"/api/v1/staff/{id_}/quiet", json={"quiet": quiet})
    assert answer.status_code == status
    assert not [c for c in kept.desk.commands if c.kind == "settings.put"]
    await person.aclose()
