"""Rows with on- and off-delays, which most kinds share.

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

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from alerts.engine.bind import FAR, Row
from alerts.engine.block import Block
from alerts.engine.columns import I8, NEVER, Any_, Bool, Index
from gateway.model import Ms


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
        r = np.flatnonzero(self.next[: len(self.rows)] <= t)
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
