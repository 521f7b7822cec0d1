"""The blocks of limit, digital, rate, stuck, combine and no_data rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from alerts.engine import kernels
from alerts.engine.bind import FAR, Row
from alerts.engine.block import Block, Timers
from alerts.engine.columns import F8, I8, NEVER, Any_, Bool, Index
from alerts.rules import OPS, Combine, Digital, Limit, Rate, Stuck
from gateway.model import Ms


class LimitBlock(Timers):
    """Low limits are compared with the sign turned, so that all four levels look upwards."""

    KERNEL = staticmethod(kernels.limit)
    COLUMNS = kernels.LimitColumns
    DEPTH = 4
    LEVELS = ("", "LL", "L", "H", "HH")
    # By the bits of the active levels (LL 1, L 2, H 4, HH 8): the outer level shows, HH before LL.
    RANK = np.asarray([0, 1, 2, 1, 3, 1, 3, 1, 4, 4, 4, 4, 4, 4, 4, 4], np.uint8)

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        super().__init__(rows, index)
        n = len(self.rows)
        self.limit = np.full((4, n), np.nan)
        self.on = np.full((4, n), np.inf)
        self.off = np.full((4, n), -np.inf)
        self.above = np.full(n, -np.inf)
        self.sign = np.asarray([[-1.0], [-1.0], [1.0], [1.0]])
        for k, row in enumerate(self.rows):
            rule = row.rule
            assert isinstance(rule, Limit)
            self.above[k] = -math.inf if rule.above is None else rule.above
            for level, name in enumerate(Limit.LEVELS):
                limit = getattr(rule, name)
                if limit is not None:
                    self.limit[level, k] = limit
                    self.on[level, k], self.off[level, k] = thresholds(rule, level, limit)
        self.calm_low = -self.on[:2].min(axis=0) if n else np.zeros(0)
        self.calm_high = self.on[2:].min(axis=0) if n else np.zeros(0)

    def _delays(self) -> tuple[I8, I8]:
        on, off = super()._delays()
        for k, row in enumerate(self.rows):
            assert isinstance(row.rule, Limit)
            if row.rule.on_delay_outer_s is not None:
                on[(0, 3), k] = round(row.rule.on_delay_outer_s * 1000)
        return on, off

    def _rank(self, active: Bool) -> Any_:
        bits = active[0] + 2 * active[1] + 4 * active[2] + 8 * active[3]
        code: Any_ = self.RANK[bits]
        return code

    def _calm(self, r: I8, role: I8, t: I8, v: F8) -> Bool | None:
        calm: Bool = (v > self.calm_low[r]) & (v < self.calm_high[r]) & ~self.busy[r]
        return calm

    def _pass(self, r: I8, role: I8, t: I8, v: F8) -> None:
        self.seen[0, r] = np.maximum(self.seen[0, r], t)
        self.value[r] = v

    def _step(self, r: I8, role: I8, t: I8, v: F8) -> None:
        gapped = self.begin(r, role, t)
        x = v * self.sign
        off = v <= self.above[r]
        self.value[r] = v
        self.finish(r, role, t, (x >= self.on[:, r]) & ~off, (x <= self.off[:, r]) | off, gapped, t)

    def _limit(self, row: int, level: int) -> float:
        return float(self.limit[level - 1, row])


def thresholds(rule: Limit, level: int, limit: float) -> tuple[float, float]:
    """(on at or above, back at or below) of a level 0 LL … 3 HH, in the turned sign of low levels."""
    x = -limit if level < 2 else limit
    on = x if rule.inclusive else math.nextafter(x, math.inf)
    off = x - rule.deadband
    return on, min(off, math.nextafter(on, -math.inf))


class DigitalBlock(Timers):
    """Contacts."""

    KERNEL = staticmethod(kernels.digital)
    COLUMNS = kernels.TimerColumns

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        super().__init__(rows, index)
        self.wanted = np.asarray([self._active_value(r) != 0 for r in self.rows], np.bool_)

    def _active_value(self, row: Row) -> int:
        assert isinstance(row.rule, Digital)
        return row.rule.active

    def _calm(self, r: I8, role: I8, t: I8, v: F8) -> Bool | None:
        calm: Bool = ((v != 0) != self.wanted[r]) & ~self.busy[r]
        return calm

    def _pass(self, r: I8, role: I8, t: I8, v: F8) -> None:
        self.seen[0, r] = np.maximum(self.seen[0, r], t)
        self.value[r] = v

    def _step(self, r: I8, role: I8, t: I8, v: F8) -> None:
        gapped = self.begin(r, role, t)
        on = (v != 0) == self.wanted[r]
        self.value[r] = v
        self.finish(r, role, t, on[None], ~on[None], gapped, t)

    def _limit(self, row: int, level: int) -> float:
        return float(self.wanted[row])


class BadBlock(DigitalBlock):
    """no_data rules that watch for refused readings; takes 1 for a bad reading, 0 for a good one."""

    HELD = False

    def _delays(self) -> tuple[I8, I8]:
        on = np.asarray([[r.timeout for r in self.rows]], np.int64)
        return on, np.zeros(len(self.rows), np.int64)

    def _active_value(self, row: Row) -> int:
        return 1

    def _value(self, row: int) -> float:
        return math.nan

    def _limit(self, row: int, level: int) -> float:
        return math.nan

    def _facts(self, row: int, active: bool) -> Mapping[str, Any]:
        return {"timeout_s": self.rows[row].timeout / 1000}


class RateBlock(Timers):
    """|dv/dt|; the finding's value and limit are rates, unit per minute."""

    KERNEL = staticmethod(kernels.rate)
    COLUMNS = kernels.RateColumns
    STATE = (*Timers.STATE, "rate")
    HELD = False

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        super().__init__(rows, index)
        rules = [r.rule for r in self.rows]
        self.rate = np.full(len(rules), np.nan)
        self.limit = np.asarray([r.limit for r in rules if isinstance(r, Rate)])
        self.least = np.asarray([r.min_change for r in rules if isinstance(r, Rate)])
        self.up = np.asarray([r.direction != "down" for r in rules if isinstance(r, Rate)], np.bool_)
        self.down = np.asarray([r.direction != "up" for r in rules if isinstance(r, Rate)], np.bool_)

    def _rates(self, r: I8, t: I8, v: F8) -> tuple[F8, Bool, Bool]:
        """Per minute; whether that is too fast; whether there was a gap before."""
        since = t - self.seen[0][r]
        gapped = since > self.gap[0][r]
        change = v - self.value[r]
        rate = np.where(gapped, 0.0, change / (np.maximum(since, 1000) / 60_000.0))
        on = np.abs(rate) > self.limit[r]
        if on.any():
            on &= np.abs(change) >= self.least[r]
            on &= np.where(rate > 0, self.up[r], self.down[r])
        return rate, on, gapped

    def _quick(self, r: I8, role: I8, t: I8, v: F8) -> Bool | None:
        rate, on, _ = self._rates(r, t, v)
        left: Bool = on | self.busy[r]
        if left.any():
            quiet = ~left
            r, t, v, rate = r[quiet], t[quiet], v[quiet], rate[quiet]
        self.value[r] = v
        self.rate[r] = rate
        self.seen[0][r] = np.maximum(self.seen[0][r], t)
        return left

    def _step(self, r: I8, role: I8, t: I8, v: F8) -> None:
        self.begin(r, role, t)
        rate, on, gapped = self._rates(r, t, v)
        self.value[r] = v
        self.rate[r] = rate
        self.finish(r, role, t, on[None], ~on[None], gapped, t)

    def _value(self, row: int) -> float:
        return float(self.rate[row])

    def _limit(self, row: int, level: int) -> float:
        return float(self.limit[row])


