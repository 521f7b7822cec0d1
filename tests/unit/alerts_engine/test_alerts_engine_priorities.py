"""Priority from consequence and time to respond."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import alerts
from alerts.priorities import BANDS_S, GRID, HARMS, priority_of
from alerts.rules import rule_from_dict
from alerts.ruleset import build, merge
from gateway.config import yamlmarks
from gateway.errors import BadInput

FOLDER = Path(alerts.__file__).parent / "defaults" / "rules"
RAW: list[dict[str, Any]] = [r for f in sorted(FOLDER.glob("*.yaml")) for r in yamlmarks.load(f)[0]]


@pytest.mark.parametrize(
    ("harm", "time_s", "priority"),
    [
        ("people", 30, 1), ("people", 3600, 1), ("people", 3601, 2), ("people", 86400, 3),
        ("severe", 900, 1), ("severe", 901, 2), ("severe", 14400, 2), ("severe", 14401, 3),
        ("major", 900, 2), ("major", 3600, 2), ("major", 14400, 3), ("major", 604800, 4),
        ("minor", 60, 3), ("minor", 3600, 3), ("minor", 3601, 4), ("minor", 604800, 4),
    ],
)  # fmt: skip
def test_the_grid(harm: str, time_s: float, priority: int) -> None:
    assert priority_of(harm, time_s) == priority


def test_worse_and_sooner_is_never_less_urgent() -> None:
    rows = [GRID[h] for h in HARMS]
    assert all(list(row) == sorted(row) and len(row) == len(BANDS_S) + 1 for row in rows)
    assert all(a <= b for one, other in itertools.pairwise(rows) for a, b in zip(one, other, strict=True))


def test_every_shipped_rule_names_its_consequence_and_the_few_exceptions_say_why() -> None:
    mix = build(RAW).priority_mix()
    assert mix["by_hand"] == []
    assert set(mix["exceptions"]) == {
        "lift.call_test", "fire.panel_manual", "generator.alarm", "generator.not_auto",
        "power.transformer_hot", "power.load", "lift.entrapment_suspected",
    }  # fmt: skip
    for raw in RAW:
        differs = raw["priority"] != priority_of(raw["harm"], raw["time_limit_s"])
        assert differs == ("why_priority" in raw), raw["id"]


def one(**changes: object) -> Mapping[str, Any]:
    raw = next(r for r in RAW if r["id"] == "water.out_p_low")
    return {k: v for k, v in {**raw, **changes}.items() if v is not None}


def test_a_priority_that_is_not_written_is_computed() -> None:
    assert rule_from_dict(one(priority=None, harm="severe", time_limit_s=600)).priority == 1
    assert rule_from_dict(one(priority=None, harm="minor", time_limit_s=600)).priority == 3
    with pytest.raises(BadInput, match="priority is missing"):
        rule_from_dict(one(priority=None, harm=None))


def test_another_priority_needs_a_reason() -> None:
    with pytest.raises(BadInput, match="write 2, or the reason as why_priority") as e:
        rule_from_dict(one(priority=4))
    assert e.value.field == "priority"
    assert rule_from_dict(one(priority=4, why_priority="a second station takes over")).priority == 4
    with pytest.raises(BadInput, match="no class of consequence"):
        rule_from_dict(one(harm="huge"))


def test_a_site_that_gives_more_time_gets_the_priority_that_follows() -> None:
    (raw,) = merge([one()], [{"id": "water.out_p_low", "time_limit_s": 14400}])
    assert rule_from_dict(raw).priority == 3
    (kept,) = merge([one()], [{"id": "water.out_p_low", "deadband": 0.02}])
    assert rule_from_dict(kept).priority == 2
