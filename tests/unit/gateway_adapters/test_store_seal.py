"""Sealing a day into Parquet: nothing lost, nothing twice, whatever happens in between."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pytest

from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.store_errors import StoreDamaged, StoreTooNew
from gateway.model import MessageKey, Samples

DAY = 86_400_000
D = 1_700_006_400_000  # 2023-11-15T00:00:00Z
KEY = MessageKey("g", "b", "live", 1)


def rows(start: int, n: int, step: int = 1000, series: int = 1) -> Samples:
    t = [start + i * step for i in range(n)]
    return Samples.of([series] * n, t, [float(i % 977) for i in range(n)])


def filled(folder: Path) -> DuckStore:
    """2,000 rows around the midnight before D + DAY (1,000 a side) and 500 of a second series."""
    store = DuckStore(folder)
    store.append(rows(D + DAY - 1_000_000, 2000), [KEY], historical=False)
    store.append(rows(D + 3_600_000, 500, series=2), [], historical=False)
    return store


def everything(store: DuckStore) -> list[tuple[int, int, float]]:
    found = [store.raw(series, D - DAY, D + 3 * DAY) for series in (1, 2)]
    both = Samples.concat(found)
    return list(zip(both.series.tolist(), both.t.tolist(), both.v.tolist(), strict=True))


def hot_rows(folder: Path) -> int:
    with duckdb.connect(str(folder / "points.duckdb"), read_only=True) as con:
        found = con.execute("select count(*) from pts").fetchone()
    assert found is not None
    return int(found[0])


def test_a_sealed_day_reads_as_before(tmp_path: Path) -> None:
    store = filled(tmp_path)
    before, buckets = everything(store), store.buckets(1, D, D + 2 * DAY, 100)
    newest = store.latest([1, 2], D)
    assert store.days() == [D, D + DAY]
    assert store.seal(D + 5_000_000) == 1500
    assert store.seal(D) == 1500  # nothing hot any more: nothing happens
    assert store.days() == [D + DAY]
    assert everything(store) == before
    after = store.buckets(1, D, D + 2 * DAY, 100)
    np.testing.assert_array_equal(after.high, buckets.high)
    np.testing.assert_array_equal(after.n, buckets.n)
    np.testing.assert_array_equal(store.latest([1, 2], D).t, newest.t)
    assert store.count() == 2500
    store.close()
    assert (tmp_path / "cold/2023-11-15.parquet").exists()
    assert hot_rows(tmp_path) == 1000
    again = DuckStore(tmp_path)
    assert everything(again) == before
    again.close()


def test_late_rows_of_a_sealed_day_count_once_and_are_merged(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.seal(D)
    late = Samples.concat([rows(D + 7_200_000, 10, series=2), rows(D + 3_600_000, 20, series=2)])
    assert store.append(late, [], historical=True) == 10  # 20 were there, in the file
    assert store.append(late, [], historical=False) == 0
    assert store.count() == 2510
    before = everything(store)
    assert store.seal(D) == 1510
    assert everything(store) == before
    assert store.append(late, [], historical=True) == 0
    store.close()
    store = DuckStore(tmp_path)  # the newest times are forgotten by then
    assert store.append(late, [], historical=False) == 0
    assert everything(store) == before
    store.close()


def test_dropped_days_give_their_file_back(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.seal(D)
    store.seal(D + DAY)
    store.drop_before(D + DAY)
    assert [p.name for p in (tmp_path / "cold").iterdir()] == ["2023-11-16.parquet"]
    assert store.count() == 1000
    store.close()


CRASH = """
import os, sys
from pathlib import Path
from gateway.adapters import duckdb_cold
from gateway.adapters.duckdb_store import DuckStore
store = DuckStore(sys.argv[1])
stage = sys.argv[2]

def die(*_):
    os.kill(os.getpid(), 9)

if stage == "written":
    duckdb_cold.sync = die
elif stage == "deleted":
    Path.replace = die
elif stage == "renamed":
    calls = iter([lambda p: None, die])
    duckdb_cold.sync = lambda p: next(calls)(p)
elif stage == "checkpoint":
    exchange = duckdb_cold.Cold.exchange
    class Watched:
        def __init__(self, con): self.con = con
        def execute(self, sql):
            return die() if sql == "checkpoint" else self.con.execute(sql)
    duckdb_cold.Cold.exchange = lambda self, con, day, half: exchange(self, Watched(con), day, half)
