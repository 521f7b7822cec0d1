"""The shift rule: a value that leaves its own past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alerts.rules_base import Rule
from alerts.rules_kinds import not_negative, positive


@dataclass(frozen=True, kw_only=True)
class Shift(Rule):
    """A value whose mean has moved away from what it was, slowly or at once, and stays away.

    The baseline is an exponentially weighted mean and variance with time constant `tau_s` (Roberts 1959).
    The mean over each `step_s` is judged as z = (mean − baseline) / deviation; a two-sided CUSUM of z with
    reference `k` and limit `h` (Page 1954) raises; z is winsorised at `winsor`, so no single value does.
    With `z`, |z| beyond it raises at once. `null` switches one of the two off. The deviation is at least
    `min_sd` (without it: 1 % of the baseline; a series that has never left 0 is not judged).

    The means of days hide the hours, the week makes no sum that reaches `h`, and neighbours hardly resemble
    each other: a false alarm in 60 years of a series. step_s 0 judges every reading; readings seconds apart
    do resemble their neighbours, and the textbook's limits then raise every half minute.

    Nothing is judged before `warmup` values are known. While it holds, nothing is learnt: a fault does not
    become the usual. It is over when a CUSUM the other way reaches a quarter of `h`, or after `relearn_s`,
    when the new level is taken for the usual one. A gap keeps the baseline and the sums; a step with a gap
    in it is not judged.
    """

    kind: Literal["shift"] = "shift"
    tau_s: float = 28 * 86_400.0
    step_s: float = 86_400.0
    z: float | None = None
    k: float = 0.5
    h: float | None = 10.0
    winsor: float = 4.0
    warmup: int = 14
    min_sd: float | None = None
    direction: Literal["both", "up", "down"] = "both"
    relearn_s: float = 28 * 86_400.0

    def _check(self) -> None:
        positive(tau_s=self.tau_s, z=self.z, h=self.h, winsor=self.winsor, relearn_s=self.relearn_s)
        not_negative(step_s=self.step_s, k=self.k, min_sd=self.min_sd)
        if self.z is None and self.h is None:
            raise ValueError("z: with neither z nor h there is nothing to judge by")
        if self.winsor <= self.k:
            raise ValueError(f"winsor: {self.winsor:g} must be above k ({self.k:g}), or no sum can grow")
        if self.warmup < 5:
            raise ValueError(f"warmup: {self.warmup} values are no past; write 5 or more")
        if self.direction not in ("both", "up", "down"):
            raise ValueError(f"direction: {self.direction!r} must be both, up or down")

    @property
    def back(self) -> float:
        """What the sum the other way must reach for the end."""
        return (self.h or 10.0) / 4
