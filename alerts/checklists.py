"""Typed checklists: what an item may be, which answers fit, and which templates an order gets. Pure.

A template is data (alerts/defaults/checklists.yaml): items and demands for some events on some asset classes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.errors import BadInput, Problems

TYPES = ("yesno", "number", "choice", "text", "photo", "meter")
OUT = ("follow_up", "reason", "mark")
"""What a reading out of its limits does: it opens an order that follows, demands a reason, or is marked."""
NEEDS = ("pair", "second", "costs")
"""Demands of an order: photos before and after, another person's confirmation, confirmed costs."""

_FIELDS = frozenset({"id", "type", "text", "unit", "low", "high", "options", "required", "out", "event"})
_HASH = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9_]{1,40}")
Place = Callable[[tuple[str | int, ...]], tuple[str, int]]
"""From a path in a document to (file, line)."""


@dataclass(frozen=True, slots=True)
class Template:
    """Items and demands for orders of `events` on assets of `kinds`; an empty tuple means all."""

    id: str
    events: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    items: tuple[Mapping[str, Any], ...] = ()
    needs: tuple[str, ...] = ()

    def fits(self, event: str, kind: str) -> bool:
        """Whether an order of this event on this asset class gets it."""
        return (not self.events or event in self.events) and (not self.kinds or kind in self.kinds)


