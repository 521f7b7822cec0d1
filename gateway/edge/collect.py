"""What the lines read between two ticks, as columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.edge.filter import Batch
from gateway.edge.tally import Tally
from gateway.edge.unit import Lesson
from gateway.model import Ms, Point

TextFacts = dict[int, Mapping[str, Any]]


class Collector:
    """The lines' sink. `wake(urgent)` is called for the first reading of a tick and for life safety."""

    def __init__(self, points: Sequence[Point], tally: Tally, wake: Callable[[bool], None]) -> None:
        self._urgent = np.array([p.life or p.kind == "text" for p in points], np.bool_)
        self._any_urgent = bool(self._urgent.any())
        self._tally, self._wake = tally, wake
        self._gid: list[NDArray[np.intp]] = []
        self._t: list[Ms] = []
        self._v: list[NDArray[np.float64]] = []
        self._q: list[NDArray[np.uint8]] = []
        self._n = 0
        self._attrs: TextFacts = {}
        self._last_attrs: TextFacts = {}
        self._lessons: dict[int, Sequence[Lesson]] = {}

    def grow(self, base: int, points: Sequence[Point]) -> None:
        """More points, numbered from `base`; numbers that are in use keep their meaning."""
        urgent = np.array([p.life or p.kind == "text" for p in points], np.bool_)
        unused = np.zeros(base - len(self._urgent), np.bool_)
        self._urgent = np.r_[self._urgent, unused, urgent]
        self._any_urgent = bool(self._urgent.any())

    def readings(
        self,
        device: int,
        gid: NDArray[np.intp],
        t: Ms,
        v: NDArray[np.float64],
        q: NDArray[np.uint8],
        attrs: Mapping[int, Mapping[str, Any]],
    ) -> None:
        """See Sink."""
        for k in np.flatnonzero(np.isin(gid, list(attrs))).tolist() if attrs else ():
            self._attrs[self._n + k] = attrs[int(gid[k])]
        self._gid.append(gid)
        self._t.append(t)
        self._v.append(v)
        self._q.append(q)
        self._n += len(gid)
        if self._any_urgent and self._urgent[gid].any():
            self._wake(True)
        elif len(self._gid) == 1:
            self._wake(False)

    def gap(self, device: int, cause: str, points: int) -> None:
        """See Sink."""
        self._tally.gap(device, cause, points)

    def learned(self, device: int, lessons: Sequence[Lesson]) -> None:
        """See Sink."""
        self._lessons[device] = list(lessons)
        self._wake(False)

    @property
    def empty(self) -> bool:
        """Nothing waits for the tick."""
        return not self._gid

    def take(self) -> tuple[Batch, TextFacts]:
        """Everything since the last call, and the text facts by row."""
        if not self._gid:
            return Batch(np.empty(0, np.intp), np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8)), {}
        t = np.repeat(np.array(self._t, np.int64), [len(g) for g in self._gid])
        batch = Batch(np.concatenate(self._gid), t, np.concatenate(self._v), np.concatenate(self._q))
        attrs, self._attrs = self._attrs, {}
        self._gid, self._t, self._v, self._q, self._n = [], [], [], [], 0
        return batch, attrs

    def lessons(self) -> dict[int, Sequence[Lesson]]:
        """What was learnt since the last call, by device."""
        lessons, self._lessons = self._lessons, {}
        return lessons

    def changed(self, batch: Batch, attrs: TextFacts) -> NDArray[np.bool_] | None:
        """Mask of the rows whose text differs from the point's last text; None without texts."""
        if not attrs:
            return None
        mask = np.zeros(len(batch), np.bool_)
        for row, text in attrs.items():
            gid = int(batch.gid[row])
            mask[row] = self._last_attrs.get(gid) != text
            self._last_attrs[gid] = text
        return mask
