"""The demonstration's layout, and the site file that follows from it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from drivers.profiles.bind import bind
from drivers.profiles.loader import load_profile
from drivers.registry import DRIVERS
from gateway.config import yamlmarks
from gateway.config.site import check_as, load_site
from gateway.config.yamlmarks import Marks
from gateway.model import ROLES
from simulators.examples import demo_yaml
from simulators.layout import ASCII_BAUD, RTU_BAUD, demo_layout
from simulators.rtu_bus import BITS_PER_CHAR
from simulators.serve import planned_lines
from simulators.site import line_options, site_dict, site_yaml
from simulators.world import Simulation

ROOT = Path(__file__).parents[3]
ESTATE = Counter(
    elevator=3, fire=1, water=1, drain=2, manhole=4, power=1, lighting=1, generator=1, septic=1, meter=2,
    call=1,
)  # fmt: skip


@pytest.mark.parametrize("estates", [1, 2, 7, 20])
def test_every_estate_is_whole_and_ids_are_unique(estates: int) -> None:
    layout = demo_layout(estates)
    assert len({e.id for e in layout.estates}) == len({e.gateway for e in layout.estates}) == estates
    ids = [a.id for a in layout.assets] + [d.id for _, d in layout.devices()]
    assert len(set(ids)) == len(ids)
    for estate in layout.estates:
        assert Counter(a.kind for a in layout.assets if a.estate == estate.id) == ESTATE
        kinds = Counter(line.kind for line in layout.lines if line.estate == estate.id)
        assert kinds == {"modbus_tcp": 2, "modbus_rtu": 1, "ascii_line": 1}
    assert len({e.firm for e in layout.estates}) == (1 if estates == 1 else 2)
    assert {a.id for a in demo_layout(1).assets} <= set(ids), "the first estate keeps its plain ids"


@pytest.mark.parametrize("estates", [0, 100])
def test_how_many_estates_there_can_be(estates: int) -> None:
    with pytest.raises(ValueError, match=str(estates)):
        demo_layout(estates)


def test_every_point_of_every_device_has_a_value_in_the_plant_and_is_read_once() -> None:
    layout = demo_layout(2)
    sim = Simulation(layout, 1, 1_772_447_400_000)
    seen = Counter(
        (p.asset, p.tag)
        for _, d in layout.devices()
        for p in bind(load_profile(d.profile), d.asset, d.rename).points
    )
    assert [key for key, n in seen.items() if n > 1] == []
    assert [(asset, tag) for asset, tag in seen if tag not in sim.values(asset)] == []
    assert ("sump-2", "sump.level") in seen
    assert {a.id for a in layout.assets} == {asset for asset, _ in seen}


def test_the_plant_s_values_fit_into_the_ranges_of_the_profiles() -> None:
    layout = demo_layout()
    sim = Simulation(layout, 1, 1_772_447_400_000)
    sim.step(sim.now + 600_000)
    for _, d in layout.devices():
        for p in bind(load_profile(d.profile), d.asset, d.rename).points:
            value = sim.values(p.asset)[p.tag]
            assert p.low is None or value >= p.low, p.id
            assert p.high is None or value <= p.high, p.id
            assert p.kind != "digital" or value in (0, 1), p.id
            assert p.kind != "enum" or not p.codes or value in p.codes, p.id


def test_a_bus_has_time_for_everything_that_it_reads_each_second() -> None:
    """Worst case, nothing merged across devices: every register of every unit once a second."""
    for line in demo_layout().lines:
        if line.kind != "modbus_rtu":
            continue
        assert len(line.devices) >= 4
        assert line.baud == RTU_BAUD
        char_s = BITS_PER_CHAR[line.parity] / line.baud
        busy = 0.0
        for device in line.devices:
            spans = [p.span for p in load_profile(device.profile).expanded]
            registers = max(s.address + s.count for s in spans) - min(s.address for s in spans)
            request, answer, silence = 8, 5 + 2 * registers, 7
            busy += (request + answer + silence) * char_s + 0.010  # the unit thinks for 10 ms at most
        assert busy < 0.33


def test_a_sentence_fits_many_times_into_a_second() -> None:
    assert len("$WL,001,00.763,m*77\r\n") * 10 / ASCII_BAUD < 0.05


def test_the_site_file_of_two_estates_loads_and_its_options_suit_the_drivers(tmp_path: Path) -> None:
    layout = demo_layout(2)
    path = tmp_path / "site.yaml"
    path.write_text(site_yaml(site_dict(layout, planned_lines(layout, "/tmp/x")), "two estates"), "utf-8")
    site = load_site(path)
    assert set(site.assets) == {a.id for a in layout.assets}
    assert site.firm_of == {"happiness-lane": "ankang", "jade-garden": "hexie"}
    for _, _, line, device in site.devices():
        check_as(DRIVERS[line.kind].options, dict(line.options), Marks())
        bind(load_profile(device.profile), device.asset, device.rename, device.assets, device.period_s)
    assert site.assets["e2-lift-1"].depends_on == ("e2-pw-1",)
    roles = {p.role for p in site.file.people}
    assert roles == set(ROLES) - {"public"}
    other = next(p for p in site.file.people if p.id == "hexie-operator")
    assert other.firms == ("hexie",)
    people = {p.id for p in site.file.people}
    assert all(set(s["people"]) <= people for s in site.file.shifts)


def test_demo_yaml_is_what_the_layout_gives() -> None:
    path = ROOT / "examples" / "demo.yaml"
    assert path.read_text(encoding="utf-8") == demo_yaml(), "run `python -m simulators.examples`"
    layout = demo_layout()
    data, _ = yamlmarks.load(path)
    assert data == site_dict(layout, planned_lines(layout, "/tmp/steward-lines"))
    assert len(list(load_site(path).devices())) == len(list(layout.devices()))


def test_small_yaml_loads_and_suits_drivers_and_profiles() -> None:
    site = load_site(ROOT / "examples" / "small.yaml")
    kinds = []
    for _, _, line, device in site.devices():
        check_as(DRIVERS[line.kind].options, dict(line.options), Marks())
        model = bind(load_profile(device.profile), device.asset, device.rename, device.assets)
        assert model.points
        kinds.append(line.kind)
    assert sorted(kinds) == ["ascii_line", "modbus_rtu", "modbus_tcp"]


def test_line_options() -> None:
    assert line_options("tcp://127.0.0.1:15020") == {"host": "127.0.0.1", "port": 15020}
    assert line_options("rtu:/dev/x?baud=9600&parity=E") == {"port": "/dev/x", "baud": 9600, "parity": "E"}