class Templates:
    """All templates; those that fit are joined in their order, an item id counts once."""

    def __init__(self, templates: Iterable[Template] = ()) -> None:
        self.templates = tuple(templates)

    def items(self, event: str, kind: str, first: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Unanswered items of an order: `first` (of its matrix row), then those of the templates."""
        found: dict[str, Mapping[str, Any]] = {}
        for item in (*first, *(i for t in self._of(event, kind) for i in t.items)):
            found.setdefault(str(item["id"]), item)
        return [fresh(item) for item in found.values()]

    def needs(self, event: str, kind: str) -> list[str]:
        """Demands of an order, in the order of NEEDS."""
        asked = {n for t in self._of(event, kind) for n in t.needs}
        return [n for n in NEEDS if n in asked]

    def _of(self, event: str, kind: str) -> Iterator[Template]:
        return (t for t in self.templates if t.fits(event, kind))


def fresh(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as an order keeps it, without an answer."""
    out = "mark" if item["id"] == "freed" else "follow_up"  # people are counted, not repaired
    base: dict[str, Any] = {
        "unit": "",
        "low": None,
        "high": None,
        "required": True,
        "options": [],
        "out": out,
    }
    return {**base, **item, "value": None, "by": "", "at": None, "reason": ""}


def missing(items: Iterable[Mapping[str, Any]], *, required: bool) -> list[str]:
    """Ids of items without an answer; with `required` only those that must have one."""
    return [
        str(i["id"]) for i in items if i.get("value") is None and (not required or i.get("required", True))
    ]


def out_of_limits(item: Mapping[str, Any], value: Any) -> bool:
    """Whether a number or a meter's reading is outside of the item's limits, ends included."""
    if item["type"] not in ("number", "meter"):
        return False
    low, high = item.get("low"), item.get("high")
    return (low is not None and value < low) or (high is not None and value > high)


def answer(item: Mapping[str, Any], value: Any, photos: Iterable[str] = ()) -> Any:
    """The value as it is kept. photos: hashes of the order's photos. Raises BadInput."""
    kind = item["type"]
    if kind == "yesno" and isinstance(value, bool):
        return value
    if kind in ("number", "meter") and type(value) in (int, float) and math.isfinite(value):
        if kind == "meter" and value < 0:
            raise BadInput("a meter does not stand below 0", field="value", hint="read it again")
        return value
    if kind == "text" and isinstance(value, str) and value.strip():
        return value.strip()[:2000]
    if kind == "choice" and value in [o["id"] for o in item.get("options") or ()]:
        return value
    if kind == "photo" and value in set(photos):
        return value
    raise BadInput(f"{value!r:.40} does not answer a {kind} item", field="value", hint=_hint(item))


def _hint(item: Mapping[str, Any]) -> str:
    if item["type"] == "choice":
        return ", ".join(str(o["id"]) for o in item.get("options") or ())
    if item["type"] == "photo":
        return "upload the photo to this order first, then give its SHA-256"
    return {"yesno": "true or false", "text": "a text"}.get(item["type"], "a number, like 12.5")


# ── templates from plain data ─────────────────────────────────────────────────────────────────────────


def item_fault(item: Any) -> tuple[str, str] | None:
    """What is wrong with an item of a template, and what to do; None when it is sound."""
    if not isinstance(item, Mapping) or not isinstance(item.get("id"), str) or item.get("type") not in TYPES:
        return "an item has an id, a text and a type", f"type: {', '.join(TYPES)}"
    if not _NAME.fullmatch(item["id"]) or set(item) - _FIELDS:
        wrong = ", ".join(sorted(set(item) - _FIELDS)) or f"id {item['id']!r}"
        return f"nobody knows {wrong}", f"fields: {', '.join(sorted(_FIELDS))}"
    if not _is_text(item.get("text")):
        return f"item {item['id']} needs its text in both languages", "text: {zh: …, en: …}"
    low, high = item.get("low"), item.get("high")
    if any(v is not None and type(v) not in (int, float) for v in (low, high)):
        return f"limits of {item['id']} are numbers", "low: 0, high: 10"
    if low is not None and high is not None and low > high:
        return f"low {low:g} of {item['id']} is above high {high:g}", "exchange them"
    options = item.get("options") or ()
    if (item["type"] == "choice") != bool(options) or not all(_is_option(o) for o in options):
        return f"a choice, and only a choice, has options ({item['id']})", "options: [{id, text: {zh, en}}]"
    if item.get("out", "follow_up") not in OUT:
        return f"{item['out']!r} is nothing that a reading out of limits can do", ", ".join(OUT)
    return None


def _is_text(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(value.get(k), str) and value[k] for k in ("zh", "en")
    )


def _is_option(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("id"), str) and _is_text(value.get("text"))


def templates_of(
    data: Sequence[Any], *, events: Sequence[str], kinds: Sequence[str], at: Place | None = None
) -> Templates:
    """From plain data. events, kinds: the names that exist. Raises Problems, each with its place."""
    problems: list[BadInput] = []

    def wrong(path: tuple[str | int, ...], message: str, hint: str = "") -> None:
        file, line = at(path) if at else ("", 0)
        where = ".".join(map(str, ("checklists", *path)))
        problems.append(BadInput(message, file=file, line=line, field=where, hint=hint))

    found = []
    for n, raw in enumerate(data):
        before = len(problems)
        for path, message, hint in _faults(raw, events, kinds):
            wrong((n, *path), message, hint)
        if len(problems) == before:
            lists = {k: tuple(raw.get(k) or ()) for k in ("events", "kinds", "items", "needs")}
            found.append(Template(str(raw["id"]), **lists))
    if problems:
        raise Problems(problems)
    return Templates(found)


_Fault = tuple[tuple[str | int, ...], str, str]


def _faults(raw: Any, events: Sequence[str], kinds: Sequence[str]) -> Iterator[_Fault]:
    if not isinstance(raw, Mapping) or not isinstance(raw.get("id"), str):
        yield (), "a template is a mapping with an id", "id, events, kinds, items, needs"
        return
    for name in sorted(set(raw) - {"id", "events", "kinds", "items", "needs"}):
        yield (name,), "nobody knows this field", "remove it or correct its spelling"
    for name, known in (("events", events), ("kinds", kinds), ("needs", NEEDS)):
        for k, value in enumerate(raw.get(name) or ()):
            if value not in known:
                yield (name, k), f"there is no {value!r}", ", ".join(known)
    for k, item in enumerate(raw.get("items") or ()):
        fault = item_fault(item)
        if fault:
            yield ("items", k), *fault
