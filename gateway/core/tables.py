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
    """Every table ever seen, by its hash, so that an old backlog decodes as it was written.

    A point that the site file does not list (any more, or not yet) is kept like any other: its readings are
    stored, only nobody judges or shows them.
    """

    def __init__(self, state: StateStore, assets: Mapping[str, Asset]) -> None:
        self._state = state
        self._assets = assets
        self._known: dict[str, Known] = {}
        self.points: dict[int, Point] = {}
        self._fresh: dict[str, str] = {}
        for _, body in state.records("table"):
            self._register(PointTable.decode(orjson.dumps(body)))

    def get(self, tab: str) -> Known | None:
        """None: unknown, to be asked for."""
        return self._known.get(tab)

    def foreign(self, table: PointTable, estate: str) -> list[str]:
        """Assets in the table that belong to another estate."""
        names = {p.asset for p in table.points}
        return sorted(n for n in names if n in self._assets and self._assets[n].estate != estate)

    def add(self, table: PointTable, estate: str) -> bool:
        """Register its points; True when it is new. Idempotent. Raises Retryable."""
        if table.tab in self._known:
            return False
        self._register(table)
        self._fresh[table.tab] = estate
        return True

    def _register(self, table: PointTable) -> None:
        ids = self._state.series([(p.asset, p.tag) for p in table.points])
        series = np.array([ids[p.asset, p.tag] for p in table.points], np.uint32)
        self._known[table.tab] = Known(table, series)
        for s, p in zip(series.tolist(), table.points, strict=True):
            self.points[s] = p

    def records(self) -> Iterable[tuple[str, str, str, Mapping[str, object]]]:
        """State records of tables that were added since the last call."""
        fresh, self._fresh = self._fresh, {}
        for tab, estate in fresh.items():
            yield "table", tab, estate, orjson.loads(self._known[tab].table.encode())
