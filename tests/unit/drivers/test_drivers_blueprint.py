"""The blueprint stays small, and the how-to shows nothing but pieces of it."""

from __future__ import annotations

from pathlib import Path

from drivers._blueprint import BlueprintDriver, BlueprintOptions
from gateway.adapters.clock import SystemClock
from gateway.ports import Driver
from tests.docs.docs_kit import ROOT, blocks

BLUEPRINT = ROOT / "drivers" / "_blueprint.py"
HOW_TO: Path = ROOT / "docs" / "how-to" / "add-a-protocol.md"


def test_the_blueprint_is_at_most_60_lines() -> None:
    assert len(BLUEPRINT.read_text(encoding="utf-8").splitlines()) <= 60


def test_it_is_a_driver() -> None:
    driver: Driver = BlueprintDriver(BlueprintOptions(host="127.0.0.1", port=1), SystemClock())
    assert driver is not None


def test_every_piece_of_code_in_the_how_to_is_a_piece_of_it() -> None:
    pieces = blocks(HOW_TO, "python")
    assert len(pieces) >= 4
    source = BLUEPRINT.read_text(encoding="utf-8")
    assert [piece for piece in pieces if piece not in source] == []
