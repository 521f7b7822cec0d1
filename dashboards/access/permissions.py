"""The permission table: which access role may do which action. `docs/permissions.md` is made from it.

The role says what, the scope (firms × estates × systems) says where, and for technicians and contractors
the duty says whose work orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.model import ROLES, Actor, Role

O, T, S, M, C, R, A, D = (  # noqa: E741 - the columns of the table below
    "operator",
    "technician",
    "supervisor",
    "manager",
    "contractor",
    "regulator",
    "admin",
    "display",
)

ACTIONS: Mapping[str, tuple[str, frozenset[str]]] = {
    name: (meaning, frozenset(roles))
    for name, meaning, *roles in (
        ("view.wall", "live picture: snapshot, stream, health, series, one alarm", O, T, S, M, C, A, D),
        ("view.asset", "the page of an asset, with its history", O, T, S, M, C, A),
        ("view.orders", "work orders", O, T, S, M, C, A),
        ("view.events", "the event log of the scope (masked for the regulator)", O, T, S, M, C, R, A),
        ("view.stats", "figures", O, S, M, R, A),
        ("export", "figures as a file", S, M, R, A),
        ("alarm.ack", "acknowledge", O, S, M, A),
        ("alarm.shelve", "shelve for a time, with a reason (never life safety)", O, S, M, A),
        ("alarm.unshelve", "take back from the shelf", O, S, M, A),
        ("alarm.assign", "name who looks after it", O, S, M, A),
        ("alarm.note", "write a note", O, T, S, M, C, A),
        ("alarm.judge", "say whether it was true, false or a nuisance", O, T, S, M, C, A),
        ("alarm.oos", "out of service; life safety needs a second person who may do this", S, M, A),
        ("alarm.reset", "reset a latched alarm, with evidence", O, S, M, A),
        ("order.create", "open one for what a person reports", O, S, M, A),
        ("order.release", "let the calls of a drill or a commissioning leave the estate", O, S, M, A),
        ("order.accept", "accept", O, T, S, M, C, A),
        ("order.en_route", "on the way", O, T, S, M, C, A),
        ("order.arrive", "arrived", O, T, S, M, C, A),
        ("order.work", "work begins", O, T, S, M, C, A),
        ("order.hold", "pause with a reason", O, T, S, M, C, A),
        ("order.resume", "go on", O, T, S, M, C, A),
        ("order.done", "done, with cause and action", O, T, S, M, C, A),
        ("order.check", "fill in an item of the checklist", O, T, S, M, C, A),
        ("order.note", "write a note", O, T, S, M, C, A),
        ("order.photo", "add a photo as evidence", O, T, S, M, C, A),
        ("order.cost", "write down parts, labour and other costs", O, T, S, M, C, A),
        ("order.uncost", "take a cost line back", O, T, S, M, C, A),
        ("order.costs_ok", "confirm the costs; above zero never by who is paid", O, T, S, M, C, A),
        ("order.confirm", "confirm work that somebody else did", O, T, S, M, C, A),
        ("order.refuse", "not confirm it, with a reason: the work goes on", O, T, S, M, C, A),
        ("order.reject", "refuse with a reason", O, T, S, M, C, A),
        ("order.reassign", "hand over to somebody else", O, S, M, A),
        ("order.handover", "hand one's own work to a colleague", O, T, S, M, C, A),
        ("order.verify", "override the sensor: it is in order, with a reason", S, M, A),
        ("order.close", "close a verified order whose checklist is complete", O, T, S, M, C, A),
        ("order.cancel", "cancel with a reason", S, M, A),
        ("link.make", "let somebody without an account work on one order, by a one-time link", S, M, A),
        ("link.revoke", "end such a link before its time", S, M, A),
        ("silence.create", "hold back notices and sound (never life safety), with a preview", O, S, M, A),
        ("silence.end", "end a silence before its time", O, S, M, A),
        ("permit.announce", "announce planned work; life safety needs a second person", S, M, A),
        ("permit.withdraw", "withdraw it before it begins", S, M, A),
        ("permit.end", "end it before its time", S, M, A),
        ("view.hazards", "the hazard list", O, T, S, M, C, R, A),
        ("hazard.report", "put a hazard on the list", O, T, S, M, C, A),
        ("hazard.assign", "say who fixes it and until when", O, S, M, A),
        ("hazard.fix", "fixed, with proof", O, T, S, M, C, A),
        ("hazard.refuse", "the proof is not enough", S, M, A),
        ("hazard.verify", "verified by a second person", S, M, A),
        ("view.reports", "reports of residents with words and telephone; codes for stickers", O, S, M, A),
        ("city.report", "hand in a case of the city's platform", O, S, M, A),
        ("view.cases", "cases of the emergency fund", S, M, A),
        ("case.open", "open a case for an order that the fund may pay", S, M, A),
        ("case.fill", "fill a slot of a case, with papers", S, M, A),
        ("case.amount", "enter the amount of a case", S, M, A),
        ("case.review", "review an amount that somebody else entered", S, M, A),
        ("case.request", "request the payment", S, M, A),
        ("case.paid", "note that the payment came", S, M, A),
        ("export.dossier", "fetch the signed dossier of a case", S, M, A),
        ("sample.result", "record what a re-inspection found", S, M, A),
        ("plan.put", "make or change a preventive plan, within the law", S, M, A),
        ("plan.move", "move a plan's due date, with a reason and within the law", S, M, A),
        ("plan.last", "record when a plan's work was done before", S, M, A),
        ("plan.pause", "stop a plan or let it go on, with a reason", S, M, A),
        ("leave.ask", "ask for leave or a swap of shifts; for others: supervisors", O, T, S, M, C, A),
        ("leave.withdraw", "take one's own leave back; that of others: supervisors", O, T, S, M, C, A),
        ("leave.accept", "say yes to standing in, when asked to", O, T, S, M, C, A),
        ("leave.decline", "say no to standing in, when asked to", O, T, S, M, C, A),
        ("leave.approve", "approve leave or a swap (never one's own)", S, M, A),
        ("leave.refuse", "refuse leave or a swap, with a reason", S, M, A),
        ("view.handover", "shift handovers", O, S, M, A),
        ("handover.open", "open the handover of a shift", O, S, M, A),
        ("handover.note", "write a note for the next shift", O, S, M, A),
        ("handover.sign", "sign a handover, in one's own session", O, S, M, A),
        ("asset.mode", "commissioning or normal", S, M, A),
        ("drill.start", "start a drill", O, S, M, A),
        ("point.write", "write a point that the site file lists, with a reason", M, A),
        ("edge.trace", "frames of a line at an edge: switch their recording, look at them", T, S, M, A),
        ("edge.retry", "let an edge try silent devices again at once", O, T, S, M, A),
        ("settings.view", "read matrix, shifts, calendars, limits, channels", S, M, A),
        ("settings.put", "change them", M, A),
        ("users.view", "list people", M, A),
        ("users.put", "make and change people", A),
        ("session.password", "change one's own password", O, T, S, M, C, R, A),
        ("session.logout", "log out (a wall stays)", O, T, S, M, C, R, A),
        ("breakit", "break something in the demonstration (demo only)", O, S, M, A),
    )
}
"""Action → its meaning and the roles that may do it. `public` may do nothing: its pages need no log-in."""

DUTY_BOUND: frozenset[str] = frozenset({"technician", "contractor"})
"""Roles that act only on work orders of their own duty, or that are assigned to them."""


def allows(role: str, action: str) -> bool:
    """Whether the role may do the action. Raises KeyError for an action that does not exist."""
    return role in ACTIONS[action][1]


def actions_of(role: str) -> list[str]:
    """All that a role may do, in the order of the table."""
    return [name for name, (_, roles) in ACTIONS.items() if role in roles]


def owns(actor: Actor, order: Mapping[str, Any]) -> bool:
    """Whether the person may act on this very order; roles that are not duty-bound may on all in scope."""
    return actor.role not in DUTY_BOUND or concerns(actor, order)


def concerns(actor: Actor, order: Mapping[str, Any]) -> bool:
    """Whether an order is the person's: assigned by name, or to a duty that was called for it."""
    called = {
        order.get("party"),
        order.get("backup"),
        *(step.get("role") for step in order.get("ladder") or ()),
    }
    return bool(called & actor.duties) or actor.id == order.get("assignee")


def markdown() -> str:
    """The table as it stands in docs/permissions.md."""
    roles: tuple[Role, ...] = ROLES
    lines = [
        f"| action | meaning | {' | '.join(roles)} |",
        f"|---|---|{'---|' * len(roles)}",
    ]
    for name, (meaning, who) in ACTIONS.items():
        marks = " | ".join("●" if role in who else "·" for role in roles)
        lines.append(f"| `{name}` | {meaning} | {marks} |")
    return "\n".join(lines) + "\n"
