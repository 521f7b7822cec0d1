"""What happened, in the order in which people want to read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.model import Event, Ms
from gateway.ports import StateStore

DAY: Ms = 86_400_000
SILENT = frozenset({"order.reminded", "order.linked", "notice.queued"})
"""Kinds that say nothing to a reader of a timeline."""


def told(state: StateStore, alarm: Mapping[str, Any]) -> list[Event]:
    """The events of an alarm's present occurrence and of its order, oldest first."""
    since = min(alarm["raised_at"] or 0, alarm["changed_at"] or 0) - 1
    subjects = [alarm["id"], *([alarm["order"]] if alarm.get("order") else [])]
    found: dict[str, Event] = {}
    for subject in subjects:
        for _, e in state.events(estate=alarm["estate"], subject=subject, start=since, limit=200):
            if e.kind not in SILENT:
                found[e.id] = e
    return sorted(found.values(), key=lambda e: e.t)


def asset_story(state: StateStore, asset: str, estate: str, now: Ms, days: int = 30) -> list[Event]:
    """What happened to an asset in the last days, newest first."""
    start = now - days * DAY
    found = state.events(estate=estate, asset=asset, start=start, limit=120, newest_first=True)
    return [e for _, e in found if e.kind not in SILENT][:60]
