"""The devices' own log: how many rounds were kept, and how late. It does not depend on the client."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.edge.truth import BLOCKS, HEALTHY, Faults

LOG = np.dtype(
    [("t", "<u8"), ("device", "<u2"), ("address", "<u2"), ("count", "<u2"), ("kind", "u1"), ("", "u1")]
)
"""As devices.ENTRY writes it."""
WHOLE_FRACTION = 0.25
"""A round belongs to the instant that it was due at when it comes less than this share of a period early."""

Seconds = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rounds:
    """Rounds of the healthy devices inside the window: three blocks read inside their own period.

    late_ms: how far the first request of each round is from the device's own grid · worst: share of the
    rounds of the device that was served worst.
    """

    done: int
    due: int
    worst: float
    late_ms: NDArray[np.float64]

    @property
    def share(self) -> float:
        """Done of due."""
        return self.done / self.due if self.due else 0.0

    def late(self, percentile: float) -> float | None:
        """ms; None without rounds."""
        return round(float(np.percentile(self.late_ms, percentile)), 2) if len(self.late_ms) else None


class RequestLog:
    """All requests of one run. Times are seconds of the monotonic clock, as `time.monotonic` gives them."""

    def __init__(self, path: Path) -> None:
        entries = np.fromfile(path, LOG)
        self._t = entries["t"] / 1e9
        self._device, self._address = entries["device"], entries["address"]
        self._count, self._kind = entries["count"].astype(np.int64), entries["kind"]

    def answered(self, start: float, end: float) -> int:
        """Points in good answers between two instants."""
        return int(self._count[self._window(start, end) & (self._kind == HEALTHY)].sum())

    def requests(self, start: float, end: float) -> int:
        """Requests of all kinds between two instants."""
        return int(self._window(start, end).sum())

    def rounds(self, start: float, end: float, period_s: float, devices: int, faults: Faults) -> Rounds:
        """How the schedule was kept."""
        done = due = 0
        worst, late = 1.0, [np.empty(0)]
        for device in range(devices):
            if faults.of(device, devices) != HEALTHY:
                continue
            mine = self._device == device
            times = [np.sort(self._t[mine & (self._address == block)]) for block in BLOCKS]
            kept, wanted, deviations = _rounds(times, start, end, period_s)
            done, due = done + kept, due + wanted
            worst = min(worst, kept / wanted if wanted else 1.0)
            late.append(deviations)
        return Rounds(done, due, worst, np.concatenate(late))

    def _window(self, start: float, end: float) -> NDArray[np.bool_]:
        return np.asarray((self._t >= start) & (self._t < end))


def _rounds(times: list[Seconds], start: float, end: float, period_s: float) -> tuple[int, int, Seconds]:
    """Rounds done and due, and the deviations in ms, of one device with the times of its blocks.

    The grid is the device's own: the median phase of its first requests inside the window.
    """
    first = times[0][(times[0] >= start) & (times[0] < end)]
    due = int((end - start) / period_s + 1e-6)
    if len(first) < 2:
        return min(len(first), due), due, np.empty(0)
    steps = (first - first[0]) / period_s
    phase = float(np.median(steps - np.round(steps))) * period_s + first[0]
    deviations = np.abs(first - phase - np.round((first - phase) / period_s) * period_s)
    early = WHOLE_FRACTION * period_s
    # Only instants whose whole period lies inside the window count, so that its ends cost nobody a round.
    lowest = int(np.ceil((start + early - phase) / period_s))
    highest = int(np.floor((end - phase) / period_s - 1 + WHOLE_FRACTION))
    kept = set(range(lowest, highest + 1))
    due = len(kept)
    for block in times:
        kept &= set(np.floor((block - phase) / period_s + WHOLE_FRACTION).astype(int).tolist())
    return len(kept), due, deviations * 1000
