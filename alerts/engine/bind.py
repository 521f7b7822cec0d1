"""Which rule looks at which points: rules × points → rows, the unit of detector state."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from alerts.rules import Combine, NoData, Rule, Stuck, stale_s
from gateway.model import Ms


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

    rule: with the parameters of this asset · inputs: series by role · gaps: how long each input may be held
    without proof, ms · timeout: silence allowed (no_data rules), ms.
    """

    rule: Rule
    point: str
    asset: str
    estate: str
    inputs: tuple[int, ...]
    gaps: tuple[Ms, ...]
    timeout: Ms = 0

    @property
    def key(self) -> tuple[str, str]:
        """(rule id, point id): the condition, by which state survives a rebuild."""
        return self.rule.id, self.point


def bind(rules: Iterable[Rule], points: Sequence[PointInfo]) -> list[Row]:
    """All rows, in the order of the rules and then of the points."""
    by_kind: dict[str, list[PointInfo]] = defaultdict(list)
    by_place: dict[tuple[str, str], PointInfo] = {}
    for p in points:
        by_kind[p.asset_kind].append(p)
        by_place.setdefault((p.asset, p.tag), p)
    rows: list[Row] = []
    for rule in rules:
        matching = [p for p in by_kind[rule.asset_kind] if fnmatchcase(p.tag, rule.tag)]
        if isinstance(rule, NoData) and rule.per == "device":
            rows.extend(_device_rows(rule, matching))
            continue
        for p in matching:
            row = _row(rule.for_asset(p.asset), p, by_place)
            if row is not None:
                rows.append(row)
    return rows


def _row(rule: Rule, p: PointInfo, by_place: dict[tuple[str, str], PointInfo]) -> Row | None:
    tags = [p.tag]
    if isinstance(rule, Combine):
        tags = list(rule.tags)
    elif isinstance(rule, Stuck) and rule.gate:
        tags.append(_gate_tag(rule, p.tag))
    inputs = [by_place.get((p.asset, tag)) for tag in tags]
    found = [i for i in inputs if i is not None]
    if len(found) < len(inputs):
        return None
    timeout = _ms(rule.timeout(p.period_s)) if isinstance(rule, NoData) else 0
    gaps = tuple(_ms(stale_s(i.period_s)) for i in found)
    return Row(rule, p.id, p.asset, p.estate, tuple(i.series for i in found), gaps, timeout)


def _device_rows(rule: NoData, matching: Sequence[PointInfo]) -> Iterable[Row]:
    groups: dict[tuple[str, str], list[PointInfo]] = defaultdict(list)
    for p in matching:
        groups[p.asset, p.device].append(p)
    for (asset, _), members in groups.items():
        own = rule.for_asset(asset)
        assert isinstance(own, NoData)
        timeout = _ms(min(own.timeout(p.period_s) for p in members))
        gaps = tuple(_ms(stale_s(p.period_s)) for p in members)
        first = members[0]
        yield Row(own, first.id, asset, first.estate, tuple(p.series for p in members), gaps, timeout)


def _gate_tag(rule: Stuck, tag: str) -> str:
    """The gate with its stars replaced by what the tag's stars matched."""
    pattern = re.escape(rule.tag).replace(r"\*", "(.*)").replace(r"\?", ".")
    pattern = pattern.replace(r"\[", "[").replace(r"\]", "]")
    match = re.fullmatch(pattern, tag)
    parts = list(match.groups()) if match else []
    return re.sub(r"\*", lambda _: parts.pop(0), rule.gate)


def _ms(seconds: float) -> Ms:
    return round(seconds * 1000)
