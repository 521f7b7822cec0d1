"""The night-flow row in plain Python; the memory of nights is `alerts.detect.night.Nights`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alerts.detect.night import DAY, ENOUGH, GONE, SLOTS, Nights
from alerts.engine.bind import Row
from alerts.rules_night_flow import NightFlow
from alerts.scalar.rows import NAN, ScalarRow
from gateway.model import Ms


class NightFlowRow(ScalarRow):
    """One meter."""

    names = ("", "H", "HH")

    def __init__(self, row: Row) -> None:
        super().__init__(row)
        assert isinstance(row.rule, NightFlow)
        rule = row.rule
        self.offset = round(rule.utc_offset_s * 1000)
        self.begin, self.end = rule.window_ms
        self.memory = Nights(rule.k, rule.h, rule.min_rise)
        self.open: int | None = None
        self.total, self.count, self.slots = 0.0, 0, 0
        self.excess, self.peak = 0.0, 0.0
        self.value, self.expected = NAN, NAN

    def take(self, role: int, t: Ms, v: float) -> None:
        """Sum up the window; what comes after it closes the night."""
        self.seen[0] = max(self.seen[0], t)
        day, time = divmod(t + self.offset, DAY)
        if self.open is not None and (day > self.open or time >= self.end):
            self._close(self.open)
            self.open = None
        if self.begin <= time < self.end:
            if self.open is None:
                self.open, self.total, self.count, self.slots = day, 0.0, 0, 0
            self.total, self.count = self.total + v, self.count + 1
            self.slots |= 1 << (time - self.begin) * SLOTS // (self.end - self.begin)

    def _close(self, day: int) -> None:
        if self.slots.bit_count() < ENOUGH:
            return
        night = self.memory.close(day, self.total / self.count)
        self.value, self.expected = night.value, night.expected
        t = day * DAY + self.end - self.offset
        if night.change > 0:
            self.excess += night.change
            self.peak = max(self.peak, self.excess)
            self.change(1 if self.level == 0 else 2, t)
        elif night.change < 0 and self.level:
            self.excess += night.change
            if self.excess <= self.peak / GONE:
                self.excess = self.peak = 0.0
                self.change(0, t)

    def shown_value(self) -> float:
        """The night's mean."""
        return self.value

    def shown_limit(self, level: int) -> float:
        """What was expected."""
        return self.expected

    def facts(self) -> Mapping[str, Any]:
        """How much has come since it began."""
        return {"rise": self.excess}
