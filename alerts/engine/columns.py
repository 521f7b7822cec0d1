"""Small tools for columns: series → position, series → rows, and batches cut into runs of one series."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
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
    """Which rows of a block look at a series, and in which role. `solo`: no row looks at more than one."""

    def __init__(
        self, size: int, positions: Sequence[int], rows: Sequence[int], roles: Sequence[int]
    ) -> None:
        at = np.asarray(positions, np.int64)
        order = np.argsort(at, kind="stable")
        self.rows = np.asarray(rows, np.int32)[order]
        self.roles = np.asarray(roles, np.int8)[order]
        self.count = np.bincount(at, minlength=size).astype(np.int32)
        self.start = (np.cumsum(self.count) - self.count).astype(np.int32)
        self.single = bool(size) and int(self.count.max()) <= 1
        self.full = bool(size) and int(self.count.min()) > 0
        self.solo = len(np.unique(self.rows)) == len(self.rows)
        self.any = len(at) > 0

    def expand(self, positions: I8) -> tuple[I8 | slice, I8, I8]:
        """(index into `positions`, row, role) for every row that looks at each; order kept."""
        index: I8 | slice
        if self.single and self.full:
            index, at = slice(None), self.start[positions]
        elif self.single:
            index = np.flatnonzero(self.count[positions])
            at = self.start[positions[index]]
        else:
            count = self.count[positions]
            index = np.repeat(np.arange(len(positions)), count)
            ends = np.cumsum(count)
            at = self.start[positions[index]] + np.arange(len(index)) - (ends - count)[index]
        return index, self.rows[at].astype(np.int64), self.roles[at].astype(np.int64)


class Feed:
    """Readings in order of (series, time, arrival), cut into runs of one series each.

    at: position of the series, of each run · begin, end: where the run lies in the columns `t` and `v` ·
    once: no series has more than one.
    """

    def __init__(self, at: I8, t: I8, v: F8, arrival: I8) -> None:
        self.t, self.v, self._arrival, self._of = t, v, arrival, at
        self.no_role = np.zeros(len(t), np.int64)
        self.at, self.begin, self.end = runs(at)
        self.once = len(self.at) == len(at)

    @cached_property
    def arrived(self) -> tuple[I8, I8, F8]:
        """(position, time, value) of the readings as they arrived."""
        place = np.full(int(self._arrival.max(initial=-1)) + 1, -1, np.int64)
        place[self._arrival] = np.arange(len(self.t))
        order = place[place >= 0]
        return self._of[order], self.t[order], self.v[order]


def runs(key: I8) -> tuple[I8, I8, I8]:
    """(key, begin, end) of each stretch of equal keys."""
    first = np.ones(len(key), np.bool_)
    first[1:] = key[1:] != key[:-1]
    begin = np.flatnonzero(first)
    end = np.empty(len(begin), np.int64)
    end[:-1], end[-1:] = begin[1:], len(key)
    return key[begin], begin, end


def spread(begin: I8, end: I8) -> I8 | slice:
    """All that lies in runs, run after run, as an index; a slice when nothing lies between them."""
    length = end - begin
    total = int(length.sum())
    if total == int(end[-1] - begin[0]) and bool((begin[1:] == end[:-1]).all()):
        return slice(int(begin[0]), int(end[-1]))
    return np.arange(total) + np.repeat(end - np.cumsum(length), length)


def by_key(key: I8, t: I8) -> I8 | None:
    """Indexes that sort by (key, t, arrival); None: in that order already. Keys are 0 or more."""
    n = len(key)
    if n < 2 or bool((key[1:] > key[:-1]).all()):
        return None
    first, span = int(t.min()), int(t.max()) - int(t.min())
    time_bits, index_bits = span.bit_length(), (n - 1).bit_length()
    if int(key.max()).bit_length() + time_bits + index_bits > 62:
        return np.lexsort((t, key))
    # One sort of numbers that are all different is several times faster than a stable sort by two keys.
    packed = ((key << time_bits | (t - first)) << index_bits) | np.arange(n)
    packed.sort()
    order: I8 = packed & ((1 << index_bits) - 1)
    return order
