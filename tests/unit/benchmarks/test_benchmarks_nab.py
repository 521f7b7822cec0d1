"""Guards on NAB: the scorer keeps its rules, and the detector what it reaches.

The data is not part of this tree; without it the tests that need it are skipped.
"""

from __future__ import annotations

import numpy as np
import pytest

from alerts.backtest import ALARM
from benchmarks import nab

needs_nab = pytest.mark.skipif(not nab.load(), reason=f"no NAB below {nab.DATA}")


def made(n: int = 1000, *windows: tuple[int, int]) -> nab.Series:
    return nab.Series("g/f.csv", [], np.zeros(n), windows)


def hits(n: int, *at: int) -> nab.Scores:
    s = np.zeros(n)
    s[list(at)] = 1.0
    return {"g/f.csv": s}


def test_perfect_is_100_nothing_is_0_and_a_miss_costs_its_window() -> None:
    s = made(1000, (300, 399), (700, 799))
    assert nab.at(0.5, hits(1000, 300, 700), [s], nab.STANDARD).score == pytest.approx(100)
    assert nab.at(0.5, hits(1000), [s], nab.STANDARD).score == 0
    assert nab.at(0.5, hits(1000, 300), [s], nab.STANDARD).score == pytest.approx(50)
    assert nab.at(0.5, hits(1000, 300), [s], nab.LOW_FN).score == pytest.approx(100 * (1 - 2 + 4) / 6)


def test_earlier_is_worth_more_and_only_the_first_in_a_window_counts() -> None:
    s = made(1000, (300, 399))
    early, late = (nab.at(0.5, hits(1000, k), [s], nab.STANDARD).score for k in (310, 395))
    assert 100 > early > late > 50
    assert nab.at(0.5, hits(1000, 310, 395), [s], nab.STANDARD).score == early


def test_a_false_detection_costs_by_its_distance_and_its_profile() -> None:
    s = made(2000, (400, 499))
    near, far = (nab.at(0.5, hits(2000, 400, k), [s], nab.STANDARD).score for k in (505, 1500))
    assert 100 > near > far == pytest.approx(100 - 0.11 / 2 * 100)
    assert nab.at(0.5, hits(2000, 400, 1500), [s], nab.LOW_FP).score == pytest.approx(100 - 0.22 / 2 * 100)
    assert nab.at(0.5, hits(2000, 400, 350), [s], nab.STANDARD).score == far, "before the first window"


def test_the_trial_does_not_count() -> None:
    s = made(1000, (300, 399))
    assert nab.at(0.5, hits(1000, 149), [s], nab.STANDARD).false == 0
    assert nab.at(0.5, hits(1000, 150), [s], nab.STANDARD).false == 1
    assert (made(9000).where == nab.IN_TRIAL).sum() == 750


def test_the_best_threshold_is_that_of_trying_all() -> None:
    rng = np.random.default_rng(3)
    s = made(600, (200, 230), (400, 420))
    for _ in range(20):
        scores = {"g/f.csv": np.where(rng.random(600) < 0.02, rng.integers(1, 9, 600) / 10, 0.0)}
        tried = [nab.at(t / 10, scores, [s], nab.STANDARD).score for t in range(1, 10)]
        assert nab.best(scores, [s], nab.STANDARD).score == pytest.approx(max(0.0, *tried))


@needs_nab
def test_on_nab_one_series_keeps_its_goals() -> None:
    data = nab.load()
    scores = nab.run("baseline", data)
    assert nab.best(scores, data, nab.STANDARD).score >= 75
    assert nab.best(scores, data, nab.LOW_FP).score >= 67
    assert nab.at(ALARM, scores, data, nab.STANDARD).score >= 70
    assert nab.pooled(nab.held_out(scores, data), data) >= 65
    quiet = [x for x in data if not x.windows]
    assert not any((scores[x.name] >= ALARM).any() for x in quiet)
    for name, most in (("null", 0), ("ones", 0), ("random", 15), ("threshold", 30)):
        assert nab.best(nab.run(name, data), data, nab.STANDARD).score <= most
