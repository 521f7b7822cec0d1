"""Store and forward: what was read stays here until the core has sent its receipt.

One SQLite file (WAL, synchronous=FULL), written by one thread with one commit per tick. Blocking: every
method is called in that thread. A file that is damaged is moved aside; while the disk refuses to take more
the newest batches wait in memory and are written when it does again. Both are bounded (see outbox_room).
"""

from __future__ import annotations

import logging
import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import orjson

from gateway.codec import Account, Ack, DeviceAccount
from gateway.edge import outbox_file
from gateway.edge.outbox_file import Count
from gateway.edge.outbox_room import Maker, Room
from gateway.edge.outbox_turn import Taken, Turn, Want
from gateway.edge.pack import Row
from gateway.edge.plan import Range
from gateway.edge.tally import replay
from gateway.edge.unit import Lesson
from gateway.errors import Permanent
from gateway.model import Ms

log = logging.getLogger(__name__)

__all__ = ["Outbox", "OutboxLost", "Taken", "Turn", "Want"]

RETRY_S = 5.0
THIN_FROM = 0.9
"""Share of the bound at which room is made."""
MEMORY_BYTES = 64_000_000
"""Bound of what waits in memory for a disk that takes nothing."""
AGE_EVERY_S = 10.0
DAY: Ms = 86_400_000
GIVEN_AHEAD = 5_000
"""Rows beyond the last one sent that count as sent after a crash, so that not every sending is written."""

CONFIRMED = ("event", "state", "account", "live", "backlog")
"""Lanes whose rows leave by receipts of their own."""

Payload = bytes


class OutboxLost(Permanent):
    """The file was damaged while in use; after a restart it is moved aside and a new boot begins."""


