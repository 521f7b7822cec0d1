"""Text lines: checked sentences like `$WL,001,02.345,m*75`, fields → values and back. Pure.

The checksum is that of NMEA 0183: the XOR of all characters between `$` and `*`, two hex digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from drivers.profiles.model import PointSpec
from gateway.model import GOOD, Level, Reason, quality
from gateway.ports import Answer, Decoded

MAX_LINE = 256


def checksum(body: bytes) -> int:
    """XOR of the characters between `$` and `*`."""
    return reduce(lambda a, b: a ^ b, body, 0)


def frame(fields: Sequence[str]) -> bytes:
    r"""A whole sentence with checksum and line end.

    >>> frame(["WL", "001", "02.345", "m"])
    b'$WL,001,02.345,m*75\r\n'
    """
    body = ",".join(fields).encode("ascii")
    return b"$%s*%02X\r\n" % (body, checksum(body))


def parse(line: bytes) -> tuple[str, ...]:
    """The fields of one sentence, its name first. Raises ValueError when it is damaged."""
    text = line.strip(b"\r\n")
    body, star, check = text[1:].rpartition(b"*")
    if not text.startswith(b"$") or not star or len(check) != 2 or b"$" in body:
        raise ValueError("not a sentence with a checksum")
    if int(check, 16) != checksum(body):
        raise ValueError(f"checksum {check.decode('ascii', 'replace')}, computed {checksum(body):02X}")
    return tuple(body.decode("ascii").split(","))


def decode(points: Sequence[PointSpec], answer: Answer) -> Decoded:
    """The points of the answer's sentence."""
    rows = [n for n, p in enumerate(points) if p.area == "line" and p.sentence == answer.block.sentence]
    values = [_value(points[n], answer.fields) for n in rows]
    return Decoded(
        np.array(rows, np.intp),
        np.array([v for v, _, _ in values], np.float64),
        np.array([q for _, q, _ in values], np.uint8),
        {n: {"text": text} for n, (_, _, text) in zip(rows, values, strict=True) if text is not None},
    )


def _value(p: PointSpec, fields: Sequence[str]) -> tuple[float, int, str | None]:
    nan = float("nan")
    if p.address >= len(fields):
        return nan, quality(Level.BAD, Reason.NOT_A_NUMBER), None
    text = fields[p.address].strip()
    reason = (p.sentinels or {}).get(text)
    if reason is not None:
        return nan, quality(Level.BAD, reason), None
    if p.type == "string":
        return nan, GOOD, text
    try:
        v = float(text)
    except ValueError:
        return nan, quality(Level.BAD, Reason.NOT_A_NUMBER), None
    if not np.isfinite(v):
        return nan, quality(Level.BAD, Reason.NOT_A_NUMBER), None
    for at, factors in p.scale_by.items():
        factor = factors.get(fields[at].strip()) if at < len(fields) else None
        if factor is None:
            return nan, quality(Level.BAD, Reason.BAD_ENUM), None
        v *= factor
    v = v * p.scale + p.offset
    if (p.low is not None and v < p.low) or (p.high is not None and v > p.high):
        return v, quality(Level.BAD, p.out_of_range), None
    if p.value_kind == "enum" and p.codes and v not in p.codes:
        return v, quality(Level.UNCERTAIN, Reason.BAD_ENUM), None
    return v, GOOD, None


def encode(points: Sequence[PointSpec], values: Mapping[str, Any], *, ident: str = "001") -> bytes:
    """The sentence that carries the values; `ident` fills field 1, units their first choice.

    A value that is the name of a Reason becomes its sentinel text. Raises ValueError for other texts.
    """
    sentences = {p.sentence for p in points}
    if len(sentences) != 1:
        raise ValueError("a profile of text lines has one sentence")
    fields: dict[int, str] = {0: sentences.pop(), 1: ident}
    for p in points:
        if p.tag not in values:
            continue
        value = values[p.tag]
        for at, factors in p.scale_by.items():
            unit, factor = next(iter(factors.items()))
            fields[at] = str(unit)
            value = value / factor if not isinstance(value, str) else value
        fields[p.address] = _text(p, value)
    return frame([fields.get(n, "") for n in range(max(fields) + 1)])


def _text(p: PointSpec, value: Any) -> str:
    if not isinstance(value, str):
        return f"{(value - p.offset) / p.scale:0{p.decimals + 3}.{p.decimals}f}"
    if p.type == "string":
        return value
    for raw, reason in (p.sentinels or {}).items():
        if reason.name == value:
            return str(raw)
    raise ValueError(f"{p.tag}: {value!r} is neither a number nor a reason that has a sentinel")
