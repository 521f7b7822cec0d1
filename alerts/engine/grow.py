"""Rows of a block that come, change and go, at the cost of those rows alone.

A new row's columns are made by a block of the new rows and written into the place of a row that has gone, or
behind the last one; the last rows move into places that stay empty. So a place that is used again holds
nothing of the row before it, and no tick looks at rows that are no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from alerts.engine.bind import Row
from alerts.engine.block import Block, inputs_of
from alerts.engine.columns import I8, Any_, Index, longer
from gateway.model import Finding

Key = tuple[str, str, str]
"""(rule, point, meaning): what a row's state belongs to."""


def key_of(row: Row) -> Key:
    """The key of a row."""
    return row.rule.id, row.point, row.rule.meaning


@cache
def row_columns(kind: type[Block]) -> tuple[str, ...]:
    """Names of the columns of a kind of block that have an entry for each row."""
    empty = kind((), Index(np.zeros(0, np.int64)))
    return tuple(
        name
        for name, column in vars(empty).items()
        if isinstance(column, np.ndarray) and column.shape[-1] == 0 and name not in kind.SHARED
    )


class Change(NamedTuple):
    """Rows to be written, with the number that each had (-1: new), and the numbers of rows that go."""

    rows: list[Row]
    was: list[int]
    gone: list[int]


def compare(block: Block, old: I8, rows: Sequence[Row]) -> Change:
    """What has to happen so that these rows stand where the rows `old` did."""
    if not len(old):
        return Change(list(rows), [-1] * len(rows), [])
    before = {key_of(block.rows[k]): k for k in old.tolist()}
    put, was = [], []
    for row in rows:
        k = before.pop(key_of(row), -1)
        if k < 0 or row != block.rows[k]:
            put.append(row)
            was.append(k)
    return Change(put, was, sorted(before.values()))


def replace(block: Block, index: Index, touched: I8, change: Change) -> list[Finding]:
    """Carry it out; gives the ends of conditions whose row goes.

    touched: positions of all points that rows of this change look at or looked at.
    """
    rows, was, gone = change
    if not (rows or gone):
        return []
    ended = ends([named(block.rows[k]) for k in gone], gone, block.columns())
    made, old = type(block)(rows, index), np.asarray(was, np.int64)
    made.carry(block.columns(), old[old >= 0], np.flatnonzero(old >= 0))
    at, moved, size = _places(len(block.rows), was, gone)
    _write(block, made, np.asarray(at, np.int64))
    _move(block, np.asarray(list(moved), np.int64), np.asarray(list(moved.values()), np.int64))
    _list(block.rows, at, rows, moved, size)
    if block.names:
        _list(block.names, at, [named(row) for row in rows], moved, size)
    _link(block, index, touched, [*gone, *was, *moved], {*(moved.get(k, k) for k in at), *moved.values()})
    return ended


def _places(size: int, was: Sequence[int], gone: Sequence[int]) -> tuple[list[int], dict[int, int], int]:
    """Numbers for the rows that are written, where the last rows move to (from → to), rows in the end."""
    free, at = list(reversed(gone)), []
    for k in was:
        if k >= 0:
            at.append(k)
        elif free:
            at.append(free.pop())
        else:
            at.append(size)
            size += 1
    holes, end = set(free), size - len(free)
    last = [k for k in range(end, size) if k not in holes]
    return at, dict(zip(last, sorted(k for k in holes if k < end), strict=True)), end


def _write(block: Block, made: Block, at: I8) -> None:
    if not len(at):
        return
    block.join(made)
    for name in row_columns(type(block)):
        theirs = getattr(made, name)
        mine = _fitted(getattr(block, name), theirs, int(at.max()) + 1, name, block) if block.rows else theirs
        if mine is not theirs:
            part = _part(mine, theirs, name, block)
            if part != slice(None):
                mine[:, at] = block.BLANK[name]
            mine[(part, at) if mine.ndim > 1 else at] = theirs
        setattr(block, name, mine)


def _fitted(mine: Any_, theirs: Any_, room: int, name: str, block: Block) -> Any_:
    """The column with room for so many rows, as high as theirs at least, of a type that holds both."""
    mine = longer(mine.astype(np.result_type(mine, theirs), copy=False), room)
    if mine.ndim < 2 or len(mine) >= len(theirs):
        return mine
    high = np.empty((len(theirs), mine.shape[1]), mine.dtype)
    high[:] = block.BLANK[name]
    high[_part(high, mine, name, block)] = mine
    return high


def _part(high: Any_, low: Any_, name: str, block: Block) -> slice:
    """Where a lower column lies in a higher one."""
    if high.ndim < 2 or len(high) == len(low):
        return slice(None)
    return slice(len(high) - len(low), None) if name in block.TAIL else slice(len(low))


def _move(block: Block, frm: I8, to: I8) -> None:
    if len(frm):
        for name in row_columns(type(block)):
            column = getattr(block, name)
            column[..., to] = column[..., frm]


def _list(
    mine: list[Any], at: Sequence[int], new: Sequence[Any], moved: Mapping[int, int], size: int
) -> None:
    """What a list has for each row, after the same change as the columns."""
    for k, one in zip(at, new, strict=True):
        mine[k : k + 1] = [one]
    for frm, to in moved.items():
        mine[to] = mine[frm]
    del mine[size:]


def _link(block: Block, index: Index, touched: I8, gone: Sequence[int], new: Iterable[int]) -> None:
    """Links of rows with these numbers, instead of all that the gone ones had."""
    places = sorted(new)
    rows = [block.rows[k] for k in places]
    of, role = inputs_of(rows)
    at = index.find(np.fromiter(chain.from_iterable(r.inputs for r in rows), np.int64, len(of)))
    numbers = np.asarray(places, np.int64)[of]
    block.links.replace(np.concatenate([touched, at]), np.asarray(gone, np.int64), at, numbers, role)


def pairs(old: Mapping[Key, int], rows: Sequence[Row], numbers: Sequence[int]) -> tuple[I8, I8]:
    """(old number, new number) of each of these rows that was there before."""
    both = [(old[key], k) for row, k in zip(rows, numbers, strict=True) if (key := key_of(row)) in old]
    source, target = (np.asarray([p[i] for p in both], np.int64) for i in (0, 1))
    return source, target


def named(row: Row) -> list[str]:
    """(rule, point, meaning, asset, estate): how a snapshot calls a row."""
    return [*key_of(row), row.asset, row.estate]


def names(block: Block) -> list[list[str]]:
    """Of all rows; kept, since they are asked for with every snapshot."""
    if not block.names:
        block.names = [named(row) for row in block.rows]
    return block.names


def ends(keys: Sequence[Sequence[str]], rows: Sequence[int], columns: Mapping[str, Any_]) -> list[Finding]:
    """The ends of conditions that were active in rows that have no place any more; `keys` of these rows."""
    return [
        Finding(
            rule=key[0],
            point=key[1],
            asset=key[3],
            estate=key[4],
            onset=int(columns["onset"][k]),
            t=max(int(columns["onset"][k]), int(columns["seen"][:, k].max())),
            active=False,
            facts={"ended_by": "rule or point changed"},
        )
        for key, k in zip(keys, rows, strict=True)
        if columns["level"][k]
    ]
