"""The residual row in plain Python."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from alerts.detect.ridge import place, weights
from alerts.engine.bind import Row
from alerts.rules_residual import Residual
from alerts.scalar.rows import NAN, NEVER, ScalarRow
from gateway.model import Ms

INSIDE = math.sqrt(0.5)
"""The zero follows the error while it is within this share of its limit."""


class ResidualRow(ScalarRow):
    """Inputs: the point, its others, the gate last."""

    def __init__(self, row: Row) -> None:
        super().__init__(row)
        assert isinstance(row.rule, Residual)
        rule = self.rule = row.rule
        self.inputs = len(row.inputs) - bool(rule.gate)
        self.step = round(rule.step_s * 1000)
        self.steps = rule.fit_steps
        self.gain = rule.step_s / (rule.smooth_s + rule.step_s)
        self.follow = rule.step_s / (rule.follow_s + rule.step_s)
        self.gate = not rule.gate
        self.bucket, self.shut = NEVER, True
        n = self.inputs
        self.held, self.area, self.mark = [NAN] * n, [0.0] * n, [NEVER] * n
        self.n = 0
        self.origin, self.sums = [0.0] * n, [0.0] * n
        self.products = [0.0] * (n * (n + 1) // 2)
        self.weights = [0.0] * n
        self.smooth, self.zero, self.square = 0.0, 0.0, 0.0
        self.streak = 0
        self.value, self.expected = NAN, NAN

    def take(self, role: int, t: Ms, v: float) -> None:
        """A sample of one input; the first one beyond a step closes it."""
        gapped = self.gapped(role, t)
        bucket = t // self.step
        if bucket > self.bucket:
            if self.bucket > NEVER:
                self._close((self.bucket + 1) * self.step)
            self.bucket, self.shut = bucket, not self.gate
            self.area, self.mark = [0.0] * self.inputs, [bucket * self.step] * self.inputs
        if gapped:
            self.shut = True
        if role < self.inputs:
            if not math.isnan(self.held[role]):
                self.area[role] += self.held[role] * max(t - self.mark[role], 0)
            self.mark[role] = max(self.mark[role], t)
            self.held[role] = v
        else:
            self.gate = v > self.rule.gate_above
            self.shut = self.shut or not self.gate
        self.seen[role] = max(self.seen[role], t)

    def _close(self, end: Ms) -> None:
        if self.shut or any(end - s > g for s, g in zip(self.seen, self.row.gaps, strict=True)):
            self.streak = 0
            return
        x = [
            (a + h * max(end - m, 0)) / self.step
            for a, h, m in zip(self.area, self.held, self.mark, strict=True)
        ]
        if self.n == 0:
            self.origin = x
        learned = self.steps * 2 // 3
        off = [v - o for v, o in zip(x, self.origin, strict=True)]
        if self.n >= learned:
            self._smooth(off)
        if self.n >= self.steps:
            self._judge(x[0], end)
            return
        if self.n >= learned:
            self.square += self.smooth * self.smooth
        self._learn(off)
        if self.n == learned or self.n == self.steps:
            self.weights = weights(self.n, self.sums, self.products, self.inputs - 1)
        if self.n == self.steps:
            self.smooth = 0.0

    def _smooth(self, off: list[float]) -> None:
        said = self.weights[0]
        for w, v in zip(self.weights[1:], off[1:], strict=True):
            said = said + w * v
        self.smooth += self.gain * ((off[0] - said) - self.smooth)

    def _learn(self, off: list[float]) -> None:
        self.n += 1
        for j, v in enumerate(off):
            self.sums[j] += v
            for i in range(j + 1):
                self.products[place(i, j)] += off[i] * v

    def limit(self) -> float:
        """How far the smoothed error may go."""
        usual = math.sqrt(self.square / (self.steps - self.steps * 2 // 3))
        return max(self.rule.k * usual, self.rule.min_change, 1e-9 * (1.0 + abs(self.origin[0])))

    def _judge(self, value: float, end: Ms) -> None:
        away, limit = self.smooth - self.zero, self.limit()
        self.value, self.expected = value, value - away
        active = self.level > 0
        turned = abs(away) <= limit / 2 if active else abs(away) > limit
        self.streak = self.streak + 1 if turned else 0
        if abs(away) < limit * INSIDE:
            self.zero += self.follow * away
        if self.streak >= 2:
            self.streak = 0
            self.change(int(not active), end)

    def shown_value(self) -> float:
        """The step's mean."""
        return self.value

    def shown_limit(self, level: int) -> float:
        """What it should have been."""
        return self.expected

    def facts(self) -> Mapping[str, Any]:
        """Which channel it is, from what it was expected and how far it may be away."""
        return {
            "channel": self.row.tags[0],
            "from": list(self.row.tags[1 : self.inputs]),
            "allowed": self.limit(),
        }
