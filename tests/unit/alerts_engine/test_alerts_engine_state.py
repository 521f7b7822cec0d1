"""Points that come and go, snapshots over an edit of the rules, forks for a back-fill."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from alerts.engine import Engine, PointInfo, engine
from alerts.engine.bind import bind
from alerts.engine.columns import Feed, Index, Links, by_key, spread
from alerts.engine.engine import late
from alerts.engine.slope import middle, rank_below, theil_sen
from alerts.rules import Limit, Rule
from gateway.model import Samples

START = 1_790_000_000_000
Make = Callable[..., Any]


def point(series: int, asset: str = "a", tag: str = "x.p") -> PointInfo:
    return PointInfo(series, f"{asset}/{tag}", asset, "e", "water", tag)


def feed(e: Engine, *rows: tuple[int, float, float]) -> list[tuple[str, float, bool]]:
    t = [START + round(r[1] * 1000) for r in rows]
    found = e.process(Samples.of([r[0] for r in rows], t, [r[2] for r in rows]))
    return [(f.point, (f.onset - START) / 1000, f.active) for f in found]


@pytest.fixture
def high(rule: Make) -> Limit:
    made = rule(kind="limit", tag="*", h=10, on_delay_s=5, off_delay_s=0)
    assert isinstance(made, Limit)
    return made


def test_points_appear_and_pending_delays_go_on(high: Rule) -> None:
    e = Engine([high], [point(1)], START)
    feed(e, (1, 1, 11))
    assert e.add_points([point(2, "b")], START) == []
    assert feed(e, (2, 1, 11), (1, 6, 12), (2, 8, 1)) == [
        ("a/x.p", 6, True),
        ("b/x.p", 6, True),
        ("b/x.p", 6, False),
    ]


def test_points_that_vanish_end_their_conditions(high: Rule) -> None:
    e = Engine([high], [point(1), point(2, "b")], START)
    feed(e, (1, 1, 11), (2, 1, 11), (1, 7, 11), (2, 7, 11))
    ended = e.remove_points([2])
    assert [(f.condition, f.active, f.onset - START, f.t - START) for f in ended] == [
        ("r@b/x.p", False, 6000, 7000)
    ]
    assert ended[0].facts["ended_by"]
    assert [f.point for f in e.active()] == ["a/x.p"]
    assert feed(e, (2, 9, 11)) == []
    assert e.counts["unknown"] == 1


def test_a_reworded_rule_keeps_its_alarms_and_a_moved_limit_starts_fresh(high: Limit) -> None:
    e = Engine([high], [point(1)], START)
    feed(e, (1, 1, 11), (1, 7, 11))
    said = replace(high, name={"zh": "新", "en": "new"}, priority=3, source="other")
    same = Engine([said], [point(1)])
    assert same.restore(e.snapshot()) == []
    assert feed(same, (1, 8, 1)) == [("a/x.p", 6, False)]
    moved = Engine([replace(high, h=12.0)], [point(1)])
    assert [(f.rule, f.active, f.onset - START) for f in moved.restore(e.snapshot())] == [("r", False, 6000)]
    assert moved.active() == []
    assert feed(moved, (1, 7, 13)) == [], "what was fed stays fed"
    assert same.rules_hash == e.rules_hash != moved.rules_hash


def test_other_limits_at_one_asset(high: Limit) -> None:
    e = Engine([replace(high, at={"b": {"h": 20.0}})], [point(1), point(2, "b")], START)
    assert feed(e, (1, 1, 15), (2, 1, 15), (1, 9, 15), (2, 9, 15)) == [("a/x.p", 6, True)]


@pytest.mark.parametrize("data", [b"", b"nonsense", b"PK\x03\x04 broken"])
def test_bytes_that_are_no_snapshot(high: Rule, data: bytes) -> None:
    with pytest.raises(ValueError, match="no snapshot"):
        Engine([high], [point(1)]).restore(data)


def test_a_snapshot_of_another_version_is_refused(high: Rule) -> None:
    e = Engine([high], [point(1)])
    with np.load(io.BytesIO(e.snapshot())) as file:
        arrays = {k: file[k] for k in file.files}
    header = json.loads(arrays.pop("header").tobytes()) | {"schema": 99}
    out = io.BytesIO()
    np.savez(out, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    with pytest.raises(ValueError, match="schema 99"):
        e.restore(out.getvalue())


def test_a_backlog_runs_through_a_fork_and_the_live_engine_goes_on_from_its_end(high: Rule) -> None:
    e = Engine([high], [point(1), point(2, "b"), point(3, "a", "x.q")], START)
    feed(e, (1, 1, 11), (2, 1, 1), (3, 1, 1))
    fork = e.fork([1])
    assert sorted(fork.points) == [1, 3], "all points of the asset"
    assert feed(fork, (1, 4, 11), (1, 9, 11), (1, 11, 1), (1, 12, 11)) == [
        ("a/x.p", 6, True),
        ("a/x.p", 6, False),
    ]
    assert e.active() == []
    e.adopt(fork)
    assert e.counts["fed"] == 7
    assert feed(e, (1, 18, 11)) == [("a/x.p", 17, True)]


def test_what_was_fed_meanwhile_is_not_undone(high: Rule) -> None:
    e = Engine([high], [point(1), point(3, "a", "x.q")], START)
    fork = e.fork([1])
    feed(e, (1, 20, 11), (1, 26, 11))
    feed(fork, (1, 4, 1), (3, 5, 11))
    e.adopt(fork)
    assert [f.point for f in e.active()] == ["a/x.p"]
    assert feed(e, (3, 11, 11)) == [("a/x.q", 10, True)]


def test_findings_of_a_backlog_can_be_marked(high: Rule) -> None:
    e = Engine([high], [point(1)])
    found = e.process(Samples.of([1, 1], [START, START + 6000], [11, 11]))
    assert [f.late for f in late(found)] == [True]
    assert [f.id for f in late(found)] == [f.id for f in found]


def test_an_engine_without_points_or_rules(high: Rule) -> None:
    for e in (Engine([], [], START), Engine([high], [], START), Engine([], [point(1)], START)):
        assert feed(e, (1, 1, 11)) == []
        assert e.tick(START + 99_999) == e.prove([1, 2], START + 99_999) == e.active() == []
        assert Engine(e.rules, list(e.points.values())).restore(e.snapshot()) == []


def test_a_window_that_another_rule_makes_longer_keeps_what_it_holds(rule: Make) -> None:
    """A row of ten buckets, in columns that have room for thirty after an edit of the rules."""
    short = {"kind": "slope", "tag": "x.p", "direction": "up", "limit": 9, "window_s": 40, "step_s": 4,
             "horizon_s": 120, "min_points": 5}  # fmt: skip
    one = rule(**short)
    rows = [(1, float(s), 0.05 * s) for s in range(170)]
    whole = feed(Engine([one], [point(1)], START), *rows)
    assert whole, "the story says something"
    for cut in (20, 45, 60):
        e = Engine([one], [point(1)], START)
        said = feed(e, *rows[:cut])
        longer = Engine([one, rule(**{**short, "id": "s2", "window_s": 120})], [point(1)])
        assert longer.restore(e.snapshot()) == []
        found = longer.process(Samples.of([1] * (170 - cut), [START + 1000 * s for s in range(cut, 170)],
                                          [0.05 * s for s in range(cut, 170)]))  # fmt: skip
        said += [(f.point, (f.onset - START) / 1000, f.active) for f in found if f.rule == "r"]
        assert said == whole


def test_what_comes_and_goes_costs_what_it_is_and_not_what_is_there(
    rule: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 4,000 points, only those of the assets that change are looked at by rules."""
    looked: list[int] = []

    def counted(rules: Any, points: Any) -> Any:
        looked.append(len(points))
        return bind(rules, points)

    monkeypatch.setattr(engine, "bind", counted)
    points = [point(n, f"a{n // 4}", f"x.p{n % 4}") for n in range(4000)]
    e = Engine([rule(kind="limit", tag="*", h=10), rule(id="s", kind="no_data", tag="*")], points, START)
    e.add_points([point(4000 + n, "new", f"x.p{n}") for n in range(10)], START)
    e.add_points(points, START)
    e.remove_points([0, 1])
    e.add_points([replace(points[9], period_s=60.0)])
    assert looked == [4000, 10, 2, 4]
    assert len(e.blocks["limit"]) == 4008
    assert e.blocks["limit"].gap[0, e.blocks["limit"].links.of(e._index.find(np.asarray([9])))] == [180_000]


