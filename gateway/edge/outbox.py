"""Store and forward: what was read stays here until the core has sent its receipt.

One SQLite file (WAL, synchronous=FULL), written by one thread with one commit per tick. Blocking: every
method is called in that thread. A file that is damaged is moved aside; while the disk refuses to take more
the newest batches wait in memory and are written when it does again.
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from gateway.codec import Account, Ack, DeviceAccount
from gateway.edge.outbox_file import add_delta, connect, make_room, move_aside
from gateway.edge.pack import Row
from gateway.edge.plan import Range
from gateway.edge.tally import replay
from gateway.edge.unit import Lesson
from gateway.errors import Permanent
from gateway.model import Ms

log = logging.getLogger(__name__)

RETRY_S = 5.0
THIN_FROM = 0.9
"""Share of the bound at which thinning starts."""
MEMORY_BYTES = 64_000_000
"""Bound of what waits in memory for a disk that takes nothing."""

CONFIRMED = ("event", "state", "account", "live", "backlog")
"""Lanes whose rows leave by receipts of their own."""

_COLUMNS = "n, boot, lane, seq, topic, payload, tab, points, retain"
"""In the order of Row's fields."""
_TAKE = f"SELECT {_COLUMNS} FROM rows WHERE lane=? AND n>? ORDER BY n LIMIT ?"  # noqa: S608 - constants

_PRUNE = "DELETE FROM accounts WHERE boot NOT IN (SELECT boot FROM rows UNION SELECT boot FROM deltas)"


class OutboxLost(Permanent):
    """The file was damaged while in use; after a restart it is moved aside and a new boot begins."""


@dataclass(slots=True)
class Turn:
    """Everything of one tick, written in one transaction.

    delta: what the account gained by these rows (Tally.delta) · account: replaces the boot's account and
    swallows its deltas · lessons: all lessons of a device · tables: (tab, payload, device of each point).
    """

    t: Ms
    rows: list[Row] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    delta: bytes = b""
    accounts: list[Account] = field(default_factory=list)
    lessons: dict[str, Sequence[Lesson]] = field(default_factory=dict)
    tables: list[tuple[str, bytes, list[str]]] = field(default_factory=list)
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Want:
    """Rows of a lane behind `after`, at most `limit`."""

    after: int
    limit: int


@dataclass(slots=True)
class Taken:
    """What a commit gives back: rows to send by lane, and the newest row number of each lane.

    thinned: points dropped by (boot, device); they are already in the boot's deltas.
    """

    rows: dict[str, list[Row]]
    tops: dict[str, int]
    thinned: Counter[tuple[str, str]]


