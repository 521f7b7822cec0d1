"""Night flow and residual: columns and scalars agree on findings and state, however they are fed."""

from __future__ import annotations

import math
from dataclasses import astuple
from typing import Any

import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from alerts.engine import Engine, PointInfo
from alerts.engine.block import Block
from alerts.engine.night_flow import NightFlowBlock
from alerts.engine.residual import ResidualBlock
from alerts.rules import Rule, rule_from_dict
from alerts.scalar import ScalarEngine
from alerts.scalar.night_flow import NightFlowRow
from alerts.scalar.residual import ResidualRow
from alerts.scalar.rows import NEVER, ScalarRow
from gateway.model import Finding, Level, Samples, quality

DAY = 86_400_000
START = 20_718 * DAY - 28_800_000  # midnight on site
BASE: dict[str, Any] = {
    "for": "water", "priority": 4, "event": "water_supply", "life": False, "latch": False,
    "name": {"zh": "名", "en": "name"}, "cause": {"zh": "因", "en": "cause"},
    "consequence": {"zh": "果", "en": "effect"}, "response": {"zh": "做", "en": "do"},
    "time_limit_s": 60, "owner": "TE", "source": "test",
}  # fmt: skip
RAW: list[dict[str, Any]] = [
    {"id": "night", "kind": "night_flow", "tag": "x.flow"},
    {"id": "night2", "kind": "night_flow", "tag": "x.flow", "from_h": 1, "to_h": 5, "min_rise": 3, "h": 2},
    {"id": "fit", "kind": "residual", "tag": "x.flow", "others": "x.current|x.heat|x.none", "gate": "x.run",
     "step_s": 2, "fit_s": 110, "smooth_s": 4, "follow_s": 200, "k": 4, "min_change": 0.5},
    {"id": "own", "kind": "residual", "tag": "x.current|x.heat", "step_s": 2, "fit_s": 60, "smooth_s": 2,
     "follow_s": 60, "k": 3},
]  # fmt: skip
RULES: list[Rule] = [rule_from_dict({**BASE, **raw}) for raw in RAW]
TAGS = ("x.flow", "x.current", "x.heat", "x.run")
POINTS = [
    PointInfo(10 * a + n, f"{asset}/{tag}", asset, "e", "water", tag)
    for a, asset in enumerate("ab", 1)
    for n, tag in enumerate(TAGS)
    if (asset, tag) != ("b", "x.heat")
]
FIRST, LATER = POINTS[:4], POINTS[4:]
SERIES = [p.series for p in POINTS]


def column_state(e: Engine) -> dict[Any, Any]:
    return {row.key: _columns(b, k) for b in e.blocks.values() for k, row in enumerate(b.rows)}


