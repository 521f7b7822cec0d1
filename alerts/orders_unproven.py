"""Closing against the sensor: refused, and that it was tried is a fact of supervision. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alerts.orders_state import Order, OrderState, last_stamp
from gateway.errors import Conflict
from gateway.model import Command, Event

if TYPE_CHECKING:
    from alerts.orders import OrderBook


class Unproven(Conflict):
    """Closing is refused because a sensor says otherwise. fact: the refusal, for the log."""

    def __init__(self, message: str, fact: Event) -> None:
        super().__init__(message)
        self.fact = fact


def not_while_abnormal(book: OrderBook, order: Order, cmd: Command) -> None:
    """Raises Unproven when work that is called done is to be closed while its sensor still alarms.

    The fact says whose word and whose sensor differed, when, and by which alarms.
    """
    active = sorted(a for a, since in order.keep.own.items() if since is None)
    if order.state is not OrderState.DONE or order.drill or not active:
        return
    known = [book.alarms[a] for a in active if a in book.alarms]
    zh, en = (
        sign.join(dict.fromkeys(a.name.get(k, a.rule) for a in known))
        for k, sign in (("zh", "、"), ("en", ", "))
    )
    reason = (
        f"the sensor still says abnormal: {en}; repair it, or a supervisor overrides (传感器仍显示异常：{zh})"
    )
    at = max(last_stamp(order), min(cmd.done_at, cmd.received_at))
    facts: dict[str, Any] = {"reason": reason, "active": active, "received_at": cmd.received_at}
    raise Unproven(reason, book.event(order, "order.close_refused", at, cmd.id, cmd.actor.id, **facts))
