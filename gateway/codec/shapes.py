"""Shapes: every field of a payload is checked before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.codec.runs import expanded
from gateway.codec.wire import LANES, MAX_BYTES, MAX_POINTS, TAB, BadMessage


def an_object(payload: bytes) -> dict[str, Any]:
    """A JSON object. Raises BadMessage."""
    if len(payload) > 4 * MAX_BYTES:
        raise BadMessage(f"{len(payload)} bytes: too long")
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError as e:
        raise BadMessage(f"not JSON: {e}") from e
    if not isinstance(body, dict):
        raise BadMessage("a JSON object is needed")
    return body


def head(body: Mapping[str, Any], seq: str = "seq") -> tuple[str, str, int]:
    """Boot, lane and number. Raises BadMessage."""
    lane, number = a_text(body, "lane"), an_int(body, seq)
    if lane not in LANES or number < 1:
        raise BadMessage(f"lane {lane!r} or {seq} {number} is out of range")
    return a_text(body, "boot"), lane, number


def a_text(body: Mapping[str, Any], key: str) -> str:
    """A text of 1 to 200 characters. Raises BadMessage."""
    value = body.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise BadMessage(f"{key}: a text of 1 to 200 characters is needed, not {value!r:.60}")
    return value


def an_int(body: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """A whole number whose size is at most 2^53. Raises BadMessage."""
    value = body.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 2**53:
        raise BadMessage(f"{key}: a whole number is needed, not {value!r:.60}")
    return value


def a_tab(body: Mapping[str, Any]) -> str:
    """The hash of a point table. Raises BadMessage."""
    tab = body.get("tab")
    if not isinstance(tab, str) or not TAB.fullmatch(tab):
        raise BadMessage(f"tab: 12 hex digits are needed, not {tab!r:.60}")
    return tab


def ints(body: Mapping[str, Any], key: str, *, step: int = 0) -> NDArray[np.int64]:
    """A column of whole numbers from 0 to 2^53, pairs being runs that grow by `step`. Raises BadMessage."""
    values = body.get(key)
    if not isinstance(values, list):
        raise BadMessage(f"{key}: a list of whole numbers is needed")
    if list in map(type, values):
        values = expanded(values, step, MAX_POINTS)
    if values is None or not all(type(x) is int for x in values):
        raise BadMessage(f"{key}: a list of whole numbers, or of runs [first, count], is needed")
    try:
        out = np.array(values, np.int64)
    except OverflowError as e:
        raise BadMessage(f"{key}: a number is too large") from e
    if len(out) and (int(out.min()) < 0 or int(out.max()) > 2**53):
        raise BadMessage(f"{key}: a number is out of range")
    return out


def floats(body: Mapping[str, Any], key: str) -> NDArray[np.float64]:
    """A column of numbers; null is NaN. Raises BadMessage."""
    values = body.get(key)
    if not isinstance(values, list) or not all(x is None or type(x) in (int, float) for x in values):
        raise BadMessage(f"{key}: a list of numbers or nulls is needed")
    try:
        return np.array([np.nan if x is None else x for x in values], np.float64)
    except OverflowError as e:
        raise BadMessage(f"{key}: a number is too large") from e
