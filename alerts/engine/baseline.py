"""Baseline rules in columns; `alerts.detect.baseline` and `alerts.scalar.baseline` say the same singly.

Samples within a step only add up; all the rest happens once a step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from alerts.detect.baseline import (
    AGE,
    CLIP,
    CLIP_FROM,
    DAYS,
    FIRST,
    FLOOR,
    HALF_DAYS,
    HUGE,
    KIND_HALF,
    KINDS_FROM,
    LEVEL_DAYS,
    LEVEL_FROM,
    MOST,
    ODD,
    PROVED,
    steps_per_hour,
)
from alerts.detect.calibrate import (
    BINS,
    BLOCK,
    KEEP,
    NOMINAL,
    NORMAL_TAIL,
    TAIL_LN,
    WIDTH,
    fit_columns,
    ln_columns,
)
from alerts.detect.days import HOURS
from alerts.detect.episodes import HOLD, LONG_AGO, STRONGER
from alerts.engine.bind import Row
from alerts.engine.block import Block, Runs
from alerts.engine.columns import F8, I8, NEVER, Any_, Bool, Index, spread
from alerts.rules_baseline import CALM, Baseline

UP, DOWN = 0, 1


def wide(kept: Any_) -> F8:
    """What is kept in 32 bits, to reckon with."""
    out: F8 = kept.astype(np.float64)
    return out


class BaselineBlock(Block):
    """Means of steps (`total`, `count` of `bucket`), baselines by hour, tails by side (`tails`: up, down).

    off: what a kind of day does otherwise, by slot · kinds: steps of each kind · error: mean squares by the
    hour alone and by kind of day. Tables are 32-bit; every sum is made in 64 bits and rounded when kept.
    """

    STATE = (
        *Block.STATE, "bucket", "total", "count", "mean", "var", "hours", "off", "kinds", "error", "overall",
        "var_all", "slow", "known", "first", "top", "filled", "tails", "weight", "begin", "slope", "said",
        "since", "calm", "value", "expected", "rarity",
    )  # fmt: skip

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        super().__init__(rows, index)
        n = len(self.rows)
        rules = [r.rule for r in self.rows if isinstance(r.rule, Baseline)]
        self.step = np.asarray([round(r.step_s * 1000) for r in rules], np.int64)
        self.per_hour = np.asarray([steps_per_hour(round(r.step_s * 1000)) for r in rules])
        self.limit = np.asarray([r.rarity for r in rules])
        self.learn = np.asarray([r.learn for r in rules], np.int64)
        self.up = np.asarray([r.direction != "down" for r in rules], np.bool_)
        self.down = np.asarray([r.direction != "up" for r in rules], np.bool_)
        self.least = np.asarray([r.min_change for r in rules])
        self.bucket = np.full(n, NEVER, np.int64)
        self.total, self.count = np.zeros(n), np.zeros(n, np.int64)
        self.mean, self.var, self.hours = (np.zeros((HOURS, n), np.float32) for _ in range(3))
        self.off = np.zeros((2 * HOURS, n), np.float32)
        self.kinds, self.error = np.zeros((2, n)), np.zeros((2, n))
        self.days = list(dict.fromkeys(r.days for r in rules))
        self.which = np.asarray([self.days.index(r.days) for r in rules], np.int64)
        self.overall, self.var_all, self.slow = (np.zeros(n) for _ in range(3))
        self.known, self.first = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.top, self.filled = np.zeros((2, n)), np.zeros(n, np.int64)
        self.tails = np.repeat(np.asarray(NORMAL_TAIL * 2, np.float32)[:, None], n, axis=1)
        self.weight = np.full(n, NOMINAL)
        self.begin, self.slope = np.zeros((2, n)), np.zeros((2, n))
        self._fit(np.arange(n))
        self.said, self.since = np.zeros(n), np.full(n, LONG_AGO, np.int64)
        self.calm = np.zeros(n, np.int64)
        self.value, self.expected = np.full(n, np.nan), np.full(n, np.nan)
        self.rarity = np.zeros(n)

    def _part(self, runs: Runs) -> None:
        """Samples of one row and step are added up first, so that a back-fill costs by its steps."""
        row, begin, end, _, t, v = runs
        event = spread(begin, end)
        r, t, v = np.repeat(row, end - begin), t[event], np.clip(v[event], -HUGE, HUGE)
        np.maximum.at(self.seen[0], r, t)
        bucket = t // self.step[r]
        same, later = bucket == self.bucket[r], bucket > self.bucket[r]
        # One after the other, so that the sums are those of single values.
        np.add.at(self.total, r[same], v[same])
        np.add.at(self.count, r[same], 1)
        r, bucket, v = r[later], bucket[later], v[later]
        if not len(r):
            return
        first = np.ones(len(r), np.bool_)
        first[1:] = (r[1:] != r[:-1]) | (bucket[1:] != bucket[:-1])
        step = np.cumsum(first) - 1
        total = np.zeros(int(step[-1]) + 1)
        np.add.at(total, step, v)
        self._steps(r[first], bucket[first], total, np.bincount(step))

    def _steps(self, r: I8, bucket: I8, total: F8, count: I8) -> None:
        """Steps that follow the current ones, in order of row and time."""
        new = np.ones(len(r), np.bool_)
        new[1:] = r[1:] != r[:-1]
        begin = np.flatnonzero(new)
        turn = np.arange(len(r)) - np.repeat(begin, np.diff(np.append(begin, len(r))))
        order = np.argsort(turn, kind="stable")
        ends = np.cumsum(np.bincount(turn))
        for a, b in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
            one = order[a:b]
            old = r[one][self.count[r[one]] > 0]
            if len(old):
                self._close(old)
            self.bucket[r[one]] = bucket[one]
            self.total[r[one]], self.count[r[one]] = total[one], count[one]

    def _step(self, r: I8, role: I8, t: I8, v: F8) -> None:
        at = np.arange(len(r))
        self._part(Runs(r, at, at + 1, role, t, v))

    def _close(self, r: I8) -> None:
        """The step of these rows is complete."""
        mean = self.total[r] / self.count[r]
        end = (self.bucket[r] + 1) * self.step[r]
        begin = end - self.step[r]
        expected, z, rarity = self._take(r, begin, mean)
        wanted = np.where(z > 0, self.up[r], self.down[r]) & (np.abs(mean - expected) >= self.least[r])
        rarity = np.where(wanted, rarity, 0.0)
        news = (rarity > 0) & ((end - self.since[r] >= HOLD) | (rarity > STRONGER * self.said[r]))
        self.said[r[news]], self.since[r[news]] = rarity[news], end[news]
        self.calm[r] = np.where(rarity > 0, 0, np.minimum(self.calm[r] + 1, CALM))
        active = self.level[r] > 0
        raised = ~active & news & (rarity >= self.limit[r]) & (self.known[r] > self.learn[r])
        turn = raised | (active & (self.calm[r] >= CALM))
        if turn.any():
            to = r[turn]
            self.value[to], self.expected[to], self.rarity[to] = mean[turn], expected[turn], rarity[turn]
            self.change(to, raised[turn].astype(np.uint8), end[turn])

    def join(self, made: Block) -> None:
        """Bring the calendars of new rows under those that are here."""
        assert isinstance(made, BaselineBlock)
        self.days += [days for days in made.days if days not in self.days]
        made.which = np.asarray([self.days.index(days) for days in made.days], np.int64)[made.which]

    def _slots(self, r: I8, t: I8) -> I8:
        if len(self.days) == 1:
            return self.days[0].slots(t)
        out, which = np.zeros(len(r), np.int64), self.which[r]
        for k in np.unique(which).tolist():
            out[which == k] = self.days[k].slots(t[which == k])
        return out

    def _sures(self, r: I8, t: I8) -> Bool:
        """Whether the holidays of that time are known to each row."""
        out, which = np.zeros(len(r), np.bool_), self.which[r]
        for k in np.unique(which).tolist():
            out[which == k] = self.days[k].sures(t[which == k])
        return out

    def _take(self, r: I8, t: I8, value: F8) -> tuple[F8, F8, F8]:
        """(expected, z, rarity) of one value for each row, which then learns from it."""
        x = np.clip(value, -HUGE, HUGE)
        slot = self._slots(r, t)
        hour = slot % HOURS
        days = np.ceil(wide(self.hours[hour, r]) / self.per_hour[r])
        own = days / (days + HALF_DAYS)
        sure = np.maximum(days - 1.0, 0.0)
        sure = sure / (sure + HALF_DAYS)
        plain = own * wide(self.mean[hour, r]) + (1.0 - own) * self.overall[r] + self.slow[r]
        variance = sure * wide(self.var[hour, r]) + (1.0 - sure) * self.var_all[r]
        of_kind = self._of_kind(r, slot)
        best, expected = self._expected(r, t, x, slot, plain, of_kind)
        spread = np.maximum(np.sqrt(variance), FLOOR * np.abs(expected))
        off = x - expected
        with np.errstate(divide="ignore", invalid="ignore"):
            z = np.clip(np.where(spread > 0, off / spread, np.sign(off) * ODD), -MOST, MOST)
        z = np.where((self.known[r] <= FIRST) | (off == 0), 0.0, z)
        known, x = self._adapt(r, hour, days, x, best, spread)
        self._adapt_kind(r, slot, known, x - plain, x - plain - of_kind)
        rarity = self._rarity(r, z)
        self._blocks(r, t, z)
        return expected, z, rarity

    def _of_kind(self, r: I8, slot: I8) -> F8:
        days = self.kinds[slot // HOURS, r] / (HOURS * self.per_hour[r])
        moved: F8 = days / (days + KIND_HALF) * wide(self.off[slot, r])
        return moved

    def _expected(self, r: I8, t: I8, x: F8, slot: I8, plain: F8, of_kind: F8) -> tuple[F8, F8]:
        """(by hour, and by kind of day where that has proved itself; the nearest that is ordinary)."""
        least = KINDS_FROM * HOURS * self.per_hour[r]
        proved = (self.kinds[:, r] >= least).all(axis=0) & (self.error[1, r] < PROVED * self.error[0, r])
        if not proved.any():
            return plain, plain
        best = np.where(proved, plain + of_kind, plain)
        other = plain + self._of_kind(r, (slot + HOURS) % (2 * HOURS))
        low, high = np.minimum(np.minimum(best, other), plain), np.maximum(np.maximum(best, other), plain)
        nearest = np.maximum(low, np.minimum(high, x))
        return best, np.where(proved & ~self._sures(r, t), nearest, best)

    def _adapt(self, r: I8, hour: I8, days: F8, x: F8, best: F8, spread: F8) -> tuple[F8, F8]:
        """(how much a new value weighs in what is kept for long, the value that was learnt)."""
        self.overall[r] = np.where(self.known[r] == 0, x, self.overall[r])
        self.known[r] += 1
        most = CLIP * spread
        pulled = best + np.clip(x - best, -most, most)
        x = np.where((days >= CLIP_FROM) & (spread > 0), pulled, x)
        off = x - best
        per_hour, known = self.per_hour[r], self.known[r].astype(np.float64)
        follows = known > LEVEL_FROM * per_hour
        level = self.slow[r]
        self.slow[r] = np.where(follows, level + off / (LEVEL_DAYS * HOURS * per_hour), level)
        long = np.maximum(1.0 / known, 1.0 / (DAYS * HOURS * per_hour))
        d = x - self.overall[r]
        self.overall[r] += long * d
        self.var_all[r] = (1.0 - long) * (self.var_all[r] + long * (d * d))
        count = wide(self.hours[hour, r]) + 1.0
        self.hours[hour, r] = count
        a = np.maximum(1.0 / wide(self.hours[hour, r]), 1.0 / (DAYS * per_hour))
        mean, var = wide(self.mean[hour, r]), wide(self.var[hour, r])
        d = x - mean
        self.mean[hour, r] = mean + a * d
        e = np.where(days >= 1, off, d)
        self.var[hour, r] = (1.0 - a) * (var + a * (e * e))
        return long, x

    def _adapt_kind(self, r: I8, slot: I8, long: F8, by_hour: F8, by_kind: F8) -> None:
        for k, e in enumerate((by_hour, by_kind)):
            self.error[k, r] += long * (e * e - self.error[k, r])
        kind = slot // HOURS
        self.kinds[kind, r] += 1.0
        a = np.maximum(HOURS / (self.kinds[kind, r] + HOURS), 1.0 / (DAYS * self.per_hour[r]))
        off = wide(self.off[slot, r])
        self.off[slot, r] = off + a * (by_hour - off)

    def _rarity(self, r: I8, z: F8) -> F8:
        side = np.where(z > 0, UP, DOWN)
        size = np.abs(z)
        log = np.where(size > 1e-9, ln_columns(np.maximum(size, 1e-9)), -99.0)
        begin = self.begin[side, r]
        rare: F8 = np.where(log > begin, TAIL_LN + (log - begin) / self.slope[side, r], 0.0)
        return rare

    def _blocks(self, r: I8, t: I8, z: F8) -> None:
        self.first[r] = np.where(self.known[r] == 1, t, self.first[r])
        self.top[UP, r] = np.maximum(self.top[UP, r], z)
        self.top[DOWN, r] = np.maximum(self.top[DOWN, r], -z)
        self.filled[r] += 1
        full = r[self.filled[r] >= BLOCK]
        if not len(full):
            return
        old = self.filled[r] >= BLOCK
        old &= t - self.first[r] > AGE
        if old.any():
            self._learn(r[old])
        self.top[:, full] = 0.0
        self.filled[full] = 0

    def _learn(self, r: I8) -> None:
        self.tails[:, r] = wide(self.tails[:, r]) * KEEP
        self.weight[r] = self.weight[r] * KEEP + 1.0
        for side in (UP, DOWN):
            top = self.top[side, r]
            some = top > 1e-9
            log = ln_columns(np.where(some, top, 1.0))
            k = np.where(some, np.clip(np.floor(log / WIDTH), 0, BINS - 1), 0).astype(np.int64)
            self.tails[side * BINS + k, r] = wide(self.tails[side * BINS + k, r]) + 1.0
        self._fit(r)

    def _fit(self, r: I8) -> None:
        for side in (UP, DOWN):
            counts = self.tails[side * BINS : (side + 1) * BINS][:, r]
            self.begin[side, r], self.slope[side, r] = fit_columns(counts, self.weight[r])

    def _value(self, row: int) -> float:
        return float(self.value[row])

    def _limit(self, row: int, level: int) -> float:
        return float(self.expected[row])

    def _facts(self, row: int, active: bool) -> Mapping[str, Any]:
        rule = self.rows[row].rule
        assert isinstance(rule, Baseline)
        return rule.facts(float(self.rarity[row]))
