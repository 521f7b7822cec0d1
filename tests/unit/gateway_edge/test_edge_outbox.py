from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gateway.codec import Account, Ack, Data, DeviceAccount, Topic
from gateway.edge.filter import Batch
from gateway.edge.outbox import Outbox, OutboxLost, Turn, Want
from gateway.edge.outbox_file import ROW_BYTES
from gateway.edge.pack import Packer, Row
from gateway.edge.plan import Range
from gateway.edge.tally import Tally
from gateway.edge.unit import Lesson
from gateway.errors import Permanent
from gateway.model import GOOD, Point
from tests.unit.gateway_edge.edge_fakes import points

T0 = 1_790_000_000_000
ALL = {lane: Want(0, 10_000) for lane in ("table", "event", "state", "account", "live", "backlog")}


class Store:
    """An outbox with a packer on top, one device per asset."""

    def __init__(self, path: Path, pts: list[Point] | None = None, max_bytes: int = 10_000_000) -> None:
        self.points = pts or points(4)
        self.path = path
        self.box = Outbox(path, max_bytes)
        self.boot = self.box.open(T0)
        self.pack = Packer(Topic("e", "g", ""), self.boot, self.points, self.box.first_n)
        self.names = sorted({p.asset for p in self.points})
        self.tally = Tally(self.names)
        self.now = 0.0
        turn = Turn(T0, rows=self.pack.table_rows())
        for table in self.pack.tables:
            turn.tables.append((table.tab, table.encode(), [p.asset for p in table.points]))
        self.box.commit(turn, {}, self.now)

    def rows(self, t: int, values: list[float], *, live: bool = True) -> list[Row]:
        gid = np.arange(len(values), dtype=np.intp)
        batch = Batch(gid, np.full(len(gid), T0 + t), np.array(values), np.full(len(gid), GOOD, np.uint8))
        owners = np.array([self.names.index(self.points[g].asset) for g in gid.tolist()], np.intp)
        self.tally.readings(owners, owners[:0])
        return self.pack.pack(batch, {}, live=live)

    def put(self, t: int, values: list[float], *, live: bool = True, acks: list[Ack] | None = None) -> None:
        turn = Turn(T0 + t, rows=self.rows(t, values, live=live), acks=acks or [])
        turn.delta = self.tally.delta()
        self.now += 0.05
        taken = self.box.commit(turn, {}, self.now)
        for device, n in ((d, n) for (boot, d), n in taken.thinned.items() if boot == self.boot):
            self.tally.thinned_in_store(self.names.index(device), n)

    def waiting(self, lane: str) -> list[Row]:
        return self.box.commit(Turn(T0), {lane: Want(0, 10_000)}, self.now).rows[lane]

    def reopen(self) -> Store:
        self.box.close()
        return Store(self.path, self.points)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    s = Store(tmp_path / "outbox.db")
    yield s
    s.box.close()


def test_rows_go_when_a_receipt_covers_them_and_not_before(store: Store) -> None:
    for k in range(5):
        store.put(k, [k, k, k, k])
    assert store.box.points == 20
    store.put(9, [9.0], acks=[Ack(store.boot, "live", 3)])
    assert [r.seq for r in store.waiting("live")] == [4, 5, 6]
    assert store.box.points == 9
    assert store.box.rows == 3  # the table went with the first data that proves it


def test_tables_come_first_and_stay_until_data_proves_them(store: Store) -> None:
    (row,) = store.waiting("table")
    assert (row.retain, row.topic) == (True, f"steward/v1/e/g/points/{row.tab}")
    store.put(0, [1.0])
    assert store.waiting("table")[0].n < store.waiting("live")[0].n


def test_rows_of_an_earlier_boot_are_resent_as_they_were(store: Store) -> None:
    store.put(0, [1.0])
    before = store.waiting("live")
    again = store.reopen()
    assert again.boot > store.boot
    assert again.waiting("live") == before
    again.put(5, [2.0])
    assert [r.boot for r in again.waiting("live")] == [store.boot, again.boot]
    assert again.box.client_id == store.box.client_id
    again.put(6, [], acks=[Ack(store.boot, "live", 1)])
    assert [r.boot for r in again.waiting("live")] == [again.boot]
    again.box.close()


