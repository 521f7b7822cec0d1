"""Pure: which requests read a unit's points at the least cost on its wire.

A request costs as much as `max_gap` registers on top of the registers that it reads, so two spans are merged
exactly when that is cheaper (`Wire.max_gap`: 10 registers up to 19,200 baud, 26 at 115,200, 50 on TCP).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.edge.wire import BIT_AREAS
from gateway.ports import Area, Block, Span

MAX_REGISTERS = 125
MAX_BITS = 2000


class Range(NamedTuple):
    """Addresses [start, stop) that no read may touch; start == stop is a place that no read may cross."""

    area: Area
    start: int
    stop: int

    def crossed_by(self, start: int, stop: int) -> bool:
        """True when a read of [start, stop) touches it."""
        return start < self.stop and stop > self.start


@dataclass(frozen=True, slots=True)
class Read:
    """One request and the points (indexes into the unit's points) that it is made for.

    `illegal`: the unit refuses these addresses; the points are gaps and nothing is asked.
    """

    area: Area
    address: int
    count: int
    period_s: float
    points: tuple[int, ...]
    sentence: str = ""
    illegal: bool = False

    @property
    def stop(self) -> int:
        """One behind the last address."""
        return self.address + self.count

    def block(self, unit: int) -> Block:
        """The request to a unit."""
        return Block(unit, self.area, self.address, self.count, self.sentence)


class Piece(NamedTuple):
    """A distinct span [start, stop) and the points that live there."""

    start: int
    stop: int
    points: tuple[int, ...]


def plan(
    spans: Sequence[Span],
    periods: Sequence[float],
    max_registers: int = MAX_REGISTERS,
    max_gap: int = 50,
    bad_ranges: Iterable[Range] = (),
) -> list[Read]:
    """The cheapest reads that give every span, per area and period; deterministic.

    spans, periods (s): parallel to the device's points · max_registers, max_gap: registers; in bit areas 16
    bits count as one · bad_ranges: never crossed; a point inside one comes back in an `illegal` read.
    """
    bad = list(bad_ranges)
    groups: dict[tuple[Area, float], dict[tuple[int, int], list[int]]] = {}
    reads: list[Read] = []
    for n, (span, period) in enumerate(zip(spans, periods, strict=True)):
        if span.area == "line":
            continue
        start, stop = span.address, span.address + span.count
        if any(r.area == span.area and r.start < r.stop and r.crossed_by(start, stop) for r in bad):
            reads.append(Read(span.area, start, span.count, period, (n,), illegal=True))
        elif span.alone:
            reads.append(Read(span.area, start, span.count, period, (n,)))
        else:
            groups.setdefault((span.area, period), {}).setdefault((start, stop), []).append(n)
    for (area, period), found in groups.items():
        pieces = [Piece(start, stop, tuple(found[start, stop])) for start, stop in sorted(found)]
        limits = _limits(area, max_registers, max_gap)
        cuts = [r for r in bad if r.area == area]
        reads += [join(area, period, part) for part in _cheapest(pieces, *limits, cuts)]
    reads += _sentences(spans, periods)
    return sorted(reads, key=lambda r: (r.period_s, r.area, r.address, r.points))


def _limits(area: Area, max_registers: int, max_gap: int) -> tuple[int, int]:
    registers = min(max_registers, MAX_REGISTERS)
    if area in BIT_AREAS:
        return min(MAX_BITS, registers * 16), max_gap * 16
    return registers, max_gap


def _cheapest(pieces: list[Piece], limit: int, overhead: int, bad: list[Range]) -> list[list[Piece]]:
    """Dynamic programme over pieces sorted by start; ties go to fewer requests."""
    best: list[tuple[int, int]] = [(0, 0)]
    back: list[int] = [0]
    for j in range(1, len(pieces) + 1):
        stop = pieces[j - 1].stop
        options: list[tuple[int, int, int]] = []
        for i in range(j - 1, -1, -1):
            start, stop = pieces[i].start, max(stop, pieces[i].stop)
            if i < j - 1 and (stop - start > limit or any(r.crossed_by(start, stop) for r in bad)):
                break  # reads that begin further left are longer still
            options.append((best[i][0] + overhead + stop - start, best[i][1] + 1, i))
        cost, requests, i = min(options)
        best.append((cost, requests))
        back.append(i)
    out: list[list[Piece]] = []
    j = len(pieces)
    while j > 0:
        out.append(pieces[back[j] : j])
        j = back[j]
    return out[::-1]


def join(area: Area, period: float, pieces: Sequence[Piece]) -> Read:
    """One read for all of them."""
    start, stop = min(p.start for p in pieces), max(p.stop for p in pieces)
    points = tuple(sorted(n for p in pieces for n in p.points))
    return Read(area, start, stop - start, period, points)


def _sentences(spans: Sequence[Span], periods: Sequence[float]) -> list[Read]:
    groups: dict[tuple[str, float, int], list[int]] = {}
    for n, (span, period) in enumerate(zip(spans, periods, strict=True)):
        if span.area == "line":
            groups.setdefault((span.sentence, period, n if span.alone else -1), []).append(n)
    return [
        Read("line", 0, 0, period, tuple(points), sentence)
        for (sentence, period, _), points in groups.items()
    ]


def pieces_of(read: Read, spans: Sequence[Span]) -> list[Piece]:
    """The distinct spans that a read is made for, by address."""
    found: dict[tuple[int, int], list[int]] = {}
    for n in read.points:
        found.setdefault((spans[n].address, spans[n].address + spans[n].count), []).append(n)
    return [Piece(start, stop, tuple(found[start, stop])) for start, stop in sorted(found)]


def gap_between(area: Area, left: Piece, right: Piece) -> Range:
    """What two pieces that are legal by themselves do not allow in one read: the gap between them."""
    return Range(area, min(left.stop, right.start), right.start)
