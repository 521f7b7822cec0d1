"""Rows of the responsibility matrix and duty roles, from plain data and back, with every fault by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, tzinfo
from typing import Any

from alerts.bands import HINT, band_of
from alerts.checklists import item_fault
from alerts.matrix import CHANNELS, EVENTS, UNTIL, DutyRole, Row, Step
from alerts.shapes import is_list, is_seconds, is_texts, is_words
from gateway.errors import BadInput, Problems

Place = Callable[[tuple[str | int, ...]], tuple[str, int]]
"""From a path in a document to (file, line)."""

_SECONDS = ("ack_s", "arrive_s", "restore_s", "close_s")
_NAMES = {f.name for f in fields(Row)}
_TEXTS = (
    "backup", "supervisor", "asset_kind", "part", "estate", "city", "boundary", "asset", "band", "contractor",
    "legal", "calendar",
)  # fmt: skip
_LISTS = ("contacts", "inform", "also")


def rows_of(
    data: Sequence[Mapping[str, Any]],
    roles: Mapping[str, DutyRole],
    *,
    zone: tzinfo = UTC,
    at: Place | None = None,
    root: str = "matrix",
) -> list[Row]:
    """Rows from plain data (YAML, JSON). Raises Problems with all that is wrong, each with its place."""
    problems: list[BadInput] = []
    rows: list[Row] = []
    seen: set[tuple[Any, ...]] = set()

    def wrong(path: tuple[str | int, ...], message: str, hint: str = "") -> None:
        file, line = at(path) if at else ("", 0)
        where = ".".join(map(str, (root, *path)))
        problems.append(BadInput(message, file=file, line=line, field=where, hint=hint))

    for n, raw in enumerate(data):
        before = len(problems)
        for path, message, hint in _faults(raw, roles):
            wrong((n, *path), message, hint)
        if len(problems) > before:
            continue
        try:
            row = _row(raw, zone)
        except ValueError as e:
            wrong((n,), str(e), "write dates as 2026-01-31")
            continue
        key = (row.id, row.version)
        if key in seen:
            wrong((n, "id"), f"row {row.id} version {row.version} exists twice", "give it another id")
        seen.add(key)
        rows.append(row)
    if problems:
        raise Problems(problems)
    return rows


_Fault = tuple[tuple[str | int, ...], str, str]


def _faults(raw: Any, roles: Mapping[str, DutyRole]) -> Iterator[_Fault]:
    if not isinstance(raw, Mapping):
        yield (), "a row is a mapping", "id:, event:, responsible:, …"
        return
    for name in sorted(set(raw) - _NAMES):
        yield (name,), "nobody knows this field", "remove it or correct its spelling"
    for name in ("id", "event", "responsible"):
        if not isinstance(raw.get(name), str) or not raw[name]:
            yield (name,), "a text is needed", "add it"
    misshapen = list(_shape_faults(raw))
    yield from misshapen
    if not misshapen:
        yield from _value_faults(raw)
        yield from _role_faults(raw, roles)
        yield from _ladder_faults(raw.get("ladder") or (), roles)


def _shape_faults(raw: Mapping[str, Any]) -> Iterator[_Fault]:
    for name in _TEXTS:
        if raw.get(name) is not None and not isinstance(raw[name], str):
            yield (name,), f"a text is needed, not {raw[name]!r:.40}", "put it into quotes"
    for name in _LISTS:
        if not is_texts(raw.get(name)):
            yield (name,), f"a list of texts is needed, not {raw[name]!r:.40}", "[first, second]"
    for name in ("ladder", "checklist"):
        if not is_list(raw.get(name)):
            yield (name,), f"a list is needed, not {raw[name]!r:.40}", "one entry for each step"
    if raw.get("process") is not None and not is_words(raw["process"]):
        yield ("process",), f"a text in each language is needed, not {raw['process']!r:.40}", "{zh: …, en: …}"


def _value_faults(raw: Mapping[str, Any]) -> Iterator[_Fault]:
    if raw.get("event") not in EVENTS:
        yield ("event",), f"{raw.get('event')!r} is no event type", ", ".join(EVENTS)
    for name in _SECONDS:
        value = raw.get(name)
        if value is not None and not is_seconds(value):
            yield (
                (name,),
                f"whole seconds within a year are needed, not {value!r:.40}",
                "leave it out when there is no such clock",
            )
    if raw.get("band"):
        try:
            band_of(str(raw["band"]))
        except BadInput as e:
            yield ("band",), e.message, HINT
    for name in ("valid_from", "valid_to"):
        value = raw.get(name)
        if (
            value is not None
            and not isinstance(value, str)
            and not (type(value) is int and 0 <= value < 2**43)
        ):
            yield (name,), f"{value!r:.40} is no date", "write dates as 2026-01-31"
    if raw.get("severity") not in (None, 1, 2, 3, 4) or isinstance(raw.get("severity"), bool):
        yield ("severity",), f"{raw['severity']!r} is no priority", "1 to 4"
    fund = raw.get("fund_eligible", "no")
    if not isinstance(fund, str | bool) or fund not in ("yes", "no", "case", True, False):
        yield ("fund_eligible",), f"{raw['fund_eligible']!r} is no answer", "yes, no or case"
    for k, item in enumerate(raw.get("checklist") or ()):
        fault = item_fault(item)
        if fault:
            yield ("checklist", k), *fault


def _role_faults(raw: Mapping[str, Any], roles: Mapping[str, DutyRole]) -> Iterator[_Fault]:
    named: list[tuple[tuple[str | int, ...], Any]] = [
        ((name,), raw[name]) for name in ("responsible", "backup", "supervisor") if raw.get(name)
    ]
    named += [(("inform", k), role) for k, role in enumerate(raw.get("inform") or ())]
    if raw.get("backup") and raw.get("backup") == raw.get("responsible"):
        yield ("backup",), f"{raw['backup']} would be its own backup", "name another role"
    for path, role in named:
        if not isinstance(role, str) or role not in roles:
            yield path, f"there is no duty role {role!r}", f"known: {', '.join(roles)}"


def _ladder_faults(ladder: Any, roles: Mapping[str, DutyRole]) -> Iterator[_Fault]:
    last = -1
    for k, raw in enumerate(ladder):
        if not isinstance(raw, Mapping) or not {"after_s", "role"} <= set(raw) <= {*Step.__slots__}:
            yield ("ladder", k), "a step has after_s, role, channel, until", "{after_s: 180, role: PM}"
            continue
        if not is_seconds(raw["after_s"]) or raw["after_s"] < last:
            yield ("ladder", k, "after_s"), "steps stand in the order of whole seconds", "sort them"
        else:
            last = raw["after_s"]
        if not isinstance(raw["role"], str) or raw["role"] not in roles:
            yield (
                ("ladder", k, "role"),
                f"there is no duty role {raw['role']!r:.40}",
                f"known: {', '.join(roles)}",
            )
        if raw.get("channel", "push") not in CHANNELS or raw.get("until", "accept") not in UNTIL:
            yield ("ladder", k), "unknown channel or until", f"{'/'.join(CHANNELS)}; {'/'.join(UNTIL)}"


def _row(raw: Mapping[str, Any], zone: tzinfo) -> Row:
    body = dict(raw)
    body["ladder"] = tuple(Step(**s) for s in raw.get("ladder") or ())
    for name in ("inform", "also", "checklist", "contacts"):
        body[name] = tuple(raw.get(name) or ())
    for name in ("valid_from", "valid_to"):
        if isinstance(raw.get(name), str) and raw[name]:
            body[name] = int(datetime.fromisoformat(raw[name]).replace(tzinfo=zone).timestamp()) * 1000
    if None not in (body.get("valid_from"), body.get("valid_to")) and body["valid_to"] <= body["valid_from"]:
        raise ValueError("valid_to: the row ends before it begins")
    fund = raw.get("fund_eligible", "no")
    body["fund_eligible"] = (
        {True: "yes", False: "no"}.get(fund, fund) if isinstance(fund, bool) else str(fund)
    )
    return Row(**body)


def row_dict(row: Row) -> dict[str, Any]:
    """Plain data that `rows_of` reads back; what is at its default is left out."""
    plain: dict[str, Any] = {}
    for f in fields(Row):
        value = getattr(row, f.name)
        if f.name == "ladder":
            value = [asdict(s) for s in row.ladder]
        elif isinstance(value, tuple):
            value = [dict(v) if isinstance(v, Mapping) else v for v in value]
        if value not in (None, "", [], {}):
            plain[f.name] = value
    return plain


def roles_of(data: Sequence[Mapping[str, Any]]) -> dict[str, DutyRole]:
    """Duty roles from plain data: `{id, name: {zh, en}, external?, phone?}`. Raises BadInput."""
    roles: dict[str, DutyRole] = {}
    for n, raw in enumerate(data):
        if not {"id", "name"} <= set(raw) <= {*DutyRole.__slots__}:
            raise BadInput("a role has id, name, external, phone", field=f"roles.{n}", hint="check spelling")
        roles[str(raw["id"])] = DutyRole(
            str(raw["id"]), dict(raw["name"]), bool(raw.get("external", False)), str(raw.get("phone", ""))
        )
    return roles
