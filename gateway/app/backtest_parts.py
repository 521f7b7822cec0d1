"""Rules over history, each kind fed with as many held readings as it needs and no more.

All kinds judge the same history. For most of them a reading that repeats the last one proves that a value
still holds and does nothing else; their points get a long gap and few such readings, placed so that every
value is proven exactly as long as with many. Kinds that average readings, measure between them or wait for
one get them as often as the running core proves them. Kinds of hours and days (trend, cycles, counter, slope)
get them at the gap of their points, which leaves their sums and medians nearly what they are live.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from alerts.engine import Engine, PointInfo
from alerts.engine.bind import bind
from alerts.rules import Rule
from alerts.rules_base import ACCOUNT_S, stale_s
from gateway.app.backtest_held import SPEAKS, Day
from gateway.model import Finding, Ms

PIECE: Ms = 4 * 3_600_000
"""Event time that goes through the engine at once."""
PROOFS = frozenset({"limit", "digital", "combine", "residual"})
"""Kinds for which a repeated reading proves and does nothing else."""
OFTEN = frozenset({"rate", "stuck", "shift", "baseline", "night_flow"})
"""Kinds for which each reading counts, also one that proves alone."""
LONG: Ms = SPEAKS * 2 // 3
"""Gap of a point of which nothing but proofs matters."""


class Part:
    """An engine for some of the rules, and how often it wants a held reading of each series."""

    def __init__(
        self,
        rules: Sequence[Rule],
        points: Sequence[PointInfo],
        every: Sequence[Ms],
        gaps: Sequence[Ms],
        start: Ms,
    ) -> None:
        """gaps: ms, of each point; those of the points themselves or longer ones."""
        self.series = [p.series for p in points]
        self._every = every
        own = [gap_of(p) for p in points]
        self._lead = [gap - mine for gap, mine in zip(gaps, own, strict=True)]
        told = [
            p if gap == mine else replace(p, period_s=gap / 3000)
            for p, gap, mine in zip(points, gaps, own, strict=True)
        ]
        self._engine = Engine(rules, told, start)

    def judge(self, day: Day, start: Ms, until: Ms) -> list[Finding]:
        """What the rules say of [start, until)."""
        rows = day.completed(self.series, self._every, self._lead)
        found: list[Finding] = []
        for t in range(start, until, PIECE):
            end = min(t + PIECE, until)
            a, b = np.searchsorted(rows.t, [t, end])
            found += self._engine.process(rows[int(a) : int(b)])
            found += self._engine.tick(end)
        return found


def parted(
    rules: Sequence[Rule], points: Sequence[PointInfo], refused: Collection[int], start: Ms
) -> list[Part]:
    """The rules in parts that together say what one engine would that is proven as often as the core does.

    refused: series with readings that no rule takes; what was held before one ends there, not when its device
    falls silent, so they keep their gap.
    """
    parts = []
    for kinds in (PROOFS, OFTEN, frozenset({r.kind for r in rules}) - PROOFS - OFTEN):
        some = [r for r in rules if r.kind in kinds]
        used = {series for row in bind(some, points) for series in row.inputs}
        mine = [p for p in points if p.series in used]
        gaps = [gap_of(p) for p in mine]
        if kinds is PROOFS:
            gaps = [g if p.series in refused else max(g, LONG) for p, g in zip(mine, gaps, strict=True)]
        every = [min(g, round(ACCOUNT_S * 1000)) for g in gaps] if kinds is OFTEN else gaps
        if mine:
            parts.append(Part(some, mine, every, gaps, start))
    return parts


def gap_of(p: PointInfo) -> Ms:
    """How long the engine holds a value of this point without proof."""
    return round(stale_s(p.period_s) * 1000)
