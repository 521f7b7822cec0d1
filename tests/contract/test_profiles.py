"""Every device model that comes with the program, without anybody adding it to a list."""

from __future__ import annotations

import math
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drivers.profiles import textline
from drivers.profiles.bind import bind
from drivers.profiles.cases import run_cases
from drivers.profiles.encode import encode
from drivers.profiles.loader import load_profile, profile_names
from drivers.profiles.model import PointSpec, Profile
from drivers.profiles.raw import TYPES, field_bits
from gateway.errors import Problems
from gateway.model import GOOD, TAG
from gateway.ports import Answer, Area, Block, DeviceModel

NAMES = profile_names()
GOLDEN = Path(__file__).parents[1] / "golden" / "profiles"
EXPECTED_NAMES = {
    "eastron_sdm630", "chint_dtsu666", "peacefair_pzem004t", "vfd_skf8000", "dse_gencomm", "gas_oi7500",
    "level_qdy30a", "level_wl_ascii", "steward_elevator", "steward_fire", "steward_pump_station",
    "steward_sump", "steward_manhole", "steward_power", "steward_lighting", "steward_septic",
    "steward_water_meter", "steward_call", "gb26875_panel", "gst9000_printer",
}  # fmt: skip

LIFE = (
    "lift.service_mode", "lift.moving", "lift.door_zone", "lift.door_closed", "lift.passenger",
    "lift.alarm_button", "lift.mains", "fire.panel.alarm", "fire.alarm_count", "mh.ch4", "mh.h2s", "mh.o2",
    "mh.co", "sep.ch4", "sep.h2s", "call.active", "gas.ch*.value",
)  # fmt: skip


def test_the_promised_models_are_there() -> None:
    assert set(NAMES) >= EXPECTED_NAMES


@pytest.mark.parametrize("name", NAMES)
def test_cases_decode_as_computed_by_hand(name: str) -> None:
    rows = run_cases(load_profile(name))
    assert rows
    assert [row for row in rows if not row.ok] == []


@pytest.mark.parametrize("name", NAMES)
def test_points_are_named_in_both_languages_and_life_safety_is_marked(name: str) -> None:
    for p in load_profile(name).expanded:
        assert TAG.fullmatch(p.tag)
        assert p.life == any(fnmatch(p.tag, pattern) for pattern in LIFE), p.tag
        if p.value_kind == "digital":
            assert set(p.codes) in ({0, 1}, set()), p.tag
        assert p.silence_s == 60
        assert p.period_s is not None
        assert 1 <= p.period_s <= 60


@pytest.mark.parametrize("name", [n for n in NAMES if n.startswith("steward_")])
def test_our_own_maps_have_a_case_for_every_point_and_for_a_bad_sensor(name: str) -> None:
    profile = load_profile(name)
    covered = {tag for case in profile.cases for tag in case.expect}
    # Of the channels of a repeated point one is enough.
    missing = {p.tag for p in profile.expanded if not any(fnmatch(c, _any_channel(p.tag)) for c in covered)}
    assert missing == set()
    assert any(not e.quality.startswith("GOOD") for case in profile.cases for e in case.expect.values())


def _any_channel(tag: str) -> str:
    return "".join("?" if c.isdigit() else c for c in tag)


def _step(p: PointSpec) -> float:
    """The smallest change; where other registers choose a factor, encoding takes their first choice."""
    if p.area == "line":
        return float(10.0**-p.decimals)
    return abs(p.scale) * math.prod(next(iter(table.values())) for table in p.scale_by.values())


