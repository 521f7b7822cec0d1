"""Cycle rules in columns: transitions of a contact or turns of a value, and what is measured on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from alerts.engine.bind import Row
from alerts.engine.block import Block
from alerts.engine.columns import F8, I8, NEVER, Bool, Index
from alerts.engine.slope import middle
from alerts.rules_cycles import COUNTS, MEASURES, REMEMBERED, Cycles

SURE = 3.0
"""Standard deviations that a comparison with the own past needs beside its ratio."""
AGAIN = 0.75
"""Share of a count's limit at which it is over; a limit of a step's value is over 10 % inside."""
INSIDE = 0.1
LEAST_MS = 5000
"""A level's rise or fall over less than this says nothing about its speed."""


def code(name: str) -> int:
    """Position of a measure in MEASURES."""
    return [str(m) for m in MEASURES].index(name)


class CyclesBlock(Block):
    """Role 0 is the contact or value, role 1 the second point.

    on: 1, 0, or −1 while unknown · since: when that began · began: the last start · high, low with their
    times: extremes since the last turn · times: of what is counted, the newest last · step, total, count: the
    values of the current step · on_ms, known_ms up to mark: for duty · recent: values of the last steps,
    `newest` the last of them · mean, var, learned: the own past · pair: the second contact (−1 unknown),
    pair_off: when it went off · lv at lv_t: the second level; floor: lowest since the stop, low2 at low2_t:
    last time near it; fill: speed of the last rise; top at top_t: the level at the start.
    """

    STATE = (
        *Block.STATE, "on", "since", "began", "high", "low", "high_t", "low_t", "times", "step", "total",
        "count", "on_ms", "known_ms", "mark", "recent", "newest", "mean", "var", "learned", "value", "pair",
        "pair_off", "lv", "lv_t", "floor", "low2", "low2_t", "fill", "top", "top_t",
    )  # fmt: skip
    TAIL = frozenset({"times", "recent"})
    BLANK: ClassVar[Mapping[str, Any]] = {**Block.BLANK, "times": NEVER, "recent": np.nan}
    LEVELS = ("", "L", "H")

    def __init__(self, rows: Sequence[Row], index: Index) -> None:
        super().__init__(rows, index)
        n = len(self.rows)
        self._parameters([r.rule for r in self.rows if isinstance(r.rule, Cycles)])
        for name in ("since", "began", "high_t", "low_t", "step", "mark", "newest", "pair_off"):
            setattr(self, name, np.full(n, NEVER, np.int64))
        for name in ("lv_t", "low2_t", "top_t"):
            setattr(self, name, np.full(n, NEVER, np.int64))
        for name in ("high", "low", "value", "lv", "floor", "low2", "fill", "top"):
            setattr(self, name, np.full(n, np.nan))
        for name in ("total", "mean", "var"):
            setattr(self, name, np.zeros(n))
        for name in ("count", "on_ms", "known_ms", "learned"):
            setattr(self, name, np.zeros(n, np.int64))
        self.on, self.pair = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
        self.times = np.full((self.size, n), NEVER, np.int64)
        self.recent = np.full((int(self.points.max(initial=1)), n), np.nan)

    since: I8
    began: I8
    high: F8
    low: F8
    high_t: I8
    low_t: I8
    step: I8
    total: F8
    count: I8
    on_ms: I8
    known_ms: I8
    mark: I8
    newest: I8
    mean: F8
    var: F8
    learned: I8
    value: F8
    pair_off: I8
    lv: F8
    lv_t: I8
    floor: F8
    low2: F8
    low2_t: I8
    fill: F8
    top: F8
    top_t: I8

    def _parameters(self, rules: Sequence[Cycles]) -> None:
        def number(name: str, instead: float = np.nan) -> F8:
            return np.asarray([instead if getattr(r, name) is None else getattr(r, name) for r in rules])

        self.fixed = np.asarray([number("l"), number("h")]).reshape(2, -1)
        self.ratio = np.asarray([number("l_ratio"), number("h_ratio")]).reshape(2, -1)
        self.swing = number("swing", 0.0)
        self.band = number("band")
        self.active = np.asarray([r.active for r in rules], np.int64)
        self.what = np.asarray([code(r.measure) for r in rules], np.int64)
        self.counts = np.asarray([r.measure in COUNTS for r in rules], np.bool_)
        self.window = np.asarray([round(r.window_s * 1000) for r in rules], np.int64)
        self.step_ms = np.asarray([round(r.step_s * 1000) for r in rules], np.int64)
        self.points = np.asarray([r.points for r in rules], np.int64)
        self.least = np.asarray([r.min_cycles for r in rules], np.int64)
        self.learn = np.asarray([r.learn for r in rules], np.int64)
        self.memory = np.asarray([float(r.memory) for r in rules])
        self.size = REMEMBERED if self.counts.any() else 1

    # ── samples ───────────────────────────────────────────────────────────────────────────────────────

    def _calm(self, r: I8, role: I8, t: I8, v: F8) -> Bool | None:
        main, what, on = role == 0, self.what[r], self.on[r]
        plain = ((v != 0) == self.active[r]) == on
        up = on == self.active[r]
        turns = np.where(up, v <= self.high[r] - self.swing[r], v >= self.low[r] + self.swing[r])
        inside = (v >= self.low[r]) & (v <= self.high[r]) & ~turns & (on >= 0)
        same = np.where(self.swing[r] > 0, inside, plain) & (t // self.step_ms[r] == self.step[r])
        paired = ((v != 0) == self.pair[r]) & ((what == code("lag_s")) | (what == code("repeats")))
        quiet = (self.level[r] == 0) & (t - self.seen[role, r] <= self.gap[role, r])
        calm: Bool = np.where(main, same, paired) & quiet & (what != code("duty"))
        return calm

    def _step(self, r: I8, role: I8, t: I8, v: F8) -> None:
        before = self.seen[role, r]
        gapped = t - before > self.gap[role, r]
        self.seen[role, r] = np.maximum(before, t)
        main = role == 0
        if not main.all():
            self._second(r[~main], t[~main], v[~main], gapped[~main])
        if main.any():
            self._first(r[main], t[main], v[main], gapped[main], before[main])

    def _first(self, r: I8, t: I8, v: F8, gapped: Bool, before: I8) -> None:
        self._clock(r, t, np.where(gapped, before, t))
        lost = r[gapped]
        self.on[lost], self.since[lost], self.began[lost] = -1, NEVER, NEVER
        self.top_t[lost], self.fill[lost] = NEVER, np.nan
        swings = gapped & (self.swing[r] > 0)
        self._restart(r[swings], t[swings], v[swings])
        on, when = self._phase(r, t, v)
        was = self.on[r]
        fresh = (was < 0) & (self.swing[r] > 0)  # a value that swung has turned; a contact may have been on
        start, stop = ((was == 0) | fresh) & (on == 1), ((was == 1) | fresh) & (on == 0)
        self._measure(r, start, stop, when)
        self._remember(r, start, stop, t)
        turned = start | stop
        self.since[r[turned]] = when[turned]
        self.began[r[start]] = when[start]
        self._mark_levels(r, start, stop)
        self.on[r] = on
        counted = self.counts[r]
        if counted.any():
            self._count(r[counted], t[counted])

    def _phase(self, r: I8, t: I8, v: F8) -> tuple[I8, I8]:
        """On or off (−1 unknown) after these samples, and when the last change happened."""
        contact = self.swing[r] == 0
        up = np.where(self.on[r] < 0, -1, (self.on[r] == self.active[r]).astype(np.int64))
        higher, lower = ~contact & (v > self.high[r]), ~contact & (v < self.low[r])
        self.high_t[r], self.low_t[r] = np.where(higher, t, self.high_t[r]), np.where(lower, t, self.low_t[r])
        self.high[r], self.low[r] = np.where(higher, v, self.high[r]), np.where(lower, v, self.low[r])
        rises = (up != 1) & (v >= self.low[r] + self.swing[r])
        falls = ~rises & (up != 0) & (v <= self.high[r] - self.swing[r])
        when = np.where(rises, self.low_t[r], self.high_t[r])
        moved = (rises | falls) & ~contact
        self._restart(r[moved], t[moved], v[moved])
        up = np.where(rises, 1, np.where(falls, 0, up))
        swung = np.where(up < 0, -1, (up == self.active[r]).astype(np.int64))
        plain = ((v != 0) == self.active[r]).astype(np.int64)
        return np.where(contact, plain, swung), np.where(contact, t, when)

    def _restart(self, r: I8, t: I8, v: F8) -> None:
        """Extremes count from here."""
        self.high[r], self.low[r], self.high_t[r], self.low_t[r] = v, v, t, t

    def _second(self, r: I8, t: I8, v: F8, gapped: Bool) -> None:
        """The second point: a contact for lag and repeats, a level for rate and inflow."""
        level = (self.what[r] == code("rate")) | (self.what[r] == code("inflow"))
        if level.any():
            self._see_level(r[level], t[level], v[level], gapped[level])
        if not level.all():
            self._see_contact(r[~level], t[~level], v[~level], gapped[~level])

    def _see_contact(self, r: I8, t: I8, v: F8, gapped: Bool) -> None:
        on = (v != 0).astype(np.int64)
        went = ~gapped & (self.pair[r] == 1) & (on == 0)
        self.pair_off[r] = np.where(went, t, np.where(gapped | (on == 1), NEVER, self.pair_off[r]))
        self.pair[r] = on
        again = (self.what[r] == code("repeats")) & (on == 1)
        self.times[:, r[again]] = NEVER

    def _see_level(self, r: I8, t: I8, v: F8, gapped: Bool) -> None:
        fresh = gapped | np.isnan(self.floor[r])
        self.top_t[r] = np.where(gapped, NEVER, self.top_t[r])
        self.floor[r] = np.where(fresh | (v < self.floor[r]), v, self.floor[r])
        near = v <= self.floor[r] + self.band[r]
        self.low2[r], self.low2_t[r] = np.where(near, v, self.low2[r]), np.where(near, t, self.low2_t[r])
        self.lv[r], self.lv_t[r] = v, t

    # ── what is measured ──────────────────────────────────────────────────────────────────────────────

    def _measure(self, r: I8, start: Bool, stop: Bool, when: I8) -> None:
        """Add the value that a start or a stop completes, if its cycle is known from its beginning."""
        what, value = self.what[r], np.full(len(r), np.nan)
        held = np.where(self.since[r] > NEVER, (when - np.maximum(self.since[r], 0)) / 1000, np.nan)
        cycle = np.where(self.began[r] > NEVER, (when - np.maximum(self.began[r], 0)) / 1000, np.nan)
        off = np.maximum(self.pair_off[r], 0)
        after = np.where((self.pair_off[r] > NEVER) & (off >= self.since[r]), (when - off) / 1000, np.nan)
        lag = np.where(self.since[r] > NEVER, np.where(self.pair[r] == 1, 0.0, after), np.nan)
        fill = self._speed(r, self.low2[r], self.low2_t[r])
        fall = -self._speed(r, self.top[r], self.top_t[r])
        for name, at, x in (
            ("on_s", stop, held), ("off_s", start, held), ("period_s", start, cycle), ("lag_s", stop, lag),
            ("rate", stop, fall + self.fill[r]), ("inflow", start, fill),
        ):  # fmt: skip
            value = np.where((what == code(name)) & at, x, value)
        full = ~np.isnan(value)
        self.total[r[full]] += value[full]
        self.count[r[full]] += 1
        self.fill[r] = np.where(start, fill, self.fill[r])

    def _speed(self, r: I8, then: F8, then_t: I8) -> F8:
        """How fast the level moved since then, per minute; NaN where that is unknown."""
        known = (then_t > NEVER) & (self.lv_t[r] - np.maximum(then_t, 0) >= LEAST_MS)
        took = np.where(known, self.lv_t[r] - np.maximum(then_t, 0), 1)
        return np.where(known, (self.lv[r] - then) / (took / 60_000), np.nan)

    def _mark_levels(self, r: I8, start: Bool, stop: Bool) -> None:
        a, b = r[start], r[stop]
        self.top[a], self.top_t[a] = self.lv[a], self.lv_t[a]
        self.floor[b] = self.low2[b] = self.lv[b]
        self.low2_t[b] = self.lv_t[b]

    def _remember(self, r: I8, start: Bool, stop: Bool, t: I8) -> None:
        push = self.counts[r] & (start | (stop & (self.what[r] == code("turns"))))
        push &= (self.what[r] != code("repeats")) | (self.pair[r] != 1)
        rows = r[push]
        self.times[:-1, rows] = self.times[1:, rows]
        self.times[-1, rows] = t[push]

    def _count(self, r: I8, t: I8) -> None:
        n = (self.times[:, r] > t - self.window[r]).sum(axis=0).astype(np.float64)
        limit = self.fixed[1, r]
        on = (n > limit) | ((self.level[r] > 0) & (n > AGAIN * limit))
        self.value[r] = np.where(on | (self.level[r] > 0), n, self.value[r])
        self.change(r, np.where(on, 2, 0).astype(np.uint8), t)

    # ── steps ─────────────────────────────────────────────────────────────────────────────────────────

    def _clock(self, r: I8, t: I8, upto: I8) -> None:
        """Close the step of rows whose sample lies in a newer one; count time on up to `upto`."""
        step, old = t // self.step_ms[r], self.step[r]
        newer = (step > old) & (old > NEVER)
        if newer.any():
            rows = r[newer]
            edge = (old[newer] + 1) * self.step_ms[rows]
            self._account(rows, np.minimum(upto[newer], edge))
            self._end_step(rows)
            later = np.minimum(upto[newer], step[newer] * self.step_ms[rows])
            self.mark[rows] = np.where(self.mark[rows] > NEVER, later, NEVER)
        self._account(r, upto)
        self.mark[r] = np.where(self.what[r] == code("duty"), np.maximum(self.mark[r], t), NEVER)
        self.step[r] = np.maximum(old, step)

    def _account(self, r: I8, upto: I8) -> None:
        """Count the time since `mark`; it is only kept for duty."""
        past = np.where(self.mark[r] > NEVER, upto - np.maximum(self.mark[r], 0), 0)
        past = np.maximum(past, 0)
        self.known_ms[r] += np.where(self.on[r] >= 0, past, 0)
        self.on_ms[r] += np.where(self.on[r] == 1, past, 0)

    def _end_step(self, r: I8) -> None:
        duty = (self.what[r] == code("duty")) & (2 * self.known_ms[r] >= self.step_ms[r])
        some = ~self.counts[r] & (self.count[r] >= self.least[r])
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.where(duty, self.on_ms[r] / self.known_ms[r], self.total[r] / self.count[r])
        self.total[r], self.count[r], self.on_ms[r], self.known_ms[r] = 0.0, 0, 0, 0
        good = duty | some
        r, value = r[good], value[good]
        if not len(r):
            return
        stale = self.step[r] - np.maximum(self.newest[r], 0) > 2 * self.points[r]
        self.recent[:, r[stale]] = np.nan
        self.recent[:-1, r] = self.recent[1:, r]
        self.recent[-1, r] = value
        self.newest[r] = self.step[r]
        for k in np.unique(self.points[r]).tolist():
            rows = r[self.points[r] == k]
            last = self.recent[-k:, rows]
            full = ~np.isnan(last).any(axis=0)
            stat = middle(np.sort(last[:, full].T, axis=1))
            self._judge(rows[full], stat)
            self._learn(rows[full], stat)

    def _judge(self, r: I8, stat: F8) -> None:
        mean = self.mean[r]
        known = (self.learned[r] >= self.learn[r]) & (mean > 0)
        clear = SURE * np.sqrt(self.var[r])
        wanted = np.zeros(len(r), np.uint8)
        for side, sign in enumerate((-1.0, 1.0)):
            active = self.level[r] == side + 1
            fixed = self.fixed[side, r]
            inner = fixed - sign * INSIDE * np.abs(fixed)
            on = sign * stat > sign * np.where(active, inner, fixed)
            far = sign * (self.ratio[side, r] - 1) * mean
            beyond = known & (sign * (stat - mean) >= np.where(active, 0.5, 1.0) * far)
            on |= beyond & (active | (np.abs(stat - mean) >= clear))
            wanted = np.where(on, np.uint8(side + 1), wanted)
        self.value[r] = stat
        self.change(r, wanted, (self.step[r] + 1) * self.step_ms[r])

    def _learn(self, r: I8, value: F8) -> None:
        """The own past takes part of what was judged; of one that looks wrong, a quarter, up to the ratio."""
        mean = self.mean[r]
        weight = np.maximum(1.0 / (self.learned[r] + 1), 1.0 / self.memory[r])
        far = [sign * (self.ratio[side, r] - 1) * mean for side, sign in enumerate((-1.0, 1.0))]
        odd = (value - mean >= 0.5 * far[1]) | (mean - value >= 0.5 * far[0])
        known = self.learned[r] >= self.learn[r]
        weight = np.where((odd & known) | (self.level[r] > 0), weight / 4, weight)
        off = value - mean
        off = np.where(known & (off > far[1]), far[1], off)
        off = np.where(known & (-off > far[0]), -far[0], off)
        self.mean[r] = mean + weight * off
        self.var[r] = (1 - weight) * (self.var[r] + weight * off * off)
        self.learned[r] += 1

    # ── what is said ──────────────────────────────────────────────────────────────────────────────────

    def limits(self, r: I8) -> F8:
        """Limits of rows, L then H; NaN where there is none."""
        return np.where(np.isnan(self.fixed[:, r]), self.ratio[:, r] * self.mean[r], self.fixed[:, r])

    def _value(self, row: int) -> float:
        return float(self.value[row])

    def _limit(self, row: int, level: int) -> float:
        return float(self.limits(np.asarray([row]))[level - 1, 0])

    def _facts(self, row: int, active: bool) -> Mapping[str, Any]:
        if np.isnan(self.ratio[:, row]).all():
            return {}
        return {"usual": float(self.mean[row])}
