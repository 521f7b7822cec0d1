import hashlib
from pathlib import Path

import pytest

from gateway.adapters.attachments import Attachments
from gateway.adapters.store_errors import StoreDamaged, StoreFailed, StoreFull
from gateway.errors import NotFound


def test_the_same_bytes_are_kept_once_under_their_hash(tmp_path: Path) -> None:
    store = Attachments(tmp_path / "attachments")
    data = bytes(range(256)) * 20
    sha = store.put(data)
    assert sha == hashlib.sha256(data).hexdigest()
    assert store.put(data) == sha
    assert (store.get(sha), store.used()) == (data, len(data))
    assert Attachments(tmp_path / "attachments").used() == len(data)
    assert [p.name for p in (tmp_path / "attachments").glob("*/*")] == [sha]


def test_what_is_not_there_or_no_name_is_not_found(tmp_path: Path) -> None:
    store = Attachments(tmp_path)
    for name in ("a" * 64, "../state.db", "A" * 64, ""):
        with pytest.raises(NotFound):
            store.get(name)


def test_bytes_that_changed_on_the_disk_are_never_handed_out(tmp_path: Path) -> None:
    store = Attachments(tmp_path)
    sha = store.put(b"evidence")
    (tmp_path / sha[:2] / sha).write_bytes(b"evidencE")
    with pytest.raises(StoreDamaged, match="backup"):
        store.get(sha)


def test_over_the_quota_nothing_is_written_and_what_is_there_stays(tmp_path: Path) -> None:
    store = Attachments(tmp_path, quota=10)
    sha = store.put(b"12345678")
    with pytest.raises(StoreFull):
        store.put(b"abc")
    assert store.put(b"12345678") == sha, "what is kept already needs no room"
    assert store.used() == 8
    assert store.put(b"ab")


def test_a_disk_that_takes_nothing_leaves_no_half_file(tmp_path: Path) -> None:
    blocked = tmp_path / "attachments"
    blocked.write_text("a file where the folder should be", encoding="utf-8")
    store = Attachments(blocked)
    with pytest.raises(StoreFailed):
        store.put(b"x")
    blocked.unlink()
    assert store.get(store.put(b"x")) == b"x"
