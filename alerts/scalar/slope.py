"""The slope row in plain Python."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from alerts.engine.bind import Row
from alerts.rules import Slope
from alerts.scalar.rows import NAN, NEVER, ScalarRow
from gateway.model import Ms

HOUR = 3_600_000


def median(values: Sequence[float]) -> float:
    """The middle, or the mean of the two in the middle."""
    s = sorted(values)
    return (s[(len(s) - 1) // 2] + s[len(s) // 2]) / 2.0


class SlopeRow(ScalarRow):
    """Theil–Sen over bucket means."""

    def __init__(self, row: Row) -> None:
        super().__init__(row)
        assert isinstance(row.rule, Slope)
        self.rule = row.rule
        self.step = round(row.rule.step_s * 1000)
        self.bucket: Ms = NEVER
        self.total, self.count = 0.0, 0
        self.window: list[tuple[int, float]] = []
        self.streak = 0
        self.value, self.per_hour = NAN, NAN
        self.eta: Ms = NEVER

    def take(self, role: int, t: Ms, v: float) -> None:
        """Sum up the bucket; a newer one closes it."""
        gapped = self.gapped(0, t)
        self.seen[0] = max(self.seen[0], t)
        bucket = t // self.step
        if gapped:
            self.window = []
        elif bucket > self.bucket:
            self._close()
        elif bucket == self.bucket:
            self.total, self.count = self.total + v, self.count + 1
            return
        else:
            return
        self.bucket, self.total, self.count = bucket, v, 1

    def _close(self) -> None:
        self.window.append((self.bucket, self.total / self.count))
        self.window = [(x, y) for x, y in self.window if x > self.bucket - self.rule.points]
        if len(self.window) < self.rule.min_points:
            self.streak = 0
            return
        self._judge()

    def _judge(self) -> None:
        sign = 1.0 if self.rule.direction == "up" else -1.0
        points = [(x, y * sign) for x, y in self.window]
        n = len(points)
        slopes = sorted(
            (y2 - y1) / (x2 - x1) for i, (x1, y1) in enumerate(points) for x2, y2 in points[i + 1 :]
        )
        pairs, spread = n * (n - 1) / 2, math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
        low = slopes[max(math.floor((pairs - 0.8416212335729143 * spread) / 2) - 1, 0)]
        sure = slopes[max(math.floor((pairs - 1.959963984540054 * spread) / 2) - 1, 0)]
        slope, last = median(slopes), points[-1][0]
        level = median([y - slope * (x - last) for x, y in points])
        missing = sign * self.rule.limit - level
        active = self.level > 0
        probable = active
        if missing > 0:
            in_time = low > 0 and missing / low * self.step <= self.rule.horizon_s * 1000
            probable = sure > 0 and in_time
        end = (last + 1) * self.step
        self.value, self.per_hour = sign * level, sign * slope * HOUR / self.step
        self.eta = NEVER
        if slope > 0 and missing / slope * self.step < 1e14:
            self.eta = end + int(max(missing / slope * self.step, 0.0))
        self.streak = self.streak + 1 if probable != active else 0
        if self.streak >= 2:
            self.streak = 0
            self.change(int(probable), end)

    def shown_value(self) -> float:
        """The fitted value now."""
        return self.value

    def shown_limit(self, level: int) -> float:
        """Where it is going."""
        return self.rule.limit

    def facts(self) -> Mapping[str, Any]:
        """How fast, and when it arrives."""
        facts: dict[str, Any] = {"per_hour": self.per_hour}
        return facts | {"eta": self.eta} if self.eta > NEVER else facts
