"""Trends, cycles and counters: columns and scalars say the same and are in the same state, always."""

from __future__ import annotations

import math
from dataclasses import astuple
from typing import Any

import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from alerts.engine import Engine, PointInfo
from alerts.engine.counter import CounterBlock
from alerts.engine.cycles import CyclesBlock
from alerts.engine.trend import TrendBlock
from alerts.rules import Rule, rule_from_dict
from alerts.scalar import ScalarEngine
from alerts.scalar.counter import CounterRow
from alerts.scalar.cycles import CyclesRow
from alerts.scalar.trend import TrendRow
from gateway.model import Finding, Level, Samples, quality

START = 1_790_000_000_000
BASE: dict[str, Any] = {
    "for": "water", "priority": 2, "event": "water_supply", "life": False, "latch": False,
    "name": {"zh": "名", "en": "name"}, "cause": {"zh": "因", "en": "cause"},
    "consequence": {"zh": "果", "en": "effect"}, "response": {"zh": "做", "en": "do"},
    "time_limit_s": 60, "owner": "TE", "source": "test",
}  # fmt: skip
SHORT: dict[str, Any] = {"kind": "cycles", "tag": "x.run", "step_s": 9, "points": 2}
OWN: dict[str, Any] = {**SHORT, "points": 1, "learn": 3, "memory": 6}
RAW: list[dict[str, Any]] = [
    {"kind": "trend", "tag": "x.level", "h": 9, "l": 1, "step_s": 4, "window_s": 60, "horizon_s": 40,
     "min_points": 8},
    {"kind": "trend", "tag": "x.level", "h_ratio": 1.5, "l_ratio": 0.5, "daily": "max", "above": 2,
     "step_s": 6, "window_s": 60, "horizon_s": 60, "min_points": 8, "learn_points": 3},
    {"kind": "trend", "tag": "x.level", "h": 8.5, "daily": "min", "step_s": 4, "window_s": 40,
     "horizon_s": 60, "min_points": 8},
    {"kind": "cycles", "tag": "x.run", "measure": "starts", "h": 3, "window_s": 20},
    {"kind": "cycles", "tag": "x.level", "measure": "turns", "swing": 2, "h": 5, "window_s": 30},
    {"kind": "cycles", "tag": "x.door", "measure": "repeats", "other": "x.run", "h": 2, "window_s": 30,
     "active": 0},
    *({**SHORT, "measure": m, "h": 6, "l": 1} for m in ("on_s", "off_s", "period_s")),
    {**OWN, "measure": "period_s", "h_ratio": 1.5, "l_ratio": 0.7},
    {**OWN, "measure": "duty", "points": 2, "h": 0.7, "l_ratio": 0.5},
    {**OWN, "measure": "lag_s", "tag": "x.door", "other": "x.run", "h": 1},
    {**OWN, "measure": "rate", "other": "x.level", "h": 40, "l_ratio": 0.7, "step_s": 20, "band": 0.5},
    {**OWN, "measure": "inflow", "other": "x.level", "h": 20, "step_s": 20, "band": 0.5},
    {**OWN, "measure": "on_s", "tag": "x.level", "swing": 2, "active": 0, "h": 5, "step_s": 20},
    {"kind": "counter", "tag": "x.level", "max_per_h": 3, "hold_s": 7},
    {"kind": "counter", "tag": "x.level", "max_per_h": 5, "capacity": 10, "hold_s": 3},
]  # fmt: skip
RULES: list[Rule] = [rule_from_dict({**BASE, "id": f"r{k}", **raw}) for k, raw in enumerate(RAW)]
POINTS = [
    PointInfo(10 + n, f"a/{tag}", "a", "e", "water", tag)
    for n, tag in enumerate(("x.level", "x.run", "x.door"))
]
SERIES = [p.series for p in POINTS]
Told = tuple[int, int, float, int]
"""(series, ms after the one before, value, quality)."""

