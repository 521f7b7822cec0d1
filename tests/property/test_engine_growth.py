"""Points that come, change and go: as if all columns were built anew each time; nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, replace
from typing import Any

import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from alerts.engine import Engine, PointInfo
from alerts.engine.baseline import BaselineBlock
from alerts.engine.block import Block
from alerts.engine.cycles import CyclesBlock
from alerts.engine.grow import row_columns
from alerts.engine.shift import ShiftBlock
from alerts.engine.slope import SlopeBlock
from alerts.rules import RULE_KINDS, Rule, rule_from_dict
from gateway.model import Finding, Level, Samples, quality

START = 1_790_000_000_000
BASE: dict[str, Any] = {
    "for": "water", "priority": 2, "event": "water_supply", "life": False, "latch": False,
    "name": {"zh": "名", "en": "name"}, "cause": {"zh": "因", "en": "cause"},
    "consequence": {"zh": "果", "en": "effect"}, "response": {"zh": "做", "en": "do"},
    "time_limit_s": 60, "owner": "TE", "source": "test",
}  # fmt: skip
RAW: list[dict[str, Any]] = [
    {"kind": "limit", "tag": "x.*", "l": 2, "h": 6, "hh": 8, "on_delay_s": 2, "off_delay_s": 3,
     "at": {"b": {"h": 5.5}}},
    {"kind": "digital", "tag": "x.run|x.door", "on_delay_s": 3},
    {"kind": "rate", "tag": "x.p|x.q", "limit": 60, "off_delay_s": 4, "at": {"a": {"limit": 30.5}}},
    {"kind": "stuck", "tag": "x.p", "time_s": 5, "gate": "x.door|x.run"},
    {"kind": "no_data", "tag": "*", "timeout_s": 9},
    {"kind": "no_data", "tag": "*", "per": "device"},
    {"kind": "no_data", "tag": "x.p", "watch": "bad", "timeout_s": 3},
    {"kind": "slope", "tag": "x.p", "direction": "up", "limit": 9, "window_s": 40, "step_s": 4,
     "horizon_s": 120, "min_points": 5},
    {"kind": "slope", "tag": "x.q", "direction": "up", "limit": 9, "window_s": 90, "step_s": 4,
     "horizon_s": 120, "min_points": 5},
    {"kind": "shift", "tag": "x.p", "step_s": 0, "tau_s": 60, "warmup": 5, "h": 4, "z": 3, "min_sd": 0.2,
     "at": {"c": {"tau_s": 20}}},
    {"kind": "shift", "tag": "x.q", "step_s": 4, "tau_s": 30, "warmup": 5, "h": 2},
    {"kind": "combine", "all": [{"tag": "x.run"}, {"tag": "x.p", "op": ">=", "value": 3}], "on_delay_s": 6,
     "confirm": {"tag": "x.door"}, "confirm_delay_s": 1},
    {"kind": "night_flow", "tag": "x.p"},
    {"kind": "residual", "tag": "x.p", "others": "x.q|x.run", "step_s": 1, "fit_s": 50, "smooth_s": 2},
    {"kind": "baseline", "tag": "x.p", "step_s": 1, "alarms_per_month": 1000, "learn_s": 20},
    {"kind": "baseline", "tag": "x.p|x.q", "step_s": 1, "alarms_per_month": 1000, "learn_s": 20,
     "at": {"c": {"calendar": "none"}}},
    {"kind": "trend", "tag": "x.p", "h": 9, "l": 1, "step_s": 4, "window_s": 60, "horizon_s": 40,
     "min_points": 8},
    {"kind": "trend", "tag": "x.q", "h": 9, "step_s": 4, "window_s": 40, "horizon_s": 40, "min_points": 8},
    {"kind": "cycles", "tag": "x.run", "measure": "starts", "h": 3, "window_s": 20},
    {"kind": "cycles", "tag": "x.door", "measure": "duty", "points": 3, "step_s": 9, "h": 0.7},
    {"kind": "counter", "tag": "x.q", "max_per_h": 3, "hold_s": 7},
]  # fmt: skip
RULES: list[Rule] = [rule_from_dict({**BASE, "id": f"r{k}", **raw}) for k, raw in enumerate(RAW)]
assert {r.kind for r in RULES} == set(RULE_KINDS), "every kind of rule is in this test"
TAGS = ("x.p", "x.q", "x.run", "x.door")
POOL = [
    PointInfo(7 + 5 * n, f"{asset}/{tag}", asset, "e", "water", tag, device=f"{asset}{n % 2}")
    for n, (asset, tag) in enumerate((a, t) for a in "abc" for t in TAGS)
]
SERIES = [p.series for p in POOL]
FAR_AWAY = 4_000_000_000
"""A series id so high that there is no table for it."""


def seen(found: Iterable[Finding]) -> list[str]:
    return [repr(astuple(f)) for f in found]


def rebuilt(e: Engine, points: dict[int, PointInfo], start: int | None) -> tuple[Engine, list[Finding]]:
    """All columns anew, with the state of the old ones."""
    fresh = Engine(RULES, list(points.values()))
    ended = fresh.restore(e.snapshot())
    fresh.add_points([], start)
    return fresh, ended


def in_use(b: Block, name: str, k: int) -> int:
    """Newest entries of a window that the row looks at; what is older may lie there, where there is room."""
    if isinstance(b, SlopeBlock) and name in b.TAIL:
        return int(b.filled[k]) or 1
    if isinstance(b, CyclesBlock) and name == "recent":
        return int(b.points[k])
    return 0


def row_of(e: Engine, b: Block, k: int) -> dict[str, Any]:
    """State and settings of a row; columns as high as their highest row are cut to what is in use."""
    out: dict[str, Any] = {"row": b.rows[k]}
    for name in row_columns(type(b)):
        values = np.atleast_1d(getattr(b, name)[..., k]).tolist()[-in_use(b, name, k) :]
        if name in b.BLANK:
            blank, end = repr(b.BLANK[name]), 0 if name in b.TAIL else -1
            while values and repr(values[end]) == blank:
                values.pop(end)
        out[name] = list(map(repr, values))
    out["primary"] = e._index.series[b.primary[k]]
    if isinstance(b, ShiftBlock):
        out["of"] = [repr(getattr(b, name)[b.of[k]]) for name in sorted(b.SHARED)]
    if isinstance(b, BaselineBlock):
        out["which"] = b.days[b.which[k]]
    return out


def everything(e: Engine) -> Any:
    rows = {(n, r.key): row_of(e, b, k) for n, b in e.blocks.items() for k, r in enumerate(b.rows)}
    at = e._index.find(np.asarray(list(e.points), np.int64))
    series = [list(map(repr, column[at].tolist())) for column in (e._newest, e._bad, e._value)]
    return list(e.points.values()), rows, series, dict(+e.counts), seen(e.active())


def well_linked(e: Engine) -> None:
    """Every row is found by its inputs and by nothing else; flags are true; room is bounded."""
    assert len(e._index) == len(e.points)
    for b in e.blocks.values():
        want = sorted((s, k, role) for k, r in enumerate(b.rows) for role, s in enumerate(r.inputs))
        series = np.asarray(sorted(e.points), np.int64)
        index, rows, roles = b.links.expand(e._index.find(series))
        got = sorted(zip(series[index].tolist(), rows.tolist(), roles.tolist(), strict=True))
        assert got == want
        count = np.bincount(np.searchsorted(series, [w[0] for w in want]), minlength=len(series))
        assert b.links.single == bool(len(series) and count.max() <= 1)
        assert b.links.full == bool(len(series) and count.min() > 0)
        assert b.links.solo == (len(want) == len(b.rows))
        assert b.links._used <= 2 * len(want) + 64
        assert all(getattr(b, name).shape[-1] >= len(b.rows) for name in row_columns(type(b)))


values = st.sampled_from([0.0, 1.0, 1.0, 3.0, 5.7, 7.0, 9.0, 58.0])
qualities = st.sampled_from([0] * 6 + [quality(Level.BAD)])
sample = st.tuples(
    st.sampled_from(SERIES), st.sampled_from([0, 500, 1000, 2000, -700, 31_000]), values, qualities
)
ramp = st.tuples(st.sampled_from([p.asset for p in POOL]), st.floats(-0.2, 0.3), st.integers(5, 60))
some = st.lists(st.sampled_from(POOL), min_size=1, max_size=6)
changed = st.tuples(
    st.sampled_from(POOL), st.sampled_from(["period", "device", "asset", "tag"]), st.sampled_from("abc")
)
act = st.one_of(
    st.tuples(st.just("add"), some), st.tuples(st.just("add"), some), st.tuples(st.just("remove"), some),
    st.tuples(st.just("change"), changed), st.tuples(st.just("feed"), st.lists(sample, max_size=12)),
    st.tuples(st.just("ramp"), ramp), st.tuples(st.just("ramp"), ramp),
    st.tuples(st.just("tick"), st.integers(0, 40_000)), st.tuples(st.just("prove"), st.integers(0, 9000)),
    st.tuples(st.just("restart"), st.none()), st.tuples(st.just("fork"), st.sampled_from(SERIES)),
)  # fmt: skip


def another(p: PointInfo, what: str, asset: str, there: Iterable[PointInfo]) -> PointInfo:
    """The series stands for something else; never for a point that another series is."""
    if what == "period":
        return replace(p, period_s=20.0)
    if what == "device":
        return replace(p, device="other")
    new = replace(p, tag=f"x.{asset}") if what == "tag" else replace(p, asset=asset)
    new = replace(new, id=f"{new.asset}/{new.tag}")
    return p if any(q.id == new.id for q in there) else new


def told(what: str, arg: Any, now: int) -> Samples:
    rows, t = [], now
    if what == "feed":
        for series, step, v, q in arg:
            rows.append((series, t + step, v, q))
            t = max(t, t + step)
    else:
        asset, slope, n = arg
        mine = {p.tag: p.series for p in POOL if p.asset == asset}
        for k in range(n):
            v = 2.0 + slope * k + 0.05 * (k % 3)
            rows += [(mine["x.p"], now + 1000 * k, v, 0), (mine["x.q"], now + 1000 * k, 9 - v, 0)]
            rows += [(mine["x.run"], now + 1000 * k, float(k % 7 > 1), 0)]
            rows += [(mine["x.door"], now + 1000 * k, float(k % 11 > 5), 0)] if k % 2 else []
    return Samples.of(*([r[c] for r in rows] for c in range(4)))


class Pair:
    """The engine that grows, beside one that is built anew whenever its points change."""

    def __init__(self) -> None:
        self.grown, self.anew, self.now = Engine(RULES, [], START), Engine(RULES, [], START), START

    def points(self, put: dict[int, PointInfo], gone: set[int], start: int | None) -> None:
        wanted = {s: p for s, p in {**self.anew.points, **put}.items() if s not in gone}
        self.anew, ended = rebuilt(self.anew, wanted, start)
        for mine in (self.grown.add_points(list(put.values()), start),
                     self.grown.remove_points(gone)):  # fmt: skip
            ended = self._without(ended, mine)
        assert not ended

    def _without(self, ended: list[Finding], mine: list[Finding]) -> list[Finding]:
        assert set(seen(mine)) <= set(seen(ended))
        return [f for f in ended if seen([f])[0] not in seen(mine)]

    def do(self, what: str, arg: Any) -> None:
        if what == "add":
            taken = {p.id: s for s, p in self.grown.points.items()}
            put = {p.series: p for p in arg if taken.get(p.id, p.series) == p.series}
            self.points(put, set(), self.now if len(arg) % 2 else None)
        elif what == "remove":
            self.points({}, {p.series for p in arg}, None)
        elif what == "change":
            p, how, asset = arg
            self.points({p.series: another(p, how, asset, self.grown.points.values())}, set(), None)
        elif what == "restart":
            self.grown, ended = rebuilt(self.grown, dict(self.grown.points), None)
            assert not ended
        elif what == "fork":
            for e in (self.grown, self.anew):
                other = e.fork([arg])
                other.process(told("feed", [(arg, 600, 9.0, 0)], self.now))
                e.adopt(other)
        else:
            self.feed(what, arg)

    def feed(self, what: str, arg: Any) -> None:
        if what == "tick":
            got, want = (e.tick(self.now + arg) for e in (self.grown, self.anew))
        elif what == "prove":
            got, want = (e.prove(SERIES, self.now + arg) for e in (self.grown, self.anew))
        else:
            samples = told(what, arg, self.now)
            got, want = (e.process(samples) for e in (self.grown, self.anew))
            self.now = max([self.now, *samples.t.tolist()])
        assert seen(got) == seen(want)
        for f in got:
            event(f.rule)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(act, min_size=4, max_size=14))
def test_columns_that_grow_are_those_that_are_built_anew(todo: list[tuple[str, Any]]) -> None:
    pair = Pair()
    for what, arg in [("add", POOL[::2]), *todo]:
        pair.do(what, arg)
        well_linked(pair.grown)
        assert everything(pair.grown) == everything(pair.anew)


def test_a_place_that_is_used_again_knows_nothing_of_who_was_there() -> None:
    """The same story of one asset, in places that another asset had."""
    first, second = [p for p in POOL if p.asset == "a"], [p for p in POOL if p.asset == "b"]
    stories = [("ramp", (asset, 0.2, 60)) for asset in "ab"]
    alone = Engine(RULES, second, START + 90_000)
    want = seen(alone.process(told(*stories[1], START + 90_000)))
    e = Engine(RULES, first, START)
    assert e.process(told(*stories[0], START))
    size = e._index.size
    e.remove_points([p.series for p in first])
    assert [len(b) for b in e.blocks.values()] == [0] * len(e.blocks)
    assert e.add_points(second, START + 90_000) == []
    assert e._index.size == size
    assert seen(e.process(told(*stories[1], START + 90_000))) == want


def test_coming_and_going_takes_no_more_room() -> None:
    """A hundred estates of points, one after the other, in the room of one and a quarter."""
    e = Engine(RULES, POOL[:4], START)
    size = 0
    for n in range(100):
        batch = [replace(p, series=p.series + 1000 * (n % 7), asset=f"{p.asset}{n}",
                         id=f"{p.asset}{n}/{p.tag}") for p in POOL[4:]]  # fmt: skip
        e.add_points(batch, START)
        e.remove_points([p.series for p in batch])
        room = sum(getattr(b, c).nbytes for b in e.blocks.values() for c in row_columns(type(b)))
        room += sum(b.links.rows.nbytes for b in e.blocks.values()) + e._index.size
        size = size or room
        assert room <= size * 1.3
    assert [len(b) for b in e.blocks.values()] == [len(b) for b in Engine(RULES, POOL[:4]).blocks.values()]


def test_ids_without_a_table_come_and_go_too() -> None:
    far = [replace(p, series=p.series + FAR_AWAY * (n % 2)) for n, p in enumerate(POOL)]
    e = Engine(RULES, far[:5], START)
    for _ in range(3):
        e.add_points(far[5:], START)
        e.remove_points([p.series for p in far[5:9]])
        well_linked(e)
    assert e._index.table is None
    assert e._index.find(np.asarray([5, FAR_AWAY, 2**40])).tolist() == [-1, -1, -1]
