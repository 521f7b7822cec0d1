"""The rule kind `cycles`: how often and how long something runs, from its contact or from a value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from alerts.rules_base import TAG_PATTERN, Rule
from alerts.rules_trend import check_sides

Measure = Literal[
    "starts", "turns", "repeats", "on_s", "off_s", "period_s", "duty", "lag_s", "rate", "inflow"
]  # fmt: skip
MEASURES: tuple[Measure, ...] = (
    "starts", "turns", "repeats", "on_s", "off_s", "period_s", "duty", "lag_s", "rate", "inflow",
)  # fmt: skip
COUNTS: frozenset[str] = frozenset({"starts", "turns", "repeats"})
"""Measures that are counted in a window; the others have one value per step."""
PAIRED: Mapping[str, str] = {
    "repeats": "the contact that makes a start an ordinary one",
    "lag_s": "the contact that goes off first",
    "rate": "the level",
    "inflow": "the level",
}
"""Measures that need a second point, and which."""
MOST, REMEMBERED = 60, 64
"""The highest count that can be a limit, and how many times are remembered."""


@dataclass(frozen=True, kw_only=True)
class Cycles(Rule):
    """Cycles of a run contact (`active`: its value that means on), or of a value that swings.

    With `swing` the tag is a value: it turns when it comes back by `swing` from its extreme, rising is on
    (`active: 0`: falling is on), and the time of the extreme counts.

    measure, counted in the last `window_s`: starts · turns (starts and stops: hunting) · repeats (starts
    since `other` was on last: a door that opens again and again without a trip). More than `h` raises, three
    quarters of it clear.

    measure, one value per `step_s` (mean of its cycles, at least `min_cycles`): on_s, off_s, period_s (start
    to start) in seconds · duty, the share of time on · lag_s, how long it stays on after `other` went off ·
    rate, of a pit with the level `other`: how fast it falls while pumping and rose before, per minute, which
    is what the pump moves whatever flows in · inflow, how fast it rose before the start. `band` is what the
    level may sway.

    The median of the last `points` values is compared with h and l; and, as h_ratio and l_ratio, with the
    mean of its own past, learned over `learn` medians, then followed with a memory of `memory` of them, of
    which those that look wrong count little. Beyond the ratio and beyond three standard deviations raises,
    half of the ratio clears. A gap drops the cycle that it falls into; what was learned stays.
    """

    kind: Literal["cycles"] = "cycles"
    measure: Measure
    active: Literal[0, 1] = 1
    swing: float | None = None
    other: str = ""
    h: float | None = None
    l: float | None = None  # noqa: E741 - the word of the trade, as in `limit`
    h_ratio: float | None = None
    l_ratio: float | None = None
    window_s: float = 3600
    step_s: float = 14_400
    points: int = 3
    min_cycles: int = 1
    learn: int = 42
    memory: int = 360
    band: float = 0.0

    def _check(self) -> None:
        if self.measure not in MEASURES:
            raise ValueError(f"measure: {self.measure!r} is unknown; known: {', '.join(MEASURES)}")
        if self.active not in (0, 1):
            raise ValueError(f"active: {self.active!r} must be 0 or 1")
        check_sides(self.h, self.l, self.h_ratio, self.l_ratio)
        for name in ("window_s", "step_s", "swing"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: {value!r} must be above 0")
        if not (math.isfinite(self.band) and self.band >= 0):
            raise ValueError(f"band: {self.band!r} must be 0 or more")
        self._check_other()
        self._check_numbers()

    def _check_other(self) -> None:
        needs = PAIRED.get(self.measure)
        if needs and not TAG_PATTERN.fullmatch(self.other):
            raise ValueError(f"other: {self.measure} needs a second point: {needs}")
        if not needs and self.other:
            raise ValueError(f"other: {self.measure} looks at one point only")
        if self.other.count("*") > self.tag.count("*"):
            raise ValueError("other: a * stands for what the * of the tag matched; the tag has fewer")

    def _check_numbers(self) -> None:
        if self.measure in COUNTS:
            if self.h is None or self.l is not None or self.l_ratio is not None:
                raise ValueError(f"h: {self.measure} is counted against h alone")
            if not 1 <= self.h <= MOST:
                raise ValueError(f"h: {self.h:g} is not in 1…{MOST}")
        if not 1 <= self.points <= 24:
            raise ValueError(f"points: {self.points} is not in 1…24")
        if self.min_cycles < 1 or self.learn < 2 or self.memory < self.learn:
            raise ValueError("memory: write min_cycles ≥ 1, learn ≥ 2 and memory ≥ learn")

    @property
    def tags(self) -> tuple[str, ...]:
        """The point, and the second one if there is one."""
        return (self.tag, self.other) if self.other else (self.tag,)
