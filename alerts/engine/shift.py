"""Shift rules in columns: EWMA baseline, z limit, two-sided CUSUM."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from alerts.engine import kernels_shift
from alerts.engine.bind import Row
from alerts.engine.block import Block
from alerts.engine.columns import F8, I8, NEVER, Any_, Index
from alerts.rules_shift import Shift


class ShiftBlock(Block):
    """Levels: 1 shifted down, 2 shifted up.

    Settings are few: `of` says which entry of the settings' columns belongs to a row.
    """

    KERNEL = staticmethod(kernels_shift.shift)
    COLUMNS = kernels_shift.ShiftColumns
    SHARED = frozenset(COLUMNS._fields[COLUMNS._fields.index("of") + 1 :])
    LEVELS = ("", "L", "H")
    STATE = (
        *Block.STATE,
        "bucket",
        "total",
        "count",
        "whole",
        "mean",
        "var",
        "n",
        "sum",
        "since",
        "back",
        "value",
    )

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        super().__init__(rows, index)
        n = len(self.rows)
        self._settle([r.rule for r in self.rows if isinstance(r.rule, Shift)])
        self.bucket = np.full(n, NEVER, np.int64)
        self.total = np.zeros(n)
        self.count = np.zeros(n, np.int64)
        self.whole = np.zeros(n, np.bool_)
        self.mean = np.zeros(n)
        self.var = np.zeros(n)
        self.n = np.zeros(n, np.int64)
        self.sum = np.zeros((2, n))  # 0 downwards, 1 upwards
        self.since = np.full((2, n), NEVER, np.int64)
        self.back = np.zeros(n)
        self.value = np.full(n, np.nan)

    def _settle(self, rules: Sequence[Shift]) -> None:
        """The columns of settings."""
        known = {rule.meaning: rule for rule in rules}
        self.places = {meaning: n for n, meaning in enumerate(known)}
        self.of = np.asarray([self.places[rule.meaning] for rule in rules], np.int32)
        entries = known.values()

        def column(kind: type, *values: Any) -> Any_:
            return np.asarray(values, kind)

        self.tau = column(np.int64, *(round(r.tau_s * 1000) for r in entries))
        self.step = column(np.int64, *(round(r.step_s * 1000) for r in entries))
        self.relearn = column(np.int64, *(round(r.relearn_s * 1000) for r in entries))
        self.warmup = column(np.int64, *(r.warmup for r in entries))
        self.k = column(np.float64, *(r.k for r in entries))
        self.winsor = column(np.float64, *(r.winsor for r in entries))
        self.enough = column(np.float64, *(r.back for r in entries))
        self.share = column(np.float64, *(0.01 if r.min_sd is None else 0.0 for r in entries))
        self.least = column(np.float64, *(r.min_sd or 0.0 for r in entries))
        self.jump_down, self.jump_up = (
            column(np.float64, *(math.inf if r.direction == not_ else r.z or math.inf for r in entries))
            for not_ in ("up", "down")
        )
        self.h_down, self.h_up = (
            column(np.float64, *(math.inf if r.direction == not_ else r.h or math.inf for r in entries))
            for not_ in ("up", "down")
        )

    def join(self, made: Block) -> None:
        """Bring the settings of new rows under those that are here."""
        assert isinstance(made, ShiftBlock)
        new = [entry for meaning, entry in made.places.items() if meaning not in self.places]
        for name in self.SHARED:
            setattr(self, name, np.concatenate([getattr(self, name), getattr(made, name)[new]]))
        for meaning in made.places:
            self.places.setdefault(meaning, len(self.places))
        made.of = np.asarray([self.places[meaning] for meaning in made.places], np.int32)[made.of]

    def _step(self, r: I8, role: I8, t: I8, v: F8) -> None:
        seen, gap, step = self.seen[0, r], self.gap[0, r], self.step[self.of[r]]
        gapped = t - seen > gap
        self.seen[0, r] = np.maximum(seen, t)
        raw = step == 0
        if raw.all():
            self._judge(r, v, t, np.where(gapped, gap, np.maximum(t - seen, 0)))
            return
        if raw.any():
            dt = np.where(gapped, gap, np.maximum(t - seen, 0))
            self._judge(r[raw], v[raw], t[raw], dt[raw])
            mean = ~raw
            r, t, v, step, gapped = r[mean], t[mean], v[mean], step[mean], gapped[mean]
        self._gather(r, t // step, v, step, gapped)

    def _gather(self, r: I8, bucket: I8, v: F8, step: I8, gapped: Any_) -> None:
        """Sum up the steps; what is complete is judged."""
        newer = bucket > self.bucket[r]
        full = newer & ~gapped & self.whole[r]
        if full.any():
            f, width = r[full], step[full]
            self._judge(f, self.total[f] / self.count[f], (self.bucket[f] + 1) * width, width)
        more = ~gapped & (bucket == self.bucket[r])
        self.total[r] = np.where(more, self.total[r] + v, self.total[r])
        self.count[r] += more
        begin = gapped | newer
        r, v, bucket, gapped = r[begin], v[begin], bucket[begin], gapped[begin]
        self.whole[r], self.bucket[r], self.total[r], self.count[r] = ~gapped, bucket, v, 1

    @np.errstate(over="ignore", invalid="ignore")
    def _judge(self, r: I8, x: F8, t: I8, dt: I8) -> None:
        """Values of different rows at their times; `dt` is what each weighs, ms."""
        self.value[r] = x
        of = self.of[r]
        old = (self.level[r] > 0) & (t - self.onset[r] > self.relearn[of])
        if old.any():
            self._forget(r[old], t[old])
        mean = self.mean[r]
        s = np.maximum(np.sqrt(self.var[r]), np.maximum(np.abs(mean) * self.share[of], self.least[of]))
        known = (self.n[r] >= self.warmup[of]) & (s > 0)
        z = np.divide(x - mean, s, out=np.zeros(len(r)), where=known)
        w = self.winsor[of]
        c = np.minimum(np.maximum(z, -w), w)
        self._alarm(r, of, z, c, t)
        free = self.level[r] == 0
        y = np.where(c == z, x, mean + c * s)
        if not free.all():
            r, of, y, dt, mean = r[free], of[free], y[free], dt[free], mean[free]
        weight = np.maximum(dt / (self.tau[of] + dt), 1.0 / (self.n[r] + 1))
        error = y - mean
        part = weight * error
        self.mean[r] = mean + part
        self.var[r] = (1.0 - weight) * (self.var[r] + error * part)
        self.n[r] += 1

    def _forget(self, r: I8, t: I8) -> None:
        """What has lasted so long is the usual level now."""
        self.change(r, np.zeros(len(r), np.uint8), t)
        for column in (self.mean, self.var, self.n, self.back):
            column[r] = 0
        self.sum[:, r] = 0.0

    def _alarm(self, r: I8, of: Any_, z: F8, c: F8, t: I8) -> None:
        k, level = self.k[of], self.level[r]
        hit = np.zeros(len(r), np.uint8)
        for side, turned, other, h, jump in (
            (0, -1.0, 1, self.h_down, self.jump_down),
            (1, 1.0, 2, self.h_up, self.jump_up),
        ):
            before = self.sum[side, r]
            total = np.maximum(0.0, before + (turned * c - k))
            self.sum[side, r] = total
            began = (before == 0) & (total > 0) & (level != other)
            if began.any():
                self.since[side, r[began]] = t[began]
            hit[(turned * z > jump[of]) | (total > h[of])] = other
        some = (hit > 0) | (level > 0)
        if some.any():
            self._turn(r[some], hit[some], c[some], k[some], t[some], self.enough[of[some]])

    def _turn(self, r: I8, hit: Any_, c: F8, k: F8, t: I8, enough: F8) -> None:
        """Begin, go on or end."""
        level = self.level[r]
        back = np.maximum(0.0, self.back[r] + (k - np.where(level == 2, c, -c)))
        over = (hit == 0) & (back > enough)
        self.back[r] = np.where((hit > 0) | over, 0.0, back)
        self.sum[:, r[hit > 0]] = 0.0
        self.change(r, np.where(hit > 0, hit, np.where(over, 0, level)).astype(np.uint8), t)

    def deviation(self, row: int) -> float:
        """Of the baseline; 0: unknown."""
        of = self.of[row]
        return max(
            math.sqrt(self.var[row]), float(abs(self.mean[row]) * self.share[of]), float(self.least[of])
        )

    def _value(self, row: int) -> float:
        return float(self.value[row])

    def _limit(self, row: int, level: int) -> float:
        rule = self.rows[row].rule
        assert isinstance(rule, Shift)
        return float(self.mean[row]) + (rule.z or math.nan) * self.deviation(row) * (
            1.0 if level == 2 else -1.0
        )

    def _facts(self, row: int, active: bool) -> Mapping[str, Any]:
        return {
            "expected": float(self.mean[row]),
            "sd": self.deviation(row),
            "began": int(self.since[1 if self.level[row] == 2 else 0, row]),
        }