def test_the_boot_is_later_than_the_last_one_even_when_the_clock_went_back(store: Store) -> None:
    store.box.close()
    box = Outbox(store.path, 1_000_000)
    assert box.open(T0 - 3_600_000) > store.boot
    box.close()


def test_lessons_and_connection_count_survive(store: Store) -> None:
    lesson = Lesson(Range("holding", 5, 8), T0)
    store.box.commit(Turn(T0, lessons={"d1": [lesson]}, meta={"conn": "7"}), {}, 0)
    again = store.reopen()
    assert again.box.lessons == {"d1": [lesson]}
    assert again.box.conn == 7
    again.box.commit(Turn(T0, lessons={"d1": []}), {}, 0)
    assert again.reopen().box.lessons == {}


def test_a_second_process_is_refused(store: Store) -> None:
    with pytest.raises(Permanent, match="in use by another process"):
        Outbox(store.path, 1000).open(T0)


@pytest.mark.parametrize("damage", [b"", b"not a database at all " * 500])
def test_a_damaged_file_is_moved_aside_and_said(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "outbox.db"
    first = Store(path)
    for k in range(200):
        first.put(k, [k, k, k, k])
    first.box.close()
    body = path.read_bytes()
    path.write_bytes(damage or body[:4096] + b"\xff" * 20_000 + body[24_096:])
    with caplog.at_level(logging.ERROR):
        again = Store(path)
    assert again.box.moved_aside == 1
    assert "moved to" in caplog.text
    assert (tmp_path / "outbox.db.damaged-1").exists()
    again.put(0, [1.0])
    assert len(again.waiting("live")) == 1
    again.box.close()


def test_damage_while_in_use_ends_the_boot(store: Store) -> None:
    assert store.box._db is not None
    store.box._db.execute("DROP TABLE rows")
    store.box._db.execute("CREATE TABLE rows(n INTEGER PRIMARY KEY CHECK (n < 0), boot, lane, seq, topic,"
                          " payload, tab, points, retain)")  # fmt: skip
    with pytest.raises(OutboxLost, match="restart the edge"):
        store.put(0, [1.0])


def test_a_full_disk_goes_on_in_memory_and_loses_nothing(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    db = store.box._db
    assert db is not None
    store.put(0, [1.0, 1.0])
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.execute(f"PRAGMA max_page_count={pages}")
    for k in range(1, 400):
        store.put(k, [k, k, k, k])
    assert store.box.degraded
    assert "going on in memory" in caplog.text
    assert [r.seq for r in store.waiting("live")] == list(range(1, 401))
    store.put(500, [5.0], acks=[Ack(store.boot, "live", 390)])
    assert [r.seq for r in store.waiting("live") if r.seq > 390] == list(range(391, 402))
    db.execute("PRAGMA max_page_count=1000000")
    store.now += 10
    store.put(501, [6.0])
    assert not store.box.degraded
    assert [r.seq for r in store.waiting("live")] == list(range(391, 403))
    assert store.box.points == sum(r.points for r in store.waiting("live"))
    again = store.reopen()
    assert [r.seq for r in again.waiting("live")] == list(range(391, 403))
    again.box.close()


def test_a_file_that_cannot_be_opened_at_the_start_is_used_when_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "outbox.db"
    path.mkdir()
    s = Store(path)
    s.put(0, [1.0, 2.0])
    assert s.box.degraded
    assert [r.points for r in s.waiting("live")] == [2]
    path.rmdir()
    s.now += 10
    s.put(1, [3.0])
    assert not s.box.degraded
    assert "written again" in caplog.text
    assert s.box.points == 3
    again = s.reopen()
    assert [r.seq for r in again.waiting("live")] == [1, 2]
    again.box.close()


def test_a_wrong_folder_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where the folder should be")
    with pytest.raises(Permanent, match="data directory"):
        Store(tmp_path / "blocked" / "outbox.db")


def test_a_crashed_boot_gets_its_closing_account_to_the_last_commit(store: Store) -> None:
    store.put(0, [1.0, 2.0, 3.0])
    store.tally.gap(0, "timeout", 4)
    account = Account(store.boot, 0, T0, store.tally.devices())
    store.box.commit(
        Turn(T0, rows=[store.pack.account(account)], accounts=[account], delta=store.tally.delta()), {}, 0
    )
    store.put(1000, [1.0, 2.0])
    store.tally.gap(0, "timeout", 4)
    store.put(2000, [7.0])
    again = store.reopen()  # nothing said goodbye
    (closing,) = again.box.closing()
    assert (closing.boot, closing.seq, closing.t) == (store.boot, 2, T0 + 2000)
    assert closing.devices == {"pump-1": DeviceAccount(14, 6, 0, 0, {"timeout": 8})}
    again.box.commit(Turn(T0, rows=[again.pack.account(closing)], accounts=[closing]), {}, 0)
    assert again.box.closing() == []
    again.box.close()


def many() -> list[Point]:
    alarms = [Point("siren", f"call.n{k}", kind="digital", life=True) for k in range(2)]
    states = [Point("pump-1", f"run.n{k}", kind="digital") for k in range(2)]
    return [*points(40), *points(40, "pump-2"), *states, *alarms]


def test_over_capacity_alarms_stay_and_telemetry_keeps_its_extremes(tmp_path: Path) -> None:
    s = Store(tmp_path / "outbox.db", many(), max_bytes=1_000_000)
    rng = np.random.default_rng(7)
    truth = np.cumsum(rng.normal(size=(500, 80)), axis=0)
    for k in range(500):
        s.put(k * 1000, [*truth[k].tolist(), k % 2, k % 2, k % 2, k % 2], live=False)
    rows = {lane: s.waiting(lane) for lane in ALL}
    assert len(rows["event"]) == 1000
    assert sum(r.points for r in rows["state"]) == 1000
    low, high = np.full(80, np.inf), np.full(80, -np.inf)
    for r in rows["backlog"]:
        m = Data.decode(r.payload)
        np.minimum.at(low, m.i, m.v)
        np.maximum.at(high, m.i, m.v)
    assert np.array_equal(low, truth.min(axis=0))
    assert np.array_equal(high, truth.max(axis=0))
    assert [r.seq for r in rows["backlog"]] == list(range(1, 501))  # no number is missing
    total = sum(r.points for lane in rows for r in rows[lane])
    account = s.tally.devices()
    assert sum(d.stored for d in account.values()) == total == s.box.points
    assert sum(d.thinned for d in account.values()) == 500 * 84 - total
    assert all(d.residual == 0 for d in account.values())
    assert s.box.bytes == sum(len(r.payload) + ROW_BYTES for lane in rows for r in rows[lane]) < 1_000_000
    assert s.box.backlog == sum(r.points for r in rows["backlog"])
    assert s.box.dropped == {}
    again = s.reopen()
    (closing,) = again.box.closing()
    assert sum(d.stored for d in closing.devices.values()) == total
    again.box.close()


def test_rows_that_were_handed_out_are_not_thinned(tmp_path: Path) -> None:
    s = Store(tmp_path / "outbox.db", many(), max_bytes=300_000)
    for k in range(30):
        s.put(k * 1000, [float(k)] * 84)
    given = s.waiting("live")
    for k in range(30, 200):
        s.put(k * 1000, [float(k)] * 84, live=False)
    assert s.waiting("live") == given
    assert sum(r.points for r in s.waiting("backlog")) < 170 * 80
    after = s.reopen()  # what an earlier process handed out is as sacred
    for k in range(200, 400):
        after.put(k * 1000, [float(k)] * 84, live=False)
    assert after.waiting("live") == given
    s.box.close()


def test_a_newer_file_is_not_touched(store: Store) -> None:
    assert store.box._db is not None
    store.box._db.execute("PRAGMA user_version=99")
    store.box.close()
    with pytest.raises(Permanent, match="schema 99"):
        Outbox(store.path, 1000).open(T0)


def test_the_file_is_written_through(store: Store) -> None:
    assert isinstance(store.box._db, sqlite3.Connection)
    assert store.box._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store.box._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
