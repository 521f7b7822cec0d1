"""What depends on what: assets, the edges that read them, the lines on which devices share a wire. Pure.

An arrow goes from an asset to what it cannot work without. Declared arrows come from `depends_on` of the site
file; the others follow from the estate: whatever runs on electricity hangs on the estate's only supply where
no other is named, and every point hangs on the edge that reads it. An arrow that would close a circle is left
out and named in `dropped`, so that no walk goes round for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gateway.model import Asset

Why = Literal["declared", "supply"]

ELECTRIC: frozenset[str] = frozenset(
    {"elevator", "fire", "water", "drain", "lighting", "generator", "gateway"}
)
"""Asset classes that stop, or change their state, when the supply of the estate is gone."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """`child` cannot work without `parent`."""

    child: str
    parent: str
    why: Why


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a point: the edge, its device, and the line that the device shares with others."""

    gateway: str
    device: str = ""
    line: str = ""


class Graph:
    """Acyclic. The same assets give the same graph, whatever their order."""

    def __init__(self, assets: Mapping[str, Asset], readers: Mapping[str, Reader] | None = None) -> None:
        """readers: by point id."""
        self.assets = dict(assets)
        self.readers = dict(readers or {})
        self.dropped: list[Arrow] = []
        self._parents: dict[str, list[Arrow]] = {}
        self._above: dict[str, dict[str, int]] = {}
        for arrow in (*self._declared(), *self._supply()):
            self._add(arrow)

    def _declared(self) -> Iterator[Arrow]:
        for asset in sorted(self.assets):
            for parent in self.assets[asset].depends_on:
                if parent in self.assets:
                    yield Arrow(asset, parent, "declared")

    def _supply(self) -> Iterator[Arrow]:
        for asset in sorted(self.assets):
            named = (p for p in self.assets[asset].depends_on if p in self.assets)
            supply = self.supply_of(self.assets[asset])
            if supply and not any(self.assets[p].kind == "power" for p in named):
                yield Arrow(asset, supply, "supply")

    def supply_of(self, asset: Asset) -> str:
        """The estate's only supply, for what runs on electricity; "" where that does not tell."""
        supplies = self._supplies.get(asset.estate, ())
        return supplies[0] if asset.kind in ELECTRIC and len(supplies) == 1 else ""

    @cached_property
    def _supplies(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for a in sorted(self.assets):
            if self.assets[a].kind == "power":
                found.setdefault(self.assets[a].estate, []).append(a)
        return found

    def _add(self, arrow: Arrow) -> None:
        if arrow.child == arrow.parent or arrow.child in self.above(arrow.parent):
            self.dropped.append(arrow)
            return
        self._parents.setdefault(arrow.child, []).append(arrow)
        self._above.clear()

    # ── questions ─────────────────────────────────────────────────────────────────────────────────

    def arrows(self, asset: str) -> Sequence[Arrow]:
        """What the asset hangs on directly."""
        return self._parents.get(asset, ())

    def above(self, asset: str) -> Mapping[str, int]:
        """Everything that the asset hangs on, nearest first → number of arrows."""
        known = self._above.get(asset)
        if known is None:
            known = self._above[asset] = self._climb(asset)
        return known

    def _climb(self, asset: str) -> dict[str, int]:
        far, front, hops = {asset: 0}, [asset], 0
        while front:
            hops += 1
            ahead = (a.parent for x in front for a in self.arrows(x) if a.parent not in far)
            front = list(dict.fromkeys(ahead))
            far.update(dict.fromkeys(front, hops))
        del far[asset]
        return far

    def below(self, asset: str) -> frozenset[str]:
        """Everything that hangs on the asset."""
        return self._below.get(asset, frozenset())

    @cached_property
    def _below(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for a in self.assets:
            for parent in self.above(a):
                found.setdefault(parent, set()).add(a)
        return {a: frozenset(s) for a, s in found.items()}

    def unsupplied(self) -> list[str]:
        """Electric assets of which nobody knows the supply: an outage will not explain their alarms."""
        electric = (a for a in sorted(self.assets) if self.assets[a].kind in ELECTRIC)
        return [
            a
            for a in electric
            if self._supplies.get(self.assets[a].estate)
            and not any(self.assets[p].kind == "power" for p in self.above(a))
        ]

    def orphans(self) -> list[tuple[str, str]]:
        """(asset, what it names) where `depends_on` names nothing that exists."""
        return [
            (a, p) for a in sorted(self.assets) for p in self.assets[a].depends_on if p not in self.assets
        ]
