"""Delays, deadbands, gaps and proofs, each as a small table of samples and what must follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.model import Level, quality

BAD = quality(Level.BAD)
Make = Callable[..., Any]

HIGH: dict[str, Any] = {
    "kind": "limit",
    "tag": "x.p",
    "h": 10,
    "deadband": 1,
    "on_delay_s": 5,
    "off_delay_s": 3,
}

# name, other parameters, samples (s, value), last tick (s), findings (onset, t, state, level, value)
TABLE: list[tuple[str, dict[str, Any], list[tuple[float, float]], float, list[tuple[Any, ...]]]] = [
    ("shorter than the on-delay", {}, [(0, 9), (1, 11), (5, 9.5)], 20, []),
    ("exactly the on-delay", {}, [(0, 9), (1, 11), (6, 9.5)], 7, [(6, 6, "on", "H", 11.0)]),
    ("matures between samples", {}, [(1, 11), (20, 12)], 20, [(6, 6, "on", "H", 11.0)]),
    ("interrupted, counts anew", {}, [(1, 11), (4, 9), (5, 11)], 9, []),
    ("at the limit is normal", {}, [(1, 10), (20, 10)], 25, []),
    ("at the limit, inclusive", {"inclusive": True}, [(1, 10)], 8, [(6, 6, "on", "H", 10.0)]),
    ("inside the deadband it stays", {}, [(1, 11), (8, 9.5), (20, 9.5)], 25, [(6, 6, "on", "H", 11.0)]),
    (
        "back by the deadband for the off-delay",
        {},
        [(1, 11), (8, 9), (20, 9)],
        20,
        [(6, 6, "on", "H", 11.0), (6, 11, "off", "", 9.0)],
    ),
    ("back for less than the off-delay", {}, [(1, 11), (8, 8), (10, 11)], 20, [(6, 6, "on", "H", 11.0)]),
    ("no delays", {"on_delay_s": 0, "off_delay_s": 0}, [(1, 11), (2, 8)], 2,
     [(1, 1, "on", "H", 11.0), (1, 2, "off", "", 8.0)]),
    ("a new occurrence has a new onset", {"on_delay_s": 0, "off_delay_s": 0}, [(1, 11), (2, 8), (3, 12)], 3,
     [(1, 1, "on", "H", 11.0), (1, 2, "off", "", 8.0), (3, 3, "on", "H", 12.0)]),
    (
        "a higher level announces again in the same occurrence",
        {"hh": 20, "on_delay_outer_s": 2},
        [(1, 11), (7, 21), (12, 15), (16, 15)],
        16,
        [(6, 6, "on", "H", 11.0), (6, 9, "on", "HH", 21.0), (6, 15, "on", "H", 15.0)],
    ),
    (
        "the outer level first, the inner one adds nothing",
        {"hh": 20, "on_delay_outer_s": 2},
        [(1, 21), (10, 21)],
        10,
        [(3, 3, "on", "HH", 21.0)],
    ),
    (
        "two levels due together are one finding",
        {"hh": 20},
        [(1, 21), (10, 21)],
        10,
        [(6, 6, "on", "HH", 21.0)],
    ),
    ("low levels", {"l": 2, "ll": 1, "h": 50}, [(1, 0.5)], 10, [(6, 6, "on", "LL", 0.5)]),
    ("low level", {"l": 2, "ll": 1, "h": 50}, [(1, 1.5)], 10, [(6, 6, "on", "L", 1.5)]),
    ("low outranks high while both are held", {"l": 2, "ll": 1, "on_delay_s": 0, "off_delay_s": 9},
     [(1, 11), (2, 0.5)], 3, [(1, 1, "on", "H", 11.0), (1, 2, "on", "LL", 0.5)]),
    ("off means off", {"l": 2, "h": 50, "above": 0.5}, [(1, 0.2), (20, 0.5)], 25, []),
    ("off ends it", {"l": 2, "h": 50, "above": 0.5, "on_delay_s": 0, "off_delay_s": 0}, [(1, 1), (2, 0)], 2,
     [(1, 1, "on", "L", 1.0), (1, 2, "off", "", 0.0)]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "samples", "end", "expected"), TABLE, ids=[r[0] for r in TABLE])
@pytest.mark.parametrize("together", [True, False], ids=["one batch", "single samples"])
def test_limit_with_delays(
    rule: Make, both: Make, short: Make, together: bool, name: str, changes: dict[str, Any],
    samples: list[tuple[float, float]], end: float, expected: list[tuple[Any, ...]],
) -> None:  # fmt: skip
    b = both(rule(**{**HIGH, **changes}))
    rows = [("x.p", t, v) for t, v in samples]
    found = b.feed(*rows) if together else [f for row in rows for f in b.feed(row)]
    assert short(found + b.tick(end)) == expected


def test_findings_carry_the_limit_of_their_level_and_of_the_one_that_ended(rule: Make, both: Make) -> None:
    b = both(rule(**{**HIGH, "hh": 20, "on_delay_s": 0, "off_delay_s": 0}))
    found = b.feed(("x.p", 1, 11), ("x.p", 2, 30), ("x.p", 3, 0))
    assert [(f.level, f.limit) for f in found] == [("H", 10), ("HH", 20), ("", 20)]
    assert len({f.id for f in found}) == 1
    assert found[0].condition == "r@a/x.p"


def test_a_tick_matures_what_no_sample_would(rule: Make, both: Make, short: Make) -> None:
    b = both(rule(**HIGH))
    assert b.feed(("x.p", 1, 11)) == []
    assert b.tick(5.9) == []
    assert short(b.tick(60)) == [(6, 6, "on", "H", 11.0)]


def test_a_tick_for_other_series_leaves_a_row_alone(rule: Make, both: Make, short: Make) -> None:
    b = both(rule(**HIGH), "x.p", "x.q")
    b.feed(("x.p", 1, 11))
    assert b.tick(20, series=[1, 77]) == []
    assert short(b.tick(20, series=[0])) == [(6, 6, "on", "H", 11.0)]


def test_what_is_not_proven_does_not_mature(rule: Make, both: Make, short: Make) -> None:
    """A value may be held for 30 s; a delay of 60 s needs proofs or samples."""
    b = both(rule(**{**HIGH, "on_delay_s": 60}))
    b.feed(("x.p", 0, 11))
    assert b.tick(300) == []
    b = both(rule(**{**HIGH, "on_delay_s": 60}))
    b.feed(("x.p", 0, 11))
    for t in (10, 20, 30, 40):
        assert b.prove(t) == []
    assert short(b.tick(300)) == [(60, 60, "on", "H", 11.0)]


def test_a_gap_restarts_the_delay(rule: Make, both: Make, short: Make) -> None:
    """Proven until 40 s, the delay ends at 45 s, the next sample comes at 41 s: it counts from there."""
    b = both(rule(**{**HIGH, "on_delay_s": 45}))
    b.feed(("x.p", 0, 11), ("x.p", 10, 11))
    assert b.feed(("x.p", 41, 11), ("x.p", 70, 11)) == []
    assert short(b.feed(("x.p", 90, 11))) == [(86, 86, "on", "H", 11.0)]


def test_an_active_condition_stays_active_over_a_gap(rule: Make, both: Make, short: Make) -> None:
    b = both(rule(**{**HIGH, "off_delay_s": 20}))
    assert len(b.feed(("x.p", 0, 11), ("x.p", 9, 1))) == 1
    assert b.tick(28) == []
    b.feed(("x.p", 20, 11))
    assert b.feed(("x.p", 90, 9.5)) == []
    assert len(b.columns.active()) == 1


def test_a_pending_delay_that_was_proven_matures_before_the_gap(rule: Make, both: Make, short: Make) -> None:
    b = both(rule(**{**HIGH, "on_delay_s": 20}))
    b.feed(("x.p", 15, 11))
    assert short(b.feed(("x.p", 80, 9))) == [(35, 35, "on", "H", 11.0)]
    assert short(b.feed(("x.p", 84, 9))) == [(35, 83, "off", "", 9.0)]


def test_bad_nan_late_duplicate_and_unknown_touch_nothing_and_are_counted(rule: Make, both: Make) -> None:
    b = both(rule(**{**HIGH, "on_delay_s": 0}))
    inf, nan = float("inf"), float("nan")
    b.feed(("x.p", 5, 1), ("x.p", 6, 99, BAD), ("x.p", 7, nan), ("x.p", 8, inf))
    assert b.feed(("x.p", 4, 99), ("x.p", 8, 99), ("x.p", 6, 99)) == []
    assert b.feed(("x.p", 9, 1), ("x.p", 9, 99)) == []
    b.series["ghost"] = 4711
    assert b.feed(("ghost", 9, 99)) == []
    assert dict(b.columns.counts) == {"fed": 2, "bad": 3, "late": 2, "duplicate": 2, "unknown": 1}


def test_uncertain_counts_and_stale_does_not(rule: Make, both: Make) -> None:
    b = both(rule(**{**HIGH, "on_delay_s": 0}))
    assert b.feed(("x.p", 1, 11, quality(Level.STALE))) == []
    assert len(b.feed(("x.p", 2, 11, quality(Level.UNCERTAIN)))) == 1


def test_a_proof_repeats_the_last_reading_even_a_bad_one(rule: Make, both: Make, short: Make) -> None:
    """A device that answers does not prove a good value whose newest reading was refused."""
    b = both(rule(**{**HIGH, "on_delay_s": 40}))
    b.feed(("x.p", 0, 11), ("x.p", 1, 0, BAD))
    for t in (10, 20, 30, 40, 50):
        b.prove(t)
    assert b.tick(60) == []


def test_a_proof_is_ignored_when_nothing_was_read_or_something_newer_was(rule: Make, both: Make) -> None:
    b = both(rule(**HIGH), "x.p", "x.q")
    assert b.prove(10) == []
    b.feed(("x.p", 20, 11))
    assert b.prove(15) == []
    assert b.columns.blocks["limit"].seen[0, 0] == 1_790_000_020_000


def test_a_condition_does_not_end_before_it_began(rule: Make, both: Make, short: Make) -> None:
    """A tick went ahead of a sample that was still on its way."""
    b = both(rule(**{**HIGH, "off_delay_s": 0}))
    b.feed(("x.p", 1, 11))
    assert short(b.tick(8)) == [(6, 6, "on", "H", 11.0)]
    assert short(b.feed(("x.p", 4, 1))) == [(6, 6, "off", "", 1.0)]


def test_a_batch_may_come_in_any_order(rule: Make, both: Make, short: Make) -> None:
    b = both(rule(**{**HIGH, "on_delay_s": 0, "off_delay_s": 0}))
    found = b.feed(("x.p", 3, 12), ("x.p", 1, 11), ("x.p", 2, 1))
    assert short(found) == [(1, 1, "on", "H", 11.0), (1, 2, "off", "", 1.0), (3, 3, "on", "H", 12.0)]


def test_contacts_either_way_round(rule: Make, both: Make, short: Make) -> None:
    b = both(rule(kind="digital", tag="x.p", active=0, on_delay_s=2))
    assert b.feed(("x.p", 1, 1), ("x.p", 2, 0)) == []
    assert short(b.feed(("x.p", 9, 7))) == [(4, 4, "on", "", 0.0), (4, 9, "off", "", 7.0)]
