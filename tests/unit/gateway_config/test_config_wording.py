"""Pydantic's complaints in words that tell a person what to do."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from gateway.config.wording import check_as, near
from gateway.config.yamlmarks import Marks, parse
from gateway.errors import Problems


class Wheel(BaseModel):
    model_config = ConfigDict(extra="forbid")
    spokes: int = Field(ge=3, le=72)
    tyre: Literal["slick", "winter"] = "slick"


class Bike(BaseModel):
    model_config = ConfigDict(extra="forbid")
    wheels: tuple[Wheel, ...] = Field(min_length=2)
    spare: Wheel | None = None
    named: dict[str, Wheel] = {}
    bell: Annotated[str, Field(min_length=1)] = "ding"
    weight: float = Field(9.0, gt=0, lt=40)
    lamp: bool = True


def said(text: str) -> str:
    data, marks = parse(text, "b.yaml")
    with pytest.raises(Problems) as caught:
        check_as(Bike, data, marks)
    return str(caught.value)


def test_a_wrong_entry_does_not_make_its_list_too_short() -> None:
    text = "wheels:\n  - {spokes: 32}\n  - {spokes: 2}\n"
    assert said(text) == "b.yaml:3: wheels.1.spokes: must be at least 3, not 2"


def test_a_short_list_is_too_short_even_with_a_wrong_entry() -> None:
    assert said("wheels:\n  - {spokes: 2}\n").splitlines() == [
        "b.yaml:1: wheels: must have at least 2 entries, not 1",
        "b.yaml:2: wheels.0.spokes: must be at least 3, not 2",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("spoke: 32", "spoke: nobody knows this field (did you mean spokes?)"),
        ("spokes: 32, colour: red", "colour: nobody knows this field (known: spokes, tyre)"),
        ("spokes: many", "spokes: must be a whole number, not 'many'"),
        ("spokes: 3.5", "spokes: must be a whole number, not 3.5"),
        ("spokes: 90", "spokes: must be at most 72, not 90"),
        ("spokes: 32, tyre: wintr", "tyre: 'wintr' is unknown (did you mean winter?)"),
        ("tyre: slick", "spokes: is missing (add it)"),
    ],
)
@pytest.mark.parametrize("where", ["spare", "named.front"])
def test_the_field_is_named_at_any_depth(text: str, line: str, where: str) -> None:
    top, _, key = where.partition(".")
    inner = f"{{{key}: {{{text}}}}}" if key else f"{{{text}}}"
    told = said(f"wheels: [{{spokes: 3}}, {{spokes: 3}}]\n{top}: {inner}\n").splitlines()
    assert f"b.yaml:2: {where}.{line}" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("bell: 5", "bell: must be a text, not 5 (put it into quotes)"),
        ("bell: [5]", "bell: must be a text, not [5]"),
        ('bell: ""', "bell: is empty (write something)"),
        ("weight: 0", "weight: must be more than 0, not 0"),
        ("weight: 40", "weight: must be less than 40, not 40"),
        ("weight: light", "weight: must be a number, not 'light'"),
        ("lamp: maybe", "lamp: must be true or false, not 'maybe'"),
        ("spare: round", "spare: must be a mapping, not 'round' (write {spokes: …, tyre: …})"),
        ("named: [x]", "named: must be a mapping, not ['x'] (write {name: value})"),
    ],
)
def test_types_and_limits(text: str, told: str) -> None:
    assert said(f"wheels: [{{spokes: 3}}, {{spokes: 3}}]\n{text}\n") == f"b.yaml:2: {told}"


def test_a_list_that_is_none_is_told_how_to_write_one() -> None:
    assert said("wheels: round\n") == (
        "b.yaml:1: wheels: must be a list, not 'round' (write [a, b], or lines that begin with `- `)"
    )


def test_the_place_is_below_the_one_that_is_given() -> None:
    with pytest.raises(Problems) as caught:
        check_as(Wheel, {"spokes": 1}, Marks({("a",): ("f", 7)}), ("a", 0))
    assert str(caught.value) == "f:7: a.0.spokes: must be at least 3, not 1"


def test_many_names_are_cut() -> None:
    names = [f"name{n:02}" for n in range(30)]
    assert near("zzz", names).endswith("name23, …")
    assert near("name07x", names) == "did you mean name07?"
