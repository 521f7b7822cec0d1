"""Downtime as the order keeps it, beside what the simulator knows; joined to the order and its cause code."""

from __future__ import annotations

import pytest

from gateway.model import Actor, Command
from simulators.world import Simulation
from tests.unit.simulators.rules_kit import LAYOUT, MIDNIGHT, POINTS, RULES, Story

BOSS = Actor("zhao", role="manager")


@pytest.mark.parametrize("kind", ["pump_trip", "lift_fault", "manhole_open", "sump_pumps_fail"])
def test_downtime_is_the_simulators_within_one_poll_and_the_rules_own_delays(kind: str) -> None:
    model = {"pump_trip": "water", "lift_fault": "lift", "manhole_open": "manhole", "sump_pumps_fail": "sump"}
    asset = next(a.id for a in LAYOUT.assets if a.model == model[kind])
    story = Story(Simulation(LAYOUT, 4, MIDNIGHT + 10 * 3_600_000))
    story.until(story.watch.sim.now + 30_000)
    began = story.watch.sim.now
    label = story.watch.sim.faults.apply(kind, asset)
    assert label is not None
    assert label.expect is not None
    rule = RULES.by_id[label.expect.rule]
    story.until(began + 120_000)
    ended = story.watch.sim.now
    assert story.watch.sim.faults.clear(kind, asset)
    story.until(ended + 300_000)
    alarm = next(a for a in story.book.alarms.values() if (a.rule, a.asset) == (rule.id, asset))
    order = story.desk.orders.orders[alarm.order or ""]
    (down,) = [d for d in order.downtime if d["alarm"] == alarm.id]
    poll = 1000 * max(p.period_s for p in POINTS if p.id == alarm.point)
    on, off = (1000 * float(getattr(rule, n)) for n in ("on_delay_s", "off_delay_s"))
    assert 0 <= down["from"] - began - on <= poll
    assert 0 <= down["to"] - ended - off <= poll
    now = story.watch.sim.now
    acts: list[tuple[str, dict[str, str]]] = [
        ("accept", {}), ("arrive", {}), ("done", {"cause_code": "equipment", "action": "new"}), ("close", {}),
    ]  # fmt: skip
    for n, (act, data) in enumerate(acts):
        if act == "close":
            story.desk.tick(now + 61_000)
        cmd = Command(f"c{n}", f"order.{act}", order.id, BOSS, now + 62_000, now + 62_000, None, data)
        out, _ = story.desk.command(cmd)
    (closed,) = [e for e in out.events if e.kind == "order.closed"]
    assert (closed.data["cause_code"], closed.data["measured"]) == ("equipment", True)
    assert down in closed.data["downtime"]