class StuckBlock(Timers):
    """Role 0 is the watched point, role 1 its gate. `value` is where the point stands still."""

    KERNEL = staticmethod(kernels.stuck)
    COLUMNS = kernels.StuckColumns
    STATE = (*Timers.STATE, "gate")
    HELD = False

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        super().__init__(rows, index)
        rules = [r.rule for r in self.rows]
        self.eps = np.asarray([r.eps for r in rules if isinstance(r, Stuck)])
        self.above = np.asarray([r.gate_above for r in rules if isinstance(r, Stuck)])
        self.gate = np.asarray([not r.gate for r in rules if isinstance(r, Stuck)], np.bool_)

    def _delays(self) -> tuple[I8, I8]:
        on = [round(r.rule.time_s * 1000) for r in self.rows if isinstance(r.rule, Stuck)]
        return np.asarray([on], np.int64), np.zeros(len(self.rows), np.int64)

    def _quick(self, r: I8, role: I8, t: I8, v: F8) -> Bool | None:
        pending, value = self.next[r], self.value[r]
        plain: Bool = (
            (pending > t) & (self.level[r] == 0) & (role == 0) & self.gate[r] & (self.on_ms[0][r] > 0)
        )
        if not plain.all():
            r, t, v, pending, value = r[plain], t[plain], v[plain], pending[plain], value[plain]
        seen = self.seen[0][r]
        anew = ~(np.abs(v - value) <= self.eps[r]) | (t - seen > self.gap[0][r])
        due = np.where(anew | (pending >= FAR), t + self.on_ms[0][r], pending)
        self.value[r] = np.where(anew, v, value)
        self.due[0][r] = self.next[r] = due
        self.busy[r] = True
        self.seen[0][r] = np.maximum(seen, t)
        return ~plain

    def _step(self, r: I8, role: I8, t: I8, v: F8) -> None:
        gapped = self.begin(r, role, t)
        main = role == 0
        moved = main & ~(np.abs(v - self.value[r]) <= self.eps[r])
        gate = np.where(main, self.gate[r], v > self.above[r])
        opened = gate & ~self.gate[r]
        self.gate[r] = gate
        self.value[r] = np.where(moved | (main & gapped), v, self.value[r])
        on = gate & ~np.isnan(self.value[r])
        self.finish(r, role, t, on[None], moved[None], moved | opened | gapped, t)
        freed = moved & gate & (self.next[r] >= FAR)  # a row that was stuck and moved is watched again
        if freed.any():
            r, t = r[freed], t[freed]
            self._write(r, self.active[:, r], (t + self.on_ms[:, r]))

    def _facts(self, row: int, active: bool) -> Mapping[str, Any]:
        return {"time_s": int(self.on_ms[0, row]) / 1000}


