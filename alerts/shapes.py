"""Whether plain data that came from a file or a program has the shape that a field needs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.errors import BadInput

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


def check_shape(raw: Mapping[str, Any], at: str, *, texts: Sequence[str], lists: Sequence[str]) -> None:
    """Raises BadInput, with the field under `at`, for a text or a list of texts that is none."""
    for name in texts:
        if name in raw and not isinstance(raw[name], str):
            raise BadInput(
                f"a text is needed, not {raw[name]!r:.40}", field=f"{at}.{name}", hint="put it into quotes"
            )
    for name in lists:
        if name in raw and (raw[name] is None or not is_texts(raw[name])):
            raise BadInput("a list of texts is needed", field=f"{at}.{name}", hint="[first, second]")
