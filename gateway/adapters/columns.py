"""What every sample store does with columns before and after its own query language."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.model import Level, MessageKey, Ms, Samples
from gateway.ports import Buckets

DAY: Ms = 86_400_000
BAD_FROM = int(Level.BAD) << 5
"""Quality bytes from here on are BAD."""


def checked(samples: Samples) -> Samples:
    """The four columns in their stored types and of one length. Raises ValueError."""
    s = Samples(
        np.ascontiguousarray(samples.series, np.uint32),
        np.ascontiguousarray(samples.t, np.int64),
        np.ascontiguousarray(samples.v, np.float64),
        np.ascontiguousarray(samples.q, np.uint8),
    )
    if not len(s.series) == len(s.t) == len(s.v) == len(s.q):
        raise ValueError("columns of different lengths")
    return s


def first_wins(samples: Samples) -> Samples:
    """The rows in their order, without the later ones of a (series, t) that occurs more than once."""
    if len(samples) < 2:
        return samples
    order = np.lexsort((samples.t, samples.series))  # stable: of equals, the first stays first
    series, t = samples.series[order], samples.t[order]
    again = (series[1:] == series[:-1]) & (t[1:] == t[:-1])
    if not again.any():
        return samples
    keep = np.ones(len(samples), bool)
    keep[order[1:][again]] = False
    return samples[keep]


def bucketed(samples: Samples, start: Ms, end: Ms, n: int) -> Buckets:
    """Rows of one series within [start, end), in time order, as n equal buckets (the specification).

    Row t belongs to bucket k = floor((t - start) * n / (end - start)), exact in integers; its `t` is the
    first millisecond that does. BAD rows and rows without a number take no part.
    """
    rows = samples[(samples.q < BAD_FROM) & np.isfinite(samples.v)]
    if not len(rows):
        none, number = np.empty(0, np.int64), np.empty(0, np.float64)
        return Buckets(none, number, number, number, none)
    k = (rows.t - start) * n // (end - start)
    first = np.flatnonzero(np.r_[True, k[1:] != k[:-1]])
    count = np.diff(np.r_[first, len(k)])
    return Buckets(
        bucket_start(k[first], start, end, n),
        np.minimum.reduceat(rows.v, first),
        np.maximum.reduceat(rows.v, first),
        np.add.reduceat(rows.v, first) / count,
        count.astype(np.int64),
    )


def bucket_start(k: NDArray[np.int64], start: Ms, end: Ms, n: int) -> NDArray[np.int64]:
    """The first millisecond of each bucket."""
    starts: NDArray[np.int64] = start - (-k * (end - start) // n)
    return starts


class Keys:
    """The message keys seen, as ranges per (gateway, boot, lane)."""

    def __init__(self) -> None:
        self._ranges: dict[tuple[str, str, str], list[list[int]]] = {}

    def __contains__(self, key: MessageKey) -> bool:
        ranges = self._ranges.get((key.gateway, key.boot, key.lane), [])
        at = bisect_right(ranges, key.seq, key=lambda r: r[0]) - 1
        return at >= 0 and key.seq <= ranges[at][1]

    def __iter__(self) -> Iterator[tuple[str, str, str, int, int]]:
        for (gateway, boot, lane), ranges in self._ranges.items():
            for first, last in ranges:
                yield gateway, boot, lane, first, last

    def add(self, gateway: str, boot: str, lane: str, first: int, last: int) -> tuple[int, int]:
        """Join [first, last] with what it overlaps or touches; the range that it is part of now."""
        ranges = self._ranges.setdefault((gateway, boot, lane), [])
        low = high = bisect_right(ranges, first, key=lambda r: r[0])
        while low and ranges[low - 1][1] >= first - 1:
            low -= 1
        while high < len(ranges) and ranges[high][0] <= last + 1:
            high += 1
        inside = ranges[low:high]
        joined = (min([first, *(r[0] for r in inside)]), max([last, *(r[1] for r in inside)]))
        ranges[low:high] = [list(joined)]
        return joined

    def update(self, keys: Sequence[MessageKey]) -> None:
        """Add single keys."""
        for key in keys:
            self.add(key.gateway, key.boot, key.lane, key.seq, key.seq)


class Newest:
    """The time up to which each series may have rows: what lies after it is certainly new."""

    _NEVER = np.iinfo(np.int64).min
    _ALWAYS = np.iinfo(np.int64).max
    _TRACKED = 4_000_000  # ids above have no entry (the table would pass 32 MB): their rows are never certain

    def __init__(self) -> None:
        self._t: NDArray[np.int64] = np.empty(0, np.int64)

    def of(self, series: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Row by row."""
        known = np.where(series < self._TRACKED, self._NEVER, self._ALWAYS)
        inside = series < len(self._t)
        known[inside] = self._t[series[inside]]
        return known

    def note(self, series: NDArray[np.integer[Any]], t: NDArray[np.int64]) -> None:
        """These rows are there now."""
        tracked = series < self._TRACKED
        series, t = series[tracked], t[tracked]
        if not len(series):
            return
        top = int(series.max()) + 1
        if top > len(self._t):
            grown = np.full(min(max(top, 2 * len(self._t)), self._TRACKED), self._NEVER, np.int64)
            grown[: len(self._t)] = self._t
            self._t = grown
        np.maximum.at(self._t, series, t)

    @property
    def latest(self) -> Ms:
        """The newest time of all; 0 before the first."""
        return max(int(self._t.max()), 0) if len(self._t) else 0
