"""Counts of what went over the wire, per unit and line, as plain data.

A driver that counts by itself (`CountingDriver`) is believed: it knows which frames were sent. For other
drivers the line counts.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gateway.model import Ms

RTT_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Upper bounds of the answer-time buckets; one more holds what took longer."""
WINDOW_S = 10.0


class WireCounts(Protocol):
    """What a driver counts per unit; see `UnitStats` for the meanings."""

    requests: int
    answers: int
    exceptions: Counter[int]
    timeouts: int
    cut_off: int
    held: int
    bytes_out: int
    bytes_in: int
    last_ok: Ms
    rtt: list[int]
    faults: Counter[Any]
    """Answers that were not believed, by fault."""


@dataclass(slots=True)
class Counts:
    """The line's own counts of one unit. `causes`: failed requests by gap cause, defects (`error`) too."""

    requests: int = 0
    answers: int = 0
    timeouts: int = 0
    cut_off: int = 0
    held: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    exceptions: Counter[int] = field(default_factory=Counter)
    faults: Counter[Any] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    rtt: list[int] = field(default_factory=lambda: [0] * (len(RTT_MS) + 1))
    last_ok: Ms = 0

    def answered(self, rtt_s: float, now: Ms) -> None:
        """A checked answer."""
        self.answers += 1
        self.last_ok = now
        self.rtt[bisect_left(RTT_MS, rtt_s * 1000)] += 1


@dataclass(frozen=True, slots=True)
class UnitStats:
    """One unit of a line since its line was made. `devices`: those of the site that it feeds.

    requests: frames sent = answers + Σ exceptions + timeouts + garbled + cut_off + those under way ·
    answers: good ones · exceptions: by Modbus code · garbled: answers that were not believed · cut_off: the
    connection went, or polling ended, before an answer · held: not sent, because a late answer was still
    awaited · rtt: good answers over RTT_MS · bytes: 0 with drivers that do not count them · last_ok: site
    ms, 0 = never · silent: only probed now · timeout_s: the present time-out · holes: refused ranges known.

    Where devices speak by themselves (`linestats` of the drivers) the sum does not hold: requests are the
    frames sent to it, answers what it said, timeouts the reads that found nothing new; rtt stays empty.
    """

    unit: int
    devices: tuple[str, ...]
    silent: bool
    timeout_s: float
    holes: int
    requests: int
    answers: int
    exceptions: Mapping[int, int]
    timeouts: int
    garbled: int
    cut_off: int
    held: int
    bytes_out: int
    bytes_in: int
    last_ok: Ms
    rtt: tuple[int, ...]

    def facts(self) -> dict[str, float]:
        """Flat numbers by name: one point each."""
        out = {
            "silent": float(self.silent),
            "timeout_ms": round(self.timeout_s * 1000.0),
            "holes": float(self.holes),
            "requests": float(self.requests),
            "answers": float(self.answers),
            "timeouts": float(self.timeouts),
            "garbled": float(self.garbled),
            "cut_off": float(self.cut_off),
            "held": float(self.held),
            "bytes_out": float(self.bytes_out),
            "bytes_in": float(self.bytes_in),
            "last_ok": float(self.last_ok),
        }
        out |= {f"exception_{code}": float(n) for code, n in sorted(self.exceptions.items())}
        names = [f"rtt_{limit}ms" for limit in RTT_MS] + ["rtt_longer"]
        return out | dict(zip(names, map(float, self.rtt), strict=True))


@dataclass(frozen=True, slots=True)
class LineStats:
    """One line. `utilisation`: share of the last whole window of 10 s that requests took, 0 to 1."""

    line: str
    up: bool
    overloaded: bool
    utilisation: float
    missed: int
    units: tuple[UnitStats, ...]

    def facts(self) -> dict[str, float]:
        """Flat numbers of the line by name: one point each."""
        return {
            "up": float(self.up),
            "overloaded": float(self.overloaded),
            "utilisation_pct": round(100 * self.utilisation, 2),
            "missed": float(self.missed),
            "requests": float(sum(u.requests for u in self.units)),
            "bytes_out": float(sum(u.bytes_out for u in self.units)),
            "bytes_in": float(sum(u.bytes_in for u in self.units)),
        }


def unit_stats(
    unit: int, devices: Sequence[str], counts: WireCounts, *, silent: bool, timeout_s: float, holes: int
) -> UnitStats:
    """A copy of the counts of now."""
    return UnitStats(
        unit=unit, devices=tuple(devices), silent=silent, timeout_s=timeout_s, holes=holes,
        requests=counts.requests, answers=counts.answers, exceptions=dict(counts.exceptions),
        timeouts=counts.timeouts, garbled=counts.faults.total(), cut_off=counts.cut_off, held=counts.held,
        bytes_out=counts.bytes_out, bytes_in=counts.bytes_in, last_ok=counts.last_ok, rtt=tuple(counts.rtt),
    )  # fmt: skip


class BusyMeter:
    """How much of each window of WINDOW_S a line was busy. Times in monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._since, self._busy, self._last = now, 0.0, 0.0

    def add(self, busy_s: float, now: float) -> None:
        """A request ended now and took so long."""
        self._busy += busy_s
        if now - self._since >= WINDOW_S:
            self.share(now)

    def share(self, now: float) -> float:
        """Of the last whole window; 0 before there is one."""
        elapsed = now - self._since
        if elapsed >= WINDOW_S:
            self._last = min(1.0, self._busy / elapsed)
            self._since, self._busy = now, 0.0
        return self._last
