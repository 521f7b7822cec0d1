"""The outbox's file: its tables, opening it, moving a damaged one aside, making room in it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson

from gateway.codec import Data
from gateway.edge.thin import thin
from gateway.errors import Permanent
from gateway.model import Ms

SCHEMA = 1
THIN_GROUP = 24
"""Messages of one table that are thinned together."""
THIN_GROUPS = 8
"""Groups in one transaction, so that a tick stays short."""
THIN_LEVELS = 4

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
        db.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version={SCHEMA}; COMMIT;")
    elif version != SCHEMA:
        raise Permanent(f"{path} has schema {version}, this program knows {SCHEMA}; update it")


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


def make_room(
    db: sqlite3.Connection,
    excess: int,
    given: Mapping[str, int],
    devices: Mapping[str, Sequence[str]],
    t: Ms,
) -> tuple[Counter[tuple[str, str]], int]:
    """Thin telemetry by about `excess` bytes: the least thinned first, then the oldest.

    given: newest row of each lane that was handed out; those rows are left alone, since the core may hold
    them already. devices: device of each point by table. Events and states are never touched. Returns the
    points dropped by (boot, device), already noted in the deltas, and the bytes saved.
    """
    dropped: Counter[tuple[str, str]] = Counter()
    saved = 0
    for _ in range(THIN_GROUPS):
        group = _group(db, given) if saved < excess else []
        if len(group) < 2:
            break
        messages = [Data.decode(payload) for _, payload, _ in group]
        gone = thin(messages)
        for (n, payload, level), message, indexes in zip(group, messages, gone, strict=True):
            body = message.encode()
            saved += len(payload) - len(body)
            names = devices[message.tab]
            dropped.update((message.boot, names[i]) for i in indexes.tolist())
            db.execute(
                "UPDATE rows SET payload=?, points=?, thin=? WHERE n=?",
                (body, len(message.i), level + 1, n),
            )
    for boot in {boot for boot, _ in dropped}:
        moved = {device: [-k, 0, k] for (b, device), k in dropped.items() if b == boot}
        add_delta(db, boot, t, orjson.dumps({"n": moved, "gaps": {}}))
    return dropped, saved


def _group(db: sqlite3.Connection, given: Mapping[str, int]) -> list[tuple[int, bytes, int]]:
    """Neighbouring messages of one boot, lane and table that were thinned equally often."""
    head = db.execute(
        "SELECT boot, lane, tab, thin, n FROM rows"
        " WHERE ((lane='backlog' AND n>?) OR (lane='live' AND n>?)) AND thin<? ORDER BY thin, n LIMIT 1",
        (given.get("backlog", 0), given.get("live", 0), THIN_LEVELS),
    ).fetchone()
    if head is None:
        return []
    return db.execute(
        "SELECT n, payload, thin FROM rows"
        " WHERE boot=? AND lane=? AND tab=? AND thin=? AND n>=? ORDER BY n LIMIT ?",
        (*head, THIN_GROUP),
    ).fetchall()
