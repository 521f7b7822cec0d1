"""A block: all rows of one kind of rule, as columns.

Rows are dense: `rows` has one entry for each, and the columns have room for some more behind them, which
holds nothing in particular. How rows come and go: `grow`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar, NamedTuple

import numpy as np

from alerts.engine import fast
from alerts.engine.bind import FAR, Row
from alerts.engine.columns import F8, I8, NEVER, Any_, Bool, Feed, Index, Links, by_key, leading, runs, spread
from gateway.model import Finding, Ms

PART = 8192
"""Rows that are worked on at once in vectors."""
DEEP = 48
"""Samples of one row in one batch beyond which they are taken one by one: a back-fill."""
CLOSE = 256
"""Samples of such a run that are looked at together, at first."""


class Runs(NamedTuple):
    """Samples in order of (row, time, arrival); run k of row[k] lies at begin[k]:end[k] in the columns."""

    row: I8
    begin: I8
    end: I8
    role: I8
    t: I8
    v: F8


class Block(ABC):
    """Rows of one kind. `out` collects findings until the engine takes them.

    names: what a snapshot calls the rows, once it was asked for (see `grow.names`).

    The constructor makes the columns of its rows in their first state, but no `links`. Every array whose last
    axis is the row belongs to the rows: they move with it. What rows share is brought together by `join`.
    """

    STATE: ClassVar[tuple[str, ...]] = ("level", "onset", "seen")
    """Columns that make up the state; the last axis is the row."""
    LEVELS: ClassVar[tuple[str, ...]] = ("", "")
    """Name of each level code; 0 is normal."""
    KERNEL: ClassVar[fast.Kernel | None] = None
    """Goes through a row's samples one by one (see `fast`); None: rounds of vectors alone."""
    COLUMNS: ClassVar[Any] = None
    """The NamedTuple of columns that the kernel takes."""

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        self.rows = list(rows)
        n = len(self.rows)
        self.names: list[list[str]] = []
        self.links = Links()
        self.out: list[Finding] = []
        self.primary = index.find(np.fromiter((r.inputs[0] for r in self.rows), np.int64, n))
        self.level = np.zeros(n, np.uint8)
        self.onset = np.full(n, NEVER, np.int64)
        of, role = inputs_of(self.rows)
        width = int(role.max(initial=0)) + 1
        self.gap = np.full((width, n), FAR, np.int64)
        self.seen = np.zeros((width, n), np.int64)
        gaps = np.fromiter(chain.from_iterable(r.gaps for r in self.rows), np.int64, len(of))
        self.gap[role, of] = gaps
        self.seen[role, of] = np.where(gaps < FAR, NEVER, 0)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, feed: Feed) -> None:
        """Readings of many series."""
        if not self.links.any or not len(feed.t):
            return
        kernel = fast.compiled(self.KERNEL)
        if self.links.solo:
            run, row, _ = self.links.expand(feed.at)
            if kernel is None and feed.once:
                self._apart(row, np.zeros(len(row), np.int64), feed.t[run], feed.v[run])
                return
            runs = Runs(row, feed.begin[run], feed.end[run], feed.no_role, feed.t, feed.v)
        else:
            runs = self._merged(feed)
            if kernel is None and len(runs.row) == len(runs.t):
                self._apart(runs.row, runs.role, runs.t, runs.v)
                return
        if kernel is not None:
            self._by_kernel(kernel, runs)
        elif len(runs.row):
            self._in_rounds(runs)

    def _merged(self, feed: Feed) -> Runs:
        """What several series say to one row, in order of time and arrival."""
        at, t, v = feed.arrived
        event, r, role = self.links.expand(at)
        t, v = t[event], v[event]
        order = by_key(r, t)
        if order is not None:
            r, role, t, v = r[order], role[order], t[order], v[order]
        return Runs(*runs(r), role, t, v)

    def _in_rounds(self, runs: Runs) -> None:
        """In vectors of different rows, a part that the cache holds at a time; long runs one by one."""
        row, begin, end, role, t, v = runs
        deep = end - begin > DEEP
        if self.KERNEL and deep.any():
            for k in np.flatnonzero(deep).tolist():
                run = slice(begin[k], end[k])
                self._one_by_one(self.KERNEL, int(row[k]), role[run], t[run], v[run])
            row, begin, end = row[~deep], begin[~deep], end[~deep]
        for k in range(0, len(row), PART):
            part = slice(k, k + PART)
            self._part(Runs(row[part], begin[part], end[part], role, t, v))

    def _part(self, runs: Runs) -> None:
        row, begin, end, role, t, v = runs
        event, length = spread(begin, end), end - begin
        r, at, times, values = np.repeat(row, length), role[event], t[event], v[event]
        calm = self._calm(r, at, times, values)
        if calm is not None:
            stirred = np.logical_or.reduceat(~calm, np.cumsum(length) - length)
            rest = ~np.repeat(stirred, length)
            self._pass(r[rest], at[rest], times[rest], values[rest])
            row, begin, end = row[stirred], begin[stirred], end[stirred]
        while len(row):
            self._round(row, role[begin], t[begin], v[begin])
            begin = begin + 1
            more = begin < end
            row, begin, end = row[more], begin[more], end[more]

    def _apart(self, row: I8, role: I8, t: I8, v: F8) -> None:
        """One sample of each of these different rows."""
        for k in range(0, len(row), PART):
            part = slice(k, k + PART)
            some, at, times, values = row[part], role[part], t[part], v[part]
            calm = self._calm(some, at, times, values)
            if calm is not None:
                self._pass(some[calm], at[calm], times[calm], values[calm])
                left = ~calm
                some, at, times, values = some[left], at[left], times[left], values[left]
            if len(some):
                self._round(some, at, times, values)

    def _round(self, r: I8, role: I8, t: I8, v: F8) -> None:
        left = self._quick(r, role, t, v)
        if left is None:
            self._step(r, role, t, v)
        elif left.any():
            self._step(r[left], role[left], t[left], v[left])

    def _by_kernel(self, kernel: fast.Kernel, runs: Runs) -> None:
        """The kernel goes through each run up to a sample that changes the row's level; that one by step."""
        row, begin, end, role, t, v = runs
        begin, columns = begin.copy(), self.kernel_columns()
        while len(row):
            kernel(row, begin, end, role, t, v, columns)
            more = begin < end
            row, begin, end = row[more], begin[more], end[more]
            if len(row):
                self._step(row, role[begin], t[begin], v[begin])
                begin += 1

    def _one_by_one(self, kernel: fast.Kernel, row: int, role: I8, t: I8, v: F8) -> None:
        """A long run of one row: stretches in vectors where they can, else the kernel in plain Python."""
        at, n, window, one = 0, len(t), CLOSE, np.asarray([row])
        columns = self.kernel_columns()
        while at < n:
            some = slice(at, at + window)
            taken = self._stretch(row, role[some], t[some], v[some])
            at, window = at + taken, 4 * window if taken == window else CLOSE
            if taken or at == n:
                continue
            some = slice(at, min(at + CLOSE, n))
            at += fast.interpreted(kernel, columns, row, (role[some], t[some], v[some]))
            if at < some.stop:
                self._step(one, role[at : at + 1], t[at : at + 1], v[at : at + 1])
                at += 1

    def _stretch(self, row: int, role: I8, t: I8, v: F8) -> int:
        """Take the first samples of a run of one row as far as vectors can; gives how many."""
        r = np.full(len(t), row)
        calm = self._calm(r, role, t, v)
        n = 0 if calm is None else leading(calm)
        if n:
            self._pass(r[:n], role[:n], t[:n], v[:n])
        return n

    def kernel_columns(self) -> Any:
        """The columns as its kernel takes them."""
        return self.COLUMNS._make(getattr(self, name) for name in self.COLUMNS._fields)

    def _calm(self, r: I8, role: I8, t: I8, v: F8) -> Bool | None:
        """Where a sample can change nothing but the proof and the value of its row; None: nowhere."""
        return None

    def _pass(self, r: I8, role: I8, t: I8, v: F8) -> None:
        """Take calm samples; a row may occur more than once, its last sample counts."""
        self.seen[role, r] = np.maximum(self.seen[role, r], t)

    def _quick(self, r: I8, role: I8, t: I8, v: F8) -> Bool | None:
        """Take the samples of different rows that change no level; where one is left, None: all are."""
        return None

    @abstractmethod
    def _step(self, r: I8, role: I8, t: I8, v: F8) -> None:
        """One sample for each of these different rows."""

    def tick(self, t: Ms, now: Ms, of: Bool | None) -> None:
        """Let time pass: to event time `t`; `now` is the core's time. `of`: positions that are meant."""

    def start(self, t: Ms) -> None:
        """Rows that have seen nothing yet are watched from `t`."""

    def change(self, r: I8, new: Any_, t: I8) -> None:
        """Rows go to a level at a time; a finding for each one that was at another level."""
        old = self.level[r]
        moved = new != old
        if not moved.any():
            return
        r, new, old, t = r[moved], new[moved], old[moved], t[moved]
        self.onset[r] = np.where(old == 0, t, self.onset[r])
        self.level[r] = new
        when = np.maximum(t, self.onset[r])
        for row, at, to, frm in zip(r.tolist(), when.tolist(), new.tolist(), old.tolist(), strict=True):
            self.out.append(self.finding(row, at, to, frm))

    def finding(self, row: int, t: Ms, level: int, before: int) -> Finding:
        """What the outside gets to know; `before` says which limit a cleared condition had."""
        spec = self.rows[row]
        return Finding(
            rule=spec.rule.id,
            point=spec.point,
            asset=spec.asset,
            estate=spec.estate,
            onset=int(self.onset[row]),
            t=t,
            active=level > 0,
            level=self.LEVELS[level],
            value=self._value(row),
            limit=self._limit(row, level or before),
            facts=self._facts(row, level > 0),
        )

    def active_findings(self) -> list[Finding]:
        """The conditions that hold now, as they were announced last."""
        return [
            self.finding(int(r), int(self.onset[r]), int(self.level[r]), 0)
            for r in np.flatnonzero(self.level[: len(self.rows)])
        ]

    def _value(self, row: int) -> float:
        return float("nan")

    def _limit(self, row: int, level: int) -> float:
        return float("nan")

    def _facts(self, row: int, active: bool) -> Mapping[str, Any]:
        return {}

    def columns(self) -> dict[str, Any_]:
        """The state, by name."""
        n = len(self.rows)
        return {name: getattr(self, name)[..., :n] for name in self.STATE}

    def join(self, made: Block) -> None:
        """Before the columns of new rows are taken from `made`: what rows share is to be in both."""

    def carry(self, columns: Mapping[str, Any_], source: I8, target: I8) -> None:
        """Take the state of rows from other columns of this kind."""
        for name in self.STATE:
            mine, theirs = getattr(self, name), columns[name]
            if mine.ndim == 1:
                mine[target] = theirs[source]
            else:
                n = min(len(mine), len(theirs))
                tail = name in self.TAIL
                here, there = (slice(len(c) - n, None) if tail else slice(n) for c in (mine, theirs))
                mine[here, target] = theirs[there, source]

    SHARED: ClassVar[frozenset[str]] = frozenset()
    """Columns that do not belong to rows, although an empty block has them empty, too."""
    TAIL: ClassVar[frozenset[str]] = frozenset()
    """Columns whose newest entry stands last."""
    BLANK: ClassVar[Mapping[str, Any]] = {"gap": FAR, "seen": 0}
    """What a column that is as high as its highest row holds where a row is lower."""


def inputs_of(rows: Sequence[Row]) -> tuple[I8, I8]:
    """(place of the row, role) of every input of rows."""
    count = np.fromiter((len(r.inputs) for r in rows), np.int64, len(rows))
    of = np.repeat(np.arange(len(rows)), count)
    return of, np.arange(len(of)) - (np.cumsum(count) - count)[of]
