"""The core's journal and snapshots: after a crash the detectors stand where an uninterrupted run would.

Every input that reaches the detectors is written in the transaction that commits its effects; a snapshot
file holds the detectors' state at one journal position. Start: newest snapshot that opens, then the
journal after it, with outputs muted. So a replay needs neither the broker nor the sample store.
"""

from __future__ import annotations

import contextlib
import logging
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gateway.model import Samples

log = logging.getLogger(__name__)

_HEAD = struct.Struct("<I")
KEEP = 2
"""Snapshots kept; the journal reaches back to the oldest of them."""


def pack(samples: Samples) -> bytes:
    """Columns as one blob: row count, then series, t, v, q."""
    return _HEAD.pack(len(samples)) + b"".join(
        c.tobytes() for c in (samples.series, samples.t, samples.v, samples.q)
    )


def unpack(blob: bytes) -> Samples:
    """The inverse of `pack`. Raises ValueError when the blob is cut."""
    (n,) = _HEAD.unpack_from(blob)
    if len(blob) != _HEAD.size + n * (4 + 8 + 8 + 1):
        raise ValueError(f"journal entry of {len(blob)} bytes does not hold {n} rows")
    out, at = [], _HEAD.size
    for dtype in (np.uint32, np.int64, np.float64, np.uint8):
        out.append(np.frombuffer(blob, dtype, n, at).copy())
        at += n * np.dtype(dtype).itemsize
    return Samples(*out)  # type: ignore[arg-type]  # the four columns in their order


class Snapshots:
    """Snapshot files `detectors-<position>.npz` in a folder; written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, position: int, blob: bytes) -> int:
        """Store one; returns the position up to which the journal may be trimmed."""
        target = self._folder / f"detectors-{position:012d}.npz"
        part = target.with_suffix(".part")
        with part.open("wb") as f:
            f.write(blob)
            f.flush()
            os.fsync(f.fileno())
        part.replace(target)
        for old in self._files()[KEEP:]:
            old.unlink(missing_ok=True)
        return min(self._position(f) for f in self._files())

    def newest(self) -> Iterator[tuple[int, bytes]]:
        """Snapshots from the newest to the oldest, as far as they can be read."""
        for path in self._files():
            with contextlib.suppress(OSError):
                yield self._position(path), path.read_bytes()

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("detectors-*.npz"), reverse=True)

    @staticmethod
    def _position(path: Path) -> int:
        return int(path.stem.split("-")[1])
