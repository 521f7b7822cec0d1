"""Which messages have been applied: closed ranges of sequence numbers per (gateway, boot, lane)."""

from __future__ import annotations

import bisect

from gateway.model import MessageKey

Lane = tuple[str, str, str]


class Applied:
    """The memory of exactly-once. Mirrors what the state store keeps."""

    def __init__(self, ranges: dict[Lane, list[tuple[int, int]]]) -> None:
        self._ranges = {k: sorted(v) for k, v in ranges.items()}

    def __contains__(self, key: MessageKey) -> bool:
        ranges = self._ranges.get((key.gateway, key.boot, key.lane), [])
        n = bisect.bisect_right(ranges, (key.seq, 1 << 62)) - 1
        return n >= 0 and ranges[n][0] <= key.seq <= ranges[n][1]

    def add(self, key: MessageKey) -> None:
        """Mark it; merges neighbours."""
        ranges = self._ranges.setdefault((key.gateway, key.boot, key.lane), [])
        n = bisect.bisect_left(ranges, (key.seq, key.seq))
        first = last = key.seq
        if n < len(ranges) and ranges[n][0] <= key.seq + 1:
            last = max(last, ranges[n][1])
            del ranges[n]
        if n > 0 and ranges[n - 1][1] >= key.seq - 1:
            first = ranges[n - 1][0]
            last = max(last, ranges[n - 1][1])
            del ranges[n - 1]
            n -= 1
        ranges.insert(n, (first, last))

    def upto(self, lane: Lane) -> int:
        """The end of the unbroken run from 1; 0 while number 1 is missing."""
        ranges = self._ranges.get(lane, [])
        return ranges[0][1] if ranges and ranges[0][0] <= 1 else 0

    def missing(self, lane: Lane, below: int, limit: int) -> list[int]:
        """Numbers under `below` that were never applied, at most so many."""
        out: list[int] = []
        at = 1
        for first, last in self._ranges.get(lane, []):
            out += range(at, min(first, below, at + limit - len(out)))
            at = last + 1
            if at >= below or len(out) >= limit:
                return out
        return out + list(range(at, min(below, at + limit - len(out))))

    def count(self) -> int:
        """Messages applied in all."""
        return sum(b - a + 1 for ranges in self._ranges.values() for a, b in ranges)
