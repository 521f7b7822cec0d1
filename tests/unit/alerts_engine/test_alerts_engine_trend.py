"""Trends of days: forecast with its interval, what is no trend, and how few series are looked at closely."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import alerts.engine.trend as columns
from alerts.engine import Engine, PointInfo
from alerts.rules import Trend, rule_from_dict
from alerts.sentences import sentence
from gateway.model import Finding, Samples

DAY, HOUR = 86_400_000, 3_600_000
START = 20_700 * DAY
BASE: dict[str, Any] = {
    "id": "x.trend", "kind": "trend", "for": "water", "tag": "x.p", "priority": 4, "event": "water_supply",
    "life": False, "latch": False, "name": {"zh": "名", "en": "Name"}, "cause": {"zh": "因", "en": "cause"},
    "consequence": {"zh": "果", "en": "effect"}, "response": {"zh": "做", "en": "do"},
    "time_limit_s": 60, "owner": "TE", "source": "test",
}  # fmt: skip
Value = Callable[[float], float]
"""Value by day."""


def rule(**changes: Any) -> Trend:
    made = rule_from_dict({**BASE, **changes})
    assert isinstance(made, Trend)
    return made


def tell(
    value: Value,
    days: float,
    *,
    sigma: float = 0.05,
    seed: int = 1,
    lost: Sequence[tuple[float, float]] = (),
    **changes: Any,
) -> list[Finding]:
    """Findings of a point that is read twice an hour; `lost`: days from and to which nothing came."""
    dice = np.random.default_rng(seed)
    at = np.arange(0, days, 1 / 48)
    keep = np.ones(len(at), np.bool_)
    for begin, end in lost:
        keep &= (at < begin) | (at >= end)
    v = np.asarray([value(x) for x in at]) + dice.normal(0, sigma, len(at))
    engine = Engine([rule(**changes)], [PointInfo(1, "a/x.p", "a", "e", "water", "x.p", 1800.0)], START)
    t = START + (at * DAY).astype(np.int64)
    return engine.process(Samples.of([1] * int(keep.sum()), t[keep].tolist(), v[keep].tolist()))


def day(f: Finding) -> float:
    return (f.t - START) / DAY


def ramp(begin: float, per_day: float) -> Value:
    return lambda x: max(0.0, x - begin) * per_day


def test_a_ramp_is_told_long_before_its_limit_with_a_date_that_holds() -> None:
    found = tell(ramp(20, 0.1), 50, h=3.0)  # passes 3.0 on day 50
    assert [f.active for f in found] == [True]
    assert day(found[0]) <= 35 + 8, "half of the ramp is 15 days; the limit is watched 14 days ahead"
    facts = found[0].facts
    first, eta, last = ((facts[k] - START) / DAY for k in ("first", "eta", "last"))
    assert first < eta < last
    assert first - 2 <= 50 <= last + 2
    text = sentence(found[0], rule(h=3.0), unit="bar")
    assert "80 % interval" in text["en"]
    assert "80 % 区间" in text["zh"]
    assert "3.00 bar" in text["en"]


def test_it_goes_both_ways_and_with_ratios_of_its_own_beginning() -> None:
    up = tell(lambda x: 2.8 * (1 + 0.01 * max(0.0, x - 20)), 44, sigma=0.02, h_ratio=1.25)
    assert [(f.level, f.active) for f in up] == [("H", True)]
    assert up[0].limit == pytest.approx(2.8 * 1.25, rel=0.01)
    assert "was 2.8" in sentence(up[0], rule(h_ratio=1.25))["en"]
    down = tell(lambda x: 10 - 0.2 * max(0.0, x - 20), 45, l=5.0)
    assert [(f.level, f.active) for f in down] == [("L", True)]
    assert down[0].facts["per_day"] == pytest.approx(-0.2, rel=0.2)


@pytest.mark.parametrize("seed", range(6))
def test_what_is_no_trend(seed: int) -> None:
    assert tell(lambda x: 1.0, 80, seed=seed, h=1.5, l=0.5) == [], "noise"
    assert tell(lambda x: 1.0 + 0.6 * np.sin(2 * np.pi * x), 80, seed=seed, h=1.7) == [], "the day's course"
    assert tell(lambda x: 1.0 + 0.4 * (x % 7 > 5), 80, seed=seed, h=1.7) == [], "the week's course"
    assert tell(lambda x: 1.0 + 0.4 * (x > 40), 80, seed=seed, h=1.6) == [], "a step"
    assert tell(ramp(10, 0.01), 80, seed=seed, h=9.0) == [], "too slow to arrive in time"


@pytest.mark.parametrize("seed", range(4))
def test_gaps_fake_no_trend(seed: int) -> None:
    def shifted(x: float) -> float:
        return 1.0 + 0.4 * (x > 40)  # another sensor after the gap

    assert tell(shifted, 80, seed=seed, h=1.6, lost=[(30, 40)]) == []

    def course(x: float) -> float:
        return 1.0 + 0.6 * float(np.sin(2 * np.pi * x))

    halves = [(d + 0.5 - d / 200, d + 1.0) for d in range(20, 60, 3)]  # half of the day is missing
    assert tell(course, 80, seed=seed, h=1.8, lost=halves) == []


def test_a_repair_ends_it_within_days_and_it_does_not_come_again() -> None:
    found = tell(lambda x: ramp(20, 0.1)(x) * (x < 45), 90, h=3.0)
    assert [f.active for f in found] == [True, False]
    assert day(found[1]) <= 48


def test_a_value_that_means_off_is_left_out() -> None:
    found = tell(lambda x: (2 + 0.05 * max(0.0, x - 20)) * (x * 24 % 2 < 1), 50, h=3.5, above=0.5)
    assert [f.level for f in found] == ["H"]


def test_only_series_that_move_are_looked_at_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    close = columns.fit

    def counted(x: Any, y: Any) -> Any:
        looked.append(len(y))
        return close(x, y)

    monkeypatch.setattr(columns, "fit", counted)
    n, days = 2000, 40
    points = [PointInfo(k, f"a{k}/x.p", f"a{k}", "e", "water", "x.p", 14_400.0) for k in range(n)]
    engine = Engine([rule(h=9.0)], points, START)
    dice = np.random.default_rng(7)
    series = np.tile(np.arange(n), 6)
    found: list[Finding] = []
    for d in range(days):
        t = START + d * DAY + np.repeat(np.arange(6) * 4 * HOUR, n)
        v = 5 + dice.normal(0, 0.2, len(t)) + np.where(series < 5, 0.1 * d, 0.0)
        found += engine.process(Samples.of(series.tolist(), t.tolist(), v.tolist()))
    assert {f.asset for f in found} == {f"a{k}" for k in range(5)}
    assert sum(looked) <= 0.02 * n * days, "of 54,000 evaluations"
