"""What a driver counted, per unit, since it was made. Exact: a simulator counts the same."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from gateway.model import Ms

RTT_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Upper bounds of the round-trip histogram; the last bucket is for all that took longer."""


@dataclass(slots=True)
class UnitStats:
    """One unit.

    requests: frames sent · answers: good ones · exceptions: by code · timeouts: nothing came · faults:
    refused answers by fault · cut_off: the line went away, or the caller gave up · late: late frames thrown
    away beside the right one · held: requests not sent, because a late answer was awaited or the bus was
    never silent · last_ok: site time of the last good answer (0: never) · rtt: histogram of the good answers
    over RTT_MS.
    requests = answers + Σ exceptions + timeouts + Σ faults + cut_off, and the one under way.

    Where devices speak by themselves this does not add up: requests are the frames sent to it (its
    confirmations too), answers the whole frames or lines that it sent, timeouts the reads that found nothing
    new or a silent device; rtt stays empty.
    """

    requests: int = 0
    answers: int = 0
    exceptions: Counter[int] = field(default_factory=Counter)
    timeouts: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    cut_off: int = 0
    late: int = 0
    held: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    last_ok: Ms = 0
    rtt: list[int] = field(default_factory=lambda: [0] * (len(RTT_MS) + 1))

    def answered(self, t: Ms, rtt_s: float) -> None:
        """A good answer at site time `t`."""
        self.answers += 1
        self.last_ok = t
        self.rtt[bisect_left(RTT_MS, rtt_s * 1000)] += 1

    def spoke(self, t: Ms, size: int) -> None:
        """A whole frame or line of `size` bytes that it sent by itself, at site time `t`."""
        self.answers += 1
        self.bytes_in += size
        self.last_ok = t

    @property
    def explained(self) -> int:
        """Requests whose end is known."""
        failed = self.exceptions.total() + self.timeouts + self.faults.total() + self.cut_off
        return self.answers + failed

    def as_dict(self) -> dict[str, Any]:
        """For a page or a program."""
        return {
            "requests": self.requests,
            "answers": self.answers,
            "exceptions": dict(self.exceptions),
            "timeouts": self.timeouts,
            "faults": {str(fault): n for fault, n in self.faults.items()},
            "cut_off": self.cut_off,
            "late": self.late,
            "held": self.held,
            "bytes_out": self.bytes_out,
            "bytes_in": self.bytes_in,
            "last_ok": self.last_ok,
            "rtt": list(self.rtt),
        }


@dataclass(slots=True)
class LineStats:
    """All units of a line.

    opened: connections made · unasked: bytes nobody had asked for, or of nobody known · faults: damaged
    frames of which nobody knows who sent them · busy_s: time during which the line waited
    for an answer, so that busy_s over the time elapsed is its utilisation.
    """

    units: dict[int, UnitStats] = field(default_factory=dict)
    opened: int = 0
    unasked: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    busy_s: float = 0.0

    def unit(self, number: int) -> UnitStats:
        """The counts of one unit, made when it is first asked."""
        found = self.units.get(number)
        if found is None:
            found = self.units[number] = UnitStats()
        return found

    def alone(self) -> int | None:
        """The number of the only unit there is; None when there are several, or none yet."""
        found = {id(unit): number for number, unit in self.units.items()}
        return next(iter(found.values())) if len(found) == 1 else None

    def one(self, number: int) -> UnitStats:
        """The counts of the only device of a line, whatever unit it is asked as."""
        return self.units.setdefault(number, self.unit(0))

    def damaged(self, unit: int | None, fault: str, n: int, size: int) -> None:
        """`n` damaged frames and `size` bytes thrown away, of this unit or of nobody knows whom."""
        if unit is None:
            self.faults[fault] += n
            self.unasked += size
        else:
            self.unit(unit).faults[fault] += n
            self.unit(unit).bytes_in += size
