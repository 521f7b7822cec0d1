"""Which rule looks at which points: rules × points → rows, the unit of detector state."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache

from alerts.rules import Combine, Cycles, NoData, Rule, Stuck, matches, stale_s
from alerts.rules_residual import Residual
from gateway.model import Ms

FAR: Ms = 2**62
"""A time after all times, or a gap that never ends."""


VIRTUAL = "=virtual"
"""Device of points that are worked out: when they are silent or bad, what they are made of says so."""


@dataclass(frozen=True, slots=True)
class PointInfo:
    """What the engine knows of a point.

    series: registry id · id: `asset/tag` · device: groups the points that fall silent together (rules with
    `per: device`); without it the asset is the group.
    """

    series: int
    id: str
    asset: str
    estate: str
    asset_kind: str
    tag: str
    period_s: float = 1.0
    device: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One rule at one place: its state is one row of a block.

    rule: with the parameters of this asset · inputs: series by role, tags: theirs · gaps: how long each input
    may be held without proof, ms (FAR: needs none) · timeout: silence allowed (no_data rules), ms.
    """

    rule: Rule
    point: str
    asset: str
    estate: str
    inputs: tuple[int, ...]
    gaps: tuple[Ms, ...]
    tags: tuple[str, ...] = ()
    timeout: Ms = 0

    @property
    def key(self) -> tuple[str, str]:
        """(rule id, point id): the condition, by which state survives a rebuild."""
        return self.rule.id, self.point


Places = Mapping[tuple[str, str], PointInfo]


def bind(rules: Iterable[Rule], points: Sequence[PointInfo]) -> list[Row]:
    """All rows, in the order of the rules and then of the points."""
    by_kind: dict[str, list[PointInfo]] = defaultdict(list)
    places: dict[tuple[str, str], PointInfo] = {}
    for p in points:
        by_kind[p.asset_kind].append(p)
        places.setdefault((p.asset, p.tag), p)
    rows: list[Row] = []
    for rule in rules:
        near = by_kind[rule.asset_kind]
        fits = {tag: matches(tag, rule.tag) for tag in {p.tag for p in near}}
        matching = [p for p in near if fits[p.tag]]
        if isinstance(rule, NoData):
            matching = [p for p in matching if p.device != VIRTUAL]
        if isinstance(rule, NoData) and rule.per == "device":
            rows.extend(_device_rows(rule, matching))
            continue
        if _alone(rule):
            rows.extend(_own_row(rule, p) for p in matching)
            continue
        for p in matching:
            row = _row(rule.for_asset(p.asset), p, places)
            if row is not None:
                rows.append(row)
    return rows


def _alone(rule: Rule) -> bool:
    """Whether it looks at one point and is the same everywhere."""
    several = isinstance(rule, Combine | Residual)
    return not (several or getattr(rule, "gate", None) or getattr(rule, "other", None) or rule.at)


def _own_row(rule: Rule, p: PointInfo) -> Row:
    timeout = _ms(rule.timeout(p.period_s)) if isinstance(rule, NoData) else 0
    return Row(rule, p.id, p.asset, p.estate, (p.series,), (_gap(p.period_s),), (p.tag,), timeout)


def _row(rule: Rule, p: PointInfo, places: Places) -> Row | None:
    """The rule at a point; None when the asset lacks a point that it needs."""
    if isinstance(rule, Combine):
        found = [places.get((p.asset, filled(m.tag, rule.tag, p.tag))) for m in rule.all_of]
    elif isinstance(rule, Stuck) and rule.gate:
        gates = (places.get((p.asset, filled(g, rule.tag, p.tag))) for g in rule.gate.split("|"))
        found = [p, next((g for g in gates if g), None)]
    elif isinstance(rule, Cycles) and rule.other:
        found = [p, places.get((p.asset, filled(rule.other, rule.tag, p.tag)))]
    elif isinstance(rule, Residual):
        rule, found = _of_residual(rule, p, places)
    else:
        found = [p]
    inputs = [i for i in found if i is not None]
    if len(inputs) < len(found):
        return None
    gaps = [_gap(i.period_s) for i in inputs]
    if isinstance(rule, Combine) and rule.confirm:
        confirm = places.get((p.asset, filled(rule.confirm.tag, rule.tag, p.tag)))
        if confirm:
            inputs.append(confirm)
            gaps.append(FAR)
    return Row(
        rule,
        p.id,
        p.asset,
        p.estate,
        tuple(i.series for i in inputs),
        tuple(gaps),
        tuple(i.tag for i in inputs),
        _ms(rule.timeout(p.period_s)) if isinstance(rule, NoData) else 0,
    )


def _of_residual(rule: Residual, p: PointInfo, places: Places) -> tuple[Residual, list[PointInfo | None]]:
    """Its inputs, and the rule with the tags that the asset has: other inputs are another meaning."""

    def found(tags: Iterable[str]) -> list[PointInfo]:
        there = (places.get((p.asset, filled(tag, rule.tag, p.tag))) for tag in tags)
        return [i for i in there if i is not None]

    others, gates = [i for i in found(rule.other_tags) if i is not p], found(rule.gate_tags)[:1]
    lacking = bool(rule.other_tags and not others) or bool(rule.gate and not gates)
    own = replace(rule, others="|".join(i.tag for i in others), gate="|".join(i.tag for i in gates))
    return own, [p, *others, *gates, *([None] if lacking else [])]


def _device_rows(rule: NoData, matching: Sequence[PointInfo]) -> Iterable[Row]:
    groups: dict[tuple[str, str], list[PointInfo]] = defaultdict(list)
    for p in matching:
        groups[p.asset, p.device].append(p)
    for (asset, _), members in groups.items():
        own = rule.for_asset(asset)
        assert isinstance(own, NoData)
        timeout = _ms(min(own.timeout(p.period_s) for p in members))
        gaps = tuple(_gap(p.period_s) for p in members)
        first = members[0]
        series, tags = tuple(p.series for p in members), tuple(p.tag for p in members)
        yield Row(own, first.id, asset, first.estate, series, gaps, tags, timeout)


def filled(pattern: str, matched: str, tag: str) -> str:
    """`pattern` with its stars replaced by what the stars of `matched` stand for in `tag`."""
    one = next((p for p in matched.split("|") if fnmatchcase(tag, p)), tag)
    expression = re.escape(one).replace(r"\*", "(.*)").replace(r"\?", ".")
    match = re.fullmatch(expression.replace(r"\[", "[").replace(r"\]", "]"), tag)
    for part in match.groups() if match else ():
        pattern = pattern.replace("*", part, 1)
    return pattern


@lru_cache(maxsize=256)
def _gap(period_s: float) -> Ms:
    return _ms(stale_s(period_s))


def _ms(seconds: float) -> Ms:
    return round(seconds * 1000)
