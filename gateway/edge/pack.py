"""From readings to messages: which table and lane a point belongs to, sequence numbers, payloads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gateway.codec import MAX_POINTS, Account, Data, EventMessage, PointTable, Topic
from gateway.edge.filter import Batch
from gateway.model import Point

TABLE_POINTS = 250
"""Points of one table: stays below 64 kB with the longest names, and lets neighbours share a message."""

EVENT, STATE, LIVE = 0, 1, 2


@dataclass(slots=True)
class Row:
    """One message of the outbox. `n` orders all rows for ever; `seq` counts per (boot, lane)."""

    n: int
    boot: str
    lane: str
    seq: int
    topic: str
    payload: bytes
    tab: str = ""
    points: int = 0
    retain: bool = False


def tables_of(points: Sequence[Point]) -> list[PointTable]:
    """Point tables in the order of the points; number g is index g % TABLE_POINTS of table g // TABLE_POINTS.

    Raises ValueError when a point appears twice.
    """
    seen: set[str] = set()
    for p in points:
        if p.id in seen:
            raise ValueError(f"point {p.id} is read by two devices or twice by one")
        seen.add(p.id)
    return [PointTable.of(points[k : k + TABLE_POINTS]) for k in range(0, len(points), TABLE_POINTS)]


class Packer:
    """Makes rows of one boot. `first_n`: the number of the first row."""

    def __init__(self, topic: Topic, boot: str, points: Sequence[Point], first_n: int) -> None:
        self._topic, self._boot = topic, boot
        self._n = first_n - 1
        self._seq: Counter[str] = Counter()
        self.tables = tables_of(points)
        self._lane = np.array([_lane(p) for p in points], np.uint8)

    def grow(self, points: Sequence[Point]) -> int:
        """More points, in tables of their own; the number of the first. Numbers in use keep their meaning.

        Raises ValueError when a point appears twice among them.
        """
        more, base = tables_of(points), len(self.tables) * TABLE_POINTS
        unused = np.zeros(base - len(self._lane), np.uint8)
        self._lane = np.r_[self._lane, unused, np.array([_lane(p) for p in points], np.uint8)]
        self.tables += more
        return base

    def table_rows(self, first: int = 0) -> list[Row]:
        """Every table from number `first` once, to go ahead of the data that uses it."""
        return [
            self._row("table", self._sub("points", t.tab), t.encode(), tab=t.tab, retain=True)
            for t in self.tables[first:]
        ]

    def account(self, account: Account) -> Row:
        """`account` gets its number here unless it closes an older boot (then it has one)."""
        if account.boot == self._boot:
            account.seq = self.next_seq("account")
        self._n += 1
        topic = self._sub("account")
        return Row(self._n, account.boot, "account", account.seq, topic, account.encode())

    def next_seq(self, lane: str) -> int:
        """Count one up."""
        self._seq[lane] += 1
        return self._seq[lane]

    def analog(self, batch: Batch) -> Any:
        """Mask of the rows that may be thinned: neither events nor states."""
        return self._lane[batch.gid] == LIVE

    def pack(self, batch: Batch, attrs: Mapping[int, Mapping[str, Any]], *, live: bool) -> list[Row]:
        """Messages of readings that passed the filter. attrs: text facts by row.

        live: False while the core is out of reach: values that are neither life safety nor states become
        `backlog`, to be back-filled later.
        """
        lanes = self._lane[batch.gid]
        if attrs:
            lanes[list(attrs)] = EVENT
        rows = [self._event(batch, k, attrs.get(k, {})) for k in np.flatnonzero(lanes == EVENT).tolist()]
        rows += self._data(batch, np.flatnonzero(lanes == STATE), "state")
        rows += self._data(batch, np.flatnonzero(lanes == LIVE), "live" if live else "backlog")
        return rows

    def _event(self, batch: Batch, k: int, attrs: Mapping[str, Any]) -> Row:
        tab, i = divmod(int(batch.gid[k]), TABLE_POINTS)
        seq = self.next_seq("event")
        message = EventMessage(
            f"{self._topic.gateway}-{self._boot}-{seq}", self._boot, seq, self.tables[tab].tab,
            int(batch.t[k]), i, float(batch.v[k]), int(batch.q[k]), attrs,
        )  # fmt: skip
        self._n += 1
        return Row(
            self._n, self._boot, "event", seq, self._sub("event"), message.encode(), message.tab, points=1
        )

    def _data(self, batch: Batch, rows: Any, lane: str) -> Iterator[Row]:
        tabs = batch.gid[rows] // TABLE_POINTS
        for tab in np.unique(tabs).tolist():
            mine = rows[tabs == tab]
            for k in range(0, len(mine), MAX_POINTS):
                part = batch[mine[k : k + MAX_POINTS]]
                yield self._message(part, tab, lane)

    def _message(self, part: Batch, tab: int, lane: str) -> Row:
        t = int(part.t.min())
        data = Data(
            self._boot, lane, self.next_seq(lane), self.tables[tab].tab, t,
            (part.gid % TABLE_POINTS).astype(np.int64), part.t - t, part.v, part.q, hist=lane == "backlog",
        )  # fmt: skip
        self._n += 1
        return Row(self._n, self._boot, lane, data.seq, self._sub("data"), data.encode(), data.tab, len(part))

    def _row(self, lane: str, topic: str, payload: bytes, *, tab: str, retain: bool) -> Row:
        self._n += 1
        return Row(self._n, self._boot, lane, self.next_seq(lane), topic, payload, tab, 0, retain)

    def _sub(self, leaf: str, rest: str = "") -> str:
        return str(Topic(self._topic.estate, self._topic.gateway, leaf, rest))


def _lane(p: Point) -> int:
    if p.life or p.kind == "text":
        return EVENT
    return STATE if p.kind in ("digital", "enum") else LIVE
