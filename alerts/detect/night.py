"""Night flow: while a town sleeps, what still flows is mostly leaks; a rise that stays is a new one.

One value a night, the mean flow of the small hours, compared with the same weekday of the last two weeks.
The least of three nights in a row goes into a CUSUM (Page 1954), so that one tank wash or one feast raises
nothing. When a change is found, the past is lifted to the new level: the next leak shows on top of the first
one, and a repair shows as a fall. After E. Farley and others, night-flow analysis of district metered areas;
settings from the literature of CUSUM charts (k = 0.5, h = 4), not tuned to a town.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

DAY = 86_400_000
WEEK = 7
PAST = 14
"""Nights that are remembered: two of each weekday."""
SPREAD = 21
"""Differences of which the usual spread is made."""
WARM = 10
"""Nights before anything is said."""
LEAST = 3
"""Differences that a spread needs, and nights that a change must last."""
SLOTS = 8
"""Parts of the window; five of them must have readings."""
ENOUGH = 5
FLOOR = 0.04
"""The spread is never believed to be below this share of the flow."""
CAP = 8.0
"""One night counts for so many spreads at most."""
GONE = 3
"""A rise is over when this part of it is left."""
NAN = math.nan


@dataclass(frozen=True, slots=True)
class Night:
    """What one night says.

    expected: from the same weekday before, NaN: not known · change: how much the flow has risen (or fallen,
    negative) for good, found in this night; 0: nothing.
    """

    value: float
    expected: float = NAN
    change: float = 0.0


@dataclass(slots=True)
class Nights:
    """The memory of one meter, bounded; the specification of the rule kind `night_flow`.

    k, h: of the CUSUM, in spreads · min_rise: a spread is never believed to be below a quarter of this, in
    the meter's unit.

    past: levels of the last 14 nights, oldest first, lifted by changes found since · usual: differences
    to what was expected, older than the newest three · recent: the newest ones, of nights without a hole.
    """

    k: float = 0.5
    h: float = 4.0
    min_rise: float = 0.0
    day: int | None = None
    nights: int = 0
    past: list[float] = field(default_factory=lambda: [NAN] * PAST)
    usual: list[float] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    up: float = 0.0
    down: float = 0.0

    def close(self, day: int, value: float) -> Night:
        """A night is over. `day` counts days and grows; days left out had no usable night."""
        self._pass_to(day)
        same = [v for v in (self.past[-WEEK], self.past[-PAST]) if not math.isnan(v)]
        expected = sum(same) / len(same) if same else NAN
        change = 0.0 if math.isnan(expected) else self._compare(value - expected, expected)
        self.past = [*self.past[1:], value]
        self.nights += 1
        return Night(value, expected, change)

    def _pass_to(self, day: int) -> None:
        """Nights without a value lie between: the past moves on, three in a row must begin anew."""
        missed = 0 if self.day is None else min(day - self.day - 1, PAST)
        self.day = day
        if missed:
            self.past = [*self.past[missed:], *[NAN] * missed]
            self.recent = []

    def _compare(self, off: float, expected: float) -> float:
        self.recent = [*self.recent, off]
        if len(self.recent) > LEAST:
            self.usual = [*self.usual, self.recent[0]][-SPREAD:]
            self.recent = self.recent[1:]
        if self.nights < WARM or len(self.recent) < LEAST or len(self.usual) < LEAST:
            return 0.0
        spread = max(1.4826 * median([abs(v) for v in self.usual]), FLOOR * abs(expected), self.min_rise / 4)
        spread = max(spread, 1e-9)
        self.up = max(0.0, self.up + min(min(self.recent) / spread, CAP) - self.k)
        self.down = max(0.0, self.down - max(max(self.recent) / spread, -CAP) - self.k)
        if self.up <= self.h and self.down <= self.h:
            return 0.0
        change = median(self.recent)
        new = LEAST - 1  # last nights that stand at the new level already
        self.past = [v + change for v in self.past[:-new]] + self.past[-new:]
        self.recent, self.up, self.down = [], 0.0, 0.0
        return change


def median(values: Sequence[float]) -> float:
    """The middle, or the mean of the two in the middle."""
    s = sorted(values)
    return (s[(len(s) - 1) // 2] + s[len(s) // 2]) / 2.0


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the night flow.

    day: days since 1970-01-01 of the local date on whose morning it was found · t: end of that night's
    window, ms, local · rise: in the unit of the flow, below 0 for a fall.
    """

    day: int
    t: int
    value: float
    expected: float
    rise: float


def night_changes(
    timestamps: Sequence[Any] | ArrayLike,
    flows: ArrayLike,
    *,
    signs: Sequence[float] | None = None,
    window_h: tuple[float, float] = (2, 4),
) -> list[Change]:
    """Rises and falls of the night flow of one zone; causal.

    timestamps: local time, ascending; ms since 1970, datetimes or ISO texts · flows: one column per meter,
    NaN is missing · signs: +1 for what flows into the zone, −1 for what leaves it or fills a tank (default:
    all flow in); a sample counts when all meters have a value. Raises ValueError when shapes disagree or
    time runs backwards. The last night counts with what is there of it.
    """
    times = np.asarray(timestamps)
    t = times if times.dtype.kind in "iu" else times.astype("datetime64[ms]").astype(np.int64)
    columns = np.asarray(flows, np.float64)
    columns = columns[:, None] if columns.ndim == 1 else columns
    weights = np.ones(columns.shape[1]) if signs is None else np.asarray(signs, np.float64)
    if columns.shape[0] != len(t) or weights.shape != (columns.shape[1],):
        raise ValueError(f"flows: {columns.shape} for {len(t)} timestamps and {len(weights)} signs")
    back = np.flatnonzero(t[1:] < t[:-1])
    if len(back):
        raise ValueError(f"timestamps: entry {int(back[0]) + 1} runs backwards; sort them")
    total = columns @ weights
    memory, found = Nights(), list[Change]()
    for day, value in _night_means(t, total, window_h):
        night = memory.close(day, value)
        if night.change:
            end = day * DAY + round(window_h[1] * 3_600_000)
            found.append(Change(day, end, value, night.expected, night.change))
    return found


def _night_means(t: np.ndarray[Any, Any], flow: np.ndarray[Any, Any], window_h: tuple[float, float]) -> Any:
    """(day, mean flow) of nights with readings in most parts of the window."""
    begin, end = (round(h * 3_600_000) for h in window_h)
    inside = (t % DAY >= begin) & (t % DAY < end) & np.isfinite(flow)
    t, flow = t[inside], flow[inside]
    days, first = np.unique(t // DAY, return_index=True)
    for n, day in enumerate(days.tolist()):
        part = slice(first[n], first[n + 1] if n + 1 < len(first) else len(t))
        slots = np.unique((t[part] % DAY - begin) * SLOTS // (end - begin))
        if len(slots) >= ENOUGH:
            yield day, float(flow[part].mean())
