"""The shipped rules against the simulated plant: every fault raises its rule, a calm hour raises none.

The plant's values go to the engine directly, once a second; drivers and broker are tested elsewhere.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from alerts.engine import Engine, PointInfo
from alerts.ruleset import DEFAULT_RULE_FILES, build
from alerts.sentences import sentence
from gateway.config.yamlmarks import load
from gateway.model import Finding, Ms, Samples
from simulators.faults import DEVICE_KINDS, KINDS, Faults
from simulators.layout import demo_layout
from simulators.plant import Plant

ALERTS = Path(__file__).parents[3] / "alerts"
RULES = build(raw for name in DEFAULT_RULE_FILES for raw in load(ALERTS / name)[0])
START: Ms = 1_772_451_000_000  # 2026-03-02 19:30 in Shanghai
ESTATE_WIDE = ("rain",)


class World:
    """A plant and an engine on its points."""

    def __init__(self, seed: int, *assets: str) -> None:
        self.layout = demo_layout(1)
        self.plant = Plant(self.layout.assets, seed, START)
        self.faults = Faults(self.plant, self.layout)
        kinds = {a.id: (a.estate, a.kind) for a in self.layout.assets}
        places = [(a, tag) for a in assets or kinds for tag in self.plant.units[a].values()]
        self.points = [PointInfo(n, f"{a}/{tag}", a, *kinds[a], tag) for n, (a, tag) in enumerate(places)]
        self.groups = [(a, list(ps)) for a, ps in groupby(self.points, key=lambda p: p.asset)]
        self.engine = Engine(RULES, self.points, START)
        self.now = START

    def run(self, until: Ms) -> list[Finding]:
        found: list[Finding] = []
        while self.now < until:
            self.now += 1000
            self.plant.step(self.now)
            v: list[float] = []
            for asset, points in self.groups:
                values = self.plant.units[asset].values()
                v += [values[p.tag] for p in points]
            n = len(self.points)
            found += self.engine.process(Samples.of(range(n), [self.now] * n, v))
        return found


WAITS_S = 4000
"""What takes longer is told in columns, see test_simulators_months.py; a forced reading is no matter
of the plant, see test_simulators_rules.py."""
SHOWN = [
    kind
    for kind, spec in KINDS.items()
    if not spec.forces
    and kind not in (*DEVICE_KINDS, *ESTATE_WIDE)
    and spec.lag_s + spec.confirm_s <= WAITS_S
]


@pytest.mark.parametrize("kind", SHOWN)
def test_every_fault_raises_its_rule_in_time(kind: str) -> None:
    target = Faults(Plant([], 1, START), demo_layout(1)).targets(kind)[0]
    world = World(1, target)
    world.run(START + 30_000)
    if KINDS[kind].needs:  # seen only together with the other one
        world.faults.apply(KINDS[kind].needs, world.faults.targets(KINDS[kind].needs)[0])
    label = world.faults.apply(kind, target)
    assert label is not None
    if label.expect is None:
        pytest.skip("the shipped rules have none for this fault")
    expect = label.expect
    raised: list[Finding] = []
    hit: list[Finding] = []
    while not hit and world.now < expect.by + 1000:
        raised += [f for f in world.run(min(world.now + 10_000, expect.by + 1000)) if f.active]
        hit = [f for f in raised if f.rule == expect.rule and f.asset == expect.root]
    assert hit, f"{kind}: only {sorted({f.rule for f in raised})}"
    assert label.t <= hit[0].t <= expect.by
    assert RULES.by_id[expect.rule].priority == expect.priority
    assert sentence(hit[0], RULES.by_id[expect.rule])["zh"]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_calm_hour_raises_nothing(seed: int) -> None:
    found = World(seed).run(START + 3_600_000)
    assert [(f.rule, f.point) for f in found] == []
