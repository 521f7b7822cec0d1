"""Trend rules in columns: hourly means → one value a day → robust slope → when it reaches its limit.

A cheap regression looks at every row once a day; the pairwise slopes of Theil and Sen are made only for the
few rows whose regression says that something moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from alerts.engine.bind import Row
from alerts.engine.block import Block
from alerts.engine.columns import F8, I8, NEVER, Any_, Bool, Index
from alerts.engine.slope import Z80, Z95, middle, rank_below
from alerts.rules_trend import PARTS, Trend

DAY = 86_400_000
Z90 = 1.2815515655446004
"""Two-sided 80 % point of the normal distribution: the interval that a forecast is given with."""
SCREEN_T = 4.0
"""|t| from which a regression is worth a closer look."""
CHUNK = 1000
"""Rows whose pairwise slopes are made at once: 90 points have 4,005 pairs."""
LOST = 3
"""So many missing steps in a row begin a new window."""
HALF = 0.25
"""The newer half of the window must rise at this share of the whole slope at least."""
SIDES: tuple[float, float] = (-1.0, 1.0)
"""Level 1 is L, level 2 is H."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Slopes per step of rows that look upwards, and the fitted value at the last step.

    low: at least this with 80 % confidence · sure: lower end of the 95 % interval · slow, fast: 80 % interval
    · newer: slope of the newer half.
    """

    slope: F8
    low: F8
    sure: F8
    slow: F8
    fast: F8
    newer: F8
    level: F8


def screen(y: F8) -> F8:
    """Student's t of the regression of every column over its rows, NaN where a step is missing.

    The error is widened by sqrt((1+r)/(1−r)) for residuals whose neighbours correlate by r, at most 0.8.
    Sums run in order of time, so that one value at a time gives the same bits.
    """
    ok = ~np.isnan(y)
    x = np.arange(1.0 - len(y), 1.0)[:, None] * ok
    z = np.where(ok, y - y[-1], 0.0)
    n, sx, sz = (_sum(a) for a in (ok.astype(np.float64), x, z))
    sxx, sxz = _sum(x * x), _sum(x * z)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = sxx - sx * sx / n
        slope = (sxz - sx * sz / n) / spread
        e = np.where(ok, (z - sz / n) - slope * (x - sx / n), 0.0)
        see = _sum(e * e)
        near = np.clip(_sum(e[:-1] * e[1:]) / see, 0.0, 0.8)
        t: F8 = slope / np.sqrt(see / (n - 2) / spread * ((1 + near) / (1 - near)))
        certain = np.sign(slope) * np.inf
    return np.where(np.isnan(t), certain, t)


def _sum(a: F8) -> F8:
    total: F8 = np.add.accumulate(a, axis=0)[-1]
    return total


def fit(x: F8, y: F8) -> Fit:
    """Theil–Sen of rows (rows, n); `x` counts steps and ascends."""
    n = x.shape[1]
    slopes = _slopes(x, y)
    last = slopes.shape[1] - 1
    slope = middle(slopes)
    level = middle(np.sort(y - slope[:, None] * (x - x[:, -1:]), axis=1))
    newer = middle(_slopes(x[:, n // 2 :], y[:, n // 2 :]))
    wide = rank_below(n, Z90)
    return Fit(
        slope,
        slopes[:, rank_below(n, Z80)],
        slopes[:, rank_below(n, Z95)],
        slopes[:, wide],
        slopes[:, last - wide],
        newer,
        level,
    )


def _slopes(x: F8, y: F8) -> F8:
    i, j = np.triu_indices(x.shape[1], 1)
    ordered: F8 = np.sort((y[:, j] - y[:, i]) / (x[:, j] - x[:, i]), axis=1)
    return ordered


class TrendBlock(Block):
    """`means` hold the parts of the current step, `days` the values of the window, the newest last.

    step, part: where the current part lies · total, count: its sum · parts: how many means the step has ·
    usual: how many it usually has · newest: the last step in the window · turn: half-way back to where the
    trend began, NaN while there is none · back: values in a row that were behind it.
    """

    STATE = (
        *Block.STATE, "step", "part", "total", "count", "means", "parts", "usual", "days", "newest", "base",
        "streak", "turn", "back", "value", "per_day", "eta", "first", "last",
    )  # fmt: skip
    TAIL = frozenset({"days"})
    BLANK: ClassVar[Mapping[str, Any]] = {**Block.BLANK, "days": np.nan}
    LEVELS = ("", "L", "H")

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        super().__init__(rows, index)
        n = len(self.rows)
        rules = [r.rule for r in self.rows if isinstance(r.rule, Trend)]
        self._parameters(rules)
        self.step, self.newest = np.full(n, NEVER, np.int64), np.full(n, NEVER, np.int64)
        self.part, self.count = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.parts, self.usual = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.streak, self.back = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.total = np.zeros(n)
        self.means = np.full((PARTS, n), np.nan)
        self.days = np.full((int(self.depth.max(initial=1)), n), np.nan)
        self.base, self.turn = np.full(n, np.nan), np.full(n, np.nan)
        self.value, self.per_day = np.full(n, np.nan), np.full(n, np.nan)
        self.eta, self.first, self.last = (np.full(n, NEVER, np.int64) for _ in range(3))

    def _parameters(self, rules: Sequence[Trend]) -> None:
        def number(name: str) -> F8:
            return np.asarray([np.nan if getattr(r, name) is None else getattr(r, name) for r in rules])

        self.fixed = np.asarray([number("l"), number("h")]).reshape(2, -1)
        self.ratio = np.asarray([number("l_ratio"), number("h_ratio")]).reshape(2, -1)
        self.above = np.where(np.isnan(number("above")), -np.inf, number("above"))
        self.step_ms = np.asarray([round(r.step_s * 1000) for r in rules], np.int64)
        self.horizon = np.asarray([r.horizon_s / r.step_s for r in rules])
        self.depth = np.asarray([r.points for r in rules], np.int64)
        self.least = np.asarray([r.min_points for r in rules], np.int64)
        self.learn = np.asarray([r.learn_points for r in rules], np.int64)
        self.how = np.asarray([("median", "max", "min").index(r.daily) for r in rules], np.int64)

    # ── samples → means → values ──────────────────────────────────────────────────────────────────────

    def _place(self, r: I8, t: I8) -> tuple[I8, I8]:
        step = t // self.step_ms[r]
        return step, t % self.step_ms[r] * PARTS // self.step_ms[r]

    def _calm(self, r: I8, role: I8, t: I8, v: F8) -> Bool | None:
        step, part = self._place(r, t)
        calm: Bool = (step == self.step[r]) & (part == self.part[r])
        return calm

    def _pass(self, r: I8, role: I8, t: I8, v: F8) -> None:
        super()._pass(r, role, t, v)
        self._add(r, v)

    def _add(self, r: I8, v: F8) -> None:
        counts = v > self.above[r]
        np.add.at(self.total, r[counts], v[counts])
        np.add.at(self.count, r[counts], 1)

    def _step(self, r: I8, role: I8, t: I8, v: F8) -> None:
        self.seen[0, r] = np.maximum(self.seen[0, r], t)
        step, part = self._place(r, t)
        old = (step < self.step[r]) | ((step == self.step[r]) & (part < self.part[r]))
        if old.any():  # a proof was faster than this reading: its part is closed
            r, v, step, part = r[~old], v[~old], step[~old], part[~old]
        over = (step > self.step[r]) | (part > self.part[r])
        self._end_part(r[over])
        done = (step > self.step[r]) & (self.step[r] > NEVER)
        if done.any():
            self._end_step(r[done])
        self.step[r], self.part[r] = step, part
        self._add(r, v)

    def _end_part(self, r: I8) -> None:
        full = r[self.count[r] > 0]
        self.means[self.parts[full], full] = self.total[full] / self.count[full]
        self.parts[full] += 1
        self.total[r], self.count[r] = 0.0, 0

    def _end_step(self, r: I8) -> None:
        """The current step of rows is complete: its value joins the window and the trend is judged."""
        k = self.parts[r]
        valid = (k > 0) & (4 * k >= 3 * self.usual[r])
        self.usual[r] = np.maximum(k, self.usual[r] - 1)
        means = np.sort(np.where(np.arange(PARTS)[:, None] < k, self.means[:, r], np.inf), axis=0)
        at, each = np.maximum(k, 1), np.arange(len(r))
        median = (means[(at - 1) // 2, each] + means[at // 2, each]) / 2.0
        day = np.choose(self.how[r], [median, means[at - 1, each], means[0]])
        self.parts[r] = 0
        self.means[:, r] = np.nan
        self._shift(r)
        self.days[-1, r] = np.where(valid, day, np.nan)
        if valid.any():
            self._judge(r[valid])

    def _shift(self, r: I8) -> None:
        """Move the window of rows to their current step; what is missing stays NaN."""
        by = np.where(self.newest[r] > NEVER, self.step[r] - np.maximum(self.newest[r], 0), 1)
        lost = by > LOST
        self._forget(r[lost])
        for k in np.unique(by[~lost]).tolist():
            rows = r[by == k]
            self.days[:-k, rows] = self.days[k:, rows]
            self.days[-k:, rows] = np.nan
        short = self.depth[r] < len(self.days)
        if short.any():
            rows = r[short]
            old = np.arange(len(self.days))[:, None] < len(self.days) - self.depth[rows]
            self.days[:, rows] = np.where(old, np.nan, self.days[:, rows])
        self.newest[r] = self.step[r]

    def _forget(self, r: I8) -> None:
        self.days[:, r] = np.nan
        self.streak[r] = 0

    # ── values → trend ────────────────────────────────────────────────────────────────────────────────

    def limits(self, r: I8) -> F8:
        """Limits of rows, L then H; NaN where there is none, or none yet."""
        base = np.where(self.base[r] > 0, self.base[r], np.nan)
        known: F8 = np.where(np.isnan(self.fixed[:, r]), self.ratio[:, r] * base, self.fixed[:, r])
        return known

    def _judge(self, r: I8) -> None:
        have = ~np.isnan(self.days[:, r])
        n = have.sum(axis=0)
        for row in r[np.isnan(self.base[r]) & (n >= self.learn[r])].tolist():
            days = self.days[:, row]
            first = np.sort(days[~np.isnan(days)][: self.learn[row]])[None]
            self.base[row] = middle(first)[0]
        r, n = self._returned(r, n)
        enough = n >= self.least[r]
        self.streak[r[~enough]] = 0
        r, n = r[enough], n[enough]
        if not len(r):
            return
        wanted = np.zeros(len(r), np.uint8)
        t = screen(self.days[:, r])
        limits = self.limits(r)
        for side, sign in enumerate(SIDES):
            active = self.level[r] == side + 1
            look = np.flatnonzero(~np.isnan(limits[side]) & ((sign * t > SCREEN_T) | active))
            for begin in range(0, len(look), CHUNK):
                some = look[begin : begin + CHUNK]
                probable = self._probable(r[some], n[some], side, sign * t[some])
                wanted[some[probable]] = side + 1
        self._want(r, wanted)

    def _returned(self, r: I8, n: I8) -> tuple[I8, I8]:
        """End trends whose value went back; gives the rows that are still to be judged."""
        sign = np.where(self.level[r] == 1, -1.0, 1.0)
        behind = (self.level[r] > 0) & (sign * self.days[-1, r] <= sign * self.turn[r])
        self.back[r] = np.where(behind, self.back[r] + 1, 0)
        over = self.back[r] >= 2
        if over.any():
            gone = r[over]
            self.change(gone, np.zeros(len(gone), np.uint8), (self.step[gone] + 1) * self.step_ms[gone])
            self.turn[gone], self.back[gone] = np.nan, 0
            self._forget(gone)
        return r[~over], n[~over]

    def _probable(self, r: I8, n: I8, side: int, t: F8) -> Bool:
        """Whether rows will cross their limit of this side in time; also notes what a finding says."""
        sign, probable = SIDES[side], np.zeros(len(r), np.bool_)
        for k in np.unique(n).tolist():
            some = np.flatnonzero(n == k)
            rows = r[some]
            days = self.days[:, rows].T * sign
            order = np.argsort(np.isnan(days), axis=1, kind="stable")[:, :k]
            f = fit(order.astype(np.float64), np.take_along_axis(days, order, axis=1))
            missing = sign * self.limits(rows)[side] - f.level
            moves = (t[some] > SCREEN_T) & (f.sure > 0) & (f.newer >= HALF * f.slope)
            active = self.level[rows] == side + 1
            in_time = np.where(missing <= 0, moves | active, moves & (missing <= f.low * self.horizon[rows]))
            probable[some] = in_time
            self._note(rows, sign, f, missing)
            turn = sign * (f.level - f.slope * (order[:, -1] - order[:, 0]) / 2)
            self.turn[rows] = np.where(in_time & ~active, turn, self.turn[rows])
        return probable

    def _note(self, r: I8, sign: float, f: Fit, missing: F8) -> None:
        self.value[r] = sign * f.level
        self.per_day[r] = sign * f.slope * DAY / self.step_ms[r]
        end = (self.step[r] + 1) * self.step_ms[r]
        for name, slope in (("eta", f.slope), ("first", f.fast), ("last", f.slow)):
            with np.errstate(divide="ignore", invalid="ignore"):
                wait = missing / slope * self.step_ms[r]
            known = (slope > 0) & (missing > 0) & (wait < 1e14)
            getattr(self, name)[r] = np.where(known, end + np.where(known, wait, 0.0).astype(np.int64), NEVER)

    def _want(self, r: I8, wanted: Any_) -> None:
        self.streak[r] = np.where(wanted != self.level[r], self.streak[r] + 1, 0)
        turns = self.streak[r] >= 2
        rows, level = r[turns], wanted[turns]
        self.streak[rows] = 0
        self.change(rows, level, (self.step[rows] + 1) * self.step_ms[rows])
        self.turn[r] = np.where((self.level[r] == 0) & (wanted == 0), np.nan, self.turn[r])

    def _value(self, row: int) -> float:
        return float(self.value[row])

    def _limit(self, row: int, level: int) -> float:
        return float(self.limits(np.asarray([row]))[level - 1, 0])

    def _facts(self, row: int, active: bool) -> Mapping[str, Any]:
        facts: dict[str, Any] = {"per_day": float(self.per_day[row])}
        for name in ("eta", "first", "last"):
            if getattr(self, name)[row] > NEVER:
                facts[name] = int(getattr(self, name)[row])
        if not np.isnan(self.ratio[:, row]).all():
            facts["base"] = float(self.base[row])
        return facts
