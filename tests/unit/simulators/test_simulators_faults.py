"""Faults: each shows within the time that its label says, heals when cleared, and is labelled truly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.config import yamlmarks
from gateway.errors import BadInput
from gateway.model import Ms
from simulators.faults import ALLOWANCE_S, DEVICE_KINDS, KINDS, parse
from simulators.layout import demo_layout
from simulators.world import Simulation

START: Ms = 1_772_447_400_000
LAYOUT = demo_layout(2)
Values = Mapping[str, float]


def trapped(v: Values) -> bool:
    return bool(
        v["lift.passenger"]
        and v["lift.door_closed"]
        and not v["lift.moving"]
        and not v["lift.door_zone"]
        and v["lift.service_mode"] == 1
    )


# kind, asset → what its first sign looks like, at the thresholds of the default rules
SIGNS: Mapping[tuple[str, str], Callable[[Values], bool]] = {
    ("power_cut", "pw-1"): lambda v: max(v["pw.ua"], v["pw.ub"], v["pw.uc"]) < 50,
    ("trap_passenger", "lift-1"): trapped,
    ("lift_fault", "lift-2"): lambda v: v["lift.fault_code"] >= 1 and v["lift.service_mode"] == 0,
    ("pump_stall", "ws-1"): lambda v: v["ws.out_p"] < 0.7 * v["ws.set_p"],
    ("pump_trip", "ws-1"): lambda v: any(v[f"ws.pump{n}.fault"] for n in (1, 2, 3)),
    ("low_pressure", "ws-1"): lambda v: v["ws.out_p"] < 0.7 * v["ws.set_p"],
    ("burst", "ws-1"): lambda v: v["ws.out_p"] < 0.7 * v["ws.set_p"],
    ("pressure_leak", "ws-1"): lambda v: v["ws.out_p"] < 0.34,
    ("pressure_leak", "fire-1"): lambda v: v["fire.jockey.run"] == 1,
    ("tank_low", "ws-1"): lambda v: v["ws.in_p"] < 0.14,
    ("water_quality", "ws-1"): lambda v: v["ws.turbidity"] > 1.0,
    ("sump_high", "sump-1"): lambda v: v["sump.hi_float"] == 1,
    ("sump_pumps_fail", "sump-2"): lambda v: v["sump.pump1.fault"] == v["sump.pump2.fault"] == 1,
    ("rain", "sump-1"): lambda v: v["sump.hi_float"] == 1,
    ("manhole_open", "mh-4"): lambda v: v["mh.tilt"] > 10 and v["mh.moved"] == 1,
    ("manhole_gas", "mh-2"): lambda v: v["mh.ch4"] >= 25,
    ("fire_alarm", "fire-1"): lambda v: v["fire.panel.alarm"] == 1 and v["fire.alarm_count"] >= 1,
    ("fire_pump_manual", "fire-1"): lambda v: v["fire.pump1.auto"] == 0,
    ("hydrant_low", "fire-1"): lambda v: v["fire.hydrant_p"] < 0.07,
    ("leak_current", "pw-1"): lambda v: v["pw.leak"] >= 500,
    ("leak_current", "fire-1"): lambda v: v["efire.leak1"] >= 500,
    ("transformer_hot", "pw-1"): lambda v: v["tr.temp_a"] >= 130,
    ("light_out", "lt-1"): lambda v: v["lt.c1.on"] == 1 and v["lt.c1.current"] < 1,
    ("septic_gas", "sep-1"): lambda v: v["sep.ch4"] >= 25,
    ("call_button", "call-1"): lambda v: v["call.active"] == 1,
    ("phase_loss", "pw-1"): lambda v: v["pw.ua"] < 50 <= min(v["pw.ub"], v["pw.uc"]),
    ("transformer_trip", "pw-1"): lambda v: v["tr.temp_a"] >= 145,
    ("drain_blocked", "mh-3"): lambda v: v["mh.level"] <= 500,
}


NIGHT: Ms = START + round(7.5 * 3_600_000)  # 02:00, when pumps idle and lamps burn
ONE = demo_layout(1)


@pytest.mark.parametrize("kind", [k for k, s in KINDS.items() if k not in DEVICE_KINDS and not s.hidden])
def test_a_fault_changes_what_its_asset_says_and_nothing_before(kind: str) -> None:
    spec = KINDS[kind]
    for model in spec.models:
        asset = next(a.id for a in ONE.assets if a.model == model)
        well, ill = Simulation(ONE, 1, NIGHT), Simulation(ONE, 1, NIGHT)
        if spec.needs:
            well.faults.apply(spec.needs, "pw-1")
            ill.faults.apply(spec.needs, "pw-1")
        assert well.values(asset) == ill.values(asset)
        ill.faults.apply(kind, asset)
        for t in range(NIGHT, NIGHT + 1_800_000, 2_000):
            well.step(t)
            ill.step(t)
            if well.values(asset) != ill.values(asset):
                break
        assert well.values(asset) != ill.values(asset), f"{kind} does not show on {asset}"
        for tag, value in spec.forces.items():
            assert ill.values(asset)[tag] == value


@pytest.mark.parametrize(("kind", "asset"), list(SIGNS), ids=str)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_fault_is_seen_when_its_label_says(kind: str, asset: str, seed: int) -> None:
    sim = Simulation(LAYOUT, seed, START)
    sim.step(START + 120_000 + seed * 7_000)
    sign = SIGNS[kind, asset]
    busy = sign(sim.values(asset))  # the jockey pump runs now and then anyway
    assert not busy or asset == "fire-1"
    label = sim.faults.apply(kind, asset)
    assert label is not None
    latest = label.t + round(KINDS[kind].lag_s * 1000)
    seen = None
    for t in range(sim.now, latest + 1, 200):
        sim.step(t)
        if sign(sim.values(asset)):
            seen = t
            break
    assert seen is not None, f"{kind} had not shown after {KINDS[kind].lag_s} s"
    assert busy or seen >= label.detectable_from, f"{kind} showed before its label says"
    if kind != "pressure_leak":
        sim.step(latest + 5_000)
        assert sign(sim.values(asset)), f"{kind} did not stay"


@pytest.mark.parametrize("seed", range(12))
def test_a_lift_traps_its_passenger_in_time_whatever_it_was_doing(seed: int) -> None:
    for lift in ("lift-1", "lift-2", "lift-3"):
        sim = Simulation(LAYOUT, seed, START)
        sim.step(START + 30_000 + seed * 4_321)
        label = sim.faults.apply("trap_passenger", lift)
        assert label is not None
        sim.step(label.t + round(KINDS["trap_passenger"].lag_s * 1000))
        assert trapped(sim.values(lift))
        pressed = 0
        for t in range(sim.now, sim.now + 90_000, 200):
            sim.step(t)
            pressed += bool(sim.values(lift)["lift.alarm_button"])
        assert pressed * 0.2 >= 6, "the passenger presses the alarm button"
        sim.faults.clear()
        sim.step(sim.now + 60_000)
        assert not trapped(sim.values(lift))


HEALS = [key for key in SIGNS if key[0] != "pressure_leak"]


@pytest.mark.parametrize(("kind", "asset"), HEALS, ids=str)
def test_a_cleared_fault_heals(kind: str, asset: str) -> None:
    sim = Simulation(LAYOUT, 1, START)
    sim.step(START + 60_000)
    label = sim.faults.apply(kind, asset)
    assert label is not None
    sim.step(label.t + round(KINDS[kind].lag_s * 1000))
    assert sim.faults.clear(kind, asset) == 1
    sim.step(sim.now + 600_000)
    assert not SIGNS[kind, asset](sim.values(asset))


def test_stuck_meters_stand_while_power_and_water_flow() -> None:
    sim = Simulation(LAYOUT, 1, START)
    for asset, counter, flow in (("em-1", "em.kwh", "em.p"), ("wm-1", "wm.m3", "wm.flow")):
        sim.faults.apply("meter_stuck", asset)
        before = sim.values(asset)[counter]
        sim.step(sim.now + 600_000)
        assert sim.values(asset)[counter] == before
        assert sim.values(asset)[flow] > 1


def test_a_broken_generator_is_labelled_when_the_grid_goes() -> None:
    sim = Simulation(LAYOUT, 1, START)
    assert sim.faults.apply("genset_fail", "gen-1") is None
    assert sim.truth == []
    sim.step(START + 30_000)
    sim.faults.apply("power_cut", "pw-1")
    assert [(x.fault, x.t) for x in sim.truth] == [("power_cut", sim.now), ("genset_fail", sim.now)]
    sim.step(sim.now + 1_000)
    assert sim.values("gen-1")["gen.state"] == 1, "it tries"
    sim.step(sim.now + 50_000)
    assert sim.values("gen-1")["gen.alarm"] == 1
    assert sim.values("pw-1")["ats.pos"] != 2


def test_a_label_has_the_agreed_shape() -> None:
    sim = Simulation(LAYOUT, 1, START)
    label = sim.faults.apply("pump_trip", "ws-1")
    assert label is not None
    spec = KINDS["pump_trip"]
    assert label.as_dict() == {
        "t": START,
        "asset": "ws-1",
        "fault": "pump_trip",
        "severity": spec.severity,
        "detectable_from": START + round(spec.first_s * 1000),
        "expect": {
            "rule": "water.pump_fault",
            "by": START + round((spec.lag_s + spec.confirm_s + ALLOWANCE_S) * 1000),
            "root": "ws-1",
            "priority": spec.priority,
        },
    }


def test_device_faults_hit_a_device_or_all_of_an_asset_and_expect_its_class() -> None:
    sim = Simulation(LAYOUT, 1, START)
    by_device = sim.faults.apply("device_silent", "lift-1-box")
    by_asset = sim.faults.apply("device_short", "sump-2")
    assert by_device is not None
    assert by_device.asset == "lift-1"
    assert by_device.expect is not None
    assert by_device.expect.rule == "elevator.no_data"
    assert by_device.expect.root == "lift-1"
    assert by_asset is not None
    assert set(sim.faults.devices) == {"lift-1-box", "sump-2-plc", "sump-2-level"}
    sim.faults.clear("device_short")
    assert set(sim.faults.devices) == {"lift-1-box"}


def test_rain_falls_on_one_estate() -> None:
    sim = Simulation(LAYOUT, 1, START)
    sim.faults.apply("rain", LAYOUT.estates[1].id)
    sim.step(START + 900_000)
    assert sim.values("e2-mh-1")["mh.level"] < 700
    assert sim.values("mh-1")["mh.level"] > 1500
    sim.faults.clear()
    assert sim.plant.weather == {}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("explode@ws-1", "explode"),
        ("burst@lift-1", "ws-1"),
        ("burst@nowhere", "nowhere"),
        ("burst@ws-1:2", "SEVERITY"),
        ("burst@ws-1:x", "SEVERITY"),
        ("burst", "KIND@ASSET"),
        ("device_silent@nothing", "nothing"),
    ],
)
def test_what_cannot_be_broken_is_refused_with_what_can(written: str, message: str) -> None:
    sim = Simulation(LAYOUT, 1, START)
    with pytest.raises(BadInput, match=message):
        sim.faults.apply(*parse(written))
    assert sim.faults.active == {}


def rules() -> dict[str, dict[str, Any]]:
    folder = Path(__file__).parents[3] / "alerts" / "defaults" / "rules"
    return {r["id"]: r for path in folder.glob("*.yaml") for r in yamlmarks.load(path)[0]}


def expectations() -> list[tuple[str, str, str]]:
    return [
        (kind, model, spec.rule_for(model))
        for kind, spec in KINDS.items()
        for model in spec.models or ("",)
        if spec.rule_for(model)
    ]


@pytest.mark.parametrize(("kind", "model", "rule"), expectations(), ids=str)
def test_the_expected_rule_exists_and_is_as_quick_and_urgent_as_the_label_says(
    kind: str, model: str, rule: str
) -> None:
    known = rules()
    classes = [a.kind for a in LAYOUT.assets if not model or a.model == model]
    for name in {rule.replace("{class}", c) for c in classes}:
        assert name in known, f"{kind} expects {name}"
        assert known[name]["priority"] == KINDS[kind].priority
        delay = known[name].get("time_s") or known[name].get("on_delay_s") or 0
        assert delay <= KINDS[kind].confirm_s
        assert known[name]["for"] in classes


def test_severity_scales() -> None:
    mild, bad = (Simulation(LAYOUT, 1, START) for _ in range(2))
    mild.faults.apply(*parse("low_pressure@ws-1:0.4"))
    bad.faults.apply(*parse("low_pressure@ws-1"))
    for sim in (mild, bad):
        sim.step(START + 60_000)
    assert 0.35 > mild.values("ws-1")["ws.out_p"] > bad.values("ws-1")["ws.out_p"] + 0.05