class Outbox:
    """`max_bytes` bounds what is kept, `days` (site time; 0: no bound) how long telemetry and states are.

    last_t: the stamp of the newest tick of an earlier boot · dropped: points given up whole since the start,
    by lane (those that were thinned not counted).
    """

    def __init__(self, path: Path, max_bytes: int, days: float = 0.0) -> None:
        self._path, self._max, self._age = path, max_bytes, round(days * DAY)
        self._db: sqlite3.Connection | None = None
        self._memory: sqlite3.Connection | None = None
        self._boot = ""
        self._acks: dict[tuple[str, str], int] = {}  # that the file has not seen yet
        self._retry_at = self._age_at = 0.0
        self._given: Counter[str] = Counter()
        self._given_noted: dict[str, int] = {}
        self._devices: dict[str, list[str]] = {}
        self._boots: set[str] = set()
        self._tops: dict[str, int] = {}
        self._count, self._in_memory = Count(), Count()
        self.moved_aside = 0
        self.dropped: Counter[str] = Counter()
        self.client_id = ""
        self.conn = 0
        self.first_n = 1
        self.last_t: Ms = 0
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
            self._memory = outbox_file.in_memory()
            self.first_n = now * 1000  # above every number that the unreadable file may hold
        last = int(self._meta("boot_ms", "0"))
        start = max(now, last + 1)
        self._boot = f"{start:013d}-{secrets.token_hex(3)}"
        self._boots.add(self._boot)
        self.client_id = self._meta("client_id", "") or secrets.token_hex(4)
        self.conn = int(self._meta("conn", "0"))
        self.last_t = int(self._meta("last_t", "0"))
        self.commit(Turn(now, meta={"boot_ms": str(start), "client_id": self.client_id}), {}, 0.0)
        return self._boot

    def _open(self) -> None:
        try:
            self._db = outbox_file.connect(self._path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as e:
            self.moved_aside += 1
            aside = outbox_file.move_aside(self._path)
            log.error("outbox damaged cause=%r moved to %s; what waited in it is lost", str(e), aside)
            self._db = outbox_file.connect(self._path)
        self._load(self._db)

    def _load(self, db: sqlite3.Connection) -> None:
        (last,) = db.execute("SELECT coalesce(max(n), 0) FROM rows").fetchone()
        self.first_n = max(last, int(self._meta("last_n", "0"))) + 1
        self._tops |= dict(db.execute("SELECT lane, max(n) FROM rows GROUP BY lane"))
        self._count = outbox_file.sums(db)
        self._given_noted = {k: min(n, last) for k, n in orjson.loads(self._meta("given", "{}")).items()}
        self._given |= Counter(self._given_noted)
        self.lessons = {}
        for device, area, start, stop, at in db.execute("SELECT device, area, start, stop, at FROM lessons"):
            self.lessons.setdefault(device, []).append(Lesson(Range(area, start, stop), at))
        self._boots |= {boot for (boot,) in db.execute("SELECT DISTINCT boot FROM rows")}
        for tab, devices in db.execute("SELECT tab, devices FROM tables"):
            self._devices[tab] = orjson.loads(devices)

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
        if self._memory is not None:
            log.error("outbox closed with %d messages that the disk did not take", self._in_memory.rows)
            self._memory.close()
            self._memory = None
        self._close_file()

    # ── state ─────────────────────────────────────────────────────────────────────────────────────

    @property
    def rows(self) -> int:
        """Messages kept."""
        return self._count.rows + self._in_memory.rows

    @property
    def points(self) -> int:
        """Points in them."""
        return self._count.points + self._in_memory.points

    @property
    def bytes(self) -> int:
        """What they take."""
        return self._count.bytes + self._in_memory.bytes

    @property
    def backlog(self) -> int:
        """Points in lane backlog."""
        return self._count.backlog + self._in_memory.backlog

    @property
    def degraded(self) -> bool:
        """True while the newest batches are only in memory."""
        return self._memory is not None

    @property
    def full(self) -> bool:
        """No room can be made: new telemetry has to be thinned before it comes in."""
        return self._count.bytes >= self._max or self._in_memory.bytes >= MEMORY_BYTES

    # ── one tick ──────────────────────────────────────────────────────────────────────────────────

    def commit(self, turn: Turn, wants: Mapping[str, Want], now_s: float) -> Taken:
        """Write durably, then take rows to send. now_s: monotonic.

        A disk that does not take it: kept in memory and tried again every 5 s. Raises OutboxLost when the
        file turns out to be damaged.
        """
        for tab, _, devices in turn.tables:
            self._devices[tab] = devices
        try:
            thinned = self._written(turn, now_s)
            rows = {lane: self._take(lane, want) for lane, want in wants.items()}
            self._note_given()
        except sqlite3.DatabaseError as e:
            raise OutboxLost(f"{self._path}: {e}; restart the edge") from e
        return Taken(rows, dict(self._tops), thinned)

    def _written(self, turn: Turn, now_s: float) -> Counter[tuple[str, str]]:
        for row in turn.rows:
            self._tops[row.lane] = row.n
        if self._memory is None or now_s >= self._retry_at:
            try:
                return self._to_file(turn, now_s)
            except sqlite3.OperationalError as e:
                self._retry_at = now_s + RETRY_S
                if self._memory is None:
                    log.error(
                        "outbox cannot be written cause=%r; going on in memory, free disk space", str(e)
                    )
                    self._memory = outbox_file.in_memory()
        return self._to_memory(self._memory, turn)

    def _to_file(self, turn: Turn, now_s: float) -> Counter[tuple[str, str]]:
        if self._db is None:
            self._open()
        assert self._db is not None
        came, gone, room = Count.of(turn.rows), Count(), Room()
        with _transaction(self._db) as db:
            if self._memory is not None:
                outbox_file.move_over(self._memory, db)
                came += self._in_memory
            outbox_file.write(db, turn, self._boot)
            acks = [Ack(*key, upto) for key, upto in self._acks.items()]
            gone += outbox_file.delete(db, [*acks, *turn.acks])
            excess = self._count.bytes + came.bytes - gone.bytes - round(THIN_FROM * self._max)
            room = self._make_room(db, turn.t, excess, now_s)
        self._count += came
        self._count -= gone
        self._told(room)
        self._count -= room.count
        self._acks.clear()
        if self._memory is not None:
            log.warning("outbox written again messages=%d", self._in_memory.rows)
            self._memory.close()
            self._memory, self._in_memory = None, Count()
        return room.thinned

    def _to_memory(self, memory: sqlite3.Connection, turn: Turn) -> Counter[tuple[str, str]]:
        for ack in turn.acks:
            self._acks[ack.boot, ack.lane] = max(ack.upto, self._acks.get((ack.boot, ack.lane), 0))
        with _transaction(memory) as db:
            outbox_file.write(db, turn, self._boot)
            gone = outbox_file.delete(db, turn.acks)
            self._in_memory += Count.of(turn.rows)
            self._in_memory -= gone
            excess = self._in_memory.bytes - round(THIN_FROM * MEMORY_BYTES)
            room = self._make_room(db, turn.t, excess, None)
        self._told(room)
        self._in_memory -= room.count
        return room.thinned

    def _make_room(self, db: sqlite3.Connection, t: Ms, excess: int, now_s: float | None) -> Room:
        old = self._age > 0 and now_s is not None and now_s >= self._age_at
        if excess <= 0 and not old:
            return Room()
        maker = Maker(db, self._given, self._devices)
        if old and now_s is not None:
            self._age_at = now_s + AGE_EVERY_S
            maker.by_age(t - self._age)
        if excess > 0:
            maker.by_bytes(excess)
        maker.note(t)
        return maker.room

    def _told(self, room: Room) -> None:
        for lane, rows in room.rows.items():
            if not self.dropped[lane]:
                log.error(
                    "outbox gives up its oldest lane=%s messages=%d; the core has been away for too long",
                    lane, rows,
                )  # fmt: skip
            self.dropped[lane] += max(1, room.points[lane])

    # ── taking ────────────────────────────────────────────────────────────────────────────────────

    def _take(self, lane: str, want: Want) -> list[Row]:
        out: list[Row] = []
        for db in (self._db, self._memory):  # what is in memory is newer than all that is in the file
            if db is not None and len(out) < want.limit:
                out += outbox_file.take(db, lane, want.after, want.limit - len(out))
        if out:
            self._given[lane] = max(self._given[lane], out[-1].n)
        return out

    def _note_given(self) -> None:
        """Make durable what has been handed out, before it is sent: a later boot must leave it alone, too."""
        news = {lane: n for lane, n in self._given.items() if n > self._given_noted.get(lane, 0)}
        if not news or self._db is None or self._memory is not None:
            return
        noted = self._given_noted | {lane: n + GIVEN_AHEAD for lane, n in news.items()}
        try:
            with _transaction(self._db) as db:
                db.execute("INSERT OR REPLACE INTO meta VALUES('given', ?)", (orjson.dumps(noted).decode(),))
        except sqlite3.OperationalError as e:
            log.debug("what was handed out is not noted: %s", e)  # the next commit tells that it is full
            return
        self._given_noted = noted

    def table(self, tab: str) -> Payload | None:
        """The payload of a table of this or an earlier boot."""
        for db in (self._memory, self._db):
            if db is not None:
                row = db.execute("SELECT payload FROM tables WHERE tab=?", (tab,)).fetchone()
                if row is not None:
                    return Payload(row[0])
        return None

    def held(self) -> dict[str, dict[str, int]]:
        """Lowest number kept, by boot and lane; whatever lies below it will never come (again).

        Nothing while rows wait in memory. Tables have no receipts.
        """
        if self._db is None or self._memory is not None:
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
        """The closing accounts of earlier boots that are not written yet, exact up to their last commit.

        None while rows wait in memory: they would be written twice.
        """
        if self._db is None or self._memory is not None:
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


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
