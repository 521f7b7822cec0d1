"""Which implementation the detectors run on."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from alerts.engine import fast
from gateway.app import compiling


def test_few_points_are_not_worth_a_compiler(tmp_path: Path) -> None:
    assert compiling.compile_beside(tmp_path, compiling.WORTH_POINTS - 1) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not fast.available(), reason="numba is not installed")
def test_many_points_are_compiled_beside_the_work_and_kept_for_the_next_start(tmp_path: Path) -> None:
    before = dict(fast._compiled)
    fast.rest()
    try:
        thread = compiling.compile_beside(tmp_path, compiling.WORTH_POINTS)
        assert thread is not None
        thread.join(300)
        assert fast.names() == ["digital", "limit", "rate", "shift", "silent", "stuck"]
        assert list((tmp_path / "kernels").rglob("*.nbc")), "the machine code lies in the data directory"
    finally:
        fast.rest()
        fast._compiled.update(before)


def test_a_compiler_that_fails_leaves_the_vectors_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "kernels").write_text("a file where the folder belongs", encoding="utf-8")
    monkeypatch.setattr(fast, "available", lambda: True)
    with caplog.at_level(logging.WARNING):
        thread = compiling.compile_beside(tmp_path, 10**6)
        assert thread is not None
        thread.join(60)
    assert "kernels cannot be compiled" in caplog.text


@pytest.mark.parametrize(
    ("there", "points", "said", "todo"),
    [
        (True, 10**5, "compiled kernels (numba)", False),
        (True, 10, "numba is there and used from", False),
        (False, 10**5, "numba is not installed", True),
        (False, 10, "numba is not installed", False),
    ],
)
def test_the_doctor_says_which_one_it_is(
    there: bool, points: int, said: str, todo: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast, "available", lambda: there)
    words, do = compiling.engine_in_use(points)
    assert said in words
    assert bool(do) is todo
