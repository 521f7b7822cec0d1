"""Numbers of devices and points. They are only ever added while an edge runs.

So what is counted, filtered and queued keeps its meaning when the configuration changes. A point that
changes (another period, another dead band, another unit) gets a new number in a new point table; a device
whose points are the same keeps its numbers, whatever else about it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.codec import PointTable, Topic
from gateway.edge.collect import Collector
from gateway.edge.config import DeviceConfig
from gateway.edge.filter import Batch, Filter, Mask
from gateway.edge.pack import TABLE_POINTS, Packer, Row
from gateway.edge.tally import Tally
from gateway.model import Point


@dataclass(frozen=True, slots=True)
class NewTables:
    """Tables that the outbox needs before the data that uses them: rows, and (tab, payload, devices)."""

    rows: Sequence[Row]
    tables: Sequence[tuple[str, bytes, list[str]]]


class Numbers:
    """Begins empty. notice: told when readings wait for a tick (True: urgently)."""

    def __init__(self, topic: Topic, boot: str, first_n: int, notice: Callable[[bool], None]) -> None:
        self.names: list[str] = []
        self.device_of: NDArray[np.intp] = np.empty(0, np.intp)
        self.tally = Tally([])
        self.collector = Collector([], self.tally, notice)
        self.filter = Filters()
        self.packer = Packer(topic, boot, [], first_n)
        self._index: dict[str, int] = {}
        self._base: dict[str, int] = {}
        self._points: dict[str, list[Point]] = {}

    def index(self, device: str) -> int:
        """The device's own number."""
        return self._index[device]

    def base(self, device: str) -> int:
        """The number of its first point."""
        return self._base[device]

    def place(self, devices: Sequence[DeviceConfig]) -> NewTables:
        """From now on these are the devices. Raises ValueError, and changes nothing, for a doubled point."""
        _refuse_doubled(devices)
        strangers = [d.id for d in devices if d.id not in self._index]
        self._index |= {name: len(self.names) + k for k, name in enumerate(strangers)}
        self.names += strangers
        self.tally.grow(strangers)
        fresh = [d for d in devices if self._points.get(d.id) != list(d.model.points)]
        kept = {d.id for d in devices} - {d.id for d in fresh}
        self._points = {k: p for k, p in self._points.items() if k in kept}
        self._base = {k: b for k, b in self._base.items() if k in kept}
        return self._grow(fresh) if fresh else NewTables([], [])

    def _grow(self, devices: Sequence[DeviceConfig]) -> NewTables:
        points = [p for d in devices for p in d.model.points]
        first = len(self.packer.tables)
        base = self.packer.grow(points)
        self.collector.grow(base, points)
        self.filter.grow(base, points)
        sizes = [len(d.model.points) for d in devices]
        owners = np.repeat(np.array([self._index[d.id] for d in devices], np.intp), sizes)
        unused = np.zeros(base - len(self.device_of), np.intp)
        self.device_of = np.r_[self.device_of, unused, owners]
        for device, size in zip(devices, sizes, strict=True):
            self._base[device.id], self._points[device.id] = base, list(device.model.points)
            base += size
        tables = [
            (t.tab, t.encode(), self._owners(first + n)) for n, t in enumerate(self.packer.tables[first:])
        ]
        return NewTables(self.packer.table_rows(first), tables)

    def _owners(self, table: int) -> list[str]:
        """The device of each point of a table."""
        mine = self.device_of[table * TABLE_POINTS : (table + 1) * TABLE_POINTS]
        return [self.names[d] for d in mine.tolist()]

    def tables(self) -> list[PointTable]:
        """Those that present devices use."""
        used = {n for d in self._base for n in self.tables_of(d)}
        return [self.packer.tables[n] for n in sorted(used)]

    def tables_of(self, device: str) -> range:
        """Numbers of the tables with the device's points."""
        base = self._base[device]
        return range(base // TABLE_POINTS, (base + max(1, len(self._points[device])) - 1) // TABLE_POINTS + 1)


def _refuse_doubled(devices: Sequence[DeviceConfig]) -> None:
    seen: set[str] = set()
    for p in (p for d in devices for p in d.model.points):
        if p.id in seen:
            raise ValueError(f"point {p.id} is read by two devices or twice by one")
        seen.add(p.id)


class Filters:
    """One filter for the points that came together; the numbers of each follow those of the one before."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._parts: list[Filter] = []

    def grow(self, base: int, points: Sequence[Point]) -> None:
        """More points, numbered from `base`."""
        self._starts.append(base)
        self._parts.append(Filter(points))

    def forget(self) -> None:
        """Send every point again at its next reading."""
        for part in self._parts:
            part.forget()

    def process(self, batch: Batch, force: Mask | None = None, *, doubtful: bool = False) -> Mask:
        """See Filter.process."""
        if len(self._parts) == 1:
            return self._parts[0].process(batch, force, doubtful=doubtful)
        passed = np.zeros(len(batch), np.bool_)
        for n, rows in self._owned(batch):
            part = batch[rows]
            part.gid = part.gid - self._starts[n]
            mine = None if force is None else force[rows]
            passed[rows] = self._parts[n].process(part, mine, doubtful=doubtful)
            batch.t[rows], batch.q[rows] = part.t, part.q
        return passed

    def _owned(self, batch: Batch) -> Iterator[tuple[int, NDArray[np.intp]]]:
        owner = np.searchsorted(np.array(self._starts), batch.gid, side="right") - 1
        for n in np.unique(owner).tolist():
            yield n, np.flatnonzero(owner == n)
