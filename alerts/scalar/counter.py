"""The counter row in plain Python."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from alerts.engine.bind import Row
from alerts.rules_counter import Counter
from alerts.scalar.rows import NAN, DelayRow
from gateway.model import Ms

HOUR = 3_600_000


class CounterRow(DelayRow):
    """A register that must not fall back or jump."""

    def __init__(self, row: Row) -> None:
        super().__init__(row)
        assert isinstance(row.rule, Counter)
        self.rule = row.rule
        self.on_ms, self.off_ms = [0], round(row.rule.hold_s * 1000)
        self.moved = NAN

    def take(self, role: int, t: Ms, v: float) -> None:
        """Compare with the last value."""
        since = max(self.seen[0], 0)
        self.begin(role, t)
        on = False
        if not math.isnan(self.value):
            moved = v - self.value
            may = self.rule.max_per_h * (max(t - since, HOUR) / HOUR)
            over = self.rule.capacity > 0 and moved + self.rule.capacity <= may
            on = moved > may or (moved < 0 and not over)
            if on:
                self.moved = moved
        self.value = v
        self.finish(role, t, [on], [not on], on, t)

    def shown_limit(self, level: int) -> float:
        """What it may count in an hour."""
        return self.rule.max_per_h

    def facts(self) -> Mapping[str, Any]:
        """By how much it moved."""
        return {"moved": self.moved}
