"""Rules about what is unusual for this hour. Times are seconds of event time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from alerts.detect.calibrate import BLOCK
from alerts.detect.days import Days, days_of
from alerts.rules_base import Rule

MONTH_S = 30 * 86_400.0
STEPS_S = (1.0, 86_400.0)
CALM = 4
"""Ordinary steps in a row that end an alarm."""


@dataclass(frozen=True, kw_only=True)
class Baseline(Rule):
    """A mean over `step_s` that is unusual for this hour and kind of day, judged by the series' own history.

    The one setting of sensitivity is `alarms_per_month`: a step alarms when the own tail of the series says
    that as much is reached at most that often. `learn_s` from the first step on it only learns; an alarm ends
    after four steps in a row within the ordinary, and is not raised again within a day unless it is clearly
    stronger. `min_change`: differences below this many units are never an alarm.

    zone: time zone of the site (IANA), whose clock the hours are of · calendar: what a day off is: `china`
    (the public holidays and the weekend days that are worked in exchange), `weekend`, or `none` (every day is
    like every other) · holidays, workdays: further dates with `|` between; a year without one is a year whose
    holidays are not known. A site's own zone and years are filled in when it is loaded.
    """

    AROUND: ClassVar[frozenset[str]] = frozenset({"holidays", "workdays"})

    kind: Literal["baseline"] = "baseline"
    step_s: float = 900.0
    alarms_per_month: float = 1.0
    direction: Literal["both", "up", "down"] = "both"
    min_change: float = 0.0
    learn_s: float = 7 * 86_400.0
    zone: str = "Asia/Shanghai"
    calendar: Literal["china", "weekend", "none"] = "china"
    holidays: str = ""
    workdays: str = ""

    def _check(self) -> None:
        days_of(self.zone, self.calendar, self.holidays, self.workdays)
        if not STEPS_S[0] <= self.step_s <= STEPS_S[1]:
            raise ValueError(f"step_s: {self.step_s!r} must be from 1 s to a day")
        if self.direction not in ("both", "up", "down"):
            raise ValueError(f"direction: {self.direction!r} must be both, up or down")
        if not (math.isfinite(self.min_change) and self.min_change >= 0):
            raise ValueError(f"min_change: {self.min_change!r} must be 0 or more")
        if not (math.isfinite(self.learn_s) and self.learn_s >= 12 * self.step_s):
            raise ValueError(f"learn_s: {self.learn_s!r} must be 12 steps ({12 * self.step_s:g} s) or more")
        if not 0 < self.alarms_per_month < self.chances / 10:
            most = f"{self.chances / 10:.3g}"
            raise ValueError(
                f"alarms_per_month: {self.alarms_per_month!r} must be above 0 and below {most}, a tenth of "
                "the blocks of a month; write 1 for about one a month"
            )

    @property
    def chances(self) -> float:
        """Blocks of a month, to both sides when both are watched."""
        return MONTH_S / (self.step_s * BLOCK) * (2.0 if self.direction == "both" else 1.0)

    @property
    def days(self) -> Days:
        """Hours and kinds of day of the site."""
        return days_of(self.zone, self.calendar, self.holidays, self.workdays)

    @property
    def learn(self) -> int:
        """Steps that only teach."""
        return math.ceil(self.learn_s / self.step_s)

    @property
    def rarity(self) -> float:
        """The rarity (−ln of the share of blocks) from which a step alarms."""
        return math.log(self.chances / self.alarms_per_month)

    def facts(self, rarity: float) -> Mapping[str, Any]:
        """What a finding says beside value and expectation.

        per_month: how often the series reaches as much, at most; absent for the ordinary.
        """
        if rarity <= 0:
            return {}
        return {"per_month": self.chances * math.exp(-rarity), "step_s": self.step_s}
