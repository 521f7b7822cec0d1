"""Roll-ups, hours and retention: long windows read as the rows did, and stay when the rows are gone."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gateway.adapters.columns import bucketed
from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.held import shares_by_rows
from gateway.adapters.memory_store import MemoryStore
from gateway.model import Level, MessageKey, Reason, Samples, quality
from gateway.ports import SampleStore

DAY = 86_400_000
HOUR = 3_600_000
QUARTER = 900_000
D = 1_699_920_000_000  # 2023-11-14T00:00:00Z; the month ends within the history below
DAYS = 20
BAD = quality(Level.BAD, Reason.OUT_OF_RANGE)
SPIKE = D + 3 * DAY + 5 * HOUR + 12_345


def history(seed: int = 3) -> Samples:
    """Twenty days: a noisy value with a hole of a day and a half, a contact that rarely moves, BAD rows."""
    rng = np.random.default_rng(seed)
    t = D + np.arange(0, DAYS * DAY, 60_000) + 17
    t = t[(t < D + 8 * DAY) | (t >= D + 9 * DAY + DAY // 2)]
    v = np.round(20 + rng.normal(0, 2, len(t)), 2)
    q = np.where(rng.random(len(t)) < 0.02, BAD, 0).astype(np.uint8)
    spike = int(np.searchsorted(t, SPIKE))
    v[spike], q[spike] = 999.0, 0
    moves = np.sort(rng.choice(DAYS * DAY // 1000, 120, replace=False)) * 1000 + D
    contact = Samples.of([2] * 120, moves.tolist(), (np.arange(120) % 2).astype(float).tolist())
    return Samples.concat([Samples(np.full(len(t), 1, np.uint32), t, v, q), contact])


def seal_all(store: DuckStore) -> None:
    for day in store.days():
        store.seal(day)


@pytest.fixture
def both(tmp_path: Path) -> tuple[DuckStore, MemoryStore]:
    """The same rows, sealed into files and in memory."""
    memory, store = MemoryStore(), DuckStore(tmp_path)
    for made in (memory, store):
        made.append(history(), [MessageKey("g", "b", "live", 1)], historical=False)
    seal_all(store)
    return store, memory


def equal_shares(store: SampleStore, memory: MemoryStore, start: int, end: int) -> None:
    found, expected = store.shares([2, 1], start, end), memory.shares([1, 2], start, end)
    assert found.series.tolist() == expected.series.tolist()
    assert found.on_ms.tolist() == expected.on_ms.tolist()
    assert found.known_ms.tolist() == expected.known_ms.tolist()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (D, D + DAYS * DAY),
        (D + 7 * HOUR + 123, D + 18 * DAY + 11 * HOUR + 456),
        (D + 5 * DAY + 1, D + 5 * DAY + 2),
        (D + 6 * DAY + QUARTER - 1, D + 11 * DAY + QUARTER + 1),
        (D - 3 * DAY, D + 2 * DAY + 1),
    ],
)
def test_shares_of_sealed_days_are_exactly_those_of_the_rows(
    both: tuple[DuckStore, MemoryStore], start: int, end: int
) -> None:
    equal_shares(*both, start, end)
    both[0].close()


def test_aligned_buckets_of_roll_ups_are_those_of_the_rows(both: tuple[DuckStore, MemoryStore]) -> None:
    store, memory = both
    start, n = D + DAY + 2 * HOUR, 17 * 24 // 2
    end = start + n * 2 * HOUR
    found, expected = store.buckets(1, start, end, n), memory.buckets(1, start, end, n)
    for name in ("t", "low", "high", "n"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    store.close()


def test_a_spike_of_one_sample_and_a_gap_are_seen_over_the_whole_time(
    both: tuple[DuckStore, MemoryStore],
) -> None:
    store, memory = both
    start, end, n = D + 12_345, D + DAYS * DAY - 77, 230
    found = store.buckets(1, start, end, n)
    width = (end - start) / n
    assert width > 5 * QUARTER
    raw = memory.raw(1, start, end)
    assert found.high.max() == 999.0
    assert abs(found.t[found.high.argmax()] - SPIKE) < width + QUARTER
    assert int(found.n.sum()) == int(bucketed(raw, start, end, n).n.sum())
    assert float((found.mean * found.n).sum()) == pytest.approx(float(raw.v[raw.q == 0].sum()))
    assert len(store.buckets(7, start, end, n).t) == 0
    holes = np.diff(found.t).max()
    assert 1.4 * DAY < holes < 1.7 * DAY
    store.close()


def test_late_rows_of_a_sealed_day_show_at_once_and_in_the_roll_ups_afterwards(
    both: tuple[DuckStore, MemoryStore],
) -> None:
    store, memory = both
    late = Samples.of([1, 2], [D + 8 * DAY + HOUR, D + 4 * DAY + 1], [-50.0, 1.0])
    for made in (memory, store):
        assert made.append(late, [], historical=True) == 2
    assert store.buckets(1, D, D + DAYS * DAY, 100).low.min() == -50.0
    seal_all(store)
    assert store.days() == []
    assert store.buckets(1, D, D + DAYS * DAY, 100).low.min() == -50.0
    equal_shares(store, memory, D + 1, D + DAYS * DAY)  # also of the day after, into which the value holds
    store.close()


def test_a_late_row_that_holds_into_the_next_sealed_day_counts_at_once(
    both: tuple[DuckStore, MemoryStore],
) -> None:
    store, memory = both
    seal_all(store)
    end_of_day = D + 5 * DAY
    late = Samples.of([1, 2], [end_of_day - 1000, end_of_day - 2000], [-5.0, 7.0])
    for made in (memory, store):
        made.append(late, [], historical=True)
    equal_shares(store, memory, end_of_day, end_of_day + DAY)
    equal_shares(store, memory, D, D + DAYS * DAY)
    store.close()


def test_hours_are_sealed_first_and_merged_into_their_day(tmp_path: Path) -> None:
    store, memory = DuckStore(tmp_path), MemoryStore()
    rows = history()[history().t < D + 2 * DAY]
    for made in (memory, store):
        made.append(rows, [], historical=False)
    for hour in list(store.hours())[:30]:
        assert store.seal_hour(hour) > 0
    assert len(list((tmp_path / "cold").glob("*T*.parquet"))) == 30
    assert store.count() == memory.count()
    late = Samples.of([1], [D + HOUR + 1], [3.0])
    for made in (memory, store):
        assert made.append(late, [], historical=True) == 1
        assert made.append(late, [], historical=True) == 0
    np.testing.assert_array_equal(store.raw(1, D, D + 2 * DAY).t, memory.raw(1, D, D + 2 * DAY).t)
    equal_shares(store, memory, D, D + 2 * DAY)
    store.close()
    store = DuckStore(tmp_path)
    assert store.days() == [D, D + DAY]
    seal_all(store)
    assert sorted(p.name for p in (tmp_path / "cold").iterdir()) == [
        "2023-11-14.parquet",
        "2023-11-15.parquet",
    ]
    assert store.count() == memory.count()
    equal_shares(store, memory, D, D + 2 * DAY)
    store.close()


def test_retention_gives_the_disk_back_and_keeps_the_roll_ups(
    both: tuple[DuckStore, MemoryStore], caplog: pytest.LogCaptureFixture
) -> None:
    store, memory = both
    start, end, n = D, D + DAYS * DAY, DAYS * 12
    before = store.buckets(1, start, end, n)
    size = sum(p.stat().st_size for p in (store.folder / "cold").iterdir())
    store.drop_before(D + 15 * DAY)
    assert sum(p.stat().st_size for p in (store.folder / "cold").iterdir()) < size / 2
    assert len(store.raw(1, D, D + 15 * DAY)) == 0
    after = store.buckets(1, start, end, n)
    for name in ("t", "low", "high", "n"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    equal_shares(store, memory, start, end)
    fine = store.buckets(1, D + DAY, D + DAY + HOUR, 60)  # finer than what is left: what is left is shown
    assert fine.n.sum() > 0
    with caplog.at_level(logging.WARNING):
        store.append(Samples.of([1], [D + DAY + 5], [1e9]), [], historical=True)
        seal_all(store)
    assert "came late" in caplog.text
    np.testing.assert_array_equal(store.buckets(1, start, end, n).high, before.high)
    store.close()
    again = DuckStore(store.folder)
    np.testing.assert_array_equal(again.buckets(1, start, end, n).high, before.high)
    equal_shares(again, memory, start, end)
    again.close()


def test_late_rows_of_a_dropped_day_never_replace_its_roll_ups(
    both: tuple[DuckStore, MemoryStore], caplog: pytest.LogCaptureFixture
) -> None:
    store, _ = both
    before = store.buckets(1, D, D + DAYS * DAY, DAYS * 12)
    store.drop_before(D + 15 * DAY)
    store.append(Samples.of([1], [D + 3 * DAY + 5], [1e9]), [], historical=True)
    with caplog.at_level(logging.WARNING):
        assert store.seal_hour(D + 3 * DAY + 5) == 0
    assert "came late" in caplog.text
    store.seal(D + 3 * DAY)
    np.testing.assert_array_equal(store.buckets(1, D, D + DAYS * DAY, DAYS * 12).high, before.high)
    assert not list((store.folder / "cold").glob("*T*"))
    store.close()


def test_rows_that_came_after_a_day_whose_file_is_damaged_wait_for_it(tmp_path: Path) -> None:
    day = D
    early = day + 60_000 * np.arange(60)
    late = day + 7_200_000 + 1000 * np.arange(50)
    rows = [Samples.of([1] * len(t), t.tolist(), [2.0] * len(t)) for t in (early, late)]
    store = DuckStore(tmp_path)
    store.append(rows[0], [], historical=False)
    store.seal(day)
    store.append(rows[1], [], historical=True)
    store.close()
    file = next((tmp_path / "cold").glob("*.parquet"))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    for _ in range(2):  # a restart must not forget why they wait
        store = DuckStore(tmp_path)
        assert (store.seal(day), store.seal_hour(day + 7_200_000)) == (0, 0)
        assert len(store.raw(1, day, day + DAY)) == 50
        store.close()
    next((tmp_path / "cold").glob("*.damaged-*")).unlink()
    file.write_bytes(whole)
    store = DuckStore(tmp_path)
    assert store.seal(day) == 110
    store.close()


def test_a_day_in_hours_has_roll_ups_before_it_is_dropped(tmp_path: Path) -> None:
    store, memory = DuckStore(tmp_path), MemoryStore()
    rows = history()[history().t < D + DAY]
    for made in (memory, store):
        made.append(rows, [], historical=False)
    for hour in range(24):
        store.seal_hour(D + hour * HOUR)
    store.drop_before(D + 2 * DAY)
    assert not list((tmp_path / "cold").iterdir())
    assert len(store.raw(1, D, D + DAY)) == 0
    equal_shares(store, memory, D, D + DAY)
    store.close()


CRASH = """
import os, sys
from pathlib import Path
from gateway.adapters import duckdb_cold, duckdb_rolls
from gateway.adapters.duckdb_store import DuckStore
store = DuckStore(sys.argv[1])
left = int(sys.argv[2])

