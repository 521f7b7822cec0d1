"""Rate, stuck, silence, refused readings, combinations: what each kind says and when it keeps quiet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alerts.engine import Engine, PointInfo, bind
from alerts.engine.bind import FAR
from alerts.rules import Rule
from alerts.ruleset import DEFAULT_RULE_FILES, build
from gateway.config.yamlmarks import load
from gateway.model import Level, Samples, quality

BAD = quality(Level.BAD)
START = 1_790_000_000_000
Make = Callable[..., Any]
ALERTS = Path(__file__).parents[3] / "alerts"


def shipped(id_: str) -> Rule:
    raw = [r for f in DEFAULT_RULE_FILES for r in load(ALERTS / f)[0] if r["id"] == id_]
    return build(raw).by_id[id_]


# ── rate ──────────────────────────────────────────────────────────────────────────────────────────────


def test_rate_is_per_minute_and_needs_a_least_change(rule: Make, both: Make, short: Make) -> None:
    b = both(rule(kind="rate", tag="x.p", limit=6, min_change=2, off_delay_s=0))
    assert b.feed(("x.p", 0, 50), ("x.p", 10, 49), ("x.p", 20, 48)) == [], "6 per minute is the limit"
    assert short(b.feed(("x.p", 30, 45))) == [(30, 30, "on", "", -18.0)]
    assert short(b.feed(("x.p", 40, 44.5))) == [(30, 40, "off", "", -3.0)]


@pytest.mark.parametrize(("direction", "raised"), [("up", [1]), ("down", [2]), ("both", [1, 2])])
def test_rate_knows_its_direction(rule: Make, both: Make, direction: str, raised: list[int]) -> None:
    b = both(rule(kind="rate", tag="x.p", limit=60, direction=direction, off_delay_s=0))
    found = b.feed(("x.p", 0, 0), ("x.p", 1, 10), ("x.p", 2, 0), ("x.p", 3, 0))
    on = sorted({(f.t - START) // 1000 for f in found if f.active})
    assert on == raised if direction != "both" else on == [1]


def test_rate_counts_from_the_last_proof_and_never_less_than_a_second(rule: Make, both: Make) -> None:
    b = both(rule(kind="rate", tag="x.p", limit=1000, off_delay_s=0))
    b.feed(("x.p", 0, 0))
    b.prove(25)
    assert b.feed(("x.p", 25.01, 16)) == [], "16 in at least 1 s is 960 a minute"
    assert [f.value for f in b.feed(("x.p", 26.01, 33))] == [1020]


def test_rate_ends_when_the_value_is_proven_to_stand_still(rule: Make, both: Make, short: Make) -> None:
    b = both(rule(kind="rate", tag="x.p", limit=6, off_delay_s=0))
    b.feed(("x.p", 0, 0), ("x.p", 10, 9))
    assert short(b.prove(20)) == [(10, 20, "off", "", 0.0)]


def test_rate_says_nothing_over_a_gap(rule: Make, both: Make) -> None:
    b = both(rule(kind="rate", tag="x.p", limit=6))
    assert b.feed(("x.p", 0, 0), ("x.p", 31, 900)) == []


# ── stuck ─────────────────────────────────────────────────────────────────────────────────────────────


def test_stuck_until_it_moves_and_watched_again_from_then(rule: Make, both: Make, short: Make) -> None:
    b = both(rule(kind="stuck", tag="x.p", time_s=20, eps=0.5))
    b.feed(("x.p", 0, 7), ("x.p", 10, 7.4))
    assert short(b.feed(("x.p", 25, 6.6))) == [(20, 20, "on", "", 7.0)]
    assert short(b.feed(("x.p", 26, 7.6))) == [(20, 26, "off", "", 7.6)]
    assert b.tick(50) == [], "nobody has seen it stand still"
    assert short(b.feed(("x.p", 51, 7.6))) == [(46, 46, "on", "", 7.6)]


def test_stuck_only_while_its_gate_is_open(rule: Make, both: Make, short: Make) -> None:
    b = both(rule(kind="stuck", tag="x.p", time_s=20, gate="x.load", gate_above=0.5), "x.p", "x.load")
    b.feed(("x.p", 0, 7), ("x.load", 0, 0), ("x.load", 15, 0.5), ("x.p", 15, 7))
    assert b.tick(40) == [], "no load, nothing to count"
    b.feed(("x.load", 41, 3), ("x.p", 41, 7))
    assert b.prove(55) == []
    b.feed(("x.load", 56, 0), ("x.load", 57, 3))
    assert b.prove(76) == [], "the gate closed in between"
    assert short(b.prove(78)) == [(77, 77, "on", "", 7.0)]
    assert b.feed(("x.load", 79, 0)) == [], "a closed gate does not say that it moves again"
    assert short(b.feed(("x.p", 80, 8))) == [(77, 80, "off", "", 8.0)]


def test_the_meter_rule_finds_the_gate_of_either_meter() -> None:
    points = [PointInfo(n, f"m{n // 2}/{tag}", f"m{n // 2}", "e", "meter", tag)
              for n, tag in enumerate(("em.kwh", "em.p", "wm.m3", "wm.flow"))]  # fmt: skip
    rows = bind([shipped("meter.stuck")], points)
    assert [r.tags for r in rows] == [("em.kwh", "em.p"), ("wm.m3", "wm.flow")]
    assert bind([shipped("meter.stuck")], points[::2]) == [], "without its gate it cannot be judged"


# ── silence ───────────────────────────────────────────────────────────────────────────────────────────


def test_silence_counts_from_the_last_good_reading_or_proof(rule: Make, both: Make, short: Make) -> None:
    b = both(rule(kind="no_data", tag="*"))
    b.feed(("x.p", 5, 1), ("x.p", 6, 1, BAD))
    b.prove(8)
    assert b.tick(35) == []
    found = b.tick(36)
    assert short(found) == [(35, 35, "on", "", None)]
    assert found[0].facts == {"last_seen": START + 5000, "timeout_s": 30.0}
    assert b.tick(99) == [], "once"
    assert short(b.feed(("x.p", 100, 1))) == [(35, 100, "off", "", None)]


def test_silence_between_two_samples_is_told_with_its_true_times(rule: Make, both: Make, short: Make) -> None:
    b = both(rule(kind="no_data", tag="*", timeout_s=12))
    found = b.feed(("x.p", 0, 1), ("x.p", 12, 1), ("x.p", 40, 1))
    assert short(found) == [(24, 24, "on", "", None), (24, 40, "off", "", None)]


def test_silence_goes_by_the_cores_clock_and_delays_do_not(rule: Make, both: Make) -> None:
    rules = [rule(id="s", kind="no_data", tag="*"), rule(id="l", kind="limit", tag="*", h=1, on_delay_s=20)]
    b = both(rules)
    b.feed(("x.p", 0, 2))
    assert [f.rule for f in b.tick(10, now=START + 60_000)] == ["s"]
    assert [f.rule for f in b.tick(20)] == ["l"]


def test_a_point_that_was_never_seen_is_silent_from_the_start(rule: Make, both: Make, short: Make) -> None:
    b = both(rule(kind="no_data", tag="*"))
    assert short(b.tick(31)) == [(30, 30, "on", "", None)]
    b = both(rule(kind="no_data", tag="*"), start=None)
    assert b.tick(31) == [], "without a start it counts from the first tick"
    assert short(b.tick(62)) == [(61, 61, "on", "", None)]
    b = both(rule(kind="no_data", tag="*"), start=None)
    assert b.tick(31, series=[5]) == []


def test_a_device_is_silent_when_all_its_points_are(rule: Make) -> None:
    points = [PointInfo(n, f"a/x.{n}", "a", "e", "water", f"x.{n}", device="d1" if n < 2 else "d2",
                        period_s=60 if n == 1 else 1) for n in range(3)]  # fmt: skip
    e = Engine([rule(kind="no_data", tag="*", per="device")], points, START)
    e.process(Samples.of([0, 1], [START, START + 20_000], [1, 1]))
    assert [f.point for f in e.tick(START + 31_000)] == ["a/x.2"], "point 1 still speaks for d1"
    assert [(f.point, f.onset - START) for f in e.tick(START + 51_000)] == [("a/x.0", 50_000)]
    assert [(f.point, f.active) for f in e.process(Samples.of([1], [START + 52_000], [1]))] == [
        ("a/x.0", False)
    ]


def test_refused_readings_for_too_long(rule: Make, both: Make, short: Make) -> None:
    b = both(rule(kind="no_data", tag="*", watch="bad", timeout_s=20))
    assert b.feed(("x.p", 0, 1), ("x.p", 5, 9, BAD), ("x.p", 10, 9), ("x.p", 11, 9, BAD)) == []
    assert b.prove(25) == []
    found = b.feed(("x.p", 40, 9, BAD))
    assert short(found) == [(31, 31, "on", "", None)]
    assert found[0].facts == {"timeout_s": 20.0}
    assert short(b.feed(("x.p", 41, 9))) == [(31, 41, "off", "", None)]


# ── combinations ──────────────────────────────────────────────────────────────────────────────────────

CAR = ("lift.passenger", "lift.door_zone", "lift.moving", "lift.door_closed", "lift.service_mode")
TRAPPED = {
    "lift.passenger": 1,
    "lift.door_zone": 0,
    "lift.moving": 0,
    "lift.door_closed": 1,
    "lift.service_mode": 1,
}


class Car:
    """A lift's points, fed one by one."""

    def __init__(self, rule_: Rule, *extra: str) -> None:
        tags = (*CAR, *extra)
        self.series = {tag: n for n, tag in enumerate(tags)}
        points = [
            PointInfo(n, f"lift-1/{tag}", "lift-1", "e", "elevator", tag) for tag, n in self.series.items()
        ]
        self.engine = Engine([rule_], points, START)

    def at(self, s: float, **values: float) -> list[tuple[float, bool]]:
        rows = [(self.series[k.replace("_", ".", 1)], v) for k, v in values.items()]
        t = START + round(s * 1000)
        samples = Samples.of([r[0] for r in rows], [t] * len(rows), [r[1] for r in rows])
        return [((f.onset - START) / 1000, f.active) for f in self.engine.process(samples)]

    def stopped(self, s: float) -> None:
        assert self.at(s, **{k.replace(".", "_", 1): v for k, v in TRAPPED.items()}) == []

    def prove(self, s: float) -> list[tuple[float, bool]]:
        found = self.engine.prove(self.series.values(), START + round(s * 1000))
        return [((f.onset - START) / 1000, f.active) for f in found]


