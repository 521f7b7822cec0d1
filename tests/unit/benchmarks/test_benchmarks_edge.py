"""The judge of the edge comparison judges rightly: devices, their log, the subscriber, the page."""

from __future__ import annotations

import io
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import orjson
import pytest

from benchmarks.edge import report
from benchmarks.edge.devices import ENTRY, Devices
from benchmarks.edge.listener import PerDevice, Steward, ThingsBoard, packet_bytes
from benchmarks.edge.main import plan_of
from benchmarks.edge.rounds import RequestLog
from benchmarks.edge.truth import BLOCKS, DEAD, EXCEPTION, GARBLED, HEALTHY, Faults, belongs, register_at
from drivers.modbus_frames import TCP, Refused, listen
from gateway.codec import Data, PointTable, Topic
from gateway.errors import BadInput
from gateway.model import Point
from gateway.ports import Block, DeviceException, NoAnswer

CALM = Faults()


def request(transaction: int, address: int, count: int = 20, unit: int = 1) -> bytes:
    return struct.pack(">HHHBBHH", transaction, 0, 6, unit, 3, address, count)


def test_a_value_belongs_to_one_device_and_register_and_changes_each_time() -> None:
    devices = Devices(7, CALM, io.BytesIO())
    seen: set[int] = set()
    for device in range(7):
        for address in BLOCKS:
            first, second = (
                listen(
                    TCP, Block(1, "holding", address, 20), k, [devices.answer(device, request(k, address))]
                )
                for k in (1, 2)
            )
            assert (first != second).all()
            for n, value in enumerate(first.tolist()):
                assert belongs(value, device, register_at(address + n))
                assert not belongs(value, (device + 1) % 7, register_at(address + n))
            seen |= set(first.tolist())
    assert len(seen) == 7 * 60


def test_faults_hit_the_share_that_was_asked_for() -> None:
    kinds = Counter(Faults(10, 5, 5).of(n, 200) for n in range(200))
    assert kinds == {HEALTHY: 160, DEAD: 20, EXCEPTION: 10, GARBLED: 10}
    assert str(Faults.parse("10,5,5")) == "10,5,5"
    for wrong in ("10,5", "a,b,c", "50,40,10", "-1,0,0"):
        with pytest.raises(ValueError):
            Faults.parse(wrong)


def test_no_garbled_answer_passes_for_a_good_one() -> None:
    """Every kind of damage: our own judgement refuses it, and a value of it that got through would show."""
    devices = Devices(1, Faults(0, 0, 99), io.BytesIO())
    block = Block(1, "holding", 100, 20)
    for k in range(1, 13):
        answer = devices.answer(0, request(k, 100))
        with pytest.raises((Refused, NoAnswer)):
            listen(TCP, block, k, [answer])
        words = struct.unpack(f">{len(answer[-20:]) // 2}H", answer[-20:])
        assert not any(belongs(w, 0, register_at(a)) for a in range(100, 120) for w in words)


def test_a_dead_device_is_silent_and_an_exception_is_one() -> None:
    assert Devices(1, Faults(99, 0, 0), io.BytesIO()).answer(0, request(1, 0)) == b""
    for faults, address in ((Faults(0, 99, 0), 0), (CALM, 50)):
        answer = Devices(1, faults, io.BytesIO()).answer(0, request(1, address))
        with pytest.raises(DeviceException):
            listen(TCP, Block(1, "holding", address, 20), 1, [answer])


# ── the log ───────────────────────────────────────────────────────────────────────────────────────────


def log(folder: Path, entries: list[tuple[float, int, int]]) -> RequestLog:
    path = folder / "requests.bin"
    path.write_bytes(b"".join(ENTRY.pack(round(t * 1e9), d, a, 20, HEALTHY) for t, d, a in entries))
    return RequestLog(path)


def rounds_at(times: list[float], device: int = 0) -> list[tuple[float, int, int]]:
    return [(t + k / 1000, device, block) for t in times for k, block in enumerate(BLOCKS)]


def test_a_kept_schedule_is_whole_and_its_lateness_is_seen(tmp_path: Path) -> None:
    times = [100.25 + k for k in range(30)]
    times[7] += 0.03
    found = log(tmp_path, rounds_at(times)).rounds(105, 125, 1.0, 1, CALM)
    assert found.share == found.worst == 1.0
    assert found.due >= 18
    assert found.late(50) == pytest.approx(0, abs=0.1)
    assert found.late(100) == pytest.approx(30, abs=0.1)


