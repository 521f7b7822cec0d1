"""Baselines: columns, single values and the back-test of the same steps say the same, always."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from alerts.backtest import score
from alerts.detect.series import graded, learning
from alerts.engine import Engine, PointInfo
from alerts.engine.baseline import BaselineBlock
from alerts.rules import Baseline, Rule, rule_from_dict
from alerts.scalar import ScalarEngine
from alerts.scalar.baseline import BaselineRow
from gateway.model import Finding, Level, Samples, quality

START = 1_790_000_000_000 // 900_000 * 900_000
BASE: dict[str, Any] = {
    "for": "water", "priority": 3, "event": "water_supply", "life": False, "latch": False,
    "name": {"zh": "名", "en": "name"}, "cause": {"zh": "因", "en": "cause"},
    "consequence": {"zh": "果", "en": "effect"}, "response": {"zh": "做", "en": "do"},
    "time_limit_s": 60, "owner": "TE", "source": "test", "kind": "baseline", "tag": "*",
}  # fmt: skip
RAW: list[dict[str, Any]] = [
    {"id": "quarter", "alarms_per_month": 20, "learn_s": 3600 * 12},
    {"id": "hour_up", "step_s": 3600, "alarms_per_month": 5, "learn_s": 43_200, "direction": "up"},
    {"id": "week", "step_s": 7200, "alarms_per_month": 5, "learn_s": 86_400, "calendar": "weekend",
     "zone": "Europe/Berlin"},
    {"id": "down", "step_s": 300, "alarms_per_month": 40, "learn_s": 7200, "direction": "down",
     "min_change": 0.5},
]  # fmt: skip
RULES: list[Rule] = [rule_from_dict({**BASE, **raw}) for raw in RAW]
POINTS = [PointInfo(n, f"a/x.{n}", "a", "e1", "water", f"x.{n}", period_s=300) for n in (1, 2, 3)]
SERIES = [p.series for p in POINTS]


def column_state(e: Engine) -> dict[Any, Any]:
    b = e.blocks["baseline"]
    assert isinstance(b, BaselineBlock)
    state: dict[Any, Any] = {}
    for k, row in enumerate(b.rows):
        state[row.key] = {
            "level": [int(b.level[k]), int(b.onset[k]), b.seen[:, k].tolist()],
            "step": [int(b.bucket[k]), float(b.total[k]), int(b.count[k]), int(b.calm[k])],
            "hours": [b.mean[:, k].tolist(), b.var[:, k].tolist(), b.hours[:, k].tolist()],
            "kinds": [b.off[:, k].tolist(), b.kinds[:, k].tolist(), b.error[:, k].tolist()],
            "all": [float(b.overall[k]), float(b.var_all[k]), float(b.slow[k]), int(b.known[k])],
            "block": [int(b.first[k]), b.top[:, k].tolist(), int(b.filled[k])],
            "tails": [b.tails[:, k].tolist(), float(b.weight[k])],
            "fit": [b.begin[:, k].tolist(), b.slope[:, k].tolist()],
            "said": [float(b.said[k]), int(b.since[k])],
            "told": [repr(float(b.value[k])), repr(float(b.expected[k])), float(b.rarity[k])],
        }
    return state


def scalar_state(e: ScalarEngine) -> dict[Any, Any]:
    state: dict[Any, Any] = {}
    for key, r in e.rows.items():
        assert isinstance(r, BaselineRow)
        s, tails = r.series, (r.series.up, r.series.down)
        state[key] = {
            "level": [r.level, r.onset, r.seen],
            "step": [r.bucket, r.total, r.count, r.calm],
            "hours": [s.mean.tolist(), s.var.tolist(), s.count.tolist()],
            "kinds": [s.off.tolist(), s.kinds, s.error],
            "all": [s.overall, s.var_all, s.level, s.seen],
            "block": [s.first, s.top, s.filled],
            "tails": [s.up.counts.tolist() + s.down.counts.tolist(), s.up.total],
            "fit": [[tail.begin for tail in tails], [tail.slope for tail in tails]],
            "said": [r.episodes.said, r.episodes.since],
            "told": [repr(r.value), repr(r.expected), r.rarity],
        }
    return state


def seen(f: Finding) -> tuple[Any, ...]:
    return tuple(repr(x) for x in astuple(f))


def story(seed: int, n: int, shape: str) -> Samples:
    """Samples of three series: late, bad and double ones, gaps, jumps, spikes, a constant."""
    rng = np.random.default_rng(seed)
    pace = [150_000, 300_000, 900_000, 900_000, 2_700_000]
    t = START + np.cumsum(rng.choice([*pace, 0, 30_000_000], n, p=[0.1, 0.3, 0.2, 0.2, 0.1, 0.07, 0.03]))
    late = rng.random(n) < 0.03
    t = np.where(late, t - 4_000_000, t)
    v = 10 + 3 * np.sin(t % 86_400_000 / 86_400_000 * 6.28) + rng.normal(0, 1, n)
    if shape == "constant":
        v = np.full(n, 7.0)
    if shape == "counts":
        v = rng.poisson(0.3, n).astype(float)
    if shape == "wild":
        v = v * 10.0 ** rng.integers(-200, 200, n).astype(float)
    hit = rng.random(n) < 0.02
    v = np.where(hit, v + rng.choice([-1, 1], n) * rng.exponential(30, n), v)
    v[n // 2 :] += rng.choice([0.0, 8.0])
    q = np.where(rng.random(n) < 0.03, quality(Level.BAD), 0).astype(np.uint8)
    return Samples(rng.choice(SERIES, n).astype(np.uint32), t.astype(np.int64), v, q)


def same(e: Engine, s: ScalarEngine) -> None:
    got, want = column_state(e), scalar_state(s)
    for key, parts in want.items():
        for part, values in parts.items():
            assert got[key][part] == values, (key, part)


shapes = st.sampled_from(["daily", "daily", "constant", "counts", "wild"])
slow_is_fine = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=40, suppress_health_check=slow_is_fine)
@given(st.integers(0, 10**6), st.integers(50, 400), shapes, st.lists(st.integers(1, 120), max_size=8))
def test_columns_and_single_values_agree_however_the_batches_are_cut(
    seed: int, n: int, shape: str, cuts: list[int]
) -> None:
    e, s, rows, begin = (
        Engine(RULES, POINTS, START),
        ScalarEngine(RULES, POINTS, START),
        story(seed, n, shape),
        0,
    )
    for size in [*cuts, n]:
        part = rows[begin : begin + size]
        begin += size
        if not len(part):
            break
        got, want = e.process(part), s.process(part)
        assert list(map(seen, got)) == list(map(seen, want))
        for f in got:
            event(f"{f.rule} {'on' if f.active else 'off'}")
        proven = int(part.t.max()) + 600_000
        assert list(map(seen, e.prove(SERIES[:2], proven))) == list(map(seen, s.prove(SERIES[:2], proven)))
        fresh = Engine(RULES, POINTS)
        assert fresh.restore(e.snapshot()) == []
        e = fresh
    same(e, s)
    assert sorted(f.id for f in e.active()) == sorted(
        f"{r.row.rule.id}@{r.row.point}@{r.onset}" for r in s.rows.values() if r.level
    )


@settings(max_examples=6, suppress_health_check=slow_is_fine)
@given(st.integers(0, 10**6), st.booleans())
def test_they_agree_over_weeks_whose_days_off_differ(seed: int, worked: bool) -> None:
    n, rng = 1400, np.random.default_rng(seed)
    t = START + 3_600_000 * np.arange(n)
    local = t + 28_800_000
    off = (local // 86_400_000 + 3) % 7 > 4
    v = rng.normal(0, 1, n) + np.where(off & worked, 5.0, 20.0) + local // 3_600_000 % 24 / 4
    e, s = Engine(RULES, POINTS[:1], START), ScalarEngine(RULES, POINTS[:1], START)
    rows = Samples.of([1] * n, t.tolist(), v.tolist())
    for begin in range(0, n, 333):
        part = rows[begin : begin + 333]
        assert list(map(seen, e.process(part))) == list(map(seen, s.process(part)))
    same(e, s)
    block = e.blocks["baseline"]
    assert isinstance(block, BaselineBlock)
    used = (block.error[1] < 0.9 * block.error[0]).tolist()
    assert all(used) if worked else not any(used), "a week is used where there is one"


def steps(seed: int, n: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    v = 10 + 3 * np.sin(np.arange(n) % 96 / 96 * 6.28) + rng.normal(0, 0.6, n)
    hit = rng.random(n) < 0.01
    return np.where(hit, v + rng.choice([-1, 1], n) * rng.exponential(9, n), v)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(300, 900), st.booleans())
def test_the_live_rule_alarms_where_the_back_test_does(seed: int, n: int, many: bool) -> None:
    v, t = steps(seed, n), START + 900_000 * np.arange(n)
    learn = learning(t)
    rule = rule_from_dict({**BASE, "id": "r", "alarms_per_month": 11.0, "learn_s": learn * 900.0,
                           "zone": "UTC", "calendar": "weekend"})  # fmt: skip
    assert isinstance(rule, Baseline)
    scores = score(t, v)
    wanted = np.flatnonzero(scores >= graded(rule.rarity))
    live = Engine([rule], POINTS[:1], START)
    if many:  # each step as three samples with the same mean
        times = (t[:, None] + np.asarray([0, 300_000, 600_000])).ravel()
        samples = Samples.of([1] * (3 * n), times.tolist(), np.repeat(v, 3).tolist())
    else:
        samples = Samples.of([1] * n, t.tolist(), v.tolist())
    found = live.process(samples) + live.process(Samples.of([1], [int(t[-1]) + 900_000], [10.0]))
    raised = [(f.onset - START) // 900_000 - 1 for f in found if f.active]
    ended = [(f.t - START) // 900_000 - 1 for f in found if not f.active]
    spans = list(zip(raised, [*ended, n], strict=False))
    assert set(raised) <= set(wanted.tolist()), "nothing live that the back-test does not say"
    within = [k for k in wanted.tolist() if any(a <= k <= b for a, b in spans)]
    assert within == wanted.tolist(), "what the back-test says is raised, or within an alarm that stands"
    event(f"{len(raised)} alarms")
