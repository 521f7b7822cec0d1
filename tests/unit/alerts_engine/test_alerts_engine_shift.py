"""Shift rules: jumps, small shifts that last, what they must not alarm on, how an alarm ends."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from alerts.engine import Engine, PointInfo
from alerts.rules import Rule
from gateway.errors import BadInput
from gateway.model import Finding, Samples

START = 1_790_000_000_000
DAY = 86_400
Make = Callable[..., Any]
POINT = [PointInfo(0, "a/x.p", "a", "e", "water", "x.p")]


def noise(n: int, *, phi: float = 0.0, seed: int = 1) -> Any:
    """Mean 0, deviation 1; each value resembles the one before by `phi`."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal(n) * np.sqrt(1 - phi * phi)
    for k in range(1, n if phi else 0):
        z[k] += phi * z[k - 1]
    return z


def fed(rule: Rule, v: Any, step_s: float = 1.0, at: float = 0.0) -> list[Finding]:
    """All findings of readings `step_s` apart."""
    t = START + np.asarray(1000 * (at + step_s * np.arange(len(v))), np.int64)
    return Engine([rule], POINT, START).process(
        Samples(np.zeros(len(v), np.uint32), t, v, np.zeros(len(v), np.uint8))
    )


@pytest.fixture
def raw(rule: Make) -> Make:
    """A rule that judges every reading; few warm-up values, a second is a long time."""
    base = {"kind": "shift", "tag": "x.p", "step_s": 0, "tau_s": 600, "warmup": 50, "z": 6}
    return lambda **kw: rule(**{**base, **kw})


def days(rule: Rule, v: Any) -> list[Finding]:
    """All findings of readings ten minutes apart."""
    point = [PointInfo(0, "a/x.p", "a", "e", "water", "x.p", period_s=600)]
    t = START + 600_000 * np.arange(len(v), dtype=np.int64)
    return Engine([rule], point, START).process(
        Samples(np.zeros(len(v), np.uint32), t, v, np.zeros(len(v), np.uint8))
    )


