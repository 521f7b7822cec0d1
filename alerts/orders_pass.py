"""Acts that meet: how an arrival was proven, handing the work on, and two people who act at once. Pure."""

from __future__ import annotations

from typing import Any

from alerts.alarms_access import text
from alerts.calendars import stamp
from alerts.orders_state import AT_WORK, Order, OrderState
from gateway.errors import BadInput, Conflict, Forbidden
from gateway.model import Command, Ms

PROOFS = ("qr", "typed", "gps", "none")
"""How an arrival was proven: the code on the asset scanned, or typed; a place from the phone; nothing."""
SEEN = frozenset({"qr", "typed"})
"""Proofs that need somebody in front of the asset. Everything else counts as declared."""
FIELD = ("technician", "contractor")


def arrival(cmd: Command) -> dict[str, Any]:
    """{"proof", "evidence"} of an arrival; the web has checked the code before. Raises BadInput."""
    proof = str(cmd.data.get("proof") or ("gps" if cmd.data.get("lat") is not None else "none"))
    if proof not in PROOFS:
        raise BadInput(f"{proof!r:.40} proves nothing", field="proof", hint=", ".join(PROOFS))
    facts = {"proof": proof, "evidence": "code" if proof in SEEN else "declared"}
    return facts | ({"code_refused": True} if cmd.data.get("code_refused") else {})


def may_hand_over(order: Order, cmd: Command) -> None:
    """Raises Forbidden unless the work is the person's own and goes to somebody by name.

    Whoever leads the desk may pass on any order, also to a duty.
    """
    to = text(cmd, "to")
    if to == cmd.actor.id:
        raise BadInput("it is yours already", field="to", hint="name a colleague")
    if cmd.actor.role not in FIELD:
        return
    if order.assignee not in ("", cmd.actor.id):
        raise Forbidden(f"{order.assignee} has this work; who has it hands it over")
    if to.isupper():
        raise Forbidden("name a colleague; the control room passes work on to another duty")


# ── two at once ───────────────────────────────────────────────────────────────────────────────────────

SEEN_MS: Ms = 5_000
"""What another person did is on every screen after so long."""


def mark(order: Order, cmd: Command, act: str) -> None:
    """Note who did what the table of states does not stamp."""
    order.keep.acts[act] = [cmd.actor.id, cmd.received_at]


def who_did(order: Order, act: str) -> str:
    """` by … at …`; nothing when nobody has."""
    by, at = order.keep.acts.get(act) or ("", 0)
    return f", by {by} at {stamp(at)}" if by else ""


def moved_by(order: Order) -> str:
    """`, by … at …`: who brought the order to where it stands. Going back to a state leaves no new stamp."""
    by, at = order.by.get(order.state, "steward"), order.stamps.get(order.state, 0)
    for act in ("resume", "refuse"):
        who, t = order.keep.acts.get(act) or ("", -1)
        if order.state in AT_WORK - {OrderState.ON_HOLD} and t >= at:
            by, at = who, t
    return f", by {by} at {stamp(at)}"


def unseen(order: Order, cmd: Command, act: str, said: str) -> None:
    """Raises Conflict when another person has just done what this act would undo without having seen it.

    Who names the version that is shown has seen it; so has who acts some seconds later.
    """
    by, at = order.keep.acts.get(act) or ("", 0)
    if by and by != cmd.actor.id and cmd.version is None and cmd.done_at < at + SEEN_MS:
        raise Conflict(f"{said}, by {by} at {stamp(at)}; look again")
