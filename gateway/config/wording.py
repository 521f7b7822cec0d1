"""Validation: plain data as a typed object, and every fault in words that tell a person what to do."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError

from gateway.config.yamlmarks import Marks, Path_
from gateway.errors import BadInput, Problems
from gateway.model import ID, TAG

SHOWN = 24
"""Names that an error lists at most."""

MISSING = "value_missing"
"""Type of an error about a field that another one makes needed; its text is `what; what to do`."""

T = TypeVar("T")
Said = tuple[str, str]
"""What is wrong, and what to do ("" when that is plain)."""


def check_as(type_: type[T], data: Any, marks: Marks, at: Path_ = ()) -> T:
    """Validate plain data as a pydantic model or dataclass. Raises Problems with file, line and field."""
    try:
        return TypeAdapter(type_).validate_python(data)
    except ValidationError as e:
        found = [_problem(error, type_, data, marks, at) for error in e.errors() if not _is_echo(error)]
        raise Problems(found) from e


def _is_echo(error: Any) -> bool:
    """Pydantic also calls a list too short when it is long enough but an entry has another mistake."""
    given = error["input"]
    return (
        error["type"] == "too_short" and isinstance(given, list) and len(given) >= error["ctx"]["min_length"]
    )


def _problem(error: Any, type_: Any, data: Any, marks: Marks, at: Path_) -> BadInput:
    path: list[str | int] = []
    node = data
    for step in error["loc"]:
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            if "missing" not in error["type"]:
                break  # a name that pydantic puts in for a branch of a union
        path.append(step)
    said, hint = _words(error, type_, path)
    return marks.error((*at, *path), said, hint)


def _words(error: Any, type_: Any, path: Sequence[str | int]) -> Said:
    kind, given, limits = error["type"], error["input"], error.get("ctx", {})
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return "nobody knows this field", near(str(path[-1]), _fields(type_, path[:-1]))
    if kind in ("model_type", "model_attributes_type", "dict_type", "dataclass_type"):
        names = ", ".join(f"{name}: …" for name in _fields(type_, path)[:3]) or "name: value"
        return f"must be a mapping, not {given!r:.60}", f"write {{{names}}}"
    if kind in ("value_error", MISSING):
        said, _, hint = str(limits.get("error") or error["msg"]).partition("; ")
        return said, hint
    if kind in _TYPES:
        quote = kind == "string_type" and not isinstance(given, list | dict | None)
        hint = "put it into quotes" if quote else ""
        return f"must be {_TYPES[kind]}, not {given!r:.60}", hint or _HINTS.get(kind, "")
    if kind == "literal_error" and isinstance(given, str):
        choices: list[str] = re.findall(r"'([^']*)'", limits["expected"])
        return f"{given!r} is unknown", near(given, choices)
    if kind == "too_short" and given:
        return f"must have at least {limits['min_length']} entries, not {len(given)}", ""
    if kind in _LIMITS:
        return f"must be {_LIMITS[kind](limits)}, not {given!r:.60}", ""
    if kind == "string_pattern_mismatch":
        return _pattern(given, str(limits["pattern"]))
    return _OTHER.get(kind) or (f"{error['msg']}, not {given!r:.60}", "")


def _pattern(given: str, pattern: str) -> Said:
    if pattern.strip("^$") == ID.pattern:
        return f"{given!r} is no id", "1 to 48 of a–z, 0–9, - and _"
    if pattern.strip("^$") == TAG.pattern:
        return f"{given!r} is no tag", "words of a–z, 0–9 and _ with dots between, e.g. ws.pump1.run"
    return f"{given!r} does not fit the pattern {pattern}", "correct its spelling"


_TYPES: Mapping[str, str] = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
}
_HINTS: Mapping[str, str] = {
    "tuple_type": "write [a, b], or lines that begin with `- `",
    "list_type": "write [a, b], or lines that begin with `- `",
}
_LIMITS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than": lambda c: f"more than {c['gt']:g}",
    "greater_than_equal": lambda c: f"at least {c['ge']:g}",
    "less_than": lambda c: f"less than {c['lt']:g}",
    "less_than_equal": lambda c: f"at most {c['le']:g}",
    "literal_error": lambda c: str(c["expected"]),
}
_OTHER: Mapping[str, Said] = {
    "missing": ("is missing", "add it"),
    "missing_argument": ("is missing", "add it"),
    "too_short": ("is empty", "give at least one entry"),
    "string_too_short": ("is empty", "write something"),
}


def near(name: str, known: Sequence[str]) -> str:
    """What a misspelt name may have been, else the names that there are."""
    alike = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if alike:
        return f"did you mean {alike[0]}?"
    shown = ", ".join([*known[:SHOWN], *(["…"] if len(known) > SHOWN else [])])
    return f"known: {shown}" if known else "remove it or correct its spelling"


def _fields(type_: Any, path: Sequence[str | int]) -> list[str]:
    """The fields that the model at a path has; [] where there is no model."""
    for step in path:
        type_ = _inside(type_, step)
    model = _bare(type_)
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _inside(type_: Any, step: str | int) -> Any:
    bare = _bare(type_)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        field = bare.model_fields.get(str(step))
        return field.annotation if field else None
    inner = get_args(bare)
    if isinstance(step, int) and get_origin(bare) in (tuple, list):
        return inner[0] if inner else None
    return inner[1] if len(inner) == 2 else None


def _bare(type_: Any) -> Any:
    """Without Annotated and without `| None`."""
    if get_origin(type_) is Annotated:
        return _bare(get_args(type_)[0])
    if get_origin(type_) in (Union, types.UnionType):
        return _bare(next((a for a in get_args(type_) if a is not type(None)), None))
    return type_
