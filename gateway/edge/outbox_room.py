"""Making room in an outbox: first telemetry is thinned, then the oldest goes, alarms last of all.

Two things are never done. A row that was handed out is left alone: the core may hold it already, and its
account must not say otherwise. And no hole is made in the middle of a lane: what goes is the oldest behind
the rows that were handed out, so that one `held` of an account tells the core to wait for none of it.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from gateway.codec import Data, EventMessage
from gateway.edge.outbox_file import ROW_BYTES, Count, add_delta
from gateway.edge.thin import thin
from gateway.model import Ms

THIN_GROUP = 24
"""Messages of one table that are thinned together."""
THIN_GROUPS = 8
"""Groups in one transaction, so that a tick stays short."""
THIN_LEVELS = 4
FRESH_ROWS = 1000
"""A group that is not whole waits for its rest as long as it is among so many of the newest rows."""
DROP_ROWS = 500
"""Rows that go in one transaction."""
LADDER = (("live", "backlog"), ("account",), ("state",), ("event",))
"""What goes when thinning is not enough, in this order: alarms only when nothing else is left."""
AGEING = (("live", "backlog"), ("state",))
"""What goes by age. Alarms and the last accounts of a boot stay until the core has them."""

_OLDEST = (
    "SELECT n, boot, lane, tab, points, payload FROM rows"
    " WHERE (lane=? AND n>?) OR (lane=? AND n>?) ORDER BY n LIMIT ?"
)
_OLD_ACCOUNTS = (
    "SELECT n, boot, lane, tab, points, payload FROM rows AS r WHERE lane='account' AND n>?"
    " AND seq < (SELECT max(seq) FROM rows WHERE boot=r.boot AND lane='account') ORDER BY n LIMIT ?"
)
_Found = tuple[int, str, str, str, int, bytes]


@dataclass(slots=True)
class Room:
    """What was given up: points by (boot, device), already noted in the deltas, and what the rows lost.

    points, rows: how many were dropped whole, by lane.
    """

    thinned: Counter[tuple[str, str]] = field(default_factory=Counter)
    count: Count = field(default_factory=Count)
    points: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)


class Maker:
    """Works inside one transaction.

    given: newest row handed out, by lane · devices: device of each point, by table.
    """

    def __init__(
        self, db: sqlite3.Connection, given: Mapping[str, int], devices: Mapping[str, Sequence[str]]
    ) -> None:
        self._db, self._given, self._devices = db, given, devices
        (self._newest,) = db.execute("SELECT coalesce(max(n), 0) FROM rows").fetchone()
        self.room = Room()

    def by_bytes(self, excess: int) -> None:
        """Give up about `excess` bytes: thin the least thinned first, then drop by the ladder."""
        for _ in range(THIN_GROUPS):
            if self.room.count.bytes >= excess or not self._thin():
                break
        for lanes in LADDER:
            left = excess - self.room.count.bytes
            # Thinning goes on with the next tick; nothing is dropped before it has come to its end.
            if left <= 0 or self._group():
                return
            self._drop(self._oldest(lanes), lambda _t: self.room.count.bytes < excess)

    def by_age(self, before: Ms) -> None:
        """Drop telemetry and states of before this time (ms)."""
        for lanes in AGEING:
            self._drop(self._oldest(lanes), lambda t: t < before)

    def note(self, t: Ms) -> None:
        """Write what was given up into the deltas of its boots."""
        for boot in sorted({boot for boot, _ in self.room.thinned}):
            moved = {device: [-k, 0, k] for (b, device), k in self.room.thinned.items() if b == boot}
            add_delta(self._db, boot, t, orjson.dumps({"n": moved, "gaps": {}}))

    # ── thinning ──────────────────────────────────────────────────────────────────────────────────

    def _thin(self) -> bool:
        """One group; False when there is none left."""
        group = self._group()
        if not group:
            return False
        messages = [Data.decode(payload) for _, _, payload in group]
        for (n, lane, payload), message, gone in zip(group, messages, thin(messages), strict=True):
            body, names = message.encode(), self._devices[message.tab]
            self.room.thinned.update((message.boot, names[i]) for i in gone.tolist())
            late = len(gone) if lane == "backlog" else 0
            self.room.count += Count(0, len(gone), len(payload) - len(body), late)
            self._db.execute(
                "UPDATE rows SET payload=?, points=?, thin=thin+1 WHERE n=?", (body, len(message.i), n)
            )
        return True

    def _group(self) -> list[tuple[int, str, bytes]]:
        """THIN_GROUP messages of one boot, lane and table, thinned least often of all and equally often."""
        for level in range(THIN_LEVELS):
            for lane in ("backlog", "live"):
                while (head := self._head(lane, level)) is not None:
                    group = self._db.execute(
                        "SELECT n, lane, payload FROM rows"
                        " WHERE lane=? AND thin=? AND n>=? AND boot=? AND tab=? ORDER BY n LIMIT ?",
                        (lane, level, *head, THIN_GROUP),
                    ).fetchall()
                    if len(group) == THIN_GROUP:
                        return group
                    if head[0] > self._newest - FRESH_ROWS:
                        break  # more of them will come
                    self._db.executemany("UPDATE rows SET thin=thin+1 WHERE n=?", [(n,) for n, *_ in group])
        return []

    def _head(self, lane: str, level: int) -> tuple[int, str, str] | None:
        found: tuple[int, str, str] | None = self._db.execute(
            "SELECT n, boot, tab FROM rows WHERE lane=? AND thin=? AND n>? ORDER BY n LIMIT 1",
            (lane, level, self._given.get(lane, 0)),
        ).fetchone()
        return found

    # ── dropping ──────────────────────────────────────────────────────────────────────────────────

    def _oldest(self, lanes: Sequence[str]) -> list[_Found]:
        if lanes == ("account",):
            return self._db.execute(_OLD_ACCOUNTS, (self._given.get("account", 0), DROP_ROWS)).fetchall()
        one, two = lanes[0], lanes[-1]
        return self._db.execute(
            _OLDEST, (one, self._given.get(one, 0), two, self._given.get(two, 0), DROP_ROWS)
        ).fetchall()

    def _drop(self, found: Sequence[_Found], more: Callable[[Ms], bool]) -> None:
        """Rows from the oldest on while `more` (of the row's time) says so."""
        for n, boot, lane, tab, points, payload in found:
            if not more(int(orjson.loads(payload)["t"])):
                return
            self._db.execute("DELETE FROM rows WHERE n=?", (n,))
            self.room.count += Count(1, points, len(payload) + ROW_BYTES, points if lane == "backlog" else 0)
            self.room.points[lane] += points
            self.room.rows[lane] += 1
            if points:
                names = self._devices[tab]
                event = lane == "event"
                indexes = [EventMessage.decode(payload).i] if event else Data.decode(payload).i.tolist()
                self.room.thinned.update((boot, names[i]) for i in indexes)
