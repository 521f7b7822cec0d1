"""The rule kind `trend`: wear that reaches a limit in days or weeks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from alerts.rules_base import Rule

PARTS = 24
"""Parts of a step of which each gives one mean; the step's value is made of these means."""


@dataclass(frozen=True, kw_only=True)
class Trend(Rule):
    """A slow change that reaches `h` (or falls to `l`) within `horizon_s`.

    One value per step, a day unless said otherwise: the `daily` (median, max or min) of its hourly means, so
    that neither a spike nor how often the point is read counts. Values at or below `above` say that the thing
    is off and are left out. A step in which much less was read than usual gives no value.

    The slope over `window_s` is that of Theil and Sen (Theil 1950, Sen 1968). It counts when an ordinary
    regression, its error widened for residuals that follow one another, gives |t| > 4, when the 95 % interval
    of the slope excludes 0, and when the newer half of the window goes the same way: a step is no trend. The
    crossing is probable when the slope at its one-sided 80 % bound still gets there in time. Two probable
    evaluations in a row raise; two improbable ones, or two values back half-way to where it began, clear.

    h_ratio, l_ratio: limits as multiples of the point's own beginning, the median of its first `learn_points`
    values. Three missing steps in a row begin a new window; what was learned stays.
    """

    kind: Literal["trend"] = "trend"
    h: float | None = None
    l: float | None = None  # noqa: E741 - the word of the trade, as in `limit`
    h_ratio: float | None = None
    l_ratio: float | None = None
    daily: Literal["median", "max", "min"] = "median"
    above: float | None = None
    step_s: float = 86_400
    window_s: float = 21 * 86_400
    horizon_s: float = 14 * 86_400
    min_points: int = 14
    learn_points: int = 7

    def _check(self) -> None:
        check_sides(self.h, self.l, self.h_ratio, self.l_ratio)
        for name in ("step_s", "window_s", "horizon_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: {value!r} must be above 0")
        if self.daily not in ("median", "max", "min"):
            raise ValueError(f"daily: {self.daily!r} must be median, max or min")
        if self.min_points < 8:
            raise ValueError(f"min_points: {self.min_points} points are no trend; write 8 or more")
        if not 1 <= self.learn_points <= self.min_points:
            raise ValueError(f"learn_points: {self.learn_points} must be 1 to min_points ({self.min_points})")
        if not self.min_points <= self.points <= 90:
            span = f"min_points ({self.min_points}) to 90"
            raise ValueError(f"window_s: the window has {self.points} steps; possible: {span}")

    @property
    def points(self) -> int:
        """Steps in the window."""
        return int(self.window_s // self.step_s)


def check_sides(h: float | None, l: float | None, h_ratio: float | None, l_ratio: float | None) -> None:  # noqa: E741 - the words of the trade
    """Raise ValueError unless there is a limit, each side has at most one, and ratios lie around 1."""
    given = [v for v in (h, l, h_ratio, l_ratio) if v is not None]
    if not given:
        raise ValueError("give at least one of h, l, h_ratio, l_ratio")
    if not all(math.isfinite(v) for v in given):
        raise ValueError("h, l, h_ratio, l_ratio: a limit is a number; leave out what there is not")
    if h is not None and h_ratio is not None:
        raise ValueError("h_ratio: h is given already")
    if l is not None and l_ratio is not None:
        raise ValueError("l_ratio: l is given already")
    if h is not None and l is not None and not l < h:
        raise ValueError(f"l ({l:g}) must be below h ({h:g})")
    if h_ratio is not None and not h_ratio > 1:
        raise ValueError(f"h_ratio: {h_ratio:g} must be above 1")
    if l_ratio is not None and not 0 < l_ratio < 1:
        raise ValueError(f"l_ratio: {l_ratio:g} must lie between 0 and 1")
