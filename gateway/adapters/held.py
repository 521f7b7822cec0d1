"""How long a value was on: what every sample store answers, and the slots in which sealed days keep it.

A value holds until the next row of its series, for at most `HOLD`; it is known unless that row is BAD or has
no number, and on while it is above 0. This is the history's own account; the figures for which somebody
answers are the ledger's (`gateway.ledger`), which also knows the causes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.adapters.columns import BAD_FROM, DAY
from gateway.model import Ms, Samples
from gateway.ports import Shares

HOLD: Ms = DAY
SLOT: Ms = 900_000
"""Length of a slot of the roll-ups: a quarter of an hour."""
SLOTS = DAY // SLOT

I8 = NDArray[np.int64]


def held(rows: Samples, edges: I8) -> tuple[I8, I8]:
    """(on, known) in ms for each span between neighbouring edges.

    rows: of one series, in time order; those before the first edge count by what they hold. edges: ms,
    rising.
    """
    t = rows.t
    known = (rows.q < BAD_FROM) & np.isfinite(rows.v)
    on = known & (rows.v > 0)
    ends = np.r_[np.minimum(t[1:], t[:-1] + HOLD), t[-1:] + HOLD]
    lengths = ends - t
    # Times at which the sums bend: each row, and where it stops holding.
    times = np.ravel(np.column_stack((t, ends)))
    return tuple(_within(times, np.where(state, lengths, 0), edges) for state in (on, known))  # type: ignore[return-value] # two of them


def _within(times: I8, lengths: I8, edges: I8) -> I8:
    if not len(times):
        return np.zeros(len(edges) - 1, np.int64)
    total = np.cumsum(lengths)
    sums = np.ravel(np.column_stack((total - lengths, total)))
    # Slopes are exactly 0 or 1 and all numbers are whole: the interpolation is exact.
    spans: I8 = np.diff(np.rint(np.interp(edges, times, sums)).astype(np.int64))
    return spans


def shares_by_rows(
    raw: Callable[[int, Ms, Ms], Samples], series: Sequence[int], start: Ms, end: Ms
) -> Shares:
    """The specification: from the rows of [start - HOLD, end), one series after the other."""
    wanted = sorted({int(s) for s in series})
    edges = np.array([start, end], np.int64)
    both = [held(raw(one, start - HOLD, end), edges) for one in wanted]
    on, known = (np.array([int(b[i][0]) for b in both], np.int64) for i in (0, 1))
    return Shares(np.array(wanted, np.uint32), on, known)


def slots(rows: Samples, before: Samples, day: Ms) -> dict[str, NDArray[Any]]:
    """Roll-up rows of a day: columns series, t, n, low, high, sum, on_ms, known_ms, by series and time.

    rows: of that day, by series and time · before: the newest earlier row of each series within `HOLD`.
    n, low, high and sum are of the rows that are not BAD and have a number; a slot without such rows in which
    nothing is known is left out.
    """
    every = np.union1d(rows.series, before.series).astype(np.uint32)
    out = _reduced(rows, every, day)
    edges = day + SLOT * np.arange(SLOTS + 1, dtype=np.int64)
    both = Samples.concat([before, rows])
    both = both[np.lexsort((both.t, both.series))]
    first = np.searchsorted(both.series, every)
    last = np.searchsorted(both.series, every, side="right")
    for i, (a, b) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        out["on_ms"][i], out["known_ms"][i] = held(both[a:b], edges)
    kept = (out["n"] > 0) | (out["known_ms"] > 0)
    of, slot = np.nonzero(kept)
    columns: dict[str, NDArray[Any]] = {"series": every[of], "t": edges[slot]}
    return columns | {name: grid[kept] for name, grid in out.items()}


def _reduced(rows: Samples, every: NDArray[np.uint32], day: Ms) -> dict[str, NDArray[Any]]:
    """Count, extremes and sum of each (series, slot), and room for the rest."""
    shape = (len(every), SLOTS)
    grid: dict[str, NDArray[Any]] = {
        "n": np.zeros(shape, np.uint32), "low": np.full(shape, np.nan), "high": np.full(shape, np.nan),
        "sum": np.zeros(shape), "on_ms": np.zeros(shape, np.uint32), "known_ms": np.zeros(shape, np.uint32),
    }  # fmt: skip
    good = rows[(rows.q < BAD_FROM) & np.isfinite(rows.v)]
    if not len(good):
        return grid
    place = np.searchsorted(every, good.series) * SLOTS + (good.t - day) // SLOT
    first = np.flatnonzero(np.r_[True, place[1:] != place[:-1]])
    at = place[first]
    grid["n"].reshape(-1)[at] = np.diff(np.r_[first, len(place)])
    grid["low"].reshape(-1)[at] = np.minimum.reduceat(good.v, first)
    grid["high"].reshape(-1)[at] = np.maximum.reduceat(good.v, first)
    grid["sum"].reshape(-1)[at] = np.add.reduceat(good.v, first)
    return grid
