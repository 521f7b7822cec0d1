"""The rules of an installation: the shipped ones, changed by those of the site.

Reading files is the caller's job: `DEFAULT_RULE_FILES` names the YAML lists beside this module, `merge` puts
the site's changes over them, `build` makes typed rules of the result.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from alerts.rules import Rule, Stuck, digest, matches, rule_from_dict
from gateway.errors import BadInput, Problems
from gateway.model import SYSTEMS

DEFAULT_RULE_FILES: tuple[str, ...] = tuple(f"defaults/rules/{kind}.yaml" for kind in SYSTEMS)
"""Paths below the `alerts` package; each holds a list of rules."""

Raw = Mapping[str, Any]
Locate = Callable[[Raw, str], tuple[str, int]]
"""(raw rule, field) → (file, line), for messages."""

TARGET_MIX: Mapping[str, float] = {"low": 0.80, "medium": 0.15, "high": 0.05}
"""ISA-18.2 and EEMUA 191: shares of low (P3, P4), medium (P2) and high (P1) priority."""


@dataclass(frozen=True)
class RuleSet:
    """Rules by id, in the order in which they were written."""

    rules: tuple[Rule, ...]

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    @cached_property
    def by_id(self) -> Mapping[str, Rule]:
        """Rules by id."""
        return {r.id: r for r in self.rules}

    @cached_property
    def hash(self) -> str:
        """12 hex digits over everything that the rules say, their texts included."""
        return digest([asdict(r) for r in sorted(self.rules, key=lambda r: r.id)])

    def for_point(self, asset_kind: str, tag: str) -> list[Rule]:
        """The rules that look at a point, as their own point, as a member or as a gate."""
        return [
            r for r in self.rules if r.asset_kind == asset_kind and any(matches(tag, p) for p in _looks_at(r))
        ]

    def priority_mix(self) -> dict[str, Any]:
        """How the priorities are spread and how far that is from 80 / 15 / 5.

        Counts rules, not alarms: a rare P1 rule weighs as much as a frequent P4 rule, so the mix of alarms is
        what the KPI report judges. by_hand: rules without a class of consequence · exceptions: rules whose
        priority is not that of the grid, with the reason.
        """
        counts = Counter(r.priority for r in self.rules)
        total = max(len(self.rules), 1)
        share = {
            "low": (counts[3] + counts[4]) / total,
            "medium": counts[2] / total,
            "high": counts[1] / total,
        }
        return {
            "rules": len(self.rules),
            "by_priority": {p: counts[p] for p in (1, 2, 3, 4)},
            "share": share,
            "target": dict(TARGET_MIX),
            "drift": {k: share[k] - TARGET_MIX[k] for k in share},
            "by_hand": [r.id for r in self.rules if not r.harm],
            "exceptions": {r.id: r.why_priority for r in self.rules if r.why_priority},
        }


def _looks_at(rule: Rule) -> tuple[str, ...]:
    return (*rule.tags, rule.gate) if isinstance(rule, Stuck) and rule.gate else rule.tags


def merge(defaults: Iterable[Raw], overrides: Iterable[Raw]) -> list[dict[str, Any]]:
    """The site's rules over the shipped ones, by id.

    An override may give single fields only; `at` and texts are merged key by key; `enabled: false` removes
    the rule. A rule with a new id is added as it is.
    """
    merged: dict[str, Raw] = {}
    for n, raw in enumerate(defaults):
        id_ = str(raw.get("id", ""))
        merged[id_ if id_ not in merged else f"{id_} #{n}"] = raw  # two of one id: `build` will say so
    for raw in overrides:
        id_ = str(raw.get("id", ""))
        merged[id_] = _over(_unweighed(merged.get(id_, {}), raw), raw)
    return [
        {k: v for k, v in raw.items() if k != "enabled"}
        for raw in merged.values()
        if raw.get("enabled", True) is not False
    ]


def _unweighed(old: Raw, new: Raw) -> Raw:
    """Without the shipped priority where the site gives another time or consequence: it follows from them."""
    again = bool({"time_limit_s", "harm"} & set(new)) and "priority" not in new
    if again and old.get("harm") and not old.get("why_priority"):
        return {k: v for k, v in old.items() if k != "priority"}
    return old


def _over(old: Raw, new: Raw) -> dict[str, Any]:
    result = dict(old)
    for key, value in new.items():
        before = result.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            result[key] = _over(before, value)
        else:
            result[key] = value
    return result


def build(raw_rules: Iterable[Raw], locate: Locate | None = None) -> RuleSet:
    """Typed rules. Raises Problems with everything that is wrong, each with its rule, field and remedy."""
    rules: dict[str, Rule] = {}
    problems: list[BadInput] = []
    for raw in raw_rules:
        try:
            rule = rule_from_dict(raw)
        except BadInput as e:
            problems.append(_located(e, raw, locate))
            continue
        if rule.id in rules:
            twice = BadInput(f"{rule.id}: this id exists twice", field="id", hint="give it another id")
            problems.append(_located(twice, raw, locate))
        rules[rule.id] = rule
    if problems:
        raise Problems(problems)
    return RuleSet(tuple(rules.values()))


def _located(e: BadInput, raw: Raw, locate: Locate | None) -> BadInput:
    file, line = locate(raw, e.field) if locate else ("", 0)
    return BadInput(e.message, file=file, line=line, field=e.field, hint=e.hint)
