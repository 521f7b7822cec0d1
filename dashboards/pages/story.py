"""What happened, in the order in which people want to read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.model import Event, Ms, Text
from gateway.ports import StateStore

DAY: Ms = 86_400_000
LEAD: Ms = 60_000
"""The order of an alarm is made some seconds after it, or before when it joined an older one."""
SILENT = frozenset({"order.reminded", "order.linked", "notice.queued"})
"""Kinds that say nothing to a reader of a timeline."""


def told(state: StateStore, alarm: Mapping[str, Any]) -> list[Event]:
    """The events of an alarm's present occurrence and of its order, oldest first."""
    order = state.record("order", alarm["order"]) if alarm.get("order") else None
    since = min([t for t in (alarm["raised_at"], (order or {}).get("stamps", {}).get("NEW")) if t], default=0)
    subjects = [alarm["id"], *([alarm["order"]] if order else [])]
    found: dict[str, Event] = {}
    for subject in subjects:
        for _, e in state.events(estate=alarm["estate"], subject=subject, start=since - LEAD, limit=200):
            if e.kind not in SILENT:
                found[e.id] = e
    return sorted(found.values(), key=lambda e: e.t)


def asset_story(
    state: StateStore, asset: str, now: Ms, estate: str, days: int = 30
) -> list[tuple[Event, Text]]:
    """What happened to an asset in the last days, newest first, with the name of the alarm or order."""
    start = now - days * DAY
    found = state.events(estate=estate, asset=asset, start=start, limit=160, newest_first=True)
    names: dict[str, Text] = {}
    out = []
    for e in [e for _, e in found if e.kind not in SILENT][:60]:
        kind = e.kind.partition(".")[0]
        if kind in ("alarm", "order") and e.subject not in names:
            record = state.record(kind, e.subject) or {}
            names[e.subject] = record.get("name") or record.get("title") or {}
        out.append((e, names.get(e.subject, {})))
    return out
