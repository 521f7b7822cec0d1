"""Virtual points: a value worked out from other points, with units checked. Pure.

The language: numbers, `3 [m3/h]` with a unit, tags of the same asset (`ws.out_p`), other points in quotes
(`'wm-1/wm.flow'`), `+ - * /`, parentheses, `min(…)`, `max(…)`, `abs(x)`. Nothing else; no names, no calls
into the program. Sums, `min` and `max` need equal dimensions, the result those of its declared unit; what
differs only in scale (kPa and MPa) is converted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from alerts.units import Unit, unit_of
from gateway.model import GOOD, Level, Reason, level_of, quality

LONGEST, DEEPEST = 500, 20
"""Characters of an expression, and how deep it may nest."""
FUNCTIONS = {"min": (2, 16), "max": (2, 16), "abs": (1, 1)}
"""Least and most arguments."""
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?)|(?P<name>[A-Za-z_][\w]*(?:\.[\w]+)*)"
    r"|(?P<point>'[^']*'|\"[^\"]*\")|(?P<unit>\[[^\]]*\])|(?P<sign>[-+*/(),]))"
)

Values = Sequence[float]
Eval = Callable[[Values], float]
"""Inputs in base units → result in base units."""
Lookup = Callable[[str], str | None]
"""Point id → its unit, None when there is no such point (or it has no number)."""


class FormulaError(ValueError):
    """What is wrong with an expression, and where: `column` counts from 1."""

    def __init__(self, column: int, message: str, hint: str = "") -> None:
        self.column, self.message, self.hint = column, message, hint
        super().__init__(f"column {column}: {message}")


@dataclass(frozen=True, slots=True)
class Formula:
    """A checked expression.

    inputs: point ids, each once · unit: of the result · low, high: possible results.
    """

    text: str
    inputs: tuple[str, ...]
    unit: str
    factors: tuple[float, ...]
    evaluate: Eval
    low: float | None = None
    high: float | None = None

    def value(self, values: Sequence[float], qualities: Sequence[int]) -> tuple[float, int]:
        """(value, quality byte): as good as the worst input; NaN with a reason where there is no value.

        A bad input gives its own reason; a division by nothing and what is too large NOT_A_NUMBER.
        """
        worst = max(qualities, key=level_of, default=GOOD)
        if level_of(worst) >= Level.STALE:
            return math.nan, quality(Level.BAD, Reason(worst & 31))
        if not all(map(math.isfinite, values)):
            return math.nan, quality(Level.BAD, Reason.NOT_A_NUMBER)
        try:
            base = self.evaluate([v * f for v, f in zip(values, self.factors, strict=True)])
        except (ZeroDivisionError, OverflowError):
            base = math.nan
        result = base / unit_of(self.unit).factor
        if not math.isfinite(result):
            return math.nan, quality(Level.BAD, Reason.NOT_A_NUMBER)
        if (self.low is not None and result < self.low) or (self.high is not None and result > self.high):
            return math.nan, quality(Level.BAD, Reason.OUT_OF_RANGE)
        return result, worst


def formula(
    text: str, unit: str, asset: str, lookup: Lookup, *, low: float | None = None, high: float | None = None
) -> Formula:
    """Read and check an expression; tags without an asset belong to `asset`. Raises FormulaError."""
    parser = _Parser(text, asset, lookup)
    found, evaluate = parser.whole()
    try:
        wanted = unit_of(unit)
    except ValueError as e:
        raise FormulaError(1, str(e)) from e
    if found.dims != wanted.dims:
        said = f"the result is in {found}, but unit says {unit or 'no unit'}"
        raise FormulaError(1, said, "correct the unit or the expression")
    if not parser.inputs:
        raise FormulaError(1, "looks at no point", "name a tag, or another point in quotes")
    return Formula(text, tuple(parser.inputs), unit, tuple(parser.factors), evaluate, low, high)


Part = tuple[Unit, Eval]


class _Parser:
    """Recursive descent over the tokens; every part comes with its unit (the factor is 1 inside)."""

    def __init__(self, text: str, asset: str, lookup: Lookup) -> None:
        self.text, self.asset, self.lookup = text, asset, lookup
        self.inputs: list[str] = []
        self.factors: list[float] = []
        self.depth = 0
        if len(text) > LONGEST:
            self.fail(LONGEST, f"is longer than {LONGEST} characters", "split it into several points")
        self.tokens = list(self._tokens())
        self.at = 0

    def fail(self, place: int, message: str, hint: str = "") -> NoReturn:
        raise FormulaError(place + 1, message, hint)

    def _tokens(self) -> list[tuple[str, str, int]]:
        out, at = [], 0
        while self.text[at:].strip():
            match = _TOKEN.match(self.text, at)
            if match is None:
                place = at + len(self.text[at:]) - len(self.text[at:].lstrip())
                self.fail(
                    place,
                    f"{self.text[place]!r} is not part of an expression",
                    "possible: numbers, tags, + - * / ( ) min max abs",
                )
            kind = str(match.lastgroup)
            out.append((kind, match[kind], match.start(kind)))
            at = match.end()
        return [*out, ("end", "", len(self.text))]

    @property
    def token(self) -> tuple[str, str, int]:
        return self.tokens[self.at]

    def take(self, *signs: str) -> bool:
        """Go on if the next token is one of these signs."""
        if self.token[0] == "sign" and self.token[1] in signs:
            self.at += 1
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.take(sign):
            self.fail(self.token[2], f"{sign!r} is missing here")

    # ── the grammar ───────────────────────────────────────────────────────────────────────────────────

    def whole(self) -> Part:
        part = self.sum()
        if self.token[0] != "end":
            self.fail(self.token[2], f"{self.token[1]!r} does not belong here", "an operator is missing")
        return part

    def sum(self) -> Part:
        self.depth += 1
        if self.depth > DEEPEST:
            self.fail(self.token[2], f"nests deeper than {DEEPEST}", "split it into several points")
        left = self.product()
        while True:
            place = self.token[2]
            if self.take("+"):
                left = _add(self._alike(left, self.product(), place, "added to"))
            elif self.take("-"):
                left = _subtract(self._alike(left, self.product(), place, "taken from"))
            else:
                self.depth -= 1
                return left

    def _alike(self, a: Part, b: Part, place: int, word: str) -> tuple[Part, Part]:
        if a[0].dims != b[0].dims:
            first, second = (b, a) if word in ("added to", "taken from") else (a, b)
            self.fail(place, f"{first[0]} cannot be {word} {second[0]}", "check the units of the points")
        return a, b

    def product(self) -> Part:
        left = self.factor()
        while True:
            if self.take("*"):
                left = _multiply(left, self.factor())
            elif self.take("/"):
                left = _divide(left, self.factor())
            else:
                return left

    def factor(self) -> Part:
        negative = False
        while self.token[0] == "sign" and self.token[1] in "+-":
            negative ^= self.token[1] == "-"
            self.at += 1
        part = self.atom()
        return _negate(part) if negative else part

    def atom(self) -> Part:
        kind, text, place = self.token
        if self.take("("):
            part = self.sum()
            self.expect(")")
            return part
        self.at += 1
        if kind == "number":
            return self.number(float(text), place)
        if kind == "point":
            return self.point(text[1:-1], place)
        if kind == "name" and self.token[:2] == ("sign", "("):
            return self.call(text, place)
        if kind == "name":
            return self.point(f"{self.asset}/{text}", place)
        said = "something is missing at the end" if kind == "end" else f"{text!r} does not belong here"
        raise FormulaError(place + 1, said, "write a number, a tag or a point in quotes")

    def number(self, value: float, place: int) -> Part:
        unit = Unit()
        kind, text, at = self.token
        if kind == "unit":
            self.at += 1
            try:
                unit = unit_of(text[1:-1])
            except ValueError as e:
                raise FormulaError(at + 1, str(e)) from e
        constant = value * unit.factor
        if not math.isfinite(constant):
            self.fail(place, "the number is too large")
        return Unit(1.0, unit.dims), lambda _: constant

    def point(self, id_: str, place: int) -> Part:
        unit = self.lookup(id_)
        if unit is None:
            self.fail(place, f"there is no point {id_} with a number", "check its spelling")
        try:
            known = unit_of(unit)
        except ValueError as e:
            raise FormulaError(place + 1, f"{id_}: {e}") from e
        if id_ not in self.inputs:
            self.inputs.append(id_)
            self.factors.append(known.factor)
        n = self.inputs.index(id_)
        return Unit(1.0, known.dims), lambda values: values[n]

    def call(self, name: str, place: int) -> Part:
        if name not in FUNCTIONS:
            self.fail(place, f"there is no function {name}", f"known: {', '.join(FUNCTIONS)}")
        self.expect("(")
        parts, places = [self.sum()], [self.token[2]]
        while self.take(","):
            places.append(self.token[2])
            parts.append(self.sum())
        self.expect(")")
        least, most = FUNCTIONS[name]
        if not least <= len(parts) <= most:
            said = str(least) if least == most else f"{least} to {most}"
            self.fail(place, f"{name} takes {said} arguments, not {len(parts)}")
        for part, at in zip(parts[1:], places[1:], strict=True):
            self._alike(parts[0], part, at, "compared with")
        return _called(name, parts)


def _add(parts: tuple[Part, Part]) -> Part:
    (unit, a), (_, b) = parts
    return unit, lambda v: a(v) + b(v)


def _subtract(parts: tuple[Part, Part]) -> Part:
    (unit, a), (_, b) = parts
    return unit, lambda v: a(v) - b(v)


def _multiply(left: Part, right: Part) -> Part:
    (u, a), (w, b) = left, right
    return u * w, lambda v: a(v) * b(v)


def _divide(left: Part, right: Part) -> Part:
    (u, a), (w, b) = left, right
    return u / w, lambda v: a(v) / b(v)


def _negate(part: Part) -> Part:
    unit, a = part
    return unit, lambda v: -a(v)


def _called(name: str, parts: Sequence[Part]) -> Part:
    evals = [e for _, e in parts]
    if name == "abs":
        return parts[0][0], lambda v: abs(evals[0](v))
    pick: Callable[[list[float]], float] = min if name == "min" else max
    return parts[0][0], lambda v: pick([e(v) for e in evals])
