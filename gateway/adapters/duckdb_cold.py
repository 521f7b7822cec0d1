# Statements are put together from our own numbers and file names, never from anything a person typed.
# ruff: noqa: S608
"""Sealed days: one sorted, zstd-compressed Parquet file per UTC day beside the hot table."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from gateway.adapters.columns import DAY
from gateway.adapters.files import replaced, sync
from gateway.adapters.store_errors import StoreTooNew
from gateway.model import Ms

log = logging.getLogger(__name__)

FORMAT = 1
"""Written into each file as `steward_schema`."""


class Cold:
    """Knows which days are sealed; the store's locks decide who may change that when."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[Ms, Path] = {}
        self._sealing = threading.Lock()
        self._late: set[Ms] = set()

    @property
    def end(self) -> Ms:
        """End of the newest sealed day; rows before it may lie in a file."""
        return max(self._files) + DAY if self._files else np.iinfo(np.int64).min + 1

    def recover(self, con: duckdb.DuckDBPyConnection) -> None:
        """Look at the folder; take out of the hot table what a seal that was cut short left in both."""
        self._files = {}
        for path in sorted(self.folder.glob("????-??-??.parquet")):
            self._files[_day(path.stem)] = path
        if self._files:
            _check_format(con, self._files[max(self._files)])
        days = [d for (d,) in con.execute(f"select distinct t // {DAY} * {DAY} from pts").fetchall()]
        for day in days:
            if day in self._files:
                _delete_sealed(con, day, self._files[day])

    def source(self, start: Ms | None, end: Ms | None, days: Iterable[Ms] | None = None) -> str:
        """SQL of all rows that may lie in [start, end): hot, and the files of those days (or of `days`)."""
        wanted = self._files if days is None else {d: self._files[d] for d in days if d in self._files}
        files = [
            path
            for day, path in sorted(wanted.items())
            if (start is None or day + DAY > start) and (end is None or day < end)
        ]
        if not files:
            return "pts"
        return f"(select series, t, v, q from pts union all select series, t, v, q from {_read(files)})"

    def days_of(self, t: NDArray[np.int64]) -> list[Ms]:
        """Starts of the days that the times lie in."""
        return [int(day) for day in np.unique(t // DAY * DAY)]

    def note_append(self, t: NDArray[np.int64]) -> None:
        """Remember days that got rows; a seal that is under way must not remove them unseen."""
        if self._sealing.locked() and len(t):
            self._late.update(self.days_of(t))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One seal or copy of the files at a time."""
        with self._sealing:
            yield

    def write_day(self, con: duckdb.DuckDBPyConnection, day: Ms) -> Path | None:
        """First half of a seal: everything known of the day in one new file; None when nothing is hot."""
        self._late.discard(day)
        hot = f"(select * from pts where t >= {day} and t < {day + DAY})"
        if not _number(con, f"select count(*) from {hot}"):
            return None
        rows = f"select series, t, v, q from {hot}"
        if day in self._files:
            sealed = _read([self._files[day]])
            rows = (
                f"select series, t, v, q from {sealed} union all"
                f" select h.* from {hot} h anti join {sealed} c using (series, t)"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        half = self._path(day).with_suffix(".parquet.part")
        name = str(half).replace("'", "''")
        con.execute(
            f"copy ({rows} order by series, t) to '{name}' (format parquet, compression zstd,"
            " row_group_size 122880, parquet_version v2,"
            f" kv_metadata {{steward_schema: '{FORMAT}'}})"
        )
        sync(half)
        return half

    def exchange(self, con: duckdb.DuckDBPyConnection, day: Ms, half: Path) -> None:
        """Second half: the file in, the rows out. The caller keeps writers and readers away.

        The order matters at a crash: before the renaming nothing has happened, after it the rows are in
        both places, which `recover` mends.
        """
        target = self._path(day)
        con.execute("begin")
        try:
            if day in self._late:
                _delete_sealed(con, day, half)
            else:
                con.execute(f"delete from pts where t >= {day} and t < {day + DAY}")
            half.replace(target)
            sync(self.folder)
            self._files[day] = target
            con.execute("commit")
        except BaseException:
            con.execute("rollback")
            raise
        con.execute("checkpoint")

    def rows(self, con: duckdb.DuckDBPyConnection, day: Ms) -> int:
        """Rows in a day's file."""
        if day not in self._files:
            return 0
        return _number(con, f"select count(*) from {_read([self._files[day]])}")

    def _path(self, day: Ms) -> Path:
        return self.folder / f"{datetime.fromtimestamp(day / 1000, UTC):%Y-%m-%d}.parquet"

    def drop_before(self, day: Ms) -> None:
        """Delete the files of older days. The caller keeps readers out."""
        for old in [d for d in self._files if d < day // DAY * DAY]:
            self._files.pop(old).unlink()

    def copy_to(self, folder: Path) -> None:
        """Copies of all files."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in self._files.values():
            with replaced(folder / path.name) as half:
                shutil.copyfile(path, half)


def _delete_sealed(con: duckdb.DuckDBPyConnection, day: Ms, file: Path) -> None:
    """Delete the rows of a day that are in a file."""
    con.execute(
        f"delete from pts using {_read([file])} c"
        f" where pts.t >= {day} and pts.t < {day + DAY} and pts.series = c.series and pts.t = c.t"
    )


def _check_format(con: duckdb.DuckDBPyConnection, file: Path) -> None:
    name = str(file).replace("'", "''")
    found = con.execute(
        f"select decode(value) from parquet_kv_metadata('{name}') where decode(key) = 'steward_schema'"
    ).fetchone()
    if found and int(found[0]) > FORMAT:
        raise StoreTooNew(
            f"{file}: format {found[0]}, this Steward knows {FORMAT}; install the version that wrote it"
        )


def _number(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = con.execute(sql).fetchone()
    return int(row[0]) if row else 0


def _day(stem: str) -> Ms:
    return int(datetime.strptime(stem, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)


def _read(files: list[Path]) -> str:
    names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in files)
    return f"read_parquet([{names}])"
