"""Units of measurement: what they are made of, and whether two of them can be added. Pure.

A unit is a factor to SI base units and their exponents, so that V × A is W and kPa can be added to MPa. A
symbol that is not in the table (NTU, lx, %LEL) is a dimension of its own. Temperatures are not shifted:
°C is a dimension of its own, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

Dims = tuple[tuple[str, int], ...]
"""(base unit, exponent), in order of the names, without zeros."""


@dataclass(frozen=True, slots=True)
class Unit:
    """`factor`: one of it in base units."""

    factor: float = 1.0
    dims: Dims = ()

    def __mul__(self, other: Unit) -> Unit:
        return Unit(self.factor * other.factor, _joined(self.dims, other.dims, 1))

    def __truediv__(self, other: Unit) -> Unit:
        return Unit(self.factor / other.factor, _joined(self.dims, other.dims, -1))

    def power(self, n: int) -> Unit:
        """Its n-th power."""
        return Unit(self.factor**n, tuple((name, e * n) for name, e in self.dims if e * n))

    def __str__(self) -> str:
        known = (name for name in NAMED if TABLE[name].dims == self.dims)
        return next(known, "·".join(name + (str(e) if e != 1 else "") for name, e in self.dims) or "no unit")


def _joined(a: Dims, b: Dims, sign: int) -> Dims:
    total = dict(a)
    for name, e in b:
        total[name] = total.get(name, 0) + sign * e
    return tuple(sorted((name, e) for name, e in total.items() if e))


def _base(**dims: int) -> Dims:
    return tuple(sorted(dims.items()))


_LENGTH, _TIME, _CURRENT, _MASS = _base(m=1), _base(s=1), _base(A=1), _base(kg=1)
_POWER, _ENERGY = _base(kg=1, m=2, s=-3), _base(kg=1, m=2, s=-2)
_PRESSURE, _VOLTAGE = _base(kg=1, m=-1, s=-2), _base(kg=1, m=2, s=-3, A=-1)
TABLE: Mapping[str, Unit] = {
    "": Unit(), "1": Unit(), "%": Unit(0.01), "ppm": Unit(1e-6), "rad": Unit(), "°": Unit(math.pi / 180),
    "m": Unit(1, _LENGTH), "mm": Unit(1e-3, _LENGTH), "cm": Unit(1e-2, _LENGTH), "km": Unit(1e3, _LENGTH),
    "L": Unit(1e-3, _base(m=3)), "l": Unit(1e-3, _base(m=3)), "mL": Unit(1e-6, _base(m=3)),
    "s": Unit(1, _TIME), "ms": Unit(1e-3, _TIME), "min": Unit(60, _TIME), "h": Unit(3600, _TIME),
    "d": Unit(86_400, _TIME), "Hz": Unit(1, _base(s=-1)), "rpm": Unit(1 / 60, _base(s=-1)),
    "A": Unit(1, _CURRENT), "mA": Unit(1e-3, _CURRENT), "V": Unit(1, _VOLTAGE), "kV": Unit(1e3, _VOLTAGE),
    "mV": Unit(1e-3, _VOLTAGE), "kg": Unit(1, _MASS), "g": Unit(1e-3, _MASS), "mg": Unit(1e-6, _MASS),
    "t": Unit(1e3, _MASS), "Pa": Unit(1, _PRESSURE), "kPa": Unit(1e3, _PRESSURE),
    "MPa": Unit(1e6, _PRESSURE), "bar": Unit(1e5, _PRESSURE), "W": Unit(1, _POWER), "kW": Unit(1e3, _POWER),
    "MW": Unit(1e6, _POWER), "VA": Unit(1, _POWER), "kVA": Unit(1e3, _POWER), "var": Unit(1, _POWER),
    "kvar": Unit(1e3, _POWER), "J": Unit(1, _ENERGY), "kJ": Unit(1e3, _ENERGY), "MJ": Unit(1e6, _ENERGY),
    "Wh": Unit(3600, _ENERGY), "kWh": Unit(3.6e6, _ENERGY), "MWh": Unit(3.6e9, _ENERGY),
    "B": Unit(1, _base(B=1)), "kB": Unit(1e3, _base(B=1)), "MB": Unit(1e6, _base(B=1)),
    "GB": Unit(1e9, _base(B=1)),
}  # fmt: skip
NAMED = ("Pa", "W", "J", "V", "Hz")
"""Symbols that dimensions are told by."""
_PART = re.compile(r"([^\d\s./·*^-]+)\^?(-?\d+)?")
_TEXT = re.compile(r"[^\s\[\]'\"]{0,24}")


def unit_of(text: str) -> Unit:
    """`m3/h`, `mg/L`, `%`, `kW·h`. Raises ValueError for what is no unit."""
    text = text.strip()
    if text in TABLE:
        return TABLE[text]
    if not _TEXT.fullmatch(text):
        raise ValueError(f"{text!r} is no unit; write for example m3/h, kW or %")
    if "%" in text:  # %LEL, %vol
        return Unit(1.0, ((text, 1),))
    over, *under = text.split("/")
    total = _product(over, text)
    for part in under:
        total = total / _product(part, text)
    return total


def _product(text: str, whole: str) -> Unit:
    total = Unit()
    for part in re.split(r"[.·*]", text):
        if part == "1":
            continue
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{whole!r} is no unit; write for example m3/h, kW or %")
        symbol = TABLE.get(match[1], Unit(1.0, ((match[1], 1),)))
        total = total * symbol.power(int(match[2] or 1))
    return total
