"""Segments of the time ledger as bars: one per period for the regulator, one block a day for residents."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from gateway.model import Ms

DAY: Ms = 86_400_000
NOTICEABLE: Ms = 60_000
"""A day with less than a minute of failure is shown as good."""


@dataclass(frozen=True)
class Block:
    """A piece of a bar, in thousandths of its width."""

    x: float
    width: float
    kind: str
    start: Ms
    end: Ms


def blocks(segments: Sequence[tuple[Ms, Ms, str]], start: Ms, end: Ms, least: float = 2.0) -> list[Block]:
    """The pieces in order; what is shorter than `least` thousandths is widened so that it can be seen."""
    scale = 1000 / (end - start)
    out = []
    for since, until, kind in segments:
        a, b = max(since, start), min(until, end)
        if a >= b:
            continue
        width = (b - a) * scale
        if kind != "up":
            width = max(width, least)
        out.append(Block(round((a - start) * scale, 2), round(width, 2), kind, a, b))
    # Failures are drawn last, so that a neighbour that was widened does not hide them.
    return sorted(out, key=lambda x: x.kind.startswith("down"))


def beginning(rows: Iterable[Mapping[str, Any]], start: Ms) -> Ms:
    """When the first of the assets had to work: a bar of a new installation need not begin before."""
    known = [a for row in rows for a, _, kind in row["segments"] if kind != "not_required"]
    return max(start, min(known, default=start))


def midnights(end: Ms, zone: str, days: int) -> list[Ms]:
    """The beginnings of the last days in the site's zone, oldest first, and the end of the last one."""
    place = ZoneInfo(zone)
    today = datetime.fromtimestamp(end / 1000, place).date()
    dates = [today - timedelta(days=n) for n in range(days - 1, -2, -1)]
    return [int(datetime(d.year, d.month, d.day, tzinfo=place).timestamp() * 1000) for d in dates]


def days_of(segments: Sequence[tuple[Ms, Ms, str]], end: Ms, zone: str, days: int) -> list[str]:
    """One word per day: up, down (failed for a minute or more), planned, unknown, none (not in operation)."""
    edges = midnights(end, zone, days)
    out = []
    for a, b in itertools.pairwise(edges):
        share: dict[str, Ms] = {}
        for start, stop, kind in segments:
            overlap = min(b, stop) - max(a, start)
            if overlap > 0:
                share[kind] = share.get(kind, 0) + overlap
        out.append(_word(share))
    return out


def _word(share: dict[str, Ms]) -> str:
    if share.get("down_unplanned", 0) >= NOTICEABLE:
        return "down"
    if share.get("down_planned", 0) + share.get("external", 0) >= NOTICEABLE:
        return "planned"
    if share.get("up", 0):
        return "unknown" if share.get("unknown", 0) > share["up"] else "up"
    return "unknown" if share.get("unknown", 0) else "none"
