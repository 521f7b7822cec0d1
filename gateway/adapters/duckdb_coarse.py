# Statements are put together from our own numbers and file names, never from anything a person typed.
# ruff: noqa: S608
"""Questions over long windows, answered from roll-ups where they stand and from rows elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
from numpy.typing import NDArray

from gateway.adapters.columns import BAD_FROM, DAY, bucket_start
from gateway.adapters.duckdb_cold import Cold, read
from gateway.adapters.duckdb_rolls import Rolls
from gateway.adapters.held import HOLD, SLOT, held
from gateway.model import Ms, Samples
from gateway.ports import Buckets, Shares

COARSE: Ms = 5 * SLOT
"""Buckets of this length and longer may be made of whole slots."""
_BAD = f"(q >= {BAD_FROM} or v is null or not isfinite(v))"


@dataclass(frozen=True)
class Plan:
    """What of [start, end) comes from roll-ups: slots of [low, high) of these days; the rest are rows."""

    start: Ms
    end: Ms
    low: Ms
    high: Ms
    rolled: tuple[Ms, ...]

    @property
    def rows(self) -> tuple[Ms, ...]:
        """Starts of the days whose files are read: those that are not rolled, and those at the two ends."""
        return tuple(
            d
            for d in range(self.start // DAY * DAY, self.end, DAY)
            if d not in self.rolled
            or max(d, self.start) < max(d, self.low)
            or min(d + DAY, self.end) > min(d + DAY, self.high)
        )

    @property
    def in_rolls(self) -> str:
        """SQL condition on `t` for what the roll-ups answer."""
        if not self.rolled:
            return "false"
        days = ", ".join(map(str, self.rolled))
        whole = all(d in self.rolled for d in range(self.low // DAY * DAY, self.high, DAY))
        inside = f"t >= {self.low} and t < {self.high}"
        return inside if whole else f"{inside} and t // {DAY} * {DAY} in ({days})"


def plan(rolls: Rolls, start: Ms, end: Ms, but: set[Ms]) -> Plan:
    """Whole slots of days whose roll-ups stand, without the days `but`.

    Where the rows at an end are gone, the slot that holds it is used whole.
    """
    gone = rolls.gone()
    low = start // SLOT * SLOT if start // DAY * DAY in gone else -(-start // SLOT) * SLOT
    high = -(-end // SLOT) * SLOT if (end - 1) // DAY * DAY in gone else end // SLOT * SLOT
    days = range(start // DAY * DAY, end, DAY)
    rolled = (rolls.good() - but) | gone if low < high else set[Ms]()
    return Plan(start, end, low, high, tuple(d for d in days if d in rolled))


def buckets(
    con: duckdb.DuckDBPyConnection, cold: Cold, rolls: Rolls, p: Plan, series: int, n: int
) -> Buckets:
    """`n` buckets of the plan's window; slots count where they begin."""
    window = f"series = {series} and t >= {p.start} and t < {p.end}"
    row = f"select t, v as low, v as high, v as sum, 1 as n from {{}} where {window} and not {_BAD}"
    parts = [row.format("pts")]
    files = cold.files(p.start, p.end, p.rows)
    if files:
        parts.append(row.format(read(files)) + f" and not ({p.in_rolls})")
    if p.rolled:
        month = read(rolls.files(p.low, p.high))
        parts.append(
            f"select t, low, high, sum, n from {month} where series = {series} and {p.in_rolls} and n > 0"
        )
    found = con.execute(" union all ".join(parts)).fetchnumpy()
    k = np.maximum(np.asarray(found["t"], np.int64) - p.start, 0) * n // (p.end - p.start)
    order = np.argsort(k, kind="stable")
    k = k[order]
    low, high, total = (np.asarray(found[name], np.float64)[order] for name in ("low", "high", "sum"))
    count = np.asarray(found["n"], np.int64)[order]
    first = np.flatnonzero(np.r_[len(k) > 0, k[1:] != k[:-1]])
    counts = np.add.reduceat(count, first)
    return Buckets(
        bucket_start(k[first], p.start, p.end, n),
        np.minimum.reduceat(low, first),
        np.maximum.reduceat(high, first),
        np.add.reduceat(total, first) / counts,
        counts,
    )


def shares(
    con: duckdb.DuckDBPyConnection, cold: Cold, rolls: Rolls, p: Plan, series: Sequence[int]
) -> Shares:
    """On and known time of the plan's window, of each series once."""
    every = np.unique(np.asarray(series, np.uint32))
    on, known = np.zeros(len(every), np.int64), np.zeros(len(every), np.int64)
    if p.rolled and len(every):
        found = con.execute(
            f"select series, sum(on_ms)::bigint as a, sum(known_ms)::bigint as b"
            f" from {read(rolls.files(p.low, p.high))} where {_among(every)} and {p.in_rolls} group by series"
        ).fetchnumpy()
        at = np.searchsorted(every, found["series"])
        on[at], known[at] = found["a"], found["b"]
    for low, high in _spans_of_rows(p):
        rows = _rows(con, cold, every, low, high)
        first = np.searchsorted(rows.series, every)
        last = np.searchsorted(rows.series, every, side="right")
        for i, (a, b) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
            if b > a:
                now_on, now_known = held(rows[a:b], np.array([low, high], np.int64))
                on[i] += int(now_on[0])
                known[i] += int(now_known[0])
    return Shares(every, on, known)


def _spans_of_rows(p: Plan) -> list[tuple[Ms, Ms]]:
    """The parts of the window that the roll-ups do not answer, joined where they touch."""
    rolled = [(max(d, p.low), min(d + DAY, p.high)) for d in p.rolled]
    ends, starts = [p.start, *(b for _, b in rolled)], [*(a for a, _ in rolled), p.end]
    return [(a, b) for a, b in zip(ends, starts, strict=True) if a < b]


def _rows(
    con: duckdb.DuckDBPyConnection, cold: Cold, every: NDArray[np.uint32], low: Ms, high: Ms
) -> Samples:
    """Rows of [low, high) and the newest one before of each series within `HOLD`, by series and time."""
    source = cold.source(low - HOLD, high)
    found = con.execute(
        f"select series, t, v, q from {source} where {_among(every)} and t >= {low} and t < {high}"
        " union all select series, max(t), arg_max_null(v, t), arg_max(q, t)"
        f" from {source} where {_among(every)} and t >= {low - HOLD} and t < {low} group by series"
        " order by series, t"
    ).fetchnumpy()
    v = np.ma.filled(found["v"].astype(np.float64), np.nan)
    return Samples(found["series"], found["t"], v, found["q"])


def _among(series: NDArray[np.uint32]) -> str:
    """SQL condition; a range first, so that files can be skipped by their statistics."""
    low, high = int(series[0]), int(series[-1])
    inside = f"series between {low} and {high}"
    if high - low + 1 == len(series):
        return inside
    return f"{inside} and series in ({', '.join(map(str, series.tolist()))})"