# ── the tools below ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ids", [[3, 1, 7], [5, 4_000_000_000, 70_000_000], [], [0]])
def test_index_finds_dense_and_sparse_ids(ids: list[int]) -> None:
    index = Index(np.asarray(ids, np.int64))
    assert index.series[index.find(np.asarray(ids, np.int64))].tolist() == ids
    if len(ids) or index.table is not None:
        assert index.find(np.asarray([2, 4_100_000_000])).tolist() == [-1, -1]
    assert len(index) == len(ids)


def test_links_give_every_row_of_a_series_in_order() -> None:
    links, none = Links(), np.zeros(0, np.int64)
    links.replace(none, none, *np.asarray([[2, 0, 2, 2], [10, 11, 12, 13], [0, 0, 1, 0]]))
    links.settle(3, 3, 4)
    index, rows, roles = links.expand(np.asarray([2, 1, 0, 2]))
    assert not isinstance(index, slice)
    assert index.tolist() == [0, 0, 0, 2, 3, 3, 3]
    assert rows.tolist() == [10, 12, 13, 11, 10, 12, 13]
    assert roles.tolist() == [0, 1, 0, 0, 0, 1, 0]


def test_runs_are_stretches_of_one_series_and_what_arrived_is_not_forgotten() -> None:
    at, t = np.asarray([4, 1, 4, 4, 1, 0]), np.asarray([5, 5, 4, 5, 3, 2])
    order = by_key(at, t)
    assert order is not None
    assert order.tolist() == [5, 4, 1, 2, 0, 3], "by series, then time, then arrival"
    feed = Feed(at[order], t[order], order.astype(float), order)
    assert (feed.at.tolist(), feed.begin.tolist(), feed.end.tolist()) == ([0, 1, 4], [0, 1, 3], [1, 3, 6])
    assert feed.arrived[2].tolist() == [0, 1, 2, 3, 4, 5]
    assert spread(feed.begin[1:], feed.end[1:]) == slice(1, 6)
    apart = spread(feed.begin[[0, 2]], feed.end[[0, 2]])
    assert not isinstance(apart, slice)
    assert apart.tolist() == [0, 3, 4, 5]
    assert by_key(np.asarray([1, 2, 7]), np.asarray([9, 1, 1])) is None


