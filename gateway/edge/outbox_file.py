"""The outbox's file: its tables, opening it, moving a damaged one aside; and its copy in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import orjson

from gateway.codec import Ack
from gateway.edge.outbox_turn import Turn
from gateway.edge.pack import Row
from gateway.errors import Permanent
from gateway.model import Ms

SCHEMA = 1
ROW_BYTES = 200
"""What a row takes in the file beside its payload: its other columns and its places in three indexes."""

COLUMNS = "n, boot, lane, seq, topic, payload, tab, points, retain"
"""In the order of Row's fields."""
_INSERT = f"INSERT INTO rows({COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?)"
_TAKE = f"SELECT {COLUMNS} FROM rows WHERE lane=? AND n>? ORDER BY n LIMIT ?"  # noqa: S608 - constants
_SUMS = (
    "SELECT count(*), coalesce(sum(points), 0), coalesce(sum(length(payload)), 0) + count(*) * ?,"
    " coalesce(sum(points) FILTER (WHERE lane='backlog'), 0) FROM rows"
)

_TABLES = """
CREATE TABLE rows(n INTEGER PRIMARY KEY, boot TEXT NOT NULL, lane TEXT NOT NULL, seq INTEGER NOT NULL,
  topic TEXT NOT NULL, payload BLOB NOT NULL, tab TEXT NOT NULL, points INTEGER NOT NULL,
  retain INTEGER NOT NULL, thin INTEGER NOT NULL DEFAULT 0);
CREATE INDEX rows_lane ON rows(lane, n);
CREATE UNIQUE INDEX rows_key ON rows(boot, lane, seq);
CREATE TABLE tables(tab TEXT PRIMARY KEY, payload BLOB NOT NULL, devices BLOB NOT NULL);
CREATE TABLE accounts(boot TEXT PRIMARY KEY, seq INTEGER NOT NULL, t INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE deltas(n INTEGER PRIMARY KEY, boot TEXT NOT NULL, t INTEGER NOT NULL, payload BLOB NOT NULL);
CREATE TABLE lessons(device TEXT NOT NULL, area TEXT NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
  at INTEGER NOT NULL);
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_THINNING = "CREATE INDEX IF NOT EXISTS rows_thin ON rows(lane, thin, n) WHERE lane IN ('live', 'backlog')"
"""Without it each step of thinning would look at every row."""

_PRUNE = "DELETE FROM accounts WHERE boot NOT IN (SELECT boot FROM rows UNION SELECT boot FROM deltas)"


@dataclass(slots=True)
class Count:
    """Rows, points, bytes (payload and ROW_BYTES each) and the points of lane backlog."""

    rows: int = 0
    points: int = 0
    bytes: int = 0
    backlog: int = 0

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        """What these rows take."""
        return cls(
            len(rows),
            sum(r.points for r in rows),
            sum(len(r.payload) + ROW_BYTES for r in rows),
            sum(r.points for r in rows if r.lane == "backlog"),
        )

    def __iadd__(self, other: Count) -> Self:
        """Add up."""
        self.rows += other.rows
        self.points += other.points
        self.bytes += other.bytes
        self.backlog += other.backlog
        return self

    def __isub__(self, other: Count) -> Self:
        """Take off."""
        self.rows -= other.rows
        self.points -= other.points
        self.bytes -= other.bytes
        self.backlog -= other.backlog
        return self


def connect(path: Path) -> sqlite3.Connection:
    """Open or make the file; it belongs to this process alone.

    Raises sqlite3.OperationalError when it cannot be used now (locked, full, no permission),
    sqlite3.DatabaseError when it is damaged, Permanent when a newer program wrote it.
    """
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=1.0)
    try:
        _prepare(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    db.execute("PRAGMA locking_mode=EXCLUSIVE")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == 0:
        make_tables(db)
    elif version != SCHEMA:
        raise Permanent(f"{path} has schema {version}, this program knows {SCHEMA}; update it")
    else:
        db.execute(_THINNING)


def make_tables(db: sqlite3.Connection) -> None:
    """In an empty database."""
    db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version={SCHEMA}; COMMIT;")
    db.execute(_THINNING)


def in_memory() -> sqlite3.Connection:
    """The same tables for as long as the disk takes nothing."""
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    make_tables(db)
    return db


def sums(db: sqlite3.Connection) -> Count:
    """Counted anew."""
    return Count(*db.execute(_SUMS, (ROW_BYTES,)).fetchone())


def insert(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Append rows."""
    db.executemany(
        _INSERT, [(r.n, r.boot, r.lane, r.seq, r.topic, r.payload, r.tab, r.points, r.retain) for r in rows]
    )


