# Statements are put together from our own numbers and file names, never from anything a person typed.
# ruff: noqa: S608
"""Sealed spans: sorted, zstd-compressed Parquet files beside the hot table, one per UTC day.

At a high rate the hours of a day that is not over are sealed first, each into a file of its own; sealing the
day merges them.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
from numpy.typing import NDArray

from gateway.adapters.columns import DAY
from gateway.adapters.duckdb_file import damaged
from gateway.adapters.files import replaced, sync
from gateway.adapters.store_errors import StoreTooNew
from gateway.model import Ms

log = logging.getLogger(__name__)

FORMAT = 1
"""Written into each file as `steward_schema`."""
HOUR: Ms = 3_600_000


@dataclass(frozen=True, order=True)
class Span:
    """[start, end) of a file: a UTC day or an hour of one."""

    start: Ms
    end: Ms

    @property
    def name(self) -> str:
        """File name: `2026-11-22.parquet`, `2026-11-22T13.parquet`."""
        form = "%Y-%m-%d" if self.end - self.start == DAY else "%Y-%m-%dT%H"
        return f"{datetime.fromtimestamp(self.start / 1000, UTC):{form}}.parquet"

    @classmethod
    def of(cls, path: Path) -> Span:
        """The span that a file's name tells. Raises ValueError for other names."""
        length, form = (HOUR, "%Y-%m-%dT%H") if "T" in path.stem else (DAY, "%Y-%m-%d")
        start = int(datetime.strptime(path.stem, form).replace(tzinfo=UTC).timestamp() * 1000)
        return cls(start, start + length)

    def touches(self, start: Ms | None, end: Ms | None) -> bool:
        """Whether it has a time in common with [start, end)."""
        return (start is None or self.end > start) and (end is None or self.start < end)