def test_entrapment_between_floors_after_a_minute() -> None:
    car = Car(shipped("lift.entrapment"), "lift.alarm_button")
    car.stopped(0)
    assert [f for s in range(10, 60, 10) for f in car.prove(s)] == []
    assert car.prove(60) == [(60, True)]
    assert car.at(61, lift_door_closed=0) == [(60, False)], "the alarm stays: it is latched where alarms live"
    assert shipped("lift.entrapment").latch


def test_entrapment_is_confirmed_by_the_alarm_button() -> None:
    car = Car(shipped("lift.entrapment"), "lift.alarm_button")
    car.stopped(0)
    assert car.at(20, lift_alarm_button=1) == []
    assert car.prove(25) == [(23, True)]


def test_a_button_let_go_too_soon_leaves_the_minute() -> None:
    car = Car(shipped("lift.entrapment"), "lift.alarm_button")
    car.stopped(0)
    assert car.at(20, lift_alarm_button=1) == car.at(22, lift_alarm_button=0) == []
    assert [f for s in (30, 40, 50) for f in car.prove(s)] == []
    assert car.prove(60) == [(60, True)]


def test_entrapment_needs_no_button() -> None:
    car = Car(shipped("lift.entrapment"))
    car.stopped(0)
    assert [f for s in range(10, 70, 10) for f in car.prove(s)] == [(60, True)]


