"""The language of virtual points: what it reads, its units, what it refuses and where, and bad inputs."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.units import unit_of
from alerts.virtual import Formula, FormulaError, formula
from gateway.model import GOOD, Level, Reason, quality

UNITS = {
    "a/out": "MPa", "a/in": "kPa", "a/flow": "m3/h", "a/u": "V", "a/i": "A", "a/p": "kW", "a/t": "°C",
    "a/run": "", "b-1/wm.flow": "m3/h", "a/share": "%", "a/ntu": "NTU", "a/rate": "L/min",
}  # fmt: skip


def made(text: str, unit: str = "", low: float | None = None, high: float | None = None) -> Formula:
    return formula(text, unit, "a", UNITS.get, low=low, high=high)


@pytest.mark.parametrize(
    ("text", "unit", "inputs", "wanted"),
    [
        ("out - in", "MPa", {"a/out": 0.5, "a/in": 200.0}, 0.3),
        ("out - in", "bar", {"a/out": 0.5, "a/in": 200.0}, 3.0),
        ("u * i", "kW", {"a/u": 230.0, "a/i": 10.0}, 2.3),
        ("u * i / p", "%", {"a/u": 230.0, "a/i": 10.0, "a/p": 4.6}, 50.0),
        ("flow - 'b-1/wm.flow'", "m3/h", {"a/flow": 12.0, "b-1/wm.flow": 5.0}, 7.0),
        ("flow - rate", "m3/h", {"a/flow": 12.0, "a/rate": 100.0}, 6.0),
        ("max(out, 0.2 [MPa], 1.5 [bar])", "kPa", {"a/out": 0.1}, 200.0),
        ("min(flow, 3[m3/h]) * 2 [h]", "m3", {"a/flow": 12.0}, 6.0),
        ("abs(-t) + -(t * 2)", "°C", {"a/t": -5.0}, 15.0),
        ("2 + 3 * run - 8 / 4 / 2", "", {"a/run": 1.0}, 4.0),
        ("share * 50", "", {"a/share": 10.0}, 5.0),
        ("1e3 * ntu / .5e3", "NTU", {"a/ntu": 0.4}, 0.8),
        ("p * 24 [h]", "kWh", {"a/p": 2.0}, 48.0),
    ],
)
def test_it_is_worked_out_in_its_units(text: str, unit: str, inputs: dict[str, float], wanted: float) -> None:
    f = made(text, unit)
    assert set(f.inputs) == set(inputs)
    v, q = f.value([inputs[i] for i in f.inputs], [GOOD] * len(inputs))
    assert v == pytest.approx(wanted)
    assert q == GOOD


@pytest.mark.parametrize(
    ("text", "unit", "column", "words"),
    [
        ("out + flow", "MPa", 5, "cannot be added to Pa"),
        ("out - t", "MPa", 5, "cannot be taken from Pa"),
        ("max(out, 1)", "MPa", 10, "cannot be compared with"),
        ("out", "m", 1, "the result is in Pa, but unit says m"),
        ("out - inn", "MPa", 7, "no point a/inn"),
        ("'c/x' + 1", "", 1, "no point c/x"),
        ("(out", "MPa", 5, "')' is missing"),
        ("out in", "MPa", 5, "'in' does not belong here"),
        ("out +", "MPa", 6, "something is missing at the end"),
        ("out ; in", "MPa", 5, "is not part of an expression"),
        ("__import__('os')", "", 1, "no function __import__"),
        ("out.real", "MPa", 1, "no point a/out.real"),
        ("sqrt(out)", "MPa", 1, "no function sqrt"),
        ("abs(out, in)", "MPa", 1, "abs takes 1 arguments, not 2"),
        ("min(out)", "MPa", 1, "min takes 2 to 16 arguments"),
        ("out * 3 [m/]", "MPa", 9, "is no unit"),
        ("1 + 2", "", 1, "looks at no point"),
        ("out * 1e999", "MPa", 7, "too large"),
        ("out", "3 x", 1, "is no unit"),
        ("(" * 30 + "out" + ")" * 30, "MPa", 21, "nests deeper"),
        ("out" + " + out" * 100, "MPa", 501, "longer than 500"),
        ("", "", 1, "something is missing"),
    ],
)
def test_what_it_refuses_it_refuses_at_a_column(text: str, unit: str, column: int, words: str) -> None:
    with pytest.raises(FormulaError) as e:
        made(text, unit)
    assert words in e.value.message
    assert e.value.column == column


def test_it_is_as_good_as_its_worst_input() -> None:
    f = made("out - in", "MPa")
    doubtful = quality(Level.UNCERTAIN, Reason.CALIBRATING)
    v, q = f.value([0.5, 200.0], [GOOD, doubtful])
    assert v == pytest.approx(0.3)
    assert q == doubtful
    for level in (Level.STALE, Level.BAD):
        v, q = f.value([0.5, 200.0], [quality(level, Reason.SENSOR_OPEN), doubtful])
        assert math.isnan(v)
        assert q == quality(Level.BAD, Reason.SENSOR_OPEN)


def test_what_has_no_value_is_bad_with_its_reason() -> None:
    share = made("out / in", "", high=5)
    no_number, outside = quality(Level.BAD, Reason.NOT_A_NUMBER), quality(Level.BAD, Reason.OUT_OF_RANGE)
    assert share.value([0.5, 0.0], [GOOD, GOOD])[1] == no_number
    assert share.value([math.nan, 1.0], [GOOD, GOOD])[1] == no_number
    assert share.value([0.5, 1.0], [GOOD, GOOD])[1] == outside
    assert made("out * 1e300 * 1e300", "MPa").value([1e10], [GOOD])[1] == no_number


@given(st.text(alphabet="outin+-*/()[], .'0123e\"mMPa", max_size=40))
def test_no_text_does_anything_but_load_or_be_refused(text: str) -> None:
    try:
        f = made(text, "MPa")
    except FormulaError as e:
        column = e.column
    else:
        column = 1
        v, q = f.value([0.4] * len(f.inputs), [GOOD] * len(f.inputs))
        assert math.isfinite(v) == (q == GOOD)
    assert 1 <= column <= len(text) + 1


numbers = st.floats(-1e6, 1e6)


@given(numbers, numbers)
def test_it_agrees_with_arithmetic(x: float, y: float) -> None:
    f = made("(run + 2) * 3 - share / 4 + max(run, share) - abs(run)", "")
    assert f.inputs == ("a/run", "a/share")
    s = y * 0.01
    want = (x + 2) * 3 - s / 4 + max(x, s) - abs(x)
    assert f.value([x, y], [GOOD, GOOD])[0] == pytest.approx(want, rel=1e-12, abs=1e-6)


def test_units_are_products_of_powers() -> None:
    assert unit_of("m3/h").factor == pytest.approx(1 / 3600)
    assert unit_of("kW·h").dims == unit_of("kWh").dims == unit_of("J").dims
    assert unit_of("m/s2") == unit_of("m/s") / unit_of("s")
    assert unit_of("mg/L").factor == pytest.approx(1e-3)
    assert unit_of("V").dims == (unit_of("W") / unit_of("A")).dims
    assert unit_of("%LEL").dims == (("%LEL", 1),)
    for wrong in ("m3 / h", "/h", "m//h", "[m]", "3"):
        with pytest.raises(ValueError, match="no unit"):
            unit_of(wrong)
