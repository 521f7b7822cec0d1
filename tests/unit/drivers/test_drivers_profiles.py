"""Binding, loading, reporting and probing."""

from __future__ import annotations

import doctest
import math
from pathlib import Path

import numpy as np
import pytest

import drivers.profiles.cases
import drivers.profiles.raw
import drivers.profiles.textline
from drivers.modbus import RtuDriver, RtuOptions, TcpDriver, TcpOptions
from drivers.probe import Found, scan
from drivers.profiles.bind import BoundModel, bind
from drivers.profiles.cases import quality_words
from drivers.profiles.loader import load_profile
from drivers.profiles.report import as_text, describe
from drivers.registry import DRIVERS, make_driver, register
from gateway.adapters.clock import SystemClock
from gateway.errors import BadInput, Problems
from gateway.ports import Answer, Block, DeviceModel
from tests.unit.drivers.wire_devices import RtuDevice, TcpDevice, on_pty, on_tcp


def test_rename_and_assets_move_tag_prefixes() -> None:
    model = bind(
        load_profile("steward_pump_station"),
        "house-1",
        rename={"ws": "dw", "ws.pump2": "dw.standby"},
        assets={"ws.pump1": "pump-1", "dw.standby": "pump-2"},
        period_s=3,
    )
    ids = {p.id for p in model.points}
    assert {"house-1/dw.out_p", "pump-1/dw.pump1.run", "pump-2/dw.standby.run", "house-1/dw.pump3.run"} <= ids
    assert {p.period_s for p in model.points} == {3}


def test_a_prefix_is_whole_words_of_a_tag() -> None:
    with pytest.raises(BadInput, match=r"no tag starts with 'ws\.pump'"):
        bind(load_profile("steward_pump_station"), "a", rename={"ws.pump": "x"})
    with pytest.raises(BadInput, match="tags of vfd_skf8000 start with drive"):
        bind(load_profile("vfd_skf8000"), "a", assets={"ws": "b"})


def test_two_points_cannot_become_one() -> None:
    with pytest.raises(BadInput, match=r"a/x\.run would exist twice"):
        bind(load_profile("steward_sump"), "a", rename={"sump.pump1": "x", "sump.pump2": "x"})


def test_a_point_knows_its_names_limits_and_codes() -> None:
    points = {p.tag: p for p in bind(load_profile("steward_elevator"), "lift-1").points}
    mode = points["lift.service_mode"]
    assert (mode.kind, mode.life, mode.codes[2]["zh"], mode.codes[2]["en"]) == (
        "enum",
        True,
        "检修",
        "inspection",
    )
    assert points["lift.trips"].kind == "counter"
    assert (points["lift.speed"].unit, points["lift.speed"].low, points["lift.speed"].decimals) == (
        "m/s",
        0,
        2,
    )
    flags = {p.tag: p for p in bind(load_profile("steward_fire"), "f").points}["fire.panel.state"]
    assert flags.codes == {}


def _gas(model: DeviceModel, at: int, *words: int) -> dict[str, tuple[float, str]]:
    out = model.decode(Answer(Block(1, "holding", at, len(words)), 0, np.array(words, np.uint16)))
    return {
        model.points[int(n)].tag: (float(v), quality_words(int(q)))
        for n, v, q in zip(out.index, out.v, out.q, strict=True)
    }


def test_a_gas_reading_is_believed_only_while_its_guards_vouch_for_it() -> None:
    model: BoundModel = bind(load_profile("gas_oi7500"), "g")
    reading = (32, 0x4148, 0)
    assert _gas(model, *reading)["gas.ch1.value"] == (12.5, "UNCERTAIN DEVICE_STALE")
    for at, word in ((192, 5), (288, 0), (96, 0)):
        _gas(model, at, word)
    assert _gas(model, *reading)["gas.ch1.value"] == (12.5, "GOOD")
    _gas(model, 288, 10)
    v, q = _gas(model, *reading)["gas.ch1.value"]
    assert math.isnan(v)
    assert q == "BAD SENSOR_OPEN"
    _gas(model, 288, 0)
    _gas(model, 192, 0xFFFF)
    assert _gas(model, *reading)["gas.ch1.value"][1] == "BAD NEVER_SEEN"
    other: BoundModel = bind(load_profile("gas_oi7500"), "g")
    assert _gas(other, *reading)["gas.ch1.value"][1] == "UNCERTAIN DEVICE_STALE"


def test_an_unknown_profile_names_near_ones() -> None:
    with pytest.raises(BadInput, match="did you mean steward_elevator"):
        load_profile("steward_elevater")
    with pytest.raises(BadInput, match="cannot be read"):
        load_profile("my_pump.yaml", Path("/nowhere"))


