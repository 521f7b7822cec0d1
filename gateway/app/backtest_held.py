"""Readings that an edge does not send, put back into a history: values that stayed within their deadband.

The running core proves them by the edge's account. History has no accounts, so here a device counts as read
from each of its readings on for `SPEAKS`; while it does, each of its values counts as held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from alerts.engine import PointInfo
from gateway.model import Level, Ms, Samples

I8 = NDArray[np.int64]

SPEAKS: Ms = 900_000
"""A device that said anything within this is taken as read: its unchanged values count as held."""
NEVER: Ms = -(2**62)
FAR: Ms = 2**62


class Voices:
    """When devices counted as read: stretches from a reading to `SPEAKS` after the last one."""

    def __init__(self, points: Sequence[PointInfo]) -> None:
        names = [p.device or p.asset for p in points]
        number = {name: n for n, name in enumerate(dict.fromkeys(names))}
        self.of = {p.series: number[name] for p, name in zip(points, names, strict=True)}
        self._device = np.zeros(max(self.of, default=0) + 1, np.int64)
        self._device[list(self.of)] = list(self.of.values())
        self._start, self._last = [NEVER] * len(number), [NEVER] * len(number)

    def hear(self, rows: Samples, until: Ms) -> list[tuple[I8, I8]]:
        """(starts, ends) of each device's stretches that `rows` tell of, and the one before them.

        rows: in order of time, up to `SPEAKS` beyond `until`, so that what ends before it is known; from
        `until` on they will come again.
        """
        device = self._device[rows.series]
        order = np.argsort(device, kind="stable")
        times, edges = rows.t[order], np.searchsorted(device[order], np.arange(len(self._last) + 1))
        found = []
        for k, (last, start) in enumerate(zip(self._last, self._start, strict=True)):
            t = np.r_[last, times[edges[k] : edges[k + 1]]]
            broken = np.flatnonzero(t[1:] - t[:-1] > SPEAKS)
            starts, ends = np.r_[start, t[1:][broken]], np.r_[t[:-1][broken], t[-1]] + SPEAKS
            found.append((starts, ends))
            self._last[k] = int(t[t < until].max(initial=last))
            self._start[k] = int(starts[starts < until].max(initial=start))
        return found


class Day:
    """The rows of [start, until), with what lies around them."""

    def __init__(
        self,
        rows: Samples,
        stretches: Sequence[tuple[I8, I8]],
        device: Mapping[int, int],
        span: tuple[Ms, Ms],
    ) -> None:
        """`rows` by series and time, the newest ones before included; `stretches` of each device."""
        self._rows, self._stretches, self._device = rows, stretches, device
        self._start, self._until = span

    def completed(self, series: Sequence[int], every: Sequence[Ms], lead: Sequence[Ms]) -> Samples:
        """Rows of these series in order of time, with a held one at least each `every` while they are held.

        lead: how long before the end of a stretch its last one is to be.
        """
        rows, places, times = self._rows, [], []
        for one, step, before in zip(series, every, lead, strict=True):
            a, b = np.searchsorted(rows.series, [one, one + 1]).tolist()
            if a < b:
                place, t = self._held(rows.t[a:b], one, step, before)
                places.append(place + a)
                times.append(t)
        if not places:
            return Samples.empty()
        place, t = np.concatenate(places), np.concatenate(times)
        known = (rows.q[place] >> 5 < Level.STALE) & np.isfinite(rows.v[place])
        own = (rows.t >= self._start) & (rows.t < self._until) & np.isin(rows.series, np.asarray(series))
        added = rows[place[known]]
        added.t[:] = t[known]
        both = Samples.concat([rows[own], added])
        return both[np.argsort(both.t, kind="stable")]

    def _held(self, t: I8, series: int, every: Ms, lead: Ms) -> tuple[I8, I8]:
        """(which row, when) of what one series held within the day."""
        starts, ends = self._stretches[self._device[series]]
        stops = ends - lead
        after = np.r_[t[1:], FAR]
        # What is held begins with a row, or where its device is heard again after it was silent.
        own = np.searchsorted(starts, t, side="right") - 1
        heard = np.searchsorted(t, starts, side="right") - 1
        again = np.flatnonzero((heard >= 0) & (t[heard] < starts) & (starts > NEVER))
        inside = np.flatnonzero((own >= 0) & (t <= ends[own]))
        row, stretch = np.r_[inside, heard[again]], np.r_[own[inside], again]
        begin = np.r_[t[inside], starts[again]]
        first = np.r_[np.ones(len(inside), np.int64), np.zeros(len(again), np.int64)]
        return self._regular(row, begin, first, (stops[stretch], after[row]), every)

    def _regular(self, row: I8, begin: I8, first: I8, ends: tuple[I8, I8], every: Ms) -> tuple[I8, I8]:
        """Each `every` from `begin` on up to the next row, and at the stop where that comes first."""
        stop, after = ends
        k = np.maximum(first, -((begin - self._start) // every))  # the first within the day
        limit = np.minimum(np.minimum(stop, after), self._until)
        count = np.maximum(-((begin + k * every - limit) // every), 0)
        of = np.repeat(np.arange(len(row)), count)
        nth = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
        t = begin[of] + (k[of] + nth) * every
        last = (stop < after) & (stop > begin) & (stop >= self._start) & (stop < self._until)
        return np.r_[row[of], row[last]], np.r_[t, stop[last]]


class Completer:
    """Cuts a history into days and knows what goes on from one to the next."""

    def __init__(self, points: Sequence[PointInfo]) -> None:
        self._voices = Voices(points)
        self._last = Samples.empty()

    def day(self, rows: Samples, start: Ms, until: Ms) -> Day:
        """The next day. `rows`: of [start, until + SPEAKS), in order of time."""
        stretches = self._voices.hear(rows, until)
        every = Samples.concat([self._last, rows])
        every = every[np.lexsort((every.t, every.series))]
        past = every[every.t < until]
        self._last = past[np.r_[past.series[1:] != past.series[:-1], len(past) > 0]]
        return Day(every, stretches, self._voices.of, (start, until))
