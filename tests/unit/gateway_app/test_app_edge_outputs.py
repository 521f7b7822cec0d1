"""Relays and sirens in the site file: what is refused, and what an edge watches by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.adapters.clock import ManualClock
from gateway.app.edge_outputs import dangers, output_of, outputs_of, watched
from gateway.app.edge_part import edge_part
from gateway.app.edge_role import choose, edge_config
from gateway.app.setup import Setup, load_setup
from gateway.edge.outputs import Danger, OutputFailed
from gateway.errors import Problems
from tests.e2e.chain_support import DEVICES, GATEWAY, site_file

RELAY = {"id": "siren", "kind": "modbus_coil", "line": "tcp", "unit": 9, "coil": 0}


def setup_with(folder: Path, *outputs: dict[str, Any]) -> Setup:
    path = site_file(folder, DEVICES)
    site = yaml.safe_load(path.read_text(encoding="utf-8"))
    site["gateways"][0]["outputs"] = list(outputs)
    path.write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")
    return load_setup(path)


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ([{**RELAY, "unit": 2}], "unit 2 is lift-box, which reads elevator"),
        ([{**RELAY, "line": "bus"}], "there is no line 'bus'"),
        ([RELAY, {**RELAY, "coil": 1}], "siren exists twice"),
        ([{**RELAY, "unit": 0}], "outputs.0.unit: must be at least 1"),
        ([{"id": "siren", "kind": "horn"}], "outputs.0.kind"),
        ([{"id": "siren", "kind": "command", "on": []}], "kind command needs on, off"),
        ([{"id": "siren", "kind": "modbus_coil", "line": "tcp"}], "kind modbus_coil needs unit, coil"),
    ],
)
def test_a_wrong_output_is_told_with_its_place(
    tmp_path: Path, outputs: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(Problems) as e:
        setup_with(tmp_path, *outputs)
    texts = [str(p) for p in e.value.problems]
    assert any(said in text and "site.yaml:" in text for text in texts), texts


def test_the_edge_watches_what_the_life_safety_rules_watch(tmp_path: Path) -> None:
    setup = setup_with(tmp_path)
    found = dangers(setup, GATEWAY)
    rule = setup.rules.by_id["lift.alarm_button"]
    assert found["lift-1/lift.alarm_button"] == [Danger(">", 0, rule.on_delay_s)]  # type: ignore[attr-defined]  # a digital rule
    assert not any(point.startswith(("ws-1", "sump-1", GATEWAY)) for point in found)
    assert dangers(setup, "another") == {}


def test_only_devices_with_danger_are_listened_to(tmp_path: Path) -> None:
    setup = setup_with(tmp_path, RELAY, {"id": "lamp", "kind": "file", "path": "lamp"})
    gateway, clock = choose(setup, GATEWAY), ManualClock()
    config = edge_config(setup, tmp_path, gateway, clock)
    after = watched(config, outputs_of(setup, gateway, config, clock, lambda: True))
    changed = [
        d.id
        for line, other in zip(config.lines, after.lines, strict=True)
        for d, e in zip(line.devices, other.devices, strict=True)
        if d.model is not e.model
    ]
    assert changed == ["lift-box"]
    other = [
        d.id
        for line, other in zip(config.lines, after.lines, strict=True)
        for d, e in zip(line.devices, other.devices, strict=True)
        if d.content != e.content
    ]
    assert other == changed, "one that is listened to does not pass for the same one that is not"


def test_a_pushed_part_watches_what_the_whole_site_file_watches(tmp_path: Path) -> None:
    """Life-safety rules travel with an edge that has outputs; those of other edges' assets do not matter."""
    setup_with(tmp_path, {"id": "lamp", "kind": "file", "path": "lamp"})
    path = tmp_path / "site.yaml"
    site = yaml.safe_load(path.read_text(encoding="utf-8"))
    button = {"id": "lift.alarm_button", "on_delay_s": 7, "at": {"lift-1": {"on_delay_s": 9}}}
    site["assets"].append({**site["assets"][0], "id": "far-1", "name": {"en": "Far"}})
    button["at"]["far-1"] = {"on_delay_s": 8}  # type: ignore[index]  # a mapping
    site["rules"] = [button]
    path.write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")
    whole = load_setup(path)
    part = tmp_path / "part"
    for name, text in edge_part(whole, choose(whole, GATEWAY)).items():
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        (part / name).write_text(text, encoding="utf-8")
    pushed = load_setup(part / "site.yaml")
    assert "far-1" not in pushed.assets
    assert dangers(whole, GATEWAY)["lift-1/lift.alarm_button"][0].delay_s == 9, "the one of this very lift"
    assert dangers(pushed, GATEWAY) == dangers(whole, GATEWAY)
    clock, gateway = ManualClock(), choose(whole, GATEWAY)
    assert edge_config(pushed, tmp_path, gateway, clock).dangers == dangers(whole, GATEWAY)


def test_without_outputs_rules_stay_where_they_are(tmp_path: Path) -> None:
    setup_with(tmp_path)
    path = tmp_path / "site.yaml"
    site = yaml.safe_load(path.read_text(encoding="utf-8"))
    before = edge_part(load_setup(path), choose(load_setup(path), GATEWAY))
    site["rules"] = [{"id": "lift.alarm_button", "on_delay_s": 7}]
    path.write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")
    assert edge_part(load_setup(path), choose(load_setup(path), GATEWAY)) == before


async def test_a_relay_whose_way_has_gone_says_so_and_is_never_switched(tmp_path: Path) -> None:
    """A configuration that came over the bus may not have its line, or may read a lift at its unit."""
    setup = setup_with(tmp_path, RELAY)
    gateway, clock = choose(setup, GATEWAY), ManualClock()
    config = edge_config(setup, tmp_path, gateway, clock)
    line = next(line for line in config.lines if line.id == "tcp")
    lift = replace(next(d for d in line.devices if d.id == "lift-box"), unit=9)
    for lines, said in (
        ([], "not part of the configuration"),
        ([replace(line, devices=[lift])], "reads lift-1"),
    ):
        output = output_of(setup, replace(config, lines=lines), gateway.outputs[0])
        with pytest.raises(OutputFailed, match=said):
            await output.put(on=True)
