"""History of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gateway.model import (
    MessageKey,
    Ms,
    Samples,
)


@dataclass(slots=True)
class Buckets:
    """Down-sampled series: bucket starts (ms), min, max, mean, count; empty buckets are left out."""

    t: NDArray[np.int64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]
    n: NDArray[np.int64]


@dataclass(slots=True)
class Shares:
    """Of each series (rising ids): ms of a window for which its held value was above 0, and was known."""

    series: NDArray[np.uint32]
    on_ms: NDArray[np.int64]
    known_ms: NDArray[np.int64]


class SampleStore(Protocol):
    """History of samples. (series, t) is unique and the first one wins. Blocking; call it in a thread."""

    def append(self, samples: Samples, keys: Sequence[MessageKey], *, historical: bool) -> int:
        """Write rows and their message keys in one transaction; rows stored (duplicates not counted).

        A key that was applied before makes nothing twice: its rows are matched by (series, t).
        `historical` marks redelivered or back-filled rows that may lie anywhere in time.
        """

    def applied(self, keys: Sequence[MessageKey]) -> list[bool]:
        """Which of the keys have been written."""

    def raw(self, series: int, start: Ms, end: Ms) -> Samples:
        """Rows of [start, end) in time order."""

    def buckets(self, series: int, start: Ms, end: Ms, n: int) -> Buckets:
        """[start, end) in n equal buckets; min and max are exact. BAD rows take no part.

        A store may answer from roll-ups where a bucket is longer than five of their slots: then a row near
        the edge of a bucket may count in the neighbouring one; the window's own ends stay exact.
        """

    def shares(self, series: Sequence[int], start: Ms, end: Ms) -> Shares:
        """How long each series was on, and known, within [start, end).

        A value holds until the next row of its series, for at most a day.
        """

    def latest(self, series: Sequence[int], since: Ms) -> Samples:
        """The newest row of each series at or after `since`."""

    def count(self) -> int:
        """Rows stored in all."""

    def flush(self) -> None:
        """Make everything that was appended durable and readable."""

    def backup(self, folder: str) -> None:
        """A consistent copy into `folder` while writing goes on."""

    def close(self) -> None:
        """Flush and let go."""
