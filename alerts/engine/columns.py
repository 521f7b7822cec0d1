"""Small tools for columns: series → position, series → rows, and batches cut into rounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alerts.engine.bind import FAR

I8 = NDArray[np.int64]
F8 = NDArray[np.float64]
Bool = NDArray[np.bool_]
Any_ = NDArray[Any]

NEVER = -FAR
"""A time before all times; small enough that adding a gap to it still lies before all times."""


class Index:
    """Position of a series id in the sorted ids; a table while the ids are dense, else a search."""

    def __init__(self, series: Any_) -> None:
        self.series = np.sort(np.asarray(series, np.int64))
        n = len(self.series)
        top = int(self.series[-1]) if n else -1
        self.table: I8 | None = None
        if top < 8 * n + 65_536:
            self.table = np.full(top + 2, -1, np.int64)
            self.table[self.series] = np.arange(n)

    def __len__(self) -> int:
        return len(self.series)

    def find(self, ids: Any_) -> I8:
        """Positions; -1 for an id that is not there."""
        ids = np.asarray(ids, np.int64)
        if self.table is not None:
            return self.table[np.minimum(ids, len(self.table) - 1)]
        at = np.minimum(np.searchsorted(self.series, ids), len(self.series) - 1)
        return np.where(self.series[at] == ids, at, -1)


class Links:
    """Which rows of a block look at a series, and in which role."""

    def __init__(
        self, size: int, positions: Sequence[int], rows: Sequence[int], roles: Sequence[int]
    ) -> None:
        at = np.asarray(positions, np.int64)
        order = np.argsort(at, kind="stable")
        self.rows = np.asarray(rows, np.int64)[order]
        self.roles = np.asarray(roles, np.int64)[order]
        self.count = np.bincount(at, minlength=size).astype(np.int64)
        self.start = np.concatenate(([0], np.cumsum(self.count)[:-1])) if size else np.zeros(0, np.int64)
        self.single = bool(size) and int(self.count.max()) <= 1
        self.any = len(at) > 0

    def expand(self, positions: I8) -> tuple[I8, I8, I8]:
        """(index into `positions`, row, role) for every row that looks at each; order kept."""
        count = self.count[positions]
        if self.single:
            index = np.flatnonzero(count)
            at = self.start[positions[index]]
        else:
            index = np.repeat(np.arange(len(positions)), count)
            ends = np.cumsum(count)
            at = self.start[positions[index]] + np.arange(len(index)) - (ends - count)[index]
        return index, self.rows[at], self.roles[at]


class Rounds:
    """Cuts a batch so that every row occurs at most once per round, in order, without sorting."""

    def __init__(self, size: int) -> None:
        self.stamp = np.zeros(size, np.int64)

    def first(self, rows: I8) -> Bool:
        """True where a row occurs for the first time."""
        order = np.arange(len(rows))
        self.stamp[rows[::-1]] = order[::-1]
        first: Bool = self.stamp[rows] == order
        return first

    def cut(self, rows: I8) -> Iterator[I8]:
        """Indexes into `rows`, round by round; as many rounds as the most frequent row has entries."""
        left = np.arange(len(rows))
        while len(left):
            first = self.first(rows[left])
            if first.all():
                yield left
                return
            yield left[first]
            left = left[~first]
