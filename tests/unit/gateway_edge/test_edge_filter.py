from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.clock import ManualClock
from gateway.edge.clockguard import ClockGuard
from gateway.edge.filter import DOUBTFUL, NOT_A_NUMBER, Batch, Filter
from gateway.model import GOOD, Level, Point, Reason, quality

BAD = quality(Level.BAD, Reason.SENTINEL)


def batch(rows: Sequence[tuple[int, int, float, int]]) -> Batch:
    gid, t, v, q = zip(*rows, strict=True)
    return Batch(np.array(gid, np.intp), np.array(t, np.int64), np.array(v, float), np.array(q, np.uint8))


def passes(f: Filter, *rows: tuple[int, int, float, int]) -> list[bool]:
    return [bool(x) for x in f.process(batch(rows))]


def one(**kw: object) -> Filter:
    return Filter([Point("a", "t", **kw)])  # type: ignore[arg-type]


def test_first_sight_dead_band_and_silence() -> None:
    f = one(deadband=0.5, silence_s=10)
    assert passes(f, (0, 0, 1.0, GOOD)) == [True]
    assert passes(f, (0, 1000, 1.5, GOOD)) == [False]
    assert passes(f, (0, 2000, 1.6, GOOD)) == [True]
    assert passes(f, (0, 3000, 2.1, GOOD)) == [False]
    assert passes(f, (0, 11_999, 1.7, GOOD)) == [False]
    assert passes(f, (0, 12_000, 1.7, GOOD)) == [True]


def test_a_slow_drift_is_measured_from_what_was_sent() -> None:
    f = one(deadband=1.0, silence_s=3600)
    sent = [x for k in range(40) if passes(f, (0, k * 1000, x := k * 0.3, GOOD))[0]]
    assert max(np.diff(sent)) <= 1.0 + 0.3 + 1e-9


def test_states_ignore_the_dead_band() -> None:
    f = one(kind="digital", deadband=5)
    assert passes(f, (0, 0, 0, GOOD), (0, 100, 1, GOOD), (0, 200, 1, GOOD), (0, 300, 0, GOOD)) == [
        True, True, False, True,
    ]  # fmt: skip


def test_bad_passes_when_the_quality_changes_and_then_by_silence() -> None:
    f = one(silence_s=10)
    nan = float("nan")
    assert passes(f, (0, 0, 1.0, GOOD), (0, 1000, nan, BAD), (0, 2000, 7.0, BAD)) == [True, True, False]
    assert passes(f, (0, 11_000, nan, BAD)) == [True]
    assert passes(f, (0, 12_000, 1.0, GOOD)) == [True]


def test_stamps_rise_strictly_and_a_backward_stamp_is_doubted() -> None:
    f = one()
    rows = batch([(0, 5000, 1.0, GOOD), (0, 5000, 2.0, GOOD), (0, 1000, 3.0, GOOD)])
    f.process(rows)
    assert rows.t.tolist() == [5000, 5001, 5002]
    assert rows.q.tolist() == [GOOD, GOOD, DOUBTFUL]


def test_a_good_value_is_a_number() -> None:
    rows = batch([(0, 0, float("inf"), GOOD), (1, 0, float("nan"), GOOD)])
    Filter([Point("a", "t"), Point("a", "text", kind="text")]).process(rows)
    assert rows.q.tolist() == [NOT_A_NUMBER, GOOD]


def test_forgetting_sends_everything_again() -> None:
    f = one(silence_s=3600)
    assert passes(f, (0, 0, 1.0, GOOD), (0, 1, 1.0, GOOD)) == [True, False]
    f.forget()
    assert passes(f, (0, 2, 1.0, GOOD)) == [True]


ROW = st.tuples(
    st.integers(0, 2), st.integers(-2000, 5000), st.sampled_from([0.0, 0.4, 1.0, 1.6, float("nan")]),
    st.sampled_from([GOOD, BAD]),
)  # fmt: skip


@given(st.lists(st.lists(ROW, min_size=1, max_size=12), max_size=6))
def test_columns_agree_with_one_reading_at_a_time(ticks: list[list[tuple[int, int, float, int]]]) -> None:
    pts = [Point("a", "x", deadband=0.5, silence_s=2), Point("a", "y", kind="enum"), Point("a", "z")]
    columns, single = Filter(pts), Filter(pts)
    now = 10_000
    for tick in ticks:
        rows = [(g, now + t, v, q) for g, t, v, q in tick]
        now += 1500
        whole, parts = batch(rows), [batch([r]) for r in rows]
        passed = columns.process(whole)
        alone = [bool(single.process(p)[0]) for p in parts]
        assert passed.tolist() == alone
        assert whole.t.tolist() == [int(p.t[0]) for p in parts]
        assert whole.q.tolist() == [int(p.q[0]) for p in parts]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.floats(0, 100))
def test_sample_and_hold_is_never_further_away_than_the_dead_band(values: list[float], band: float) -> None:
    f = one(deadband=band, silence_s=3600)
    held = 0.0
    for k, x in enumerate(values):
        if passes(f, (0, k * 1000, x, GOOD))[0]:
            held = x
        assert abs(x - held) <= band


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.floats(0, 50))
def test_a_dead_band_in_percent_follows_the_value_sent_last(values: list[float], percent: float) -> None:
    f = one(deadband=0.5, deadband_pct=percent, silence_s=3600)
    held = 0.0
    for k, x in enumerate(values):
        allowed = max(0.5, percent / 100 * abs(held))
        if passes(f, (0, k * 1000, x, GOOD))[0]:
            assert k == 0 or abs(x - held) > allowed
            held = x
        else:
            assert abs(x - held) <= allowed


@pytest.mark.parametrize("band", [{"deadband": 0.02}, {"deadband_pct": 5.0}])
def test_a_noisy_pressure_of_an_hour_takes_a_tenth_of_the_messages(band: dict[str, float]) -> None:
    """0.42 MPa with noise of 4 kPa, once a second; a slow swing of 30 kPa is followed."""
    f, rng = one(**band, silence_s=60), np.random.default_rng(5)
    t = np.arange(3600)
    pressure = 0.42 + 0.03 * np.sin(t / 3600 * 2 * np.pi) + rng.normal(0, 0.004, t.size)
    sent, held, worst = 0, 0.0, 0.0
    for k, x in enumerate(pressure.tolist()):
        if passes(f, (0, k * 1000, x, GOOD))[0]:
            sent, held = sent + 1, x
        worst = max(worst, abs(x - held))
    assert sent <= 360
    assert worst <= 0.05 * 0.47


async def test_a_clock_set_back_an_hour_keeps_order_and_pace() -> None:
    clock = ManualClock()
    guard = ClockGuard(clock)
    stamps = []
    for k in range(20):
        await clock.advance(1.0)
        if k == 10:
            clock.step(-3600)
        guard.check()
        stamps.append(guard.stamp(clock.now()))
    steps = np.diff(stamps)
    assert 900 <= steps.min() <= steps.max() <= 1000
    assert guard.steps == 1
    assert guard.doubtful
    assert guard.stamp(0) == round(guard.offset)


async def test_a_clock_set_forward_is_believed_and_counted() -> None:
    clock = ManualClock()
    guard = ClockGuard(clock)
    await clock.advance(1)
    clock.step(3600)
    guard.check()
    assert (guard.steps, guard.offset, guard.doubtful) == (1, 0.0, False)
