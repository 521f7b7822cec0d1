"""The plant before the default rules: calm raises nothing, each fault raises what its label says, in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from gateway.model import Ms
from simulators.faults import KINDS, Truth
from simulators.scenario import load_scenario
from simulators.world import Simulation
from tests.unit.simulators.rules_kit import LAYOUT, MIDNIGHT, RULES, Watch


@pytest.mark.parametrize(("seed", "hour"), [(1, 18.5), (2, 6.0), (3, 23.0)])
def test_a_calm_estate_raises_no_alarm(seed: int, hour: float) -> None:
    watch = Watch(Simulation(LAYOUT, seed, MIDNIGHT + round(hour * 3_600_000)))
    watch.until(watch.start + 2_700_000)
    assert watch.engine.counts["fed"] > 100_000
    assert watch.raised() == []


WAITS_S = 3600.0
"""What takes longer to be told than this is told in columns, see test_simulators_months.py."""


MISSED: dict[tuple[str, str], str] = {}
"""Faults that the default rules do not see, and why."""


def cases() -> list[Any]:
    """Every fault that the plant shows within an hour, with each model that it can hit."""
    found: list[Any] = []
    for kind, spec in KINDS.items():
        told = not spec.wears_d and spec.lag_s + spec.confirm_s <= WAITS_S
        for model in spec.models or ("lift",):
            asset = next(a.id for a in LAYOUT.assets if a.model == model)
            rules = {
                spec.rule_for(model, x): x for x in (spec.severity, 0.8 if spec.severe else spec.severity)
            }
            there = {rule: x for rule, x in rules.items() if rule in RULES.by_id or rule.startswith("{")}
            why = MISSED.get((kind, asset))
            marks = [pytest.mark.xfail(reason=why)] if why else []
            found += [pytest.param(kind, asset, x, marks=marks) for x in there.values() if told]
    return found


def in_time(label: Truth, raised: Sequence[tuple[str, Ms]]) -> bool:
    e = label.expect
    return e is not None and any(rule == e.rule and label.detectable_from <= t <= e.by for rule, t in raised)


@pytest.mark.parametrize(("kind", "asset", "severity"), cases(), ids=str)
def test_a_fault_raises_the_alarm_of_its_label_in_time(kind: str, asset: str, severity: float) -> None:
    watch = Watch(Simulation(LAYOUT, 4, MIDNIGHT + 10 * 3_600_000), assets={asset})
    watch.until(watch.start + 30_000)
    if KINDS[kind].needs:  # seen only together with the other one
        watch.sim.faults.apply(KINDS[kind].needs, "pw-1")
    label = watch.sim.faults.apply(kind, asset, severity)
    assert label is not None
    assert label.expect is not None
    while watch.sim.now < label.expect.by and not in_time(label, watch.raised(asset)):
        watch.until(min(label.expect.by, watch.sim.now + 5_000))
    assert in_time(label, watch.raised(asset)), watch.raised()
    assert all(t >= label.detectable_from for _, t in watch.raised())


@pytest.mark.parametrize("name", ["demo", "power_cut", "fire"])
def test_a_story_raises_what_it_expects(name: str) -> None:
    story = load_scenario(name)
    watch = Watch(Simulation(LAYOUT, 1, MIDNIGHT + 19 * 3_600_000, story))
    watch.until(watch.start + round(story.scenario.for_s * 1000))
    labels = [x for x in watch.sim.truth if x.expect]
    assert labels
    missed = [x.fault for x in labels if not in_time(x, watch.raised(x.asset))]
    assert missed == []
    if name == "demo":
        assert min(t for _, t in watch.raised()) <= watch.start + 8_000
        ended = {(f.rule, f.point) for f in watch.findings if not f.active}
        latched = {r.id for r in RULES if r.latch}
        open_ = {(f.rule, f.point) for f in watch.findings if f.active} - ended
        assert {rule for rule, _ in open_} <= latched | {
            "drain.level_high",
            "drain.hi_float",
            "generator.second_crank",
        }
