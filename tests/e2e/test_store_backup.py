"""Backup while everything is written to, and a restore that goes on from there."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from gateway.adapters.backup import backup, check, restore
from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.lockfile import DataLock
from gateway.adapters.state import SqlState, open_state
from gateway.adapters.store_errors import InUse
from gateway.edge.outbox import Outbox
from gateway.errors import BadInput, Permanent
from gateway.model import Event, MessageKey, Samples
from gateway.ports import Commit

DAY = 86_400_000
D = 1_700_006_400_000  # 2023-11-15T00:00:00Z


def turn(state: SqlState, samples: DuckStore, n: int) -> None:
    """One turn of the core: append first, commit second."""
    key = MessageKey("g", "b", "live", n)
    t = [D + n * 1000 + i for i in range(100)]
    samples.append(Samples.of([1] * 100, t, [float(n)] * 100), [key], historical=False)
    state.commit(
        Commit(
            events=[Event(f"e{n}", "lakeside", D + n * 1000, "k.v", "s", data={"n": n})],
            records=[("alarm", "a", "lakeside", {"n": n})],
            applied=[key],
            journal=[("data", D, b"x")],
        )
    )


def full(folder: Path, turns: int) -> tuple[SqlState, DuckStore]:
    state, samples = open_state(folder / "state.db"), DuckStore(folder)
    samples.append(Samples.of([1] * 10, [D - DAY + i for i in range(10)], [0.0] * 10), [], historical=True)
    samples.seal(D - DAY)
    for n in range(turns):
        turn(state, samples, n)
    (folder / "edge" / "gw-1").mkdir(parents=True)
    with closing(sqlite3.connect(folder / "edge" / "gw-1" / "outbox.db")) as con:
        con.execute("create table outbox(n)")
        con.execute("insert into outbox values (17)")
        con.commit()
    (folder / "attachments").mkdir()
    (folder / "attachments" / "photo.jpg").write_bytes(b"\xff\xd8photo")
    (folder / "keys").mkdir()
    (folder / "keys" / "report.key").write_bytes(b"secret")
    (folder / "edge-keys.json").write_text("{}")
    (folder / "nats").mkdir()
    (folder / "nats" / "store").write_bytes(b"broker")
    return state, samples


def test_a_backup_under_load_restores_to_one_moment(tmp_path: Path) -> None:
    data, site = tmp_path / "data", tmp_path / "site.yaml"
    site.write_text("site: {id: lakeside}\n", encoding="utf-8")
    state, samples = full(data, 20)
    stop, turns = threading.Event(), 20

    def work() -> None:
        nonlocal turns
        while not stop.is_set():
            turn(state, samples, turns)
            turns += 1

    worker = threading.Thread(target=work)
    worker.start()
    with DataLock(data):
        sizes = backup(data, tmp_path / "copy", state, samples, now=D, site=[site])
    stop.set()
    worker.join()
    assert state.verify("lakeside") is None  # the original never stopped
    assert len(state.events(limit=10**6)) == turns
    state.close()
    samples.close()
    assert sorted(sizes) == [
        "attachments/photo.jpg",
        "cold/2023-11-14.parquet",
        "edge-keys.json",
        "edge/gw-1/outbox.db",
        "keys/report.key",
        "points.duckdb",
        "roll/2023-11.parquet",
        "site/site.yaml",
        "state.db",
    ]

    assert restore(tmp_path / "copy", tmp_path / "back") == sizes
    state, samples = open_state(tmp_path / "back" / "state.db"), DuckStore(tmp_path / "back")
    n = state.position()
    assert 20 <= n <= turns
    assert state.verify("lakeside") is None
    assert state.record("alarm", "a") == {"n": n - 1}
    assert state.applied() == {("g", "b", "live"): [(0, n - 1)]}
    # Samples are never older than the state, so nothing that was judged is missing.
    assert samples.applied([MessageKey("g", "b", "live", k) for k in range(n)]) == [True] * n
    assert len(samples.raw(1, D, D + DAY)) >= n * 100
    assert len(samples.raw(1, D - DAY, D)) == 10
    turn(state, samples, n)  # and it goes on, whether the samples of this turn were in the copy or not
    assert len(samples.raw(1, D + n * 1000, D + n * 1000 + 1000)) == 100
    assert state.verify("lakeside") is None
    with closing(sqlite3.connect(tmp_path / "back" / "edge" / "gw-1" / "outbox.db")) as con:
        assert con.execute("select n from outbox").fetchall() == [(17,)]
    for private in ("state.db", "keys/report.key", "edge-keys.json"):
        assert (tmp_path / "back" / private).stat().st_mode & 0o077 == 0
    state.close()
    samples.close()


def made_copy(tmp_path: Path) -> Path:
    state, samples = full(tmp_path / "data", 3)
    backup(tmp_path / "data", tmp_path / "copy", state, samples, now=D)
    with pytest.raises(BadInput, match="not empty"):
        backup(tmp_path / "data", tmp_path / "copy", state, samples, now=D)
    state.close()
    samples.close()
    return tmp_path / "copy"


def test_restore_refuses_a_directory_with_something_in_it_or_at_work(tmp_path: Path) -> None:
    copy = made_copy(tmp_path)
    before = (tmp_path / "data" / "state.db").read_bytes()
    with pytest.raises(BadInput, match=r"not empty \(attachments"):
        restore(copy, tmp_path / "data")
    assert (tmp_path / "data" / "state.db").read_bytes() == before
    with DataLock(tmp_path / "new"), pytest.raises(InUse):
        restore(copy, tmp_path / "new")
    restore(copy, tmp_path / "new")  # a lock file that nobody holds is no obstacle


@pytest.mark.parametrize("harm", ["changed", "missing", "no manifest"])
def test_a_copy_that_is_not_whole_is_refused_and_named(tmp_path: Path, harm: str) -> None:
    copy = made_copy(tmp_path)
    victim = copy / ("manifest.json" if harm == "no manifest" else "points.duckdb")
    if harm == "changed":
        victim.write_bytes(victim.read_bytes()[:-1] + b"!")
    else:
        victim.unlink()
    with pytest.raises(Permanent, match=victim.name.replace(".", r"\.")):
        check(copy)
    with pytest.raises(Permanent):
        restore(copy, tmp_path / "new")
    assert not (tmp_path / "new" / "state.db").exists()


def test_the_outbox_of_a_running_edge_does_not_hold_up_the_copy(tmp_path: Path) -> None:
    state, samples = full(tmp_path / "data", 1)
    outbox = Outbox(tmp_path / "data" / "edge" / "gw-2" / "outbox.db", 40_000)
    outbox.open(D)
    sizes = backup(tmp_path / "data", tmp_path / "copy", state, samples, now=D)
    outbox.close()
    state.close()
    samples.close()
    assert {name for name in sizes if name.startswith("edge/")} == {"edge/gw-1/outbox.db"}