def _values(p: PointSpec) -> st.SearchStrategy[float]:
    if p.value_kind == "digital":
        return st.sampled_from([0.0, 1.0])
    if p.codes and p.type != "flags":
        return st.sampled_from([float(code) for code in p.codes])
    bits = field_bits(p.mask)[1] if p.mask else 16 * max(p.words, 1)
    if TYPES[p.type].form == "float" and p.area != "line":
        return st.floats(p.low or 0.0, p.high or 1e9, width=32)
    top = min(2**bits, 2**53) - 1 if TYPES[p.type].form == "unsigned" else 2 ** (bits - 1) - 1
    step = _step(p)
    low = math.ceil(((p.low if p.low is not None else 0.0) - p.offset) / step)
    high = top if p.high is None else min(math.floor((p.high - p.offset) / step), top)
    taken = {raw for raw in (p.sentinels or {}) if isinstance(raw, int)}
    raw = st.integers(low, high).filter(lambda n: n & ((1 << bits) - 1) not in taken)
    words = {text for text in (p.sentinels or {}) if isinstance(text, str)}  # codes of a talking sensor
    values = raw.map(lambda n: n * step + p.offset)
    return values.filter(lambda v: not any(_same(v, text) for text in words))


def _same(v: float, text: str) -> bool:
    try:
        return math.isclose(v, float(text), rel_tol=1e-9)
    except ValueError:
        return False


def _read_back(profile: Profile, values: dict[str, float]) -> dict[str, tuple[float, int]]:
    model = bind(profile, "a")
    if profile.protocol == "line":
        answers = []
        for sentence in sorted({p.sentence for p in profile.expanded}):
            mine = [p for p in profile.expanded if p.sentence == sentence]
            fields = textline.parse(textline.encode(mine, values))
            answers.append(Answer(Block(1, "line", sentence=fields[0]), 0, fields=fields))
    else:
        answers = []
        for area, words in encode(profile, values).items():
            for p in profile.expanded:
                if p.area == area:
                    answers.append(_answer(p.area, p.span.address, p.span.count, words))
    found: dict[str, tuple[float, int]] = {}
    for answer in answers * 2:
        out = model.decode(answer)
        for n, v, q in zip(out.index, out.v, out.q, strict=True):
            found[model.points[int(n)].tag] = (float(v), int(q))
    return found


def _answer(area: Area, at: int, count: int, words: dict[int, int]) -> Answer:
    return Answer(Block(1, area, at, count), 0, np.array([words[at + k] for k in range(count)], np.uint16))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_point_survives_the_way_through_the_registers(name: str, data: st.DataObject) -> None:
    profile = load_profile(name)
    points = [p for p in profile.expanded if not p.guards]
    whole = {(p.area, p.address) for p in points if not p.partial}
    # Two readings of one register (a code, and whether it means running) cannot be chosen freely.
    chosen = {(p.area, at) for p in points for at in p.scale_by}
    free = [
        p
        for p in points
        if (p.area, p.address) not in chosen
        and not (p.partial and (p.area, p.address) in whole)
        and p.value_kind != "text"
    ]
    values = {p.tag: data.draw(_values(p), label=p.tag) for p in free}
    found = _read_back(profile, values)
    for p in free:
        v, q = found[p.tag]
        assert q == GOOD, p.tag
        assert math.isclose(v, values[p.tag], rel_tol=1e-6, abs_tol=_step(p) * 0.51), p.tag


@pytest.mark.parametrize("name", NAMES)
def test_a_bound_model_is_a_device_model(name: str) -> None:
    model: DeviceModel = bind(load_profile(name), "pump-1", period_s=5)
    assert len(model.points) == len(model.spans)
    assert {p.period_s for p in model.points} == {5}
    assert len({p.id for p in model.points}) == len(model.points)
    assert all(s.count <= model.max_registers for s in model.spans)


@pytest.mark.parametrize("folder", sorted(p.name for p in GOLDEN.iterdir()))
def test_wrong_profiles_are_refused_with_file_line_field_and_advice(folder: str) -> None:
    expected = (GOLDEN / folder / "expected.txt").read_text(encoding="utf-8").strip()
    with pytest.raises(Problems) as caught:
        load_profile("profile.yaml", GOLDEN / folder)
    assert str(caught.value).replace(f"{GOLDEN / folder}/", "") == expected
