"""Connections, transactions, schema and errors of the state database."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from gateway.adapters.store_errors import StoreDamaged, StoreFailed, StoreFull, StoreLocked, StoreTooNew
from gateway.errors import Permanent

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
REVISIONS = ("0001",)
"""Every schema this version can bring up to date, oldest first; the last is the present one."""

BUSY_S = 10.0


class Database:
    """One writing connection behind a lock, readers with connections of their own; safe from any thread."""

    def __init__(self, url: str | sa.URL, *, durable: bool = True) -> None:
        """`durable` False leaves out the fsync at commit: for tests that only need the logic."""
        self.url = sa.make_url(url)
        self.where = self.url.database or str(self.url)
        self._lock = threading.RLock()
        self._writer = self._engine("BEGIN IMMEDIATE", durable=durable, size=1)
        self._readers = self._engine("BEGIN", durable=durable, size=4)
        try:
            with self.failures():
                self._con = self._writer.connect()
                self._bring_up_to_date()
        except BaseException:
            self.close()
            raise

    @property
    def is_sqlite(self) -> bool:
        """True for the embedded default."""
        return self.url.get_backend_name() == "sqlite"

    def close(self) -> None:
        """Close every connection; idempotent."""
        with self._lock:
            self._readers.dispose()
            if hasattr(self, "_con"):
                self._con.close()
            self._writer.dispose()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction, alone: committed at the end, nothing of it kept after an exception."""
        with self._lock, self.failures(), self._con.begin():
            yield self._con

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view that never waits for the writer."""
        with self.failures(), self._readers.begin() as con:
            yield con

    def insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """`insert` with `on conflict`, which both databases spell alike."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Raise the database's errors as ours, naming the file and what to do."""
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            translated = _translate(error, self.where)
            if translated is None:
                raise
            raise translated from error

    def _engine(self, begin: str, *, durable: bool, size: int) -> Engine:
        if not self.is_sqlite:
            # A reader sees one moment, as it does on SQLite.
            level = "REPEATABLE READ" if begin == "BEGIN" else "READ COMMITTED"
            return sa.create_engine(self.url, pool_size=size, pool_pre_ping=True, isolation_level=level)
        engine = sa.create_engine(
            self.url, connect_args={"timeout": BUSY_S, "check_same_thread": False}, pool_size=size
        )

        @sa.event.listens_for(engine, "connect")
        def prepare(raw: Any, _: object) -> None:
            raw.isolation_level = None  # we say BEGIN ourselves; the driver would start too late
            for pragma in (
                "journal_mode = WAL",
                f"synchronous = {'FULL' if durable else 'OFF'}",
                "foreign_keys = ON",
                f"query_only = {'ON' if begin == 'BEGIN' else 'OFF'}",
            ):
                raw.execute(f"PRAGMA {pragma}")

        @sa.event.listens_for(engine, "begin")
        def start(con: Connection) -> None:
            con.exec_driver_sql(begin)

        return engine

    def _bring_up_to_date(self) -> None:
        """Check the schema number, migrate inside one transaction. Raises StoreTooNew, StoreDamaged."""
        with self._con.begin():
            tables = set(sa.inspect(self._con).get_table_names())
            found = None
            if "alembic_version" in tables:
                found = self._con.execute(sa.text("select version_num from alembic_version")).scalar()
            elif tables:
                raise StoreDamaged(
                    f"{self.where}: not a Steward state file (it has the tables {', '.join(sorted(tables))});"
                    " move it away or restore a backup"
                )
            if found == REVISIONS[-1]:
                return
            if found is not None and found not in REVISIONS:
                raise StoreTooNew(
                    f"{self.where}: written by a newer Steward (schema {found}, this one knows up to"
                    f" {REVISIONS[-1]}); install that version, or restore an older backup"
                )
            self._migrate(found)

    def _migrate(self, found: str | None) -> None:
        # Alembic takes a third of a second to import, which a start with a current schema need not pay.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = self._con
        command.upgrade(config, "head")
        if found is not None:
            log.info("state schema of %s brought from %s to %s", self.where, found, REVISIONS[-1])


def check_file(path: Path) -> None:
    """What must hold before SQLite may touch the file. Raises StoreDamaged.

    SQLite would make a new, empty file in place of a missing one: every series id would be given again and
    the stored samples would belong to other points.
    """
    missing = not path.exists() or path.stat().st_size == 0
    samples = [p for p in (path.parent / "points.duckdb", path.parent / "cold") if p.exists()]
    if missing and samples:
        raise StoreDamaged(
            f"{path}: missing, but {samples[0].name} is there; restore a backup of both"
            f" (steward restore), or move {samples[0].name} away to start from nothing"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # it holds password hashes
    wal = path.with_name(path.name + "-wal")
    if not missing and wal.exists() and wal.stat().st_size:
        _quick_check(path)


def _quick_check(path: Path) -> None:
    """After a stop that was not clean: read every page once."""
    try:
        con = sqlite3.connect(path, timeout=BUSY_S)
        try:
            found = con.execute("PRAGMA quick_check(1)").fetchone()[0]
        finally:
            con.close()
    except sqlite3.Error as error:
        raise _translate(error, str(path)) or error from error
    if found != "ok":
        raise _damaged(str(path), found)


def _damaged(where: str, detail: str) -> StoreDamaged:
    return StoreDamaged(
        f"{where}: damaged ({detail}); nothing was changed. Restore the last backup (steward restore) into"
        " a new directory and keep this one for salvage"
    )


def _translate(error: DBAPIError | sqlite3.Error, where: str) -> Exception | None:
    """Our error for a database error; None when it is a mistake in our own statements."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorname", "") or ""
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return _damaged(where, str(cause))
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StoreLocked(f"{where}: another process holds it; stop the other Steward, then try again")
    if code.startswith("SQLITE_FULL"):
        return StoreFull(f"{where}: no room on the disk; free some and it goes on by itself")
    if code.startswith("SQLITE_IOERR"):
        return StoreFailed(f"{where}: the disk failed ({code}); look at its cable, quota and system log")
    if code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")):
        return Permanent(f"{where}: cannot be written ({cause}); check the owner and rights of the directory")
    if isinstance(error, OperationalError) and not code.startswith("SQLITE_ERROR") and cause is not None:
        return StoreFailed(f"{where}: {cause}")
    return None
