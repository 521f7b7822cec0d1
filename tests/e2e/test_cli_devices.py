"""`simulate` and `probe` as processes: what one serves, the other finds, on TCP and on a serial bus."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.app.checks import check_site
from tests.e2e.cli_kit import processes_of, running, steward

NOW = 1_790_000_000_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("devices")
    arguments = ("simulate", "calm", "--json", "--fault", "pump_trip@ws-1", "--truth", "truth.jsonl",
                 "--site", "site.yaml", "--folder", "lines")  # fmt: skip
    with running(*arguments, cwd=folder, mark=folder, name="simulate") as process:
        facts = orjson.loads(process.until_said("\n").splitlines()[0])
        yield folder, facts
        assert process.stop(signal.SIGTERM) == 0
        assert process.complained() == ""
        assert processes_of(folder) == []


def test_it_says_where_each_device_is(served: tuple[Path, dict[str, Any]]) -> None:
    folder, facts = served
    assert facts["ready"] is True
    assert len(facts["devices"]) == 21
    pump = next(d for d in facts["devices"] if d["asset"] == "ws-1")
    assert {"asset", "profile", "endpoint", "unit"} <= pump.keys()
    assert pump["endpoint"].startswith("tcp://127.0.0.1:")
    bus = [d["endpoint"] for d in facts["devices"] if d["endpoint"].startswith("rtu:")]
    assert bus
    assert all(f"rtu:{folder / 'lines'}/" in e for e in bus)


def test_the_truth_names_the_fault_and_the_alarm_that_must_follow(
    served: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = served
    label = orjson.loads((folder / "truth.jsonl").read_bytes().splitlines()[0])
    assert (label["fault"], label["asset"], label["expect"]["rule"]) == (
        "pump_trip",
        "ws-1",
        "water.pump_fault",
    )
    assert label["t"] <= label["detectable_from"] <= label["expect"]["by"]


def test_the_site_file_that_it_writes_is_good(served: tuple[Path, dict[str, Any]]) -> None:
    assert check_site(served[0] / "site.yaml", NOW, as_json=True) == 0


def test_probe_finds_the_units_of_a_tcp_line(served: tuple[Path, dict[str, Any]]) -> None:
    folder, facts = served
    pump = next(d for d in facts["devices"] if d["asset"] == "ws-1")
    here = {d["unit"] for d in facts["devices"] if d["endpoint"] == pump["endpoint"]}
    done = steward("probe", pump["endpoint"], "--units", "1-40", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert {f["unit"] for f in orjson.loads(done.stdout)} == {u for u in here if u <= 40}
    assert all(f["answers"] or f["refused"] for f in orjson.loads(done.stdout))
    words = steward("probe", pump["endpoint"], "--units", str(pump["unit"]), cwd=folder)
    assert f"unit {pump['unit']:>3}  " in words.stdout
    assert f"1 of 1 units answer at {pump['endpoint']}" in words.stdout
    nobody = steward("probe", pump["endpoint"], "--units", "240-242", cwd=folder)
    assert nobody.returncode == 1
    assert "0 of 3 units answer" in nobody.stdout
    assert "check A/B wires, baud rate and parity" in nobody.stdout


def test_probe_finds_the_units_of_a_serial_bus(served: tuple[Path, dict[str, Any]]) -> None:
    folder, facts = served
    bus = [d for d in facts["devices"] if d["endpoint"].startswith("rtu:")]
    units = sorted(d["unit"] for d in bus)
    low, high = units[0], min(units[-1], units[0] + 6)
    done = steward("probe", bus[0]["endpoint"], "--units", f"{low}-{high}", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert [f["unit"] for f in orjson.loads(done.stdout)] == [u for u in units if u <= high]


def test_it_ends_by_itself_and_lists_what_there_is(tmp_path: Path) -> None:
    done = steward("simulate", "calm", "--for", "1s", "--speed", "10", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "devices serve; Ctrl-C ends." in done.stdout
    listed = orjson.loads(steward("simulate", "--list", "--json", cwd=tmp_path).stdout)
    assert {"calm", "demo", "power_cut"} <= listed["scenarios"].keys()
    assert listed["faults"]["pump_trip"]["models"] == ["water"]
    words = steward("simulate", "--list", cwd=tmp_path)
    assert "trap_passenger" in words.stdout
    assert "power_cut_bridged" in words.stdout