def test_a_profile_of_the_site_stands_beside_the_site_file(tmp_path: Path) -> None:
    text = (Path(drivers.profiles.cases.__file__).parent / "steward_sump.yaml").read_text(encoding="utf-8")
    (tmp_path / "my_sump.yaml").write_text(
        text.replace("name: steward_sump", "name: my_sump"), encoding="utf-8"
    )
    assert load_profile("my_sump.yaml", tmp_path).name == "my_sump"
    (tmp_path / "other.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(
        Problems, match=r"other\.yaml:3: name: is 'steward_sump' \(name it other as its file\)"
    ):
        load_profile("other.yaml", tmp_path)


def test_the_report_shows_places_plan_and_cases() -> None:
    profile = load_profile("steward_sump")

    def planner(model: DeviceModel) -> list[tuple[float, Block]]:
        return [(1.0, Block(1, "input", 0, 12))]

    d = describe(profile, planner)
    assert d.ok
    assert d.reads[0].points == len(profile.expanded)
    assert d.reads[0].used == 10
    text = as_text(d, "zh")
    assert "sump.pump2.run               input 8.0" in text
    assert "every 1 s: input 0 to 11, 13 points, 2 registers unused" in text
    assert "sump.level = 1.35 m GOOD  ok" in text
    wrong = profile.model_copy(
        update={"cases": (profile.cases[0].model_copy(update={"input": {0: "00 00 00 00"}}),)}
    )
    assert not describe(wrong).ok
    assert "WRONG, expected 1.35" in as_text(describe(wrong))


async def test_probe_finds_units_exceptions_and_noise() -> None:
    seen: list[tuple[int, Found | None]] = []
    blocks = [Block(0, "holding", 0, 2), Block(0, "input", 0, 1)]
    async with on_tcp(TcpDevice(), 12) as device:
        driver = TcpDriver(TcpOptions.model_validate(device.options), SystemClock())
        reply = device.reply

        def units(request: bytes) -> list[bytes]:
            unit = request[6]
            device.mode = {3: "ok", 5: "exception", 6: "foreign unit"}.get(unit, "silent")
            data = reply(request) if device.mode != "silent" else []
            device.mode = "ok"
            return data

        device.reply = units  # type: ignore[method-assign]
        found = await scan(driver, range(1, 8), blocks, 0.03, lambda unit, one: seen.append((unit, one)))
        await driver.close()
    assert [(f.unit, len(f.answers), len(f.refused), f.noise, f.sure) for f in found] == [
        (3, 2, 0, 0, True),
        (5, 0, 2, 0, True),
        (6, 0, 0, 2, False),
    ]
    assert [unit for unit, _ in seen] == list(range(1, 8))


async def test_probe_of_a_bus() -> None:
    async with on_pty(RtuDevice()) as device:
        driver = RtuDriver(RtuOptions(port=device.options["port"], baud=115200), SystemClock())
        reply = device.reply
        device.reply = lambda request: reply(request) if request[0] in (2, 4) else []  # type: ignore[method-assign]
        found = await scan(driver, range(1, 6), [Block(0, "holding", 0, 1)], 0.3)
        await driver.close()
    assert [f.unit for f in found] == [2, 4]


def test_line_kinds_are_registered_once_and_check_their_options() -> None:
    assert set(DRIVERS) >= {"modbus_tcp", "modbus_rtu", "ascii_line"}
    with pytest.raises(ValueError, match="registered twice"):
        register("modbus_tcp", TcpOptions, TcpDriver)
    with pytest.raises(BadInput, match="known: modbus_tcp"):
        make_driver("modbus_udp", {}, SystemClock())
    with pytest.raises(Problems, match=r"options\.host: is missing"):
        make_driver("modbus_tcp", {"port": 502}, SystemClock())
    with pytest.raises(Problems, match=r"options\.bauds: nobody knows this field \(did you mean baud"):
        make_driver("modbus_rtu", {"port": "x", "bauds": 9600}, SystemClock())


@pytest.mark.parametrize("module", [drivers.profiles.cases, drivers.profiles.raw, drivers.profiles.textline])
def test_examples_in_docstrings(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]  # modules
    assert result.attempted > 0
    assert result.failed == 0


def test_the_example_of_the_guide_loads_and_its_cases_come_out(tmp_path: Path) -> None:
    guide = Path(__file__).parents[3] / "docs" / "how-to" / "add-a-device.md"
    example = guide.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    (tmp_path / "acme_flow_2.yaml").write_text(example, encoding="utf-8")
    description = describe(load_profile("acme_flow_2.yaml", tmp_path))
    assert description.ok
    assert {row.tag for row in description.cases} == {row.tag for row in description.points}
