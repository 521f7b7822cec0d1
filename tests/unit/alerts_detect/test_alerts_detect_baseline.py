"""How one series is learnt and how rare is told: tails, hours, levels, episodes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from alerts.detect.baseline import Baseline
from alerts.detect.calibrate import BLOCK, NOMINAL, NORMAL_TAIL, Tail, fit_columns, ln, ln_columns
from alerts.detect.episodes import HOLD, Episodes

F8 = NDArray[np.float64]
QUARTER = 900_000
START = 1_790_000_000_000 // 86_400_000 * 86_400_000
MONTH = 30 * 96


def fed(values: F8, step: int = QUARTER) -> tuple[Baseline, list[float]]:
    b = Baseline(step)
    return b, [b.take(START + step * n, v).rarity for n, v in enumerate(values.tolist())]


def test_ln_is_the_logarithm_and_the_same_in_columns() -> None:
    x = np.concatenate([10.0 ** np.arange(-300, 300, 7), np.random.default_rng(1).random(1000) * 50])
    assert [ln(v) for v in x.tolist()] == ln_columns(x).tolist()
    assert np.allclose(ln_columns(x), np.log(x), rtol=1e-12, atol=1e-13)


def test_a_new_tail_is_that_of_normal_noise() -> None:
    assert sum(NORMAL_TAIL) == pytest.approx(NOMINAL)
    tail = Tail()
    exceeded = 1 - (0.5 * (1 + math.erf(math.exp(tail.begin) / math.sqrt(2)))) ** BLOCK
    assert exceeded == pytest.approx(0.1, abs=0.02)
    assert tail.rarity(1.0) == 0.0
    assert tail.rarity(3.0) < tail.rarity(6.0) < tail.rarity(60.0)


def test_a_tail_learns_what_the_series_does_and_forgets() -> None:
    rng, tail, before = np.random.default_rng(3), Tail(), Tail().rarity(20.0)
    for top in rng.exponential(9.0, 400).tolist():
        tail.learn(3.0 + top)
    wild = tail.rarity(20.0)
    assert wild < before / 2, "20 is ordinary for this one"
    for top in rng.normal(2.5, 0.3, 3000).tolist():
        tail.learn(top)
    assert tail.rarity(20.0) > 2 * wild


def test_tails_in_columns_are_the_tails_of_single_series() -> None:
    rng, tails = np.random.default_rng(4), [Tail() for _ in range(30)]
    for tail in tails:
        for top in rng.lognormal(rng.normal(), rng.random() * 2, int(rng.integers(0, 300))).tolist():
            tail.learn(top)
    counts, total = np.asarray([t.counts for t in tails]).T, np.asarray([t.total for t in tails])
    begin, slope = fit_columns(counts, total)
    assert begin.tolist() == [t.begin for t in tails]
    assert slope.tolist() == [t.slope for t in tails]


def noise(kind: str, n: int, seed: int) -> F8:
    rng = np.random.default_rng(seed)
    e, day = rng.standard_normal(n), np.sin(np.arange(n) % 96 / 96 * 2 * np.pi)
    slow = np.convolve(e, 0.9 ** np.arange(60))[:n]
    made: dict[str, F8] = {
        "white": 10 + e,
        "slow": 10 + slow,
        "daily": 10 + 5 * day + e / 2,
        "skewed": np.exp(0.8 * e),
        "counts": rng.poisson(2, n).astype(float),
        "rare": rng.poisson(0.02, n).astype(float),
        "coarse": np.round(20 + 0.2 * slow),
        "drifting": 10 + 0.03 * np.cumsum(e) + 0.3 * e,
        "seasons": 15 + 10 * np.sin(np.arange(n) / 96 / 365 * 2 * np.pi) + 4 * day + slow,
    }
    return made[kind]


@pytest.mark.parametrize(
    "kind", ["white", "slow", "daily", "skewed", "counts", "rare", "coarse", "drifting", "seasons"]
)
def test_the_budget_of_false_alarms_is_kept_on_series_without_faults(kind: str) -> None:
    """Half a year after the first week, nominal 5 a month."""
    months, budget = 6, 5.0
    limit = math.log(2 * MONTH / BLOCK / budget)
    episodes, alarms = Episodes(), 0
    b = Baseline(QUARTER)
    for n, v in enumerate(noise(kind, months * MONTH, 7).tolist()):
        rarity = b.take(START + QUARTER * n, v).rarity
        if episodes.new(START + QUARTER * n, rarity) and rarity >= limit and n > 7 * 96:
            alarms += 1
    assert alarms <= budget * months


def test_the_hour_is_what_is_expected() -> None:
    n = 10 * 96
    v = np.where(np.arange(n) % 96 < 48, 2.0, 8.0) + np.random.default_rng(5).normal(0, 0.1, n)
    b, _ = fed(v)
    at_night, at_noon = START + 10 * 86_400_000, START + 10 * 86_400_000 + 13 * 3_600_000
    assert b.take(at_night, 8.0).rarity > 5, "ordinary by day"
    judged = b.take(at_noon, 8.0)
    assert judged.expected == pytest.approx(8.0, abs=0.2)
    assert judged.rarity == 0.0


def test_a_fault_does_not_become_the_norm_in_a_day_but_a_new_level_does_in_weeks() -> None:
    v = 10 + np.random.default_rng(6).normal(0, 0.5, 40 * 96)
    v[10 * 96 :] += 4
    b = Baseline(QUARTER)
    expected = [b.take(START + QUARTER * n, x).expected for n, x in enumerate(v.tolist())]
    assert expected[11 * 96] < 12
    assert expected[-1] == pytest.approx(14, abs=0.4)


def test_an_alarm_is_told_once_a_day_unless_it_gets_clearly_stronger() -> None:
    e = Episodes()
    told = [
        (0, 4.0),
        (1, 4.5),
        (2, 4.9),
        (3, 5.0),
        (4, 0.0),
        (HOLD + 1, 5.5),
        (HOLD + 2, 5.5),
        (HOLD + 3, 0.1),
    ]
    assert [e.new(t, rarity) for t, rarity in told] == [
        True, False, True, False, False, False, True, False,
    ]  # fmt: skip
    assert e.new(HOLD + 2 + HOLD, 1.0)
