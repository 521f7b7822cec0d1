"""The shipped rules are complete, refer to points that exist, and can be changed by a site."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from alerts.rules import Combine, Limit, NoData, Rule, Stuck
from alerts.ruleset import DEFAULT_RULE_FILES, RuleSet, build, merge
from gateway.config.yamlmarks import load
from gateway.errors import Problems
from gateway.model import SYSTEMS

ALERTS = Path(__file__).parents[3] / "alerts"
REQUIRED = [
    "lift.entrapment", "lift.entrapment_level", "lift.fault", "lift.stopped_mode", "lift.alarm_button",
    "lift.level_err", "lift.pit_water", "lift.overspeed", "fire.alarm", "fire.confirmed",
    "fire.pump_not_auto", "fire.hydrant_low", "fire.sprinkler_low", "fire.panel_fault",
    "fire.jockey_long", "water.out_p_low", "water.out_p_high", "water.pump_fault", "water.out_p_slope",
    "water.tank_level", "water.turbidity", "water.cl", "water.ph", "water.room_flood",
    "drain.level_high", "drain.hi_float", "drain.pump_fault", "drain.both_pumps_fault", "manhole.tilt",
    "manhole.moved", "manhole.level", "manhole.ch4", "manhole.h2s", "manhole.o2", "manhole.batt",
    "power.outage", "power.voltage", "power.leak", "power.transformer_hot", "power.load",
    "power.breaker", "lighting.off_when_on", "generator.fail_to_start", "generator.not_auto",
    "generator.fuel", "generator.batt", "generator.coolant", "generator.oil", "septic.ch4",
    "septic.h2s", "septic.pressure", "septic.level", "call.active", "call.line", "meter.stuck",
]  # fmt: skip
TAGS: dict[str, str] = {
    "elevator": "lift.service_mode lift.moving lift.door_zone lift.door_closed lift.passenger "
    "lift.alarm_button lift.mains lift.fault_code lift.speed lift.level_err lift.vib_z lift.vib_xy "
    "lift.room_temp lift.pit_water lift.car_call_ok lift.brake lift.door_time",
    "fire": "fire.panel.alarm fire.panel.fault fire.panel.shield fire.panel.main_power_fault "
    "fire.panel.batt_fault fire.panel.bus_fault fire.panel.manual fire.alarm_count fire.hydrant_p "
    "fire.sprinkler_p fire.main_p fire.tank_level fire.roof_level fire.pump1.auto fire.pump1.run "
    "fire.pump1.fault fire.pump1.power fire.pump2.run fire.jockey.run efire.leak1 efire.temp1",
    "water": "ws.in_p ws.out_p ws.tank_level ws.pump1.fault ws.pump2.fault ws.pump3.fault ws.pump1.freq "
    "ws.pump1.run ws.pump1.auto ws.pump1.current ws.flow ws.turbidity ws.cl ws.ph ws.room_flood ws.door "
    "ws.power",
    "drain": "sump.level sump.hi_float sump.hihi_float sump.pump1.run sump.pump2.run sump.pump1.fault "
    "sump.pump2.fault sump.pump1.auto sump.pump1.current",
    "manhole": "mh.tilt mh.moved mh.level mh.ch4 mh.h2s mh.o2 mh.co mh.batt mh.level_dry",
    "power": "pw.ua pw.ub pw.uc pw.pf pw.freq pw.load pw.unbal_u pw.leak tr.temp_a tr.fan ats.pos brk1.trip",
    "lighting": "lt.c1.on lt.c1.current lt.lux lt.mode",
    "generator": "gen.state gen.mode gen.rpm gen.oil_p gen.coolant gen.fuel gen.batt gen.alarm",
    "septic": "sep.ch4 sep.h2s sep.pressure sep.level sep.relief",
    "meter": "em.kwh em.p em.loss wm.m3 wm.flow wm.loss wm.batt",
    "call": "call.active call.ack call.selftest call.line call.batt",
    "gateway": "gw.online gw.outbox gw.disk_free gw.lines_down gw.lines_overloaded gw.clock_offset "
    "gw.store_memory gw.store_full gw.store_damaged gw.outputs_failed gw.writes_unmatched",
}


def raw_defaults() -> list[dict[str, Any]]:
    return [raw for name in DEFAULT_RULE_FILES for raw in load(ALERTS / name)[0]]


@pytest.fixture(scope="module")
def shipped() -> RuleSet:
    return build(merge(raw_defaults(), []))


def test_every_asset_class_has_rules_and_says_when_it_is_silent(shipped: RuleSet) -> None:
    assert {r.asset_kind for r in shipped} == set(SYSTEMS)
    for kind in SYSTEMS:
        silent = shipped.by_id[f"{kind}.no_data"]
        assert isinstance(silent, NoData)
        # What an edge reads of itself falls silent with the edge, and that is gateway.offline.
        looked_at = ("gw.online", "point") if kind == "gateway" else ("*", "device")
        assert (silent.tag, silent.per, silent.priority) == (*looked_at, 3)
        assert shipped.by_id[f"{kind}.bad_data"].event == "sensor_fault"
    assert shipped.by_id["elevator.no_data"].event == "lift_offline"


def test_the_agreed_rules_are_there(shipped: RuleSet) -> None:
    assert set(REQUIRED) <= set(shipped.by_id)


def test_every_rule_looks_at_points_that_exist(shipped: RuleSet) -> None:
    for r in shipped:
        known = TAGS[r.asset_kind].split()
        gates = (r.gate,) if isinstance(r, Stuck) and r.gate else ()
        for pattern in (*r.tags, *gates):
            for one in pattern.split("|"):
                assert any(fnmatchcase(tag, one) for tag in known), f"{r.id}: {one}"


def test_life_safety_is_what_the_law_and_the_handbook_call_it(shipped: RuleSet) -> None:
    life = {r.id for r in shipped if r.life}
    assert life == {
        "lift.entrapment", "lift.entrapment_level", "lift.entrapment_power", "lift.alarm_button",
        "fire.alarm", "fire.confirmed", "manhole.ch4", "manhole.h2s", "manhole.o2", "manhole.co",
        "septic.ch4", "septic.h2s", "call.active", "call.unanswered",
    }  # fmt: skip
    latched = {r.id for r in shipped if r.latch}
    buttons = {"lift.alarm_button", "call.active", "call.unanswered"}
    assert latched == life - buttons, "fire, entrapment and gas stay until reset"


def test_figures_of_the_handbook(shipped: RuleSet) -> None:
    low = shipped.by_id["water.out_p_low"]
    assert isinstance(low, Limit)
    assert (low.l, low.on_delay_s, low.ll, low.on_delay_outer_s) == (0.315, 60, 0.245, 30)
    trapped = shipped.by_id["lift.entrapment"]
    assert isinstance(trapped, Combine)
    assert trapped.on_delay_s == 60
    assert {(m.tag, m.op, m.value) for m in trapped.all_of} == {
        ("lift.passenger", "==", 1), ("lift.door_zone", "==", 0), ("lift.moving", "==", 0),
        ("lift.door_closed", "==", 1), ("lift.service_mode", "!=", 2),
    }  # fmt: skip


def test_rules_that_look_at_a_point(shipped: RuleSet) -> None:
    def ids(kind: str, tag: str) -> set[str]:
        return {r.id for r in shipped.for_point(kind, tag)} - {f"{kind}.no_data", f"{kind}.bad_data"}

    assert ids("water", "ws.out_p") >= {
        "water.out_p_low", "water.out_p_high", "water.out_p_slope", "water.burst", "water.hunting",
    }  # fmt: skip
    assert "drain.capacity" in ids("drain", "sump.level"), "as the second point"
    assert "meter.stuck" in ids("meter", "em.p"), "as a gate"
    assert "lift.entrapment" in ids("elevator", "lift.alarm_button"), "as the confirming member"
    assert ids("fire", "ws.out_p") == set()


def test_the_mix_of_priorities_is_reported_with_its_drift(shipped: RuleSet) -> None:
    mix = shipped.priority_mix()
    assert sum(mix["by_priority"].values()) == mix["rules"] == len(shipped)
    assert sum(mix["share"].values()) == pytest.approx(1)
    assert mix["drift"]["high"] == pytest.approx(mix["share"]["high"] - 0.05)
    assert RuleSet(()).priority_mix()["share"] == {"low": 0, "medium": 0, "high": 0}


def test_a_site_changes_single_fields_adds_and_removes() -> None:
    raw = merge(raw_defaults(), [
        {"id": "water.out_p_low", "l": 0.3, "at": {"ws-2": {"l": 0.7, "ll": 0.6}}, "name": {"en": "Low"}},
        {"id": "water.out_p_low", "at": {"ws-3": {"l": 0.8}}},
        {"id": "water.door", "enabled": False},
        {"id": "water.ph", "enabled": True, "h": 9},
    ])  # fmt: skip
    rules = build(raw)
    low = rules.by_id["water.out_p_low"]
    assert isinstance(low, Limit)
    assert (low.l, low.ll, low.name["en"], low.name["zh"]) == (0.3, 0.245, "Low", "出水压力低")
    assert set(low.at) == {"ws-2", "ws-3"}
    assert "water.door" not in rules.by_id
    assert rules.hash != build(merge(raw_defaults(), [])).hash


def test_the_hash_does_not_depend_on_the_order() -> None:
    raw = merge(raw_defaults(), [])
    assert build(raw).hash == build(reversed(raw)).hash


def test_all_faults_are_told_at_once_with_their_places() -> None:
    raw = raw_defaults()[:3]
    raw = [raw[0], {**raw[1], "owner": "ME"}, raw[0], {k: v for k, v in raw[2].items() if k != "cause"}]

    def locate(rule: Any, field: str) -> tuple[str, int]:
        return "rules.yaml", 10 + raw.index(rule)

    with pytest.raises(Problems) as e:
        build(merge(raw, []), locate=None)
    assert len(e.value.problems) == 3
    with pytest.raises(Problems) as e:
        build(raw, locate)
    lines = str(e.value).splitlines()
    assert len(lines) == 3
    assert "rules.yaml:10: id" in lines[0]
    assert "this id exists twice" in lines[0]
    assert "rules.yaml:11: owner" in lines[1]
    assert "cause is missing (add it)" in lines[2]


def test_no_rule_repeats_another(shipped: RuleSet) -> None:
    def key(r: Rule) -> Any:
        return r.meaning, r.asset_kind

    assert len({key(r) for r in shipped}) == len(shipped)
