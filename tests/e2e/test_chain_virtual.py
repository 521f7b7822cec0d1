"""Virtual points through the whole core: stored, shown, judged; bad inputs, silence, restart, other edges."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.app.setup import Setup, load_setup
from gateway.model import Level, Reason, level_of, reason_of
from tests.e2e.chain_support import HandEdge, Rig, site_file

BOOST = "ws-1/ws.boost_p"
VIRTUAL: list[dict[str, Any]] = [
    {"asset": "ws-1", "tag": "ws.per_hz", "expr": "ws.flow / ws.pump1.freq", "unit": "m3"},
    {"asset": "sump-1", "tag": "sump.margin", "expr": "3 [m] - sump.level - 0 * 'ws-1/ws.tank_level'",
     "unit": "m", "name": {"en": "Room left"}},
]  # fmt: skip
RULE: dict[str, Any] = {
    "id": "site.boost", "kind": "limit", "for": "water", "tag": "ws.boost_p", "h": 0.1, "on_delay_s": 5,
    "off_delay_s": 5, "priority": 3, "event": "water_supply", "life": False, "latch": False,
    "name": {"zh": "名", "en": "Boost high"}, "cause": {"zh": "因", "en": "c"},
    "consequence": {"zh": "果", "en": "e"}, "response": {"zh": "做", "en": "r"}, "time_limit_s": 14400,
    "owner": "TE", "source": "test",
}  # fmt: skip


def setup_in(folder: Path) -> Setup:
    path = site_file(folder)
    site = yaml.safe_load(path.read_text(encoding="utf-8"))
    site |= {"virtual": VIRTUAL, "rules": [RULE]}
    path.write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")
    return load_setup(path)


async def started(folder: Path) -> Rig:
    rig = Rig(folder, setup_in(folder))
    await rig.start()
    rig.edges.append(HandEdge(rig.setup, rig.broker, rig.clock))
    rig.edges[0].connect()
    await rig.run(40)
    return rig


async def test_it_is_stored_shown_and_judged_like_any_other(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    try:
        assert rig.value(BOOST)[1] == pytest.approx(0.05)
        assert level_of(rig.value(BOOST)[2]) is Level.GOOD
        assert rig.value("sump-1/sump.margin")[1] == pytest.approx(2.6)
        at = rig.clock.now()
        rig.edges[0].plant["ws.out_p"] = 0.5
        await rig.run(10)
        assert [e.data["point"] for e in rig.alarms("site.boost")] == [BOOST]
        assert rig.value(BOOST)[1] == pytest.approx(0.2)
        changed = [(t, v) for t, v in rig.stored(BOOST) if t > at]
        assert changed[0][0] == at + 1000
        assert changed[0][1] == pytest.approx(0.2)
        await rig.drain()
        rig.proven()  # what is worked out is no part of the balance of what was read
    finally:
        await rig.crash()


async def test_an_unchanged_value_stays_proven_and_a_silent_device_makes_it_bad(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    try:
        await rig.run(120)
        assert level_of(rig.value("sump-1/sump.margin")[2]) is Level.GOOD
        rig.edges[0].silent.add("level")
        await rig.run(120)
        _, v, q = rig.value("sump-1/sump.margin")
        assert v is None
        assert (level_of(q), reason_of(q)) == (Level.BAD, Reason.DEVICE_STALE)
        assert level_of(rig.value(BOOST)[2]) is Level.GOOD
        silent = {e.data["point"] for e in rig.alarms("drain.no_data")}
        assert "sump-1/sump.margin" not in silent  # the sensor itself is told, not what is made of it
        assert silent
        rig.edges[0].silent.clear()
        await rig.run(40)
        assert rig.value("sump-1/sump.margin")[1] == pytest.approx(2.6)
    finally:
        await rig.crash()


async def test_division_by_nothing_is_bad_and_comes_back(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    try:
        rig.edges[0].plant["ws.pump1.freq"] = 0.0
        await rig.run(5)
        q = rig.value("ws-1/ws.per_hz")[2]
        assert (level_of(q), reason_of(q)) == (Level.BAD, Reason.NOT_A_NUMBER)
        rig.edges[0].plant["ws.pump1.freq"] = 25.0
        await rig.run(5)
        assert rig.value("ws-1/ws.per_hz")[1] == pytest.approx(10 / 3600 / 25)
    finally:
        await rig.crash()


async def test_after_a_crash_it_goes_on_without_a_second_row_or_alarm(tmp_path: Path) -> None:
    rig = await started(tmp_path)
    try:
        rig.edges[0].plant["ws.out_p"] = 0.5
        await rig.run(12)
        await rig.restart()
        await rig.run(30)
        assert len(rig.alarms("site.boost")) == 1
        times = [t for t, _ in rig.stored(BOOST)]
        assert len(times) == len(set(times))
        assert rig.value(BOOST)[1] == pytest.approx(0.2)
        assert level_of(rig.value("sump-1/sump.margin")[2]) is Level.GOOD
    finally:
        await rig.crash()
