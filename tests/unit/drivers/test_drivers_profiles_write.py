"""A value as it is written: the words that read back as this very value, or a refusal."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.profiles.loader import load_profile
from drivers.profiles.write import Encoder
from gateway.errors import Problems

PROFILE = """
name: drive
title: {{zh: 变频器, en: drive}}
kind: water
source: {{document: "made for this test"}}
protocol: modbus
word_order: little
points:
- {{tag: set_p, name: {{zh: 设定压力, en: set pressure}}, area: holding, address: 4, type: u16, scale: 1/100,
   unit: MPa, writable: true, sentinels: {{0xFFFF: SENTINEL}}}}
- {{tag: trim, name: {{zh: 微调, en: trim}}, area: holding, address: 5, type: i16, scale: 0.1,
   writable: true}}
- {{tag: limit, name: {{zh: 上限, en: limit}}, area: holding, address: 6, type: f32, writable: true}}
- {{tag: run, name: {{zh: 运行, en: run}}, area: coil, address: 0, type: bit, writable: true}}
{more}
cases:
- {{name: one, holding: {{4: "00 64"}}, expect: {{set_p: 1.0}}}}
"""


def profile(folder: Path, more: str = "") -> Path:
    path = folder / "drive.yaml"
    path.write_text(PROFILE.format(more=more), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("tag", "value", "words"),
    [
        ("set_p", 0.45, [45]),
        ("set_p", 0.0, [0]),
        ("trim", -0.1, [0xFFFF]),
        ("trim", -3276.8, [0x8000]),
        ("limit", 1.0, [0x0000, 0x3F80]),
        ("run", 1.0, [1]),
        ("run", 0.0, [0]),
    ],
)
def test_words_by_hand(tmp_path: Path, tag: str, value: float, words: list[int]) -> None:
    encoder = Encoder(load_profile(str(profile(tmp_path))), tag, 3)
    assert encoder.words(value) == words
    assert (encoder.block.unit, encoder.block.count) == (3, len(words))


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("set_p", 655.35),  # the sentinel
        ("set_p", 700.0),
        ("set_p", -0.01),
        ("trim", 3276.8),
        ("trim", -4000.0),
        ("limit", 1e39),
        ("run", 0.5),
        ("run", 2.0),
        ("set_p", float("nan")),
    ],
)
def test_what_the_point_cannot_hold_is_refused_and_not_bent(tmp_path: Path, tag: str, value: float) -> None:
    encoder = Encoder(load_profile(str(profile(tmp_path))), tag, 1)
    with pytest.raises(ValueError, match=r"cannot|no raw form"):
        encoder.words(value)


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ("area: input, address: 9, type: u16", "only a coil or whole holding registers"),
        ("area: holding, address: 9, type: bit, bit: 3", "only a coil or whole holding registers"),
        ("area: holding, address: 9, type: u32, kind: counter", "never `writable`"),
        ("area: coil, address: 9, type: bit, life: true", "never `writable`"),
    ],
)
def test_what_can_never_be_written_is_refused_in_the_profile(tmp_path: Path, point: str, said: str) -> None:
    more = f"- {{tag: odd, name: {{zh: 一, en: odd}}, {point}, writable: true}}"
    with pytest.raises(Problems, match=said) as e:
        load_profile(str(profile(tmp_path, more)))
    assert "points.4" in str(e.value)
