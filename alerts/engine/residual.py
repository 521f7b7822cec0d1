"""Residual rules in columns; `alerts.rules_residual` says what they do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from alerts.detect.ridge import place, weights
from alerts.engine.bind import Row
from alerts.engine.block import Block
from alerts.engine.columns import F8, I8, NEVER, Any_, Index
from alerts.rules_residual import OTHERS, Residual

WIDTH = OTHERS + 1
PRODUCTS = WIDTH * (WIDTH + 1) // 2
INSIDE = math.sqrt(0.5)
"""The zero follows the error while it is within this share of its limit."""


class ResidualBlock(Block):
    """Input 0 is the point, the others follow, the gate is last. Unused inputs of a row hold zeros.

    n: steps learned · square: sum of squares of the smoothed error that was not fitted.
    """

    STATE = (
        *Block.STATE, "bucket", "shut", "gate", "held", "area", "mark", "n", "origin", "sums", "products",
        "weights", "smooth", "zero", "square", "streak", "value", "expected",
    )  # fmt: skip

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        super().__init__(rows, index)
        n = len(self.rows)
        rules = [r.rule for r in self.rows if isinstance(r.rule, Residual)]
        gated = np.asarray([bool(r.gate) for r in rules], np.bool_)
        self.inputs = np.asarray([len(r.inputs) for r in self.rows], np.int64) - gated
        self.above = np.asarray([r.gate_above for r in rules])
        self.step = np.asarray([round(r.step_s * 1000) for r in rules], np.int64)
        self.steps = np.asarray([r.fit_steps for r in rules], np.int64)
        self.learned = self.steps * 2 // 3
        self.gain = np.asarray([r.step_s / (r.smooth_s + r.step_s) for r in rules])
        self.follow = np.asarray([r.step_s / (r.follow_s + r.step_s) for r in rules])
        self.k = np.asarray([r.k for r in rules])
        self.least = np.asarray([r.min_change for r in rules])
        self._clear(n, gated)

    def _clear(self, n: int, gated: Any_) -> None:
        self.bucket, self.shut, self.gate = np.full(n, NEVER, np.int64), np.ones(n, np.bool_), ~gated
        self.held, self.area = np.full((WIDTH, n), np.nan), np.zeros((WIDTH, n))
        self.mark = np.full((WIDTH, n), NEVER, np.int64)
        self.n, self.streak = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.origin, self.sums, self.weights = (np.zeros((WIDTH, n)) for _ in range(3))
        self.products = np.zeros((PRODUCTS, n))
        self.smooth, self.zero, self.square = np.zeros(n), np.zeros(n), np.zeros(n)
        self.value, self.expected = np.full(n, np.nan), np.full(n, np.nan)

    # ── one sample ────────────────────────────────────────────────────────────────────────────────────

    def _step(self, r: I8, role: I8, t: I8, v: F8) -> None:
        gapped = t - self.seen[role, r] > self.gap[role, r]
        bucket = t // self.step[r]
        later = bucket > self.bucket[r]
        if later.any():
            closing = r[later & (self.bucket[r] > NEVER)]
            if len(closing):
                self._close(closing)
            begin = r[later]
            self.bucket[begin], self.shut[begin] = bucket[later], ~self.gate[begin]
            self.area[:, begin] = 0.0
            self.mark[:, begin] = bucket[later] * self.step[begin]
        self.shut[r[gapped]] = True
        of_gate = role >= self.inputs[r]
        self._integrate(r[~of_gate], role[~of_gate], t[~of_gate], v[~of_gate])
        g = r[of_gate]
        self.gate[g] = v[of_gate] > self.above[g]
        self.shut[g] |= ~self.gate[g]
        self.seen[role, r] = np.maximum(self.seen[role, r], t)

    def _integrate(self, r: I8, role: I8, t: I8, v: F8) -> None:
        held, mark = self.held[role, r], self.mark[role, r]
        known = ~np.isnan(held)
        self.area[role[known], r[known]] += held[known] * np.maximum(t - mark, 0)[known]
        self.mark[role, r] = np.maximum(mark, t)
        self.held[role, r] = v

    # ── a step is complete ────────────────────────────────────────────────────────────────────────────

    def _close(self, r: I8) -> None:
        end = (self.bucket[r] + 1) * self.step[r]
        proven = end - self.seen[:, r] <= self.gap[:, r]
        usable = ~self.shut[r] & proven.all(axis=0)
        self.streak[r[~usable]] = 0
        r, end = r[usable], end[usable]
        if not len(r):
            return
        mine = np.arange(WIDTH)[:, None] < self.inputs[r]
        held = np.where(mine, self.held[:, r], 0.0)
        x = (self.area[:, r] + held * np.maximum(end - self.mark[:, r], 0)) / self.step[r]
        x = np.where(mine, x, 0.0)
        fresh = self.n[r] == 0
        self.origin[:, r[fresh]] = x[:, fresh]
        off = x - self.origin[:, r]
        late = self.n[r] >= self.learned[r]
        self._smooth(r[late], off[:, late])
        ready = self.n[r] >= self.steps[r]
        self._judge(r[ready], x[0, ready], end[ready])
        late &= ~ready
        self.square[r[late]] += self.smooth[r[late]] * self.smooth[r[late]]
        self._learn(r[~ready], off[:, ~ready])

    def _smooth(self, r: I8, off: F8) -> None:
        said = self.weights[0, r]
        for j in range(1, WIDTH):
            here = self.inputs[r] > j
            said = np.where(here, said + self.weights[j, r] * off[j], said)
        self.smooth[r] += self.gain[r] * ((off[0] - said) - self.smooth[r])

    def _learn(self, r: I8, off: F8) -> None:
        self.n[r] += 1
        for j in range(WIDTH):
            self.sums[j, r] += off[j]
            for i in range(j + 1):
                self.products[place(i, j), r] += off[i] * off[j]
        for k in r[(self.n[r] == self.learned[r]) | (self.n[r] == self.steps[r])].tolist():
            others = int(self.inputs[k]) - 1
            n, sums, products = int(self.n[k]), self.sums[:, k].tolist(), self.products[:, k].tolist()
            self.weights[: others + 1, k] = weights(n, sums, products, others)
        self.smooth[r[self.n[r] == self.steps[r]]] = 0.0

    def _allowed(self, r: Any_) -> F8:
        usual = np.sqrt(self.square[r] / (self.steps[r] - self.learned[r]))
        tiny = 1e-9 * (1.0 + np.abs(self.origin[0, r]))
        limit: F8 = np.maximum(np.maximum(self.k[r] * usual, self.least[r]), tiny)
        return limit

    def _judge(self, r: I8, value: F8, end: I8) -> None:
        away, limit = self.smooth[r] - self.zero[r], self._allowed(r)
        self.value[r], self.expected[r] = value, value - away
        active = self.level[r] > 0
        turned = np.where(active, np.abs(away) <= limit / 2, np.abs(away) > limit)
        self.streak[r] = np.where(turned, self.streak[r] + 1, 0)
        inside = np.abs(away) < limit * INSIDE
        self.zero[r] = np.where(inside, self.zero[r] + self.follow[r] * away, self.zero[r])
        turn = self.streak[r] >= 2
        self.streak[r[turn]] = 0
        self.change(r[turn], (~active[turn]).astype(np.uint8), end[turn])

    # ── what is said ──────────────────────────────────────────────────────────────────────────────────

    def _value(self, row: int) -> float:
        return float(self.value[row])

    def _limit(self, row: int, level: int) -> float:
        return float(self.expected[row])

    def _facts(self, row: int, active: bool) -> Mapping[str, Any]:
        tags = self.rows[row].tags
        return {
            "channel": tags[0],
            "from": list(tags[1 : int(self.inputs[row])]),
            "allowed": float(self._allowed(np.asarray([row]))[0]),
        }
