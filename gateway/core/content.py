"""What a command may hold: anything else would break the transaction, and with it the core, after the act."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gateway.errors import BadInput

DEEPEST = 12
_BIG = 2**53
"""Whole numbers beyond are not the same in every program that reads JSON, and no figure of an estate."""


def storable(value: Any, path: str = "", depth: int = DEEPEST) -> None:
    """Raises BadInput with the field of what cannot be kept as JSON by every store and reader.

    Those are whole numbers beyond 2^53, numbers that are none, texts with NUL or half a character, keys that
    are no texts, and nesting deeper than twelve.
    """
    if isinstance(value, Mapping | list | tuple):
        if depth == 0:
            raise BadInput("nested too deeply", field=path, hint="twelve levels at most")
        pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, inner in pairs:
            at = f"{path}.{key!s:.40}".lstrip(".")
            if isinstance(value, Mapping):
                _plain(key if isinstance(key, str) else object(), at)
            storable(inner, at, depth - 1)
    else:
        _plain(value, path)


def _plain(value: Any, path: str) -> None:
    wrong = ""
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= c <= "\udfff" for c in value):
            wrong = "the text holds characters that are none"
    elif isinstance(value, int | float):
        if not math.isfinite(value) or (isinstance(value, int) and abs(value) > _BIG):
            wrong = "this number is too large, or none"
    elif value is not None:
        wrong = "this cannot be kept"
    if wrong:
        raise BadInput(wrong, field=path, hint="text, numbers and lists of them")