class Outbox:
    """`max_bytes` bounds the payload kept."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path, self._max = path, max_bytes
        self._db: sqlite3.Connection | None = None
        self._boot = ""
        self._pending: list[Turn] = []
        self._in_memory = 0
        self._retry_at = 0.0
        self._given: Counter[str] = Counter()
        self._devices: dict[str, list[str]] = {}
        self._boots: set[str] = set()
        self._tops: dict[str, int] = {}
        self.rows = self.points = self.bytes = self.backlog = 0
        self.moved_aside = 0
        self.client_id = ""
        self.conn = 0
        self.first_n = 1
        self.lessons: dict[str, list[Lesson]] = {}

    # ── opening ───────────────────────────────────────────────────────────────────────────────────

    def open(self, now: Ms) -> str:
        """Open or make the file and begin a boot; its id, later than every id before.

        Raises Permanent when another process has the file. On a full disk it goes on in memory.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as e:
            raise Permanent(f"the data directory {self._path.parent} cannot be made: {e}") from e
        try:
            self._open()
        except sqlite3.OperationalError as e:
            if "locked" in str(e):
                raise Permanent(f"{self._path} is in use by another process; stop it first") from e
            log.error("outbox cannot be written file=%s cause=%r; going on in memory", self._path, str(e))
            self._close_file()
            self.first_n = now * 1000  # above every number that the unreadable file may hold
        last = int(self._meta("boot_ms", "0"))
        start = max(now, last + 1)
        self._boot = f"{start:013d}-{secrets.token_hex(3)}"
        self._boots.add(self._boot)
        self.client_id = self._meta("client_id", "") or secrets.token_hex(4)
        self.conn = int(self._meta("conn", "0"))
        self.commit(Turn(now, meta={"boot_ms": str(start), "client_id": self.client_id}), {}, 0.0)
        return self._boot

    def _open(self) -> None:
        try:
            self._db = connect(self._path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as e:
            self.moved_aside += 1
            aside = move_aside(self._path)
            log.error("outbox damaged cause=%r moved to %s; what waited in it is lost", str(e), aside)
            self._db = connect(self._path)
        self._load(self._db)

    def _load(self, db: sqlite3.Connection) -> None:
        (last,) = db.execute("SELECT coalesce(max(n), 0) FROM rows").fetchone()
        self.first_n = max(last, int(self._meta("last_n", "0"))) + 1
        self._tops = dict(db.execute("SELECT lane, max(n) FROM rows GROUP BY lane"))
        self.rows, self.points, self.bytes, self.backlog = db.execute(
            "SELECT count(*), coalesce(sum(points), 0), coalesce(sum(length(payload)), 0),"
            " coalesce(sum(points) FILTER (WHERE lane='backlog'), 0) FROM rows"
        ).fetchone()
        self.lessons = {}
        for device, area, start, stop, at in db.execute("SELECT device, area, start, stop, at FROM lessons"):
            self.lessons.setdefault(device, []).append(Lesson(Range(area, start, stop), at))
        self._boots |= {boot for (boot,) in db.execute("SELECT DISTINCT boot FROM rows")}
        for tab, devices in db.execute("SELECT tab, devices FROM tables"):
            self._devices[tab] = orjson.loads(devices)

    @property
    def _file(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.OperationalError("the file is not open")
        return self._db

    def _meta(self, key: str, default: str) -> str:
        if self._db is None:
            return default
        row = self._db.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        return str(row[0]) if row else default

    def _close_file(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def close(self) -> None:
        """Let go of the file."""
        if self._pending:
            log.error("outbox closed with %d batches that the disk did not take", len(self._pending))
        self._close_file()

    # ── one tick ──────────────────────────────────────────────────────────────────────────────────

    @property
    def degraded(self) -> bool:
        """True while the newest batches are only in memory."""
        return bool(self._pending)

    @property
    def full(self) -> bool:
        """Thinning could not make room: new telemetry has to be thinned before it comes in."""
        return self.bytes >= self._max or self._in_memory >= MEMORY_BYTES

    def commit(self, turn: Turn, wants: Mapping[str, Want], now_s: float) -> Taken:
        """Write durably, then take rows to send. now_s: monotonic.

        A disk that does not take it: kept in memory and tried again every 5 s. Raises OutboxLost when the
        file turns out to be damaged.
        """
        self._count(turn.rows, +1)
        for row in turn.rows:
            self._tops[row.lane] = row.n
        was, thinned = self.degraded, Counter[tuple[str, str]]()
        self._pending.append(turn)
        self._in_memory += sum(len(r.payload) for r in turn.rows)
        if not was or now_s >= self._retry_at:
            thinned = self._flush(now_s, was=was)
        if self._pending and turn.acks:
            self._forget_in_memory(turn.acks)
        return Taken(
            {lane: self._take(lane, want) for lane, want in wants.items()}, dict(self._tops), thinned
        )

    def _flush(self, now_s: float, *, was: bool) -> Counter[tuple[str, str]]:
        gone: list[tuple[str, int, int]] = []
        thinned, saved = Counter[tuple[str, str]](), 0
        try:
            if self._db is None:
                self._reopen()
            with self._transaction() as db:
                for turn in self._pending:
                    self._write(db, turn)
                    gone += self._delete(db, turn.acks)
                excess = self.bytes - sum(size for *_, size in gone) - round(THIN_FROM * self._max)
                if excess > 0:
                    thinned, saved = make_room(db, excess, self._given, self._devices, self._pending[-1].t)
        except sqlite3.OperationalError as e:
            self._retry_at = now_s + RETRY_S
            if not was:
                log.error("outbox cannot be written cause=%r; going on in memory, free disk space", str(e))
            return Counter()
        except sqlite3.DatabaseError as e:
            raise OutboxLost(f"{self._path}: {e}; restart the edge") from e
        if was:
            log.warning("outbox written again batches=%d", len(self._pending))
        self._pending.clear()
        self._in_memory = 0
        for lane, points, size in gone:
            self._gone(lane, points, size)
        self.points -= thinned.total()
        self.bytes -= saved
        return thinned

    def _reopen(self) -> None:
        """The disk was full at the start."""
        mine = [row for turn in self._pending for row in turn.rows]
        tops = dict(self._tops)
        self._open()
        self._tops |= tops
        self._count(mine, +1)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._file
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _write(self, db: sqlite3.Connection, turn: Turn) -> None:
        db.executemany(
            f"INSERT INTO rows({_COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?)",
            [(r.n, r.boot, r.lane, r.seq, r.topic, r.payload, r.tab, r.points, r.retain) for r in turn.rows],
        )
        if "boot_ms" in turn.meta:
            db.execute(_PRUNE)
        if turn.delta:
            add_delta(db, self._boot, turn.t, turn.delta)
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
            self._devices[tab] = devices
        meta = list(turn.meta.items())
        if turn.rows:
            meta.append(("last_n", str(turn.rows[-1].n)))
        if meta:
            db.executemany("INSERT OR REPLACE INTO meta VALUES(?,?)", meta)

    @staticmethod
    def _delete(db: sqlite3.Connection, acks: Sequence[Ack]) -> list[tuple[str, int, int]]:
        """Rows that the receipts cover; (lane, points, bytes) of each. Data that arrived proves its table."""
        gone: list[tuple[str, int, int]] = []
        tabs: set[str] = set()
        for ack in acks:
            found = db.execute(
                "DELETE FROM rows WHERE boot=? AND lane=? AND seq<=?"
                " RETURNING lane, points, length(payload), tab",
                (ack.boot, ack.lane, ack.upto),
            ).fetchall()
            gone += [(lane, points, size) for lane, points, size, _ in found]
            tabs |= {tab for *_, tab in found if tab}
        for tab in tabs:
            gone += db.execute(
                "DELETE FROM rows WHERE lane='table' AND tab=? RETURNING lane, points, length(payload)",
                (tab,),
            ).fetchall()
        return gone

    def _forget_in_memory(self, acks: Sequence[Ack]) -> None:
        upto = {(a.boot, a.lane): a.upto for a in acks}
        for turn in self._pending:
            gone = [r for r in turn.rows if r.seq <= upto.get((r.boot, r.lane), 0)]
            if gone:
                turn.rows = [r for r in turn.rows if r.seq > upto.get((r.boot, r.lane), 0)]
                self._count(gone, -1)

    def _count(self, rows: Sequence[Row], sign: int) -> None:
        self.rows += sign * len(rows)
        for r in rows:
            self.points += sign * r.points
            self.bytes += sign * len(r.payload)
            self.backlog += sign * r.points if r.lane == "backlog" else 0

    def _gone(self, lane: str, points: int, size: int) -> None:
        self.rows -= 1
        self.points -= points
        self.bytes -= size
        self.backlog -= points if lane == "backlog" else 0

    # ── taking ────────────────────────────────────────────────────────────────────────────────────

    def _take(self, lane: str, want: Want) -> list[Row]:
        out: list[Row] = []
        if self._db is not None:
            out = [Row(*r) for r in self._db.execute(_TAKE, (lane, want.after, want.limit))]
        if self._pending:
            out += [r for turn in self._pending for r in turn.rows if r.lane == lane and r.n > want.after]
            out = sorted(out, key=lambda r: r.n)[: want.limit]
        if out:
            self._given[lane] = max(self._given[lane], out[-1].n)
        return out

    def table(self, tab: str) -> bytes | None:
        """The payload of a table of this or an earlier boot."""
        if self._db is None:
            return None
        row = self._db.execute("SELECT payload FROM tables WHERE tab=?", (tab,)).fetchone()
        return bytes(row[0]) if row else None

    def held(self) -> dict[str, dict[str, int]]:
        """Lowest number kept, by boot and lane; whatever lies below it has a receipt. Tables have none."""
        if self._db is None:
            return {}
        out: dict[str, dict[str, int]] = {}
        for boot in sorted(self._boots):
            for lane in CONFIRMED:
                (low,) = self._db.execute(
                    "SELECT min(seq) FROM rows WHERE boot=? AND lane=?", (boot, lane)
                ).fetchone()
                if low is not None:
                    out.setdefault(boot, {})[lane] = low
            if boot != self._boot and boot not in out:
                self._boots.discard(boot)
        return out

    # ── accounts of earlier boots ─────────────────────────────────────────────────────────────────

    def closing(self) -> list[Account]:
        """The closing accounts of earlier boots that are not written yet, exact up to their last commit."""
        if self._db is None:
            return []
        out = []
        boots = self._db.execute("SELECT DISTINCT boot FROM deltas WHERE boot<>?", (self._boot,)).fetchall()
        for (boot,) in boots:
            deltas = self._db.execute(
                "SELECT t, payload FROM deltas WHERE boot=? ORDER BY n", (boot,)
            ).fetchall()
            row = self._db.execute("SELECT seq, payload FROM accounts WHERE boot=?", (boot,)).fetchone()
            seq, before = (row[0], Account.decode(row[1]).devices) if row else (0, {})
            devices: dict[str, DeviceAccount] = replay(before, [d for _, d in deltas])
            out.append(Account(boot, seq + 1, deltas[-1][0], devices))
        return out
