"""One series against what it usually does at this hour, and how rare the difference is for it.

The expectation is the hour's mean of earlier days, shrunk to the overall mean while there are few days, plus
a level that follows slowly, plus what days of this kind (working day, day off: `days`) do otherwise at this
hour. That last part counts only where it has proved itself: both expectations are tried on every value before
it is learnt, and the kind of day is used while the mean square of its errors is clearly the smaller one and
each kind was seen on a few days. A series without a week, or one of a few days, is judged by the hour alone.
Where the year's holidays are not known (`sure`) a value is ordinary as well if it suits the other kind of
day, or lies between both.

The difference is measured in standard deviations of the hour; values beyond `CLIP` of them are pulled in
before anything is learnt from them, so that a fault does not become the norm at once. The tail of the series'
own history (`calibrate`) says how rare the difference is, to each side by itself. Causal; state of bounded
size (the tables are kept as 32-bit floats: less than 1 kB a series); no setting but the length of a step.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass

from alerts.detect.calibrate import BLOCK, Tail
from alerts.detect.days import HOURS, PLAIN
from gateway.model import Ms

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
HUGE = 1e18
"""Bounds of what is judged; they keep squares finite, in 32 bits as well."""
KINDS_FROM = 6
"""Days of each kind from which the kind of day may count: three weekends."""
KIND_HALF = 1.0
"""A kind seen on n days moves the expectation by n/(n + this) of what it did."""
PROVED = 0.9
"""Share of the square error by the hour alone that the error by kind of day must stay below."""
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
        "count", "down", "error", "filled", "first", "kinds", "level", "mean", "off", "overall", "per_hour",
        "seen", "spread", "top", "up", "var", "var_all",
    )  # fmt: skip

    def __init__(self, step_ms: Ms) -> None:
        self.per_hour = steps_per_hour(step_ms)
        self.mean, self.var, self.count = (array("f", [0.0] * HOURS) for _ in range(3))
        self.off = array("f", [0.0] * (2 * HOURS))
        self.kinds, self.error = [0.0, 0.0], [0.0, 0.0]
        self.overall = self.var_all = self.level = 0.0
        self.spread = 0.0
        self.seen = 0
        self.first: Ms = 0
        self.up, self.down = Tail(), Tail()
        self.top = [0.0, 0.0]
        self.filled = 0

    def take(self, t: Ms, value: float, slot: int | None = None, *, sure: bool = False) -> Judged:
        """Judge a value by what came before it, then learn from it.

        slot: by `Days`, else that of UTC · sure: the holidays of its year are known; else it is also compared
        with the other kind of day.
        """
        x = max(-HUGE, min(HUGE, value))
        slot = PLAIN.slot(t) if slot is None else slot
        hour = slot % HOURS
        days = float(math.ceil(self.count[hour] / self.per_hour))
        plain = self._expect(hour, days)
        of_kind = self._of_kind(slot)
        best = expected = plain
        if self._proved():
            best = expected = plain + of_kind
            if not sure:
                other = plain + self._of_kind((slot + HOURS) % (2 * HOURS))
                expected = max(min(best, other, plain), min(max(best, other, plain), x))
        self.spread = max(self.spread, FLOOR * abs(expected))
        z = self._deviation(x, expected)
        self._adapt(slot, days, x, best, plain, of_kind)
        rarity = self.up.rarity(z) if z > 0 else self.down.rarity(-z)
        self._count(t, z)
        return Judged(expected, z, rarity)

    def _expect(self, hour: int, days: float) -> float:
        """By the hour alone. Also sets the spread."""
        own = days / (days + HALF_DAYS)
        sure = max(days - 1.0, 0.0)
        sure = sure / (sure + HALF_DAYS)
        variance = sure * self.var[hour] + (1.0 - sure) * self.var_all
        self.spread = math.sqrt(variance)
        return own * self.mean[hour] + (1.0 - own) * self.overall + self.level

    def _of_kind(self, slot: int) -> float:
        """What this kind of day does otherwise at this hour."""
        days = self.kinds[slot // HOURS] / (HOURS * self.per_hour)
        return days / (days + KIND_HALF) * self.off[slot]

    def _proved(self) -> bool:
        least = KINDS_FROM * HOURS * self.per_hour
        enough = self.kinds[0] >= least and self.kinds[1] >= least
        return enough and self.error[1] < PROVED * self.error[0]

    def _deviation(self, x: float, expected: float) -> float:
        if self.seen <= FIRST or x == expected:
            return 0.0
        if self.spread > 0:
            return max(-MOST, min(MOST, (x - expected) / self.spread))
        return ODD if x > expected else -ODD

    def _adapt(self, slot: int, days: float, x: float, expected: float, plain: float, of_kind: float) -> None:
        hour = slot % HOURS
        if self.seen == 0:
            self.overall = x
        self.seen += 1
        if days >= CLIP_FROM and self.spread > 0:
            most = CLIP * self.spread
            x = expected + max(-most, min(most, x - expected))
        off = x - expected
        if self.seen > LEVEL_FROM * self.per_hour:
            self.level += off / (LEVEL_DAYS * HOURS * self.per_hour)
        long = max(1.0 / self.seen, 1.0 / (DAYS * HOURS * self.per_hour))
        d = x - self.overall
        self.overall += long * d
        self.var_all = (1.0 - long) * (self.var_all + long * (d * d))
        self._adapt_kind(slot, long, x - plain, x - plain - of_kind)
        self.count[hour] += 1.0
        a = max(1.0 / self.count[hour], 1.0 / (DAYS * self.per_hour))
        d = x - self.mean[hour]
        self.mean[hour] += a * d
        e = off if days >= 1 else d
        self.var[hour] = (1.0 - a) * (self.var[hour] + a * (e * e))

    def _adapt_kind(self, slot: int, long: float, by_hour: float, by_kind: float) -> None:
        """The errors of both expectations, and what the kind of day does otherwise."""
        self.error[0] += long * (by_hour * by_hour - self.error[0])
        self.error[1] += long * (by_kind * by_kind - self.error[1])
        kind = slot // HOURS
        self.kinds[kind] += 1.0
        a = max(HOURS / (self.kinds[kind] + HOURS), 1.0 / (DAYS * self.per_hour))
        self.off[slot] += a * (by_hour - self.off[slot])

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
