"""Two acts of the person on site: how an arrival was proven, and handing the work to a colleague. Pure."""

from __future__ import annotations

from typing import Any

from alerts.alarms_access import text
from alerts.orders_state import Order
from gateway.errors import BadInput, Forbidden
from gateway.model import Command

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
