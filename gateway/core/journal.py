"""The core's journal and snapshots: after a crash the detectors stand where an uninterrupted run would.

Every input that reaches the detectors is written in the transaction that commits its effects; a snapshot
file holds the detectors' state at one journal position. Start: newest snapshot that opens, then the
journal after it, with outputs muted. So a replay needs neither the broker nor the sample store.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from gateway.model import Samples

log = logging.getLogger(__name__)

_HEAD = struct.Struct("<I")
_MAGIC = b"STEWARD-DETECTORS-1\n"
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


def bundle(facts: Mapping[str, Any], blobs: Sequence[bytes]) -> bytes:
    """JSON facts and binary parts as one blob."""
    head = orjson.dumps({"facts": facts, "sizes": [len(b) for b in blobs]})
    return _HEAD.pack(len(head)) + head + b"".join(blobs)


def unbundle(blob: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The inverse of `bundle`."""
    (size,) = _HEAD.unpack_from(blob)
    at = _HEAD.size + size
    head = orjson.loads(blob[_HEAD.size : at])
    parts = []
    for n in head["sizes"]:
        parts.append(blob[at : at + n])
        at += n
    return head["facts"], parts


class Snapshots:
    """Snapshot files `detectors-<position>.snap` in a folder: whole or not there, with a checksum."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, position: int, blob: bytes) -> int:
        """Store one; returns the position up to which the journal may be trimmed. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        target = self._folder / f"detectors-{position:012d}.snap"
        part = target.with_suffix(".part")
        try:
            with part.open("wb") as f:
                f.write(_MAGIC + hashlib.sha256(blob).digest() + blob)
                f.flush()
                os.fsync(f.fileno())
            part.replace(target)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        for old in self._files()[KEEP:]:
            old.unlink(missing_ok=True)
        return min(self._position(f) for f in self._files())

    def newest(self) -> Iterator[tuple[int, bytes]]:
        """Snapshots from the newest to the oldest, as far as they are whole."""
        for path in self._files():
            try:
                data = path.read_bytes()
            except OSError as e:
                log.error("snapshot cannot be read file=%s reason=%r; an older one is used", path, str(e))
                continue
            head = len(_MAGIC) + 32
            blob = data[head:]
            if data[:head] != _MAGIC + hashlib.sha256(blob).digest():
                log.error("snapshot is damaged file=%s; an older one is used", path)
                continue
            yield self._position(path), blob

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("detectors-*.snap"), reverse=True)

    @staticmethod
    def _position(path: Path) -> int:
        return int(path.stem.split("-")[1])
