from __future__ import annotations

from pathlib import Path

import pytest

from drivers.profiles.bind import bind
from drivers.profiles.loader import load_profile
from gateway.adapters.clock import ManualClock
from gateway.edge.health import FIELDS, PROFILE, SENTENCE, SelfDriver, Vitals, rss_mb, self_line
from gateway.model import GOOD, Level, level_of
from gateway.ports import Block

BLOCK = Block(1, "line", sentence=SENTENCE)


def test_the_profile_names_the_fields_in_their_order() -> None:
    spoken = {p.address: p for p in load_profile(PROFILE).expanded}
    assert sorted(spoken) == list(range(1, len(FIELDS) + 1))
    short = {
        "late_ms": "late_ms", "clock_offset_ms": "clock_offset", "outbox_in_memory": "store_memory",
        "outbox_full": "store_full", "damaged_files": "store_damaged", "cpu_pct": "cpu",
    }  # fmt: skip
    for n, field in enumerate(FIELDS, 1):
        assert spoken[n].tag == f"gw.{short.get(field, field)}"


async def test_what_is_known_is_a_value_and_the_rest_is_not(tmp_path: Path) -> None:
    clock = ManualClock()
    vitals = Vitals(tmp_path, clock)
    vitals.source = lambda: {"lines_down": 2.0, "outbox_bytes": 51_234_567.0, "outbox_rows": 51_234_567.0}
    (tmp_path / "outbox.db.damaged-1").touch()
    (tmp_path / "outbox.db.damaged-1-wal").touch()
    model = bind(load_profile(PROFILE), "gw-1")
    driver = SelfDriver(vitals, clock)
    await driver.open()
    await clock.advance(10)
    d = model.decode(await driver.read(BLOCK, 1.0))
    await driver.close()
    values = {
        model.points[n].tag: (v, q)
        for n, v, q in zip(d.index.tolist(), d.v.tolist(), d.q.tolist(), strict=True)
    }
    assert values["gw.lines_down"] == (2.0, GOOD)
    assert values["gw.outbox_rows"] == (51_234_567.0, GOOD)
    assert values["gw.outbox_mb"] == (51.2, GOOD)
    assert values["gw.store_damaged"] == (1.0, GOOD)
    assert level_of(values["gw.clock_offset"][1]) == Level.BAD
    assert values["gw.cpu"][1] == GOOD
    if rss_mb() is not None:
        assert values["gw.rss_mb"][0] == pytest.approx(rss_mb(), rel=0.2)


def test_lateness_is_the_worst_of_the_last_reads(tmp_path: Path) -> None:
    vitals = Vitals(tmp_path, ManualClock())
    seen = []
    for late in (3.0, 400.0, 1.0, 1.0, 1.0, 1.0, 1.0):
        vitals.source = lambda late=late: {"late_max_ms": late}  # type: ignore[misc]  # bound on purpose
        seen.append(vitals.read()["late_ms"])
    assert seen == [3.0, 400.0, 400.0, 400.0, 400.0, 400.0, 1.0]


def test_the_line_to_oneself_is_the_same_after_a_reload(tmp_path: Path) -> None:
    clock = ManualClock()
    model = bind(load_profile(PROFILE), "gw-1")
    one, two = (self_line(Vitals(tmp_path, clock), model, clock) for _ in range(2))
    assert one.content == two.content != ""
    assert [d.content for d in one.devices] == [d.content for d in two.devices] != [""]
