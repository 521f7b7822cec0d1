"""The trend row in plain Python."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from alerts.engine.bind import Row
from alerts.rules_trend import PARTS, Trend
from alerts.scalar.rows import NAN, NEVER, ScalarRow
from alerts.scalar.slope import median
from gateway.model import Ms

DAY = 86_400_000
Points = list[tuple[int, float]]
"""(step, value)."""


class TrendRow(ScalarRow):
    """Hourly means, daily values, Theil–Sen."""

    names = ("", "L", "H")

    def __init__(self, row: Row) -> None:
        super().__init__(row)
        assert isinstance(row.rule, Trend)
        self.rule = row.rule
        self.step_ms = round(row.rule.step_s * 1000)
        self.step: Ms = NEVER
        self.part, self.total, self.count = 0, 0.0, 0
        self.means: list[float] = []
        self.usual = 0
        self.days: Points = []
        self.newest: Ms = NEVER
        self.base, self.turn = NAN, NAN
        self.streak, self.back = 0, 0
        self.value, self.per_day = NAN, NAN
        self.eta: Ms = NEVER
        self.first: Ms = NEVER
        self.last: Ms = NEVER

    def take(self, role: int, t: Ms, v: float) -> None:
        """Add to the mean of its part; a newer part or step closes the old one."""
        self.seen[0] = max(self.seen[0], t)
        step, part = t // self.step_ms, t % self.step_ms * PARTS // self.step_ms
        if (step, part) < (self.step, self.part):
            return
        if (step, part) > (self.step, self.part):
            if self.count:
                self.means.append(self.total / self.count)
            self.total, self.count = 0.0, 0
        if step > self.step > NEVER:
            self._end_step()
        self.step, self.part = step, part
        if self.rule.above is None or v > self.rule.above:
            self.total, self.count = self.total + v, self.count + 1

    def _end_step(self) -> None:
        means, k = sorted(self.means), len(self.means)
        self.means = []
        valid = k > 0 and 4 * k >= 3 * self.usual
        self.usual = max(k, self.usual - 1)
        if self.newest > NEVER and self.step - self.newest > 3:
            self.days, self.streak = [], 0
        self.newest = self.step
        self.days = [(x, y) for x, y in self.days if x > self.step - self.rule.points]
        if not valid:
            return
        day = median(means) if self.rule.daily == "median" else means[-1 if self.rule.daily == "max" else 0]
        self.days.append((self.step, day))
        self._judge()

    def limits(self) -> list[float]:
        """L and H; NaN where there is none, or none yet."""
        base = self.base if self.base > 0 else NAN
        found = []
        for fixed, ratio in ((self.rule.l, self.rule.l_ratio), (self.rule.h, self.rule.h_ratio)):
            found.append(fixed if fixed is not None else NAN if ratio is None else ratio * base)
        return found

    def _judge(self) -> None:
        learn = self.rule.learn_points
        if math.isnan(self.base) and len(self.days) >= learn:
            self.base = median([y for _, y in self.days[:learn]])
        if self._returned():
            return
        if len(self.days) < self.rule.min_points:
            self.streak = 0
            return
        wanted, t = 0, regression_t(self.days)
        for level, limit in enumerate(self.limits(), 1):
            sign = -1.0 if level == 1 else 1.0
            look = not math.isnan(limit) and (sign * t > 4.0 or self.level == level)
            if look and self._probable(level, sign, sign * limit, sign * t):
                wanted = level
        self.streak = self.streak + 1 if wanted != self.level else 0
        if self.streak >= 2:
            self.streak = 0
            self.change(wanted, self._end())
        if self.level == 0 and wanted == 0:
            self.turn = NAN

    def _end(self) -> Ms:
        return (self.step + 1) * self.step_ms

    def _returned(self) -> bool:
        sign = -1.0 if self.level == 1 else 1.0
        behind = self.level > 0 and sign * self.days[-1][1] <= sign * self.turn
        self.back = self.back + 1 if behind else 0
        if self.back < 2:
            return False
        self.change(0, self._end())
        self.turn, self.back, self.days, self.streak = NAN, 0, [], 0
        return True

    def _probable(self, level: int, sign: float, limit: float, t: float) -> bool:
        points = [(x, sign * y) for x, y in self.days]
        n = len(points)
        slopes = pair_slopes(points)
        slope, newer = median(slopes), median(pair_slopes(points[n // 2 :]))
        fitted = median([y - slope * (x - self.step) for x, y in points])
        missing, active = limit - fitted, self.level == level
        moves = t > 4.0 and slopes[rank(n, 1.959963984540054)] > 0 and newer >= 0.25 * slope
        if missing <= 0:
            probable = moves or active
        else:
            low = slopes[rank(n, 0.8416212335729143)]
            probable = moves and missing <= low * (self.rule.horizon_s / self.rule.step_s)
        self.value, self.per_day = sign * fitted, sign * slope * DAY / self.step_ms
        wide = rank(n, 1.2815515655446004)
        self.eta = self._when(missing, slope)
        self.first, self.last = self._when(missing, slopes[-1 - wide]), self._when(missing, slopes[wide])
        if probable and not active:
            self.turn = sign * (fitted - slope * (points[-1][0] - points[0][0]) / 2)
        return probable

    def _when(self, missing: float, slope: float) -> Ms:
        if slope <= 0 or missing <= 0:
            return NEVER
        wait = missing / slope * self.step_ms
        return self._end() + int(wait) if wait < 1e14 else NEVER

    def shown_value(self) -> float:
        """The fitted value now."""
        return self.value

    def shown_limit(self, level: int) -> float:
        """Where it is going."""
        return self.limits()[level - 1]

    def facts(self) -> Mapping[str, Any]:
        """How fast, when it arrives, and what it is compared with."""
        facts: dict[str, Any] = {"per_day": self.per_day}
        facts |= {n: at for n in ("eta", "first", "last") if (at := getattr(self, n)) > NEVER}
        if self.rule.h_ratio is not None or self.rule.l_ratio is not None:
            facts["base"] = self.base
        return facts


def rank(n: int, z: float) -> int:
    """Index of the pairwise slope that bounds the slope from below."""
    pairs, spread = n * (n - 1) / 2, z * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    return max(math.floor((pairs - spread) / 2) - 1, 0)


def pair_slopes(points: Sequence[tuple[int, float]]) -> list[float]:
    """Slopes between all pairs, in order of size."""
    return sorted((y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(points) for x2, y2 in points[i + 1 :])


def total(values: Iterable[float]) -> float:
    """The sum in order, without the compensation that newer Pythons add."""
    t = 0.0
    for v in values:
        t += v
    return t


def regression_t(points: Points) -> float:
    """Student's t of an ordinary regression's slope, widened for residuals that follow one another."""
    last, ref = points[-1]
    both = [(float(x - last), y - ref) for x, y in points]
    n = float(len(both))
    sx, sz = total(x for x, _ in both), total(z for _, z in both)
    spread = total(x * x for x, _ in both) - sx * sx / n
    slope = (total(x * z for x, z in both) - sx * sz / n) / spread
    e = [(z - sz / n) - slope * (x - sx / n) for x, z in both]
    see = total(a * a for a in e)
    if see == 0:
        return math.copysign(math.inf, slope) if slope else 0.0
    neighbours = zip(pairwise(e), pairwise(points), strict=True)
    near = total(a * b for (a, b), (p, q) in neighbours if q[0] - p[0] == 1)
    near = min(max(near / see, 0.0), 0.8)
    return slope / math.sqrt(see / (n - 2) / spread * ((1 + near) / (1 - near)))
