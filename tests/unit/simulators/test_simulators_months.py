"""Stories in columns: the same bytes for the same seed, true labels, and what the plant tells as well."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from alerts.engine import PointInfo
from drivers.profiles.bind import bind
from drivers.profiles.loader import load_profile
from gateway.errors import Problems
from gateway.model import Level, Samples
from simulators.faults import Truth
from simulators.kinds import KINDS, LOOKALIKES
from simulators.months.cast import DAY, PUBLISHED, Cast, Planned, prior_of
from simulators.months.drive import MODELS, drive, plain
from simulators.months.score import constant, judge, labels_of, random_alarms, share_false
from simulators.months.telling import (
    SPRING,
    Telling,
    acts,
    budget_s,
    life_cases,
    life_kinds,
    season,
    severities,
)  # fmt: skip
from simulators.months.wires import BAD, Wires
from simulators.truth import read_truth, schema
from tests.unit.simulators.rules_kit import LAYOUT, RULES

HOUR = 3_600_000
STEP = {"lift": 60.0, "generator": 60.0}


def cast(model: str, n: int = 3, *plot: Planned) -> Cast:
    return Cast(tuple(f"{model}-{k}" for k in range(n)), tuple(range(n)), SPRING, plot)


def digest(model: str, n: int, steps: int) -> str:
    columns = MODELS[model](cast(model, n, Planned(0, "device_silent", SPRING, SPRING + HOUR)), 60.0)
    total = hashlib.sha256()
    for _ in range(steps):
        for part in (told := Wires().carry(columns.step(), columns)).series, told.t, told.v, told.q:
            total.update(part.tobytes())
    return total.hexdigest()


@pytest.mark.parametrize("model", MODELS)
def test_every_tag_is_one_that_a_profile_reads(model: str) -> None:
    assets = {a.id: a.model for a in LAYOUT.assets}
    known = {
        p.tag
        for _, device in LAYOUT.devices() if assets[device.asset] == model
        for p in bind(load_profile(device.profile), device.asset, device.rename).points
    }  # fmt: skip
    assert {tag.name for tag in MODELS[model].TAGS} <= known


def test_the_same_seed_gives_the_same_bytes_in_another_process() -> None:
    code = (
        "from tests.unit.simulators.test_simulators_months import digest;"
        "print(','.join(digest(m, 3, 90) for m in ('water', 'lift', 'sump', 'fire')))"
    )
    root = Path(__file__).parents[3]
    env = {**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    here = [digest(m, 3, 90) for m in ("water", "lift", "sump", "fire")]
    assert done.stdout.strip().split(",") == here
    assert len(set(here)) == 4


@pytest.mark.parametrize("model", MODELS)
def test_an_asset_says_the_same_in_whatever_company(model: str) -> None:
    alone, among = (MODELS[model](replace(cast(model, n), names=tuple(f"x-{k}" for k in range(n))), 60.0)
                    for n in (1, 4))  # fmt: skip
    for _ in range(120):
        one, many = alone.step(), among.step()
        mine = many[many.series % 4 == 0]
        order = np.argsort(mine.series // 4 * 10**9 + (mine.t - SPRING) // 1000, kind="stable")
        back = np.argsort(one.series * 10**9 + (one.t - SPRING) // 1000, kind="stable")
        assert (one.v[back] == mine.v[order]).all()
        assert (one.t[back] == mine.t[order]).all()


def test_noise_seasons_and_habits_of_published_seeds_differ() -> None:
    assert prior_of(999) != prior_of(1000) == PUBLISHED
    assert season("call", [999], []).cast.start != season("call", [1000], []).cast.start


def test_by_exception_a_value_is_never_further_away_than_its_dead_band() -> None:
    columns = MODELS["sump"](cast("sump", 5), 30.0)
    row = columns.row["sump.level"]
    for _ in range(2000):
        columns.step()
        assert np.nanmax(np.abs(columns.sent[row] - columns.v[row])) < 0.01 + 8 * columns.sigma[row].max()
    shown = columns.v[row]
    assert shown.min() > 0.35
    assert shown.max() < 1.3


def test_wires_miss_repeat_and_refuse_but_lose_nothing_for_good() -> None:
    columns = MODELS["power"](cast("power", 40), 60.0)
    sent = Samples.concat([columns.step() for _ in range(120)])
    heard = Wires(missed=0.02, twice=0.03, refused=0.01).carry(sent, columns)
    good = heard[heard.q < Level.BAD << 5]
    assert (heard.q == BAD).sum() > 100
    assert len(good) > len(sent)
    first = {(int(s), float(v)) for s, v in zip(sent.series, sent.v, strict=True)}
    assert {(int(s), float(v)) for s, v in zip(good.series, good.v, strict=True)} == first


def told(telling: Telling, named: bool = True):  # type: ignore[no-untyped-def]  # what judge gives
    columns = telling.columns()
    run = drive(columns, [list(RULES)], telling.until, Wires())[0]
    heard = [(f.rule, f.asset, f.t) for f in run.findings if f.active]
    return judge(heard, telling, labels_of(telling, columns.KIND), named=named)


BOTH = (
    ("lift", "trap_silent", 0.8, 2), ("lift", "lift_ucm", 1.0, 2), ("fire", "fire_alarm", 0.8, 2),
    ("fire", "fire_pump_manual", 1.0, 2), ("water", "pump_trip", 0.5, 2), ("water", "burst", 1.0, 2),
    ("sump", "sump_jam", 1.0, 2), ("manhole", "manhole_gas", 1.0, 2), ("septic", "septic_gas", 1.0, 2),
    ("power", "phase_loss", 1.0, 2), ("call", "call_unanswered", 1.0, 2),
    ("energy_meter", "meter_stuck", 1.0, 2),
)  # fmt: skip
"""Kinds whose alarm test_simulators_rules.py sees on the plant."""


@pytest.mark.parametrize(("model", "kind", "severity", "n"), BOTH)
def test_the_same_story_raises_the_same_alarm_in_columns_as_on_the_plant(
    model: str, kind: str, severity: float, n: int
) -> None:
    onset = SPRING + 10 * HOUR
    dt = STEP.get(model, 10.0)
    plot = tuple(Planned(k, kind, onset, onset + 4 * HOUR, severity) for k in range(n))
    start = replace(cast(model, n, *plot), start=onset - HOUR)
    score = told(Telling(model, start, onset + round((budget_s(KINDS[kind]) + 120) * 1000), dt, 20.0))
    (tally,) = score.by.values()
    assert (tally.found, tally.labels) == (n, n), tally.missed
    assert dict(score.false) == {}


@pytest.mark.slow
@pytest.mark.parametrize("model", ["septic", "call", "water_meter"])
def test_wear_is_found_long_before_it_fails_and_nothing_else_is(model: str) -> None:
    score = told(season(model, range(3), range(2)))
    share_false(score)
    for (_, kind), tally in score.by.items():
        assert tally.found == tally.labels == 2, (kind, tally.missed)
        assert min(tally.leads) > 5 * 86_400
    assert dict(score.false) == {}


@pytest.mark.parametrize(("model", "kind"), life_kinds())
def test_a_hundred_life_safety_cases_and_none_is_missed(model: str, kind: str) -> None:
    score = told(life_cases(model, kind, range(100)))
    assert sum(t.labels for t in score.by.values()) == 100
    assert [x for t in score.by.values() for x in t.missed] == []


def test_chance_and_all_ones_are_scored_as_what_they_are() -> None:
    telling = next(acts("call", range(3)))
    labels = labels_of(telling, "call")
    ones = judge(constant(telling), telling, labels, named=False)
    assert all(t.found == t.labels for t in ones.by.values())
    assert sum(ones.false.values()) > 10 * len(labels)
    none = judge([], telling, labels, named=False)
    assert all(t.found == 0 for t in none.by.values())
    assert random_alarms(50, telling) == random_alarms(50, telling)
    assert {len(random_alarms(50, telling)), len(set(random_alarms(50, telling)))} == {50}


def test_an_alarm_before_its_label_or_of_another_rule_is_false() -> None:
    telling = Telling("call", cast("call", 1, Planned(0, "call_line", SPRING + HOUR, SPRING + 2 * HOUR)),
                      SPRING + 9 * HOUR, 60.0, None)  # fmt: skip
    labels = labels_of(telling, "call")
    by = labels[0].by
    for rule, t, found, false in (
        ("call.line", SPRING + HOUR + 60_000, 1, 0), ("call.line", SPRING + HOUR - 1, 0, 1),
        ("call.line", by + 1, 0, 0), ("call.batt", SPRING + HOUR + 60_000, 0, 1),
        ("call.line", SPRING + 5 * HOUR, 0, 1),
    ):  # fmt: skip
        score = judge([(rule, "call-0", t)], telling, labels, named=True)
        assert (score.by["call", "call_line"].found, sum(score.false.values())) == (found, false)


def test_bare_thresholds_wait_for_nothing() -> None:
    bare = plain(RULES)
    assert sorted({r.kind for r in bare}) == ["digital", "limit"]
    assert [r for r in bare if getattr(r, "on_delay_s", None) != 0.0] == []


# ── the table and the truth ───────────────────────────────────────────────────────────────────────────


def test_every_default_rule_is_expected_by_a_fault_or_a_companion_of_one() -> None:
    expected = {
        spec.rule_for(model, x)
        for spec in KINDS.values() for model in spec.models or ("lift",) for x in (0.1, 0.9)
    }  # fmt: skip
    silence = {r.id for r in RULES if r.kind == "no_data" or r.asset_kind == "gateway"}
    assert {r.id for r in RULES} - expected - silence <= COMPANIONS
    assert {r.id for r in RULES} >= COMPANIONS
    assert expected - {r.id for r in RULES} <= {"", "{class}.no_data"}


COMPANIONS = {
    "lift.entrapment_suspected", "water.pump_current_fit", "manhole.level_rise", "manhole.level_dry",
    "meter.sum",
}  # fmt: skip
"""Rules that speak beside the expected one: of entrapments, of worn pumps, of a blocked sewer; and those of
points that a site has to define (test_simulators_rain, test_alerts_sums)."""


def test_some_faults_are_marked_as_impossible_to_see() -> None:
    assert [k for k, spec in KINDS.items() if spec.hidden]
    assert len([k for k, spec in KINDS.items() if spec.visible]) >= 10
    for spec in KINDS.values():
        assert spec.hidden or spec.needs or spec.models == () or any(spec.rule_for(m) for m in spec.models)
        assert all(low < high for low, high in severities(spec))
    for harmless in LOOKALIKES.values():
        assert set(harmless.models) <= set(MODELS)


def lines(model: str) -> list[Truth]:
    out: list[Truth] = []
    for telling in (*acts(model, range(2)), season(model, [0], [0, 1])):
        out += [label.truth for label in labels_of(telling, MODELS[model].KIND)]
    return out


@pytest.mark.parametrize("model", MODELS)
def test_every_label_validates_and_what_cannot_be_seen_expects_nothing(model: str, tmp_path: Path) -> None:
    file = tmp_path / "truth.jsonl"
    truth = lines(model)
    file.write_bytes(b"\n".join(orjson.dumps(x.as_dict()) for x in truth))
    read = read_truth(file)
    assert [x.model_dump(exclude_none=True)["t"] for x in read] == [x.t for x in truth]
    for line in read:
        assert (line.expect is not None) == KINDS[line.fault].can_be_seen(line.severity)
    assert any(x.fails_at for x in read) or model == "lighting"


def test_a_wrong_truth_is_refused_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "truth.jsonl"
    good = lines("call")[0].as_dict()
    bad = [
        {**good, "severity": 2},
        {**good, "fault": "x"},
        {**good, "detectable_from": 0},
        {**good, "more": 1},
    ]
    file.write_bytes(b"\n".join([orjson.dumps(good), *(orjson.dumps(b) for b in bad), b"{"]))
    with pytest.raises(Problems) as e:
        read_truth(file)
    assert [p.line for p in e.value.problems] == [2, 3, 4, 5, 6]
    assert "severity" in e.value.problems[0].field


def test_the_schema_names_every_key_that_is_written() -> None:
    keys = set(Truth(0, "a", "burst", 1.0, 0, None, 1, 1).as_dict())
    assert set(schema()["properties"]) == keys


def test_points_are_numbered_as_the_samples_are() -> None:
    columns = MODELS["septic"](cast("septic", 4), 60.0)
    points = columns.points()
    assert [p.series for p in points] == list(range(len(points)))
    told = columns.step()
    by_series: dict[int, PointInfo] = {p.series: p for p in points}
    levels = {by_series[int(s)].asset for s in told.series if by_series[int(s)].tag == "sep.level"}
    assert levels == {f"septic-{k}" for k in range(4)}
    assert columns.now - SPRING == 60_000
    assert (told.t <= columns.now).all()
    assert DAY == 86_400_000
