"""One row of each kind, in plain Python. Slow and easy to read.

Times are ms; NEVER lies before and FAR after all times.
"""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from alerts.engine.bind import FAR, Row
from alerts.rules import Combine, Digital, Limit, Rate, Stuck
from gateway.model import Finding, Ms

NEVER = -FAR
NAN = math.nan
COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class ScalarRow(ABC):
    """What every row has: inputs with their last proof, a level, the onset of the occurrence."""

    names: tuple[str, ...] = ("", "")

    def __init__(self, row: Row) -> None:
        self.row = row
        self.seen: list[Ms] = [NEVER if gap < FAR else 0 for gap in row.gaps]
        self.level = 0
        self.onset: Ms = NEVER
        self.out: list[Finding] = []

    @abstractmethod
    def take(self, role: int, t: Ms, v: float) -> None:
        """One trustworthy value of one input."""

    def tick(self, t: Ms, now: Ms) -> None:
        """Time has passed."""

    def start(self, t: Ms) -> None:
        """Watched from `t` when nothing was seen yet."""

    def gapped(self, role: int, t: Ms) -> bool:
        """Whether the input was without proof before `t`."""
        return t - self.seen[role] > self.row.gaps[role]

    def change(self, level: int, t: Ms) -> None:
        """Go to a level; a new occurrence begins when it was 0."""
        if level == self.level:
            return
        before = self.level
        if before == 0:
            self.onset = t
        self.level = level
        spec = self.row
        self.out.append(
            Finding(
                rule=spec.rule.id,
                point=spec.point,
                asset=spec.asset,
                estate=spec.estate,
                onset=self.onset,
                t=max(t, self.onset),
                active=level > 0,
                level=self.names[level],
                value=self.shown_value(),
                limit=self.shown_limit(level or before),
                facts=self.facts(),
            )
        )

    def shown_value(self) -> float:
        """The value that a finding carries."""
        return NAN

    def shown_limit(self, level: int) -> float:
        """The limit that a finding carries."""
        return NAN

    def facts(self) -> Mapping[str, Any]:
        """What else a finding says."""
        return {}


class DelayRow(ScalarRow):
    """On- and off-delays, one per level.

    holds: whether an on-delay may run out on a value that is held; else it needs a reading.
    """

    holds = True

    def __init__(self, row: Row, levels: int = 1) -> None:
        super().__init__(row)
        self.active = [False] * levels
        self.due: list[Ms] = [FAR] * levels
        self.value = NAN
        self.on_ms = [round(getattr(row.rule, "on_delay_s", 0.0) * 1000)] * levels
        self.off_ms = round(getattr(row.rule, "off_delay_s", 0.0) * 1000)

    def proven(self) -> Ms:
        """Until when the held values may be believed: all of them to be on, one of them to be off."""
        held = [(s + g, g) for s, g in zip(self.seen, self.row.gaps, strict=True)]
        if self.level == 0 and not self.holds:
            held[0] = (self.seen[0], self.row.gaps[0])
        if self.level == 0 or len(held) == 1:
            return min(until for until, _ in held)
        return max(until for until, gap in held if gap < FAR)

    def settle(self, upto: Ms) -> None:
        """Everything due by then matures, earliest first; levels due together change as one."""
        while min(self.due) <= upto:
            at = min(self.due)
            for k, due in enumerate(self.due):
                if due == at:
                    self.active[k] = not self.active[k]
                    self.due[k] = FAR
            self.change(self.rank(), at)

    def rank(self) -> int:
        """The level that shows."""
        return int(self.active[0])

    def begin(self, role: int, t: Ms) -> bool:
        """Hold up to `t`; whether pending delays begin anew."""
        self.settle(min(t, self.proven()))
        return self.gapped(role, t)

    def finish(self, role: int, t: Ms, on: list[bool], back: list[bool], restart: bool, base: Ms) -> None:
        """Start, keep or cancel delays, and let what has none mature."""
        for k, active in enumerate(self.active):
            if restart:
                self.due[k] = FAR
            if not (back[k] if active else on[k]):
                self.due[k] = FAR
            elif self.due[k] == FAR:
                self.due[k] = t + self.off_ms if active else base + self.on_ms[k]
        self.seen[role] = max(self.seen[role], t)
        self.settle(min(t, self.proven()))

    def tick(self, t: Ms, now: Ms) -> None:
        """Delays run out as far as the values are proven."""
        self.settle(min(t, self.proven()))

    def shown_value(self) -> float:
        """The value held."""
        return self.value


