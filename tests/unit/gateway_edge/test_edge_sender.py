"""Who may command an edge: signed with its key, for this start, in time, once; the rest is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.clock import ManualClock
from gateway.codec.signed import sign
from gateway.edge.sender import REMEMBERED, Refused, Sender
from tests.unit.gateway_edge.edge_fakes import FOR_EVER, KEY, signed, until
from tests.unit.gateway_edge.test_edge_agent import Site

BOOT = "1790000000000-abc"


def body(clock: ManualClock, id_: str = "c1", **changes: Any) -> dict[str, Any]:
    return {"cmd": "retry", "id": id_, "boot": BOOT, "until": clock.now() + 30_000, **changes}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def code_of(sender: Sender, command: dict[str, Any]) -> str:
    """ "" when it is obeyed."""
    try:
        sender.once(command)
    except Refused as e:
        return e.code
    return ""


def test_what_is_signed_for_this_start_is_obeyed_once_and_not_after_its_time(clock: ManualClock) -> None:
    sender = Sender(clock, KEY, BOOT)
    command = sign(KEY, body(clock))
    assert code_of(sender, command) == ""
    assert code_of(sender, command) == "repeated"
    assert code_of(sender, sign(KEY, body(clock, "c2"))) == ""


async def test_a_command_that_was_kept_back_is_refused_whatever_was_heard_since(clock: ManualClock) -> None:
    sender = Sender(clock, KEY, BOOT)
    command, later = sign(KEY, body(clock)), sign(KEY, body(clock, "c2"))
    assert code_of(sender, command) == ""
    await clock.advance(31)
    assert code_of(sender, command) == "late"
    assert code_of(sender, later) == "late"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"boot": "1780000000000-abc"}, "boot"),
        ({"boot": None}, "boot"),
        ({"until": None}, "late"),
        ({"until": 1}, "late"),
        ({"id": None}, "signature"),
        ({"id": 7}, "signature"),
    ],
)
def test_each_part_is_needed(clock: ManualClock, changes: dict[str, Any], code: str) -> None:
    assert code_of(Sender(clock, KEY, BOOT), sign(KEY, body(clock, **changes))) == code


def test_nothing_can_be_changed_or_left_out_after_signing(clock: ManualClock) -> None:
    sender, good = Sender(clock, KEY, BOOT), sign(KEY, body(clock, device="d1"))
    for field in good:
        assert code_of(sender, {**good, field: "other"}) in ("signature", "boot"), field
        assert code_of(sender, {k: v for k, v in good.items() if k != field}) in ("signature", "boot"), field
    assert code_of(sender, sign(b"another key, as long as this", body(clock))) == "signature"
    assert code_of(sender, good) == "", "what was refused before does not stand in its way"


@pytest.mark.parametrize("key", [b"", KEY])
def test_an_edge_without_a_key_obeys_nothing(clock: ManualClock, key: bytes) -> None:
    assert code_of(Sender(clock, b"", BOOT), sign(key, body(clock))) == "no_key"


async def test_what_is_remembered_is_bounded_and_forgotten_when_its_time_is_over(clock: ManualClock) -> None:
    sender = Sender(clock, KEY, BOOT)
    for n in range(REMEMBERED):
        assert code_of(sender, sign(KEY, body(clock, f"c{n}"))) == ""
    assert code_of(sender, sign(KEY, body(clock, "more"))) == "busy"
    await clock.advance(31)
    assert code_of(sender, sign(KEY, body(clock, "more"))) == ""


# ── the whole edge ────────────────────────────────────────────────────────────────────────────────────


def replies(site: Site) -> dict[str, dict[str, Any]]:
    return {str(b["id"]): b for leaf, b in site.core.other if leaf == "reply"}


async def test_a_stranger_on_the_broker_cannot_stop_the_polling(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(tmp_path)
    async with site.running() as edge:
        await until(lambda: bool(site.core.tables))
        for n, name in enumerate(("stop_polling", "retry", "trace")):
            site.uplink.command(cmd=name, id=f"plain-{n}", device="d1", line="bus", on=True)
            foreign = {"cmd": name, "id": f"wrong-{n}", "boot": edge.boot, "until": FOR_EVER}
            site.uplink.command(**sign(b"somebody else's key", foreign))
        old = signed("1780000000000-abc", "old", cmd="stop_polling")
        site.uplink.command(**old)
        await until(lambda: len(replies(site)) == 7)
        seen = site.count
        await until(lambda: site.count > seen + 20)
        assert {r["ok"] for r in replies(site).values()} == {False}
        assert replies(site)["old"]["code"] == "boot"
        assert {r["code"] for id_, r in replies(site).items() if id_ != "old"} == {"signature"}
        assert (edge.facts()["commands_refused"], edge.facts()["polling"]) == (7, 1)
        assert caplog.text.count("command refused") == 1, "said once, not for each"
        # What the core says is still obeyed, and that the others ended is said once.
        site.uplink.core_says(cmd="retry", id="mine", device="d1")
        await until(lambda: "mine" in replies(site))
        assert replies(site)["mine"]["ok"]
        assert caplog.text.count("obeyed again refused=7") == 1
        await until(lambda: any(a.facts.get("commands_refused") == 7 for a in site.core.accounts))


async def test_a_command_that_the_broker_hands_out_twice_is_carried_out_once(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.running() as edge:
        await until(lambda: bool(site.core.tables))
        command = signed(edge.boot, "c1", cmd="retry", device="d1")
        for _ in range(2):
            site.uplink.command(**command)
        await until(lambda: len([1 for leaf, _ in site.core.other if leaf == "reply"]) == 2)
        assert [b["ok"] for leaf, b in site.core.other if leaf == "reply"] == [True, False]
        assert edge.facts()["commands_refused"] == 0, "a repetition is nobody's attack"


async def test_an_edge_that_was_enrolled_without_a_key_says_so(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.keyed = False
    async with site.running():
        await until(lambda: bool(site.core.tables))
        site.uplink.core_says(cmd="stop_polling", id="s")
        await until(lambda: "s" in replies(site))
        assert replies(site)["s"]["code"] == "no_key"
        site.uplink.command(cmd="resend", id="r")
        await until(lambda: "r" in replies(site))
        assert replies(site)["r"]["ok"], "what only makes it say more needs no key"
