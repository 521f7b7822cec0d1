"""Cycles of contacts and levels, and counters: what they measure and what they leave alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from alerts.rules import Counter, Cycles
from alerts.sentences import sentence
from gateway.errors import BadInput
from gateway.model import Finding
from tests.unit.alerts_engine.conftest import START, Both, make_rule

Rows = list[tuple[str, float, float]]


def cycles(measure: str, **fields: Any) -> Cycles:
    made = make_rule(kind="cycles", measure=measure, **{"tag": "x.run", **fields})
    assert isinstance(made, Cycles)
    return made


def pulses(
    begin: float, on: float, off: float, n: int, tag: str = "x.run"
) -> Iterator[tuple[str, float, float]]:
    """n cycles read every 5 s."""
    t = begin
    for _ in range(n):
        for k in range(round((on + off) / 5)):
            yield tag, t + 5 * k, float(5 * k < on)
        t += on + off
    yield tag, t, 0.0


def raised(found: list[Finding]) -> list[tuple[str, float]]:
    return [(f.level, f.value) for f in found if f.active]


def test_too_many_starts_in_an_hour_and_their_end() -> None:
    both = Both([cycles("starts", h=6)], ["x.run"])
    assert both.feed(*pulses(0, 30, 570, 6)) == [], "six in an hour are allowed"
    found = both.feed(*pulses(3610, 30, 270, 8), *pulses(6100, 0, 4000, 1))
    assert [f.active for f in found] == [True, False]
    assert found[0].value == 7
    text = sentence(found[0], cycles("starts", h=6))
    assert "7 starts within 1 h, limit 6" in text["en"]
    assert "1 小时内启动 7 次，限值 6" in text["zh"]


def test_a_gap_makes_no_start() -> None:
    both = Both([cycles("starts", h=1), cycles("on_s", id="r2", h=50, step_s=60, points=1)], ["x.run"])
    rows = [("x.run", 100.0 * k, float(k % 2)) for k in range(20)]  # each reading comes after a gap
    assert both.feed(*rows) == []


def test_hunting_counts_turns_beyond_the_swing_alone() -> None:
    both = Both([cycles("turns", tag="x.p", swing=0.02, window_s=120, h=12)], ["x.p"])
    quiet = [("x.p", float(s), 0.35 + 0.009 * (s % 2)) for s in range(300)]
    assert both.feed(*quiet) == [], "within the swing"
    wild = [("x.p", 300.0 + s, 0.35 + (0.04 if s // 4 % 2 else -0.04)) for s in range(200)]
    calm = [("x.p", 500.0 + s, 0.35) for s in range(200)]
    found = both.feed(*wild, *calm)
    assert [f.active for f in found] == [True, False]
    assert found[0].value == 13


def test_a_door_that_opens_again_without_a_trip() -> None:
    rule = cycles("repeats", tag="x.door", active=0, other="x.moving", window_s=300, h=4)
    both = Both([rule], ["x.door", "x.moving"])

    def story(begin: float, *, trips: bool) -> Rows:
        rows: Rows = []
        for k in range(100):
            t = begin + 2.0 * k
            rows += [("x.moving", t, float(trips and k % 10 == 8)), ("x.door", t, float(k % 10 >= 5))]
        return rows

    assert both.feed(*story(0, trips=True)) == [], "ten openings with ten trips"
    assert raised(both.feed(*story(1000, trips=False))) == [("H", 5.0)]


def test_a_brake_that_closes_late() -> None:
    rule = cycles("lag_s", tag="x.brake", other="x.moving", h=0.8, step_s=600, points=2, min_cycles=5)
    both = Both([rule], ["x.brake", "x.moving"])

    def trips(begin: float, lag: int) -> Rows:
        rows: Rows = []
        for s in range(1800):
            moving = s % 60 < 20
            rows.append(("x.moving", begin + s, float(moving)))
            rows.append(("x.brake", begin + s, float(moving or 20 <= s % 60 < 20 + lag)))
        return rows

    assert both.feed(*trips(0, 0)) == []
    found = both.feed(*trips(1800, 2))
    assert [f.level for f in found] == ["H"]
    assert 0.8 < found[0].value <= 2, "the median of two steps, of which the first is half good"
    assert "limit 0.8 s" in sentence(found[0], rule)["en"]
    assert raised(both.feed(*trips(3600, 2))) == []


class Pit:
    """A sump of one pump: `fill` and `pump` in m a minute, read every 5 s."""

    def __init__(self) -> None:
        self.t, self.level, self.on = 0.0, 0.5, False

    def run(self, seconds: float, fill: float, pump: float) -> Rows:
        rows: Rows = []
        end = self.t + seconds
        while self.t < end:
            self.level += (fill - pump * self.on) * 5 / 60
            self.on = self.level > 1.0 or (self.on and self.level > 0.4)
            rows += [("x.level", self.t, self.level), ("x.run", self.t, float(self.on))]
            self.t += 5
        return rows


def pit_rules() -> list[Cycles]:
    more: dict[str, Any] = {"other": "x.level", "band": 0.02, "step_s": 3600, "points": 3, "learn": 6}
    return [cycles("rate", id="rate", l_ratio=0.7, **more), cycles("inflow", id="inflow", h_ratio=2, **more)]


def test_what_a_pump_moves_is_told_whatever_flows_in() -> None:
    both, pit = Both(pit_rules(), ["x.level", "x.run"]), Pit()
    assert both.feed(*pit.run(15 * 3600, 0.05, 0.5)) == []
    rain = both.feed(*pit.run(8 * 3600, 0.2, 0.5))
    assert [(f.rule, f.level) for f in rain if f.active] == [("inflow", "H")], "more inflow, the same pump"
    both.feed(*pit.run(8 * 3600, 0.05, 0.5))
    worn = both.feed(*pit.run(8 * 3600, 0.05, 0.28))
    assert [(f.rule, f.level) for f in worn if f.active] == [("rate", "L")]
    assert worn[0].facts["usual"] == pytest.approx(0.5, rel=0.1)
    assert "usually 0.5" in sentence(worn[0], pit_rules()[0])["en"]


def test_the_own_past_is_not_eaten_by_the_fault() -> None:
    rule = cycles("period_s", l_ratio=0.5, step_s=1800, points=3, learn=8, memory=40)
    both = Both([rule], ["x.run"])
    assert both.feed(*pulses(0, 20, 580, 72)) == []
    found = both.feed(*pulses(43_300, 20, 180, 400))
    assert [(f.level, f.active) for f in found] == [("L", True)], "it stays as long as the leak does"
    assert found[0].value <= 300
    assert [f.active for f in both.feed(*pulses(43_300 + 400 * 200 + 100, 20, 580, 40))] == [False]


def test_share_of_time_on() -> None:
    both = Both([cycles("duty", h=0.8, step_s=600, points=1)], ["x.run"])
    assert both.feed(*pulses(0, 30, 30, 30)) == []
    assert raised(both.feed(*pulses(1805, 55, 5, 30)))[0][0] == "H"


def counter(**fields: Any) -> Counter:
    made = make_rule(kind="counter", tag="x.kwh", max_per_h=50, hold_s=600, **fields)
    assert isinstance(made, Counter)
    return made


def test_a_counter_may_roll_over_but_not_fall_back_nor_jump() -> None:
    both = Both([counter(capacity=1000.0)], ["x.kwh"])
    assert both.feed(("x.kwh", 0, 990), ("x.kwh", 900, 998), ("x.kwh", 1800, 4)) == [], "rolled over"
    fell = both.feed(("x.kwh", 2700, 900), ("x.kwh", 2710, 901))
    assert [(f.active, f.facts["moved"]) for f in fell] == [(True, 896.0)]
    assert "jumped by 896" in sentence(fell[0], counter())["en"]
    assert [f.active for f in both.feed(("x.kwh", 3400, 902), ("x.kwh", 3410, 902))] == [False]
    back = both.feed(("x.kwh", 7000, 3))
    assert [f.facts["moved"] for f in back] == [-899.0]
    assert "回退了" in sentence(back[0], counter())["zh"]


def test_a_meter_swapped_during_an_outage_is_told() -> None:
    both = Both([counter()], ["x.kwh"])
    assert both.feed(("x.kwh", 0, 5000), ("x.kwh", 86_400, 5900)) == [], "a day may count so much"
    assert [f.active for f in both.feed(("x.kwh", 172_800, 12))] == [True]


WRONG: dict[str, dict[str, Any]] = {
    "measure": {"measure": "speed", "h": 1},
    "at least one": {"measure": "starts"},
    "not in 1": {"measure": "starts", "h": 100},
    "against h alone": {"measure": "starts", "h": 5, "l": 1},
    "second point: the level": {"measure": "rate", "l_ratio": 0.5},
    "one point only": {"measure": "on_s", "h": 5, "other": "x.b"},
    "h is given already": {"measure": "on_s", "h": 5, "h_ratio": 2},
    "between 0 and 1": {"measure": "on_s", "l_ratio": 1.5},
    "points: 99": {"measure": "on_s", "h": 5, "points": 99},
    "swing": {"measure": "on_s", "h": 5, "swing": -1},
    "memory": {"measure": "on_s", "h": 5, "memory": 3},
}


@pytest.mark.parametrize("said", WRONG)
def test_wrong_parameters_are_named(said: str) -> None:
    with pytest.raises(BadInput, match=said):
        make_rule(kind="cycles", tag="x.a", **WRONG[said])


def test_times_are_those_of_the_event() -> None:
    both = Both([cycles("starts", h=1, window_s=60)], ["x.run"])
    found = both.feed(("x.run", 0, 0), ("x.run", 5, 1), ("x.run", 6, 0), ("x.run", 7, 1))
    assert [f.t for f in found] == [START + 7000]
