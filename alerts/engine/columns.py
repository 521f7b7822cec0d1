"""Small tools for columns: series → position, series → rows, and batches cut into runs of one series."""

from __future__ import annotations

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


def longer(column: Any_, n: int, fill: Any = None) -> Any_:
    """The column with room for `n` entries or more along its last axis.

    It grows by a quarter, so that adding one by one costs no more than adding all, and what is kept free
    stays small. New entries hold `fill`; without it, nothing in particular.
    """
    have = column.shape[-1]
    if n <= have:
        return column
    out = np.empty((*column.shape[:-1], n + n // 4 if have else n), column.dtype)
    out[..., :have] = column
    if fill is not None:
        out[..., have:] = fill
    return out


class Index:
    """Position of each series id: where its columns are. A table while the ids are dense, else a search.

    A position stays with its series; that of one that goes is given to the next that comes.
    series: id by position, -1 where there is none.
    """

    def __init__(self, series: Any_) -> None:
        self.series = np.zeros(0, np.int64)
        self.table: I8 | None = np.full(1, -1, np.int64)
        self._ids, self._at = np.zeros(0, np.int64), np.zeros(0, np.int64)  # instead of a table
        self._free: list[int] = []
        self._used = 0
        self.add(series)

    def __len__(self) -> int:
        return self._used - len(self._free)

    @property
    def size(self) -> int:
        """Positions that there are, free ones included."""
        return len(self.series)

    def add(self, series: Any_) -> I8:
        """Positions of ids that are new, in ascending order of the ids."""
        ids = np.sort(np.asarray(series, np.int64))
        if not len(ids):
            return ids
        again = sorted(self._free[-len(ids) :])
        del self._free[len(self._free) - len(again) :]
        more = len(ids) - len(again)
        at = np.concatenate([np.asarray(again, np.int64), np.arange(self._used, self._used + more)])
        self._used += more
        self.series = longer(self.series, self._used, -1)
        self.series[at] = ids
        self._enter(ids, at)
        return at

    def _enter(self, ids: I8, at: I8) -> None:
        top = int(ids[-1])
        if self.table is not None and top + 1 < len(self.table):
            self.table[ids] = at
        elif self.table is not None and top < 8 * len(self) + 65_536:
            self.table = longer(self.table, top + 2, -1)
            self.table[ids] = at
        else:
            if self.table is not None:
                self.table, every = None, np.flatnonzero(self.series >= 0)
                self._at = every[np.argsort(self.series[every])]
                self._ids = self.series[self._at]
                return
            place = np.searchsorted(self._ids, ids)
            self._ids, self._at = np.insert(self._ids, place, ids), np.insert(self._at, place, at)

    def remove(self, series: Any_) -> None:
        """These ids, which are there, have no position any more."""
        ids = np.asarray(series, np.int64)
        at = self.find(ids)
        self.series[at] = -1
        self._free += at.tolist()
        if self.table is not None:
            self.table[ids] = -1
        else:
            place = np.searchsorted(self._ids, ids)
            self._ids, self._at = np.delete(self._ids, place), np.delete(self._at, place)

    def find(self, ids: Any_) -> I8:
        """Positions; -1 for an id that is not there."""
        ids = np.asarray(ids, np.int64)
        if self.table is not None:
            return self.table[np.minimum(ids, len(self.table) - 1)]
        if not len(self._ids):
            return np.full(len(ids), -1, np.int64)
        place = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        return np.where(self._ids[place] == ids, self._at[place], -1)


class Links:
    """Which rows of a block look at a series, and in which role.

    Those of a position lie together in `rows` and `roles`; new ones are written behind all others, and what
    is left behind is swept together when it is more than what counts.
    solo: no row looks at more than one series.
    """

    def __init__(self) -> None:
        self.rows, self.roles = np.zeros(0, np.int32), np.zeros(0, np.int8)
        self.count, self.start = np.zeros(0, np.int32), np.zeros(0, np.int32)
        self._used = self._linked = self._many = self._all = 0
        self.single = self.full = self.any = False
        self.solo = True

    def replace(self, touched: I8, gone: I8, at: I8, rows: I8, roles: I8) -> None:
        """Rows `gone` look at nothing any more; then these rows look at the series `at`, in these roles.

        touched: positions that the gone rows look at, or more.
        """
        touched = np.unique(np.concatenate([touched, at]))
        if not len(touched):
            return
        top = int(touched[-1]) + 1
        self.count, self.start = longer(self.count, top, 0), longer(self.start, top, 0)
        of, old, role = self._each(touched)
        keep = ~np.isin(old, gone)
        at = np.concatenate([touched[of][keep], at])
        order = np.argsort(at, kind="stable")
        rows = np.concatenate([old[keep], rows])[order]
        roles = np.concatenate([role[keep], roles])[order]
        self._tally(touched, -1)
        count = np.bincount(np.searchsorted(touched, at), minlength=len(touched))
        self.count[touched], self.start[touched] = count, self._used + np.cumsum(count) - count
        self._tally(touched, 1)
        begin, self._used = self._used, self._used + len(rows)
        self.rows, self.roles = longer(self.rows, self._used), longer(self.roles, self._used)
        self.rows[begin : self._used], self.roles[begin : self._used] = rows, roles
        if self._used > 2 * self._all + 64:
            self._sweep()

    def _tally(self, positions: I8, sign: int) -> None:
        count = self.count[positions]
        self._linked += sign * int((count > 0).sum())
        self._many += sign * int((count > 1).sum())
        self._all += sign * int(count.sum())

    def _sweep(self) -> None:
        every = np.flatnonzero(self.count)
        _, rows, roles = self._each(every)
        self.rows, self.roles, self._used = rows.astype(np.int32), roles.astype(np.int8), len(rows)
        count = self.count[every]
        self.start[every] = np.cumsum(count) - count

    def settle(self, size: int, series: int, rows: int) -> None:
        """After changes: how many positions, series and rows there are now."""
        self.count, self.start = longer(self.count, size, 0), longer(self.start, size, 0)
        self.single = series > 0 and self._many == 0
        self.full = series > 0 and self._linked == series
        self.solo = self._all == rows
        self.any = self._all > 0

    def expand(self, positions: I8) -> tuple[I8 | slice, I8, I8]:
        """(index into `positions`, row, role) for every row that looks at each; order kept."""
        index: I8 | slice
        if self.single and self.full:
            index, at = slice(None), self.start[positions]
        elif self.single:
            index = np.flatnonzero(self.count[positions])
            at = self.start[positions[index]]
        else:
            return self._each(positions)
        return index, self.rows[at].astype(np.int64), self.roles[at].astype(np.int64)

    def of(self, positions: I8) -> I8:
        """The rows that look at any of these series."""
        return np.unique(self._each(positions[positions < len(self.count)])[1])

    def _each(self, positions: I8) -> tuple[I8, I8, I8]:
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


def leading(true: Bool) -> int:
    """How many are true before the first that is not."""
    n = int(np.argmin(true)) if len(true) else 0
    return len(true) if n == 0 and len(true) and bool(true[0]) else n


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
