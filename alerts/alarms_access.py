"""Who may do what to alarms and orders, and the checks that every command goes through first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alerts.calendars import stamp
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Command, Ms, Role

_DESK: frozenset[Role] = frozenset({"operator", "supervisor", "manager", "admin"})
_FIELD: frozenset[Role] = _DESK | {"technician", "contractor"}
_LEAD: frozenset[Role] = frozenset({"supervisor", "manager", "admin"})

MAY: Mapping[str, frozenset[Role]] = {
    "alarm.ack": _DESK, "alarm.note": _FIELD, "alarm.judge": _FIELD, "alarm.reset": _DESK,
    "alarm.shelve": _DESK, "alarm.unshelve": _DESK, "alarm.assign": _DESK, "alarm.oos": _LEAD,
    "order.create": _DESK, "order.accept": _FIELD, "order.en_route": _FIELD, "order.arrive": _FIELD,
    "order.work": _FIELD, "order.hold": _FIELD, "order.resume": _FIELD, "order.done": _FIELD,
    "order.check": _FIELD, "order.note": _FIELD, "order.reject": _FIELD, "order.close": _FIELD,
    "order.reassign": _DESK, "order.release": _DESK, "order.verify": _LEAD, "order.cancel": _LEAD,
    "order.photo": _FIELD, "order.cost": _FIELD, "order.uncost": _FIELD, "order.costs_ok": _FIELD,
    "case.open": _LEAD, "case.fill": _LEAD, "case.amount": _LEAD, "case.review": _LEAD,
    "case.request": _LEAD, "case.paid": _LEAD, "sample.result": _LEAD, "city.report": _DESK,
    "plan.put": _LEAD, "plan.move": _LEAD, "plan.last": _LEAD, "plan.pause": _LEAD,
    "order.confirm": _FIELD, "order.refuse": _FIELD, "drill.start": _DESK, "asset.mode": _LEAD,
    "order.handover": _FIELD, "link.make": _LEAD, "link.revoke": _LEAD,
    "silence.create": _DESK, "silence.end": _DESK,
    "permit.announce": _LEAD, "permit.withdraw": _LEAD, "permit.end": _LEAD,
    "hazard.report": _FIELD, "hazard.assign": _DESK, "hazard.fix": _FIELD, "hazard.refuse": _LEAD,
    "hazard.verify": _LEAD,
}  # fmt: skip
"""Access roles by command. Display, regulator and public may do nothing."""


def authorise(cmd: Command) -> None:
    """Raises BadInput for an unknown command, Forbidden when the role may not give it."""
    if cmd.kind not in MAY:
        raise BadInput(f"there is no command {cmd.kind!r}", field="kind", hint=", ".join(MAY))
    if cmd.actor.role not in MAY[cmd.kind]:
        raise Forbidden(
            f"{cmd.actor.role} may not do {cmd.kind}; it takes {', '.join(sorted(MAY[cmd.kind]))}"
        )


def in_scope(cmd: Command, *, firm: str, estate: str, system: str, what: str) -> None:
    """Raises NotFound, as for a thing that does not exist, when the caller may not see it."""
    if not cmd.actor.scope.allows(firm=firm, estate=estate, system=system):
        raise NotFound(f"there is no {what} {cmd.subject!r}")


def same_version(cmd: Command, version: int, by: str, at: Ms) -> None:
    """Raises Conflict, with who changed it and when, when the caller looked at an older version."""
    if cmd.version is not None and cmd.version != version:
        raise Conflict(f"changed by {by or 'steward'} at {stamp(at)}; look again (version {version})")


def text(cmd: Command, name: str) -> str:
    """A text that the command must carry. Raises BadInput."""
    value = cmd.data.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > 2000:
        raise BadInput("a text of 1 to 2000 characters is needed", field=name, hint="say why or what")
    return value.strip()


def number(cmd: Command, name: str, low: float, high: float) -> float:
    """A number within [low, high] that the command must carry. Raises BadInput."""
    value: Any = cmd.data.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadInput(
            f"a number from {_plain(low)} to {_plain(high)} is needed, not {value!r:.40}", field=name
        )
    return float(value)


def _plain(limit: float) -> str:
    """Without an exponent: a time in ms is thirteen digits."""
    return f"{limit:.0f}" if limit == int(limit) else f"{limit:g}"
