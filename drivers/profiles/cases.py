"""Worked cases of a profile: bytes from the document → answers → values, compared with what was computed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from drivers.profiles import textline
from drivers.profiles.bind import bind
from drivers.profiles.model import Case, Profile
from gateway.model import Level, Reason, level_of, reason_of
from gateway.ports import Answer, Area, Block

READ_AREAS: dict[int, Area] = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}


@dataclass(frozen=True, slots=True)
class Decoding:
    """One expectation of a case and what came out. `value` is a text for text points."""

    case: str
    tag: str
    expected: float | str | None
    value: float | str
    unit: str
    quality: str
    ok: bool


def run_cases(profile: Profile) -> list[Decoding]:
    """Every expectation of every case."""
    return [row for case in profile.cases for row in _run(profile, case)]


def _run(profile: Profile, case: Case) -> Iterator[Decoding]:
    model = bind(profile, "case")
    found: dict[str, tuple[float | str, int]] = {}
    # Twice: a guard's register may come after the value that it vouches for.
    for answer in case_answers(case) * 2:
        decoded = model.decode(answer)
        for n, v, q in zip(decoded.index, decoded.v, decoded.q, strict=True):
            text = decoded.attrs.get(int(n), {}).get("text")
            found[model.points[int(n)].tag] = (float(v) if text is None else str(text), int(q))
    for tag, expect in case.expect.items():
        value, q = found.get(tag, (math.nan, -1))
        words = quality_words(q) if q >= 0 else "not read"
        yield Decoding(
            case.name, tag, expect.value, value, profile.point(tag).unit, words,
            words == expect.quality and _equal(value, expect.value),
        )  # fmt: skip


def quality_words(q: int) -> str:
    """`GOOD`, or level and reason: `BAD SENTINEL`."""
    level, reason = level_of(q), reason_of(q)
    return level.name if reason is Reason.NONE and level is Level.GOOD else f"{level.name} {reason.name}"


def _equal(value: float | str, expected: float | str | None) -> bool:
    if expected is None:
        return True
    if isinstance(value, str) or isinstance(expected, str):
        return value == expected
    return math.isclose(value, expected, rel_tol=1e-7, abs_tol=1e-9)


def case_answers(case: Case) -> list[Answer]:
    """The answers that a case describes. Raises ValueError for bytes that are no valid answer."""
    answers = [_registers("holding", at, data) for at, data in case.holding.items()]
    answers += [_registers("input", at, data) for at, data in case.input.items()]
    for area, table in (("coil", case.coil), ("discrete", case.discrete)):
        for at, bits in table.items():
            answers.append(Answer(Block(1, area, at, len(bits)), 0, np.array(bits, np.uint16)))  # type: ignore[arg-type]  # the two literals are areas
    if case.line:
        fields = textline.parse(case.line.encode())
        answers.append(Answer(Block(1, "line", sentence=fields[0]), 0, fields=fields))
    if case.request or case.reply:
        answers.append(_frames(_bytes(case.request), _bytes(case.reply)))
    if not answers:
        raise ValueError("a case needs request and reply, registers, bits or a line")
    return answers


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as e:
        raise ValueError(f"{text!r} is not hex") from e


def _registers(area: Area, at: int, text: str) -> Answer:
    data = _bytes(text)
    if not data or len(data) % 2:
        raise ValueError(f"{text!r} is not a whole number of registers")
    return Answer(Block(1, area, at, len(data) // 2), 0, np.frombuffer(data, ">u2").astype(np.uint16))


def _frames(request: bytes, reply: bytes) -> Answer:
    for frame in (request, reply):
        if len(frame) < 5 or crc16(frame[:-2]) != frame[-2:]:
            raise ValueError(f"{frame.hex(' ')}: the CRC is wrong")
    unit, function, address, count = request[0], request[1], _u16(request, 2), _u16(request, 4)
    if function not in (3, 4):
        raise ValueError("only function 3 and 4 frames can be cases; use `coil:` or `discrete:`")
    if reply[:2] != request[:2] or reply[2] != 2 * count or len(reply) != 5 + 2 * count:
        raise ValueError("the reply is not an answer to the request")
    words = np.frombuffer(reply[3:-2], ">u2").astype(np.uint16)
    return Answer(Block(unit, READ_AREAS[function], address, count), 0, words)


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def crc16(data: bytes) -> bytes:
    """CRC-16/MODBUS as on the wire, low byte first.

    >>> crc16(bytes.fromhex("01 04 00 00 00 02")).hex(" ")
    '71 cb'
    """
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc.to_bytes(2, "little")
