"""Held readings: a history without them says what the live engine says with the edge's proofs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alerts.engine import Engine, PointInfo
from alerts.engine.bind import bind
from alerts.rules import Rule, Stuck
from gateway.app.backtest_held import SPEAKS, Completer
from gateway.app.backtest_parts import OFTEN, PROOFS, Part, gap_of, parted
from gateway.app.backtest_rules import _info, replay
from gateway.app.setup import load_setup
from gateway.model import Finding, Level, Ms, Samples, quality

SITE = Path(__file__).parents[3] / "examples/small.yaml"
DAY = 86_400_000
T0 = 1_790_000_000_000 // DAY * DAY
MINUTE = 60_000


class Rows:
    """A history in memory."""

    def __init__(self, rows: Samples) -> None:
        self.all = rows[np.lexsort((rows.series, rows.t))]

    def span(self) -> tuple[Ms, Ms]:
        return int(self.all.t[0]), int(self.all.t[-1]) + 1

    def rows(self, start: Ms, end: Ms) -> Samples:
        return self.all[(self.all.t >= start) & (self.all.t < end)]

    def refused(self, start: Ms, end: Ms) -> set[int]:
        return set(self.all.series[self.all.q >> 5 >= Level.STALE].tolist())


def site() -> tuple[list[Rule], list[PointInfo]]:
    """The rules of the small site that wait for nothing, and its points."""
    setup = load_setup(SITE)
    points = [_info(setup, p, n + 1) for n, p in enumerate(setup.points.values())]
    return [r for r in setup.rules if r.kind != "no_data"], points


def history(
    points: Sequence[PointInfo], rng: np.random.Generator, days: float, *, bad: bool = False
) -> Samples:
    """Values that come when they change: some often, some hardly; devices that are silent for a while."""
    length = int(days * DAY)
    devices = {p.device or p.asset for p in points}
    silent = {
        d: [(a, a + int(rng.integers(MINUTE, 6 * 3_600_000))) for a in rng.integers(0, length, 3).tolist()]
        for d in sorted(devices)
    }
    parts = []
    for p in points:
        n = int(rng.integers(3, 300))
        t = np.unique(rng.integers(0, length, n))
        for a, b in silent[p.device or p.asset]:
            t = t[(t < a) | (t >= b)]
        v = rng.choice([0.0, 1.0, 0.2, 0.35, 3.0, 60.0, 95.0, float(rng.normal(0, 50))], len(t))
        q = np.zeros(len(t), np.uint8)
        if bad:
            q[rng.random(len(t)) < 0.05] = quality(Level.BAD)
        parts.append(Samples(np.full(len(t), p.series, np.uint32), T0 + t, v, q))
    return Samples.concat(parts)


def told(found: Sequence[Finding]) -> list[tuple[object, ...]]:
    """Findings as they are compared; sums of areas may differ in their last bits."""
    return sorted((f.rule, f.point, f.t, f.onset, f.active, f.level, f"{f.value:.9g}") for f in found)


@pytest.mark.parametrize("seed", range(3))
def test_few_held_readings_say_what_many_say(seed: int) -> None:
    rules, points = site()
    rng = np.random.default_rng(seed)
    rows = Rows(history(points, rng, 2, bad=seed == 1))
    span = (T0, T0 + 2 * DAY)
    some = [r for r in rules if r.kind in PROOFS]
    gaps = [gap_of(p) for p in points]
    many = Part(some, points, gaps, gaps, T0)
    completer, expected = Completer(points), list[Finding]()
    for begin in range(*span, DAY):
        day = completer.day(rows.rows(begin, begin + DAY + SPEAKS), begin, begin + DAY)
        expected += many.judge(day, begin, begin + DAY)
    found = replay(some, points, rows, span)
    assert told(found) == told(expected)
    assert len({f.rule for f in found}) > 5


def test_how_a_history_is_cut_changes_nothing() -> None:
    rules, points = site()
    rows = Rows(history(points, np.random.default_rng(9), 1))
    whole = replay(rules, points, rows, (T0, T0 + DAY))
    completers = {n: Completer(points) for n in (1, 2)}
    counts = {}
    for step, completer in ((DAY, completers[1]), (DAY // 5, completers[2])):
        parts, found = parted(rules, points, set(), T0), list[Finding]()
        for begin in range(T0, T0 + DAY, step):
            day = completer.day(rows.rows(begin, begin + step + SPEAKS), begin, begin + step)
            for part in parts:
                found += part.judge(day, begin, begin + step)
        counts[step] = told(found)
    assert counts[DAY] == counts[DAY // 5] == told(whole)


def test_values_that_an_edge_did_not_send_are_judged_as_the_running_core_judges_them() -> None:
    """The core feeds what comes and, every ten seconds, the proof of what did not change."""
    rules, points = site()
    rules = [r for r in rules if r.kind in PROOFS | OFTEN]
    rng = np.random.default_rng(4)
    length, parts = 2 * 3_600_000, []
    for p in points:
        t = np.unique(np.r_[0, rng.integers(0, length, 8) // 10_000 * 10_000])
        v = rng.choice([0.0, 1.0, 0.2, 0.35, 3.0, 95.0], len(t))
        parts.append(Samples(np.full(len(t), p.series, np.uint32), T0 + t, v, np.zeros(len(t), np.uint8)))
    # Each device says something now and then.
    names = {p.device or p.asset: p for p in points}
    for p in names.values():
        t = np.arange(0, length, 10 * MINUTE) + 10_000
        parts.append(
            Samples(np.full(len(t), p.series, np.uint32), T0 + t, np.ones(len(t)), np.zeros(len(t), np.uint8))
        )
    rows = Rows(Samples.concat(parts))
    live, expected = Engine(rules, points, T0), list[Finding]()
    for now in range(T0, T0 + length, 10_000):
        expected += live.process(rows.rows(now, now + 10_000))
        expected += live.prove([p.series for p in points], now)
        expected += live.tick(now)
    expected += live.tick(T0 + length)
    found = replay(rules, points, rows, (T0, T0 + length))
    assert told(found) == told(expected)
    assert len(found) > 20


@pytest.mark.parametrize("still_s", [1000, 1190, 1300])
def test_what_stood_still_long_enough_is_told_however_soon_it_moves_again(still_s: int) -> None:
    setup = load_setup(SITE)
    stuck = next(r for r in setup.rules if isinstance(r, Stuck))
    rule = replace(stuck, asset_kind="water", tag="x.p", gate="", time_s=900.0)
    points = [
        PointInfo(n, f"a/x.{x}", "a", "e", "water", f"x.{x}", 1.0, "d") for n, x in ((1, "p"), (2, "q"))
    ]
    said = np.arange(0, 7200, 60)  # the device speaks by another point
    t = [3600, 3600 + still_s, *said.tolist()]
    rows = Samples.of([1, 1, *[2] * len(said)], [T0 + 1000 * x for x in t], [5.0, 7.0, *said.tolist()])
    found = replay([rule], points, Rows(rows), (T0, T0 + 7_200_000))
    raised = [f.t for f in found if f.active and f.point == "a/x.p"]
    assert raised[0] == T0 + 4_500_000


def test_every_rule_is_in_one_part_with_the_points_that_it_needs() -> None:
    rules, points = site()
    parts = parted(rules, points, set(), T0)
    bound = {row.key for row in bind(rules, points)}
    assert {row.key for part in parts for b in part._engine.blocks.values() for row in b.rows} == bound
    assert sum(len(b) for part in parts for b in part._engine.blocks.values()) == len(bound)


def test_a_value_is_held_while_its_device_speaks_and_no_longer() -> None:
    a = PointInfo(1, "x/a", "x", "e", "pump", "a", 10.0, "d")
    b = PointInfo(2, "x/b", "x", "e", "pump", "b", 10.0, "d")
    rows = Samples.of([1, 2, 2, 2], [T0, T0 + 600_000, T0 + 7_200_000, T0 + 7_230_000], [5, 1, 1, 1])
    day = Completer([a, b]).day(rows, T0, T0 + DAY)
    held = day.completed([1], [30_000], [0])
    t = (held.t - T0).tolist()
    end = 600_000 + SPEAKS
    again = 7_230_000 + SPEAKS
    assert t == [*range(0, end + 1, 30_000), *range(7_200_000, again + 1, 30_000)]
    few = (day.completed([1], [600_000], [570_000]).t - T0).tolist()
    assert few == [0, 600_000, end - 570_000, 7_200_000, again - 570_000]
    assert set(held.v.tolist()) == {5.0}
