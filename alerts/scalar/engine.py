"""The engine one reading at a time; the same contract as `alerts.engine.Engine`."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from alerts.engine.bind import PointInfo, bind
from alerts.rules import NoData, Rule
from alerts.scalar.baseline import BaselineRow
from alerts.scalar.counter import CounterRow
from alerts.scalar.cycles import CyclesRow
from alerts.scalar.night_flow import NightFlowRow
from alerts.scalar.residual import ResidualRow
from alerts.scalar.rows import (
    NAN,
    NEVER,
    BadRow,
    CombineRow,
    DigitalRow,
    LimitRow,
    RateRow,
    ScalarRow,
    SilentRow,
    StuckRow,
)
from alerts.scalar.shift import ShiftRow
from alerts.scalar.slope import SlopeRow
from alerts.scalar.trend import TrendRow
from gateway.model import Finding, Level, Ms, Samples

ROWS: Mapping[str, type[ScalarRow]] = {
    "limit": LimitRow,
    "digital": DigitalRow,
    "rate": RateRow,
    "no_data": SilentRow,
    "bad": BadRow,
    "stuck": StuckRow,
    "slope": SlopeRow,
    "shift": ShiftRow,
    "combine": CombineRow,
    "night_flow": NightFlowRow,
    "residual": ResidualRow,
    "baseline": BaselineRow,
    "trend": TrendRow,
    "cycles": CyclesRow,
    "counter": CounterRow,
}


class ScalarEngine:
    """All rows of all rules, each an object."""

    def __init__(self, rules: Iterable[Rule], points: Sequence[PointInfo], start: Ms | None = None) -> None:
        self.rules = tuple(rules)
        self.counts: Counter[str] = Counter()
        self.points: dict[int, PointInfo] = {}
        self.rows: dict[tuple[str, str], ScalarRow] = {}
        self.newest: dict[int, Ms] = {}
        self.bad: dict[int, bool] = {}
        self.value: dict[int, float] = {}
        self.add_points(points, start)

    def add_points(self, points: Sequence[PointInfo], start: Ms | None = None) -> None:
        """Points appear; rows that exist keep their state."""
        self.points |= {p.series: p for p in points}
        self.links: dict[int, list[tuple[ScalarRow, int]]] = defaultdict(list)
        for row in bind(self.rules, list(self.points.values())):
            watch_bad = isinstance(row.rule, NoData) and row.rule.watch == "bad"
            own = self.rows.setdefault(row.key, ROWS["bad" if watch_bad else row.rule.kind](row))
            own.row = row
            for role, series in enumerate(row.inputs):
                self.links[series].append((own, role))
            if start is not None:
                own.start(start)
        for series in self.points:
            self.newest.setdefault(series, NEVER)
            self.bad.setdefault(series, False)
            self.value.setdefault(series, NAN)

    def process(self, samples: Samples) -> list[Finding]:
        """Feed readings in order of (time, arrival)."""
        columns = (samples.series.tolist(), samples.t.tolist(), samples.v.tolist(), samples.q.tolist())
        for series, t, v, q in sorted(zip(*columns, strict=True), key=lambda s: s[1]):
            if series not in self.points:
                self.counts["unknown"] += 1
            elif t <= self.newest[series]:
                self.counts["duplicate" if t == self.newest[series] else "late"] += 1
            else:
                bad = q >> 5 >= Level.STALE or not math.isfinite(v)
                self.counts["bad" if bad else "fed"] += 1
                self.newest[series], self.bad[series] = t, bad
                if not bad:
                    self.value[series] = v
                self._feed(series, t, v, bad)
        return self._take()

    def prove(self, series: Iterable[int], t: Ms) -> list[Finding]:
        """The last reading of each series once more at `t`."""
        for s in sorted(set(series) & set(self.points)):
            if NEVER < self.newest[s] < t:
                self._feed(s, t, self.value[s], self.bad[s])
        return self._take()

    def _feed(self, series: int, t: Ms, v: float, bad: bool) -> None:
        for row, role in self.links[series]:
            if isinstance(row, BadRow):
                row.take(role, t, float(bad))
            elif not bad:
                row.take(role, t, v)

    def tick(self, t: Ms, series: Iterable[int] | None = None, *, now: Ms | None = None) -> list[Finding]:
        """Time passes for rows whose first input is among the series."""
        wanted = None if series is None else set(series)
        for row in self.rows.values():
            if wanted is None or row.row.inputs[0] in wanted:
                row.tick(t, t if now is None else now)
        return self._take()

    def _take(self) -> list[Finding]:
        found: list[Finding] = []
        for row in self.rows.values():
            found += row.out
            row.out = []
        return sorted(found, key=lambda f: (f.t, f.rule, f.point))