def test_a_silent_button_does_not_hold_the_minute_up() -> None:
    car = Car(shipped("lift.entrapment"), "lift.alarm_button")
    car.stopped(0)
    others = [s for tag, s in car.series.items() if tag != "lift.alarm_button"]
    found = [f for s in range(10, 70, 10) for f in car.engine.prove(others, START + s * 1000)]
    assert [(f.onset - START) // 1000 for f in found] == [60]


def test_a_ride_in_between_begins_the_minute_anew() -> None:
    car = Car(shipped("lift.entrapment"))
    car.stopped(0)
    assert [f for s in (20, 40) for f in car.prove(s)] == []
    assert car.at(50, lift_moving=1) == car.at(55, lift_moving=0) == []
    assert [f for s in range(60, 120, 10) for f in car.prove(s)] == [(115, True)][:0]
    assert car.prove(116) == [(115, True)]


def test_unknown_never_raises_and_one_false_member_ends(rule: Make, both: Make, short: Make) -> None:
    parts = [{"tag": "x.a"}, {"tag": "x.b"}]
    b = both(rule(kind="combine", all=parts, on_delay_s=5), "x.a", "x.b")
    b.feed(("x.a", 0, 1))
    assert b.tick(20) == [], "x.b has never been seen"
    b.feed(("x.b", 25, 1))
    assert short(b.feed(("x.b", 34, 1))) == [(30, 30, "on", "", 1.0)], "x.a is held until 30 s"
    assert short(b.feed(("x.b", 50, 0))) == [(30, 50, "off", "", 1.0)], "what x.a does is of no matter"


def test_a_member_that_fell_silent_makes_it_unknown(rule: Make, both: Make) -> None:
    b = both(rule(kind="combine", all=[{"tag": "x.a"}, {"tag": "x.b"}], on_delay_s=5), "x.a", "x.b")
    b.feed(("x.a", 0, 1), ("x.b", 28, 1))
    assert b.tick(60) == [], "x.a was not proven beyond 30 s, the delay ends at 33 s"
    b.feed(("x.b", 58, 1), ("x.a", 59, 1))
    assert [(f.onset - START) // 1000 for f in b.tick(70)] == [64]


def test_members_repeat_with_a_star(rule: Make) -> None:
    tags = ("c1.on", "c1.amps", "c2.on", "c3.amps")
    points = [PointInfo(n, f"a/lt.{tag}", "a", "e", "lighting", f"lt.{tag}") for n, tag in enumerate(tags)]
    rows = bind([shipped("lighting.off_when_on")], points)
    assert rows == [], "no circuit has both under the names that the rule uses"
    raw = {
        "for": "lighting",
        "kind": "combine",
        "all": [{"tag": "lt.c*.on"}, {"tag": "lt.c*.amps", "op": "<", "value": 1}],
    }
    rows = bind([rule(**raw)], points)
    assert [(r.point, r.tags) for r in rows] == [("a/lt.c1.on", ("lt.c1.on", "lt.c1.amps"))]


def test_the_confirming_input_needs_no_proof() -> None:
    points = [
        PointInfo(n, f"l/{t}", "l", "e", "elevator", t) for n, t in enumerate((*CAR, "lift.alarm_button"))
    ]
    row = bind([shipped("lift.entrapment")], points)[0]
    assert row.gaps[-1] == FAR
    assert set(row.gaps[:-1]) == {30_000}


def test_a_range_of_codes(rule: Make, both: Make) -> None:
    b = both(rule(kind="combine", all=[{"tag": "x.code", "op": ">=", "value": 1, "upto": 39}]), "x.code")
    found = b.feed(*[("x.code", n, v) for n, v in enumerate((0, 41, 39, 40, 1, 0))])
    assert [((f.t - START) // 1000, f.active) for f in found] == [
        (2, True),
        (3, False),
        (4, True),
        (5, False),
    ]


# ── slope ─────────────────────────────────────────────────────────────────────────────────────────────


def leak(minutes: float, per_minute: float, noise: float = 0.0015) -> list[tuple[str, float, float]]:
    """Pressure each second; the noise repeats every 7 s and sums up to nothing."""
    wobble = (0, 1, -1, 0.5, -0.5, 0.8, -0.8)
    return [
        ("ws.out_p", s, 0.35 - per_minute * s / 60 + noise * wobble[s % 7]) for s in range(int(minutes * 60))
    ]


def test_a_slow_leak_is_told_before_the_limit_with_its_time(both: Make) -> None:
    b = both(shipped("water.out_p_slope"), "ws.out_p")
    found = b.feed(*leak(5, 0.006))
    assert [f.active for f in found] == [True]
    said = found[0]
    assert said.t - START < 4 * 60_000, "0.315 MPa is reached after 5 min 50 s"
    assert said.value > 0.315 == said.limit
    assert said.facts["per_hour"] == pytest.approx(-0.36, rel=0.02)
    assert said.facts["eta"] == pytest.approx(START + 350_000, abs=15_000)


def test_no_trend_in_noise_nor_in_one_that_arrives_too_late(both: Make) -> None:
    assert both(shipped("water.out_p_slope"), "ws.out_p").feed(*leak(30, 0)) == []
    assert both(shipped("water.out_p_slope"), "ws.out_p").feed(*leak(20, 0.0003)) == []


def test_a_trend_that_stops_is_taken_back(both: Make) -> None:
    b = both(shipped("water.out_p_slope"), "ws.out_p")
    b.feed(*leak(4, 0.006))
    rest = [("ws.out_p", 240 + s, 0.326 + 0.001 * (s % 2)) for s in range(900)]
    assert [f.active for f in b.feed(*rest)] == [False]


def test_a_gap_begins_the_trend_anew(both: Make) -> None:
    b = both(shipped("water.out_p_slope"), "ws.out_p")
    rows = leak(5, 0.006)
    assert b.feed(*[r for r in rows if r[1] < 100 or r[1] > 140]) == []


def test_beyond_its_limit_a_trend_is_not_news(both: Make) -> None:
    b = both(shipped("water.out_p_slope"), "ws.out_p")
    assert b.feed(*[(tag, t, v - 0.04) for tag, t, v in leak(8, 0.006)]) == []
