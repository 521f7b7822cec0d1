"""Whether plain data that came from a file or a program has the shape that a field needs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LONGEST_S = 366 * 86_400
"""No clock and no step of a ladder runs for longer."""


def is_list(value: Any) -> bool:
    """A list of anything; None counts as an empty one."""
    return value is None or (isinstance(value, Sequence) and not isinstance(value, str | bytes))


def is_texts(value: Any) -> bool:
    """A list of texts; None counts as an empty one."""
    return is_list(value) and all(isinstance(v, str) for v in value or ())


def is_seconds(value: Any) -> bool:
    """Whole seconds within a year."""
    return type(value) is int and 0 <= value <= LONGEST_S


def is_words(value: Any) -> bool:
    """Texts by language."""
    return isinstance(value, Mapping) and all(
        isinstance(k, str) and isinstance(v, str) for k, v in value.items()
    )