good = quality(Level.GOOD)
pauses = st.sampled_from([0, 500, 1000, 1000, 2000, 31_000, 200_000])
contacts = st.lists(st.integers(0, 3), min_size=1, max_size=40)
wild = st.lists(
    st.tuples(st.sampled_from(SERIES), st.sampled_from([0, 500, 1000, -1000, 33_000]),
              st.sampled_from([0.0, 1.0, 3.0, 5.5, 9.0, math.nan]),
              st.sampled_from([good, good, good, quality(Level.BAD)])),
    max_size=25,
)  # fmt: skip
ramp = st.tuples(st.floats(-0.12, 0.12), st.floats(0, 0.4), st.integers(30, 90))
swings = st.tuples(st.integers(1, 12), st.floats(0.5, 4), st.integers(5, 80))
pumping = st.tuples(st.floats(0.2, 0.9), st.floats(0.3, 1.5), st.integers(20, 90))
acts = st.one_of(
    st.tuples(st.just("wild"), wild), st.tuples(st.just("ramp"), ramp), st.tuples(st.just("ramp"), ramp),
    st.tuples(st.just("swings"), swings), st.tuples(st.just("pumping"), pumping),
    st.tuples(st.just("contacts"), contacts), st.tuples(st.just("pause"), pauses),
    st.tuples(st.just("prove"), st.integers(-2000, 9000)), st.tuples(st.just("restart"), st.none()),
)  # fmt: skip


