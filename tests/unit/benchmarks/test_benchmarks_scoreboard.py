"""The scoreboard on a small part, as a guard: what is found today is found tomorrow, without false alarms."""

from __future__ import annotations

from functools import cache

import pytest

from benchmarks import scoreboard
from benchmarks.scoreboard import SMALL, Board, Plan, alarms_of, run_plan
from benchmarks.scoreboard_page import by_sort, figures, page, quantile, shifted, span
from gateway.errors import BadInput
from gateway.model import Finding
from simulators.months.cast import DAY, SPRING, prior_of, start_of


@cache
def board() -> Board:
    """A look of some seconds of processor time; development seeds."""
    return run_plan(SMALL)


def test_faults_that_are_broken_at_once_are_found_and_false_alarms_are_few() -> None:
    hard = by_sort(board().named, "hard")
    assert hard.labels > 100
    assert hard.recall >= 0.97, figures(board())["missed"]
    assert hard.f1 >= 0.95, figures(board())["false"]


def test_no_life_safety_case_is_missed() -> None:
    assert sum(v[0] for v in board().life.values()) == SMALL.life * len(board().life) > 1000
    assert {k: v[1] for k, v in board().life.items() if v[1]} == {}
    assert by_sort(board().named, "life").recall == 1.0


def test_the_rules_are_better_than_what_knows_nothing() -> None:
    by = figures(board())["any_alarm"]
    assert by["steward"]["f1"] > by["threshold"]["f1"] + 0.1
    assert by["steward"]["false_per_asset_month"] < by["threshold"]["false_per_asset_month"]
    assert by["steward"]["f1"] > 3 * by["chance"]["f1"]
    assert by["all-ones"]["recall"] == 1.0
    assert by["all-ones"]["precision"] < 0.2


def test_what_no_point_shows_is_labelled_so_and_not_found_by_luck() -> None:
    tallies = board().named.by.values()
    hidden = sum(t.hidden for t in tallies)
    assert hidden > 20
    assert sum(t.spoken for t in tallies) <= 0.05 * hidden


def test_the_page_has_every_table() -> None:
    text = page(board(), [("nab", "a table")], ["## Rank of the root in cascades", ""])
    for title in ("## Goals", "## Beside detectors", "## By class and fault", "## Life safety", "## Rank",
                  "## Public series: nab", "## What this does not show"):  # fmt: skip
        assert title in text
    assert "seeds 0" in text
    for model in SMALL.models:
        assert f"### {model}" in text


def test_a_higher_level_of_one_condition_is_no_second_alarm() -> None:
    low = Finding("r", "a/x", "a", "e", 1000, 1000, active=True, level="H")
    high = Finding("r", "a/x", "a", "e", 1000, 5000, active=True, level="HH")
    again = Finding("r", "a/x", "a", "e", 9000, 9000, active=True, level="H")
    assert alarms_of([low, high, again]) == [("r", "a", 1000), ("r", "a", 9000)]


def test_quantiles_and_spans() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([], 0.5) != quantile([], 0.5)
    assert [span(x) for x in (5, 600, 10_000, 400_000)] == ["5 s", "10.0 min", "2.8 h", "4.6 d"]


def test_options_that_a_benchmark_does_not_have_are_refused() -> None:
    from gateway.app.benching import run_bench

    with pytest.raises(BadInput, match="store has no option --small"):
        run_bench("store", as_json=True, options={"small": True})
    with pytest.raises(BadInput, match="detect has no option --peers"):
        run_bench("detect", as_json=True, options={"peers": "all"})


def test_the_page_says_whose_seeds_it_shows() -> None:
    assert shifted(0) == ""
    for first in (1000, 5000):
        assert "times the noise" in shifted(first)
        assert "instead of 2 March" in shifted(first)
    assert "1.3 times the noise" in shifted(1000)
    assert "20 August" in shifted(1000)


def test_each_thousand_seeds_lives_in_other_circumstances() -> None:
    priors = {prior_of(1000 * k + 7) for k in range(20)}
    assert len(priors) == 20
    assert prior_of(5000) == prior_of(5999)
    starts = [start_of(1000 * k) for k in range(20)]
    assert len(set(starts)) > 10
    assert all((t + 28_800_000) % DAY == 0 for t in starts), "seasons begin at midnight of the site"
    assert max(starts) <= SPRING + 230 * DAY + 70 * DAY, "and end within the calendar that is known"


def test_the_first_seed_is_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = Plan(0, 1, 0, (0, 0), 0, ("call",))
    monkeypatch.setattr(scoreboard, "SMALL", tiny)
    assert scoreboard.run(small=True, first=7000, say=lambda _: None)["seeds_from"] == 7000
    assert scoreboard.run(small=True, say=lambda _: None)["seeds_from"] == 0
