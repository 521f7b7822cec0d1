"""Opening data files: schema numbers, damage, a full disk, a second instance."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.lockfile import DataLock
from gateway.adapters.state import open_state
from gateway.adapters.state.tables import meta
from gateway.adapters.store_errors import InUse, StoreDamaged, StoreFull, StoreLocked, StoreTooNew
from gateway.errors import WorkFailed
from gateway.model import Event, Samples
from gateway.ports import Commit

T0 = 1_700_000_000_000


def filled_state(path: Path, n: int = 200) -> None:
    state = open_state(path, durable=False)
    facts = [Event(f"e{i}", "lakeside", T0 + i, "k.v", "s", data={"text": "x" * 400}) for i in range(n)]
    state.commit(Commit(events=facts))
    state.close()


def filled_points(folder: Path) -> None:
    store = DuckStore(folder)
    n = 50_000
    store.append(
        Samples.of([1] * n, [T0 + i for i in range(n)], [0.1 * i for i in range(n)]), [], historical=False
    )
    store.flush()
    store.close()


def spoil(path: Path, start: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xde\xad\xbe\xef" * 5000)


def test_migrations_make_the_tables_of_the_code(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state.db")
    with state.reading() as con:
        assert compare_metadata(MigrationContext.configure(con), meta) == []
        pragmas = {
            p: con.exec_driver_sql(f"pragma {p}").scalar_one() for p in ("journal_mode", "synchronous")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
    with state.writing() as con:
        assert con.exec_driver_sql("pragma synchronous").scalar_one() == 2  # FULL
        assert con.exec_driver_sql("pragma foreign_keys").scalar_one() == 1
    with pytest.raises(WorkFailed, match="readonly"), state.reading() as con:
        con.exec_driver_sql("delete from events")
    state.close()
    assert (tmp_path / "state.db").stat().st_mode & 0o077 == 0  # it holds password hashes
    open_state(tmp_path / "state.db").close()


def test_a_newer_state_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    filled_state(path, 3)
    with closing(sqlite3.connect(path)) as con:
        con.execute("update alembic_version set version_num = '0099'")
        con.commit()
    with pytest.raises(StoreTooNew, match=r"state\.db.*0099.*install"):
        open_state(path)
    with closing(sqlite3.connect(path)) as con:
        assert con.execute("select count(*) from events").fetchone() == (3,)


def test_a_foreign_database_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(sqlite3.connect(path)) as con:
        con.execute("create table photos(id)")
    with pytest.raises(StoreDamaged, match="photos"):
        open_state(path)
    with closing(sqlite3.connect(path)) as con:
        assert con.execute("select name from sqlite_master").fetchall() == [("photos",)]


def test_a_state_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"this is a text, long enough to be a page header" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreDamaged, match=r"state\.db: damaged.*Restore"):
        open_state(path)
    assert path.read_bytes() == before


def test_damage_inside_the_state_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    filled_state(path)
    spoil(path, 4096 * 3)

    def look() -> None:
        state = open_state(path)
        try:
            state.verify("lakeside")
            state.events(limit=1000)
        finally:
            state.close()

    with pytest.raises(StoreDamaged, match=r"state\.db: damaged"):
        look()


def test_a_missing_state_file_beside_samples_is_never_made_anew(tmp_path: Path) -> None:
    filled_points(tmp_path)
    with pytest.raises(StoreDamaged, match=r"missing, but points\.duckdb is there"):
        open_state(tmp_path / "state.db")
    assert not (tmp_path / "state.db").exists()


def test_no_room_is_said_and_nothing_is_half_written(tmp_path: Path) -> None:
    state = open_state(tmp_path / "state.db", durable=False)
    state.commit(Commit(events=[Event("e0", "lakeside", T0, "k.v", "s")]))
    with state.writing() as con:
        pages = con.exec_driver_sql("pragma page_count").scalar_one()
        con.exec_driver_sql(f"pragma max_page_count = {pages + 3}")
    big = [Event(f"b{i}", "lakeside", T0, "k.v", "s", data={"x": "y" * 900}) for i in range(100)]
    with pytest.raises(StoreFull, match=r"state\.db: no room"):
        state.commit(Commit(events=big, records=[("alarm", "a", "lakeside", {})]))
    assert len(state.events()) == 1
    assert state.records("alarm") == []
    with state.writing() as con:
        con.exec_driver_sql("pragma max_page_count = 100000")
    assert state.commit(Commit(events=big))[-1] == 101  # room again: it goes on by itself
    assert state.verify("lakeside") is None
    state.close()


def test_a_state_file_that_another_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.adapters.state.engine.BUSY_S", 0.05)
    state = open_state(tmp_path / "state.db")
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(StoreLocked, match=r"state\.db: another process"):
            state.commit(Commit(events=[Event("e0", "lakeside", T0, "k.v", "s")]))
        assert state.events() == []  # reading goes on
        other.execute("rollback")
    state.commit(Commit(events=[Event("e0", "lakeside", T0, "k.v", "s")]))
    state.close()


def test_a_damaged_sample_file_is_moved_aside_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled_points(tmp_path)
    path = tmp_path / "points.duckdb"
    spoil(path, 0)
    with pytest.raises(StoreDamaged, match=r"points\.duckdb: damaged"):
        DuckStore(tmp_path, keep_damaged=True)
    assert path.exists()
    with caplog.at_level(logging.ERROR):
        store = DuckStore(tmp_path)
    assert store.count() == 0
    assert store.append(Samples.of([1], [T0], [1.0]), [], historical=False) == 1
    store.close()
    assert (tmp_path / "points.duckdb.damaged-1").exists()
    assert "points.duckdb.damaged-1" in caplog.text


def test_damage_deep_inside_the_sample_file_is_named(tmp_path: Path) -> None:
    filled_points(tmp_path)
    spoil(tmp_path / "points.duckdb", 4096 * 4)

    def look() -> None:
        store = DuckStore(tmp_path, keep_damaged=True)
        try:
            store.raw(1, T0, T0 + 100_000)
        finally:
            store.close()

    with pytest.raises(StoreDamaged, match=r"points\.duckdb: damaged"):
        look()


def test_a_newer_sample_file_is_refused(tmp_path: Path) -> None:
    filled_points(tmp_path)
    with duckdb.connect(str(tmp_path / "points.duckdb")) as con:
        con.execute("update meta set schema = 99")
    with pytest.raises(StoreTooNew, match=r"points\.duckdb: schema 99"):
        DuckStore(tmp_path)
    assert not list(tmp_path.glob("*.damaged*"))


HOLD = """
import sys
from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.lockfile import DataLock
what = DuckStore(sys.argv[2]) if sys.argv[1] == "points" else DataLock(sys.argv[2])
print("held", flush=True)
sys.stdin.read()
"""


def holder(what: str, folder: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, what, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_samples_have_one_owner(tmp_path: Path) -> None:
    with holder("points", tmp_path) as child:
        with pytest.raises(InUse, match=r"points\.duckdb: another process"):
            DuckStore(tmp_path)
        child.communicate()
    assert not list(tmp_path.glob("*.damaged*"))
    DuckStore(tmp_path).close()


def test_the_data_directory_has_one_steward(tmp_path: Path) -> None:
    with holder("lock", tmp_path / "data") as child:
        with pytest.raises(InUse, match=f"process {child.pid}"):
            DataLock(tmp_path / "data")
        child.kill()  # the kernel lets go of it, whatever happened to the process
        child.communicate()
    with DataLock(tmp_path / "data") as lock:
        with pytest.raises(WorkFailed):
            DataLock(tmp_path / "data")  # also within one process
        lock.close()
        DataLock(tmp_path / "data").close()


FILL = """
import resource, signal, sys
from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.store_errors import StoreFailed, StoreFull
from gateway.model import MessageKey, Samples
import numpy as np
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = DuckStore(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, resource.RLIM_INFINITY))
rng, n = np.random.default_rng(1), 20_000
good = 0
try:
    for k in range(200):
        rows = Samples(np.full(n, 1, "u4"), np.arange(n) + k * n, rng.random(n), np.zeros(n, "u1"))
        store.append(rows, [MessageKey("g", "b", "live", k)], historical=False)
        good += 1
except (StoreFull, StoreFailed) as error:
    print(type(error).__name__, str(error).split(":")[0].endswith("points.duckdb"))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
rows = Samples(np.full(n, 1, "u4"), np.arange(n) + good * n, rng.random(n), np.zeros(n, "u1"))
again = store.append(rows, [MessageKey("g", "b", "live", good)], historical=True)
known = store.applied([MessageKey("g", "b", "live", k) for k in (good - 1, good, good + 1)])
print(good, again, store.count(), known)
store.close()
"""


def test_a_full_disk_stops_the_samples_with_words_and_they_go_on_afterwards(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path)], check=False, capture_output=True, text=True, timeout=120
    )
    said = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr[-2000:]
    assert said[0].split()[1] == "True"
    good, again, count, *known = said[1].split(maxsplit=3)
    assert int(again) == 20_000
    assert int(count) == (int(good) + 1) * 20_000
    assert known == ["[True, True, False]"]
