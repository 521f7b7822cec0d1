"""One series against what it usually does at this hour, and how rare the difference is for it.

The expectation is the hour's mean of earlier days, shrunk to the overall mean while there are few days, plus
a level that follows slowly. The difference is measured in standard deviations of the hour; values beyond
`CLIP` of them are pulled in before anything is learnt from them, so that a fault does not become the norm at
once. The tail of the series' own history (`calibrate`) says how rare the difference is, to each side by
itself. Causal; state of bounded size; no setting but the length of a step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from alerts.detect.calibrate import BLOCK, Tail
from gateway.model import Ms

HOURS = 24
HOUR: Ms = 3_600_000
DAYS = 14.0
"""Days over which means and spreads are averaged."""
LEVEL_DAYS = 3.0
"""Days over which the level follows."""
HALF_DAYS = 0.5
"""An hour seen on n days counts n/(n + this) against the overall mean."""
CLIP = 3.0
"""Standard deviations beyond which a value teaches no more."""
CLIP_FROM = 3
"""Days of an hour from which values are pulled in."""
LEVEL_FROM = 2 * HOURS
"""Steps per hour times this: from then on the level follows."""
FIRST = 10
"""Values before anything is judged."""
FLOOR = 0.002
"""Least spread, as a share of the expected value: one step of a coarse sensor is no event."""
ODD = 50.0
"""Standard deviations that a first change of a constant counts."""
MOST = 1000.0
HUGE = 1e100
"""Bounds of what is judged; they keep squares finite."""
AGE: Ms = 24 * HOUR
"""Age from which blocks are counted."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one value is worth.

    z: standard deviations above (+) or below (−) what was expected · rarity: −ln of the share of blocks that
    get this far to that side, 0 for the ordinary.
    """

    expected: float
    z: float
    rarity: float


def steps_per_hour(step_ms: Ms) -> float:
    """At least 1: with longer steps each hour that has one counts it as a day's worth."""
    return max(1.0, HOUR / step_ms)


class Baseline:
    """The state of one series; feed it its values (means of steps) in order of time."""

    __slots__ = (
        "count", "down", "filled", "first", "level", "mean", "overall", "per_hour", "seen", "spread",
        "top", "up", "var", "var_all",
    )  # fmt: skip

    def __init__(self, step_ms: Ms) -> None:
        self.per_hour = steps_per_hour(step_ms)
        self.mean, self.var, self.count = [0.0] * HOURS, [0.0] * HOURS, [0.0] * HOURS
        self.overall = self.var_all = self.level = 0.0
        self.spread = 0.0
        self.seen = 0
        self.first: Ms = 0
        self.up, self.down = Tail(), Tail()
        self.top = [0.0, 0.0]
        self.filled = 0

    def take(self, t: Ms, value: float) -> Judged:
        """Judge a value by what came before it, then learn from it."""
        x = max(-HUGE, min(HUGE, value))
        hour = t // HOUR % HOURS
        days = float(math.ceil(self.count[hour] / self.per_hour))
        expected = self._expect(hour, days)
        z = self._deviation(x, expected)
        self._adapt(hour, days, x, expected)
        rarity = self.up.rarity(z) if z > 0 else self.down.rarity(-z)
        self._count(t, z)
        return Judged(expected, z, rarity)

    def _expect(self, hour: int, days: float) -> float:
        """Also sets the spread."""
        own = days / (days + HALF_DAYS)
        sure = max(days - 1.0, 0.0)
        sure = sure / (sure + HALF_DAYS)
        expected = own * self.mean[hour] + (1.0 - own) * self.overall + self.level
        variance = sure * self.var[hour] + (1.0 - sure) * self.var_all
        self.spread = max(math.sqrt(variance), FLOOR * abs(expected))
        return expected

    def _deviation(self, x: float, expected: float) -> float:
        if self.seen <= FIRST or x == expected:
            return 0.0
        if self.spread > 0:
            return max(-MOST, min(MOST, (x - expected) / self.spread))
        return ODD if x > expected else -ODD

    def _adapt(self, hour: int, days: float, x: float, expected: float) -> None:
        if self.seen == 0:
            self.overall = x
        self.seen += 1
        if days >= CLIP_FROM and self.spread > 0:
            most = CLIP * self.spread
            x = expected + max(-most, min(most, x - expected))
        off = x - expected
        if self.seen > LEVEL_FROM * self.per_hour:
            self.level += off / (LEVEL_DAYS * HOURS * self.per_hour)
        a = max(1.0 / self.seen, 1.0 / (DAYS * HOURS * self.per_hour))
        d = x - self.overall
        self.overall += a * d
        self.var_all = (1.0 - a) * (self.var_all + a * (d * d))
        self.count[hour] += 1.0
        a = max(1.0 / self.count[hour], 1.0 / (DAYS * self.per_hour))
        d = x - self.mean[hour]
        self.mean[hour] += a * d
        e = off if days >= 1 else d
        self.var[hour] = (1.0 - a) * (self.var[hour] + a * (e * e))

    def _count(self, t: Ms, z: float) -> None:
        """The largest deviation of a block to each side joins its tail."""
        if self.seen == 1:
            self.first = t
        self.top = [max(self.top[0], z), max(self.top[1], -z)]
        self.filled += 1
        if self.filled < BLOCK:
            return
        if t - self.first > AGE:
            self.up.learn(self.top[0])
            self.down.learn(self.top[1])
        self.top, self.filled = [0.0, 0.0], 0
