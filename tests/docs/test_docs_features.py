"""docs/features.md: all rows, and every proof that it names is a test that exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from tests.docs.docs_kit import ROOT

PAGE = ROOT / "docs" / "features.md"
STATES = ("done", "part", "not yet")
PROOF = re.compile(r"`([\w/]+\.py)::(\w+)`")
COUNT = 128


class Row(NamedTuple):
    number: int
    title: str
    state: str
    proof: str
    missing: str


def rows() -> list[Row]:
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if line.startswith("|") and cells[0].isdigit():
            found.append(Row(int(cells[0]), *(cells[1:] + [""] * 4)[:4]))
    return found


def exists(path: Path, test: str) -> bool:
    return path.is_file() and bool(
        re.search(
            rf"^(?:async def|def|class) {test}\b|^{test} = ", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    )


def test_all_rows_are_here_once_and_in_order() -> None:
    assert [r.number for r in rows()] == list(range(1, COUNT + 1))
    assert {r.state for r in rows()} <= set(STATES)
    assert all(r.title for r in rows())


def test_what_is_done_or_partly_done_names_tests_that_exist() -> None:
    wrong = []
    for r in rows():
        proofs = PROOF.findall(r.proof)
        if (r.state == "not yet") == bool(proofs):
            wrong.append(f"row {r.number} is {r.state!r} with {len(proofs)} proofs")
        wrong += [f"row {r.number}: {p}::{t}" for p, t in proofs if not exists(ROOT / "tests" / p, t)]
        if PROOF.sub("", r.proof).strip():
            wrong.append(f"row {r.number}: what is {PROOF.sub('', r.proof).strip()!r}?")
    assert wrong == []


def test_a_part_says_what_is_missing_and_a_done_row_misses_nothing() -> None:
    assert [r.number for r in rows() if r.state == "part" and not r.missing] == []
    assert [r.number for r in rows() if r.state == "done" and r.missing] == []