class LimitRow(DelayRow):
    """Levels 1 LL, 2 L, 3 H, 4 HH."""

    names = ("", "LL", "L", "H", "HH")

    def __init__(self, row: Row) -> None:
        super().__init__(row, 4)
        assert isinstance(row.rule, Limit)
        self.rule = row.rule
        if self.rule.on_delay_outer_s is not None:
            self.on_ms[0] = self.on_ms[3] = round(self.rule.on_delay_outer_s * 1000)
        self.limits = [self.rule.ll, self.rule.l, self.rule.h, self.rule.hh]

    def rank(self) -> int:
        """Outer levels before inner ones, high before low."""
        ll, l, h, hh = self.active  # noqa: E741 - the words of the trade
        return 4 if hh else 1 if ll else 3 if h else 2 if l else 0

    def take(self, role: int, t: Ms, v: float) -> None:
        """Compare with each limit."""
        gapped = self.begin(role, t)
        self.value = v
        off = self.rule.above is not None and v <= self.rule.above
        on = [not off and self._beyond(k, v) for k in range(4)]
        back = [off or self._inside(k, v) for k in range(4)]
        self.finish(role, t, on, back, gapped, t)

    def _beyond(self, k: int, v: float) -> bool:
        limit = self.limits[k]
        if limit is None:
            return False
        past = v < limit if k < 2 else v > limit
        return past or (self.rule.inclusive and v == limit)

    def _inside(self, k: int, v: float) -> bool:
        limit = self.limits[k]
        if limit is None or self._beyond(k, v):
            return False
        return v >= limit + self.rule.deadband if k < 2 else v <= limit - self.rule.deadband

    def shown_limit(self, level: int) -> float:
        """The limit of the level."""
        limit = self.limits[level - 1]
        assert limit is not None
        return limit


class DigitalRow(DelayRow):
    """A contact."""

    wanted = True

    def __init__(self, row: Row) -> None:
        super().__init__(row)
        if isinstance(row.rule, Digital):
            self.wanted = row.rule.active == 1

    def take(self, role: int, t: Ms, v: float) -> None:
        """Any value but 0 counts as 1."""
        gapped = self.begin(role, t)
        self.value = v
        on = (v != 0) == self.wanted
        self.finish(role, t, [on], [not on], gapped, t)

    def shown_limit(self, level: int) -> float:
        """The abnormal position."""
        return float(self.wanted)


class BadRow(DigitalRow):
    """Refused readings: takes 1 for a bad reading, 0 for a good one."""

    holds = False

    def __init__(self, row: Row) -> None:
        super().__init__(row)
        self.on_ms, self.off_ms = [row.timeout], 0

    def shown_value(self) -> float:
        """There is none."""
        return NAN

    def shown_limit(self, level: int) -> float:
        """There is none."""
        return NAN

    def facts(self) -> Mapping[str, Any]:
        """How long readings may be refused."""
        return {"timeout_s": self.row.timeout / 1000}


class RateRow(DelayRow):
    """Change per minute since the old value was last proven."""

    holds = False

    def __init__(self, row: Row) -> None:
        super().__init__(row)
        assert isinstance(row.rule, Rate)
        self.rule = row.rule
        self.rate = NAN

    def take(self, role: int, t: Ms, v: float) -> None:
        """The first value and the first after a gap have no rate."""
        gapped = self.begin(role, t)
        rate, change = 0.0, 0.0
        if not gapped:
            change = v - self.value
            rate = change / (max(t - self.seen[0], 1000) / 60_000.0)
        wanted = self.rule.direction in ("both", "up" if rate > 0 else "down")
        on = wanted and abs(rate) > self.rule.limit and abs(change) >= self.rule.min_change
        self.value, self.rate = v, rate
        self.finish(role, t, [on], [not on], gapped, t)

    def shown_value(self) -> float:
        """The rate."""
        return self.rate

    def shown_limit(self, level: int) -> float:
        """Unit per minute."""
        return self.rule.limit


