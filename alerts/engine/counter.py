"""Counter rules in columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from alerts.engine.bind import Row
from alerts.engine.columns import F8, I8, Bool, Index
from alerts.engine.timers import Timers
from alerts.rules_counter import Counter

HOUR = 3_600_000


class CounterBlock(Timers):
    """`value` is the register, `moved` by how much it moved when the finding was made."""

    STATE = (*Timers.STATE, "moved")

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        super().__init__(rows, index)
        rules = [r.rule for r in self.rows if isinstance(r.rule, Counter)]
        self.most = np.asarray([r.max_per_h for r in rules])
        self.capacity = np.asarray([r.capacity or np.nan for r in rules])
        self.moved = np.full(len(rules), np.nan)

    def _delays(self) -> tuple[I8, I8]:
        hold = [round(r.rule.hold_s * 1000) for r in self.rows if isinstance(r.rule, Counter)]
        return np.zeros((1, len(hold)), np.int64), np.asarray(hold, np.int64)

    def _calm(self, r: I8, role: I8, t: I8, v: F8) -> Bool | None:
        calm: Bool = (v == self.value[r]) & ~self.busy[r]
        return calm

    def _step(self, r: I8, role: I8, t: I8, v: F8) -> None:
        since = np.maximum(self.seen[0, r], 0)
        self.begin(r, role, t)
        moved = v - self.value[r]
        may = self.most[r] * (np.maximum(t - since, HOUR) / HOUR)
        over = (moved < 0) & (moved + self.capacity[r] <= may)  # began again at 0
        on = ((moved < 0) & ~over) | (moved > may)
        self.moved[r] = np.where(on, moved, self.moved[r])
        self.value[r] = v
        self.finish(r, role, t, on[None], ~on[None], on, t)

    def _limit(self, row: int, level: int) -> float:
        return float(self.most[row])

    def _facts(self, row: int, active: bool) -> Mapping[str, Any]:
        return {"moved": float(self.moved[row])}
