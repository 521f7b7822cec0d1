"""Every finding carries its sentence: value, expected, since when, forecast, in both languages."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from datetime import datetime, tzinfo

from alerts.ruleset import RuleSet
from alerts.sentences import sentence
from gateway.model import Finding, Point


class Words:
    """Writes the sentences in the site's time zone with the points' units, decimals and code names."""

    def __init__(self, rules: RuleSet, point_of: Callable[[str], Point | None], zone: tzinfo) -> None:
        self._rules, self._point_of, self._zone = rules.by_id, point_of, zone

    def __call__(self, findings: Iterable[Finding]) -> list[Finding]:
        """The same findings with `facts["sentence"]`; one of an unknown rule is left as it is."""
        return [self._one(f) for f in findings]

    def _one(self, f: Finding) -> Finding:
        rule = self._rules.get(f.rule)
        if rule is None:
            return f
        p = self._point_of(f.point)
        offset = datetime.fromtimestamp(f.t / 1000, self._zone).utcoffset()
        said = sentence(
            f, rule,
            unit=p.unit if p else "", decimals=p.decimals if p else 2, codes=p.codes if p else None,
            utc_offset_s=int(offset.total_seconds()) if offset else 0,
        )  # fmt: skip
        return dataclasses.replace(f, facts={**f.facts, "sentence": dict(said)})
