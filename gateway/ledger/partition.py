"""Six classes of time. Every millisecond of a period belongs to exactly one of them.

Half-open intervals [start, end), ms UTC. Terms follow IEC 60050-192; where claims overlap the class that
stands first in `TimeClass` wins.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.model import Ms


class TimeClass(enum.IntEnum):
    """In the order of precedence."""

    NOT_REQUIRED = 0
    EXTERNAL = 1  # disabled from outside: grid or mains lost, fire recall, order of an authority
    DOWN_UNPLANNED = 2
    DOWN_PLANNED = 3
    UNKNOWN = 4
    UP = 5


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody or something says that the asset was in a class from `start` to `end` (None: still is).

    ref: the event that says so · cause: for merging failures · announced: when planned work was declared
    (None: never) · permit_end: until when planned work was allowed; what lies beyond is unplanned.
    """

    kind: TimeClass
    start: Ms
    end: Ms | None
    ref: str = ""
    cause: str = ""
    announced: Ms | None = None
    permit_end: Ms | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one class with the claims that put it there (none for UP)."""

    kind: TimeClass
    start: Ms
    end: Ms
    claims: tuple[Claim, ...] = ()

    @property
    def length(self) -> int:
        """Milliseconds."""
        return self.end - self.start


def partition(start: Ms, end: Ms, claims: Sequence[Claim], now: Ms) -> list[Segment]:
    """The period [start, min(end, now)) as segments without gap or overlap, neighbours of one class merged.

    A claim without an end reaches to the end of the period. A failure that begins inside a permit counts as
    planned until the permit ends. An empty period gives an empty list.
    """
    end = min(end, now)
    if end <= start:
        return []
    clipped = sorted(_clip(start, end, _expand(claims, end)), key=lambda c: (c.start, c.kind))
    cuts = sorted({start, end, *(c.start for c in clipped), *(_end(c, end) for c in clipped)})
    out: list[Segment] = []
    for a, b in itertools.pairwise(cuts):
        live = [c for c in clipped if c.start <= a and _end(c, end) >= b]
        kind = min((c.kind for c in live), default=TimeClass.UP)
        _extend(out, Segment(kind, a, b, tuple(c for c in live if c.kind == kind)))
    return out


def _expand(claims: Sequence[Claim], end: Ms) -> list[Claim]:
    """Permit overruns become unplanned; failures inside a permit wait until it ends."""
    out: list[Claim] = []
    permits = [c for c in claims if c.kind == TimeClass.DOWN_PLANNED]
    for c in claims:
        if c.kind == TimeClass.DOWN_PLANNED and c.permit_end is not None and _end(c, end) > c.permit_end:
            out.append(_moved(c, c.start, c.permit_end, c.kind))
            out.append(_moved(c, c.permit_end, c.end, TimeClass.DOWN_UNPLANNED))
        elif c.kind == TimeClass.DOWN_UNPLANNED:
            out.extend(_after_permits(c, permits, end))
        else:
            out.append(c)
    return out


def _after_permits(c: Claim, permits: Sequence[Claim], end: Ms) -> list[Claim]:
    start = c.start
    for p in sorted(permits, key=lambda p: p.start):
        allowed = min(x for x in (_end(p, end), p.permit_end) if x is not None)
        if p.start <= start < allowed:
            start = allowed
    return [_moved(c, start, c.end, c.kind)] if start < _end(c, end) else []


def _moved(c: Claim, start: Ms, end: Ms | None, kind: TimeClass) -> Claim:
    return Claim(kind, start, end, c.ref, c.cause, c.announced, c.permit_end)


def _end(c: Claim, end: Ms) -> Ms:
    return end if c.end is None else c.end


def _clip(start: Ms, end: Ms, claims: Sequence[Claim]) -> list[Claim]:
    out = []
    for c in claims:
        a, b = max(c.start, start), min(_end(c, end), end)
        if a < b:
            out.append(_moved(c, a, b, c.kind))
    return out


def _extend(out: list[Segment], s: Segment) -> None:
    if out and out[-1].kind == s.kind and out[-1].end == s.start:
        known = out[-1].claims
        refs = {c.ref for c in known}
        merged = known + tuple(c for c in s.claims if c.ref not in refs)
        out[-1] = Segment(s.kind, out[-1].start, s.end, merged)
    else:
        out.append(s)
