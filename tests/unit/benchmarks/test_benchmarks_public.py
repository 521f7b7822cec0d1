"""Guards on the public labelled series: what the detectors reach there does not get worse unseen.

The data is not part of this tree; without it the tests that need it are skipped.
"""

from __future__ import annotations

import numpy as np
import pytest

from alerts.detect.night import DAY
from benchmarks import ltown, skab

needs_skab = pytest.mark.skipif(not skab.load(), reason=f"no SKAB below {skab.DATA}")
needs_ltown = pytest.mark.skipif(not list(ltown.DATA.glob("flows*.csv")), reason=f"no L-Town in {ltown.DATA}")


@needs_skab
def test_on_skab_valve1_the_channels_keep_their_goals() -> None:
    runs = [r for r in skab.load() if r.name.startswith("valve1/")]
    assert len(runs) == 16
    ours, _ = skab.evaluate(runs, skab.ours)
    assert ours.f1 >= 0.83
    assert ours.false <= 23
    assert ours.missed <= 16
    plain, _ = skab.evaluate(runs, skab.threshold)
    ones, _ = skab.evaluate(runs, skab.ones)
    assert ones.f1 == pytest.approx(0.70, abs=0.01)
    assert ours.f1 > plain.f1 + 0.05
    told = skab.named(runs)
    assert max(told, key=lambda k: told[k]) == 7  # the flow, on which the valve acts


@needs_skab
def test_on_skab_without_faults_the_channels_are_quiet() -> None:
    assert skab.quiet(skab.read(skab.DATA / "anomaly-free/anomaly-free.csv")) <= 15


@needs_ltown
def test_on_l_town_the_night_flow_keeps_its_goals() -> None:
    t, columns = ltown.flows(ltown.DATA)
    truth = ltown.leaks(ltown.DATA, int(t[0]), int(t[-1]))
    alarms = ltown.ours(t, columns)
    score = ltown.judge(alarms, truth)
    assert len(score.abrupt) >= 4
    assert score.false <= 1
    by_chance, _, _ = ltown.chance(len(alarms), t, truth)
    assert len(score.abrupt) > 2 * by_chance


def test_one_alarm_is_credited_to_one_leak() -> None:
    day = DAY
    truth = [ltown.Leak("a", True, 10 * day, 17 * day), ltown.Leak("b", False, 5 * day, 40 * day)]
    assert ltown.judge([11 * day], truth) == ltown.Score(("a",), (), 0)
    assert ltown.judge([11 * day, 12 * day], truth) == ltown.Score(("a",), ("b",), 0)
    assert ltown.judge([11 * day, 12 * day, 13 * day, 50 * day], truth).false == 2


def test_the_figures_of_skab_count_samples_after_the_fit() -> None:
    n = skab.FIT + 8
    fault = np.asarray([False] * skab.FIT + [False, False, True, True, True, True, False, False])
    run = skab.Run("x", [], np.zeros((n, 8)), fault)
    alarm = np.asarray([True] * skab.FIT + [False, True, True, True, True, False, False, False])
    r = skab.result(skab.counts(run, alarm))
    assert (r.f1, r.false, r.missed) == (0.75, 25.0, 25.0)
