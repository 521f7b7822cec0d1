"""The edge's half of the balance, per device, in points: due = stored + suppressed + thinned + Σ gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.codec import DeviceAccount

Counts = NDArray[np.int64]


class Tally:
    """Cumulative counts since boot and what was added since the last `delta`.

    A round is booked as due together with its outcome, so the balance closes at every instant.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        self._devices = list(devices)
        self._n = np.zeros((3, len(devices)), np.int64)  # stored, suppressed, thinned
        self._gaps: list[dict[str, int]] = [{} for _ in devices]
        self._old = self._n.copy()
        self._new_gaps: dict[int, dict[str, int]] = {}

    def grow(self, devices: Sequence[str]) -> None:
        """More devices; numbers that are in use keep their meaning."""
        self._devices += devices
        self._gaps += [{} for _ in devices]
        more = np.zeros((3, len(devices)), np.int64)
        self._n, self._old = np.hstack([self._n, more]), np.hstack([self._old, more])

    def readings(self, stored: NDArray[np.intp], suppressed: NDArray[np.intp]) -> None:
        """Device numbers, one per point."""
        self._n[0] += self._count(stored)
        self._n[1] += self._count(suppressed)

    def thinned(self, stored: NDArray[np.intp]) -> None:
        """Points that were stored and have been thinned out since."""
        count = self._count(stored)
        self._n[0] -= count
        self._n[2] += count

    def thinned_in_store(self, device: int, points: int) -> None:
        """The outbox thinned its rows and noted the delta itself."""
        change = np.array([-points, 0, points], np.int64)
        self._n[:, device] += change
        self._old[:, device] += change

    def gap(self, device: int, cause: str, points: int) -> None:
        """Points that were due and not read."""
        for gaps in (self._gaps[device], self._new_gaps.setdefault(device, {})):
            gaps[cause] = gaps.get(cause, 0) + points

    def delta(self) -> bytes:
        """What changed since the last call, for the outbox; empty when nothing did. See `replay`."""
        moved = np.flatnonzero((self._n != self._old).any(axis=0))
        if not len(moved) and not self._new_gaps:
            return b""
        change = self._n - self._old
        n = {self._devices[d]: change[:, d].tolist() for d in moved.tolist()}
        gaps = {self._devices[d]: g for d, g in self._new_gaps.items()}
        self._old = self._n.copy()
        self._new_gaps = {}
        return orjson.dumps({"n": n, "gaps": gaps})

    def devices(self) -> dict[str, DeviceAccount]:
        """The cumulative counts for an `account`."""
        total = self._n.sum(axis=0)
        return {
            name: DeviceAccount(
                int(total[d]) + sum(self._gaps[d].values()),
                int(self._n[0, d]), int(self._n[1, d]), int(self._n[2, d]), dict(self._gaps[d]),
            )
            for d, name in enumerate(self._devices)
        }  # fmt: skip

    def _count(self, devices: NDArray[np.intp]) -> Counts:
        return np.bincount(devices, minlength=len(self._devices)).astype(np.int64)


def replay(devices: Mapping[str, DeviceAccount], deltas: Sequence[bytes]) -> dict[str, DeviceAccount]:
    """An account brought up to date with the deltas that were committed after it."""
    out = {k: replace(d, gaps=dict(d.gaps)) for k, d in devices.items()}
    for delta in deltas:
        body: dict[str, Any] = orjson.loads(delta)
        for name, (stored, suppressed, thinned) in body["n"].items():
            d = out.setdefault(name, DeviceAccount())
            d.stored += stored
            d.suppressed += suppressed
            d.thinned += thinned
            d.due += stored + suppressed + thinned
        for name, gaps in body["gaps"].items():
            d = out.setdefault(name, DeviceAccount())
            for cause, points in gaps.items():
                d.gaps[cause] = d.gaps.get(cause, 0) + points
                d.due += points
    return out
