"""Baseline rows one value at a time: means of steps, judged by `alerts.detect`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alerts.detect.baseline import HUGE
from alerts.detect.baseline import Baseline as Series
from alerts.detect.episodes import Episodes
from alerts.engine.bind import Row
from alerts.rules_baseline import CALM, Baseline
from alerts.scalar.rows import NAN, NEVER, ScalarRow
from gateway.model import Ms


class BaselineRow(ScalarRow):
    """Level 1: unusual."""

    def __init__(self, row: Row) -> None:
        super().__init__(row)
        assert isinstance(row.rule, Baseline)
        self.rule = row.rule
        self.step = round(row.rule.step_s * 1000)
        self.series, self.episodes = Series(self.step), Episodes()
        self.days = row.rule.days
        self.bucket: Ms = NEVER
        self.total, self.count = 0.0, 0
        self.calm = 0
        self.value, self.expected, self.rarity = NAN, NAN, 0.0

    def take(self, role: int, t: Ms, v: float) -> None:
        """A sample of a later step closes the step before; how long it lay back is of no matter."""
        self.seen[0] = max(self.seen[0], t)
        v = max(-HUGE, min(HUGE, v))
        bucket = t // self.step
        if bucket > self.bucket:
            if self.count:
                self._judge((self.bucket + 1) * self.step, self.total / self.count)
            self.bucket, self.total, self.count = bucket, v, 1
        elif bucket == self.bucket:
            self.total += v
            self.count += 1

    def _judge(self, end: Ms, mean: float) -> None:
        """The hour is that of the step's beginning."""
        begin = end - self.step
        judged = self.series.take(begin, mean, self.days.slot(begin), sure=self.days.sure(begin))
        wanted = self.rule.direction in ("both", "up" if judged.z > 0 else "down")
        enough = abs(mean - judged.expected) >= self.rule.min_change
        rarity = judged.rarity if wanted and enough else 0.0
        news = self.episodes.new(end, rarity)
        self.calm = 0 if rarity > 0 else min(self.calm + 1, CALM)
        raised = not self.level and news and rarity >= self.rule.rarity and self.series.seen > self.rule.learn
        over = self.level > 0 and self.calm >= CALM
        if raised or over:
            self.value, self.expected, self.rarity = mean, judged.expected, rarity
            self.change(int(raised), end)

    def shown_value(self) -> float:
        """The mean of the step."""
        return self.value

    def shown_limit(self, level: int) -> float:
        """What was expected."""
        return self.expected

    def facts(self) -> Mapping[str, Any]:
        """How often as much may be expected."""
        return self.rule.facts(self.rarity)
