"""Scenarios: they load, say what they mean, and are the same every time."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from gateway.errors import BadInput, Problems
from gateway.model import Ms
from simulators.layout import demo_layout
from simulators.scenario import Loaded, load_scenario, scenario_names
from simulators.world import Simulation

LAYOUT = demo_layout(2)
START: Ms = 1_772_447_400_000


def run(story: Loaded, seed: int = 1, *, stride: int = 1000, hold: bool = False) -> tuple[bytes, bytes]:
    """The truth file and the values every 10 s, as bytes."""
    sim = Simulation(LAYOUT, seed, START, story, hold=hold)
    values = []
    for t in range(START, START + round(min(story.scenario.for_s, 600) * 1000) + 1, stride):
        sim.step(t)
        if (t - START) % 10_000 == 0:
            values.append({a.id: dict(sim.values(a.id)) for a in LAYOUT.assets})
    truth = b"".join(orjson.dumps(x.as_dict()) + b"\n" for x in sim.truth)
    return truth, orjson.dumps(values)


def test_the_stories_that_every_reader_expects_are_there() -> None:
    assert {"calm", "demo", "power_cut", "storm"} <= set(scenario_names())


@pytest.mark.parametrize("name", scenario_names())
def test_a_story_expects_the_alarms_that_its_faults_are_labelled_with(name: str) -> None:
    story = load_scenario(name)
    sim = Simulation(LAYOUT, 1, START, story)
    sim.step(START + round(story.scenario.for_s * 1000))
    labelled = {x.expect.rule for x in sim.truth if x.expect}
    written = {step.expect for step in story.scenario.timeline if step.expect}
    assert written <= labelled
    assert all(step.at_s <= story.scenario.for_s for step in story.scenario.timeline)
    assert all(story.scenario.name.as_text().values())
    assert all(story.scenario.story.as_text().values())


@pytest.mark.parametrize("name", ["demo", "power_cut"])
def test_the_same_seed_gives_the_same_bytes_whoever_asks_how_often(name: str) -> None:
    story = load_scenario(name)
    assert run(story) == run(story, stride=500)
    assert run(story)[1] != run(story, seed=2)[1]


def test_the_demonstration_begins_with_something_to_see_and_puts_everything_right() -> None:
    story = load_scenario("demo")
    sim = Simulation(LAYOUT, 1, START, story)
    sim.step(START + 80_000)
    assert min(x.detectable_from for x in sim.truth) <= START + 5_000
    rules = {x.expect.rule for x in sim.truth if x.expect}
    assert rules >= {
        "drain.both_pumps_fault", "fire.alarm", "manhole.tilt", "power.outage", "generator.fail_to_start",
        "drain.level_high", "call.active",
    }  # fmt: skip
    assert sim.faults.active == {}, "everything is repaired at the end"


def test_a_story_that_is_held_begins_when_it_is_told_to() -> None:
    story = load_scenario("demo")
    sim = Simulation(LAYOUT, 1, START, story, hold=True)
    sim.step(START + 100_000)
    assert sim.truth == []
    sim.begin()
    sim.step(START + 105_000)
    assert sim.truth[0].t == START + 101_000


def test_a_story_may_repeat(tmp_path: Path) -> None:
    path = tmp_path / "again.yaml"
    path.write_text(
        "name: {en: again}\nstory: {en: again}\nstart: 2026-03-02T10:00:00+08:00\nfor_s: 60\nrepeat_s: 60\n"
        "timeline:\n  - {at_s: 5, fault: call_button@call-1}\n  - {at_s: 10, clear: call_button@call-1}\n"
    )
    sim = Simulation(LAYOUT, 1, START, load_scenario(str(path)))
    sim.step(START + 200_000)
    assert [(x.t - START) / 1000 for x in sim.truth] == [5, 65, 125, 185]


def test_a_story_for_all_estates_happens_in_all_of_them() -> None:
    story = load_scenario("storm")
    sim = Simulation(LAYOUT, 1, START, story)
    sim.step(START + 700_000)
    assert {x.asset for x in sim.truth} >= {"sump-2", "e2-sump-2"}


@pytest.mark.parametrize(
    ("timeline", "line", "message"),
    [
        ("  - {at_s: 5, fault: explode@ws-1}\n", 6, "explode"),
        ("  - {at_s: 1, fault: burst@ws-1}\n  - {at_s: 5, fault: burst@lift-1}\n", 7, "lift-1"),
        ("  - {at_s: 5}\n", 6, "fault"),
        ("  - {at_s: 5, fault: burst@ws-1, clear: all}\n", 6, "either"),
        ("  - {at_s: -5, fault: burst@ws-1}\n", 6, "at_s"),
    ],
)
def test_a_wrong_story_is_refused_with_its_line(
    tmp_path: Path, timeline: str, line: int, message: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "name: {en: bad}\nstory: {en: bad}\nstart: 2026-03-02T10:00:00+08:00\nfor_s: 60\ntimeline:\n"
        + timeline
    )
    with pytest.raises(Problems, match=message) as caught:
        Simulation(LAYOUT, 1, START, load_scenario(str(path)))
    assert caught.value.problems[0].line == line
    assert caught.value.problems[0].file == str(path)


def test_a_story_nobody_knows_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadInput, match="demo"):
        load_scenario("nothing")
