"""The face of the detectors of one series: what it takes, what it refuses, and what its scores mean."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from alerts.backtest import ALARM, DETECTORS, alarms, score
from gateway.errors import BadInput

F8 = NDArray[np.float64]
START = 1_790_000_000_000
STEP = 300_000
N = 2400


def daily(n: int = N, seed: int = 1) -> tuple[NDArray[np.int64], F8]:
    rng = np.random.default_rng(seed)
    t = START + STEP * np.arange(n)
    return t, 10 + 3 * np.sin(t % 86_400_000 / 86_400_000 * 6.28) + rng.normal(0, 0.4, n)


def test_an_event_stands_out_once_at_its_beginning() -> None:
    t, v = daily()
    v[2000:2012] += 9
    found = np.flatnonzero(alarms(t, v))
    assert found[0] == 2000
    assert len(found) <= 2
    assert score(t, v)[2000] == score(t, v).max() < 1


def test_nothing_is_scored_while_it_learns_and_all_scores_are_within_0_and_1() -> None:
    t, v = daily()
    v[200] += 50
    s = score(t, v)
    assert not s[:288].any(), "a day in steps of five minutes"
    assert (s >= 0).all()
    assert (s < 1).all()
    fast = START + 1000 * np.arange(1200)
    v[700:720] += 50
    assert not score(fast, v[:1200])[:750].any(), "at most 750"
    assert score(START + 86_400_000 * np.arange(N), v)[50:].any(), "at least 50"


@pytest.mark.parametrize("detector", sorted(DETECTORS))
@pytest.mark.parametrize("cut", [1, 20, 49, 51, 288, 300, 700, 1199])
def test_the_scores_of_a_beginning_are_the_beginning_of_the_scores(detector: str, cut: int) -> None:
    t, v = daily(1200)
    v[[150, 400, 900]] += 12
    v[[7, 290, 640]] = np.nan
    t = t + np.random.default_rng(3).integers(0, 200_000, 1200)  # no even step
    assert (score(t[:cut], v[:cut], detector) == score(t, v, detector)[:cut]).all()


@pytest.mark.parametrize("detector", sorted(DETECTORS))
@pytest.mark.parametrize("v", [[], [np.nan] * 99, [1e308, -1e308] * 99, [np.inf] * 99, [0.0] * 99])
def test_odd_values_are_scored_without_a_warning(detector: str, v: list[float]) -> None:
    s = score(START + STEP * np.arange(len(v)), v, detector)
    assert np.isfinite(s).all()
    assert len(s) == len(v)


@pytest.mark.parametrize("detector", sorted(DETECTORS))
def test_it_is_causal(detector: str) -> None:
    t, v = daily(1200)
    changed = v.copy()
    changed[900:] = np.random.default_rng(2).normal(99, 30, 300)
    assert (score(t, v, detector)[:900] == score(t, changed, detector)[:900]).all()


@pytest.mark.parametrize(("factor", "shift"), [(1e-3, 0.0), (1e6, 0.0), (-1.0, 0.0), (2.0, 17.0)])
def test_the_unit_of_the_series_is_of_no_matter(factor: float, shift: float) -> None:
    t, v = daily()
    v[1500] -= 5
    v[2000] += 8
    same = score(t, v * factor + shift)
    assert np.allclose(same, score(t, v), atol=1e-6)


def test_a_jump_that_is_ordinary_for_a_wild_series_is_an_event_for_a_calm_one() -> None:
    t, v = daily()
    wild = v.copy()
    wild[::40] += 9
    for series in (v, wild):
        series[2010] += 9
    assert score(t, v)[2010] >= ALARM > score(t, wild)[2010]


def test_the_same_times_in_every_form_give_the_same_scores() -> None:
    t, v = daily(900)
    v[800] += 9
    want = score(t, v)
    assert want.any()
    moments = [datetime.fromtimestamp(x / 1000, UTC) for x in t.tolist()]
    east = timezone(timedelta(hours=8))
    forms: list[Any] = [
        t.tolist(), t.astype(np.float64), t.astype("datetime64[ms]"), t.astype("datetime64[ms]").tolist(),
        moments, [m.astimezone(east) for m in moments], [m.astimezone(east).isoformat() for m in moments],
        [m.strftime("%Y-%m-%d %H:%M:%S.%f") for m in moments],
        [m.strftime("%Y-%m-%dT%H:%M:%SZ") for m in moments],
    ]  # fmt: skip
    for form in forms:
        assert (score(form, v) == want).all()


def test_gaps_and_late_values_are_not_judged_and_teach_nothing() -> None:
    t, v = daily(900)
    v[800] += 9
    want = score(t, v)
    holes_t = np.insert(t, [300, 700, 850], [t[299], t[600], t[849] + 1000])
    holes_v = np.insert(v, [300, 700, 850], [1e9, -1e9, np.nan])
    got = score(holes_t, holes_v)
    added = [300, 701, 852]
    assert not got[added].any()
    assert (np.delete(got, added) == want).all()
    v[100:110] = np.inf
    assert not score(t, v)[100:110].any()


@pytest.mark.parametrize(
    ("t", "v", "said"),
    [
        ([START, START + 1], [1.0], "2 timestamps and 1 values"),
        ([START, START + 1], [1.0, "high"], "entry 1: 'high'"),
        (["2026-03-01 00:00", "yesterday"], [1, 2], "entry 1: 'yesterday'"),
        ([START, float("inf")], [1.0, 2.0], "entry 1: inf is no time"),
        ([START * 1000, START * 1000 + 1], [1.0, 2.0], "microseconds or nanoseconds"),
        ([1_790_000_000, 1_790_000_300], [1, 2], "seconds"),
        (np.asarray(["2026-03-01", "NaT"], "datetime64[s]"), [1, 2], "entry 1: NaT"),
        ([START + 3, START + 2, START + 1], [1, 2, 3], "sort"),
        ([START] * 5, [1, 2, 3, 4, 5], "one value for each"),
        ([START, None], [1, 2], "entry 1: None"),
        ([[START]], [1], "dimensions"),
        ([START], [[1]], "dimensions"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_the_place(t: Any, v: Any, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        score(t, v)


def test_an_unknown_detector_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(BadInput, match="baseline, ones, random, threshold"):
        score([START], [1.0], "htm")


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_short_series_have_no_alarms(n: int) -> None:
    t, v = daily(n)
    assert score(t, v).tolist() == [0.0] * n


@pytest.mark.parametrize("kind", ["constant", "huge", "tiny", "stairs"])
def test_odd_series_stay_finite_and_quiet(kind: str) -> None:
    t, v = daily()
    odd = {
        "constant": np.full(N, 20.0), "huge": v * 1e300, "tiny": v * 1e-300, "stairs": np.round(v / 50) * 50,
    }[kind]  # fmt: skip
    s = score(t, odd)
    assert np.isfinite(s).all()
    assert (s >= ALARM).sum() <= (2 if kind in ("tiny", "huge") else 0)
