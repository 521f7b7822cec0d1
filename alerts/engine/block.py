"""A block: all rows of one kind of rule, as columns; and the on- and off-delays that most kinds share.

Event-time rules for every row (the scalar rows in `alerts.scalar` say the same):

1. An input's value holds until its next sample, but unproven for no longer than its gap.
2. Before a row takes a sample at `t`, what matures up to `min(t, proven)` matures; so a batch may be cut
   anywhere and ticks only make findings come sooner.
3. A sample that comes more than a gap after the last proof restarts pending delays.
4. A condition's time is when its delay ran out, never when that was noticed.
5. That a value stands still, goes on changing or is refused is no value that could be held: silence proves
   none of it. There an on-delay matures only with a reading at or after its end (`HELD`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from alerts.engine import fast
from alerts.engine.bind import FAR, Row
from alerts.engine.columns import F8, I8, NEVER, Any_, Bool, Feed, Index, Links, by_key, runs, spread
from gateway.model import Finding, Ms

PART = 8192
"""Rows that are worked on at once in vectors."""
DEEP = 48
"""Samples of one row in one batch beyond which they are taken one by one: a back-fill."""


class Runs(NamedTuple):
    """Samples in order of (row, time, arrival); run k of row[k] lies at begin[k]:end[k] in the columns."""

    row: I8
    begin: I8
    end: I8
    role: I8
    t: I8
    v: F8


class Block(ABC):
    """Rows of one kind. `out` collects findings until the engine takes them."""

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
        width = max((len(r.inputs) for r in self.rows), default=1)
        flat = [(s, n, role) for n, r in enumerate(self.rows) for role, s in enumerate(r.inputs)]
        at = index.find(np.asarray([f[0] for f in flat], np.int64)) if flat else np.zeros(0, np.int64)
        self.links = Links(len(index), at.tolist(), [f[1] for f in flat], [f[2] for f in flat])
        self.primary = (
            index.find(np.asarray([r.inputs[0] for r in self.rows], np.int64)) if n else np.zeros(0, np.int64)
        )
        self.out: list[Finding] = []
        self.level = np.zeros(n, np.uint8)
        self.onset = np.full(n, NEVER, np.int64)
        self.gap = np.full((width, n), FAR, np.int64)
        self.seen = np.zeros((width, n), np.int64)
        for k, row in enumerate(self.rows):
            self.gap[: len(row.gaps), k] = row.gaps
            self.seen[: len(row.gaps), k] = [NEVER if gap < FAR else 0 for gap in row.gaps]

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
        """A long run of one row: the kernel in plain Python, over lists."""
        at, n, columns, one = 0, len(t), self.kernel_columns(), np.asarray([row])
        samples = (role.tolist(), t.tolist(), v.tolist())
        while at < n:
            at = fast.interpreted(kernel, columns, row, samples, at)
            if at < n:
                self._step(one, role[at : at + 1], t[at : at + 1], v[at : at + 1])
                at += 1

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
            for r in np.flatnonzero(self.level)
        ]

    def _value(self, row: int) -> float:
        return float("nan")

    def _limit(self, row: int, level: int) -> float:
        return float("nan")

    def _facts(self, row: int, active: bool) -> Mapping[str, Any]:
        return {}

    def columns(self) -> dict[str, Any_]:
        """The state, by name."""
        return {name: getattr(self, name) for name in self.STATE}

    def carry(self, columns: Mapping[str, Any_], source: I8, target: I8) -> None:
        """Take the state of rows from other columns of this kind."""
        for name in self.STATE:
            mine, theirs = getattr(self, name), columns[name]
            if mine.ndim == 1:
                mine[target] = theirs[source]
            else:
                n = min(len(mine), len(theirs))
                mine[:n, target] = (
                    theirs[len(theirs) - n :, source] if name in self.TAIL else theirs[:n, source]
                )

    TAIL: ClassVar[frozenset[str]] = frozenset()
    """Columns whose newest entry stands last."""


class Timers(Block):
    """Rows with on- and off-delays at one or more levels.

    `due` is when a level flips (FAR: nothing pending), `next` the earliest of a row.
    """

    STATE = (*Block.STATE, "active", "due", "value")
    DEPTH: ClassVar[int] = 1
    HELD: ClassVar[bool] = True
    """Whether an on-delay may run out on a value that is held; else it needs a reading of the first input."""

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        super().__init__(rows, index)
        n = len(self.rows)
        self.active = np.zeros((self.DEPTH, n), np.bool_)
        self.due = np.full((self.DEPTH, n), FAR, np.int64)
        self.value = np.full(n, np.nan)
        self.next = np.full(n, FAR, np.int64)
        self.busy = np.zeros(n, np.bool_)
        self.on_ms, self.off_ms = self._delays()

    def _delays(self) -> tuple[I8, I8]:
        """On-delays by level and row, off-delays by row, ms."""
        on = [round(getattr(r.rule, "on_delay_s", 0.0) * 1000) for r in self.rows]
        off = [round(getattr(r.rule, "off_delay_s", 0.0) * 1000) for r in self.rows]
        return np.asarray([on] * self.DEPTH, np.int64).reshape(self.DEPTH, -1), np.asarray(off, np.int64)

    def proven(self, r: I8) -> I8:
        """Until when the inputs of rows may be held.

        What is on needs all of its inputs; that it is over, one of them is enough to know.
        """
        held = self.seen[:, r] + self.gap[:, r]
        if not self.HELD:
            held[0] = np.where(self.level[r] > 0, held[0], self.seen[0, r])
        least: I8 = held.min(axis=0)
        if len(held) == 1:
            return least
        most = np.where(self.gap[:, r] < FAR, held, NEVER).max(axis=0)
        return np.where(self.level[r] > 0, most, least)

    def settle(self, r: I8, upto: I8) -> None:
        """Let everything that is due mature, in the order of its times."""
        while True:
            hit = self.next[r] <= upto
            if not hit.any():
                return
            r, upto = r[hit], upto[hit]
            at = self.next[r]
            due = self.due[:, r]
            flip = due == at
            active = self.active[:, r] ^ flip
            self._write(r, active, np.where(flip, FAR, due))
            self.change(r, self._rank(active), at)

    def _ripen(self, r: I8, t: I8) -> None:
        """Let mature what is due by `t`, as far as it is proven."""
        ripe = self.next[r] <= t
        if ripe.any():
            r = r[ripe]
            self.settle(r, np.minimum(t[ripe], self.proven(r)))

    def _write(self, r: I8, active: Bool, due: I8) -> None:
        self.active[:, r] = active
        self.due[:, r] = due
        self.next[r] = due.min(axis=0)
        self.busy[r] = active.any(axis=0) | (self.next[r] < FAR)

    def _rank(self, active: Bool) -> Any_:
        """Level code of rows from their active levels."""
        code: Any_ = active[0].astype(np.uint8)
        return code

    def begin(self, r: I8, role: I8, t: I8) -> Bool:
        """Hold the old values up to `t`; says which rows were without proof before it."""
        self._ripen(r, t)
        gapped: Bool = t - self.seen[role, r] > self.gap[role, r]
        return gapped

    def finish(self, r: I8, role: I8, t: I8, on: Bool, back: Bool, restart: Bool, base: I8) -> None:
        """Start, keep or cancel the delays.

        on: beyond, for levels that are not active · back: inside, for those that are · restart: rows whose
        pending delays begin anew · base: when what is on began.
        """
        active = self.active[:, r]
        due = np.where(restart, FAR, self.due[:, r])
        start = np.where(active, t + self.off_ms[r], base + self.on_ms[:, r])
        wanted = np.where(active, back, on)
        due = np.where(wanted, np.where(due < FAR, due, start), FAR)
        self._write(r, active, due)
        self.seen[role, r] = np.maximum(self.seen[role, r], t)
        self._ripen(r, t)

    def tick(self, t: Ms, now: Ms, of: Bool | None) -> None:
        """Pending delays run out as far as the values they rest on are proven."""
        r = np.flatnonzero(self.next <= t)
        if of is not None and len(r):
            r = r[of[self.primary[r]]]
        if len(r):
            self.settle(r, np.minimum(t, self.proven(r)))

    def carry(self, columns: Mapping[str, Any_], source: I8, target: I8) -> None:
        """Also derives what is not part of the state."""
        super().carry(columns, source, target)
        self._write(target, self.active[:, target], self.due[:, target])

    def _value(self, row: int) -> float:
        return float(self.value[row])
