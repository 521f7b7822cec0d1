"""What the indexes of a message mean: point tables, kept for ever, and the registry of series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.codec import PointTable
from gateway.model import Asset, Point
from gateway.ports import StateStore


@dataclass(frozen=True)
class Known:
    """A table with the series id of each index."""

    table: PointTable
    series: NDArray[np.uint32]


class Tables:
    """Every table ever seen, by its hash, so that an old backlog decodes as it was written."""

    def __init__(self, state: StateStore, assets: Mapping[str, Asset]) -> None:
        self._state = state
        self._assets = assets
        self._known: dict[str, Known] = {}
        self.points: dict[int, Point] = {}
        self.fresh: list[str] = []
        for _, body in state.records("table"):
            self.add(PointTable.decode(orjson.dumps(body)), stored=True)

    def get(self, tab: str) -> Known | None:
        """None: unknown, to be asked for."""
        return self._known.get(tab)

    def foreign(self, table: PointTable, estate: str) -> list[str]:
        """Assets in the table that are unknown or belong to another estate."""
        names = {p.asset for p in table.points}
        return sorted(n for n in names if n not in self._assets or self._assets[n].estate != estate)

    def add(self, table: PointTable, *, stored: bool = False) -> Known:
        """Register its points; idempotent."""
        known = self._known.get(table.tab)
        if known is not None:
            return known
        ids = self._state.series([(p.asset, p.tag) for p in table.points])
        series = np.array([ids[p.asset, p.tag] for p in table.points], np.uint32)
        known = Known(table, series)
        self._known[table.tab] = known
        for s, p in zip(series.tolist(), table.points, strict=True):
            self.points[s] = p
        if not stored:
            self.fresh.append(table.tab)
        return known

    def records(self) -> Iterable[tuple[str, str, str, Mapping[str, object]]]:
        """State records of tables that were added since the last call."""
        fresh, self.fresh = self.fresh, []
        for tab in fresh:
            body = orjson.loads(self._known[tab].table.encode())
            estate = self._assets[self._known[tab].table.points[0].asset].estate
            yield "table", tab, estate, body