def day_span(t: Ms) -> Span:
    """The UTC day that holds `t`."""
    return Span(t // DAY * DAY, t // DAY * DAY + DAY)


def hour_span(t: Ms) -> Span:
    """The hour that holds `t`."""
    return Span(t // HOUR * HOUR, t // HOUR * HOUR + HOUR)


class Cold:
    """Knows what is sealed; the store's locks decide who may change that when."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[Span, Path] = {}
        self._counts: dict[Span, int] = {}
        self._sealing = threading.Lock()
        self._late: set[Ms] = set()
        self._twice: set[Span] = set()

    # ── what there is ──

    @property
    def end(self) -> Ms:
        """End of the newest sealed span; rows before it may lie in a file."""
        return max((s.end for s in self._files), default=np.iinfo(np.int64).min + 1)

    @property
    def days(self) -> dict[Ms, int]:
        """Rows of each sealed day, by its start."""
        return {s.start: n for s, n in self._counts.items() if s.end - s.start == DAY}

    @property
    def twice(self) -> bool:
        """A row may be both hot and sealed: an exchange failed half-way."""
        return bool(self._twice)

    @property
    def hurt(self) -> set[Ms]:
        """Starts of the days of which a damaged file was moved aside and not taken away since."""
        aside = self.folder.glob("????-??-??*.parquet.damaged-*")
        return {Span.of(Path(path.name.split(".")[0])).start // DAY * DAY for path in aside}

    @property
    def unmerged(self) -> set[Ms]:
        """Starts of the days that lie in files of single hours."""
        return {s.start // DAY * DAY for s in self._files if s.end - s.start == HOUR}

    def recover(self, con: duckdb.DuckDBPyConnection, *, keep_damaged: bool = False) -> None:
        """Look at the folder; take out of the hot table what a seal that was cut short left in both.

        A file that cannot be read is moved aside, loudly; with `keep_damaged` StoreDamaged is raised.
        """
        files = sorted(self.folder.glob("????-??-??*.parquet"))
        lost = damaged(con, files, "the rows of its time are missing, roll-ups stay", keep=keep_damaged)
        found = {Span.of(path): path for path in files if path not in lost}
        if found:
            _check_format(con, found[max(found)])
        whole = {s.start for s in found if s.end - s.start == DAY}
        for span in [s for s in found if s.end - s.start == HOUR and s.start // DAY * DAY in whole]:
            found.pop(span).unlink()  # merged into its day; only the deleting was missed
        self._files = found
        self._counts = dict(zip(found, _counts(con, list(found.values())), strict=True))
        hot = [h for (h,) in con.execute(f"select distinct t // {HOUR} * {HOUR} from pts").fetchall()]
        for span in sorted({s for h in hot for s in (day_span(h), hour_span(h)) if s in found}):
            _delete_sealed(con, span, found[span])
        self._twice.clear()

    def source(self, start: Ms | None, end: Ms | None, days: Iterable[Ms] | None = None) -> str:
        """SQL of all rows that may lie in [start, end): hot, and the files of those times (or of `days`)."""
        files = self.files(start, end, days)
        if not files:
            return "pts"
        union = "union" if self._twice else "union all"
        return f"(select series, t, v, q from pts {union} select series, t, v, q from {read(files)})"

    def files(self, start: Ms | None, end: Ms | None, days: Iterable[Ms] | None = None) -> list[Path]:
        """Files with times in [start, end), of all days or of these."""
        wanted = None if days is None else set(days)
        return [
            path
            for span, path in sorted(self._files.items())
            if span.touches(start, end) and (wanted is None or span.start // DAY * DAY in wanted)
        ]

    def days_of(self, t: NDArray[np.int64]) -> list[Ms]:
        """Starts of the days that the times lie in."""
        return [int(day) for day in np.unique(t // DAY * DAY)]

    # ── sealing ──

    def note_append(self, t: NDArray[np.int64]) -> None:
        """Remember days that got rows; a seal that is under way must not remove them unseen."""
        if self._sealing.locked() and len(t):
            self._late.update(self.days_of(t))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One seal or copy of the files at a time."""
        with self._sealing:
            yield

    def write(self, con: duckdb.DuckDBPyConnection, span: Span) -> Path | None:
        """First half of a seal: everything known of the span in one new file; None when nothing is new."""
        day = day_span(span.start)
        self._late.discard(day.start)
        hot = f"(select * from pts where t >= {span.start} and t < {span.end})"
        old = self.files(span.start, span.end)
        if day in self._files and span != day:
            return None  # that day is one file already; what came late waits for its merge
        if not _number(con, f"select count(*) from {hot}") and old in ([], [self._files.get(span)]):
            return None
        rows = f"select series, t, v, q from {hot}"
        if old:
            rows = (
                f"select series, t, v, q from {read(old)} union all"
                f" select h.* from {hot} h anti join {read(old)} c using (series, t)"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        half = (self.folder / span.name).with_suffix(".parquet.part")
        copy_to_file(con, f"{rows} order by series, t", half, {"steward_schema": str(FORMAT)})
        return half

    def exchange(self, con: duckdb.DuckDBPyConnection, span: Span, half: Path) -> None:
        """Second half: the file in, the rows out. The caller keeps writers and readers away.

        The order matters at a crash: before the renaming nothing has happened, after it the rows are in
        both places (and an hour's also in its day's file), which `recover` mends.
        """
        target = self.folder / span.name
        merged = [s for s in self._files if s != span and span.start <= s.start < span.end]
        con.execute("begin")
        try:
            if day_span(span.start).start in self._late:
                _delete_sealed(con, span, half)
            else:
                con.execute(f"delete from pts where t >= {span.start} and t < {span.end}")
            half.replace(target)
            self._files[span] = target
            self._twice.add(span)
            for hour in merged:
                self._counts.pop(hour, None)
                del self._files[hour]
            sync(self.folder)
            con.execute("commit")
        except BaseException:
            con.execute("rollback")
            raise
        self._twice.discard(span)
        for hour in merged:
            (self.folder / hour.name).unlink()
        self._counts[span] = _counts(con, [target])[0]
        con.execute("checkpoint")

    def rows(self, span: Span) -> int:
        """Rows in a span's file; 0 without one."""
        return self._counts.get(span, 0)

    def drop_before(self, day: Ms) -> list[Ms]:
        """Delete the files of older days; their starts. The caller keeps readers out."""
        old = [s for s in self._files if s.end <= day // DAY * DAY]
        for span in old:
            self._files.pop(span).unlink()
            self._counts.pop(span, None)
        return sorted(s.start for s in old)

    def copy_to(self, folder: Path) -> None:
        """Copies of all files."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in self._files.values():
            with replaced(folder / path.name) as half:
                shutil.copyfile(path, half)


def copy_to_file(
    con: duckdb.DuckDBPyConnection, rows: str, half: Path, facts: dict[str, str], group: int = 122_880
) -> None:
    """Write the rows of a query into a Parquet file, durably, in groups of so many rows.

    `facts` become its key-value metadata.
    """
    told = ", ".join(f"{key}: {quoted(value)}" for key, value in facts.items())
    con.execute(
        f"copy ({rows}) to {quoted(str(half))} (format parquet, compression zstd,"
        f" row_group_size {group}, parquet_version v2, kv_metadata {{{told}}})"
    )
    sync(half)


def quoted(text: str) -> str:
    """As a string of SQL."""
    return "'" + text.replace("'", "''") + "'"


def read(files: list[Path]) -> str:
    """SQL that reads these files."""
    return f"read_parquet([{', '.join(quoted(str(path)) for path in files)}])"


def _delete_sealed(con: duckdb.DuckDBPyConnection, span: Span, file: Path) -> None:
    """Delete the rows of a span that are in a file."""
    con.execute(
        f"delete from pts using {read([file])} c where pts.t >= {span.start} and pts.t < {span.end}"
        " and pts.series = c.series and pts.t = c.t"
    )


def _check_format(con: duckdb.DuckDBPyConnection, file: Path) -> None:
    found = con.execute(
        "select decode(value) from parquet_kv_metadata("
        f"{quoted(str(file))}) where decode(key) = 'steward_schema'"
    ).fetchone()
    if found and int(found[0]) > FORMAT:
        raise StoreTooNew(
            f"{file}: format {found[0]}, this Steward knows {FORMAT}; install the version that wrote it"
        )


def _counts(con: duckdb.DuckDBPyConnection, files: list[Path]) -> list[int]:
    """Rows in each file, from their metadata alone."""
    if not files:
        return []
    names = ", ".join(quoted(str(path)) for path in files)
    found = con.execute(f"select file_name, num_rows from parquet_file_metadata([{names}])").fetchall()
    rows = {str(name): int(n) for name, n in found}
    return [rows[str(path)] for path in files]


def _number(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    row = con.execute(sql).fetchone()
    return int(row[0]) if row else 0
