"""The shift row in plain Python."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from alerts.engine.bind import Row
from alerts.rules_shift import Shift
from alerts.scalar.rows import NAN, NEVER, ScalarRow
from gateway.model import Ms


class ShiftRow(ScalarRow):
    """EWMA baseline, z limit and two-sided CUSUM. Levels: 1 shifted down, 2 shifted up."""

    names = ("", "L", "H")

    def __init__(self, row: Row) -> None:
        super().__init__(row)
        assert isinstance(row.rule, Shift)
        self.rule = row.rule
        self.step = round(row.rule.step_s * 1000)
        self.bucket: Ms = NEVER
        self.total, self.count, self.whole = 0.0, 0, False
        self.mean, self.var, self.n = 0.0, 0.0, 0
        self.down, self.up, self.back = 0.0, 0.0, 0.0
        self.since_down: Ms = NEVER
        self.since_up: Ms = NEVER
        self.value = NAN

    def take(self, role: int, t: Ms, v: float) -> None:
        """Judge a reading, or the mean of a step when a newer one begins."""
        gap, seen = self.row.gaps[0], self.seen[0]
        gapped = t - seen > gap
        self.seen[0] = max(seen, t)
        if self.step == 0:
            self.judge(v, t, gap if gapped else max(t - seen, 0))
            return
        bucket = t // self.step
        if gapped:
            self.whole = False
        elif bucket == self.bucket:
            self.total, self.count = self.total + v, self.count + 1
            return
        elif bucket < self.bucket:
            return
        else:
            if self.whole:
                self.judge(self.total / self.count, (self.bucket + 1) * self.step, self.step)
            self.whole = True
        self.bucket, self.total, self.count = bucket, v, 1

    def judge(self, x: float, t: Ms, dt: Ms) -> None:
        """One value at its time; `dt` is what it weighs."""
        rule = self.rule
        self.value = x
        if self.level and t - self.onset > round(rule.relearn_s * 1000):
            self.change(0, t)
            self.mean, self.var, self.n = 0.0, 0.0, 0
            self.up = self.down = self.back = 0.0
        y = x
        if self.n >= rule.warmup:
            z = self.z(x)
            c = min(max(z, -rule.winsor), rule.winsor)
            if c != z:
                y = self.mean + c * self.deviation()
            self._alarm(z, c, t)
        if self.level == 0:
            self._learn(y, dt)

    def deviation(self) -> float:
        """Of the baseline; 0: unknown."""
        least = self.rule.min_sd
        return max(math.sqrt(self.var), abs(self.mean) * 0.01 if least is None else least)

    def z(self, x: float) -> float:
        """How far a value is from the baseline, in deviations."""
        s = self.deviation()
        return (x - self.mean) / s if s > 0 else 0.0

    def _alarm(self, z: float, c: float, t: Ms) -> None:
        rule = self.rule
        was_up, was_down = self.up, self.down
        self.up = max(0.0, self.up + (c - rule.k))
        self.down = max(0.0, self.down + (-c - rule.k))
        if was_up == 0 and self.up > 0 and self.level != 2:
            self.since_up = t
        if was_down == 0 and self.down > 0 and self.level != 1:
            self.since_down = t
        jump, h = rule.z or math.inf, rule.h or math.inf
        if rule.direction != "down" and (z > jump or self.up > h):
            self._hit(2, t)
        elif rule.direction != "up" and (-z > jump or self.down > h):
            self._hit(1, t)
        elif self.level:
            side = c if self.level == 2 else -c
            self.back = max(0.0, self.back + (rule.k - side))
            if self.back > rule.back:
                self.back = 0.0
                self.change(0, t)

    def _hit(self, level: int, t: Ms) -> None:
        self.up = self.down = self.back = 0.0
        self.change(level, t)

    def _learn(self, y: float, dt: Ms) -> None:
        weight = max(dt / (round(self.rule.tau_s * 1000) + dt), 1.0 / (self.n + 1))
        error = y - self.mean
        part = weight * error
        self.mean = self.mean + part
        self.var = (1.0 - weight) * (self.var + error * part)
        self.n += 1

    def shown_value(self) -> float:
        """What was judged last."""
        return self.value

    def shown_limit(self, level: int) -> float:
        """Where a jump begins."""
        return self.mean + (self.rule.z or NAN) * self.deviation() * (1.0 if level == 2 else -1.0)

    def facts(self) -> Mapping[str, Any]:
        """What was expected, and since when it has been otherwise."""
        up = self.level == 2
        return {
            "expected": self.mean,
            "sd": self.deviation(),
            "began": self.since_up if up else self.since_down,
        }