class StuckRow(DelayRow):
    """Stands still while its gate is open."""

    holds = False

    def __init__(self, row: Row) -> None:
        super().__init__(row)
        assert isinstance(row.rule, Stuck)
        self.rule = row.rule
        self.on_ms, self.off_ms = [round(row.rule.time_s * 1000)], 0
        self.gate = not row.rule.gate

    def take(self, role: int, t: Ms, v: float) -> None:
        """Role 0 is the point, role 1 its gate."""
        gapped = self.begin(role, t)
        moved = opened = False
        if role == 0:
            moved = math.isnan(self.value) or abs(v - self.value) > self.rule.eps
            if moved or gapped:
                self.value = v
        else:
            was, self.gate = self.gate, v > self.rule.gate_above
            opened = self.gate and not was
        on = self.gate and not math.isnan(self.value)
        self.finish(role, t, [on], [moved], moved or opened or gapped, t)
        if moved and self.gate and self.due[0] == FAR:
            self.due[0] = t + self.on_ms[0]

    def facts(self) -> Mapping[str, Any]:
        """How long it may stand still."""
        return {"time_s": self.on_ms[0] / 1000}


class CombineRow(DelayRow):
    """All members at once."""

    def __init__(self, row: Row) -> None:
        super().__init__(row)
        assert isinstance(row.rule, Combine)
        self.rule = row.rule
        n = len(row.inputs)
        self.values = [NAN] * n
        self.truth = [False] * n
        self.since: list[Ms] = [NEVER] * n

    def take(self, role: int, t: Ms, v: float) -> None:
        """The delay counts from the youngest member, or from the confirmation."""
        gapped = self.begin(role, t)
        member = self.rule.members[role]
        true = COMPARE[member.op](v, member.value) and (member.upto is None or v <= member.upto)
        if true and (gapped or not self.truth[role]):
            self.since[role] = t
        self.values[role], self.truth[role] = v, true
        main = len(self.rule.all_of)
        on = all(self.truth[:main])
        base = max(self.since[:main])
        if len(self.truth) > main and self.truth[main]:
            by = max(base, self.since[main]) + round(self.rule.confirm_delay_s * 1000)
            base = min(base, by - self.on_ms[0])
        self.finish(role, t, [on], [not on], gapped or self.level == 0, base)

    def shown_value(self) -> float:
        """The first member's."""
        return self.values[0]

    def shown_limit(self, level: int) -> float:
        """What the first member is compared with."""
        return self.rule.all_of[0].value

    def facts(self) -> Mapping[str, Any]:
        """All members' values by tag."""
        return dict(zip(self.row.tags, self.values, strict=True))


class SilentRow(ScalarRow):
    """Silence of a point or a device."""

    def __init__(self, row: Row) -> None:
        super().__init__(row)
        self.seen = [NEVER]

    def take(self, role: int, t: Ms, v: float) -> None:
        """A sign of life."""
        if t <= self.seen[0]:
            return
        self._raise(t)
        self.change(0, t)
        self.seen[0] = t

    def _raise(self, now: Ms) -> None:
        if self.seen[0] > NEVER and now - self.seen[0] > self.row.timeout:
            self.change(1, self.seen[0] + self.row.timeout)

    def tick(self, t: Ms, now: Ms) -> None:
        """Counts by the core's clock."""
        if self.seen[0] == NEVER:
            self.seen[0] = now
        self._raise(now)

    def start(self, t: Ms) -> None:
        """Counts from `t`."""
        if self.seen[0] == NEVER:
            self.seen[0] = t

    def facts(self) -> Mapping[str, Any]:
        """Since when, and how long it may be."""
        return {"last_seen": self.seen[0], "timeout_s": self.row.timeout / 1000}
