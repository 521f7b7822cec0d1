from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.schedule import SLOT_MS, Grid, Round


def test_next_is_last_due_plus_period_however_late_the_round_was() -> None:
    grid = Grid()
    grid.add(0, 1000, start=0)
    first = grid.next_due()
    for k in range(5):
        picked = grid.pick(first + 1000 * k + 700)
        assert picked == Round(0, first + 1000 * k, 0)
    assert grid.next_due() == first + 5000


def test_missed_rounds_are_counted_and_never_queued() -> None:
    grid = Grid()
    grid.add(0, 1000, start=0)
    first = grid.next_due()
    assert grid.pick(first + 3500) == Round(0, first + 3000, 3)
    assert grid.pick(first + 3500) is None
    assert grid.next_due() == first + 4000


def test_life_safety_goes_first_among_what_is_due() -> None:
    grid = Grid()
    grid.add(0, 1000, start=0, key="a")
    grid.add(1, 1000, start=0, key="b", urgent=True)
    now = max(grid.deadline(0), grid.deadline(1)) + 20
    picked = [grid.pick(now), grid.pick(now)]
    assert [p.job for p in picked if p] == [1, 0]


def test_the_same_key_shares_its_instants_and_keys_are_spread() -> None:
    grid = Grid()
    for job in range(40):
        grid.add(job, 1000, start=0, key="one" if job < 2 else f"key {job}")
    assert grid.deadline(0) == grid.deadline(1)
    assert len({grid.deadline(job) for job in range(2, 40)}) > 5
    assert all(grid.deadline(job) % SLOT_MS == 0 for job in range(40))


def test_a_period_must_be_positive() -> None:
    with pytest.raises(ValueError, match="not possible"):
        Grid().add(0, 0, start=0)


@given(st.lists(st.floats(0, 5000), min_size=1, max_size=40), st.sampled_from([100.0, 250.0, 1000.0, 333.0]))
def test_rounds_run_plus_missed_are_exactly_the_rounds_that_were_due(
    pauses: list[float], period: float
) -> None:
    grid = Grid()
    grid.add(0, period, start=0)
    start = grid.deadline(0)
    now, run = 0.0, 0
    for pause in pauses:
        now += pause
        picked = grid.pick(now)
        if picked:
            run += 1 + picked.missed
            assert now - picked.due < period + SLOT_MS
    assert grid.deadline(0) == pytest.approx(start + run * period)
    assert grid.deadline(0) > now - SLOT_MS
