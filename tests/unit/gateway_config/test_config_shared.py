"""One box with one unit number that serves several devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.site import read_site

GOLDEN = Path(__file__).parents[2] / "golden" / "config" / "two_devices_on_one_unit" / "site.yaml"


@pytest.mark.parametrize(
    ("first", "second", "problems"), [(True, True, 0), (True, False, 1), (False, True, 1)]
)
def test_a_unit_is_shared_only_where_both_devices_say_so(
    tmp_path: Path, first: bool, second: bool, problems: int
) -> None:
    text = GOLDEN.read_text(encoding="utf-8")
    for device, shared in (("ws-plc", first), ("pw-meter", second)):
        text = text.replace(f"id: {device}, unit: 1", f"id: {device}, unit: 1, shared: {str(shared).lower()}")
    (tmp_path / "site.yaml").write_text(text, encoding="utf-8")
    _, found = read_site(tmp_path / "site.yaml")
    assert len(found) == problems
