# Statements are put together from our own numbers and file names, never from anything a person typed.
# ruff: noqa: S608
"""The hot file `points.duckdb`: opening, schema number, errors in words, what to do with a damaged one."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from gateway.adapters.store_errors import InUse, StoreDamaged, StoreFailed, StoreFull, StoreTooNew
from gateway.errors import Permanent

log = logging.getLogger(__name__)

FILE = "points.duckdb"
SCHEMA = 1
_TABLES = (
    # v is null where there is no number: a NaN column from numpy arrives as null in any case.
    "create table pts(series uinteger not null, t bigint not null, v double, q utinyint not null)",
    # One row a message while it runs; joined to ranges now and then.
    "create table applied(gateway varchar, boot varchar, lane varchar, first bigint, last bigint)",
    "create table meta(schema integer not null)",
    f"insert into meta values ({SCHEMA})",
)
_WORDS: tuple[tuple[tuple[str, ...], type[Exception], str], ...] = (
    (
        ("Could not set lock", "Conflicting lock"),
        InUse,
        "another process holds it; the samples have one owner, stop the other Steward first",
    ),
    (("newer version of DuckDB", "version number"), StoreTooNew, "written by a newer DuckDB; install that"),
    (
        ("not a valid DuckDB", "Corrupt", "corrupt", "checksum", "deserialize", "Deserialize", "WAL file"),
        StoreDamaged,
        "damaged; restore a backup, or move it away: the history in cold/ stays readable without it",
    ),
    (
        ("No space left", "not enough space", "Disk quota", "File too large"),
        StoreFull,
        "no room on the disk; free some and it goes on by itself",
    ),
    (
        ("Permission denied", "Read-only file system", "Cannot open file"),
        Permanent,
        "cannot be written; check the owner and rights of the directory",
    ),
)


def connect(path: Path, memory_mb: int) -> duckdb.DuckDBPyConnection:
    """Open or make the file and check its schema number.

    Raises InUse, StoreDamaged, StoreTooNew, StoreFull.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    config = {
        "memory_limit": f"{memory_mb}MB",
        "threads": 2,
        "temp_directory": str(path.parent / "tmp"),
        "autoinstall_known_extensions": False,  # a missing extension must fail here, not on the network
        "autoload_known_extensions": False,
    }
    with failures(path):
        con = duckdb.connect(str(path), config=config)
        try:
            _check(con, path)
        except BaseException:
            con.close()
            raise
    return con


def _check(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    tables = {name for (name,) in con.execute("select table_name from duckdb_tables()").fetchall()}
    if not tables:
        con.execute("begin")
        for statement in _TABLES:
            con.execute(statement)
        con.execute("commit")
        return
    if "meta" not in tables or "pts" not in tables:
        raise StoreDamaged(f"{path}: not a Steward sample file; move it away or restore a backup")
    row = con.execute("select max(schema) from meta").fetchone()
    found = row[0] if row else None
    if found != SCHEMA:
        raise StoreTooNew(
            f"{path}: schema {found}, this Steward knows {SCHEMA}; install the version that wrote it"
        )


def move_aside(path: Path, lacking: str = "samples since the last sealed day are missing") -> Path:
    """Give a damaged file (and its log) another name, saying what that means, loudly. The new name."""
    n = 1
    while (aside := path.with_name(f"{path.name}.damaged-{n}")).exists():
        n += 1
    path.rename(aside)
    wal = path.with_name(path.name + ".wal")
    if wal.exists():
        wal.rename(aside.with_name(aside.name + ".wal"))
    log.error(
        "sample file %s is damaged and was moved to %s; %s until it is restored: restore a backup, or salvage"
        " it with the duckdb shell",
        path,
        aside.name,
        lacking,
    )
    return aside


@contextmanager
def failures(path: Path) -> Iterator[None]:
    """Raise DuckDB's errors as ours, naming the file and what to do. Mistakes in our SQL stay as they are."""
    try:
        yield
    except duckdb.Error as error:
        text = str(error)
        for words, kind, advice in _WORDS:
            if any(word in text for word in words):
                raise kind(f"{path}: {advice} ({_short(text)})") from error
        if isinstance(error, duckdb.IOException | duckdb.FatalException | duckdb.OutOfMemoryException):
            raise StoreFailed(f"{path}: {_short(text)}") from error
        raise


def unreadable(con: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> list[Path]:
    """Which of these Parquet files are none (any more)."""

    def fails(some: Sequence[Path]) -> bool:
        names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in some)
        try:
            con.execute(f"select count(*) from parquet_file_metadata([{names}])")
        except duckdb.IOException:
            raise  # the disk, not the file
        except duckdb.Error:
            return True
        return False

    return [path for path in files if fails([path])] if files and fails(files) else []


def damaged(con: duckdb.DuckDBPyConnection, files: Sequence[Path], lacking: str, *, keep: bool) -> list[Path]:
    """Files that cannot be read, moved aside. With `keep` StoreDamaged is raised instead."""
    found = unreadable(con, files)
    for path in found:
        if keep:
            raise StoreDamaged(f"{path}: damaged; restore it from a backup, or move it away: {lacking}")
        move_aside(path, lacking)
    return found


def _short(text: str) -> str:
    return text.splitlines()[0][:200] if text else "no detail"