def test_times_far_apart_are_sorted_too() -> None:
    at, t = np.asarray([3, 3, 1, 3]), np.asarray([2**61, -(2**61), 0, -(2**61)])
    order = by_key(at, t)
    assert order is not None
    assert order.tolist() == [2, 1, 3, 0]


def test_theil_sen_against_the_definition() -> None:
    rng = np.random.default_rng(3)
    x = np.cumsum(rng.integers(1, 4, (5, 9)), axis=1)
    y = 0.7 * x + rng.normal(0, 1, x.shape)
    y[:, 4] += 50  # one wild value moves nothing
    trend = theil_sen(x, y)
    for k in range(5):
        slopes = sorted((y[k, b] - y[k, a]) / (x[k, b] - x[k, a]) for a in range(9) for b in range(a + 1, 9))
        assert trend.slope[k] == np.median(slopes)
        assert trend.sure[k] < trend.low[k] < trend.slope[k]
        assert trend.slope[k] == pytest.approx(0.7, abs=0.5)
        assert trend.level[k] == pytest.approx(np.median(y[k] - trend.slope[k] * (x[k] - x[k, -1])))


def test_the_bound_is_the_rank_that_sen_gives() -> None:
    """n = 10: 45 slopes, sd √125 = 11.18; two-sided 95 % C = 21.9, lower rank (45 − 21.9)/2 = 11.5 → 11th."""
    assert rank_below(10, 1.959963984540054) == 10
    assert rank_below(2, 5.0) == 0
    assert middle(np.asarray([[1.0, 2.0, 4.0, 9.0]])).tolist() == [3.0]


def test_the_80_percent_bound_holds_its_promise() -> None:
    """Of 2,000 noisy lines, the slope is above its one-sided 80 % bound in about 80 %."""
    rng = np.random.default_rng(11)
    x = np.tile(np.arange(20), (2000, 1))
    trend = theil_sen(x, 0.3 * x + rng.normal(0, 1, x.shape))
    assert 0.77 < float((trend.low < 0.3).mean()) < 0.87
    assert 0.95 < float((trend.sure < 0.3).mean()) < 0.995
