# Statements are put together from our own numbers and file names, never from anything a person typed.
# ruff: noqa: S608
"""Roll-ups of sealed days: a row per series and quarter of an hour, one Parquet file per month.

`roll/YYYY-MM.parquet` (UTC) holds series, t, n, low, high, sum, on_ms, known_ms by series and time. They stay
when the days themselves are dropped. A file's metadata tells of how many rows of the day, and of the day
before, each day was worked out: days that have changed since are read from their rows until they are done
again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np

from gateway.adapters.columns import DAY
from gateway.adapters.duckdb_cold import FORMAT, Cold, copy_to_file, quoted, read
from gateway.adapters.duckdb_file import damaged
from gateway.adapters.files import replaced, sync
from gateway.adapters.held import HOLD, slots
from gateway.model import Ms, Samples

ROWS_AT_ONCE = 2_000_000
"""Rows that are worked on in memory together."""

GROUP = 40_960
"""Rows that are read together: small, since a question is about few series."""

Made = tuple[int, int]
"""Rows of the day and of the day before, at the time of the work."""


class Rolls:
    """Knows which days are rolled up; the store's locks decide who may change that when."""

    def __init__(self, folder: Path, cold: Cold) -> None:
        self.folder = folder
        self._cold = cold
        self._made: dict[Ms, Made] = {}

    def recover(self, con: duckdb.DuckDBPyConnection, *, keep_damaged: bool = False) -> None:
        """Look at the folder. Files that cannot be read are treated as those of `Cold.recover`."""
        self._made = {}
        files = sorted(self.folder.glob("????-??.parquet"))
        lost = damaged(
            con, files, "long windows lack days whose rows are dropped; the others are made again",
            keep=keep_damaged,
        )  # fmt: skip
        for path in files:
            if path not in lost:
                self._made |= _told(con, path)

    # ── what there is ──

    def good(self) -> set[Ms]:
        """Starts of the days whose roll-ups stand for their rows (also of those whose rows are gone)."""
        rows = self._cold.days
        return {d for d in self._made if d not in rows or self._stands(d, rows)} - self._cold.unmerged

    def gone(self) -> set[Ms]:
        """Starts of the days of which only the roll-ups are left."""
        return set(self._made) - set(self._cold.days) - self._cold.unmerged

    def stale(self) -> list[Ms]:
        """Sealed days whose roll-ups are missing or were made of other rows, oldest first."""
        rows = self._cold.days
        return sorted(day for day in rows if not self._stands(day, rows))

    def _stands(self, day: Ms, rows: Mapping[Ms, int]) -> bool:
        """Whether the day's roll-ups were made of the rows that are there (the day before may be gone)."""
        made, now = self._made.get(day), _counts(rows, day)
        return made is not None and made[0] == now[0] and (day - DAY not in rows or made[1] == now[1])

    def files(self, start: Ms, end: Ms) -> list[Path]:
        """Files of the months that touch [start, end)."""
        months = {_month(day) for day in self._made if day + DAY > start and day < end}
        return [self.folder / f"{month}.parquet" for month in sorted(months)]

    # ── making ──

    def write(self, con: duckdb.DuckDBPyConnection, day: Ms) -> tuple[Path, dict[Ms, Made]]:
        """The month's file with this day's rows new, beside the present one; `exchange` puts it in place.

        Gives the file, and what it tells about its days.
        """
        made = _counts(self._cold.days, day)
        con.execute(
            "create or replace temp table fresh_rolls(series uinteger, t bigint, n uinteger, low double,"
            " high double, sum double, on_ms uinteger, known_ms uinteger)"
        )
        for rows, before in self._pieces(con, day):
            piece = slots(rows, before, day)  # noqa: F841 - read by name
            con.execute("insert into fresh_rolls by name select * from piece")
        target = self.folder / f"{_month(day)}.parquet"
        known = _told(con, target) if target.exists() else {}
        known[day] = made
        kept = "select * from fresh_rolls"
        if target.exists():
            kept = f"select * from {read([target])} where t < {day} or t >= {day + DAY} union all {kept}"
        self.folder.mkdir(parents=True, exist_ok=True)
        half = target.with_suffix(".parquet.part")
        days = json.dumps({str(d): made for d, made in sorted(known.items())})
        facts = {"steward_schema": str(FORMAT), "steward_days": days}
        copy_to_file(con, f"{kept} order by series, t", half, facts, GROUP)
        con.execute("drop table fresh_rolls")
        return half, known

    def exchange(self, half: Path, known: Mapping[Ms, Made]) -> None:
        """Put a written file in place. The caller keeps readers away."""
        target = half.with_suffix("")
        half.replace(target)
        sync(self.folder)
        self._made |= known

    def _pieces(self, con: duckdb.DuckDBPyConnection, day: Ms) -> Iterator[tuple[Samples, Samples]]:
        """The day by ranges of series: its rows, and the newest rows before it, both by series and time."""
        of_day, before = self._cold.files(day, day + DAY), self._cold.files(day - HOLD, day)
        found = con.execute(
            f"select series, count(*) as n from {read(of_day + before)} group by 1 order by 1"
        )
        columns = found.fetchnumpy()
        total = np.cumsum(np.asarray(columns["n"], np.int64)) // ROWS_AT_ONCE
        for group in np.unique(total):
            of = np.asarray(columns["series"])[total == group]
            which = f"series between {int(of[0])} and {int(of[-1])}"
            yield (
                _samples(con, f"select series, t, v, q from {read(of_day)} where {which} order by series, t"),
                _samples(con, _newest(before, which)) if before else Samples.empty(),
            )

    # ── files ──

    def copy_to(self, folder: Path) -> None:
        """Copies of all files."""
        for path in sorted(self.folder.glob("????-??.parquet")):
            with replaced(folder / path.name) as half:
                shutil.copyfile(path, half)


def _newest(files: list[Path], which: str) -> str:
    return (
        "select series, max(t) as t, arg_max_null(v, t) as v, arg_max(q, t) as q"
        f" from {read(files)} where {which} group by series order by series"
    )


def _samples(con: duckdb.DuckDBPyConnection, sql: str) -> Samples:
    found = con.execute(sql).fetchnumpy()
    v = np.ma.filled(found["v"].astype(np.float64), np.nan)
    return Samples(
        np.asarray(found["series"], np.uint32),
        np.asarray(found["t"], np.int64),
        v,
        np.asarray(found["q"], np.uint8),
    )


def _counts(rows: Mapping[Ms, int], day: Ms) -> Made:
    return rows.get(day, 0), rows.get(day - DAY, 0)


def _month(day: Ms) -> str:
    return f"{datetime.fromtimestamp(day / 1000, UTC):%Y-%m}"


def _told(con: duckdb.DuckDBPyConnection, file: Path) -> dict[Ms, Made]:
    """Which days a file holds, and of how many rows each was made."""
    found = con.execute(
        "select decode(value) from parquet_kv_metadata("
        f"{quoted(str(file))}) where decode(key) = 'steward_days'"
    ).fetchone()
    days: dict[str, list[int]] = json.loads(found[0]) if found else {}
    return {int(day): (made[0], made[1]) for day, made in days.items()}
