"""Night flow of one zone: leaks, repairs, feasts, holes and missing nights."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from alerts.detect.night import DAY, Change, Nights, night_changes

F8 = NDArray[np.float64]
STEP = 300_000
DAYS = 70
START = 20_000 * DAY  # a Tuesday


def town(seed: int = 1) -> tuple[NDArray[np.int64], F8]:
    """Use over the day, more at weekends, noise: about 20 m³/h at night."""
    rng = np.random.default_rng(seed)
    t = START + np.arange(DAYS * DAY // STEP) * STEP
    hour = t % DAY / 3_600_000
    weekend = np.isin(t // DAY % 7, (2, 3))
    flow = 20 + 60 * np.clip(np.sin((hour - 5) / 18 * math.pi), 0, None) + 5 * weekend
    return t, flow * (1 + 0.03 * rng.normal(size=len(t)))


def leak(t: NDArray[np.int64], day: float, size: float, until: float = 1e9) -> F8:
    days = (t - START) / DAY
    return np.where((days >= day) & (days < until), size, 0.0)


def days(found: list[Change]) -> list[int]:
    return [c.day - START // DAY for c in found]


def test_a_town_with_weekends_raises_nothing_in_ten_weeks() -> None:
    assert [c for seed in range(10) for c in night_changes(*town(seed))] == []


def test_a_leak_is_found_in_three_nights_with_its_size_and_its_repair_too() -> None:
    t, flow = town()
    found = night_changes(t, flow + leak(t, 30.5, 6.0, until=50.5))
    assert days(found) == [33, 53]
    assert found[0].rise == pytest.approx(6.0, abs=1.0)
    assert found[0].value - found[0].expected == pytest.approx(6.0, abs=1.5)
    assert found[1].rise == pytest.approx(-6.0, abs=1.5)
    assert found[0].t == (START // DAY + 33) * DAY + 4 * 3_600_000


def test_a_second_leak_shows_on_top_of_the_first() -> None:
    t, flow = town(2)
    found = night_changes(t, flow + leak(t, 25.5, 6.0) + leak(t, 33.5, 7.0))
    assert days(found) == [28, 36]
    assert all(c.rise > 4 for c in found)


def test_one_night_of_tank_wash_raises_nothing() -> None:
    t, flow = town(3)
    assert night_changes(t, flow + leak(t, 30, 40.0, until=31)) == []


def test_nothing_is_said_before_ten_nights_are_known() -> None:
    t, flow = town(4)
    assert days(night_changes(t, flow + leak(t, 4.5, 6.0) + leak(t, 45.5, 6.0))) == [48]


def test_inflows_add_up_and_what_fills_a_tank_is_taken_off() -> None:
    t, flow = town(5)
    pump = np.where(t // DAY % 5 == 0, 30.0, 0.0)  # fills the tank in some nights
    columns = np.stack([0.4 * flow + pump, 0.6 * flow, pump], axis=1)
    assert night_changes(t, columns, signs=[1, 1, -1]) == []
    columns[:, 1] += leak(t, 40.5, 6.0)
    assert days(night_changes(t, columns, signs=[1, 1, -1])) == [43]


def test_missing_readings_and_nights_make_no_leak_and_hide_none_for_long() -> None:
    t, flow = town(6)
    flow = flow + leak(t, 40.5, 6.0)
    flow[np.isin(t // DAY - START // DAY, (20, 21, 22, 42))] = np.nan
    flow[::3] = np.nan
    assert days(night_changes(t, flow)) == [45]


def test_a_zone_without_any_flow_at_night_shows_its_first_leak() -> None:
    memory = Nights(min_rise=0.5)
    changes = [memory.close(day, 0.0 if day < 30 else 0.8).change for day in range(40)]
    assert [day for day, c in enumerate(changes) if c] == [32]


def test_the_memory_is_bounded() -> None:
    memory = Nights()
    for day in range(0, 4000, 3):
        memory.close(day, 20.0 + day % 7)
    assert len(memory.past) == 14
    assert len(memory.usual) <= 21
    assert len(memory.recent) <= 3


def test_shapes_that_disagree_are_refused() -> None:
    t, flow = town()
    with pytest.raises(ValueError, match="signs"):
        night_changes(t, flow, signs=[1, 1])
    with pytest.raises(ValueError, match="timestamps"):
        night_changes(t[1:], flow)


def test_time_that_runs_backwards_is_refused() -> None:
    with pytest.raises(ValueError, match="entry 2 runs backwards"):
        night_changes([0, 2, 1], [1.0, 1.0, 1.0])
