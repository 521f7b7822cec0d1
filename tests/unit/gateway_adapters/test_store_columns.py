"""The parts that the sample stores share: key ranges, newest times, the gate, the queue's file."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters.columns import Keys, Newest, bucketed, first_wins
from gateway.adapters.files import replaced
from gateway.adapters.gate import Gate
from gateway.adapters.sql_queue import SqlQueue
from gateway.adapters.store_errors import StoreDamaged, StoreTooNew
from gateway.model import MessageKey, Samples


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 25), st.integers(0, 4))))
def test_key_ranges_are_a_set(added: list[tuple[str, int, int]]) -> None:
    keys, seen = Keys(), set()
    for gateway, first, more in added:
        assert keys.add(gateway, "b", "l", first, first + more)[0] <= first
        seen |= {(gateway, n) for n in range(first, first + more + 1)}
    for gateway in "ab":
        for n in range(32):
            assert (MessageKey(gateway, "b", "l", n) in keys) == ((gateway, n) in seen)
    ranges = list(keys)
    spelled = [(g, n) for g, _, _, first, last in ranges for n in range(first, last + 1)]
    assert len(spelled) == len(set(spelled))
    assert set(spelled) == seen


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 5), st.integers(0, 99)), max_size=30))
def test_first_wins_is_the_first_of_each(rows: list[tuple[int, int, int]]) -> None:
    batch = Samples.of([s for s, *_ in rows], [t for _, t, _ in rows], [v for *_, v in rows])
    expected: dict[tuple[int, int], float] = {}
    for s, t, v in rows:
        expected.setdefault((s, t), v)
    found = first_wins(batch)
    assert list(zip(found.series.tolist(), found.t.tolist(), strict=True)) == list(expected)
    assert found.v.tolist() == list(expected.values())


def test_newest_vouches_only_for_what_it_tracks() -> None:
    newest = Newest()
    newest.note(np.array([1, 3, 3], np.uint32), np.array([10, 30, 20]))
    newest.note(np.array([4_000_000_000], np.uint32), np.array([5]))
    asked = np.array([1, 2, 3, 4, 4_000_000_000], np.uint32)
    assert (np.array([11, 0, 30, 0, 99]) > newest.of(asked)).tolist() == [True, True, False, True, False]
    assert newest.latest == 30


def test_buckets_of_nothing_but_bad_rows() -> None:
    rows = Samples.of([1, 1], [0, 5], [1.0, 2.0], [96, 97])
    assert len(bucketed(rows, 0, 10, 2).t) == 0


def test_the_gate_lets_readers_in_together_and_the_lone_one_by_itself() -> None:
    gate, inside, seen = Gate(), [0], []
    both = threading.Barrier(2, timeout=20)

    def read() -> None:
        with gate.shared():
            inside[0] += 1
            both.wait()  # only passes when two are in at once
            inside[0] -= 1

    def alone() -> None:
        for _ in range(200):
            with gate.alone():
                seen.append(inside[0])

    readers = [threading.Thread(target=read) for _ in range(2)]
    for thread in readers:
        thread.start()
    for thread in readers:
        thread.join()
    lone = [threading.Thread(target=alone) for _ in range(2)]
    for thread in lone:
        thread.start()
    for _ in range(200):
        with gate.shared():
            inside[0] = 1
            inside[0] = 0
    for thread in lone:
        thread.join()
    assert seen == [0] * 400


def test_a_file_that_was_cut_short_never_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "x"
    target.write_text("old")

    def break_off() -> None:
        with replaced(target) as half:
            half.write_text("ne")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert target.read_text() == "old"
    with replaced(target) as half:
        half.write_text("new")
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert target.read_text() == "new"


def rows(n: int, t: int = 0) -> Samples:
    return Samples.of(
        [7] * n, [t + i for i in range(n)], [i / 3 for i in range(n)], [i % 100 for i in range(n)]
    )


def key(n: int) -> MessageKey:
    return MessageKey("g", "b", "live", n)


def test_the_queue_keeps_what_was_sent_for_a_while_and_over_a_restart(tmp_path: Path) -> None:
    now = [0.0]
    queue = SqlQueue(tmp_path / "q.db", lambda: now[0], keep_s=90)
    for n in range(4):
        queue.push(rows(10, n * 100), [key(n)])
    batches = queue.waiting(15)
    assert [n for n, _ in batches] == [1, 2]
    np.testing.assert_array_equal(batches[1][1].v, rows(10).v)
    np.testing.assert_array_equal(batches[1][1].q, rows(10).q)
    queue.sent([1, 2])
    assert queue.figures() == {"waiting": 20, "kept": 20, "parked": 0}
    assert queue.held(105, 200).t.tolist() == [*range(100, 110), *range(200, 210)]
    now[0] = 60.0
    queue.sent([3])
    now[0] = 100.0
    queue.sent([4])
    assert queue.figures() == {"waiting": 0, "kept": 20, "parked": 0}  # 1 and 2 are 100 s old
    assert queue.again() == 2
    queue.sent([3, 4])
    queue.close()
    queue = SqlQueue(tmp_path / "q.db", lambda: 0.0)
    assert queue.figures() == {"waiting": 20, "kept": 0, "parked": 0}
    assert queue.applied([key(0), key(3), key(4)]) == [True, True, False]
    queue.close()


def test_a_push_that_fails_leaves_neither_rows_nor_keys(tmp_path: Path) -> None:
    queue = SqlQueue(tmp_path / "q.db", lambda: 0.0)
    queue.push(rows(3), [key(1)])
    with pytest.raises(AttributeError):
        queue.push(rows(3), [key(2), None])  # type: ignore[list-item] # breaks off in the middle
    assert queue.applied([key(1), key(2)]) == [True, False]
    assert queue.figures()["waiting"] == 3
    queue.close()


def test_a_damaged_or_newer_queue_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.db").write_bytes(b"not a database at all" * 200)
    with pytest.raises(StoreDamaged, match=r"bad\.db"):
        SqlQueue(tmp_path / "bad.db", lambda: 0.0)
    with closing(sqlite3.connect(tmp_path / "new.db")) as con:
        con.execute("pragma user_version = 9")
    with pytest.raises(StoreTooNew, match=r"new\.db: schema 9"):
        SqlQueue(tmp_path / "new.db", lambda: 0.0)
