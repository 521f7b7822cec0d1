"""What `score_channels` is given, as numbers that cannot overflow; what cannot be read is named."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

F8 = NDArray[np.float64]

MOST = 1e6
"""Bound of a reading beside the size of its channel in the fit: what lies beyond is far off, that is all."""


def matrix_of(matrix: ArrayLike) -> F8:
    """Rows × columns. Raises ValueError, which names the first entry that is no number."""
    try:
        values = np.asarray(matrix, np.float64)
    except (TypeError, ValueError):
        raise ValueError(_odd_entry(matrix)) from None
    if values.ndim != 2:
        raise ValueError(f"matrix: has {values.ndim} dimensions; write one row per sample, one column each")
    if np.isinf(values).any():
        row, column = (int(k[0]) for k in np.nonzero(np.isinf(values)))
        raise ValueError(f"matrix: row {row}, column {column} is infinite; write NaN for a missing one")
    return values


def _odd_entry(matrix: Any) -> str:
    rows = list(matrix)
    for r, row in enumerate(rows):
        cells = list(row) if isinstance(row, Sequence | np.ndarray) and not isinstance(row, str) else [row]
        for c, cell in enumerate(cells):
            try:
                float(np.nan if cell is None else cell)
            except (TypeError, ValueError):
                return f"matrix: row {r}, column {c}: {cell!r:.40} is no number; write NaN for a missing one"
        first = rows[0] if isinstance(rows[0], Sequence | np.ndarray) else [rows[0]]
        if len(cells) != len(first):
            return f"matrix: row {r} has {len(cells)} columns instead of {len(first)}"
    return "matrix: cannot be read; write one row per sample, one column each"


def fit_of(fit: Any, n: int) -> int:
    """Raises ValueError for what is no number of the first rows."""
    try:
        rows = index(int(fit) if isinstance(fit, float) and fit.is_integer() else fit)
    except TypeError:
        raise ValueError(f"fit: {fit!r:.40} is no whole number of rows") from None
    if rows > n:
        raise ValueError(f"fit: {rows} rows, and there are {n}")
    return rows


def steps_of(timestamps: Sequence[Any] | ArrayLike, n: int) -> F8:
    """Time between samples, in the unit of the numbers or in µs; the first is 0. Raises ValueError."""
    times = np.asarray(timestamps)
    if times.shape != (n,):
        raise ValueError(f"timestamps: {times.size} for {n} rows of the matrix; write one for each")
    if times.dtype.kind not in "iufM":
        times = np.asarray([_micros(item, k) for k, item in enumerate(times.tolist())], np.int64)
    if times.dtype.kind == "M":
        lost = np.isnat(times)
        times = times.astype("datetime64[us]").astype(np.int64)
    else:
        lost = ~np.isfinite(times)
    if lost.any():
        raise ValueError(f"timestamps: entry {int(np.flatnonzero(lost)[0])} is no time; leave such rows out")
    # From the first on, before they become floats: nanoseconds since 1970 have no room in 53 bits.
    whole = times.astype(np.int64) if times.dtype.kind in "iu" else times
    since = (whole - whole[0] if n else whole).astype(np.float64)
    steps = np.diff(since, prepend=0.0)
    if not (steps >= 0).all():
        at = int(np.flatnonzero(~(steps >= 0))[0])
        raise ValueError(f"timestamps: entry {at} runs backwards; sort the samples by time")
    return steps[:n]


def _micros(item: Any, k: int) -> int:
    """Of a datetime or an ISO 8601 text, since 1970; without a zone both are UTC."""
    try:
        at = datetime.fromisoformat(item.strip()) if isinstance(item, str) else item
        aware = at if at.tzinfo else at.replace(tzinfo=UTC)
        since = aware - datetime(1970, 1, 1, tzinfo=UTC)
    except (AttributeError, TypeError, ValueError):
        raise ValueError(
            f"timestamps: entry {k}: {item!r:.40} cannot be read; write 2026-03-01 08:15:00, or numbers"
        ) from None
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def sized(values: F8, fit: int) -> tuple[F8, NDArray[np.int32]]:
    """Columns of a size of about one in the fit, and the powers of two (no bits change) that they had."""
    head = np.abs(values[:fit])
    top = np.max(np.where(np.isnan(head), 0.0, head), axis=0, initial=0.0)
    exponent = np.frexp(np.where(top > 0, top, 1.0))[1]
    with np.errstate(over="ignore", under="ignore"):
        scaled = np.ldexp(values, -exponent)
    return np.clip(scaled, -MOST, MOST), exponent
