"""Kernels: rules that go through a row's samples one by one, on the same columns as the vectors.

A kernel is a plain function `kernel(row, begin, end, role, t, v, columns)`. For every run k it takes the
samples begin[k]:end[k] of row[k] up to the first one that changes the row's level; it leaves that one
untouched and puts its place into begin[k] (end[k]: none). So findings are made in one place, the vector
step, and the kernel stays small. `columns` is a NamedTuple of columns of the block; those after one that is
named `of` are settings, and belong to a row by of[row].

Where numba is installed `warm` compiles them; until then, and without it, the vectors do the same work bit
by bit, and only long runs of one row (a back-fill) go through a kernel in plain Python.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

Kernel = Callable[..., None]

_compiled: dict[Kernel, Kernel] = {}


def available() -> bool:
    """Whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


def compiled(kernel: Kernel | None) -> Kernel | None:
    """Its compiled form; None: there is none (yet)."""
    return _compiled.get(kernel) if kernel else None


def names() -> list[str]:
    """What is compiled."""
    return sorted(kernel.__name__ for kernel in _compiled)


def warm(todo: Sequence[tuple[Kernel, Any]], helpers: Iterable[Kernel], cache: str = "") -> bool:
    """Compile kernels for columns like these; from then on they are used. False: numba is missing.

    helpers: functions that kernels call · cache: folder that keeps the machine code. Takes seconds at
    first, so it belongs into a thread of its own.
    """
    if not available():
        return False
    import numba
    from numba.extending import register_jitable

    if cache:
        numba.config.CACHE_DIR = cache
    for helper in helpers:
        register_jitable(forceinline=True)(helper)
    none, samples = np.zeros(0, np.int64), np.zeros(0)
    done: dict[Kernel, Kernel] = {}
    for kernel, columns in todo:
        if kernel not in done:
            done[kernel] = numba.njit(cache=bool(cache), nogil=True)(kernel)
            done[kernel](none, none, none, none, none, samples, columns)
    _compiled.update(done)
    return True


def rest() -> None:
    """Back to vectors."""
    _compiled.clear()


def interpreted(kernel: Kernel, columns: Any, row: int, samples: Sequence[Any]) -> int:
    """One row's samples (role, t, v) through a kernel in plain Python; where it stopped.

    Lists of one entry stand in for the columns, which Python reads several times faster than arrays.
    """
    fields = type(columns)._fields
    own = fields.index("of") if "of" in fields else len(fields)  # what follows are settings
    mine = [column[..., row : row + 1].tolist() for column in columns[:own]]
    place = int(columns.of[row]) if own < len(fields) else 0
    settings = [[0], *([column[place].item()] for column in columns[own + 1 :])] if own < len(fields) else []
    begin, lists = [0], [column.tolist() for column in samples]
    kernel([0], begin, [len(lists[0])], *lists, type(columns)._make([*mine, *settings]))
    for column, values in zip(columns, mine, strict=False):
        column[..., row : row + 1] = values
    return begin[0]
