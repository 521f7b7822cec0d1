"""The demonstration's story: what is told and counted of an event log, and the parts of the cast."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from dashboards.images import sniff
from gateway.adapters.clock import SystemClock
from gateway.app.client import Client
from gateway.app.demo_cast import PARTS, SCENARIO, Cast, fits, picture
from gateway.app.demo_chapters import Chapters, chapter_of, line_of
from gateway.app.setup import Setup, load_setup
from gateway.errors import BadInput, Retryable
from simulators.layout import demo_layout
from simulators.scenario import load_scenario

URL = "http://127.0.0.1:1"


@pytest.fixture(scope="module")
def setup() -> Setup:
    return load_setup(Path(__file__).parents[3] / "examples" / "demo.yaml")


def fact(kind: str, subject: str, asset: str = "", actor: str = "steward", **data: Any) -> dict[str, Any]:
    return {"kind": kind, "subject": subject, "asset": asset, "actor": actor, "data": data}


def raised(alarm: str, asset: str, rule: str) -> dict[str, Any]:
    return fact("alarm.raised", alarm, asset, rule=rule)


def assessed(alarm: str, root: str, confidence: float = 0.9) -> dict[str, Any]:
    return fact("alarm.assessed", alarm, root=root, confidence=confidence)


def test_the_root_is_the_alarm_that_most_facilities_are_led_back_to(setup: Setup) -> None:
    chapters = Chapters(setup, URL)
    for e in (
        raised("o", "pw-1", "power.outage"), raised("l1", "lift-1", "lift.mains_lost"),
        raised("l2", "lift-2", "lift.mains_lost"), raised("w", "ws-1", "water.power"),
        raised("s1", "sump-2", "drain.both_pumps_fault"), raised("s2", "sump-2", "drain.pump_fault"),
        assessed("s2", "s1"), assessed("w", "l1"),
    ):  # fmt: skip
        assert chapters.hear(e) == []
    assert chapters.summary()["cascade_root"] is None, "one facility is no cascade, nor one consequence"
    assert chapters.hear(assessed("l1", "o", 0.95)) == []
    told = chapters.hear(assessed("l2", "o", 0.8))
    assert len(told) == 1
    assert "市电停电 Power outage ← 2" in told[0]
    assert told[0].endswith(f"{URL}/alarm/o")
    chapters.hear(assessed("w", "o", 0.7))
    assert chapters.hear(assessed("l2", "o", 0.85)) == [], "the same root again is no news"
    assert chapters.summary()["cascade_root"] == {
        "alarm": "o", "asset": "pw-1", "rule": "power.outage", "consequences": 3, "confidence": [0.7, 0.95],
    }  # fmt: skip


def test_orders_are_counted_as_the_log_has_them(setup: Setup) -> None:
    chapters = Chapters(setup, URL)
    base: Mapping[str, Any] = {"alarm": "a1", "drill": False}
    up = {"role": "PM", "reason": "no accept after 60 s", "channel": "voice"}
    lines = [
        line
        for e in (
            fact("order.escalated", "w1", "fire-1", **base, **up),
            fact("order.escalated", "w1", "fire-1", **base, **up),
            fact("order.escalated", "w2", "fire-1", alarm="a2", drill=True, **up),
            fact("order.close_refused", "w3", "sump-2", "technician", **base, reason="[abnormal]"),
            fact("order.verified", "w3", "sump-2", **base, by="sensor"),
            fact("order.verified", "w4", "sump-2", "supervisor", **base, override=True),
            fact("order.closed", "w3", "sump-2", "technician", **base, measured=True),
        )
        for line in chapters.hear(e)
    ]
    told = chapters.summary()
    assert told["escalated"] == {"count": 2, "orders": ["w1"]}
    assert told["refused"] == {"count": 1, "orders": ["w3"]}
    assert told["verified"] == {"count": 1, "orders": ["w3"]}, "a supervisor's word is no sensor's"
    assert told["closed"] == {"count": 1, "orders": ["w3"]}
    assert len(lines) == 5
    assert "李强 Li Qiang" in lines[2]
    assert "\\[abnormal]" in line_of(lines[2]), "what people write is no markup"
    assert all(f"{URL}/alarm/a1" in line for line in lines)


def test_nothing_is_told_of_a_log_in_which_nothing_happens(setup: Setup) -> None:
    chapters = Chapters(setup, URL)
    assert chapters.hear(fact("order.dispatched", "w", "pw-1")) == []
    assert chapter_of("order.accepted", {}) == ""
    empty = {"count": 0, "orders": []}
    assert chapters.summary() == {"cascade_root": None} | dict.fromkeys(
        ("escalated", "refused", "verified", "closed"), empty
    )


def test_every_part_plays_in_the_story_and_by_somebody_who_is_there(setup: Setup) -> None:
    scenario = load_scenario(SCENARIO).scenario
    broken = {step.fault.partition(":")[0] for step in scenario.timeline if step.fault}
    people = {p.id for p in setup.site.file.people}
    ids = [a.id for a in demo_layout(2).assets]
    for part in PARTS:
        hit = [i for i in ids if fnmatchcase(i, part.asset)]
        assert hit, part
        assert not any(i.startswith("e2-") for i in hit), "only where the story plays"
        assert not part.who or part.who in people
        assert part.party in setup.roles
        for act in part.acts:
            verb, _, fault = act.what.partition(" ")
            assert verb != "repair" or f"{fault}@{part.asset}" in broken


def test_a_picture_of_the_cast_is_one() -> None:
    before, after = picture("before"), picture("after")
    assert sniff(before) == sniff(after) == "image/png"
    assert before != after


def cue(n: int) -> dict[str, Any]:
    part = PARTS[n]
    return fact(part.kind, "wo-1", part.asset.replace("*", "1"), party=part.party, assignee="technician")


async def test_a_part_is_played_once_and_given_up_when_nobody_answers_or_the_job_is_gone() -> None:
    said: list[str] = []
    entered: list[str] = []

    def enter(person: str) -> Client:
        entered.append(person)
        raise BadInput("no such person")

    async def repair(fault: str, asset: str) -> None:
        raise AssertionError("the parts before it were not played")

    clock = SystemClock.shared(1000.0, SystemClock().monotonic(), 1_790_000_000_000)
    cast = Cast(enter, repair, clock, said.append)
    assert fits(PARTS[0], cue(0))
    assert not fits(PARTS[0], cue(0) | {"asset": "e2-sump-2"})
    cast.hear([cue(0), cue(0), fact("order.dispatched", "wo-2", "sump-2", party="DR")])
    async with asyncio.timeout(20):
        while not said:
            await clock.sleep_real(0.01)
    cast.hear([cue(0)])
    await cast.end()
    assert entered == ["technician"], "once, and not again when the story is told again"
    assert len(said) == 1
    assert "no such person" in said[0]


async def test_nobody_acts_after_the_end() -> None:
    async def repair(fault: str, asset: str) -> None:
        raise AssertionError

    def enter(person: str) -> Client:
        raise Retryable("away")

    cast = Cast(enter, repair, SystemClock(), print)
    cast.hear([cue(0)])
    await cast.end()
    cast.hear([])
    assert asyncio.all_tasks() == {asyncio.current_task()}
