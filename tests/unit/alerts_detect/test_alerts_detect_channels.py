"""Several channels judged together: what raises, what does not, and which channel is named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from alerts.backtest import explain_channels, score_channels

F8 = NDArray[np.float64]
FIT, N = 300, 900
FLOW, CURRENT, HEAT, VALVE, DRIFT = range(5)


def plant(seed: int = 1, drift: float = 0.0) -> F8:
    """Three channels follow the load (two that agree tell the third apart), a dead valve, a drift."""
    rng = np.random.default_rng(seed)
    load = np.convolve(rng.normal(size=N + 20), np.ones(20) / 20, "valid")[:N] * 10
    flow = 30 + load + 0.1 * rng.normal(size=N)
    current = 5 + 0.5 * load + 0.05 * rng.normal(size=N)
    heat = 60 + 2 * load + 0.3 * rng.normal(size=N)
    wander = 20 + drift * np.arange(N) + 0.1 * rng.normal(size=N)
    return np.stack([flow, current, heat, np.ones(N), wander], axis=1)


def seconds() -> NDArray[np.int64]:
    return np.arange(N) * 1000


def test_a_healthy_machine_whose_load_wanders_raises_next_to_nothing() -> None:
    false = [score_channels(seconds(), plant(seed), FIT)[1][FIT:].mean() for seed in range(12)]
    assert np.mean(false) < 0.01


def test_a_slow_drift_like_that_of_the_fit_is_followed() -> None:
    assert not score_channels(seconds(), plant(2, drift=0.01), FIT)[1].any()


def test_flow_that_is_normal_by_itself_but_not_for_its_current_raises_and_is_named() -> None:
    matrix = plant(3)
    matrix[600:800, FLOW] -= 2.0
    inside = matrix[600:800, FLOW]
    assert matrix[:FIT, FLOW].min() < np.median(inside) < matrix[:FIT, FLOW].max()
    scores, alarms = score_channels(seconds(), matrix, FIT)
    assert alarms[620:800].all()
    assert not alarms[:600].any()
    assert not alarms[860:].any()
    assert (scores >= 0).all()
    assert (scores <= 1).all()
    told = explain_channels(seconds(), matrix, FIT)
    assert (told.channel[620:800] == FLOW).mean() > 0.9
    of_flow = np.flatnonzero(told.channel == FLOW)
    gap = (told.expected - told.value)[of_flow]
    assert 1.5 < np.median(gap) < 2.5
    assert (told.channel[~alarms] == -1).all()
    assert np.isnan(told.expected[~alarms]).all()


def test_what_comes_later_changes_nothing_that_was_said() -> None:
    matrix = plant(4)
    matrix[500:, HEAT] += 5
    whole = score_channels(seconds(), matrix, FIT)
    part = score_channels(seconds()[:620], matrix[:620], FIT)
    assert np.array_equal(part[0], whole[0][:620])
    assert np.array_equal(part[1], whole[1][:620])


def test_missing_readings_raise_nothing_and_do_not_hide_the_rest() -> None:
    matrix = plant(5)
    rng = np.random.default_rng(0)
    matrix[rng.random(matrix.shape) < 0.1] = np.nan
    matrix[400:450] = np.nan
    scores, alarms = score_channels(seconds(), matrix, FIT)
    assert np.isfinite(scores).all()
    assert not alarms.any()
    matrix[600:, CURRENT] += 2
    assert score_channels(seconds(), matrix, FIT)[1][640:].all()


def test_channels_that_never_move_or_never_answer_are_left_out() -> None:
    matrix = plant(6)
    matrix[500:, VALVE] = 0.0
    silent = np.column_stack([matrix, np.full(N, np.nan)])
    assert not score_channels(seconds(), silent, FIT)[1].any()


def test_scores_do_not_depend_on_units_or_on_how_time_is_written() -> None:
    matrix = plant(7)
    matrix[600:, FLOW] -= 3
    want = score_channels(seconds(), matrix, FIT)[0]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    times: list[Any] = [
        [start + timedelta(seconds=k) for k in range(N)],
        [(start + timedelta(seconds=k)).astimezone(timezone(timedelta(hours=8))) for k in range(N)],
        np.datetime64("2026-01-01", "s") + np.arange(N),
        [f"2026-01-01 {k // 3600:02}:{k // 60 % 60:02}:{k % 60:02}" for k in range(N)],
        np.arange(N) / 7.0,
    ]
    for t in times:
        assert np.allclose(score_channels(t, matrix, FIT)[0], want)
    units = matrix * np.asarray([1000.0, 0.001, 1.8, 1, 7]) + np.asarray([0, 5, 32, 0, 1e4])
    assert np.allclose(score_channels(seconds(), units, FIT)[0], want, atol=1e-6)


@pytest.mark.parametrize(
    ("times", "matrix", "fit", "words"),
    [
        (range(N), plant(), 40, "at least 60"),
        (range(N), plant(), N + 1, "901 rows, and there are 900"),
        (range(N), plant(), 0, "at least 60"),
        (range(N), plant(), -5, "at least 60"),
        (range(N), plant(), 300.5, "no whole number"),
        (range(N), plant(), None, "no whole number"),
        (["2026-01-01", "soon", *["2026-01-02"] * (N - 2)], plant(), FIT, "entry 1: 'soon' cannot be read"),
        ([0, 1, np.nan, *range(3, N)], plant(), FIT, "entry 2 is no time"),
        (np.full(N, "NaT", "M8[s]"), plant(), FIT, "entry 0 is no time"),
        ([datetime(2026, 1, 1, tzinfo=UTC), 5, *range(2, N)], plant(), FIT, "entry 1: 5 cannot be read"),
        (range(N), [[1.0, "x"]] * N, FIT, "row 0, column 1: 'x' is no number"),
        (range(3), [[1.0, 2.0], [3.0], [4.0, 5.0]], FIT, "row 1 has 1 columns instead of 2"),
        ([], np.empty((0, 3)), FIT, "and there are 0"),
        (range(N), np.tile(plant(), (1, 4)) + np.random.default_rng(1).normal(size=(N, 20)), 90, "at least"),
        (range(N), np.ones((N, 2)), FIT, "no channel moves"),
        (range(N - 1), plant(), FIT, "one for each"),
        (range(N, 0, -1), plant(), FIT, "sort"),
        (range(N), np.where(plant() > 30, np.inf, 1.0), FIT, "infinite"),
        (range(N), np.ones(N), FIT, "one row per sample"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_what_to_do(
    times: Any, matrix: Any, fit: Any, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        score_channels(list(times), matrix, fit)


@pytest.mark.parametrize("size", [1e-320, 1e-300, 1e-20, 1e20, 1e150, 1e300])
def test_channels_of_any_size_are_judged_alike(size: float) -> None:
    matrix = plant(8)
    matrix[600:700, FLOW] -= 3
    scores, alarms = score_channels(seconds(), matrix * [size, 1, size, 1, 1], FIT)
    assert np.isfinite(scores).all()
    if size > 1e-310:  # below, numbers have few digits
        assert np.array_equal(alarms, score_channels(seconds(), matrix, FIT)[1])


@pytest.mark.parametrize("spike", [1e9, 1e200, 1.7e308, -1.7e308])
def test_a_wild_reading_is_an_alarm_that_ends(spike: float) -> None:
    matrix = plant(9)
    matrix[400, FLOW] = spike
    scores, alarms = score_channels(seconds(), matrix, FIT)
    assert np.isfinite(scores).all()
    assert (scores <= 1).all()
    assert alarms[400]
    assert not alarms[800:].any()
    told = explain_channels(seconds(), matrix, FIT)
    assert told.channel[400] == FLOW
    assert told.value[400] == spike


@pytest.mark.parametrize("seed", range(20))
def test_scores_of_a_beginning_are_the_beginning_of_the_scores(seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = plant(seed)
    matrix[rng.random(matrix.shape) < rng.choice([0, 0.05, 0.4])] = np.nan
    at = int(rng.integers(FIT, N - 50))
    matrix[at : at + 50, rng.integers(0, 3)] *= rng.choice([0.0, 1.1, -3.0, 1e12])
    times = np.cumsum(rng.integers(0, 5, N))
    whole = score_channels(times, matrix, FIT)
    assert np.isfinite(whole[0]).all()
    assert ((whole[0] >= 0) & (whole[0] <= 1)).all()
    for cut in (FIT, FIT + 1, at, at + 7, N - 1):
        part = score_channels(times[:cut], matrix[:cut], FIT)
        assert np.allclose(part[0], whole[0][:cut], rtol=0, atol=1e-12)
        assert np.array_equal(part[1], whole[1][:cut])
