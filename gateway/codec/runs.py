"""Runs: columns that mostly go on as they began need few bytes.

In a column of whole numbers a pair `[first, count]` stands for `count` numbers from `first` on, each larger
by the column's step than the one before: 1 for indexes, 0 for times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHORTEST = 3
"""A pair is no shorter than two numbers."""
EXACT = 2**53


def in_runs(column: NDArray[np.int64], *, step: int) -> list[int | list[int]]:
    """The column as numbers and pairs; as it is when pairs would save little."""
    starts = np.append(0, np.flatnonzero(np.diff(column) != step) + 1)
    if 2 * len(starts) > len(column):
        return column.tolist()  # type: ignore[no-any-return]  # numpy's tolist is typed Any
    out: list[int | list[int]] = []
    counts = np.diff(np.append(starts, len(column)))
    for first, count in zip(column[starts].tolist(), counts.tolist(), strict=True):
        if count < SHORTEST:
            out += [first + k * step for k in range(count)]
        else:
            out.append([first, count])
    return out


def expanded(values: Sequence[Any], step: int, longest: int) -> list[Any] | None:
    """Numbers as they are, pairs as what they stand for; None for more than `longest` or for no pair."""
    out: list[Any] = []
    for value in values:
        if type(value) is not list:
            out.append(value)
        elif len(value) == 2 and all(type(x) is int for x in value) and 0 < value[1] <= longest:
            out += [value[0] + k * step for k in range(value[1])]
        else:
            return None
        if len(out) > longest:
            return None
    return out


def plain_numbers(column: NDArray[np.float64]) -> list[float | int]:
    """Whole numbers without the `.0` that says nothing."""
    whole = (column == np.trunc(column)) & (np.abs(column) < EXACT)
    if whole.all():
        return column.astype(np.int64).tolist()  # type: ignore[no-any-return]  # as above
    if not whole.any():
        return column.tolist()  # type: ignore[no-any-return]  # as above
    return [int(x) if w else x for x, w in zip(column.tolist(), whole.tolist(), strict=True)]
