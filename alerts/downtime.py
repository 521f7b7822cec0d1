"""Downtime as the sensors saw it, joined to the order that answers: raised to cleared, per alarm. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from alerts.alarms_state import Alarm
from alerts.orders_state import Order
from gateway.model import Ms


def down(order: Order, alarm: Alarm) -> None:
    """The alarm is active since it was raised; asked twice about one activation, it counts once."""
    known = [d for d in order.downtime if d["alarm"] == alarm.id]
    if not known or (known[-1]["to"] is not None and alarm.raised_at > known[-1]["from"]):
        order.downtime.append({"alarm": alarm.id, "from": alarm.raised_at, "to": None})


def up(order: Order, alarm: str, t: Ms) -> None:
    """The sensor says normal since `t`."""
    for entry in order.downtime:
        if entry["alarm"] == alarm and entry["to"] is None:
            entry["to"] = max(t, entry["from"])


def span(downtime: Iterable[Mapping[str, Any]]) -> tuple[Ms, Ms | None] | None:
    """First raised and last cleared of all; the end is None while something is down; None for none."""
    entries = list(downtime)
    if not entries:
        return None
    ends = [e["to"] for e in entries]
    return min(e["from"] for e in entries), None if None in ends else max(ends)
