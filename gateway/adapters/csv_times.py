"""Times as people and programs write them into CSV files, as ms UTC."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import numpy as np
from numpy.typing import NDArray

from gateway.model import Ms

LAST: Ms = 5_000_000_000_000
"""Times are taken from 1970 up to here (2128); what lies outside is a slip of a clock or of the pen."""
NUMBERS = ((3e8, 5e9, 1000.0), (3e11, 5e12, 1.0), (3e14, 5e15, 1e-3), (3e17, 5e18, 1e-6))
"""What numbers may be: above, up to, and the factor to ms; s, ms, µs and ns since 1970.
Milliseconds begin in 1979: numbers of twelve and fourteen digits that are read as `DIGITS` lie below and
above them."""
DIGITS = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?")
"""YYYYMMDDhhmm[ss], as loggers write it."""
SHORT = re.compile(r"\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d")
"""YYMMDDhhmm: ten digits, as many as seconds since 1970 have."""
SHORT_FROM = 10
"""So many times that could all be `SHORT` are no seconds by chance: one of seconds in 200 could."""
AHEAD = 2_000_000_000
"""From here on (2033) a single number that could be `SHORT` is not taken for seconds."""
CENTURY: Ms = 4_102_444_800_000
"""2100-01-01: times from here on are told."""
FAR_MS: Ms = 5 * 366 * 86_400_000
"""A hole longer than this parts times from those that they are far from."""
PADDED = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?"
    r"(?:[ T]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,](\d{1,6})\d*)?)?)?\s*(Z|z|[+-]\d\d:?\d\d)?"
)
"""Year, month, day as spreadsheets write them, without leading zeros: `2026/3/1 8:05`."""


def ms_of(text: str, zone: tzinfo) -> tuple[Ms, bool | None]:
    """(ms UTC, whether it names its zone; None for a number). Raises ValueError, OverflowError."""
    text = text.strip()
    digits = DIGITS.fullmatch(text)
    if digits:
        year, month, day, hour, minute, second = (int(part or 0) for part in digits.groups())
        moment = datetime(year, month, day, hour, minute, second, tzinfo=zone)
        return _within(round(moment.timestamp() * 1000)), False
    try:
        number = float(text)
    except ValueError:
        found = _written(text)
        aware = found if found.tzinfo else found.replace(tzinfo=zone)
        return _within(round(aware.timestamp() * 1000)), found.tzinfo is not None
    for above, upto, factor in NUMBERS:
        if above < number <= upto:
            return _within(math.floor(number * factor + 0.5)), None
    raise ValueError(text)


def short(texts: Sequence[str]) -> bool:
    """Whether these may be years of two digits (`2603010815`) just as well as seconds since 1970."""
    if not all(SHORT.fullmatch(text.strip()) for text in texts):
        return False
    return len(texts) >= SHORT_FROM or any(int(text) >= AHEAD for text in texts)


def far(t: NDArray[np.int64]) -> int:
    """How many times lie behind or before a hole of more than five years: the smaller side of the longest."""
    if len(t) < 3 or int(t.max()) - int(t.min()) <= FAR_MS:
        return 0
    holes = np.diff(np.sort(t))
    at = int(holes.argmax())
    return min(at + 1, len(t) - at - 1) if holes[at] > FAR_MS else 0


def plain(texts: Sequence[str], zone: tzinfo) -> NDArray[np.int64] | None:
    """All at once, where there is nothing but ISO 8601 in UTC without a zone; None: take them singly."""
    every = "|".join(texts)
    if zone is not UTC or every.count("-") != 2 * len(texts) or any(c in every for c in "+Zz/"):
        return None
    try:
        t = np.array([x.strip() for x in texts], "datetime64[ms]")
    except ValueError:
        return None
    if np.isnat(t).any():
        return None
    ms = t.astype(np.int64)
    return ms if ms.min() >= 0 and ms.max() <= LAST else None


def _within(t: Ms) -> Ms:
    if not 0 <= t <= LAST:
        raise ValueError(t)
    return t


def _written(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text.replace("/", "-"))
    except ValueError:
        found = PADDED.fullmatch(text)
        if not found:
            raise
    year, month, day, hour, minute, second, part, zone = found.groups()
    micro = int((part or "0").ljust(6, "0"))
    return datetime(
        int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), micro,
        tzinfo=_zone(zone),
    )  # fmt: skip


def _zone(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text in "Zz":
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))