def told(what: str, arg: Any) -> list[Told]:
    """Readings of an act; deterministic."""
    level, run, door = SERIES
    if what == "wild":
        return list(arg)
    if what == "ramp":
        slope, sway, n = arg
        begin = 8.5 if slope < 0 else 2.0
        return [(level, 1000, begin + slope * k + sway * (k * 7 % 5 - 2), good) for k in range(n)]
    if what == "swings":
        half, high, n = arg
        return [(level, 500, 5 + high * (1 if k // half % 2 else -1), good) for k in range(n)]
    if what == "contacts":
        return [row for k in arg for row in ((run, 1000, float(k & 1), good), (door, 0, float(k >> 1), good))]
    fill, drain, n = arg
    rows: list[Told] = []
    at, on = 4.0, 0
    for _ in range(n):
        at += fill - drain * 2 * on
        on = 1 if at > 8 else 0 if at < 3 else on
        rows += [(level, 1000, at, good), (run, 0, float(on), good)]
    return rows


def samples(rows: list[Told], now: int) -> tuple[Samples, int]:
    times, t = [], now
    for _, step, _, _ in rows:
        times.append(t + step)
        t = max(t, t + step)
    return Samples.of([r[0] for r in rows], times, [r[2] for r in rows], [r[3] for r in rows]), t


def seen(f: Finding) -> tuple[str, ...]:
    return tuple(repr(x) for x in astuple(f))


def columns_state(e: Engine) -> dict[Any, Any]:
    out: dict[Any, Any] = {}
    for block in e.blocks.values():
        for k, row in enumerate(block.rows):
            if isinstance(block, TrendBlock):
                out[row.key] = _trend(block, k)
            elif isinstance(block, CyclesBlock):
                out[row.key] = _cycles(block, k)
            elif isinstance(block, CounterBlock):
                out[row.key] = [
                    int(block.level[k]), int(block.due[0, k]), _f(block.value[k]), _f(block.moved[k])
                ]  # fmt: skip
    return out


def _f(x: Any) -> str:
    return repr(float(x))


def _trend(b: TrendBlock, k: int) -> list[Any]:
    days, means = b.days[:, k], b.means[: b.parts[k], k]
    at = [int(b.newest[k]) - (len(days) - 1 - n) for n in np.flatnonzero(~np.isnan(days)).tolist()]
    return [
        int(b.level[k]), int(b.onset[k]), int(b.step[k]), int(b.part[k]), _f(b.total[k]), int(b.count[k]),
        [_f(x) for x in means], int(b.usual[k]), at, [_f(x) for x in days[~np.isnan(days)]],
        _f(b.base[k]), _f(b.turn[k]), int(b.streak[k]), int(b.back[k]), _f(b.value[k]), _f(b.per_day[k]),
        int(b.eta[k]), int(b.first[k]), int(b.last[k]),
    ]  # fmt: skip


def _cycles(b: CyclesBlock, k: int) -> list[Any]:
    times, recent = b.times[:, k], b.recent[-int(b.points[k]) :, k]
    swings = b.swing[k] > 0
    return [
        int(b.level[k]), int(b.onset[k]), int(b.on[k]), int(b.since[k]), int(b.began[k]),
        [_f(b.high[k]), int(b.high_t[k]), _f(b.low[k]), int(b.low_t[k])] if swings else None,
        [int(t) for t in times if t > 0], int(b.step[k]), _f(b.total[k]), int(b.count[k]), int(b.on_ms[k]),
        int(b.known_ms[k]), int(b.mark[k]), [_f(x) for x in recent if not np.isnan(x)], int(b.newest[k]),
        _f(b.mean[k]), _f(b.var[k]), int(b.learned[k]), _f(b.value[k]), int(b.pair[k]), int(b.pair_off[k]),
        _f(b.lv[k]), int(b.lv_t[k]), _f(b.floor[k]), _f(b.low2[k]), int(b.low2_t[k]), _f(b.fill[k]),
        _f(b.top[k]), int(b.top_t[k]),
    ]  # fmt: skip


def scalars_state(e: ScalarEngine) -> dict[Any, Any]:
    out: dict[Any, Any] = {}
    for key, r in e.rows.items():
        if isinstance(r, TrendRow):
            out[key] = [
                r.level, r.onset, r.step, r.part, _f(r.total), r.count, [_f(x) for x in r.means], r.usual,
                [x for x, _ in r.days], [_f(y) for _, y in r.days], _f(r.base), _f(r.turn), r.streak, r.back,
                _f(r.value), _f(r.per_day), r.eta, r.first, r.last,
            ]  # fmt: skip
        elif isinstance(r, CyclesRow):
            out[key] = _scalar_cycles(r)
        elif isinstance(r, CounterRow):
            out[key] = [r.level, r.due[0], _f(r.value), _f(r.moved)]
    return out


def _scalar_cycles(r: CyclesRow) -> list[Any]:
    on = {None: -1, False: 0, True: 1}
    extremes = [_f(r.high[0]), r.high[1], _f(r.low[0]), r.low[1]] if r.rule.swing else None
    return [
        r.level, r.onset, on[r.on], r.since, r.began, extremes, r.times, r.step, _f(r.cycles[0]),
        r.cycles[1], r.on_ms, r.known_ms, r.mark, [_f(x) for x in r.recent], r.newest, _f(r.mean),
        _f(r.var), r.learned, _f(r.value), on[r.pair], r.pair_off, _f(r.lv[0]), r.lv[1], _f(r.floor),
        _f(r.low2[0]), r.low2[1], _f(r.fill), _f(r.top[0]), r.top[1],
    ]  # fmt: skip


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(acts, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_columns_and_scalars_agree_on_findings_and_on_the_whole_state(todo: list[Any], dice: Any) -> None:
    e, s, now = Engine(RULES, POINTS, START), ScalarEngine(RULES, POINTS, START), START
    whole, story = Engine(RULES, POINTS, START), []
    for what, arg in todo:
        if what == "pause":
            now += arg
        elif what == "prove":
            assert list(map(seen, e.prove(SERIES, now + arg))) == list(map(seen, s.prove(SERIES, now + arg)))
        elif what == "restart":
            fresh = Engine(RULES, POINTS)
            assert fresh.restore(e.snapshot()) == []
            e = fresh
        else:
            readings, now = samples(told(what, arg), now)
            in_order = (np.diff(readings.t) >= 0).all()  # a batch is sorted, two are not sorted together
            cut = dice.randrange(len(readings) + 1) if in_order else len(readings)
            got = e.process(readings[:cut]) + e.process(readings[cut:])
            want = s.process(readings)
            story.append(readings)
            assert sorted(map(seen, got)) == sorted(map(seen, want))
            for f in got:
                event(f"{f.rule} {f.level} {'on' if f.active else 'off'}")
        assert columns_state(e) == scalars_state(s)
    if not any(what == "prove" for what, _ in todo):
        for readings in story:
            whole.process(readings)
        assert columns_state(whole) == columns_state(e)
