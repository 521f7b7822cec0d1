"""Every registered kind of rule keeps the same promises; a new kind is found here by itself.

A kind brings one case: the parameters of a rule and a story that raises it once and ends it.
"""

from __future__ import annotations

from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from alerts.engine import Engine, PointInfo
from alerts.engine.engine import BLOCKS, block_of
from alerts.rules import RULE_KINDS, Rule, rule_from_dict, to_fields, to_yaml
from alerts.ruleset import DEFAULT_RULE_FILES
from alerts.scalar import ScalarEngine
from alerts.scalar.engine import ROWS
from alerts.sentences import sentence
from gateway.config.yamlmarks import load
from gateway.errors import BadInput
from gateway.model import Samples

START = 1_790_000_000_000
BASE: dict[str, Any] = {
    "id": "kind.case", "for": "water", "priority": 2, "event": "water_supply", "life": False, "latch": False,
    "name": {"zh": "名", "en": "Name"}, "cause": {"zh": "因", "en": "cause"},
    "consequence": {"zh": "果", "en": "effect"}, "response": {"zh": "做", "en": "do"},
    "time_limit_s": 60, "owner": "TE", "source": "contract",
}  # fmt: skip

Story = list[tuple[int, float]]
"""(second, value) of the one point x.p."""

SHIFTED: Story = [(s, 5 + 0.1 * (s % 2) + (2.0 if 60 <= s < 90 else 0.0)) for s in range(120)]
STEADY: Story = [(s, 5.0) for s in range(0, 60, 5)]
CREEPING: Story = [(s, 0.1 * s) for s in range(160)]
RISING: Story = [(s, 0.1 * s) for s in range(60)] + [(s, 5.9) for s in range(60, 200)]
HUMMING: Story = [(s, 5.0 + s * 7 % 5 + (90.0 if s == 40 else 0.0)) for s in range(52)]
NIGHTS: Story = [
    (13_900 + 86_400 * day + 1200 * part, 9.0 if 14 <= day < 18 else 5.0 + 0.01 * (day % 3))
    for day in range(22)
    for part in range(6)
]
LEVEL: Story = [(s, 9.0 if 60 <= s < 80 else 5.0 + 0.1 * (s % 3)) for s in range(100)]
CASES: dict[str, tuple[dict[str, Any], Story]] = {
    "limit": ({"tag": "x.p", "h": 10, "on_delay_s": 3, "off_delay_s": 3}, [(0, 11), (5, 1), (9, 1)]),
    "digital": ({"tag": "x.p", "on_delay_s": 3, "off_delay_s": 3}, [(0, 1), (5, 0), (9, 0)]),
    "rate": ({"tag": "x.p", "limit": 60, "off_delay_s": 3}, [(0, 0), (1, 50), (5, 50), (9, 50)]),
    "no_data": ({"tag": "x.p", "timeout_s": 20}, [(0, 1), (30, 1)]),
    "stuck": ({"tag": "x.p", "time_s": 40}, [*STEADY, (60, 6), (61, 7)]),
    "shift": ({"tag": "x.p", "step_s": 0, "tau_s": 600, "warmup": 30}, SHIFTED),
    "slope": (
        {"tag": "x.p", "limit": 20, "direction": "up", "window_s": 40, "step_s": 4, "horizon_s": 600},
        RISING,
    ),
    "trend": (
        {"tag": "x.p", "h": 20, "step_s": 4, "window_s": 60, "horizon_s": 80, "min_points": 8},
        [*CREEPING, *[(s, 2.0) for s in range(160, 180)]],
    ),
    "cycles": (
        {"tag": "x.p", "measure": "starts", "h": 3, "window_s": 30},
        [*[(s, float(s % 4 < 2)) for s in range(20)], *[(s, 0.0) for s in range(20, 70)]],
    ),
    "counter": ({"tag": "x.p", "max_per_h": 10, "hold_s": 5}, [(0, 100), (5, 101), (9, 3), (12, 3), (20, 3)]),
    "baseline": ({"tag": "x.p", "step_s": 1, "alarms_per_month": 1000, "learn_s": 30}, HUMMING),
    "night_flow": ({"tag": "x.p"}, NIGHTS),
    "residual": ({"tag": "x.p", "step_s": 1, "fit_s": 40, "smooth_s": 2, "follow_s": 500}, LEVEL),
    "combine": ({"all": [{"tag": "x.p", "op": ">", "value": 3}], "on_delay_s": 3}, [(0, 4), (5, 2), (9, 2)]),
}

kinds = pytest.mark.parametrize("kind", sorted(RULE_KINDS))


