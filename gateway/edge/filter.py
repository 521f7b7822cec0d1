"""Report by exception, in columns: dead band, longest silence, changes of state and of quality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.model import GOOD, Level, Point, Reason, quality

DOUBTFUL = quality(Level.UNCERTAIN, Reason.CLOCK_STEP)
NOT_A_NUMBER = quality(Level.BAD, Reason.NOT_A_NUMBER)
BACKWARDS_MS = 250
"""A stamp that has to be moved forward by more than this is marked CLOCK_STEP."""

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(slots=True)
class Batch:
    """Readings of one tick in order of arrival. gid: index into the edge's points."""

    gid: NDArray[np.intp]
    t: I64
    v: F64
    q: U8

    def __len__(self) -> int:
        return len(self.gid)

    def __getitem__(self, rows: NDArray[np.intp] | Mask) -> Batch:
        return Batch(self.gid[rows], self.t[rows], self.v[rows], self.q[rows])


class Filter:
    """The last value sent of every point.

    A reading passes when it is the first of its point, when its quality changed, when a state changed, when
    a value moved by more than the dead band from the last one *sent* (so that the reconstruction error is
    at most the dead band), or when `silence_s` went by. Stamps become strictly increasing per point.
    """

    def __init__(self, points: Sequence[Point]) -> None:
        n = len(points)
        self._state: Mask = np.array([p.kind in ("digital", "enum") for p in points], np.bool_)
        self._text: Mask = np.array([p.kind == "text" for p in points], np.bool_)
        band = np.array([p.deadband for p in points], np.float64)
        self._band: F64 = np.where(self._state, 0.0, band)
        share = np.array([p.deadband_pct / 100 for p in points], np.float64)
        self._share: F64 = np.where(self._state, 0.0, share)
        self._silence: F64 = np.array([p.silence_s * 1000 for p in points], np.float64)
        self._t: I64 = np.zeros(n, np.int64)  # newest stamp
        self._sent: I64 = np.zeros(n, np.int64)  # stamp of the last value sent
        self._v: F64 = np.zeros(n, np.float64)
        self._q: U8 = np.zeros(n, np.uint8)
        self._seen: Mask = np.zeros(n, np.bool_)

    def forget(self) -> None:
        """Send every point again at its next reading."""
        self._seen[:] = False

    def process(self, batch: Batch, force: Mask | None = None, *, doubtful: bool = False) -> Mask:
        """Which rows pass; corrects stamps and qualities of `batch` in place.

        force: rows that must · doubtful: all stamps are far from the clock (ClockGuard.doubtful), so what is
        GOOD is marked CLOCK_STEP.
        """
        bad = ~np.isfinite(batch.v) & (batch.q >> 5 == Level.GOOD) & ~self._text[batch.gid]
        batch.q[bad] = NOT_A_NUMBER
        if doubtful:
            batch.q[batch.q == GOOD] = DOUBTFUL
        passed = np.zeros(len(batch), np.bool_)
        for rows in _waves(batch.gid):
            self._wave(batch, rows, passed, force)
        return passed

    def _wave(self, batch: Batch, rows: NDArray[np.intp], passed: Mask, force: Mask | None) -> None:
        """Rows of distinct points."""
        gid, v = batch.gid[rows], batch.v[rows]
        t, q = self._stamp(gid, batch.t[rows], batch.q[rows])
        batch.t[rows], batch.q[rows] = t, q
        sent_v = self._v[gid]
        moved = np.abs(v - sent_v) > np.fmax(self._band[gid], self._share[gid] * np.abs(sent_v))
        moved |= np.isnan(v) != np.isnan(sent_v)
        moved &= q >> 5 < Level.BAD
        go = moved | (q != self._q[gid]) | ~self._seen[gid]
        go |= t - self._sent[gid] >= self._silence[gid]
        if force is not None:
            go |= force[rows]
        sent = gid[go]
        self._v[sent], self._q[sent], self._sent[sent], self._seen[sent] = v[go], q[go], t[go], True
        passed[rows] = go

    def _stamp(self, gid: NDArray[np.intp], t: I64, q: U8) -> tuple[I64, U8]:
        """Strictly later than the point's last reading: (series, t) is the key of the store."""
        last = self._t[gid]
        late = (t <= last - BACKWARDS_MS) & (q == GOOD)
        t = np.maximum(t, last + 1)
        self._t[gid] = t
        if late.any():
            q = np.where(late, np.uint8(DOUBTFUL), q)
        return t, q


def _waves(gid: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    """Row numbers in groups without a repeated point; one group unless a point was read twice in the tick."""
    if len(gid) == 0:
        return []
    order = np.argsort(gid, kind="stable")
    ordered = gid[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    if len(first) == len(gid):
        return [np.arange(len(gid))]
    rank = np.arange(len(gid)) - np.repeat(first, np.diff(np.r_[first, len(gid)]))
    return [np.sort(order[rank == k]) for k in range(int(rank.max()) + 1)]
