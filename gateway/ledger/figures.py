"""Availability and its companions from a partition. Formulas follow IEC 60050-192.

Ratios are None where they are undefined (nothing known, nothing required); nothing is ever rounded here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.ledger.partition import Claim, Segment, TimeClass
from gateway.model import Ms

HOUR = 3_600_000
ANNOUNCE = 24 * HOUR
"""Planned work counts for the contract figure when it was announced so long ahead."""
QUOTA = 4 * HOUR
"""… and as far as it fits into this many ms per month."""
MERGE = 10 * 60_000
"""Failures of one cause with a smaller gap between them are one failure."""
COVERAGE_LIMIT = 0.95
"""Below this share of known time there is no headline number."""


@dataclass(frozen=True, slots=True)
class Figures:
    """All numbers of one asset (or of a fleet: sums, never means of ratios) over one period.

    Times in ms. `availability` is the headline (IEC form) and None when coverage is below the limit.
    """

    start: Ms
    end: Ms
    time: dict[TimeClass, int]
    planned_ok: int
    planned_late: int
    failures: int
    restored: int
    restore_ms: int
    open: tuple[str, ...] = ()
    refs: dict[TimeClass, tuple[str, ...]] = field(default_factory=dict)

    def of(self, kind: TimeClass) -> int:
        """Milliseconds in a class."""
        return self.time.get(kind, 0)

    @property
    def required(self) -> int:
        """R = T - NR."""
        return self.end - self.start - self.of(TimeClass.NOT_REQUIRED)

    @property
    def a_iec(self) -> float | None:
        """UP / (UP + DU + DP); external, unknown and not required time excluded."""
        up = self.of(TimeClass.UP)
        return _ratio(up, up + self.of(TimeClass.DOWN_UNPLANNED) + self.of(TimeClass.DOWN_PLANNED))

    @property
    def a_sla(self) -> float | None:
        """(UP + announced planned work within quota) / (UP + DU + DP)."""
        up, planned = self.of(TimeClass.UP), self.of(TimeClass.DOWN_PLANNED)
        return _ratio(up + self.planned_ok, up + planned + self.of(TimeClass.DOWN_UNPLANNED))

    @property
    def a_user(self) -> float | None:
        """UP / (UP + DU + DP + XD): what residents feel."""
        up = self.of(TimeClass.UP)
        down = (TimeClass.DOWN_UNPLANNED, TimeClass.DOWN_PLANNED, TimeClass.EXTERNAL)
        return _ratio(up, up + sum(self.of(k) for k in down))

    @property
    def a_low(self) -> float | None:
        """Lower bound: all unknown time was down."""
        return _ratio(self.of(TimeClass.UP), self.required - self.of(TimeClass.EXTERNAL))

    @property
    def a_high(self) -> float | None:
        """Upper bound: all unknown time was up."""
        known = self.of(TimeClass.UP) + self.of(TimeClass.UNKNOWN)
        return _ratio(known, self.required - self.of(TimeClass.EXTERNAL))

    @property
    def coverage(self) -> float | None:
        """1 - UN / R."""
        share = _ratio(self.of(TimeClass.UNKNOWN), self.required)
        return None if share is None else 1 - share

    @property
    def availability(self) -> float | None:
        """The headline: the IEC form, or None when too little is known to print one."""
        return self.a_iec if self.coverage is not None and self.coverage >= COVERAGE_LIMIT else None

    @property
    def mtbf(self) -> float | None:
        """Mean operating time between failures in ms; None without a failure (print "> UP")."""
        return self.of(TimeClass.UP) / self.failures if self.failures else None

    @property
    def mttr(self) -> float | None:
        """Mean time to restoration in ms over failures that were closed in the period."""
        return self.restore_ms / self.restored if self.restored else None


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole > 0 else None


def figures(segments: Sequence[Segment], claims: Sequence[Claim], start: Ms, end: Ms) -> Figures:
    """Sum a partition; the unclipped `claims` say which failures began or ended in the period."""
    time = dict.fromkeys(TimeClass, 0)
    refs: dict[TimeClass, dict[str, None]] = {k: {} for k in TimeClass}
    for s in segments:
        time[s.kind] += s.length
        refs[s.kind].update((c.ref, None) for c in s.claims)
    planned_ok, planned_late = _planned(segments)
    down = _merge([c for c in claims if c.kind == TimeClass.DOWN_UNPLANNED])
    began = [c for c in down if start <= c.start < end]
    closed = [c for c in down if c.end is not None and start <= c.end < end]
    return Figures(
        start,
        segments[-1].end if segments else start,
        time,
        planned_ok,
        planned_late,
        failures=len(began),
        restored=len(closed),
        restore_ms=sum((c.end or 0) - c.start for c in closed),
        open=tuple(c.ref for c in down if (c.end is None or c.end >= end) and c.start < end),
        refs={k: tuple(v) for k, v in refs.items()},
    )


def _planned(segments: Sequence[Segment]) -> tuple[int, int]:
    ok = late = 0
    for s in segments:
        if s.kind != TimeClass.DOWN_PLANNED:
            continue
        early = any(c.announced is not None and c.announced <= c.start - ANNOUNCE for c in s.claims)
        room = max(0, min(s.length, QUOTA - ok)) if early else 0
        ok += room
        late += s.length if not early else 0
    return ok, late


def _merge(claims: Sequence[Claim]) -> list[Claim]:
    """Failures of one cause that overlap or lie at most MERGE apart are one; different causes stay apart."""
    out: dict[str, list[Claim]] = {}
    for c in sorted(claims, key=lambda c: c.start):
        row = out.setdefault(c.cause, [])
        last = row[-1] if row else None
        if last is not None and (last.end is None or c.start <= last.end + MERGE):
            end = None if last.end is None or c.end is None else max(last.end, c.end)
            row[-1] = Claim(c.kind, last.start, end, last.ref, c.cause)
        else:
            row.append(c)
    return sorted((c for row in out.values() for c in row), key=lambda c: c.start)


def fleet(parts: Sequence[Figures]) -> Figures | None:
    """Sums over assets; None for an empty fleet. Ratios follow from the sums, never from other ratios."""
    if not parts:
        return None
    # Periods add up so that `required` is the sum of the parts' required times.
    length = sum(p.end - p.start for p in parts)
    return Figures(
        parts[0].start,
        parts[0].start + length,
        {k: sum(p.of(k) for p in parts) for k in TimeClass},
        sum(p.planned_ok for p in parts),
        sum(p.planned_late for p in parts),
        sum(p.failures for p in parts),
        sum(p.restored for p in parts),
        sum(p.restore_ms for p in parts),
        tuple(r for p in parts for r in p.open),
        {k: tuple(r for p in parts for r in p.refs.get(k, ())) for k in TimeClass},
    )