def test_as_shipped_it_is_silent_where_the_textbook_is_not(rule: Make) -> None:
    """Readings that resemble their neighbours, with a day and a week in them."""
    k = np.arange(144 * 120)
    v = 20 + noise(len(k), phi=0.95) + 2 * np.sin(k * 2 * np.pi / 144) + (k // 144 % 7 >= 5)
    assert days(rule(kind="shift", tag="x.p"), v) == []
    textbook = rule(kind="shift", tag="x.p", step_s=0, h=5, tau_s=10**7, warmup=144 * 14)
    assert sum(f.active for f in days(textbook, v)) > 100


def test_as_shipped_it_sees_within_days_what_no_single_reading_shows(rule: Make) -> None:
    """The mean of a day of 144 readings with φ = 0.95 has a deviation of about 0.5."""
    v = 20 + noise(144 * 80, phi=0.95)
    v[144 * 60 : 144 * 70] += 1.5
    found = days(rule(kind="shift", tag="x.p", min_sd=0.01), v)
    assert [(f.active, f.level) for f in found] == [(True, "H"), (False, "")]
    onset, end = ((f.t - START) / 1000 / DAY for f in found)
    assert 62 <= onset < 69
    assert 71 <= end < 80
    assert abs((found[0].facts["began"] - START) / 1000 / DAY - 61) <= 5
    assert found[0].facts["expected"] == pytest.approx(20, abs=0.4)


def test_a_jump_is_told_at_once_and_ends_when_the_value_is_back(raw: Make) -> None:
    v = 5 + 0.1 * noise(400)
    v[200:260] += 1.5
    found = fed(raw(), v)
    assert [(f.active, f.level) for f in found] == [(True, "H"), (False, "")]
    assert found[0].t == START + 200_000 == found[0].onset
    assert 260_000 <= found[1].t - START < 280_000
    assert found[0].limit == pytest.approx(5.6, abs=0.2)
    assert found[0].facts["sd"] == pytest.approx(0.1, abs=0.03)


def test_a_small_shift_takes_a_sum_and_a_single_wild_value_is_no_shift(raw: Make) -> None:
    v = noise(600)
    v[300:] -= 1.5
    found = fed(raw(z=None), v)
    assert [(f.active, f.level) for f in found][:1] == [(True, "L")]
    assert 302_000 < found[0].t - START < 330_000
    wild = noise(600)
    wild[300] = 1000.0
    assert fed(raw(z=None), wild) == []
    assert fed(raw(h=None, direction="down"), wild) == []
    assert [f.active for f in fed(raw(h=None), wild)] == [True, False]


def test_what_holds_is_not_learnt_until_it_is_the_usual(raw: Make) -> None:
    v = np.concatenate([noise(200), 8 + noise(3000, seed=2)])
    found = fed(raw(relearn_s=2000), v)
    assert [f.active for f in found] == [True, False]
    assert found[0].facts["expected"] == pytest.approx(0, abs=0.3)
    assert found[1].t - found[0].t == 2_001_000
    assert [f.active for f in fed(raw(relearn_s=10_000), v)] == [True]


def test_a_gap_keeps_the_baseline(raw: Make) -> None:
    engine = Engine([raw(z=4)], POINT, START)

    def feed(v: Any, at: int) -> list[Finding]:
        t = START + 1000 * (at + np.arange(len(v), dtype=np.int64))
        return engine.process(Samples(np.zeros(len(v), np.uint32), t, v, np.zeros(len(v), np.uint8)))

    assert feed(noise(300), 0) == []
    assert feed(noise(50, seed=3), 40_000) == []
    assert [f.level for f in feed(9 + noise(5, seed=4), 90_000)] == ["H"]


def test_a_step_with_a_gap_in_it_is_not_judged(rule: Make) -> None:
    means = rule(kind="shift", tag="x.p", step_s=60, tau_s=3600, warmup=10, min_sd=0.1, h=None, z=5)
    v = np.zeros(60 * 30)
    v[1500:1510] = 50.0  # would carry its step far away
    t = START + 1000 * np.arange(len(v), dtype=np.int64)
    every = np.ones(len(v), np.bool_)
    without = every.copy()
    without[1512:1550] = False
    for keep, levels in ((every, ["H"]), (without, [])):
        n = int(keep.sum())
        found = Engine([means], POINT, START).process(
            Samples(np.zeros(n, np.uint32), t[keep], v[keep], np.zeros(n, np.uint8))
        )
        assert [f.level for f in found] == levels


def test_a_series_without_a_scale_is_not_judged(raw: Make) -> None:
    v = np.concatenate([np.zeros(200), np.ones(1), np.zeros(100)])
    assert fed(raw(), v) == []
    assert [f.level for f in fed(raw(min_sd=0.1), v)] == ["H", ""]
    assert fed(raw(min_sd=1.0), v) == []
    still = np.concatenate([np.full(200, 50.0), np.full(100, 51.0)])
    assert [f.level for f in fed(raw(), still)] == ["H"], (
        "1 % of 50 is a deviation of 0.5: a sum of 2 − 0.5 each"
    )


def test_only_the_side_that_is_asked_for(raw: Make) -> None:
    v = np.concatenate([noise(200), 9 + noise(20, seed=2), noise(100, seed=3), noise(20, seed=4) - 9])
    assert {f.level for f in fed(raw(), v) if f.active} == {"H", "L"}
    assert {f.level for f in fed(raw(direction="up"), v) if f.active} == {"H"}
    assert {f.level for f in fed(raw(direction="down"), v) if f.active} == {"L"}


def test_from_one_side_to_the_other_is_one_occurrence_with_two_levels(raw: Make) -> None:
    v = np.concatenate([noise(200), 9 + noise(10, seed=2), noise(10, seed=4) - 9])
    found = fed(raw(), v)
    assert [f.level for f in found] == ["H", "L"]
    assert len({f.onset for f in found}) == 1
    assert all(a.t <= b.t for a, b in pairwise(found))


def test_values_at_the_end_of_the_range_of_numbers_break_nothing(raw: Make) -> None:
    v = np.concatenate([noise(60), np.asarray([1e308, -1e308, 1e308]), noise(60)])
    assert {f.level for f in fed(raw(), v)} <= {"", "H", "L"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"z": None, "h": None}, "neither z nor h"),
        ({"tau_s": 0}, "tau_s: 0.0 must be above 0"),
        ({"k": -1}, "k: -1.0 must be 0 or more"),
        ({"k": 4}, "winsor: 4 must be above k"),
        ({"warmup": 3}, "warmup: 3 values are no past"),
        ({"direction": "sideways"}, "must be both, up or down"),
        ({"z": float("nan")}, "z: nan must be above 0"),
    ],
)
def test_parameters_that_make_no_sense_say_why(rule: Make, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        rule(kind="shift", tag="x.p", **fields)
