"""The rules: their kinds, and how plain data from a rule file becomes one of them.

In a rule file `asset_kind` is written `for` and `all_of` is written `all`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any, cast

from alerts.priorities import HARMS, priority_of
from alerts.rules_base import ACCOUNT_S, EVENTS, OWNERS, Rule, digest, matches, stale_s
from alerts.rules_baseline import Baseline
from alerts.rules_counter import Counter
from alerts.rules_cycles import Cycles
from alerts.rules_kinds import OPS, Combine, Digital, Limit, Member, NoData, Op, Rate, Slope, Stuck
from alerts.rules_night_flow import NightFlow
from alerts.rules_residual import Residual
from alerts.rules_shift import Shift
from alerts.rules_trend import Trend
from gateway.errors import BadInput

__all__ = [
    "ACCOUNT_S", "EVENTS", "OPS", "OWNERS", "RULE_KINDS", "YAML_NAMES", "Baseline", "Combine", "Counter",
    "Cycles", "Digital", "Limit", "Member", "NoData", "Op", "Rate", "Rule", "Shift", "Slope", "Stuck",
    "Trend", "digest", "matches", "rule_from_dict", "stale_s", "to_fields", "to_yaml",
]  # fmt: skip

RULE_KINDS: dict[str, type[Rule]] = {
    "limit": Limit,
    "digital": Digital,
    "rate": Rate,
    "no_data": NoData,
    "stuck": Stuck,
    "slope": Slope,
    "shift": Shift,
    "combine": Combine,
    "night_flow": NightFlow,
    "residual": Residual,
    "baseline": Baseline,
    "trend": Trend,
    "cycles": Cycles,
    "counter": Counter,
}

YAML_NAMES: Mapping[str, str] = {"for": "asset_kind", "all": "all_of"}
"""Words of the rule files that are Python keywords or builtins, and their field names."""


def to_fields(data: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as written in a file with the names of the dataclass fields."""
    return {YAML_NAMES.get(k, k): v for k, v in data.items()}


def to_yaml(rule: Rule) -> dict[str, Any]:
    """A rule as it would be written in a file; `rule_from_dict` reads it back."""
    words = {v: k for k, v in YAML_NAMES.items()}
    return {words.get(k, k): _plain(v) for k, v in asdict(rule).items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, tuple | list) else value


def rule_from_dict(data: Mapping[str, Any]) -> Rule:
    """A rule from plain data as written in a rule file. Raises BadInput that names rule, field and remedy."""
    kind = data.get("kind")
    who = str(data.get("id", "rule without id"))
    if kind not in RULE_KINDS:
        known = ", ".join(RULE_KINDS)
        raise BadInput(f"{who}: kind {kind!r} is unknown", field="kind", hint=f"known: {known}")
    cls = RULE_KINDS[kind]
    given = _weighed(to_fields(data))
    words = {v: k for k, v in YAML_NAMES.items()}
    known_fields = {f.name: f for f in fields(cls)}
    for name in given:
        if name not in known_fields:
            hint = "remove it or correct its spelling"
            raise BadInput(f"{who}: a {kind} rule has no field {name!r}", field=name, hint=hint)
    for name, f in known_fields.items():
        mandatory = f.default is MISSING and f.default_factory is MISSING
        if mandatory and name not in given:
            shown = words.get(name, name)
            raise BadInput(f"{who}: {shown} is missing", field=shown, hint="add it")
    try:
        values = {k: _typed(known_fields[k].type, words.get(k, k), v) for k, v in given.items()}
        return cls(**values)
    except (ValueError, TypeError) as e:
        text = str(e)
        name = text.split(":", 1)[0] if ":" in text else ""
        raise BadInput(f"{who}: {text}", field=name if name.isidentifier() else "") from e


def _weighed(given: dict[str, Any]) -> dict[str, Any]:
    """With the priority that follows from consequence and time, where none is written."""
    harm, time = given.get("harm"), given.get("time_limit_s")
    if "priority" in given or harm not in HARMS or not _is_number(time):
        return given
    return given | {"priority": priority_of(str(harm), float(cast("float", time)))}


def _typed(declared: Any, name: str, value: Any) -> Any:
    """The value as the declared field type, which is its source text. Raises ValueError."""
    kind = str(declared)
    if value is None and "None" in kind:
        return None
    if name == "all":
        return tuple(_members(value))
    if name == "confirm":
        return next(_members([value]))
    if kind.startswith("float"):
        if not _is_number(value):
            raise ValueError(f"{name}: {value!r} is no number")
        return float(value)
    expected = _expected_type(kind)
    wrong_bool = isinstance(value, bool) and expected is not bool
    if not isinstance(value, expected) or wrong_bool:
        raise ValueError(f"{name}: {value!r} is not {_NAMES[expected]}")
    return value


_NAMES: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    str: "a text",
    Mapping: "a mapping",
}


def _expected_type(kind: str) -> type:
    if kind == "bool":
        return bool
    if kind == "int" or kind.startswith(("Literal[1", "Literal[0")):
        return int
    return cast("type", Mapping) if kind == "Text" or kind.startswith("Mapping") else str


def _members(value: Any) -> Iterator[Member]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"all: {value!r} is no list")  # noqa: TRY004 - told to a person, like all others
    for n, item in enumerate(value):
        if isinstance(item, Member):
            yield item
            continue
        if not isinstance(item, Mapping) or not set(item) <= _MEMBER or "tag" not in item:
            raise ValueError(f"all: entry {n + 1} must be {{tag, op, value, upto}}, not {item!r:.60}")
        numbers = {k: v for k, v in item.items() if k in ("value", "upto") and v is not None}
        if not all(_is_number(v) for v in numbers.values()):
            raise ValueError(f"all: entry {n + 1}: value and upto must be numbers")
        yield Member(
            tag=str(item["tag"]), op=item.get("op", "=="), **{k: float(v) for k, v in numbers.items()}
        )


_MEMBER = {"tag", "op", "value", "upto"}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
