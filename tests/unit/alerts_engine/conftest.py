"""Rules and engines for the tests of this folder; `both` feeds the columns and the scalars alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any

import pytest

from alerts.engine import Engine, PointInfo
from alerts.rules import Rule, rule_from_dict
from alerts.scalar import ScalarEngine
from gateway.model import Finding, Samples

START = 1_790_000_000_000
BASE: dict[str, Any] = {
    "for": "water", "priority": 2, "event": "water_supply", "life": False, "latch": False,
    "name": {"zh": "名", "en": "Name"}, "cause": {"zh": "因", "en": "cause"},
    "consequence": {"zh": "果", "en": "effect"}, "response": {"zh": "做", "en": "do"},
    "time_limit_s": 60, "owner": "TE", "source": "test",
}  # fmt: skip


def make_rule(**fields: Any) -> Rule:
    return rule_from_dict({**BASE, "id": "r", **fields})


class Both:
    """Two engines in step; times are seconds after START, findings are (t, on, level, value)."""

    def __init__(self, rules: Sequence[Rule], tags: Sequence[str], start: int | None = START) -> None:
        self.points = [PointInfo(n, f"a/{tag}", "a", "e", "water", tag) for n, tag in enumerate(tags)]
        self.columns = Engine(rules, self.points, start)
        self.scalars = ScalarEngine(rules, self.points, start)
        self.series = {tag: n for n, tag in enumerate(tags)}

    def feed(self, *rows: tuple[Any, ...]) -> list[Finding]:
        """Rows of (tag, seconds, value[, quality])."""
        samples = Samples.of(
            [self.series[r[0]] for r in rows],
            [START + round(r[1] * 1000) for r in rows],
            [float(r[2]) for r in rows],
            [r[3] if len(r) > 3 else 0 for r in rows],
        )
        return self._same(self.columns.process(samples), self.scalars.process(samples))

    def tick(self, seconds: float, **kw: Any) -> list[Finding]:
        t = START + round(seconds * 1000)
        return self._same(self.columns.tick(t, **kw), self.scalars.tick(t, **kw))

    def prove(self, seconds: float, *tags: str) -> list[Finding]:
        t, series = START + round(seconds * 1000), [self.series[tag] for tag in tags or self.series]
        return self._same(self.columns.prove(series, t), self.scalars.prove(series, t))

    def _same(self, a: list[Finding], b: list[Finding]) -> list[Finding]:
        assert [repr(astuple(f)) for f in a] == [repr(astuple(f)) for f in b]
        return a


@pytest.fixture
def rule() -> Callable[..., Rule]:
    return make_rule


@pytest.fixture
def both() -> Callable[..., Both]:
    def build(rules: Rule | Sequence[Rule], *tags: str, start: int | None = START) -> Both:
        return Both([rules] if isinstance(rules, Rule) else rules, tags or ("x.p",), start)

    return build


@pytest.fixture
def short() -> Callable[[list[Finding]], list[tuple[Any, ...]]]:
    """(onset s, t s, on or off, level, value) of findings."""

    def shorten(found: list[Finding]) -> list[tuple[Any, ...]]:
        return [
            (
                (f.onset - START) / 1000,
                (f.t - START) / 1000,
                "on" if f.active else "off",
                f.level,
                None if math.isnan(f.value) else f.value,
            )
            for f in found
        ]

    return shorten