def raw(kind: str) -> dict[str, Any]:
    return {**BASE, "kind": kind, **CASES[kind][0]}


def points() -> list[PointInfo]:
    return [PointInfo(1, "a/x.p", "a", "e", "water", "x.p")]


def samples(story: Story) -> Samples:
    return Samples.of([1] * len(story), [START + 1000 * s for s, _ in story], [v for _, v in story])


@kinds
def test_it_brings_a_case(kind: str) -> None:
    assert kind in CASES, f"add a case for {kind} to this file"


@kinds
def test_it_is_registered_under_its_own_name_everywhere(kind: str) -> None:
    rule = rule_from_dict(raw(kind))
    assert type(rule) is RULE_KINDS[kind]
    assert rule.kind == kind
    assert block_of(rule) in BLOCKS
    assert block_of(rule) in ROWS


@kinds
def test_the_case_raises_once_and_ends_and_is_said_in_two_languages(kind: str) -> None:
    rule = rule_from_dict(raw(kind))
    found = Engine([rule], points(), START).process(samples(CASES[kind][1]))
    assert [f.active for f in found] == [True, False]
    assert found[0].id == found[1].id == f"kind.case@a/x.p@{found[0].onset}"
    assert found[0].onset <= found[0].t <= found[1].t
    for f in found:
        text = sentence(f, rule, unit="bar")
        assert text["zh"].startswith("名：")
        assert text["en"].startswith("Name: ")


@kinds
def test_one_sample_at_a_time_says_the_same_as_one_batch_and_as_the_specification(kind: str) -> None:
    rule, all_at_once = rule_from_dict(raw(kind)), samples(CASES[kind][1])
    whole, pieces, scalar = (cls([rule], points(), START) for cls in (Engine, Engine, ScalarEngine))
    want = [repr(astuple(f)) for f in whole.process(all_at_once)]
    got = [repr(astuple(f)) for k in range(len(all_at_once)) for f in pieces.process(all_at_once[k : k + 1])]
    assert got == want == [repr(astuple(f)) for f in scalar.process(all_at_once)]


@kinds
def test_a_restart_in_the_middle_changes_nothing(kind: str) -> None:
    rule, all_at_once = rule_from_dict(raw(kind)), samples(CASES[kind][1])
    want = [f.id for f in Engine([rule], points(), START).process(all_at_once)]
    for cut in range(len(all_at_once)):
        first, second = Engine([rule], points(), START), Engine([rule], points())
        got = [f.id for f in first.process(all_at_once[:cut])]
        assert second.restore(first.snapshot()) == []
        assert got + [f.id for f in second.process(all_at_once[cut:])] == want


@kinds
def test_it_reads_what_it_writes_and_pydantic_reads_it_too(kind: str) -> None:
    rule = rule_from_dict(raw(kind))
    assert rule_from_dict(to_yaml(rule)) == rule
    adapter: TypeAdapter[Rule] = TypeAdapter(RULE_KINDS[kind])
    assert adapter.validate_python(to_fields(raw(kind))) == rule


@kinds
@pytest.mark.parametrize("missing", sorted(set(BASE) - {"kind"}))
def test_it_does_not_load_without_what_makes_it_an_alarm(kind: str, missing: str) -> None:
    with pytest.raises(BadInput, match=f"{missing} is missing"):
        rule_from_dict({k: v for k, v in raw(kind).items() if k != missing})


@kinds
def test_the_shipped_rules_use_it_and_its_contract_is_written(kind: str) -> None:
    alerts = Path(__file__).parents[2] / "alerts"
    shipped = [r["kind"] for name in DEFAULT_RULE_FILES for r in load(alerts / name)[0]]
    assert kind in shipped
    assert RULE_KINDS[kind].__doc__
    assert {f.name for f in fields(RULE_KINDS[kind])} > {"cause", "consequence", "response", "owner"}


HELD = {"limit", "digital", "combine"}
"""Kinds of which a delay may run out on a value that is held, for 30 s here."""


@kinds
def test_silence_raises_nothing_that_no_reading_showed(kind: str) -> None:
    rule, story = rule_from_dict(raw(kind)), samples(CASES[kind][1])
    for cut in range(1, len(story)):
        e = Engine([rule], points(), START)
        e.process(story[:cut])
        last = int(story.t[cut - 1])
        found = [f for k in range(1, 60) for f in e.tick(last + 2000 * k) if f.active]
        if kind == "no_data":
            assert [f.onset for f in found] == [last + 20_000]
        else:
            assert all(kind in HELD and f.onset <= last + 30_000 for f in found)