def counted(function):
    def wrapped(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
        return function(*args, **kwargs)
    return wrapped

duckdb_cold.sync = counted(duckdb_cold.sync)
duckdb_rolls.sync = counted(duckdb_rolls.sync)
Path.replace = counted(Path.replace)
Path.unlink = counted(Path.unlink)
for day in store.days():
    store.seal(day)
store.drop_before(int(sys.argv[3]))
print("survived")
"""


@pytest.mark.parametrize("step", range(13))
def test_a_crash_at_any_step_of_hours_roll_ups_and_retention_changes_no_answer(
    tmp_path: Path, step: int
) -> None:
    store, memory = DuckStore(tmp_path), MemoryStore()
    rows = history()[history().t < D + 2 * DAY]
    for made in (memory, store):
        made.append(rows, [], historical=False)
    for hour in (D + 3 * HOUR, D + 4 * HOUR):
        store.seal_hour(hour)
    store.close()
    done = subprocess.run(
        [sys.executable, "-c", CRASH, str(tmp_path), str(step), str(D + DAY)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -9 or "survived" in done.stdout, done.stderr
    store = DuckStore(tmp_path)
    equal_shares(store, memory, D + 5, D + 2 * DAY - 5)
    found = store.buckets(1, D, D + 2 * DAY, 24)
    expected = memory.buckets(1, D, D + 2 * DAY, 24)
    np.testing.assert_array_equal(found.n, expected.n)
    np.testing.assert_array_equal(found.high, expected.high)
    seal_all(store)
    store.drop_before(D + DAY)
    equal_shares(store, memory, D + 5, D + 2 * DAY - 5)
    np.testing.assert_array_equal(store.buckets(1, D, D + 2 * DAY, 24).n, expected.n)
    assert [p.name for p in (tmp_path / "cold").glob("*.parquet")] == ["2023-11-15.parquet"]
    assert not list(tmp_path.glob("*/*T*.parquet"))
    store.close()


def test_the_specification_of_shares_is_slot_by_slot_the_same() -> None:
    memory = MemoryStore()
    memory.append(history(), [], historical=False)
    whole = shares_by_rows(memory.raw, [1, 2], D, D + 3 * DAY)
    parts = [shares_by_rows(memory.raw, [1, 2], a, a + QUARTER) for a in range(D, D + 3 * DAY, QUARTER)]
    assert np.sum([p.on_ms for p in parts], axis=0).tolist() == whole.on_ms.tolist()
    assert np.sum([p.known_ms for p in parts], axis=0).tolist() == whole.known_ms.tolist()
