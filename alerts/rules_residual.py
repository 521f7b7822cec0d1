"""The rule kind `residual`: a channel that does not fit the others of its asset."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from alerts.rules_base import TAG_PATTERN, Rule

OTHERS = 6
"""Other channels that one rule may look at."""


@dataclass(frozen=True, kw_only=True)
class Residual(Rule):
    """A value that is not what the other channels of its asset say it should be.

    Means over `step_s` of the point and of `others` (tags with `|` between; a `*` stands for what it matched
    in `tag`; those that an asset lacks are left out, and it needs one of them; none given: the point is
    compared with its own level). A step counts when all of them were proven and `gate` (the first of these
    tags that the asset has) was above `gate_above` all the time.

    The first `fit_s` of such time are learned: two thirds give a ridge regression, the last third how far
    its smoothed error goes where it had not seen the data; then a regression over all of it. From then on
    the error, smoothed over `smooth_s`, raises beyond `k` times that and `min_change`, twice in a row, and
    ends within half of it, twice in a row. Its zero follows a slow drift within `follow_s` while it is well
    inside. What was there while it learned counts as healthy; raise `epoch` to learn anew, after a repair.
    """

    kind: Literal["residual"] = "residual"
    others: str = ""
    gate: str = ""
    gate_above: float = 0.5
    step_s: float = 60.0
    fit_s: float = 259_200.0
    smooth_s: float = 900.0
    follow_s: float = 21_600.0
    k: float = 7.0
    min_change: float = 0.0
    epoch: int = 0

    def _check(self) -> None:
        for name in ("step_s", "fit_s", "smooth_s", "follow_s", "k"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name}: {value!r} must be above 0")
        if not (math.isfinite(self.min_change) and self.min_change >= 0):
            raise ValueError(f"min_change: {self.min_change!r} must be 0 or more")
        if not math.isfinite(self.gate_above):
            raise ValueError(f"gate_above: {self.gate_above!r} cannot be compared with")
        for name in ("others", "gate"):
            for tag in getattr(self, name).split("|"):
                if tag and (not TAG_PATTERN.fullmatch(tag) or set("?[]") & set(tag)):
                    raise ValueError(f"{name}: {tag!r} is no tag; write single tags with | between")
        if len(self.other_tags) > OTHERS:
            raise ValueError(f"others: {len(self.other_tags)} channels; possible are {OTHERS}")
        if self.fit_steps < 30 + 8 * len(self.other_tags):
            least = (30 + 8 * len(self.other_tags)) * self.step_s
            raise ValueError(f"fit_s: too short for {len(self.other_tags)} others; write {least:g} or more")

    @property
    def other_tags(self) -> tuple[str, ...]:
        """As written."""
        return tuple(t for t in self.others.split("|") if t)

    @property
    def gate_tags(self) -> tuple[str, ...]:
        """As written, the first one that exists counts."""
        return tuple(t for t in self.gate.split("|") if t)

    @property
    def tags(self) -> tuple[str, ...]:
        """The point, then everything else that is looked at."""
        return (self.tag, *self.other_tags, *self.gate_tags)

    @property
    def fit_steps(self) -> int:
        """Steps that are learned."""
        return int(self.fit_s // self.step_s)
