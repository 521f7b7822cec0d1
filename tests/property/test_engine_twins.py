"""The engine in columns and the engine in scalars say the same and are in the same state, always."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from alerts.engine import Engine, PointInfo, block, fast
from alerts.engine.block import Block
from alerts.engine.blocks import RateBlock, StuckBlock
from alerts.engine.columns import NEVER
from alerts.engine.combine import CombineBlock
from alerts.engine.engine import warm
from alerts.engine.shift import ShiftBlock
from alerts.engine.slope import SlopeBlock
from alerts.engine.timers import Timers
from alerts.rules import Rule, rule_from_dict
from alerts.scalar import ScalarEngine
from alerts.scalar.rows import CombineRow, DelayRow, RateRow, ScalarRow, StuckRow
from alerts.scalar.shift import ShiftRow
from alerts.scalar.slope import SlopeRow
from gateway.model import Finding, Level, Samples, quality

START = 1_790_000_000_000
TAGS = ("x.level", "x.run", "x.door", "x.call")
BASE: dict[str, Any] = {
    "for": "water", "priority": 2, "event": "water_supply", "life": False, "latch": False,
    "name": {"zh": "名", "en": "name"}, "cause": {"zh": "因", "en": "cause"},
    "consequence": {"zh": "果", "en": "effect"}, "response": {"zh": "做", "en": "do"},
    "time_limit_s": 60, "owner": "TE", "source": "test",
}  # fmt: skip
RAW: list[dict[str, Any]] = [
    {"id": "lim", "kind": "limit", "tag": "x.level", "ll": 1, "l": 2, "h": 6, "hh": 8, "deadband": 0.5,
     "on_delay_s": 4, "on_delay_outer_s": 2, "off_delay_s": 3},
    {"id": "lim0", "kind": "limit", "tag": "x.level", "h": 5, "on_delay_s": 0, "off_delay_s": 0,
     "inclusive": True, "above": 1},
    {"id": "dig", "kind": "digital", "tag": "x.run|x.door", "active": 0, "on_delay_s": 2, "off_delay_s": 1},
    {"id": "dig0", "kind": "digital", "tag": "x.*", "at": {"b": {"on_delay_s": 5}}},
    {"id": "rate", "kind": "rate", "tag": "x.level", "limit": 60, "min_change": 2, "off_delay_s": 4},
    {"id": "rate_up", "kind": "rate", "tag": "x.level", "limit": 20, "direction": "up", "on_delay_s": 1},
    {"id": "rate_down", "kind": "rate", "tag": "x.level", "limit": 20, "direction": "down"},
    {"id": "stuck", "kind": "stuck", "tag": "x.level", "time_s": 9, "eps": 1},
    {"id": "stuck_gate", "kind": "stuck", "tag": "x.level", "time_s": 5, "gate": "x.nothing|x.run"},
    {"id": "slope", "kind": "slope", "tag": "x.level", "direction": "up", "limit": 9, "window_s": 40,
     "step_s": 4, "horizon_s": 120, "min_points": 5},
    {"id": "slope_down", "kind": "slope", "tag": "x.level", "direction": "down", "limit": 0, "window_s": 24,
     "step_s": 2, "horizon_s": 600, "min_points": 5},
    {"id": "shift", "kind": "shift", "tag": "x.level", "step_s": 0, "tau_s": 60, "warmup": 5, "h": 4, "z": 3,
     "relearn_s": 90, "min_sd": 0.2},
    {"id": "shift_mean", "kind": "shift", "tag": "x.level", "step_s": 4, "tau_s": 30, "warmup": 5, "h": 2,
     "z": None, "at": {"b": {"direction": "up", "winsor": 2}}},
    {"id": "shift_jump", "kind": "shift", "tag": "x.*", "step_s": 0, "tau_s": 20, "warmup": 6, "h": None,
     "direction": "down", "z": 1.5, "k": 0},
    {"id": "silent", "kind": "no_data", "tag": "*"},
    {"id": "silent_dev", "kind": "no_data", "tag": "*", "per": "device", "timeout_s": 12},
    {"id": "bad", "kind": "no_data", "tag": "*", "watch": "bad", "timeout_s": 6},
    {"id": "all", "kind": "combine", "all": [{"tag": "x.run", "value": 1}, {"tag": "x.door", "value": 0},
     {"tag": "x.level", "op": ">=", "value": 3, "upto": 7}], "on_delay_s": 6, "off_delay_s": 2,
     "confirm": {"tag": "x.call"}, "confirm_delay_s": 1},
    {"id": "all0", "kind": "combine", "all": [{"tag": "x.door", "op": "!=", "value": 0},
     {"tag": "x.run", "op": "<", "value": 1}]},
]  # fmt: skip
RULES: list[Rule] = [rule_from_dict({**BASE, **raw}) for raw in RAW]
POINTS = [
    PointInfo(
        10 + 10 * a + n, f"{asset}/{tag}", asset, "e1", "water", tag, period_s=1.0, device=f"{asset}-{n % 2}"
    )
    for a, asset in enumerate("ab")
    for n, tag in enumerate(TAGS)
    if (asset, tag) != ("b", "x.call")  # asset b has nothing that could confirm
]
FIRST, LATER = POINTS[:5], POINTS[5:]
SERIES = [p.series for p in POINTS] + [999]


def seen(f: Finding) -> tuple[Any, ...]:
    return tuple(repr(x) for x in astuple(f))


def column_state(e: Engine) -> dict[Any, Any]:
    state: dict[Any, Any] = {}
    for b in e.blocks.values():
        for k, row in enumerate(b.rows):
            state[row.key] = _block_row(b, k)
    return state


def _block_row(b: Block, k: int) -> Any:
    n = len(b.rows[k].inputs) if len(b.seen) > 1 else 1
    s: list[Any] = [int(b.level[k]), int(b.onset[k]), b.seen[:n, k].tolist()]
    if isinstance(b, Timers):
        s += [b.active[:, k].tolist(), b.due[:, k].tolist()]
        assert b.next[k] == b.due[:, k].min()
        assert b.busy[k] == (b.active[:, k].any() or b.next[k] < 2**62)
        if not isinstance(b, CombineBlock):
            s.append(repr(float(b.value[k])))
    if isinstance(b, RateBlock):
        s.append(repr(float(b.rate[k])))
    if isinstance(b, StuckBlock):
        s.append(bool(b.gate[k]))
    if isinstance(b, CombineBlock):
        s += [list(map(repr, b.values[:n, k].tolist())), b.truth[:n, k].tolist(), b.since[:n, k].tolist()]
    if isinstance(b, ShiftBlock):
        columns = (b.bucket, b.total, b.count, b.whole, b.mean, b.var, b.n, b.back, b.value)
        s += [[repr(c[k].item()) for c in columns], b.sum[:, k].tolist(), b.since[:, k].tolist()]
    if isinstance(b, SlopeBlock):
        m = int(b.filled[k])
        size = len(b.x)
        s += [int(b.bucket[k]), float(b.total[k]), int(b.count[k]), b.x[size - m :, k].tolist()]
        s += [b.y[size - m :, k].tolist(), int(b.streak[k]), repr(float(b.value[k])), int(b.eta[k])]
        s.append(repr(float(b.per_hour[k])))
    return s


def scalar_state(e: ScalarEngine) -> dict[Any, Any]:
    return {key: _scalar_row(row) for key, row in e.rows.items()}


def _scalar_row(r: ScalarRow) -> Any:
    s: list[Any] = [r.level, r.onset, r.seen]
    if isinstance(r, DelayRow):
        s += [r.active, r.due]
        if not isinstance(r, CombineRow):
            s.append(repr(r.value))
    if isinstance(r, RateRow):
        s.append(repr(r.rate))
    if isinstance(r, StuckRow):
        s.append(r.gate)
    if isinstance(r, CombineRow):
        s += [list(map(repr, r.values)), r.truth, r.since]
    if isinstance(r, ShiftRow):
        columns = (r.bucket, r.total, r.count, r.whole, r.mean, r.var, r.n, r.back, r.value)
        s += [list(map(repr, columns)), [r.down, r.up], [r.since_down, r.since_up]]
    if isinstance(r, SlopeRow):
        s += [r.bucket, r.total, r.count, [x for x, _ in r.window], [y for _, y in r.window]]
        s += [r.streak, repr(r.value), r.eta, repr(r.per_hour)]
    return s


def whole(e: Engine) -> Any:
    at = e._index.find(np.asarray(sorted(e.points)))
    return column_state(e), dict(+e.counts), e._newest[at].tolist()


def whole_scalar(s: ScalarEngine) -> Any:
    return scalar_state(s), dict(+s.counts), [s.newest[p] for p in sorted(s.points)]


values = st.one_of(
    st.integers(0, 9).map(float), st.sampled_from([0.0, 1.0, 1.0, 0.5, 4.5, math.nan, math.inf])
)
levels = [Level.GOOD] * 9 + [Level.UNCERTAIN, Level.BAD, Level.STALE]
qualities = st.sampled_from([quality(level) for level in levels])
# ms after the last newest time; now and then in the past, now and then after a gap
steps = st.sampled_from([0, 500, 500, 1000, 1000, 1500, 2000, 4000, 7000, -1000, -3000, 31_000, 45_000])
sample = st.tuples(st.sampled_from(SERIES), steps, values, qualities)
batch = st.tuples(st.just("batch"), st.lists(sample, max_size=12))
tick = st.tuples(st.just("tick"), st.tuples(st.integers(0, 14_000), st.booleans(), st.integers(0, 40_000)))
prove = st.tuples(st.just("prove"), st.tuples(st.sets(st.sampled_from(SERIES)), st.integers(-2000, 11_000)))
other = st.tuples(st.sampled_from(["add", "restart", "adopt"]), st.none())
# A story that random samples rarely tell: a value that goes somewhere, contacts that change together.
ramp = st.tuples(
    st.just("ramp"), st.tuples(st.sampled_from([10, 20]), st.floats(-0.2, 0.2), st.integers(20, 45))
)
scene = st.tuples(
    st.just("scene"),
    st.tuples(st.sampled_from([10, 20]), st.sampled_from([1, 1, 1, 0]), st.sampled_from([0, 0, 0, 1]),
              st.sampled_from([4.0, 7.0, 8.0]), st.integers(0, 1), st.integers(0, 9000)),
)  # fmt: skip
ops = st.lists(st.one_of(batch, batch, scene, ramp, tick, prove, other), min_size=1, max_size=11)


def columns(rows: list[tuple[int, int, float, int]], now: int) -> tuple[Samples, int]:
    """Steps add up while they are positive, so a batch holds several samples of one series."""
    t, times = now, []
    for _, step, _, _ in rows:
        times.append(t + step)
        t = max(t, t + step)
    return Samples.of([r[0] for r in rows], times, [r[2] for r in rows], [r[3] for r in rows]), t


def told(what: str, arg: Any, now: int) -> tuple[Samples, int]:
    """The samples of a batch, ramp or scene, and the time after it."""
    if what == "batch":
        return columns(arg, now)
    if what == "ramp":
        series, slope, n = arg
        start = 8.5 if slope < 0 else 1.0
        rows = [(series, 1000, start + slope * k + (0.05 if k % 3 else 0.0), 0) for k in range(n)]
        return columns(rows, now)
    base, run, door, level, call, wait = arg
    rows = [(base + 1, 500, run, 0), (base + 2, 0, door, 0), (base, 0, level, 0), (base + 3, 0, call, 0)]
    return columns([*rows, (base, wait, level, 0), (base + 3, 0, 0, 0)], now)


slow_is_fine = [HealthCheck.too_slow, HealthCheck.data_too_large]


@contextmanager
def way(name: str) -> Iterator[None]:
    """In rounds of vectors, one by one as a back-fill, or compiled by numba."""
    deep, kernels = block.DEEP, fast._compiled
    block.DEEP = 0 if name == "one by one" else deep
    fast._compiled = COMPILED if name == "compiled" else {}
    try:
        yield
    finally:
        block.DEEP, fast._compiled = deep, kernels


COMPILED: dict[fast.Kernel, fast.Kernel] = {}


@pytest.fixture(scope="module")
def compiled() -> None:
    if not fast.available():
        pytest.skip("numba is not installed")
    before = dict(fast._compiled)
    warm()
    COMPILED.update(fast._compiled)
    fast._compiled.clear()
    fast._compiled.update(before)


def tell(e: Engine | ScalarEngine, what: str, arg: Any, now: int) -> list[Finding]:
    if what in ("batch", "ramp", "scene"):
        return e.process(told(what, arg, now)[0])
    if what == "tick":
        only = [p.series for p in POINTS if p.asset == "a"] if arg[1] else None
        return e.tick(now + arg[0], only, now=now + arg[2])
    if what == "prove":
        return e.prove(arg[0], now + arg[1])
    if what == "add":
        ended = e.add_points(LATER, now)
        assert not ended
    return []


def restarted(e: Engine) -> Engine:
    fresh = Engine(RULES, list(e.points.values()))
    assert fresh.restore(e.snapshot()) == []
    return fresh


@settings(max_examples=1000, deadline=None, suppress_health_check=slow_is_fine)
@given(todo=ops)
def test_columns_and_scalars_agree_on_findings_and_on_the_whole_state(todo: list[tuple[str, Any]]) -> None:
    agree("vectors", todo)


@settings(max_examples=1000, deadline=None, suppress_health_check=slow_is_fine)
@given(todo=ops)
def test_compiled_kernels_and_scalars_agree_too(compiled: None, todo: list[tuple[str, Any]]) -> None:
    agree("compiled", todo)


@settings(max_examples=300, deadline=None, suppress_health_check=slow_is_fine)
@given(todo=ops)
def test_kernels_in_plain_python_and_scalars_agree_too(todo: list[tuple[str, Any]]) -> None:
    agree("one by one", todo)


def agree(name: str, todo: list[tuple[str, Any]]) -> None:
    e, s, now = Engine(RULES, FIRST, START), ScalarEngine(RULES, FIRST, START), START
    for what, arg in todo:
        if what == "restart":
            e = restarted(e)
        elif what == "adopt":
            e.adopt(e.fork(list(e.points)))
        with way(name):
            got = tell(e, what, arg, now)
        assert list(map(seen, got)) == list(map(seen, tell(s, what, arg, now)))
        assert whole(e) == whole_scalar(s)
        if what in ("batch", "ramp", "scene"):
            now = told(what, arg, now)[1]
        for f in got:
            event(f"{f.rule} {f.level} {'on' if f.active else 'off'}")
    assert sorted(f.id for f in e.active()) == sorted(
        f"{r.row.rule.id}@{r.row.point}@{r.onset}" for r in s.rows.values() if r.level
    )


ordered = st.tuples(
    st.sampled_from(SERIES[:-1]), st.sampled_from([0, 0, 500, 1000, 3000, 31_000]), values, qualities
)
stream = st.lists(st.tuples(ordered, st.booleans(), st.booleans()), min_size=1, max_size=40)


@settings(max_examples=300, deadline=None, suppress_health_check=slow_is_fine)
@given(stream)
def test_cutting_a_stream_and_ticking_in_between_changes_nothing_but_the_moment(
    steps_: list[tuple[tuple[int, int, float, int], bool, bool]],
) -> None:
    uncut, cut = Engine(RULES, POINTS, START), Engine(RULES, POINTS, START)
    rows, _ = columns([row for row, _, _ in steps_], START)
    found: list[Finding] = []
    begin = 0
    for n, (_, here, ticking) in enumerate(steps_, 1):
        if here:
            found += cut.process(rows[begin:n])
            begin = n
            if ticking and (n == len(rows) or rows.t[n] > rows.t[n - 1]):
                found += cut.tick(int(rows.t[n] if n < len(rows) else rows.t[n - 1]) - 1)
    found += cut.process(rows[begin:])
    end = int(rows.t[-1]) + 120_000
    found += cut.tick(end)
    at_once = uncut.process(rows) + uncut.tick(end)
    assert sorted(map(seen, found)) == sorted(map(seen, at_once))
    assert column_state(cut) == column_state(uncut)


def test_a_time_before_all_times_does_not_overflow() -> None:
    assert START - NEVER > 0
    assert np.int64(START) - np.int64(NEVER) > 0
