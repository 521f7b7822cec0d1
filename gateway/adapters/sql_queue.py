"""A durable queue of sample batches in SQLite, in front of a server that forgets at a crash.

A batch stays after the server acknowledged it, for `keep_s` seconds, so that it can be sent again: what
VictoriaMetrics acknowledged in the ten seconds before a kill -9 was gone (docs/adr/0003-stores.md).
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from gateway.adapters.columns import Keys
from gateway.adapters.files import replaced
from gateway.adapters.store_errors import StoreDamaged, StoreFailed, StoreFull, StoreLocked, StoreTooNew
from gateway.model import MessageKey, Ms, Samples

SCHEMA = 1
_TABLES = f"""
create table if not exists batches(n integer primary key autoincrement, low integer not null,
    high integer not null, rows integer not null, state text not null, sent_at real, blob blob not null);
create index if not exists batches_state on batches(state, n);
create table if not exists applied(gateway text, boot text, lane text, first integer, last integer,
    primary key(gateway, boot, lane, first)) without rowid;
create table if not exists parked(n integer primary key autoincrement, reason text not null,
    rows integer not null, blob blob not null);
pragma user_version = {SCHEMA};
"""


class SqlQueue:
    """States of a batch: waiting → sent → forgotten. Blocking; safe from any thread."""

    def __init__(self, path: str | Path, monotonic: Callable[[], float], *, keep_s: float = 90.0) -> None:
        """Open or make. What was kept as sent is waiting again, since nobody knows what the server kept.

        Raises StoreDamaged, StoreTooNew, StoreLocked.
        """
        self.path, self.keep_s = Path(path), keep_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._keys = Keys()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._failures():
            self._con = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
            try:
                self._prepare()
            except BaseException:
                self._con.close()
                raise

    def _prepare(self) -> None:
        con = self._con
        con.execute("pragma journal_mode = wal")
        con.execute("pragma synchronous = full")
        found = con.execute("pragma user_version").fetchone()[0]
        if found > SCHEMA:
            raise StoreTooNew(
                f"{self.path}: schema {found}, this Steward knows {SCHEMA}; install the newer one"
            )
        con.executescript(_TABLES)
        con.execute("update batches set state = 'waiting' where state = 'sent'")
        for row in con.execute("select gateway, boot, lane, first, last from applied"):
            self._keys.add(*row)

    # ── the writer's side ──

    def push(self, samples: Samples, keys: Sequence[MessageKey]) -> None:
        """Rows and their keys in one durable transaction."""
        with self._transaction() as con:
            if len(samples):
                row = (int(samples.t.min()), int(samples.t.max()), len(samples), _pack(samples))
                con.execute(
                    "insert into batches(low, high, rows, state, blob) values (?, ?, ?, 'waiting', ?)", row
                )
            for key in keys:
                first, last = self._keys.add(key.gateway, key.boot, key.lane, key.seq, key.seq)
                lane = (key.gateway, key.boot, key.lane)
                con.execute(
                    "delete from applied where gateway = ? and boot = ? and lane = ?"
                    " and first between ? and ?",
                    (*lane, first, last),
                )
                con.execute("insert into applied values (?, ?, ?, ?, ?)", (*lane, first, last))

    def applied(self, keys: Sequence[MessageKey]) -> list[bool]:
        """Which of the keys have been pushed."""
        with self._lock:
            return [key in self._keys for key in keys]

    def held(self, low: Ms, high: Ms) -> Samples:
        """Rows still held, waiting or sent, of batches that touch [low, high]."""
        with self._lock, self._failures():
            found = self._con.execute("select blob from batches where low <= ? and high >= ?", (high, low))
            return Samples.concat([_unpack(blob) for (blob,) in found])

    # ── the sender's side ──

    def waiting(self, rows: int) -> list[tuple[int, Samples]]:
        """The oldest waiting batches, about `rows` rows of them: (number, rows)."""
        chosen, total = [], 0
        with self._lock, self._failures():
            found = self._con.execute("select n, rows, blob from batches where state = 'waiting' order by n")
            for n, size, blob in found:
                chosen.append((n, _unpack(blob)))
                total += size
                if total >= rows:
                    break
            found.close()
        return chosen

    def sent(self, numbers: Sequence[int]) -> None:
        """The server acknowledged these; those sent longer than `keep_s` ago are forgotten."""
        now = self._monotonic()
        with self._transaction() as con:
            con.executemany(
                "update batches set state = 'sent', sent_at = ? where n = ?", [(now, n) for n in numbers]
            )
            con.execute("delete from batches where state = 'sent' and sent_at < ?", (now - self.keep_s,))

    def again(self) -> int:
        """Everything kept as sent waits again; how many batches."""
        with self._transaction() as con:
            return con.execute("update batches set state = 'waiting' where state = 'sent'").rowcount

    def park(self, samples: Samples, reason: str) -> None:
        """Put rows aside that the server refuses for good."""
        with self._transaction() as con:
            con.execute(
                "insert into parked(reason, rows, blob) values (?, ?, ?)",
                (reason, len(samples), _pack(samples)),
            )

    def figures(self) -> dict[str, int]:
        """Rows waiting, kept for replay, and parked."""
        with self._lock, self._failures():
            states = dict(self._con.execute("select state, sum(rows) from batches group by state").fetchall())
            parked = self._con.execute("select coalesce(sum(rows), 0) from parked").fetchone()[0]
        return {"waiting": states.get("waiting", 0), "kept": states.get("sent", 0), "parked": parked}

    def backup(self, folder: Path) -> None:
        """A consistent copy in `folder`."""
        with self._failures(), replaced(folder / self.path.name) as half:
            copy = sqlite3.connect(half)
            try:
                with self._lock:
                    self._con.backup(copy)
            finally:
                copy.close()

    def close(self) -> None:
        """Let go; what waits is sent next time."""
        with self._lock:
            self._con.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._failures():
            self._con.execute("begin immediate")
            try:
                yield self._con
                self._con.execute("commit")
            except BaseException:
                if self._con.in_transaction:
                    self._con.execute("rollback")
                self._reload_keys()
                raise

    def _reload_keys(self) -> None:
        """The keys in memory are those of the file, also after a transaction that failed."""
        self._keys = Keys()
        for row in self._con.execute("select gateway, boot, lane, first, last from applied"):
            self._keys.add(*row)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorname", "")
            if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
                raise StoreDamaged(
                    f"{self.path}: damaged ({error}); move it away: only samples not yet sent are lost"
                ) from error
            if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise StoreLocked(f"{self.path}: another process holds it; stop the other Steward") from error
            if code.startswith("SQLITE_FULL"):
                raise StoreFull(f"{self.path}: no room on the disk; free some and it goes on") from error
            raise StoreFailed(f"{self.path}: {error}") from error


def _pack(s: Samples) -> bytes:
    """Row count (u4), then the columns one after the other, little-endian."""
    head = len(s).to_bytes(4, "little")
    return head + b"".join(
        [
            s.series.astype("<u4").tobytes(),
            s.t.astype("<i8").tobytes(),
            s.v.astype("<f8").tobytes(),
            s.q.tobytes(),
        ]
    )


def _unpack(blob: bytes) -> Samples:
    n = int.from_bytes(blob[:4], "little")
    return Samples(
        np.frombuffer(blob, "<u4", n, 4).astype(np.uint32),
        np.frombuffer(blob, "<i8", n, 4 + 4 * n).astype(np.int64),
        np.frombuffer(blob, "<f8", n, 4 + 12 * n).astype(np.float64),
        np.frombuffer(blob, "u1", n, 4 + 20 * n).astype(np.uint8),
    )
