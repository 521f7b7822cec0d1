"""The cycles row in plain Python."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from alerts.engine.bind import Row
from alerts.rules_cycles import COUNTS, REMEMBERED, Cycles
from alerts.scalar.rows import NAN, NEVER, ScalarRow
from alerts.scalar.slope import median
from gateway.model import Ms


class CyclesRow(ScalarRow):
    """A contact or a swinging value, and what its cycles measure."""

    names = ("", "L", "H")

    def __init__(self, row: Row) -> None:
        super().__init__(row)
        assert isinstance(row.rule, Cycles)
        self.rule = row.rule
        self.step_ms, self.window = round(row.rule.step_s * 1000), round(row.rule.window_s * 1000)
        self.on: bool | None = None
        self.since: Ms = NEVER
        self.began: Ms = NEVER
        self.high, self.low = (NAN, NEVER), (NAN, NEVER)
        self.times: list[Ms] = []
        self.step: Ms = NEVER
        self.cycles: tuple[float, int] = (0.0, 0)
        self.on_ms, self.known_ms, self.mark = 0, 0, NEVER
        self.recent: list[float] = []
        self.newest: Ms = NEVER
        self.mean, self.var, self.learned = 0.0, 0.0, 0
        self.value = NAN
        self.pair: bool | None = None
        self.pair_off: Ms = NEVER
        self.lv, self.floor = (NAN, NEVER), NAN
        self.low2, self.top = (NAN, NEVER), (NAN, NEVER)
        self.fill = NAN

    # ── samples ───────────────────────────────────────────────────────────────────────────────────────

    def take(self, role: int, t: Ms, v: float) -> None:
        """Role 0 is the contact or value, role 1 the second point."""
        before, gapped = self.seen[role], self.gapped(role, t)
        self.seen[role] = max(before, t)
        if role == 1:
            if self.rule.measure in ("rate", "inflow"):
                self._see_level(t, v, gapped)
            else:
                self._see_contact(t, v != 0, gapped)
            return
        self._clock(t, before if gapped else t)
        if gapped:
            self.on, self.since, self.began = None, NEVER, NEVER
            self.top, self.fill = (self.top[0], NEVER), NAN
            self.high = self.low = (v, t)
        on, when = self._phase(t, v)
        known = self.on is not None or self.rule.swing is not None
        if known and on is not None and on != self.on:
            self._turn(on, when, t)
        self.on = on
        if self.rule.measure in COUNTS:
            self._count(t)

    def _phase(self, t: Ms, v: float) -> tuple[bool | None, Ms]:
        rising = self.rule.active == 1
        if self.rule.swing is None:
            return (v != 0) == rising, t
        up = None if self.on is None else self.on == rising
        self.high = (v, t) if v > self.high[0] else self.high
        self.low = (v, t) if v < self.low[0] else self.low
        if up is not True and v >= self.low[0] + self.rule.swing:
            up, when = True, self.low[1]
        elif up is not False and v <= self.high[0] - self.rule.swing:
            up, when = False, self.high[1]
        else:
            return self.on, t
        self.high = self.low = (v, t)
        return up == rising, when

    def _turn(self, start: bool, when: Ms, t: Ms) -> None:
        value = self._measured(start, when)
        if not math.isnan(value):
            self.cycles = (self.cycles[0] + value, self.cycles[1] + 1)
        ordinary = self.rule.measure == "repeats" and self.pair
        if self.rule.measure in COUNTS and not ordinary and (start or self.rule.measure == "turns"):
            self.times.append(t)
        self.since = when
        if start:
            self.began = when
            self.fill = self._speed(self.low2)
            self.top = self.lv
        else:
            self.low2, self.floor = self.lv, self.lv[0]

    def _measured(self, start: bool, when: Ms) -> float:
        held = (when - self.since) / 1000 if self.since > NEVER else NAN
        match self.rule.measure:
            case "on_s" if not start:
                return held
            case "off_s" if start:
                return held
            case "period_s" if start and self.began > NEVER:
                return (when - self.began) / 1000
            case "lag_s" if not start and self.since > NEVER:
                if self.pair:
                    return 0.0
                return (when - self.pair_off) / 1000 if self.pair_off >= self.since else NAN
            case "rate" if not start:
                return self.fill - self._speed(self.top)
            case "inflow" if start:
                return self._speed(self.low2)
        return NAN

    def _speed(self, then: tuple[float, Ms]) -> float:
        took = self.lv[1] - then[1]
        if then[1] == NEVER or took < 5000:
            return NAN
        return (self.lv[0] - then[0]) / (took / 60_000)

    def _see_contact(self, t: Ms, on: bool, gapped: bool) -> None:
        if not gapped and self.pair and not on:
            self.pair_off = t
        elif gapped or on:
            self.pair_off = NEVER
        self.pair = on
        if on and self.rule.measure == "repeats":
            self.times = []

    def _see_level(self, t: Ms, v: float, gapped: bool) -> None:
        if gapped:
            self.top = (self.top[0], NEVER)
        if gapped or math.isnan(self.floor) or v < self.floor:
            self.floor = v
        if v <= self.floor + self.rule.band:
            self.low2 = (v, t)
        self.lv = (v, t)

    def _count(self, t: Ms) -> None:
        limit = self.rule.h
        assert limit is not None
        self.times = self.times[-REMEMBERED:]
        n = sum(1 for at in self.times if at > t - self.window)
        on = n > limit or (self.level > 0 and n > 0.75 * limit)
        if on or self.level:
            self.value = float(n)
        self.change(2 if on else 0, t)

    # ── steps ─────────────────────────────────────────────────────────────────────────────────────────

    def _clock(self, t: Ms, upto: Ms) -> None:
        step = t // self.step_ms
        if step > self.step > NEVER:
            edge = (self.step + 1) * self.step_ms
            self._account(min(upto, edge))
            self._end_step()
            if self.mark > NEVER:
                self.mark = min(upto, step * self.step_ms)
        self._account(upto)
        self.mark = max(self.mark, t) if self.rule.measure == "duty" else NEVER
        self.step = max(self.step, step)

    def _account(self, upto: Ms) -> None:
        if self.mark == NEVER or self.on is None:
            return
        past = max(upto - self.mark, 0)
        self.known_ms += past
        self.on_ms += past if self.on else 0

    def _end_step(self) -> None:
        (total, count), on_ms, known_ms = self.cycles, self.on_ms, self.known_ms
        self.cycles, self.on_ms, self.known_ms = (0.0, 0), 0, 0
        if self.rule.measure == "duty" and 2 * known_ms >= self.step_ms:
            value = on_ms / known_ms
        elif self.rule.measure not in COUNTS and count >= self.rule.min_cycles:
            value = total / count
        else:
            return
        if self.newest > NEVER and self.step - self.newest > 2 * self.rule.points:
            self.recent = []
        self.recent = [*self.recent, value][-self.rule.points :]
        self.newest = self.step
        if len(self.recent) == self.rule.points:
            self._judge(median(self.recent))
            self._learn(median(self.recent))

    def _judge(self, stat: float) -> None:
        wanted, rule = 0, self.rule
        known = self.learned >= rule.learn and self.mean > 0
        sides = ((-1.0, rule.l, rule.l_ratio), (1.0, rule.h, rule.h_ratio))
        for level, (sign, fixed, ratio) in enumerate(sides, 1):
            active = self.level == level
            if fixed is not None:
                inner = fixed - sign * 0.1 * abs(fixed)
                if sign * stat > sign * (inner if active else fixed):
                    wanted = level
            if ratio is not None and known:
                far = sign * (ratio - 1) * self.mean
                beyond = sign * (stat - self.mean) >= (0.5 if active else 1.0) * far
                if beyond and (active or abs(stat - self.mean) >= 3.0 * math.sqrt(self.var)):
                    wanted = level
        self.value = stat
        self.change(wanted, (self.step + 1) * self.step_ms)

    def _learn(self, value: float) -> None:
        weight = max(1.0 / (self.learned + 1), 1.0 / self.rule.memory)
        off, known = value - self.mean, self.learned >= self.rule.learn
        if self.level or (known and self._odd(off)):
            weight /= 4
        if known:
            off = self._within(off)
        self.mean += weight * off
        self.var = (1 - weight) * (self.var + weight * off * off)
        self.learned += 1

    def _odd(self, off: float) -> bool:
        above, below = self.rule.h_ratio, self.rule.l_ratio
        if above is not None and off >= 0.5 * ((above - 1) * self.mean):
            return True
        return below is not None and -off >= 0.5 * ((1 - below) * self.mean)

    def _within(self, off: float) -> float:
        above, below = self.rule.h_ratio, self.rule.l_ratio
        if above is not None and off > (above - 1) * self.mean:
            return (above - 1) * self.mean
        if below is not None and -off > (1 - below) * self.mean:
            return -((1 - below) * self.mean)
        return off

    # ── what is said ──────────────────────────────────────────────────────────────────────────────────

    def shown_value(self) -> float:
        """The count or the median of the last steps."""
        return self.value

    def shown_limit(self, level: int) -> float:
        """The limit, which follows the own past where it is a ratio of it."""
        rule = self.rule
        fixed, ratio = (rule.l, rule.l_ratio) if level == 1 else (rule.h, rule.h_ratio)
        if fixed is not None:
            return fixed
        return NAN if ratio is None else ratio * self.mean

    def facts(self) -> Mapping[str, Any]:
        """The own past, where it counts."""
        known = self.rule.h_ratio is not None or self.rule.l_ratio is not None
        return {"usual": self.mean} if known else {}
