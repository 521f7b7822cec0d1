"""The block of combine rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from alerts.engine.bind import Row
from alerts.engine.columns import F8, I8, NEVER, Any_, Bool, Index
from alerts.engine.timers import Timers
from alerts.rules import OPS, Combine


class CombineBlock(Timers):
    """Members by role: their values, whether they are true, and since when."""

    STATE = (*Timers.STATE, "values", "truth", "since")
    BLANK: ClassVar[Mapping[str, Any]] = {
        **Timers.BLANK, "values": math.nan, "truth": False, "member": False, "since": NEVER, "op": 0,
        "other": 0.0, "upto": math.inf,
    }  # fmt: skip

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        super().__init__(rows, index)
        shape = self.gap.shape
        self.values = np.full(shape, np.nan)
        self.truth = np.zeros(shape, np.bool_)
        self.member = np.zeros(shape, np.bool_)
        self.since = np.full(shape, NEVER, np.int64)
        self.op = np.zeros(shape, np.int64)
        self.other = np.zeros(shape)
        self.upto = np.full(shape, np.inf)
        self.confirm = np.full(len(self.rows), -1, np.int64)  # role that confirms; -1: none
        self.confirm_ms = np.zeros(len(self.rows), np.int64)
        for k, row in enumerate(self.rows):
            rule = row.rule
            assert isinstance(rule, Combine)
            for role, member in enumerate(rule.members[: len(row.inputs)]):
                self.op[role, k] = OPS.index(member.op)
                self.other[role, k] = member.value
                self.upto[role, k] = math.inf if member.upto is None else member.upto
                self.member[role, k] = role < len(rule.all_of)
            if len(row.inputs) > len(rule.all_of):
                self.confirm[k] = len(rule.all_of)
                self.confirm_ms[k] = round(rule.confirm_delay_s * 1000)

    def carry(self, columns: Mapping[str, Any_], source: I8, target: I8) -> None:
        """A member that a row has no more is forgotten, so that it comes back as a new one."""
        super().carry(columns, source, target)
        for k in target.tolist():
            some = slice(len(self.rows[k].inputs), None)
            for name in ("seen", "values", "truth", "since"):
                getattr(self, name)[some, k] = self.BLANK[name]

    def _true(self, r: I8, role: I8, v: F8) -> Bool:
        x = self.other[role, r]
        op = self.op[role, r]
        true: Bool = np.choose(op, [v == x, v != x, v < x, v <= x, v > x, v >= x]) & (v <= self.upto[role, r])
        return true

    def _calm(self, r: I8, role: I8, t: I8, v: F8) -> Bool | None:
        true = self._true(r, role, v)
        gapped = t - self.seen[role, r] > self.gap[role, r]
        calm: Bool = (true == self.truth[role, r]) & ~(true & gapped) & ~self.busy[r]
        return calm

    def _pass(self, r: I8, role: I8, t: I8, v: F8) -> None:
        super()._pass(r, role, t, v)
        self.values[role, r] = v

    def _step(self, r: I8, role: I8, t: I8, v: F8) -> None:
        gapped = self.begin(r, role, t)
        true = self._true(r, role, v)
        began = true & (gapped | ~self.truth[role, r])
        self.values[role, r] = v
        self.truth[role, r] = true
        self.since[role, r] = np.where(began, t, self.since[role, r])
        main = self.member[:, r]
        on: Bool = np.logical_and.reduce(self.truth[:, r] | ~main, axis=0)
        began_all = np.where(main, self.since[:, r], NEVER).max(axis=0)
        # The delay is counted anew from what is known, because a confirmation may shorten or lengthen it.
        due = began_all + self.on_ms[0, r]
        sure = (self.truth[:, r] & ~main).any(axis=0)
        by = np.maximum(began_all, self.since[self.confirm[r], r]) + self.confirm_ms[r]
        base = np.where(sure, np.minimum(due, by), due) - self.on_ms[0, r]
        self.finish(r, role, t, on[None], ~on[None], gapped | (self.level[r] == 0), base)

    def _value(self, row: int) -> float:
        return float(self.values[0, row])

    def _limit(self, row: int, level: int) -> float:
        return float(self.other[0, row])

    def _facts(self, row: int, active: bool) -> Mapping[str, Any]:
        return {tag: float(self.values[role, row]) for role, tag in enumerate(self.rows[row].tags)}