def write(db: sqlite3.Connection, turn: Turn, boot: str) -> None:
    """Everything of one tick but its receipts."""
    insert(db, turn.rows)
    if "boot_ms" in turn.meta:
        db.execute(_PRUNE)
    if turn.delta:
        add_delta(db, boot, turn.t, turn.delta)
    for a in turn.accounts:
        db.execute("INSERT OR REPLACE INTO accounts VALUES(?,?,?,?)", (a.boot, a.seq, a.t, a.encode()))
        db.execute("DELETE FROM deltas WHERE boot=?", (a.boot,))
    for device, lessons in turn.lessons.items():
        db.execute("DELETE FROM lessons WHERE device=?", (device,))
        db.executemany(
            "INSERT INTO lessons VALUES(?,?,?,?,?)",
            [(device, x.range.area, x.range.start, x.range.stop, x.at) for x in lessons],
        )
    for tab, payload, devices in turn.tables:
        db.execute("INSERT OR REPLACE INTO tables VALUES(?,?,?)", (tab, payload, orjson.dumps(devices)))
    meta = list(turn.meta.items())
    if turn.rows:
        meta += [("last_n", str(turn.rows[-1].n)), ("last_t", str(turn.t))]
    if meta:
        db.executemany("INSERT OR REPLACE INTO meta VALUES(?,?)", meta)


def take(db: sqlite3.Connection, lane: str, after: int, limit: int) -> list[Row]:
    """Rows of a lane behind `after`, at most `limit`."""
    return [Row(*r) for r in db.execute(_TAKE, (lane, after, limit))]


def delete(db: sqlite3.Connection, acks: Sequence[Ack]) -> Count:
    """Rows that the receipts cover. Data that arrived proves its table."""
    gone, tabs = Count(), set[str]()
    for ack in acks:
        found = db.execute(
            "DELETE FROM rows WHERE boot=? AND lane=? AND seq<=? RETURNING points, length(payload), tab",
            (ack.boot, ack.lane, ack.upto),
        ).fetchall()
        for points, size, tab in found:
            gone += Count(1, points, size + ROW_BYTES, points if ack.lane == "backlog" else 0)
            tabs.add(tab)
    for tab in tabs - {""}:
        found = db.execute(
            "DELETE FROM rows WHERE lane='table' AND tab=? RETURNING length(payload)", (tab,)
        ).fetchall()
        for (size,) in found:
            gone += Count(1, 0, size + ROW_BYTES)
    return gone


def move_over(memory: sqlite3.Connection, file: sqlite3.Connection) -> None:
    """Everything that waited in memory, behind what the file holds. An account swallows its boot's deltas."""
    file.executemany(
        "INSERT INTO rows VALUES(?,?,?,?,?,?,?,?,?,?)",
        memory.execute(f"SELECT {COLUMNS}, thin FROM rows ORDER BY n"),  # noqa: S608 - constants
    )
    for boot, seq, t, payload in memory.execute("SELECT boot, seq, t, payload FROM accounts"):
        file.execute("INSERT OR REPLACE INTO accounts VALUES(?,?,?,?)", (boot, seq, t, payload))
        file.execute("DELETE FROM deltas WHERE boot=?", (boot,))
    file.executemany(
        "INSERT INTO deltas(boot, t, payload) VALUES(?,?,?)",
        memory.execute("SELECT boot, t, payload FROM deltas ORDER BY n"),
    )
    for (device,) in memory.execute("SELECT DISTINCT device FROM lessons").fetchall():
        file.execute("DELETE FROM lessons WHERE device=?", (device,))
    for table in ("lessons", "tables", "meta"):
        marks = ",".join("?" * (5 if table == "lessons" else 3 if table == "tables" else 2))
        file.executemany(
            f"INSERT OR REPLACE INTO {table} VALUES({marks})",
            memory.execute(f"SELECT * FROM {table}"),  # noqa: S608 - constants
        )


def move_aside(path: Path) -> Path:
    """Rename a damaged file and its log, so that somebody can look at them; the new name."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for tail in ("-wal", "-shm"):
        part = path.with_name(path.name + tail)
        if part.exists():
            part.rename(aside.with_name(aside.name + tail))
    return aside


def add_delta(db: sqlite3.Connection, boot: str, t: Ms, delta: bytes) -> None:
    """Note what a boot's account gained."""
    db.execute("INSERT INTO deltas(boot, t, payload) VALUES(?,?,?)", (boot, t, delta))
