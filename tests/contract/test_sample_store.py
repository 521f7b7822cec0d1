"""One suite for every sample store: memory, DuckDB, and VictoriaMetrics when its binary is there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gateway.adapters.clock import SystemClock
from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.influx_store import InfluxStore
from gateway.adapters.memory_store import MemoryStore
from gateway.model import GOOD, Level, MessageKey, Reason, Samples, quality
from gateway.ports import SampleStore
from tests.contract.victoria_server import Victoria

T0 = 1_700_000_000_000
BAD = quality(Level.BAD, Reason.OUT_OF_RANGE)
UNCERTAIN = quality(Level.UNCERTAIN, Reason.CALIBRATING)


@pytest.fixture(params=["memory", "duckdb", pytest.param("victoria", marks=pytest.mark.victoria)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SampleStore]:
    with ExitStack() as opened:
        made: SampleStore
        if request.param == "memory":
            made = MemoryStore()
        elif request.param == "duckdb":
            made = DuckStore(tmp_path)
        else:
            server = Victoria(tmp_path / "server")
            opened.callback(server.stop)
            made = InfluxStore(server.url, tmp_path / "queue.db", SystemClock().monotonic)
        opened.callback(made.close)
        yield made


def key(seq: int, lane: str = "live") -> MessageKey:
    return MessageKey("gw-1", "boot-1", lane, seq)


def put(store: SampleStore, samples: Samples, *keys: MessageKey, historical: bool = False) -> int:
    stored = store.append(samples, keys, historical=historical)
    store.flush()
    return stored


def same(found: Samples, expected: Samples) -> None:
    assert found.series.dtype == np.uint32
    assert found.t.dtype == np.int64
    assert found.q.dtype == np.uint8
    np.testing.assert_array_equal(found.series, expected.series)
    np.testing.assert_array_equal(found.t, expected.t)
    np.testing.assert_array_equal(found.v, expected.v)
    np.testing.assert_array_equal(found.q, expected.q)


def traffic(seed: int) -> tuple[list[Samples], dict[tuple[int, int], tuple[float, int]]]:
    """Batches with 5 % late rows and repeats within and across batches, and what must be stored."""
    rng = np.random.default_rng(seed)
    batches = []
    for k in range(12):
        t = T0 + k * 10_000 + np.repeat(np.arange(10) * 1000, 5)
        late = rng.random(50) < 0.05
        t = np.where(late, t - rng.integers(1, 40, 50) * 500, t)
        series = np.tile(np.arange(1, 6, dtype=np.uint32), 10)
        v = np.round(rng.normal(20, 5, 50), 3)
        batch = Samples(series, t, v, np.where(rng.random(50) < 0.1, UNCERTAIN, GOOD).astype(np.uint8))
        batches.append(Samples.concat([batch, batch[rng.integers(0, 50, 3)]]))
    expected: dict[tuple[int, int], tuple[float, int]] = {}
    for b in batches:
        for s, t_, v_, q in zip(b.series, b.t, b.v, b.q, strict=True):
            expected.setdefault((int(s), int(t_)), (float(v_), int(q)))
    return batches, expected


@pytest.mark.parametrize("seed", [1, 2])
def test_late_repeated_and_replayed_rows_are_stored_exactly_once(store: SampleStore, seed: int) -> None:
    batches, expected = traffic(seed)
    stored = sum(store.append(b, [key(n)], historical=False) for n, b in enumerate(batches))
    replayed = [store.append(batches[n], [key(n)], historical=True) for n in (11, 3, 0, 7)]
    store.flush()
    assert stored == len(expected)
    assert replayed == [0, 0, 0, 0]
    assert store.count() == len(expected)
    for series in range(1, 6):
        rows = sorted((t, *vq) for (s, t), vq in expected.items() if s == series)
        same(
            store.raw(series, T0 - 100_000, T0 + 200_000),
            Samples.of([series] * len(rows), *(list(c) for c in zip(*rows, strict=True))),
        )


def test_the_first_of_two_values_for_one_instant_stays(store: SampleStore) -> None:
    assert put(store, Samples.of([1, 1], [T0, T0], [1.0, 2.0]), key(1)) == 1
    assert put(store, Samples.of([1], [T0], [3.0]), key(2)) == 0
    assert put(store, Samples.of([1, 2], [T0, T0], [4.0, 5.0]), key(3), historical=True) == 1
    same(store.raw(1, T0, T0 + 1), Samples.of([1], [T0], [1.0]))
    assert store.count() == 2


def test_windows_hold_their_start_and_not_their_end(store: SampleStore) -> None:
    put(store, Samples.of([7] * 5, [T0 + i * 1000 for i in range(5)], list(range(5))), key(1))
    assert store.raw(7, T0 + 1000, T0 + 3000).v.tolist() == [1, 2]
    assert store.raw(7, T0 + 1001, T0 + 3001).v.tolist() == [2, 3]
    assert len(store.raw(7, T0, T0)) == 0
    assert len(store.raw(8, T0, T0 + 9000)) == 0


def test_quality_and_missing_numbers_come_back_as_they_were(store: SampleStore) -> None:
    nan = float("nan")
    rows = Samples.of(
        [1] * 5,
        [T0 + i for i in range(5)],
        [1.25, -7.0, nan, 123456789.0, nan],
        [GOOD, BAD, BAD, UNCERTAIN, GOOD],
    )
    put(store, rows, key(1))
    same(store.raw(1, T0, T0 + 10), rows)
    assert store.count() == 5


@pytest.mark.parametrize(("span", "n"), [(3_600_000, 60), (3_600_000, 500), (3_599_993, 7), (5_000, 40)])
def test_buckets_are_those_of_numpy(store: SampleStore, span: int, n: int) -> None:
    rng = np.random.default_rng(span + n)
    t = T0 + np.sort(rng.choice(span, 900, replace=False)).astype(np.int64)
    t[0], t[-1] = T0, T0 + span - 1
    q = np.where(rng.random(900) < 0.1, BAD, GOOD).astype(np.uint8)
    v = np.round(rng.normal(0, 100, 900), 2)
    v[q == BAD] = 1e6  # would show in every maximum
    v[5], q[5] = np.nan, BAD
    put(store, Samples(np.full(900, 3, np.uint32), t, v, q), key(1))
    put(store, Samples.of([3, 3], [T0 - 1, T0 + span], [9e9, 9e9]), key(2), historical=True)

    found = store.buckets(3, T0, T0 + span, n)
    edges = T0 + np.array([-(-k * span // n) for k in range(n + 1)])
    good = q != BAD
    expected: list[tuple[int, float, float, float, int]] = []
    for a, b in pairwise(edges):
        inside: NDArray[np.float64] = v[good & (t >= a) & (t < b)]
        if len(inside):
            expected.append((int(a), inside.min(), inside.max(), inside.mean(), len(inside)))
    columns = [np.array(c) for c in zip(*expected, strict=True)]
    np.testing.assert_array_equal(found.t, columns[0])
    np.testing.assert_array_equal(found.low, columns[1])
    np.testing.assert_array_equal(found.high, columns[2])
    np.testing.assert_allclose(found.mean, columns[3], rtol=1e-12, atol=1e-9)
    np.testing.assert_array_equal(found.n, columns[4])
    assert len(store.buckets(4, T0, T0 + span, n).t) == 0


def test_a_value_holds_until_the_next_row_for_at_most_a_day(store: SampleStore) -> None:
    day, hour = 86_400_000, 3_600_000
    times = [T0 - 2 * hour, T0 + hour, T0 + 3 * hour, T0 + 4 * hour, T0 + 5 * hour, T0 + 40 * hour]
    rows = Samples.of(
        [1] * 6, times, [1.0, 0.0, 2.5, 7.0, 1.0, 0.0], [GOOD, GOOD, GOOD, BAD, UNCERTAIN, GOOD]
    )
    put(store, rows, key(1))
    put(store, Samples.of([2], [T0 - day - 1], [1.0]), key(2), historical=True)
    found = store.shares([2, 1, 3], T0, T0 + 40 * hour)
    assert found.series.tolist() == [1, 2, 3]
    # 0-1 h what held before, 1-3 h off, 3-4 h on, 4-5 h BAD, from 5 h a day on, then nothing is known
    assert found.on_ms.tolist() == [26 * hour, 0, 0]
    assert found.known_ms.tolist() == [28 * hour, 0, 0]
    part = store.shares([1], T0 + hour // 2, T0 + 2 * hour)
    assert (part.on_ms.tolist(), part.known_ms.tolist()) == ([hour // 2], [hour + hour // 2])


def test_latest_is_the_newest_row_of_each_series(store: SampleStore) -> None:
    put(store, Samples.of([1, 2, 1, 3], [T0, T0 + 5, T0 + 10, T0 - 60_000], [1, 2, 3, 4]), key(1))
    put(store, Samples.of([1], [T0 + 4], [9]), key(2), historical=True)
    found = store.latest([3, 2, 1, 99], T0 - 1000)
    put(store, Samples.of([2], [T0 + 50], [float("nan")], [BAD]), key(3))
    newest = store.latest([2], T0)
    assert (newest.t.tolist(), newest.q.tolist(), np.isnan(newest.v).tolist()) == ([T0 + 50], [BAD], [True])
    assert sorted(zip(found.series.tolist(), found.t.tolist(), found.v.tolist(), strict=True)) == [
        (1, T0 + 10, 3.0),
        (2, T0 + 5, 2.0),
    ]
    assert len(store.latest([], T0)) == 0


def test_keys_are_known_once_their_message_is_written(store: SampleStore) -> None:
    put(store, Samples.of([1], [T0], [1]), key(5), key(7))
    store.append(Samples.empty(), [key(6), key(6, "event")], historical=False)
    asked = [key(n) for n in (4, 5, 6, 7, 8)]
    assert store.applied([*asked, key(6, "event"), key(5, "event")]) == [
        False,
        True,
        True,
        True,
        False,
        True,
        False,
    ]
    assert store.applied([MessageKey("gw-1", "boot-2", "live", 6)]) == [False]


def test_columns_of_different_lengths_are_refused_whole(store: SampleStore) -> None:
    short = Samples.of([1, 2], [T0, T0], [1, 2])
    short.v = short.v[:1]
    with pytest.raises(ValueError, match="lengths"):
        store.append(short, [key(1)], historical=False)
    assert store.applied([key(1)]) == [False]
    assert store.count() == 0


def in_threads(*jobs: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_reading_goes_on_while_rows_are_written(store: SampleStore) -> None:
    written = threading.Event()

    def write() -> None:
        try:
            for n in range(40):
                t = [T0 + n * 100 + i for i in range(100)]
                store.append(Samples.of([1] * 100, t, [float(n)] * 100), [key(n)], historical=False)
        finally:
            written.set()

    def read() -> None:
        before = 0
        while not written.is_set():
            rows = store.raw(1, T0, T0 + 10_000)
            # All of a batch or nothing, in order, and never fewer than before.
            assert len(rows) % 100 == 0 or not isinstance(store, DuckStore | MemoryStore)
            assert (np.diff(rows.t) > 0).all()
            assert len(rows) >= before
            before = len(rows)

    in_threads(write, read, read)
    store.flush()
    assert len(store.raw(1, T0, T0 + 10_000)) == 4000
