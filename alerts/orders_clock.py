"""What time does to an order: reminders, steps of the ladder, the sensor's confirmation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alerts.escalation import Moment, moments, next_at, present_role
from alerts.orders_state import Order
from gateway.model import Event, Ms

if TYPE_CHECKING:
    from alerts.orders import OrderBook


def run(book: OrderBook, order: Order, now: Ms) -> list[Event]:
    """Everything that is due for the order by `now`, each with its own exact time."""
    out: list[Event] = []
    while True:  # each moment may change what comes after it
        due = min((m for m in moments(order, book.calendar(order)) if m.t <= now), default=None)
        if due is None:
            break
        out += _fire(book, order, due)
    order.keep.next_at = next_at(order, book.calendar(order))
    return out


def _fire(book: OrderBook, order: Order, m: Moment) -> list[Event]:
    key = f"{order.id}:{order.keep.turn}:{m.name}:{m.n}"
    if m.what == "verify":
        return book.move(order, "verify", m.t, "steward", f"{order.id}:{m.t}", by="sensor")
    if m.what == "remind":
        clock = order.clocks[m.name]
        clock.sent.append(m.n)
        clock.state = "missed" if m.n >= 100 else clock.state
        outside = frozenset(r for r in book.matrix.roles if book.matrix.external(r))
        role = present_role(order, outside)
        book.touch(order, m.t, "steward")
        facts: dict[str, Any] = {"clock": m.name, "percent": m.n, "role": role, "due": clock.due}
        return [book.event(order, "order.reminded", m.t, f"{key}:{clock.start}", **facts)]
    step = order.duty.ladder[m.n]
    order.keep.fired.append(m.n)
    order.ladder_level = max(order.ladder_level, m.n + 1)
    reason = f"no {step.until} after {step.after_s} s"
    order.ladder.append({"t": m.t, "level": m.n + 1, "role": step.role, "reason": reason})
    if step.role not in order.informed:
        order.informed.append(step.role)
    book.touch(order, m.t, "steward")
    facts = {"level": m.n + 1, "role": step.role, "channel": step.channel, "reason": reason}
    return [book.event(order, "order.escalated", m.t, key, **facts)]
