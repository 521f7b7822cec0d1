"""Which points there are, by series and by asset; and a snapshot's columns as bytes."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from alerts.engine.bind import PointInfo
from alerts.engine.columns import Any_


class Table:
    """All points, in the order in which they came; a point that changes keeps its place."""

    def __init__(self) -> None:
        self.points: dict[int, PointInfo] = {}
        self._place: dict[int, int] = {}
        self._of: dict[str, set[int]] = {}
        self._next = 0

    def change(
        self, put: Mapping[int, PointInfo], gone: Iterable[int]
    ) -> tuple[set[str], list[int], list[int]]:
        """Points come, change and go; gives (assets that are touched, series that are new, that are gone)."""
        new = [s for s in put if s not in self.points]
        old = [s for s in set(gone) if s in self.points]
        changed = {s: p for s, p in put.items() if self.points.get(s) != p}
        assets = {p.asset for p in changed.values()}
        for s in [*old, *(s for s in changed if s in self.points)]:
            asset = self.points[s].asset
            assets.add(asset)
            self._of[asset].discard(s)
            if not self._of[asset]:
                del self._of[asset]
        for s, p in changed.items():
            self.points[s] = p
            self._of.setdefault(p.asset, set()).add(s)
        for s in new:
            self._place[s] = self._next = self._next + 1
        for s in old:
            del self.points[s], self._place[s]
        return assets, new, old

    def series(self, assets: Iterable[str]) -> list[int]:
        """Series of the points of assets, in their order."""
        return sorted((s for a in assets for s in self._of.get(a, ())), key=self._place.__getitem__)

    def of(self, assets: Iterable[str]) -> list[PointInfo]:
        """The points of assets, in their order."""
        return [self.points[s] for s in self.series(assets)]


def packed(header: Mapping[str, Any], arrays: Mapping[str, Any_]) -> bytes:
    """As npz without pickles; the header is JSON."""
    file = io.BytesIO()
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    arrays = {name: np.ascontiguousarray(a) for name, a in arrays.items()}
    np.savez(file, header=text, **arrays)  # type: ignore[arg-type]  # numpy types every keyword as bool
    return file.getvalue()


def unpacked(data: bytes) -> tuple[dict[str, Any], dict[str, Any_]]:
    """(header, arrays). Raises ValueError."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            header = json.loads(file["header"].tobytes())
            return header, {name: file[name] for name in file.files if name != "header"}
    except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile) as e:
        raise ValueError("these bytes are no snapshot of a rule engine") from e