def _columns(b: Block, k: int) -> Any:
    n = len(b.rows[k].inputs)
    s: list[Any] = [int(b.level[k]), int(b.onset[k]), b.seen[:n, k].tolist()]
    if isinstance(b, NightFlowBlock):
        known = [[x for x in column[:, k].tolist() if x == x] for column in (b.usual, b.recent)]
        s += [_day(b.open[k]), _day(b.day[k]), int(b.nights[k]), b.past[:, k].tolist(), *known]
        s += [b.up[k], b.down[k], b.excess[k], b.peak[k], b.value[k], b.expected[k]]
        if b.open[k] > NEVER:
            s += [b.total[k], int(b.count[k]), int(b.slots[k])]
    if isinstance(b, ResidualBlock):
        m = int(b.inputs[k])
        s += [int(b.bucket[k]), bool(b.shut[k]), bool(b.gate[k]), int(b.n[k]), int(b.streak[k])]
        s += [b.held[:m, k].tolist(), b.area[:m, k].tolist(), b.mark[:m, k].tolist()]
        s += [b.origin[:m, k].tolist(), b.sums[:m, k].tolist(), b.weights[:m, k].tolist()]
        s += [b.products[: m * (m + 1) // 2, k].tolist(), b.smooth[k], b.zero[k], b.square[k]]
        s += [b.value[k], b.expected[k]]
    return _said(s)


def _day(day: Any) -> int | None:
    return None if day == NEVER else int(day)


def _said(s: Any) -> Any:
    if isinstance(s, list):
        return [_said(x) for x in s]
    return repr(float(s)) if isinstance(s, float | np.floating) else s


def scalar_state(e: ScalarEngine) -> dict[Any, Any]:
    return {key: _scalar(row) for key, row in e.rows.items()}


def _scalar(r: ScalarRow) -> Any:
    s: list[Any] = [r.level, r.onset, r.seen]
    if isinstance(r, NightFlowRow):
        m = r.memory
        s += [r.open, m.day, m.nights, m.past, m.usual, m.recent, m.up, m.down]
        s += [r.excess, r.peak, r.value, r.expected]
        if r.open is not None:
            s += [r.total, r.count, r.slots]
    if isinstance(r, ResidualRow):
        s += [r.bucket, r.shut, r.gate, r.n, r.streak, r.held, r.area, r.mark, r.origin, r.sums, r.weights]
        s += [r.products, r.smooth, r.zero, r.square, r.value, r.expected]
    return _said(s)


def seen(f: Finding) -> tuple[Any, ...]:
    return tuple(repr(x) for x in astuple(f))


class Twins:
    """Both engines, fed the same."""

    def __init__(self) -> None:
        self.e, self.s = Engine(RULES, FIRST, START), ScalarEngine(RULES, FIRST, START)
        self.now = START

    def feed(self, samples: Samples) -> None:
        self.same(self.e.process(samples), self.s.process(samples))

    def same(self, got: list[Finding], want: list[Finding]) -> None:
        for f in got:
            event(f"{f.rule} {f.level} {'on' if f.active else 'off'}")
        assert list(map(seen, got)) == list(map(seen, want))
        assert column_state(self.e) == scalar_state(self.s)

    def nights(self, base: int, n: int, flow: float, seed: int, parts: int) -> None:
        rng = np.random.default_rng(seed)
        times = self.now // DAY * DAY + 16 * 3_600_000 + np.arange(n)[:, None] * DAY
        t = (times + 7_200_000 + np.arange(-1, parts) * 900_000).ravel()
        t = t[t > self.now]
        v = flow * (1 + 0.05 * rng.standard_normal(len(t)))
        self.feed(Samples.of([base] * len(t), t.tolist(), v.tolist()))
        self.now = max(self.now, int(t.max(initial=self.now)))

    def run(self, base: int, n: int, off: float, gate: float, seed: int) -> None:
        """`n` seconds of a machine whose flow is `off` from what its current says."""
        rng = np.random.default_rng(seed)
        load = rng.normal(size=n)
        columns = {0: 20 + 3 * load + off, 1: 5 + load, 2: 40 - load, 3: np.full(n, gate)}
        known = [c for c in columns if base + c in SERIES]
        t = self.now + 1000 + 1000 * np.arange(n)
        rows = [(base + c, int(t[k]), float(columns[c][k])) for k in range(n) for c in known]
        self.feed(Samples.of([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]))
        self.now = int(t[-1])

    def leak(self, base: int, learn: int, rise: float, more: float, seed: int) -> None:
        """A whole story: learned nights, a rise, perhaps a second one, and the repair."""
        self.nights(base, learn, 5.0, seed, 8)
        self.nights(base, 4, 5.0 + rise, seed, 8)
        self.nights(base, 4, 5.0 + rise + more, seed, 8)
        self.nights(base, 5, 5.0, seed, 8)

    def fault(self, base: int, learn: int, off: float, seed: int) -> None:
        """A whole story: a healthy run, one that is off, healthy again."""
        self.run(base, learn, 0.0, 1.0, seed)
        self.run(base, 30, off, 1.0, seed)
        self.run(base, 40, 0.0, 1.0, seed)

    def other(self, what: str) -> None:
        if what == "add":
            assert self.e.add_points(LATER, self.now) == []
            self.s.add_points(LATER, self.now)
        elif what == "restart":
            fresh = Engine(RULES, list(self.e.points.values()))
            assert fresh.restore(self.e.snapshot()) == []
            self.e = fresh
        else:
            self.e.adopt(self.e.fork(list(self.e.points)))


values = st.sampled_from([0.0, -0.0, 5.0, 20.0, 21.5, 1e6, math.nan, math.inf])
qualities = st.sampled_from([quality(x) for x in [Level.GOOD] * 5 + [Level.UNCERTAIN, Level.BAD]])
steps = st.sampled_from([0, 500, 1000, 2000, 5000, -1500, 31_000, 900_000, 3_600_000, 4 * DAY])
sample = st.tuples(st.sampled_from([*SERIES, 999]), steps, values, qualities)
base = st.sampled_from([10, 20])
seeds = st.integers(0, 5)
op = st.one_of(
    st.tuples(st.just("batch"), st.lists(sample, max_size=10)),
    st.tuples(
        st.just("nights"),
        st.tuples(base, st.integers(1, 18), st.sampled_from([5.0, 5.0, 9.0, 0.0]), seeds,
                  st.sampled_from([4, 8, 8, 8])),
    ),
    st.tuples(
        st.just("run"),
        st.tuples(base, st.integers(5, 90), st.sampled_from([0.0, 0.0, 3.0, -8.0]),
                  st.sampled_from([1.0, 1.0, 1.0, 0.0]), seeds),
    ),
    st.tuples(
        st.just("leak"),
        st.tuples(
            base, st.integers(10, 22), st.sampled_from([3.0, 30.0]), st.sampled_from([0.0, 6.0]), seeds
        ),
    ),
    st.tuples(
        st.just("fault"), st.tuples(base, st.integers(100, 160), st.sampled_from([-8.0, 2.0]), seeds)
    ),
    st.tuples(st.just("prove"), st.tuples(st.sets(st.sampled_from(SERIES)), st.integers(-2000, 11_000))),
    st.tuples(st.just("tick"), st.integers(0, 14_000)),
    st.tuples(st.sampled_from(["add", "restart", "adopt"]), st.none()),
)  # fmt: skip
fine = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=200, deadline=None, suppress_health_check=fine)
@given(st.lists(op, min_size=1, max_size=9))
def test_columns_and_scalars_agree(todo: list[tuple[str, Any]]) -> None:
    twins = Twins()
    for what, arg in todo:
        if what == "batch":
            t, rows = twins.now, []
            for series, step, v, q in arg:
                rows.append((series, t + step, v, q))
                t = max(t, t + step)
            columns = [list(c) for c in zip(*rows, strict=True)] or [[], [], [], []]
            twins.feed(Samples.of(*columns))
            twins.now = t
        elif what in ("nights", "run", "leak", "fault"):
            getattr(twins, what)(*arg)
        elif what == "prove":
            t = twins.now + arg[1]
            twins.same(twins.e.prove(arg[0], t), twins.s.prove(arg[0], t))
        elif what == "tick":
            twins.same(twins.e.tick(twins.now + arg), twins.s.tick(twins.now + arg))
        else:
            twins.other(what)
            twins.same([], [])
    held = sorted(f.id for f in twins.e.active())
    assert held == sorted(
        f"{r.row.rule.id}@{r.row.point}@{r.onset}" for r in twins.s.rows.values() if r.level
    )


@settings(max_examples=10, deadline=None, suppress_health_check=fine)
@given(st.lists(st.integers(1, 600), max_size=6), st.integers(0, 9))
def test_replayed_history_says_what_live_said(cuts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = 300
    load = rng.normal(size=n)
    flow = 20 + 3 * load + np.where((np.arange(n) >= 200) & (np.arange(n) < 250), -4.0, 0.0)
    rows = [(10 + c, START + 1000 * k, float(v)) for k in range(n)
            for c, v in enumerate((flow[k], 5 + load[k], 40 - load[k], 1.0))]  # fmt: skip
    history = Samples.of([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])
    at_once = Engine(RULES, FIRST, START).process(history)
    assert [f.active for f in at_once if f.rule == "fit"][:2] == [True, False]
    live, found, begin = Engine(RULES, FIRST, START), list[Finding](), 0
    for cut in [*sorted(2 * c for c in cuts), len(history)]:
        found += live.process(history[begin:cut])
        begin = max(begin, cut)
        if 0 < begin < len(history) and history.t[begin] > history.t[begin - 1]:
            found += live.tick(int(history.t[begin]) - 1)
    assert sorted(map(seen, found)) == sorted(map(seen, at_once))


def test_the_state_of_a_row_is_bounded() -> None:
    engine = Engine(RULES, POINTS, START)
    size = {}
    for name in ("night_flow", "residual"):
        block = engine.blocks[name]
        size[name] = sum(a.nbytes for a in block.columns().values()) / len(block)
    assert size["night_flow"] <= 512
    assert size["residual"] <= 1024
