"""The rule kind `night_flow`: water that runs while everybody sleeps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from alerts.rules_base import Rule


@dataclass(frozen=True, kw_only=True)
class NightFlow(Rule):
    """The mean flow of the small hours rose for good.

    Each night's mean is compared with the same weekday of the last two weeks; three nights in a row go into
    a CUSUM with `k` and `h` in usual spreads (Page 1954; `alerts.detect.night` says how). Level H is the
    first rise, HH a further one on top of it; it ends when two thirds of the highest rise are gone. Ten
    nights are learned first; a night counts when five of the eight parts of its window have readings, also
    those that a proof of life repeats.

    from_h, to_h: the window in hours of the site's clock, utc_offset_s: that clock · min_rise: in the point's
    unit, how much matters where hardly anything flows at night.
    """

    kind: Literal["night_flow"] = "night_flow"
    from_h: float = 2.0
    to_h: float = 4.0
    utc_offset_s: float = 28_800.0
    k: float = 0.5
    h: float = 4.0
    min_rise: float = 0.0

    def _check(self) -> None:
        if not 0 <= self.from_h < self.to_h <= 24:
            raise ValueError(f"from_h: the window {self.from_h:g} to {self.to_h:g} must lie within one day")
        if (self.to_h - self.from_h) * 3600 < 480:
            raise ValueError("to_h: the window must be eight minutes or longer")
        if not (math.isfinite(self.utc_offset_s) and abs(self.utc_offset_s) <= 14 * 3600):
            raise ValueError(f"utc_offset_s: {self.utc_offset_s!r} is no offset; write 28800 for UTC+8")
        for name in ("k", "h"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: {value!r} must be above 0")
        if not (math.isfinite(self.min_rise) and self.min_rise >= 0):
            raise ValueError(f"min_rise: {self.min_rise!r} must be 0 or more")

    @property
    def window_ms(self) -> tuple[int, int]:
        """Begin and end of the window, ms of the local day."""
        return round(self.from_h * 3_600_000), round(self.to_h * 3_600_000)