store.seal(int(sys.argv[3]))
print("survived")
"""


@pytest.mark.parametrize("sealed_before", [False, True])
@pytest.mark.parametrize("stage", ["written", "deleted", "renamed", "checkpoint"])
def test_a_crash_at_any_step_of_a_seal_changes_nothing(
    tmp_path: Path, stage: str, sealed_before: bool
) -> None:
    store = filled(tmp_path)
    if sealed_before:
        store.seal(D)
        store.append(rows(D + 7_200_000, 10, series=2), [], historical=True)
    before, count = everything(store), store.count()
    store.close()
    done = subprocess.run(
        [sys.executable, "-c", CRASH, str(tmp_path), stage, str(D)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9, done.stderr
    store = DuckStore(tmp_path)
    assert everything(store) == before
    assert store.count() == count
    assert store.seal(D) == count - 1000
    assert everything(store) == before
    assert store.applied([KEY]) == [True]
    store.close()
    assert hot_rows(tmp_path) == 1000
    assert [p.name for p in (tmp_path / "cold").iterdir()] == ["2023-11-15.parquet"]


@pytest.mark.parametrize("damage", [lambda b: b[:-100], lambda b: b"", lambda b: b[:-400] + b"\xff" * 400])
def test_a_damaged_day_or_roll_up_is_moved_aside_loudly_and_the_rest_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    store, t0 = DuckStore(tmp_path), 1_790_000_000_000 // DAY * DAY
    for day in range(3):
        rows = Samples.of([1] * 24, [t0 + day * DAY + h * 3_600_000 for h in range(24)], [float(day)] * 24)
        store.append(rows, [], historical=False)
        store.seal(t0 + day * DAY)
    wanted = store.buckets(1, t0, t0 + 3 * DAY, 12)
    store.close()
    day_file, month = (
        sorted((tmp_path / "cold").glob("*.parquet"))[1],
        next((tmp_path / "roll").glob("*.parquet")),
    )
    day_file.write_bytes(damage(day_file.read_bytes()))
    with pytest.raises(StoreDamaged, match=day_file.name):
        DuckStore(tmp_path, keep_damaged=True)
    store = DuckStore(tmp_path)
    assert f"{day_file.name}.damaged-1" in caplog.text
    assert len(store.raw(1, t0, t0 + 3 * DAY)) == 48
    np.testing.assert_array_equal(store.buckets(1, t0, t0 + 3 * DAY, 12).high, wanted.high)  # from roll-ups
    store.close()
    month.write_bytes(damage(month.read_bytes()))
    store = DuckStore(tmp_path)
    assert f"{month.name}.damaged-1" in caplog.text
    store.seal(t0)
    assert store.shares([1], t0, t0 + DAY).known_ms.tolist() == [DAY]
    store.close()
    assert (tmp_path / "points.duckdb").exists()
    assert not list(tmp_path.glob("points.duckdb.damaged*"))


def test_what_a_crash_left_half_written_gives_its_room_back(tmp_path: Path) -> None:
    DuckStore(tmp_path).close()
    for folder in ("cold", "roll"):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name in ("2026-01-01.parquet.part", "tmp_2026-01-01.parquet.part"):
            (tmp_path / folder / name).write_bytes(b"half")
    DuckStore(tmp_path).close()
    assert not list(tmp_path.glob("*/*.part"))


def test_rows_that_come_during_a_seal_are_kept_and_readers_never_see_a_row_twice(tmp_path: Path) -> None:
    store = filled(tmp_path)
    stop = threading.Event()
    wrong: list[object] = []
    added = 0

    def read() -> None:
        low = 0
        while not stop.is_set():
            t = store.raw(2, D, D + DAY).t
            if len(np.unique(t)) != len(t) or len(t) < low:
                wrong.append(t)
            low = len(t)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    sealing = threading.Thread(target=lambda: [store.seal(D) for _ in range(15)])
    sealing.start()
    while sealing.is_alive():
        added += store.append(rows(D + 20_000_000 + added * 1000, 1, series=2), [], historical=True)
    sealing.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert wrong == []
    assert added > 0
    assert store.count() == 2500 + added
    store.seal(D)
    assert len(store.raw(2, D, D + DAY)) == 500 + added
    store.close()


def test_a_newer_day_file_is_refused(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.seal(D)
    store.close()
    file = tmp_path / "cold/2023-11-15.parquet"
    with duckdb.connect() as con:
        con.execute(
            f"copy (select 1 as series) to '{file}' (format parquet, kv_metadata {{steward_schema: '99'}})"
        )
    with pytest.raises(StoreTooNew, match=r"2023-11-15\.parquet.*99"):
        DuckStore(tmp_path)
