"""The blocks of limit, digital, rate, stuck and no_data rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from alerts.engine import kernels
from alerts.engine.bind import FAR, Row
from alerts.engine.block import Block
from alerts.engine.columns import F8, I8, NEVER, Any_, Bool, Index, leading
from alerts.engine.timers import Timers
from alerts.rules import Digital, Limit, Rate, Stuck
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
        self.sign = np.asarray([[-1.0], [-1.0], [1.0], [1.0]])
        rules = {id(r.rule): r.rule for r in self.rows if isinstance(r.rule, Limit)}
        place = {one: k for k, one in enumerate(rules)}
        of = np.fromiter((place[id(r.rule)] for r in self.rows), np.int64, len(self.rows))
        self.limit, self.on, self.off = (np.take(a, of, axis=1) for a in _levels(list(rules.values())))
        above = [-math.inf if r.above is None else r.above for r in rules.values()]
        self.above = np.asarray(above, np.float64)[of]
        self.calm_low = -self.on[:2].min(axis=0)
        self.calm_high = self.on[2:].min(axis=0)

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


def _levels(rules: Sequence[Limit]) -> tuple[F8, F8, F8]:
    """(limit, on, off) by level and rule."""
    shape = (4, len(rules))
    limits, on, off = np.full(shape, np.nan), np.full(shape, np.inf), np.full(shape, -np.inf)
    for k, rule in enumerate(rules):
        for level, name in enumerate(Limit.LEVELS):
            limit = getattr(rule, name)
            if limit is not None:
                limits[level, k] = limit
                on[level, k], off[level, k] = thresholds(rule, level, limit)
    return limits, on, off


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


def before(column: I8, first: Any) -> I8:
    """What stands before each entry."""
    out = np.empty_like(column)
    out[:1], out[1:] = first, column[:-1]
    return out


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
        self.limit = np.asarray([r.limit for r in rules if isinstance(r, Rate)], np.float64)
        self.least = np.asarray([r.min_change for r in rules if isinstance(r, Rate)], np.float64)
        self.up = np.asarray([r.direction != "down" for r in rules if isinstance(r, Rate)], np.bool_)
        self.down = np.asarray([r.direction != "up" for r in rules if isinstance(r, Rate)], np.bool_)

    def _stretch(self, row: int, role: I8, t: I8, v: F8) -> int:
        if self.busy[row]:
            return 0
        seen, value = before(t, self.seen[0, row]), np.concatenate([self.value[row : row + 1], v[:-1]])
        rate, on, _ = self._rates(row, t, v, np.maximum(seen, self.seen[0, row]), value)
        n = leading(~on)
        if n:
            self.value[row], self.rate[row] = v[n - 1], rate[n - 1]
            self.seen[0, row] = max(self.seen[0, row], t[n - 1])
        return n

    def _rates(self, r: Any, t: I8, v: F8, seen: I8, value: F8) -> tuple[F8, Bool, Bool]:
        """Per minute; whether that is too fast; whether there was a gap before."""
        since = t - seen
        gapped = since > self.gap[0][r]
        change = v - value
        rate = np.where(gapped, 0.0, change / (np.maximum(since, 1000) / 60_000.0))
        on = np.abs(rate) > self.limit[r]
        if on.any():
            on &= np.abs(change) >= self.least[r]
            on &= np.where(rate > 0, self.up[r], self.down[r])
        return rate, on, gapped

    def _quick(self, r: I8, role: I8, t: I8, v: F8) -> Bool | None:
        rate, on, _ = self._rates(r, t, v, self.seen[0][r], self.value[r])
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
        rate, on, gapped = self._rates(r, t, v, self.seen[0][r], self.value[r])
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
        self.eps = np.asarray([r.eps for r in rules if isinstance(r, Stuck)], np.float64)
        self.above = np.asarray([r.gate_above for r in rules if isinstance(r, Stuck)], np.float64)
        self.gate = np.asarray([not r.gate for r in rules if isinstance(r, Stuck)], np.bool_)

    def _delays(self) -> tuple[I8, I8]:
        on = [round(r.rule.time_s * 1000) for r in self.rows if isinstance(r.rule, Stuck)]
        return np.asarray([on], np.int64), np.zeros(len(self.rows), np.int64)

    def _stretch(self, row: int, role: I8, t: I8, v: F8) -> int:
        """While every reading moves, or while none does."""
        wait, seen = self.on_ms[0, row], self.seen[0, row]
        if self.level[row] or not self.gate[row] or not wait:
            return 0
        gapped = t - np.maximum(before(t, seen), seen) > self.gap[0, row]
        last = np.concatenate([self.value[row : row + 1], v[:-1]])
        moves = ~(np.abs(v - last) <= self.eps[row]) | gapped
        n = leading(moves & (before(t + wait, self.next[row]) > t) & (role == 0))
        if n:
            self.value[row], self.due[0, row], self.busy[row] = v[n - 1], t[n - 1] + wait, True
            self.next[row] = self.due[0, row]
        elif self.next[row] < FAR:
            still = (np.abs(v - self.value[row]) <= self.eps[row]) & ~gapped
            n = leading(still & (t < self.next[row]) & (role == 0))
        if n:
            self.seen[0, row] = max(seen, t[n - 1])
        return n

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

    def _stretch(self, row: int, role: I8, t: I8, v: F8) -> int:
        seen = self.seen[0, row]
        since = t - np.maximum(before(t, seen), seen)
        n = 0 if self.level[row] else leading(since <= self.timeout[row])
        if n:
            self.seen[0, row] = max(seen, t[n - 1])
        return n

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
        n = len(self.rows)
        late = now - self.seen[0, :n] > self.timeout[:n]
        r = np.flatnonzero(late & (self.level[:n] == 0))
        if of is not None and len(r):
            r = r[of[self.primary[r]]]
        if not len(r):
            return
        new = r[self.seen[0, r] == NEVER]
        self.seen[0, new] = now
        self._raise(r, np.full(len(r), now, np.int64))

    def start(self, t: Ms) -> None:
        """Silence of what was never seen counts from `t`."""
        seen = self.seen[:, : len(self.rows)]
        seen[seen == NEVER] = t

    def _facts(self, row: int, active: bool) -> Mapping[str, Any]:
        return {"last_seen": int(self.seen[0, row]), "timeout_s": int(self.timeout[row]) / 1000}
