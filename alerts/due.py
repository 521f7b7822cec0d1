"""What is due next: a heap of moments, one for each id, so that a look at the time costs only what is due."""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from gateway.model import Ms

SLACK = 64
"""Moments that were put off stay in the heap until they come up; beyond this many it is made anew."""


class Due:
    """The next moment of each id."""

    def __init__(self) -> None:
        self._at: dict[str, Ms] = {}
        self._heap: list[tuple[Ms, str]] = []

    def put(self, id_: str, at: Ms | None) -> None:
        """From now on this is its moment, in place of the one before; None: it has none."""
        if at is None:
            self._at.pop(id_, None)
        elif self._at.get(id_) != at:
            self._at[id_] = at
            heappush(self._heap, (at, id_))
            if len(self._heap) > 2 * len(self._at) + SLACK:
                self._heap = [(t, i) for i, t in self._at.items()]
                heapify(self._heap)

    def __len__(self) -> int:
        """Ids that have a moment."""
        return len(self._at)

    def at(self, id_: str) -> Ms | None:
        """Its moment."""
        return self._at.get(id_)

    def pop(self, now: Ms) -> list[str]:
        """Ids whose moment has come, by time and id. They have none until it is put again."""
        out = []
        while self._heap and self._heap[0][0] <= now:
            at, id_ = heappop(self._heap)
            if self._at.get(id_) == at:
                del self._at[id_]
                out.append(id_)
        return out
