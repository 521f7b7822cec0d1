# Statements are put together from our own numbers and file names, never from anything a person typed.
# ruff: noqa: S608
"""Samples in DuckDB: a hot table and one sorted Parquet file per sealed day (ports.SampleStore).

FOLDER/points.duckdb holds what is not sealed, FOLDER/cold/YYYY-MM-DD.parquet (UTC days) the rest, and
FOLDER/roll/YYYY-MM.parquet quarters of an hour of sealed days for long windows and for after the days are
dropped. One process owns all; threads get cursors. Measured reasons for this form: docs/adr/0003-stores.md.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from gateway.adapters import duckdb_coarse as coarse
from gateway.adapters.columns import BAD_FROM, DAY, Keys, Newest, bucket_start, checked, first_wins
from gateway.adapters.duckdb_cold import HOUR, Cold, Span, day_span, hour_span
from gateway.adapters.duckdb_file import FILE, connect, failures, move_aside
from gateway.adapters.duckdb_rolls import Rolls
from gateway.adapters.files import replaced
from gateway.adapters.gate import Gate
from gateway.adapters.store_errors import StoreDamaged
from gateway.model import Level, MessageKey, Ms, Samples
from gateway.ports import Buckets, Shares

log = logging.getLogger(__name__)

STALE_FROM = int(Level.STALE) << 5
"""Quality bytes from here on are stale or BAD."""
_JOIN_KEYS_AFTER = 50_000  # single key rows; then they are rewritten as ranges


class DuckStore:
    """The embedded default. Blocking; safe from any thread; one writer at a time."""

    def __init__(self, folder: str | Path, *, memory_mb: int = 512, keep_damaged: bool = False) -> None:
        """Open or make the files in `folder`.

        A damaged file is moved aside with an error in the log, so that monitoring goes on; with
        `keep_damaged` it is left and StoreDamaged raised. Raises InUse, StoreTooNew, StoreFull.
        """
        self.folder, self._memory_mb, self._keep_damaged = Path(folder), memory_mb, keep_damaged
        self.path = self.folder / FILE
        self._write = threading.RLock()
        self._gate = Gate()
        self._cold = Cold(self.folder / "cold")
        self._rolls = Rolls(self.folder / "roll", self._cold)
        self._newest = Newest()
        self._keys = Keys()
        self._single_keys = 0
        try:
            self._open()
        except StoreDamaged:
            if keep_damaged or not self.path.exists():
                raise
            move_aside(self.path)
            self._open()
        for half in (*self._cold.folder.glob("*.part"), *self._rolls.folder.glob("*.part")):
            half.unlink()  # of a seal that was cut short; nobody else has this folder

    def _open(self) -> None:
        self._con = connect(self.path, self._memory_mb)
        try:
            with failures(self.path):
                self._cold.recover(self._con, keep_damaged=self._keep_damaged)
                self._rolls.recover(self._con, keep_damaged=self._keep_damaged)
                self._load()
        except BaseException:
            self._con.close()
            raise

    def _load(self) -> None:
        """What memory must know of the files: the newest time of each series, and the keys."""
        self._newest, self._keys = Newest(), Keys()
        found = self._con.execute("select series, max(t) as t from pts group by series").fetchnumpy()
        self._newest.note(np.asarray(found["series"], np.int64), np.asarray(found["t"], np.int64))
        rows = self._con.execute("select gateway, boot, lane, first, last from applied").fetchall()
        for row in rows:
            self._keys.add(*row)
        self._single_keys = len(rows)
        if len(rows) > 2 * sum(1 for _ in self._keys) + 1000:
            self._join_keys()

    # ── writing ──

    def append(self, samples: Samples, keys: Sequence[MessageKey], *, historical: bool) -> int:
        """Rows and keys in one transaction; rows stored.

        A row newer than all of its series (the table of newest times proves it) goes in plainly, any other
        is matched against the time window of its kind; so `historical` is only a hint and is not needed.
        """
        batch = first_wins(checked(samples))
        with self._write:
            new = [key for key in dict.fromkeys(keys) if key not in self._keys]
            with self._transaction() as con:
                fresh = batch.t > np.maximum(self._newest.of(batch.series), self._cold.end - 1)
                stored = _insert(con, batch[fresh]) if fresh.any() else 0
                if not fresh.all():
                    stored += self._insert_missing(con, batch[~fresh])
                _insert_keys(con, [(k.gateway, k.boot, k.lane, k.seq, k.seq) for k in new])
            self._cold.note_append(batch.t)
            self._newest.note(batch.series, batch.t)
            self._keys.update(new)
            self._single_keys += len(new)
            if self._single_keys > _JOIN_KEYS_AFTER:
                self._join_keys()
        return stored

    def _insert_missing(self, con: duckdb.DuckDBPyConnection, batch: Samples) -> int:
        """Rows whose (series, t) is not there yet, looked for within the batch's time window only."""
        low, high = int(batch.t.min()), int(batch.t.max())
        there = self._cold.source(low, high + 1, days=self._cold.days_of(batch.t))
        return _insert(
            con,
            batch,
            f"anti join (select series, t from {there} where t between {low} and {high}) using (series, t)",
        )

    def _join_keys(self) -> None:
        """Rewrite the key table as ranges."""
        ranges = list(self._keys)
        with self._transaction() as con:
            con.execute("delete from applied")
            _insert_keys(con, ranges)
        self._single_keys = len(ranges)

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """All or nothing. After an error that DuckDB cannot go on from, the file is opened again."""
        with failures(self.path):
            try:
                self._con.execute("begin")
                yield self._con
                self._con.execute("commit")
            except duckdb.Error as error:
                self._give_up(error)
                raise
            except BaseException:
                self._con.execute("rollback")
                raise

    def _give_up(self, error: duckdb.Error) -> None:
        try:
            self._con.execute("rollback")
        except duckdb.Error:
            if isinstance(error, duckdb.TransactionException):
                return
            # "database has been invalidated": nothing works any more until every connection to it is closed.
            with self._gate.alone():
                self._con.close()
                self._open()

    # ── reading ──

    def applied(self, keys: Sequence[MessageKey]) -> list[bool]:
        """Which of the keys have been written."""
        with self._write:
            return [key in self._keys for key in keys]

    def raw(self, series: int, start: Ms, end: Ms) -> Samples:
        """Rows of [start, end) in time order."""
        found = self._query(
            "select t, v, q from {points} where series = $series and t >= $start and t < $end order by t",
            start,
            end,
            series=series,
        )
        return _samples(np.full(len(found["t"]), series), found)

    def window(self, series: Sequence[int], start: Ms, end: Ms) -> Samples:
        """Rows of these series within [start, end), in order of time."""
        found = self._query(
            "select series, t, v, q from {points} where t >= $start and t < $end"
            " and series in (select unnest($wanted::uinteger[])) order by t, series",
            start,
            end,
            wanted=[int(s) for s in series],
        )
        return _samples(found["series"], found)

    def buckets(self, series: int, start: Ms, end: Ms, n: int) -> Buckets:
        """[start, end) in n equal buckets; the edges are those of `columns.bucketed`.

        Buckets of 75 minutes and more are made of the roll-ups' quarters of an hour where a day is sealed;
        all are for days whose rows have been dropped.
        """
        p = self._plan(start, end)
        if (end - start) // n >= coarse.COARSE or self._rolls.gone() & set(p.rolled):
            with self._reader() as cursor:
                return coarse.buckets(cursor, self._cold, self._rolls, p, series, n)
        found = self._query(
            "select (t - $start) * $n // ($end - $start) as k, min(v) as low, max(v) as high, avg(v) as mean,"
            " count(*) as n from {points} where series = $series and t >= $start and t < $end"
            f" and q < {BAD_FROM} and isfinite(v) group by k order by k",
            start,
            end,
            series=series,
            n=n,
        )
        k = np.asarray(found["k"], np.int64)
        low, high, mean = (np.asarray(found[name], np.float64) for name in ("low", "high", "mean"))
        return Buckets(bucket_start(k, start, end, n), low, high, mean, np.asarray(found["n"], np.int64))

    def shares(self, series: Sequence[int], start: Ms, end: Ms) -> Shares:
        """How long each series was on, and known, within [start, end); sealed days from roll-ups."""
        if not len(series):
            return Shares(np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, np.int64))
        hot = self.days()
        # What came late for a day may also hold into the next one.
        p = self._plan(start, end, but={day + more for day in hot for more in (0, DAY)})
        with self._reader() as cursor:
            return coarse.shares(cursor, self._cold, self._rolls, p, series)

    def _plan(self, start: Ms, end: Ms, but: set[Ms] | None = None) -> coarse.Plan:
        whole = set(range(start // DAY * DAY, end, DAY)) if self._cold.twice else set[Ms]()
        return coarse.plan(self._rolls, start, end, whole | (but or set()))

    def latest(self, series: Sequence[int], since: Ms) -> Samples:
        """The newest row of each series at or after `since`, by series."""
        found = self._query(
            "select series, max(t) as t, arg_max_null(v, t) as v, arg_max(q, t) as q from {points}"
            " where t >= $start and series in (select unnest($wanted::uinteger[]))"
            " group by series order by series",
            since,
            None,
            wanted=[int(s) for s in series],
        )
        return _samples(found["series"], found)

    def refused(self, start: Ms, end: Ms) -> NDArray[np.uint32]:
        """Series with rows of [start, end) that rules do not take: BAD, stale or without a number."""
        found = self._query(
            "select distinct series from {points} where t >= $start and t < $end"
            f" and (q >= {STALE_FROM} or v is null or not isfinite(v))",
            start,
            end,
        )
        return np.asarray(found["series"], np.uint32)

    def count(self) -> int:
        """Rows stored in all."""
        return int(self._query("select count(*) as n from {points}", None, None)["n"][0])

    def span(self) -> tuple[Ms, Ms]:
        """Time of the first row, and after the newest; (0, 0) without rows."""
        found = self._query("select min(t) as a, max(t) as b, count(*) as n from {points}", None, None)
        return (int(found["a"][0]), int(found["b"][0]) + 1) if found["n"][0] else (0, 0)

    def _query(self, sql: str, start: Ms | None, end: Ms | None, **values: Any) -> dict[str, Any]:
        """Run a question over hot rows and the days that touch [start, end), on a cursor of its own."""
        window = {"start": start, "end": end}
        values |= {name: value for name, value in window.items() if f"${name}" in sql}
        with self._reader() as cursor:
            points = self._cold.source(start, end)
            return dict(cursor.execute(sql.format(points=points), values).fetchnumpy())

    @contextmanager
    def _reader(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for questions; files stay as they are meanwhile."""
        with self._gate.shared(), failures(self.path), closing(self._con.cursor()) as cursor:
            yield cursor

    # ── files ──

    def seal(self, day: Ms) -> int:
        """Move the UTC day that holds `day` into its Parquet file; rows in that file afterwards.

        Its roll-ups follow. Safe to repeat (late rows and hours are merged in) and at a crash between any two
        steps. Appending and reading go on, but for the short exchange at the end. Rows of a day that has been
        dropped are deleted with a warning: its roll-ups stand. Where a damaged file was moved aside, rows
        that came after it stay as they are until it is put back, or taken away.
        """
        span = day_span(day)
        with self._cold.alone(), failures(self.path):
            if span.start in self._rolls.gone():
                return self._forget(span)
            rows = self._seal(span)
            self._roll_up()
        return rows

    def seal_hour(self, t: Ms) -> int:
        """Move the hour that holds `t` into a file of its own until its day is sealed; rows in it."""
        day = day_span(t)
        with self._cold.alone(), failures(self.path):
            if day.start in self._rolls.gone():
                return self._forget(day)
            return self._seal(hour_span(t))

    def _seal(self, span: Span) -> int:
        with self._reader() as cursor:
            half = self._cold.write(cursor, span)
        if half is not None:
            with self._write, self._gate.alone():
                self._cold.exchange(self._con, span, half)
        return self._cold.rows(span)

    def _roll_up(self) -> None:
        """Make the roll-ups of every sealed day that has none that stand."""
        for day in self._rolls.stale():
            with self._reader() as cursor:
                half, known = self._rolls.write(cursor, day)
            with self._gate.alone():
                self._rolls.exchange(half, known)

    def _forget(self, span: Span) -> int:
        """Rows that are sealed of a dropped day: none. A damaged file may come back, so then they stay."""
        if span.start in self._cold.hurt:
            return 0
        with self._write:
            done = self._con.execute(f"delete from pts where t >= {span.start} and t < {span.end}").fetchone()
        log.warning(
            "rows of a day that was dropped came late day=%s rows=%d; they are left out, the roll-ups stand",
            span.name,
            done[0] if done else 0,
        )
        return 0

    def hours(self) -> dict[Ms, int]:
        """Rows in the hot table by the hour (UTC), oldest first."""
        sql = f"select t // {HOUR} * {HOUR} as h, count(*) from pts group by 1 order by 1"
        with self._reader() as cursor:
            return {int(hour): int(n) for hour, n in cursor.execute(sql).fetchall()}

    def days(self) -> list[Ms]:
        """Starts of the UTC days that are not, or not wholly, in a file of their own, oldest first."""
        sql = f"select distinct t // {DAY} * {DAY} as d from pts order by 1"
        with self._reader() as cursor:
            hot = {int(day) for (day,) in cursor.execute(sql).fetchall()}
        return sorted(hot | self._cold.unmerged)

    def drop_before(self, day: Ms) -> None:
        """Forget the rows of sealed days before the one that holds `day`; their disk space comes back.

        Their roll-ups stay. Days without roll-ups that stand get them first (days in hours are merged).
        """
        with self._cold.alone(), failures(self.path):
            for hours in sorted(d for d in self._cold.unmerged if d + DAY <= day // DAY * DAY):
                self._seal(day_span(hours))
            self._roll_up()
            with self._write, self._gate.alone():
                for old in self._cold.drop_before(day):
                    log.info(
                        "rows of a day dropped by retention day=%s; its roll-ups stay", day_span(old).name
                    )

    def flush(self) -> None:
        """Shorten the log: commits are durable and readable at once anyway."""
        with self._write, failures(self.path):
            self._con.execute("checkpoint")

    def backup(self, folder: str) -> None:
        """`points.duckdb` and `cold/` as they are now; appending goes on."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        with self._cold.alone(), self._gate.shared(), failures(self.path):
            with replaced(target / FILE) as half, closing(self._con.cursor()) as cursor:
                name = str(half).replace("'", "''")
                cursor.execute(f"attach '{name}' as copy_of_points")
                try:
                    cursor.execute('copy from database "points" to copy_of_points')
                finally:
                    cursor.execute("detach copy_of_points")
            self._cold.copy_to(target / "cold")
            self._rolls.copy_to(target / "roll")

    def close(self) -> None:
        """Let go; idempotent."""
        with self._write, self._gate.alone():
            self._con.close()


def _samples(series: NDArray[Any], found: dict[str, Any]) -> Samples:
    """Columns of an answer; a number that is not there (null, a masked entry) is NaN."""
    v = np.ma.filled(found["v"].astype(np.float64), np.nan)
    return checked(Samples(series, found["t"], v, found["q"]))


def _insert(con: duckdb.DuckDBPyConnection, batch: Samples, but: str = "") -> int:
    """Insert columns by name (by position DuckDB would swap them without a word); rows inserted."""
    rows = {"series": batch.series, "t": batch.t, "v": batch.v, "q": batch.q}  # noqa: F841 - read by name
    done = con.execute(f"insert into pts by name select * from rows {but}").fetchone()
    return int(done[0]) if done else 0


def _insert_keys(con: duckdb.DuckDBPyConnection, rows: Sequence[tuple[str, str, str, int, int]]) -> None:
    for i in range(0, len(rows), 1000):
        part = rows[i : i + 1000]
        marks = ", ".join(["(?, ?, ?, ?, ?)"] * len(part))
        con.execute(f"insert into applied values {marks}", [x for row in part for x in row])
