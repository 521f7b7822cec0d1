"""The plant before the default rules: calm raises nothing, each fault raises what its label says, in time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from alerts.engine import Engine, PointInfo
from alerts.ruleset import build
from drivers.profiles.bind import bind
from drivers.profiles.loader import load_profile
from gateway.config import yamlmarks
from gateway.model import Finding, Ms, Samples
from simulators.faults import DEVICE_KINDS, KINDS, Truth
from simulators.layout import demo_layout
from simulators.scenario import load_scenario
from simulators.world import Simulation

ROOT = Path(__file__).parents[3]
LAYOUT = demo_layout()
MIDNIGHT: Ms = 1_772_380_800_000  # 2026-03-02 00:00 in Shanghai
RULES = build(
    rule
    for path in sorted((ROOT / "alerts" / "defaults" / "rules").glob("*.yaml"))
    for rule in yamlmarks.load(path)[0]
)


def points() -> list[PointInfo]:
    found: list[PointInfo] = []
    for _, device in LAYOUT.devices():
        asset = LAYOUT.asset(device.asset)
        for p in bind(load_profile(device.profile), device.asset, device.rename).points:
            found.append(
                PointInfo(
                    len(found), p.id, p.asset, asset.estate, asset.kind, p.tag, p.period_s, device=device.id
                )
            )
    return found


POINTS = points()


class Watch:
    """Reads every point at its period, as an edge would, and lets the rules judge it."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.start = sim.now
        self.engine = Engine(list(RULES), POINTS, start=sim.now)
        self.findings: list[Finding] = []

    def until(self, t: Ms) -> None:
        for at in range(self.sim.now + 1000, t + 1, 1000):
            self.sim.step(at)
            rows = [p for p in POINTS if self._due(p, at)]
            values = [self.sim.values(p.asset)[p.tag] for p in rows]
            self.findings += self.engine.process(
                Samples.of([p.series for p in rows], [at] * len(rows), values)
            )
            self.findings += self.engine.tick(at)

    def _due(self, p: PointInfo, at: Ms) -> bool:
        period = max(1, round(p.period_s))
        silent = self.sim.faults.devices.get(p.device, ("", 0.0))[0]
        return silent not in DEVICE_KINDS[:3] and (at - self.start) // 1000 % period == 0

    def raised(self, asset: str = "") -> list[tuple[str, Ms]]:
        return [(f.rule, f.t) for f in self.findings if f.active and asset in ("", f.asset)]


@pytest.mark.parametrize(("seed", "hour"), [(1, 18.5), (2, 6.0), (3, 23.0)])
def test_a_calm_estate_raises_no_alarm(seed: int, hour: float) -> None:
    watch = Watch(Simulation(LAYOUT, seed, MIDNIGHT + round(hour * 3_600_000)))
    watch.until(watch.start + 2_700_000)
    assert watch.engine.counts["fed"] > 100_000
    assert watch.raised() == []


def cases() -> list[tuple[str, str]]:
    return [
        (kind, next(a.id for a in LAYOUT.assets if a.model == model))
        for kind, spec in KINDS.items()
        for model in spec.models or ("lift",)
        if kind != "genset_fail" and spec.rule_for(model)
    ]


def in_time(label: Truth, raised: Sequence[tuple[str, Ms]]) -> bool:
    e = label.expect
    return e is not None and any(rule == e.rule and label.detectable_from <= t <= e.by for rule, t in raised)


@pytest.mark.parametrize(("kind", "asset"), cases(), ids=str)
def test_a_fault_raises_the_alarm_of_its_label_in_time(kind: str, asset: str) -> None:
    watch = Watch(Simulation(LAYOUT, 4, MIDNIGHT + 10 * 3_600_000))
    watch.until(watch.start + 30_000)
    label = watch.sim.faults.apply(kind, asset)
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
        assert {rule for rule, _ in open_} <= latched | {"drain.level_high", "drain.hi_float"}
