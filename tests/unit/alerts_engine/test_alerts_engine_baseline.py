"""Baseline rules live: what raises, what ends, what is said."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from alerts.engine import Engine, PointInfo
from alerts.engine.baseline import BaselineBlock
from alerts.rules import Rule
from alerts.sentences import sentence
from gateway.errors import BadInput
from gateway.model import Finding, Samples

Make = Callable[..., Any]
QUARTER = 900_000
START = 1_790_000_000_000 // 86_400_000 * 86_400_000
DAYS = 14


def week_and_fault(hit: float, days: int = DAYS) -> list[float]:
    rng = np.random.default_rng(1)
    n = np.arange(days * 96)
    v = 5 + 3 * np.sin(n % 96 / 96 * 2 * np.pi) + rng.normal(0, 0.2, len(n))
    v[-20:-16] += hit
    return [float(x) for x in v]


def live(rule: Rule, values: list[float], series: int = 1) -> list[Finding]:
    engine = Engine([rule], [PointInfo(1, "a/x.p", "a", "e", "water", "x.p", period_s=900)])
    times = [START + QUARTER * n for n in range(len(values))]
    return engine.process(Samples.of([series] * len(values), times, values))


def test_what_is_unusual_raises_at_the_end_of_its_step_and_ends(rule: Make) -> None:
    found = live(rule(kind="baseline", tag="x.p"), week_and_fault(4))
    assert [f.active for f in found] == [True, False]
    up, down = found
    first = DAYS * 96 - 20
    assert up.onset == up.t == START + QUARTER * (first + 1), "the step is known when it is over"
    assert down.t == START + QUARTER * (first + 8), "four ordinary steps later"
    assert up.value > up.limit + 3
    assert 0 < up.facts["per_month"] <= 1.0


def test_it_says_value_expectation_and_how_rare(rule: Make) -> None:
    r = rule(kind="baseline", tag="x.p")
    f = live(r, week_and_fault(4))[0]
    text = sentence(f, r, unit="kW", decimals=1)
    assert text["en"].startswith(
        f"Name: {f.value:.1f} kW, above the usual {f.limit:.1f} kW at this hour, at most "
    )
    assert text["zh"].startswith(f"名：{f.value:.1f} kW，高于此时段通常的 {f.limit:.1f} kW，")


@pytest.mark.parametrize(
    ("per_month", "en"),
    [(3.2, "at most about 3 times a month"), (0.7, "at most about once a month"),
     (0.2, "at most once in about 5 months"), (0.02, "at most once in about 4 years"),
     (1e-6, "never seen like this")],
)  # fmt: skip
def test_rarity_in_words(rule: Make, per_month: float, en: str) -> None:
    f = Finding(
        "r", "a/x.p", "a", "e", START, START, True, value=1.0, limit=3.0, facts={"per_month": per_month}
    )
    text = sentence(f, rule(kind="baseline", tag="x.p"))
    assert f"below the usual 3.00 at this hour, {en}" in text["en"]
    assert "低于此时段通常的 3.00" in text["zh"]


@pytest.mark.parametrize(
    ("fields", "raised"),
    [({"direction": "up"}, True), ({"direction": "down"}, False), ({"min_change": 3.0}, True),
     ({"min_change": 30.0}, False), ({"alarms_per_month": 1e-6}, False), ({"learn_s": 86_400 * 20.0}, False)],
)  # fmt: skip
def test_its_settings(rule: Make, fields: dict[str, Any], raised: bool) -> None:
    assert bool(live(rule(kind="baseline", tag="x.p", **fields), week_and_fault(4))) == raised


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"step_s": 0.5}, "step_s"), ({"alarms_per_month": 0}, "alarms_per_month"),
     ({"alarms_per_month": 100.0}, "a tenth of the blocks"), ({"direction": "left"}, "direction"),
     ({"min_change": -1}, "min_change"), ({"learn_s": 60.0}, "learn_s")],
)  # fmt: skip
def test_wrong_settings_are_named(rule: Make, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        rule(kind="baseline", tag="x.p", **fields)


def test_a_silence_of_days_changes_nothing_that_was_learnt(rule: Make) -> None:
    values = week_and_fault(4)
    r = rule(kind="baseline", tag="x.p")
    engine = Engine([r], [PointInfo(1, "a/x.p", "a", "e", "water", "x.p", period_s=900)])
    times = [START + QUARTER * n + (3 * 86_400_000 if n > 960 else 0) for n in range(len(values))]
    found = engine.process(Samples.of([1] * len(values), times, values))
    assert [f.active for f in found] == [True, False]


def test_holidays_entered_later_keep_what_was_learnt_and_count_from_then_on(rule: Make) -> None:
    """A workshop that works from Monday to Friday; the Wednesday of its seventh week nobody works."""
    hour, weeks = 3_600_000, 7
    n = np.arange(weeks * 7 * 24)
    monday = 1_799_020_800_000  # 2027-01-04 in UTC
    busy = (n % 24 >= 8) & (n % 24 < 18) & (n // 24 % 7 < 5)
    v = np.where(busy, 20.0, 4.0) + np.random.default_rng(3).normal(0, 0.5, len(n))
    off = ((weeks - 1) * 7 + 2) * 24
    v[off : off + 24] = v[off - 72 : off - 48]
    fields = {"kind": "baseline", "tag": "x.p", "step_s": 3600.0, "zone": "UTC", "alarms_per_month": 5.0}
    points = [PointInfo(1, "a/x.p", "a", "e", "water", "x.p", period_s=900)]

    def run(holidays: str) -> tuple[list[Finding], int]:
        engine = Engine([rule(**fields)], points)
        first = engine.process(Samples.of([1] * off, (monday + hour * n[:off]).tolist(), v[:off].tolist()))
        later = Engine([rule(**fields, holidays=holidays)], points)
        assert later.restore(engine.snapshot()) == []
        block = later.blocks["baseline"]
        assert isinstance(block, BaselineBlock)
        known = int(block.known[0])
        rest = (monday + hour * n[off : off + 20]).tolist()
        found = later.process(Samples.of([1] * 20, rest, v[off : off + 20].tolist()))
        return [f for f in (*first, *found) if f.onset > monday + off * hour], known

    unknown, kept = run("")
    entered, kept_too = run("2027-01-01")
    assert kept == kept_too == off - 1
    assert unknown == [], "it may be a holiday"
    assert [f.active for f in entered][:1] == [True], "it is none by a calendar that is known"


def test_the_state_of_a_row_is_small_and_does_not_grow(rule: Make) -> None:
    points = [PointInfo(n, f"a/x.{n}", "a", "e", "water", f"x.{n}") for n in range(1000)]
    engine = Engine([rule(kind="baseline", tag="*")], points)
    columns = engine.blocks["baseline"].columns().values()
    assert sum(c.nbytes for c in columns) / 1000 < 1000, "bytes"


def test_a_snapshot_of_a_version_that_kept_less_lets_it_begin_anew(rule: Make) -> None:
    points = [PointInfo(1, "a/x.p", "a", "e", "water", "x.p", period_s=900)]
    rules = [rule(kind="baseline", tag="x.p"), rule(id="high", kind="limit", tag="x.p", h=5.0)]
    engine = Engine(rules, points)
    values = [10.0] * 96
    engine.process(Samples.of([1] * 96, [START + QUARTER * n for n in range(96)], values))
    with np.load(io.BytesIO(engine.snapshot())) as file:
        kept = {name: file[name] for name in file.files if name != "baseline.off"}
    old = io.BytesIO()
    np.savez(old, **kept)
    fresh = Engine(rules, points)
    assert fresh.restore(old.getvalue()) == []
    assert [f.rule for f in fresh.active()] == ["high"], "the other kinds go on"
    block = fresh.blocks["baseline"]
    assert isinstance(block, BaselineBlock)
    assert block.known.tolist() == [0]
