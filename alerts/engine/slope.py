"""Slope rules: a robust trend and when it reaches its limit.

Theil 1950 and Sen 1968: the slope is the median of all pairwise slopes; its interval comes from the rank
order of those slopes with Kendall's variance, so one wild value or a daily step does not make a trend.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from alerts.engine.bind import Row
from alerts.engine.block import Block
from alerts.engine.columns import F8, I8, NEVER, Index
from alerts.rules import Slope

Z80 = 0.8416212335729143
"""One-sided 80 % point of the normal distribution."""
Z95 = 1.959963984540054
"""Two-sided 95 % point."""
HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class Trend:
    """Slopes per unit of x and the fitted value at the last x; arrays over rows.

    low: the slope is at least this with 80 % confidence · sure: lower end of the 95 % interval.
    """

    slope: F8
    low: F8
    sure: F8
    level: F8


def rank_below(n: int, z: float) -> int:
    """Index of the order statistic of n(n−1)/2 pairwise slopes that bounds the slope from below."""
    pairs = n * (n - 1) / 2
    spread = z * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    return max(math.floor((pairs - spread) / 2) - 1, 0)


def theil_sen(x: NDArray[Any], y: F8) -> Trend:
    """Trends of the rows of `y` (rows, n) over `x` (rows, n), which ascends in every row; n ≥ 2."""
    n = x.shape[1]
    i, j = np.triu_indices(n, 1)
    slopes = np.sort((y[:, j] - y[:, i]) / (x[:, j] - x[:, i]), axis=1)
    slope = middle(slopes)
    level = middle(np.sort(y - slope[:, None] * (x - x[:, -1:]), axis=1))
    return Trend(slope, slopes[:, rank_below(n, Z80)], slopes[:, rank_below(n, Z95)], level)


def middle(ordered: F8) -> F8:
    """Median of rows that are in order."""
    n = ordered.shape[1]
    both: F8 = (ordered[:, (n - 1) // 2] + ordered[:, n // 2]) / 2.0
    return both


class SlopeBlock(Block):
    """Means of buckets of event time (`x`: bucket number, `y`: mean; the newest stands last)."""

    STATE = (
        *Block.STATE,
        "bucket",
        "total",
        "count",
        "x",
        "y",
        "filled",
        "streak",
        "value",
        "per_hour",
        "eta",
    )
    TAIL = frozenset({"x", "y"})
    BLANK: ClassVar[Mapping[str, Any]] = {**Block.BLANK, "x": NEVER, "y": math.nan}

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        super().__init__(rows, index)
        n = len(self.rows)
        rules = [r.rule for r in self.rows if isinstance(r.rule, Slope)]
        self.sign = np.asarray([1.0 if r.direction == "up" else -1.0 for r in rules])
        self.limit = np.asarray([r.limit for r in rules])
        self.step = np.asarray([round(r.step_s * 1000) for r in rules], np.int64)
        self.horizon = np.asarray([r.horizon_s * 1000 for r in rules])
        self.depth = np.asarray([r.points for r in rules], np.int64)
        self.least = np.asarray([r.min_points for r in rules], np.int64)
        size = max((r.points for r in rules), default=1)
        self.bucket = np.full(n, NEVER, np.int64)
        self.total = np.zeros(n)
        self.count = np.zeros(n, np.int64)
        self.x = np.full((size, n), NEVER, np.int64)
        self.y = np.full((size, n), np.nan)
        self.filled = np.zeros(n, np.int64)
        self.streak = np.zeros(n, np.int64)
        self.value = np.full(n, np.nan)
        self.per_hour = np.full(n, np.nan)
        self.eta = np.full(n, NEVER, np.int64)

    def _step(self, r: I8, role: I8, t: I8, v: F8) -> None:
        gapped = t - self.seen[0, r] > self.gap[0, r]
        self.seen[0, r] = np.maximum(self.seen[0, r], t)
        bucket = t // self.step[r]
        self.filled[r[gapped]] = 0  # after a gap the trend begins anew
        closing = ~gapped & (bucket > self.bucket[r])
        if closing.any():
            self._close(r[closing])
        begin = gapped | closing
        more = ~begin & (bucket == self.bucket[r])
        self.bucket[r[begin]] = bucket[begin]
        self.total[r] = np.where(begin, v, np.where(more, self.total[r] + v, self.total[r]))
        self.count[r] = np.where(begin, 1, self.count[r] + more)

    def _close(self, r: I8) -> None:
        """The current bucket of rows is complete: it joins the window, and the trend is judged."""
        self.x[:-1, r] = self.x[1:, r]
        self.y[:-1, r] = self.y[1:, r]
        self.x[-1, r] = self.bucket[r]
        self.y[-1, r] = self.total[r] / self.count[r]
        self.filled[r] = np.minimum(self.filled[r] + 1, self.depth[r])
        fresh = self.x[:, r] > self.bucket[r] - self.depth[r]
        self.filled[r] = np.minimum(self.filled[r], fresh.sum(axis=0))
        enough = self.filled[r] >= self.least[r]
        self.streak[r[~enough]] = 0
        r = r[enough]
        for n in np.unique(self.filled[r]):
            self._judge(r[self.filled[r] == n], int(n))

    def _judge(self, r: I8, n: int) -> None:
        x, y = self.x[-n:, r].T, self.y[-n:, r].T
        sign, limit = self.sign[r], self.sign[r] * self.limit[r]
        trend = theil_sen(x, y * sign[:, None])
        step = self.step[r].astype(np.float64)
        missing = limit - trend.level
        with np.errstate(divide="ignore", invalid="ignore"):
            latest = missing / trend.low * step
            likely = missing / trend.slope * step
        active = self.level[r] > 0
        probable = (trend.low > 0) & (trend.sure > 0) & (latest <= self.horizon[r])
        probable = np.where(missing <= 0, active, probable)
        end = (self.x[-1, r] + 1) * self.step[r]
        self.value[r] = sign * trend.level
        self.per_hour[r] = sign * trend.slope * HOUR / step
        known = (trend.slope > 0) & (likely < 1e14)
        self.eta[r] = np.where(
            known, end + np.where(known, np.maximum(likely, 0.0), 0.0).astype(np.int64), NEVER
        )
        self.streak[r] = np.where(probable != active, self.streak[r] + 1, 0)
        turn = self.streak[r] >= 2
        self.streak[r[turn]] = 0
        self.change(r[turn], probable[turn].astype(np.uint8), end[turn])

    def _value(self, row: int) -> float:
        return float(self.value[row])

    def _limit(self, row: int, level: int) -> float:
        return float(self.limit[row])

    def _facts(self, row: int, active: bool) -> Mapping[str, Any]:
        facts: dict[str, Any] = {"per_hour": float(self.per_hour[row])}
        if self.eta[row] > NEVER:
            facts["eta"] = int(self.eta[row])
        return facts