class CombineBlock(Timers):
    """Members by role: their values, whether they are true, and since when."""

    STATE = (*Timers.STATE, "values", "truth", "since")

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        super().__init__(rows, index)
        shape = self.gap.shape
        self.values = np.full(shape, np.nan)
        self.truth = np.ones(shape, np.bool_)
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
                self.truth[role, k] = False
            if len(row.inputs) > len(rule.all_of):
                self.confirm[k] = len(rule.all_of)
                self.confirm_ms[k] = round(rule.confirm_delay_s * 1000)

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
        roles = np.arange(len(self.truth))[:, None]
        main = roles != self.confirm[r]
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


class SilentBlock(Block):
    """no_data rules that watch for silence; all inputs of a row count as one."""

    KERNEL = staticmethod(kernels.silent)
    COLUMNS = kernels.SilentColumns

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        super().__init__(rows, index)
        self.seen = np.full((1, len(self.rows)), NEVER, np.int64)
        self.timeout = np.asarray([r.timeout for r in self.rows], np.int64)

    def _calm(self, r: I8, role: I8, t: I8, v: F8) -> Bool | None:
        calm: Bool = (t - self.seen[0, r] <= self.timeout[r]) & (self.level[r] == 0)
        return calm

    def _pass(self, r: I8, role: I8, t: I8, v: F8) -> None:
        self.seen[0, r] = np.maximum(self.seen[0, r], t)

    def _step(self, r: I8, role: I8, t: I8, v: F8) -> None:
        newer = t > self.seen[0, r]
        r, t = r[newer], t[newer]
        self._raise(r, t)
        back = self.level[r] > 0
        self.change(r[back], np.zeros(int(back.sum()), np.uint8), t[back])
        self.seen[0, r] = t

    def _raise(self, r: I8, now: I8) -> None:
        seen = self.seen[0, r]
        silent = (seen > NEVER) & (now - seen > self.timeout[r]) & (self.level[r] == 0)
        r = r[silent]
        self.change(r, np.ones(len(r), np.uint8), self.seen[0, r] + self.timeout[r])

    def tick(self, t: Ms, now: Ms, of: Bool | None) -> None:
        """Silence counts by the core's clock."""
        late = now - self.seen[0] > self.timeout
        r = np.flatnonzero(late & (self.level == 0))
        if of is not None and len(r):
            r = r[of[self.primary[r]]]
        if not len(r):
            return
        new = r[self.seen[0, r] == NEVER]
        self.seen[0, new] = now
        self._raise(r, np.full(len(r), now, np.int64))

    def start(self, t: Ms) -> None:
        """Silence of what was never seen counts from `t`."""
        self.seen[self.seen == NEVER] = t

    def _facts(self, row: int, active: bool) -> Mapping[str, Any]:
        return {"last_seen": int(self.seen[0, row]), "timeout_s": int(self.timeout[row]) / 1000}
