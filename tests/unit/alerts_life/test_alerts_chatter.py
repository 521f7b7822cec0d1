"""Ten hours of a chattering pressure through the real detectors and the whole desk."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from alerts.alarms import alarm_id
from alerts.engine import Engine, PointInfo
from alerts.rules import rule_from_dict
from alerts.ruleset import RuleSet
from gateway.model import Asset, Event, Notice, Samples
from tests.unit.alerts_life.life_kit import OPERATOR, T0, cmd, make_desk, text

HOURS = 10
STEP_MS = 3_000
BATCH = 8
RULE: dict[str, Any] = {
    "kind": "limit", "id": "water.high", "for": "water", "tag": "ws.p", "priority": 2,
    "event": "water_supply", "life": False, "latch": False, "name": text("high"),
    "cause": text("c"), "consequence": text("q"),
    "response": text("r"), "time_limit_s": 600, "owner": "TE", "source": "test", "h": 0.5, "deadband": 0.01,
    "on_delay_s": 0, "off_delay_s": 0,
}  # fmt: skip
ASSETS = {"ws": Asset("ws", "e1", "water", text("Pumps"))}
ID = alarm_id("water.high@ws/ws.p")


def pressure(hours: float) -> list[float]:
    """Around the limit: some samples above it, some below, never quiet for half a minute; seeded."""
    rng = random.Random(44)
    out: list[float] = []
    while len(out) < hours * 3_600_000 / STEP_MS:
        out += [0.5 + rng.uniform(0.005, 0.04) for _ in range(rng.randint(1, 4))]
        out += [0.5 - rng.uniform(0.015, 0.06) for _ in range(rng.randint(1, 5))]
    return out


def run(change: Mapping[str, Any]) -> tuple[list[Event], list[Notice], Any]:
    """The ten hours with a changed rule; the first alarm that chatters is acknowledged and accepted."""
    rules = RuleSet((rule_from_dict(RULE | dict(change)),))
    engine = Engine(rules, [PointInfo(1, "ws/ws.p", "ws", "e1", "water", "ws.p", 1.0, "d1")])
    desk = make_desk(rules.by_id, ASSETS)
    events, notices, taken = list[Event](), list[Notice](), False
    values = pressure(HOURS)
    for start in range(0, len(values), BATCH):
        part = values[start : start + BATCH]
        at = [T0 + (start + i) * STEP_MS for i in range(len(part))]
        found = engine.process(Samples.of([1] * len(part), at, part))
        out = desk.step(found, at[-1])
        events, notices = events + out.events, notices + out.notices
        alarm = desk.book.alarms.get(ID)
        if alarm is not None and alarm.memory.chatter and alarm.order and not taken:
            taken = True
            for c in (cmd("alarm.ack", ID, at[-1]), cmd("order.accept", alarm.order, at[-1], OPERATOR)):
                done, _ = desk.command(c)
                events, notices = events + done.events, notices + done.notices
    end = desk.tick(T0 + HOURS * 3_600_000 + 700_000)
    return events + end.events, notices, desk


@cache  # slow, and three tests read it
def as_it_is() -> tuple[list[Event], list[Notice], Any]:
    return run({})


def test_ten_hours_of_chatter_are_one_notification_and_the_suggestion_stops_it() -> None:
    events, notices, desk = as_it_is()
    raised = [e for e in events if e.kind == "alarm.raised"]
    assert len(raised) > 1000
    assert len([e for e in events if e.kind == "alarm.chattering"]) == 1
    assert sum(e.data["folded"] for e in raised) > 0.99 * len(raised)
    first = [n for n in notices if ":0:" in n.id or ":inform:" in n.id]
    calls = {n.id.rpartition(":")[0] for n in first}
    assert len({n.subject for n in notices}) == 1, "one order"
    assert len({c for c in calls if ":0:" in c}) == 1, "one call, over the channels of its priority"
    assert desk.book.alarms[ID].count == len(raised)
    (end,) = [e for e in events if e.kind == "alarm.chatter_end"]
    suggest = end.data["suggest"]
    assert suggest == desk.book.alarms[ID].suggest
    quiet, _, _ = run({"off_delay_s": suggest["off_delay_s"]})
    assert len([e for e in quiet if e.kind == "alarm.raised"]) == 1
    assert not [e for e in quiet if e.kind == "alarm.chattering"]


def test_the_suggested_dead_band_stops_it_too() -> None:
    events, _, _ = as_it_is()
    (end,) = [e for e in events if e.kind == "alarm.chatter_end"]
    quiet, _, _ = run({"deadband": end.data["suggest"]["deadband"]})
    assert len([e for e in quiet if e.kind == "alarm.raised"]) == 1


@pytest.mark.parametrize("name", ["off_delay_s", "deadband"])
def test_the_suggestion_is_more_than_the_rule_has(name: str) -> None:
    events, _, _ = as_it_is()
    (said,) = [e for e in events if e.kind == "alarm.chattering"]
    assert said.data["suggest"][name] > RULE[name]
