"""Pure: finds which part of a refused read the device refuses.

A generator asks for reads and is told the verdicts, so that the search needs no wire to be tested. Every
point of the refused read is either read by itself or with others, or known to be refused. With `n` spans in
the read each hole costs at most ceil(log2 n) reads besides the refused read itself and those that the learnt
plan makes anyway.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from enum import Enum

from gateway.edge.plan import Range, Read, gap_between, join, pieces_of
from gateway.ports import Span


class Verdict(Enum):
    """What came back: values, an illegal address or value (exception 2 or 3), or another refusal."""

    LEGAL = 1
    REFUSED = 2
    OTHER = 3


Search = Generator[Read, Verdict, None]


class Refusal:
    """The search in one refused read; `lessons` grows while `steps` runs."""

    def __init__(self, read: Read, spans: Sequence[Span], known: Iterable[Range] = ()) -> None:
        self._read = read
        self._pieces = pieces_of(read, spans)
        self._known = list(known)
        self._read_well: set[int] = set()
        self.lessons: list[Range] = []

    @property
    def legal(self) -> int:
        """How many of the spans were read."""
        return len(self._read_well)

    @property
    def possible(self) -> bool:
        """False for a read of one span or of a text line: there is nothing to split."""
        return self._read.area != "line" and len(self._pieces) > 1

    def steps(self) -> Search:
        """Yields reads, takes verdicts; ends early at Verdict.OTHER, with the lessons found until then."""
        at, n, illegal_run = 0, len(self._pieces), 0
        refused = True  # the read of all pieces from `at` on
        while at < n:
            if not refused:
                # After two illegal neighbours the next is likely to be a third: it is asked alone.
                stop = at + 1 if illegal_run >= 2 else n
                verdict = yield self._join(at, stop)
                if verdict is Verdict.OTHER:
                    return
                if verdict is Verdict.LEGAL:
                    self._read_well.update(range(at, stop))
                    at, illegal_run = stop, 0
                    continue
            else:
                stop = n
            found = yield from self._first_offender(at, stop)
            if found is None:
                return
            place, illegal = found
            illegal_run = 0 if not illegal else illegal_run + 1 if place == at else 1
            at, refused = place + 1, False

    def _first_offender(self, start: int, stop: int) -> Generator[Read, Verdict, tuple[int, bool] | None]:
        """(piece, whether it is illegal by itself): pieces before it are read, with it they are refused."""
        low, high, direct = start, stop, not self._begins_before(start)
        while high - low > 1:
            middle = (low + high) // 2
            verdict = yield self._join(low, middle)
            if verdict is Verdict.OTHER:
                return None
            if verdict is Verdict.LEGAL:
                self._read_well.update(range(low, middle))
                low, direct = middle, False
            else:
                high, direct = middle, not self._begins_before(low)
        if not direct:
            verdict = yield self._join(low, high, alone=True)
            if verdict is Verdict.OTHER:
                return None
            if verdict is Verdict.LEGAL:
                self._read_well.add(low)
                self._cut(start, low)
                return low, False
        self._illegal(low)
        return low, True

    def _begins_before(self, place: int) -> bool:
        """The piece before it is legal, and unused registers lie between."""
        return place - 1 in self._read_well and self._pieces[place - 1].stop < self._pieces[place].start

    def _illegal(self, place: int) -> None:
        piece = self._pieces[place]
        self.lessons.append(Range(self._read.area, piece.start, piece.stop))

    def _cut(self, start: int, place: int) -> None:
        """All pieces are legal, but not together: the unused registers between two, or a limit of length."""
        cut = gap_between(self._read.area, self._pieces[place - 1], self._pieces[place])
        again = any(r.start == self._read.stop or r.stop == self._read.address for r in self._known)
        if cut.start == cut.stop or again:
            middle = (start + place + 1) // 2
            cut = gap_between(self._read.area, self._pieces[middle - 1], self._pieces[middle])
        self.lessons.append(cut)

    def _join(self, start: int, stop: int, *, alone: bool = False) -> Read:
        """A read of these pieces; it begins with the one before, so that the gap between is tried too."""
        read = join(self._read.area, self._read.period_s, self._pieces[start:stop])
        if alone or not self._begins_before(start):
            return read
        before = self._pieces[start - 1]
        return replace(read, address=before.start, count=read.stop - before.start)
