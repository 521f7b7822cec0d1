"""What makes an order more urgent: another alarm that joins, or an edited rule of one that it has. Pure.

An order of life safety stays one when a rule is made milder again: nobody is called off by an edit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts.alarms_state import Alarm
from alerts.matrix import Duty
from alerts.orders_state import WAITING, Order, OrderState, items_of, start_clocks
from gateway.model import Asset, Event, Ms

if TYPE_CHECKING:
    from alerts.orders import OrderBook


def upgrade(book: OrderBook, order: Order, alarm: Alarm, duty: Duty, now: Ms) -> list[Event]:
    """A more urgent alarm joins: its duty takes over and whoever has accepted is told."""
    was, order.priority = order.priority, alarm.priority
    _take_over(order, duty, now)
    for name, fresh in start_clocks(duty, now).items():
        clock = order.clocks[name]
        if fresh.seconds and clock.met_at is None and order.keep.met.get(name) is None:
            ends = clock.start + clock.seconds * 1000 if clock.seconds else None
            if ends is None or now + fresh.seconds * 1000 < ends:
                order.clocks[name] = fresh
    return [book.event(order, "order.upgraded", now, f"{order.id}:{order.keep.turn}", was=was)]


def rule_changed(book: OrderBook, e: Event, now: Ms) -> list[Event]:
    """The alarm's rule was edited: its orders become as urgent as it says now.

    An order of its own that nobody of another party has accepted becomes the one of life safety. Where other
    work is in it, or the party is another one, the alarm gets an order beside it, as a new alarm would.
    """
    alarm = book.alarms.get(e.subject)
    if alarm is None or not alarm.active or alarm.drill:
        return []
    held = [o for o in book.of_alarm(alarm.id) if o.state is not OrderState.VERIFIED]
    if not held:
        return []  # it was hidden: what uncovers it calls for an order
    asset = book.assets.get(alarm.asset) or Asset(alarm.asset, alarm.estate, "gateway", {})
    duties = book.duties(alarm, asset, now)
    if not alarm.life:
        pairs = [(o, d) for o in held for d in duties if o.duty.part == d.part]
        return [x for o, d in pairs if alarm.priority < o.priority for x in _raised(book, o, alarm, d, now)]
    if any(o.life for o in held):
        return []
    out: list[Event] = []
    for duty in duties:
        fit = next((o for o in held if o.duty.part == duty.part and _may_become(o, alarm, duty)), None)
        out += _become(book, fit, alarm, duty, now) if fit else book.give(alarm, asset, duty, e, now)
    return out


def _raised(book: OrderBook, order: Order, alarm: Alarm, duty: Duty, now: Ms) -> list[Event]:
    out = upgrade(book, order, alarm, duty, now)
    book.touch(order, now, "steward")
    return out


def _may_become(order: Order, alarm: Alarm, duty: Duty) -> bool:
    """Nothing else is in the order, and its party is the right one, or has not taken it yet."""
    alone = all(id_ == alarm.id or over is not None for id_, over in order.keep.own.items())
    return alone and not (order.life or order.plan) and (order.party == duty.party or order.state in WAITING)


def _become(book: OrderBook, order: Order, alarm: Alarm, duty: Duty, now: Ms) -> list[Event]:
    """All clocks that still run begin anew: what was due before was due for something else.

    Holds pause nothing from now on. Who has accepted keeps the order and is called all the same.
    """
    was = order.priority
    order.life, order.priority, order.event = True, alarm.priority, alarm.event
    if order.party != duty.party:
        order.party, order.party_name, order.assignee = duty.party, duty.party_name, ""
    order.backup, order.supervisor = duty.backup, duty.supervisor
    order.fund_eligible, order.legal = duty.fund_eligible, duty.legal
    order.matrix_row, order.matrix_version = duty.row, duty.version
    order.informed += [r for r in duty.inform if r not in order.informed]
    _take_over(order, duty, now)
    for name, fresh in start_clocks(duty, now).items():
        if order.clocks[name].met_at is None and order.keep.met.get(name) is None:
            order.clocks[name] = fresh
    known = {i["id"] for i in order.checklist}
    asked = book.templates.items(order.event, order.system, items_of(order, duty))
    order.checklist += [i for i in asked if i["id"] not in known]
    book.touch(order, now, "steward")
    key = f"{order.id}:{order.keep.turn}"
    return [book.event(order, "order.upgraded", now, key, was=was, life=True, why="the rule was edited")]


def _take_over(order: Order, duty: Duty, now: Ms) -> None:
    """The ladder of the duty, from its first step on."""
    order.keep.duty = duty
    order.keep.base = now if order.state in WAITING else order.keep.base
    order.keep.ladder_base = now
    order.keep.fired, order.keep.turn = [], order.keep.turn + 1
