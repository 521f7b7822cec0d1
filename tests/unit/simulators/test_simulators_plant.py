"""The plant: deterministic, calm when nothing is wrong, and with causes that come before their effects."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Mapping

import pytest

from gateway.model import Ms
from simulators.layout import demo_layout
from simulators.plant import TICK_MS
from simulators.world import Simulation

EVENING: Ms = 1_772_447_400_000  # 2026-03-02 18:30 in Shanghai
LAYOUT = demo_layout()
HOUR = 3_600_000

# (asset class, tag, lowest, highest) of normal operation: the values at which the first
# warning would stand.
LIMITS: tuple[tuple[str, str, float, float], ...] = (
    ("elevator", "lift.level_err", -10, 10),
    ("elevator", "lift.speed", 0, 1.75 * 1.05),
    ("elevator", "lift.vib_z", 0, 0.30),
    ("elevator", "lift.vib_xy", 0, 0.20),
    ("elevator", "lift.service_mode", 1, 1),
    ("elevator", "lift.fault_code", 0, 0),
    ("elevator", "lift.alarm_button", 0, 0),
    ("elevator", "lift.room_temp", 5, 40),
    ("fire", "fire.panel.state", 1, 1),
    ("fire", "fire.hydrant_p", 0.10, 1),
    ("fire", "fire.sprinkler_p", 0.11, 1),
    ("fire", "fire.main_p", 0.26, 0.40),
    ("fire", "fire.pump?.auto", 1, 1),
    ("fire", "fire.pump?.run", 0, 0),
    ("fire", "efire.leak1", 0, 299),
    ("fire", "efire.temp1", 0, 59),
    ("water", "ws.in_p", 0.141, 1),
    ("water", "ws.out_p", 0.33, 0.37),
    ("water", "ws.tank_level", 1.5, 2.5),
    ("water", "ws.turbidity", 0, 0.79),
    ("water", "ws.cl", 0.11, 2.0),
    ("water", "ws.ph", 6.5, 8.5),
    ("water", "ws.pump?.freq", 0, 49),
    ("water", "ws.pump?.fault", 0, 0),
    ("water", "ws.room_flood", 0, 0),
    ("drain", "sump.level", 0.3, 1.1),
    ("drain", "sump.hi*_float", 0, 0),
    ("manhole", "mh.tilt", 0, 5),
    ("manhole", "mh.level", 500, 3000),
    ("manhole", "mh.ch4", 0, 5),
    ("manhole", "mh.h2s", 0, 5),
    ("manhole", "mh.o2", 20.0, 21.5),
    ("manhole", "mh.co", 0, 19),
    ("manhole", "mh.batt", 31, 100),
    ("power", "pw.u?", 198.0, 235.4),
    ("power", "pw.unbal_u", 0, 1.99),
    ("power", "pw.load", 0, 80),
    ("power", "pw.pf", 0.90, 1),
    ("power", "pw.freq", 49.8, 50.2),
    ("power", "pw.leak", 0, 299),
    ("power", "tr.temp_?", 0, 99),
    ("power", "ats.pos", 1, 1),
    ("generator", "gen.batt", 24.01, 30),
    ("generator", "gen.fuel", 50, 100),
    ("generator", "gen.alarm", 0, 0),
    ("septic", "sep.ch4", 0, 9.9),
    ("septic", "sep.pressure", 0, 1.9),
    ("septic", "sep.level", 301, 5000),
    ("call", "call.active", 0, 0),
)


def simulation(seed: int = 1, start: Ms = EVENING) -> Simulation:
    return Simulation(LAYOUT, seed, start)


def everything(sim: Simulation) -> dict[str, Mapping[str, float]]:
    return {a.id: dict(sim.values(a.id)) for a in LAYOUT.assets}


def test_the_same_seed_gives_the_same_values_however_it_is_stepped() -> None:
    once, often = simulation(), simulation()
    once.step(EVENING + 600_000)
    for t in range(EVENING, EVENING + 600_001, 730):
        often.step(t)
        often.values("ws-1")
    often.step(EVENING + 600_000)
    assert everything(once) == everything(often)


def test_another_seed_gives_other_values() -> None:
    assert everything(simulation(1)) != everything(simulation(2))


def test_time_does_not_run_back() -> None:
    sim = simulation()
    sim.step(EVENING + 10_000)
    before = everything(sim)
    sim.step(EVENING)
    assert everything(sim) == before
    assert sim.now == EVENING + 10_000


@pytest.mark.parametrize(("seed", "hour"), [(1, 18), (7, 6), (23, 0)])
def test_normal_operation_stays_within_every_threshold_for_hours(seed: int, hour: int) -> None:
    start = EVENING - EVENING % 86_400_000 + ((hour - 8) % 24) * HOUR
    sim = simulation(seed, start)
    kinds = {a.id: a.kind for a in LAYOUT.assets}
    rows = [
        (a, tag, low, high)
        for kind, pattern, low, high in LIMITS
        for a in kinds
        if kinds[a] == kind
        for tag in fnmatch.filter(sim.values(a), pattern)
    ]
    assert len(rows) >= 2 * len(LIMITS), "a pattern that fits no tag proves nothing"
    for t in range(start, start + 3 * HOUR, 17 * TICK_MS):
        sim.step(t)
        for asset, tag, low, high in rows:
            value = sim.values(asset)[tag]
            assert low <= value <= high, f"{asset}/{tag} = {value} at {t - start} ms (seed {seed})"


def test_counters_of_a_calm_day_stay_below_their_hourly_limits() -> None:
    sim = simulation(5)
    first = everything(sim)
    sim.step(EVENING + 5 * HOUR)
    last = everything(sim)

    def per_hour(asset: str, tag: str) -> float:
        return (last[asset][tag] - first[asset][tag]) / 5

    assert 0 < per_hour("fire-1", "fire.jockey.starts") <= 3
    for n in (1, 2):
        assert 0 < per_hour("sump-1", f"sump.pump{n}.starts") <= 6
    for n in (1, 2, 3):
        assert per_hour("ws-1", f"ws.pump{n}.starts") <= 6
    assert 5 < per_hour("lift-1", "lift.trips") < 150
    assert per_hour("em-1", "em.kwh") > 10
    assert per_hour("wm-1", "wm.m3") > 1
    assert per_hour("ws-1", "ws.total") > 1


def test_a_calm_lift_is_never_in_the_state_of_an_entrapment() -> None:
    sim = simulation(3)
    held = 0
    for t in range(EVENING, EVENING + 2 * HOUR, TICK_MS):
        sim.step(t)
        v = sim.values("lift-1")
        stuck = v["lift.passenger"] and v["lift.door_closed"] and not v["lift.moving"]
        held = held + 1 if stuck else 0
        assert held * TICK_MS < 5_000
        assert v["lift.door_closed"] or not v["lift.moving"]
        assert v["lift.door_zone"] or v["lift.door_closed"]


def test_lifts_rest_and_travel() -> None:
    sim = simulation(3)
    moving = passenger = seconds = 0
    for t in range(EVENING, EVENING + HOUR, 1000):
        sim.step(t)
        v = sim.values("lift-2")
        moving += bool(v["lift.moving"])
        passenger += bool(v["lift.passenger"])
        seconds += 1
    assert 0.05 < moving / seconds < 0.8
    assert 0.02 < passenger / seconds < 0.8


def power_cut(sim: Simulation, seconds: int) -> dict[int, dict[str, Mapping[str, float]]]:
    sim.step(EVENING + 60_000)
    sim.faults.apply("power_cut", "pw-1")
    seen = {}
    for s in range(1, seconds + 1):
        sim.step(EVENING + 60_000 + s * 1000)
        seen[s] = everything(sim)
    return seen


def test_a_power_cut_is_bridged_by_the_generator_within_30_s() -> None:
    seen = power_cut(simulation(), 60)
    assert max(seen[1]["pw-1"][f"pw.u{p}"] for p in "abc") < 50
    assert seen[2]["ws-1"]["ws.power"] == 0
    assert next(s for s in seen if seen[s]["gen-1"]["gen.state"] == 3) <= 30
    assert seen[30]["pw-1"]["ats.pos"] == 2
    assert seen[30]["gen-1"]["gen.rpm"] > 1400
    assert seen[60]["ws-1"]["ws.power"] == 1
    assert seen[60]["ws-1"]["ws.out_p"] == pytest.approx(0.35, abs=0.02)
    assert seen[60]["lt-1"]["lt.c1.on"] == 1, "essential"
    assert seen[60]["lt-1"]["lt.c2.on"] == 0, "not essential"
    assert seen[60]["lift-1"]["lift.mains"] == 1


def test_the_essential_bus_stays_live_while_the_switch_goes_back() -> None:
    sim = simulation()
    power_cut(sim, 60)
    sim.faults.clear()
    for t in range(sim.now, sim.now + 120_000, TICK_MS):
        sim.step(t)
        assert sim.values("ws-1")["ws.power"] == 1
    assert sim.values("pw-1")["ats.pos"] == 1
    assert sim.values("gen-1")["gen.state"] == 0


def test_without_the_generator_the_effects_follow_their_cause() -> None:
    sim = simulation()
    sim.faults.apply("genset_fail", "gen-1")
    seen = power_cut(sim, 90)
    low = [s for s in seen if seen[s]["ws-1"]["ws.out_p"] < 0.35 * 0.7]
    assert seen[1]["ws-1"]["ws.pump1.run"] == 0
    assert 2 <= low[0] <= 60, "pressure falls after the pumps have stopped, not with them"
    assert all(seen[s]["lift-1"]["lift.mains"] == 0 for s in seen if s > 1)
    assert seen[30]["pw-1"]["ats.pos"] != 2
    assert seen[10]["fire-1"]["fire.panel.main_power_fault"] == 1
    assert seen[10]["fire-1"]["fire.pump1.power"] == 0
    assert seen[60]["gen-1"]["gen.alarm"] == 1
    cranks = seen[60]["gen-1"]["gen.starts"] - seen[1]["gen-1"]["gen.starts"]
    assert cranks == 3 - 1, "three cranks; the first was counted in the first second"


def test_when_the_grid_returns_everything_does() -> None:
    sim = simulation()
    sim.faults.apply("genset_fail", "gen-1")
    power_cut(sim, 90)
    sim.faults.clear()
    sim.step(sim.now + 180_000)
    values = everything(sim)
    assert values["pw-1"]["ats.pos"] == 1
    assert values["ws-1"]["ws.out_p"] == pytest.approx(0.35, abs=0.02)
    assert values["gen-1"]["gen.rpm"] == 0
    assert values["gen-1"]["gen.alarm"] == 0
    assert values["fire-1"]["fire.panel.main_power_fault"] == 0


def test_a_passenger_in_a_moving_car_is_trapped_by_a_power_cut_and_freed_by_its_end() -> None:
    sim = simulation(4)
    sim.faults.apply("genset_fail", "gen-1")
    t = EVENING
    while not (
        sim.values("lift-1")["lift.passenger"]
        and sim.values("lift-1")["lift.moving"]
        and not sim.values("lift-1")["lift.door_zone"]
    ):
        t += TICK_MS
        assert t < EVENING + HOUR
        sim.step(t)
    sim.faults.apply("power_cut", "pw-1")
    sim.step(t + 60_000)
    v = sim.values("lift-1")
    assert (v["lift.passenger"], v["lift.moving"], v["lift.door_zone"]) == (1, 0, 0)
    sim.faults.clear("power_cut")
    sim.step(t + 120_000)
    assert sim.values("lift-1")["lift.mains"] == 1
    assert sim.values("lift-1")["lift.door_zone"] == 1 or sim.values("lift-1")["lift.moving"] == 1


def test_a_confirmed_fire_recalls_the_lifts_and_starts_the_pump() -> None:
    sim = simulation()
    sim.faults.apply("fire_alarm", "fire-1", 0.8)
    sim.step(EVENING + 90_000)
    assert sim.values("fire-1")["fire.alarm_count"] == 2
    assert sim.values("fire-1")["fire.pump1.run"] == 1
    assert sim.values("fire-1")["fire.main_p"] > 0.6
    for n in (1, 2, 3):
        v = sim.values(f"lift-{n}")
        assert (v["lift.service_mode"], v["lift.floor"], v["lift.door_closed"]) == (3, 1, 0)


def test_the_panel_word_holds_its_bits() -> None:
    sim = simulation()
    sim.faults.apply("fire_alarm", "fire-1", 0.3)
    sim.faults.apply("fire_pump_manual", "fire-1")
    word = int(sim.values("fire-1")["fire.panel.state"])
    assert word == 1 | 1 << 1 | 1 << 11  # GB/T 26875.3: running, fire, manual


def test_sump_pumps_take_turns() -> None:
    sim = simulation(2)
    runs: list[int] = []
    for t in range(EVENING, EVENING + 5 * HOUR, 5000):
        sim.step(t)
        v = sim.values("sump-1")
        on = [n for n in (1, 2) if v[f"sump.pump{n}.run"]]
        if len(on) == 1 and (not runs or runs[-1] != on[0]):
            runs.append(on[0])
    assert len(runs) >= 4
    assert all(a != b for a, b in itertools.pairwise(runs))
