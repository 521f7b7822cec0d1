"""The sample store in memory: for tests and for rehearsals that need no history afterwards."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gateway.adapters.columns import Keys, bucketed, checked
from gateway.adapters.files import replaced
from gateway.adapters.held import shares_by_rows
from gateway.model import MessageKey, Ms, Samples
from gateway.ports import Buckets, Shares


class MemoryStore:
    """A dictionary per series; the same contract as the stores on disk, durable for nobody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[int, dict[Ms, tuple[float, int]]] = {}
        self._keys = Keys()

    def append(self, samples: Samples, keys: Sequence[MessageKey], *, historical: bool) -> int:
        """Write rows and keys; rows stored. `historical` makes no difference here."""
        s, stored = checked(samples), 0
        with self._lock:
            rows = zip(s.series.tolist(), s.t.tolist(), s.v.tolist(), s.q.tolist(), strict=True)
            for series, t, v, q in rows:
                of_series = self._rows.setdefault(series, {})
                stored += t not in of_series
                of_series.setdefault(t, (v, q))
            self._keys.update(keys)
        return stored

    def applied(self, keys: Sequence[MessageKey]) -> list[bool]:
        """Which of the keys have been written."""
        with self._lock:
            return [key in self._keys for key in keys]

    def raw(self, series: int, start: Ms, end: Ms) -> Samples:
        """Rows of [start, end) in time order."""
        with self._lock:
            rows = sorted((t, *vq) for t, vq in self._rows.get(series, {}).items() if start <= t < end)
        t, v, q = zip(*rows, strict=True) if rows else ((), (), ())
        return Samples.of([series] * len(rows), t, v, q)

    def buckets(self, series: int, start: Ms, end: Ms, n: int) -> Buckets:
        """[start, end) in n equal buckets."""
        return bucketed(self.raw(series, start, end), start, end, n)

    def shares(self, series: Sequence[int], start: Ms, end: Ms) -> Shares:
        """How long each series was on, and known."""
        return shares_by_rows(self.raw, series, start, end)

    def latest(self, series: Sequence[int], since: Ms) -> Samples:
        """The newest row of each series at or after `since`."""
        found = []
        with self._lock:
            for one in dict.fromkeys(series):
                rows = self._rows.get(one)
                if rows and (t := max(rows)) >= since:
                    found.append((one, t, *rows[t]))
        return Samples.concat([Samples.of([s], [t], [v], [q]) for s, t, v, q in found])

    def count(self) -> int:
        """Rows stored in all."""
        with self._lock:
            return sum(len(rows) for rows in self._rows.values())

    def flush(self) -> None:
        """Nothing waits."""

    def backup(self, folder: str) -> None:
        """A consistent copy as `points.npz` (columns series, t, v, q)."""
        with self._lock:
            rows = [(s, t, *vq) for s, of_series in self._rows.items() for t, vq in of_series.items()]
        every = Samples.of(*zip(*rows, strict=True)) if rows else Samples.empty()
        with replaced(Path(folder) / "points.npz") as half, half.open("wb") as file:
            np.savez(file, series=every.series, t=every.t, v=every.v, q=every.q)

    def close(self) -> None:
        """Nothing to let go of."""
