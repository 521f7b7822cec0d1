"""The rule kind `counter`: a register that falls back or jumps ahead."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from alerts.rules_base import Rule


@dataclass(frozen=True, kw_only=True)
class Counter(Rule):
    """A register that only counts up, and what it must not do.

    Falling back is a reset or another meter, unless the register has `capacity` (the value at which it begins
    at 0 again) and the way over it is no longer than `max_per_h` allows since the old value was last proven
    (at least for an hour, so that one late reading is no jump). Counting more than that is a jump. The
    condition holds for `hold_s`. A gap is no excuse: the old value stays what the next one is compared with.
    """

    kind: Literal["counter"] = "counter"
    max_per_h: float
    capacity: float = 0.0
    hold_s: float = 3600

    def _check(self) -> None:
        if not (math.isfinite(self.max_per_h) and self.max_per_h > 0):
            raise ValueError(f"max_per_h: {self.max_per_h!r} must be above 0")
        if not (math.isfinite(self.capacity) and self.capacity >= 0):
            raise ValueError(f"capacity: {self.capacity!r} must be 0 (none) or more")
        if not (math.isfinite(self.hold_s) and self.hold_s > 0):
            raise ValueError(f"hold_s: {self.hold_s!r} must be above 0")
