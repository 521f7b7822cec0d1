"""Night-flow rules in columns; `alerts.detect.night` says what is done and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from alerts.detect.night import CAP, DAY, ENOUGH, FLOOR, GONE, LEAST, PAST, SLOTS, SPREAD, WARM, WEEK
from alerts.engine.bind import Row
from alerts.engine.block import Block
from alerts.engine.columns import F8, I8, NEVER, Bool, Index
from alerts.rules_night_flow import NightFlow


class NightFlowBlock(Block):
    """`open`: day of the window that is being summed up, `day`: of the newest night (NEVER: none)."""

    STATE = (
        *Block.STATE, "open", "total", "count", "slots", "day", "nights", "past", "usual", "recent", "up",
        "down", "excess", "peak", "value", "expected",
    )  # fmt: skip
    LEVELS = ("", "H", "HH")

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        super().__init__(rows, index)
        n = len(self.rows)
        rules = [r.rule for r in self.rows if isinstance(r.rule, NightFlow)]
        self.offset = np.asarray([round(r.utc_offset_s * 1000) for r in rules], np.int64)
        window = np.asarray([r.window_ms for r in rules], np.int64).reshape(-1, 2)
        self.first, self.end = window[:, 0], window[:, 1]
        self.k = np.asarray([r.k for r in rules])
        self.h = np.asarray([r.h for r in rules])
        self.least = np.asarray([r.min_rise for r in rules]) / 4
        self.open = np.full(n, NEVER, np.int64)
        self.total, self.count = np.zeros(n), np.zeros(n, np.int64)
        self.slots = np.zeros(n, np.uint8)
        self.day = np.full(n, NEVER, np.int64)
        self.nights = np.zeros(n, np.int64)
        self.past = np.full((PAST, n), np.nan)
        self.usual = np.full((SPREAD, n), np.nan)
        self.recent = np.full((LEAST, n), np.nan)
        self.up, self.down = np.zeros(n), np.zeros(n)
        self.excess, self.peak = np.zeros(n), np.zeros(n)
        self.value, self.expected = np.full(n, np.nan), np.full(n, np.nan)

    # ── the window ────────────────────────────────────────────────────────────────────────────────────

    def _inside(self, r: I8, t: I8) -> tuple[I8, I8, Bool]:
        """(day, time of day, whether it lies in the window)."""
        day, time = np.divmod(t + self.offset[r], DAY)
        return day, time, (time >= self.first[r]) & (time < self.end[r])

    def _calm(self, r: I8, role: I8, t: I8, v: F8) -> Bool | None:
        calm: Bool = ~self._inside(r, t)[2] & (self.open[r] == NEVER)
        return calm

    def _step(self, r: I8, role: I8, t: I8, v: F8) -> None:
        self.seen[0, r] = np.maximum(self.seen[0, r], t)
        day, time, inside = self._inside(r, t)
        over = (self.open[r] > NEVER) & ((day > self.open[r]) | (time >= self.end[r]))
        if over.any():
            self._close(r[over])
            self.open[r[over]] = NEVER
        begin = r[inside & (self.open[r] == NEVER)]
        self.total[begin], self.count[begin], self.slots[begin] = 0.0, 0, 0
        r, day, time, v = r[inside], day[inside], time[inside], v[inside]
        self.open[r] = day
        self.total[r] += v
        self.count[r] += 1
        slot = (time - self.first[r]) * SLOTS // (self.end[r] - self.first[r])
        self.slots[r] |= np.left_shift(1, slot).astype(np.uint8)

    # ── the nights ────────────────────────────────────────────────────────────────────────────────────

    def _close(self, r: I8) -> None:
        r = r[np.bitwise_count(self.slots[r]) >= ENOUGH]
        if not len(r):
            return
        self._pass_to(r, self.open[r])
        value = self.total[r] / self.count[r]
        same = np.stack([self.past[-WEEK, r], self.past[-PAST, r]])
        known = (~np.isnan(same)).sum(axis=0)
        both = np.where(np.isnan(same), 0.0, same)
        with np.errstate(invalid="ignore"):
            expected = (0.0 + both[0] + both[1]) / known
        self.value[r], self.expected[r] = value, expected
        change = np.zeros(len(r))
        some = known > 0
        change[some] = self._compare(r[some], (value - expected)[some], expected[some])
        self.past[:-1, r] = self.past[1:, r]
        self.past[-1, r] = value
        self.nights[r] += 1
        self._tell(r, change)

    def _pass_to(self, r: I8, day: I8) -> None:
        missed = np.where(self.day[r] == NEVER, 0, np.minimum(day - self.day[r] - 1, PAST))
        self.day[r] = day
        for m in np.unique(missed[missed > 0]).tolist():
            some = r[missed == m]
            self.past[: PAST - m, some] = self.past[m:, some]
            self.past[PAST - m :, some] = np.nan
            self.recent[:, some] = np.nan

    def _compare(self, r: I8, off: F8, expected: F8) -> F8:
        """The change that these nights reveal, 0 for none."""
        full = r[~np.isnan(self.recent[0, r])]
        self.usual[:-1, full] = self.usual[1:, full]
        self.usual[-1, full] = self.recent[0, full]
        self.recent[:-1, r] = self.recent[1:, r]
        self.recent[-1, r] = off
        known = (~np.isnan(self.usual[:, r])).sum(axis=0)
        ready = (self.nights[r] >= WARM) & ~np.isnan(self.recent[0, r]) & (known >= LEAST)
        change = np.zeros(len(r))
        r, expected, known = r[ready], expected[ready], known[ready]
        if len(r):
            change[ready] = self._chart(r, expected, known)
        return change

    def _chart(self, r: I8, expected: F8, known: I8) -> F8:
        ordered = np.sort(np.abs(self.usual[:, r]), axis=0)
        middle = [
            np.take_along_axis(ordered, at[None, :], axis=0)[0] for at in ((known - 1) // 2, known // 2)
        ]
        spread = 1.4826 * ((middle[0] + middle[1]) / 2.0)
        for floor in (FLOOR * np.abs(expected), self.least[r], np.full(len(r), 1e-9)):
            spread = np.maximum(spread, floor)
        three = np.sort(self.recent[:, r], axis=0)
        up = np.minimum(three[0] / spread, CAP)
        down = np.maximum(three[-1] / spread, -CAP)
        self.up[r] = np.maximum(0.0, self.up[r] + up - self.k[r])
        self.down[r] = np.maximum(0.0, self.down[r] - down - self.k[r])
        found = (self.up[r] > self.h[r]) | (self.down[r] > self.h[r])
        change: F8 = np.where(found, three[LEAST // 2], 0.0)
        hit = r[found]
        self.past[: 1 - LEAST, hit] += change[found]
        self.recent[:, hit] = np.nan
        self.up[hit] = self.down[hit] = 0.0
        return change

    def _tell(self, r: I8, change: F8) -> None:
        end = self.open[r] * DAY + self.end[r] - self.offset[r]
        active = self.level[r] > 0
        rise = change > 0
        moved = rise | ((change < 0) & active)
        self.excess[r] += np.where(moved, change, 0.0)
        self.peak[r] = np.where(rise, np.maximum(self.peak[r], self.excess[r]), self.peak[r])
        over = moved & ~rise & (self.excess[r] <= self.peak[r] / GONE)
        self.excess[r[over]] = self.peak[r[over]] = 0.0
        level = np.where(over, 0, np.where(rise, np.where(active, 2, 1), self.level[r]))
        self.change(r, level.astype(np.uint8), end)

    # ── what is said ──────────────────────────────────────────────────────────────────────────────────

    def _value(self, row: int) -> float:
        return float(self.value[row])

    def _limit(self, row: int, level: int) -> float:
        return float(self.expected[row])

    def _facts(self, row: int, active: bool) -> Mapping[str, Any]:
        return {"rise": float(self.excess[row])}