def test_missing_rounds_and_missing_blocks_are_missed(tmp_path: Path) -> None:
    whole = rounds_at([100.25 + k for k in range(30)])
    found = log(tmp_path, whole).rounds(104.9, 125.1, 1.0, 1, CALM)
    without = [e for e in whole if not 110 < e[0] < 112 and not (115 < e[0] < 116 and e[2] == BLOCKS[2])]
    holed = log(tmp_path, without).rounds(104.9, 125.1, 1.0, 1, CALM)
    assert (holed.due, holed.done) == (found.due, found.done - 3)
    assert log(tmp_path, []).rounds(104.9, 125.1, 1.0, 1, CALM).done == 0


def test_a_client_that_drifts_is_late(tmp_path: Path) -> None:
    drifting = log(tmp_path, rounds_at([100 + 1.01 * k for k in range(40)])).rounds(105, 135, 1.0, 1, CALM)
    late = drifting.late(99)
    assert late is not None
    assert late > 50


def test_points_are_counted_in_good_answers_only(tmp_path: Path) -> None:
    path = tmp_path / "requests.bin"
    kinds = (HEALTHY, DEAD, HEALTHY, GARBLED)
    path.write_bytes(b"".join(ENTRY.pack(round(k * 1e9), 0, 0, 20, kind) for k, kind in enumerate(kinds)))
    found = RequestLog(path)
    assert (found.answered(0, 10), found.answered(1, 10), found.requests(0, 10)) == (40, 20, 4)


# ── the subscriber ────────────────────────────────────────────────────────────────────────────────────


def good(device: int, address: int) -> int:
    return (device & 0xFF) << 8 | register_at(address) << 2


def test_values_under_a_foreign_name_are_wrong_for_every_client() -> None:
    values = {"r0": good(3, 0), "r101": good(3, 101), "r5": good(3, 6)}
    (heard,) = PerDevice().decode("dev/3", orjson.dumps({"ts": 1, "values": values}))
    assert (heard.points, heard.wrong) == (3, 1)
    (heard,) = PerDevice().decode("modpoll/dev3/data", orjson.dumps(values))
    assert (heard.points, heard.wrong, heard.key) == (3, 1, None)
    packs = {"dev3": [{"ts": 1, "values": {"b0_0": good(3, 0), "b100_100": good(4, 100)}}]}
    (heard,) = ThingsBoard().decode("v1/gateway/telemetry", orjson.dumps(packs))
    assert (heard.points, heard.wrong) == (2, 1)


def data(tab: str, seq: int, values: list[float]) -> bytes:
    n = len(values)
    columns = np.arange(n), np.zeros(n, np.int64), np.array(values), np.zeros(n, np.uint8)
    return Data("b", "live", seq, tab, 1, *columns).encode()


def test_stewards_messages_are_judged_by_their_table_and_receipted_without_a_hole() -> None:
    judge = Steward()
    points = [Point("d3", "b0.1"), Point("d3", "b100.2"), Point("gw-1", "edge.cpu")]
    table = PointTable.of(points)
    place = str(Topic("bench", "gw-1", "data"))
    values = [good(3, 0), good(3, 100), 5.0]
    assert not list(judge.decode(place, data(table.tab, 1, values)))
    (heard,) = judge.decode(str(Topic("bench", "gw-1", "points", table.tab)), table.encode())
    assert (heard.points, heard.wrong) == (2, 1)
    list(judge.decode(place, data(table.tab, 3, values)))
    assert [orjson.loads(body)["upto"] for _, body in judge.receipts()] == [1]
    list(judge.decode(place, data(table.tab, 2, values)))
    assert [orjson.loads(body)["upto"] for _, body in judge.receipts()] == [3]
    assert judge.receipts() == []


def test_a_packet_is_counted_whole() -> None:
    assert packet_bytes("a/b", b"x" * 10) == 2 + 2 + 3 + 2 + 10
    assert packet_bytes("a", b"x" * 200) == 3 + 2 + 1 + 2 + 200


# ── the page and the command line ─────────────────────────────────────────────────────────────────────


def test_a_section_of_the_same_day_is_replaced_and_older_ones_stay(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("# Benchmarks\n\n## Broker\n\nadr\n", encoding="utf-8")
    report.write("### 2026-01-01\n\nfirst\n", page)
    report.write("### 2026-01-02\n\nsecond\n", page)
    report.write("### 2026-01-02\n\nthird\n", page)
    text = page.read_text(encoding="utf-8")
    assert "second" not in text
    order = [text.index(part) for part in (report.HEADING, "01-02", "third", "01-01", "first", "## Broker")]
    assert order == sorted(order)


def test_unknown_names_are_refused_with_those_that_there_are() -> None:
    assert plan_of(peers="none", cases="schedule").clients == ["steward"]
    with pytest.raises(BadInput):
        plan_of(peers="telegraf")
    with pytest.raises(BadInput):
        plan_of(cases="x")
    with pytest.raises(BadInput):
        plan_of(faults="1")
