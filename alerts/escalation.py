"""When what is due: reminders at 50, 80, 100 and 150 % of each clock, and the steps of the ladder.

Percentages remind the present level, only the ladder's `after_s` raises it, and accepting stops the accept
ladder alone. Every moment is computed, so that the spacing of ticks changes nothing. The clocks of life
safety never pause; those of other orders leave out holds, as far as they overlap with working time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from alerts.calendars import FOREVER, Calendar, Span, add_working
from alerts.matrix import Step
from alerts.orders_state import ENDED, PERCENT, Clock, Order, OrderState
from gateway.model import Ms

SETTLE_MS: Ms = 60_000
"""The value has been normal for so long before the sensor confirms a repair."""


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """Something that time will do to an order. `what`: ladder, remind or verify."""

    t: Ms
    what: str
    name: str = ""
    n: int = 0


def holds(order: Order) -> list[Span]:
    """Times that do not count for the order's clocks; an open hold lasts for ever, so far."""
    if order.life:
        return []
    return [(a or 0, FOREVER if b is None else b) for a, b in order.keep.holds]


def moment_of(order: Order, clock: Clock, percent: int, calendar: Calendar) -> Ms:
    """When so many percent of the clock's time have passed; FOREVER while a hold is in the way."""
    assert clock.seconds is not None, "a clock that is off has no moments"
    pauses, seconds = holds(order), clock.seconds * percent / 100
    if pauses and pauses[-1][1] == FOREVER:
        at = add_working(clock.start, seconds, calendar, pauses[:-1])
        return at if at <= pauses[-1][0] else FOREVER
    return add_working(clock.start, seconds, calendar, pauses)


def set_due(order: Order, calendar: Calendar) -> None:
    """Renew what the running clocks are due; an open hold leaves the old figure standing."""
    for clock in order.clocks.values():
        if clock.seconds and clock.met_at is None:
            at = moment_of(order, clock, 100, calendar)
            clock.due = clock.due if at == FOREVER and clock.due is not None else at


def step_at(order: Order, step: Step, calendar: Calendar) -> Ms:
    """When the step is due unless it is stopped.

    Counted from dispatch, or from when the order was given out again or became more urgent.
    """
    if step.until == "accept":
        start = order.keep.base
    else:
        start = max(order.stamps[OrderState.DISPATCHED], order.keep.ladder_base)
    return add_working(start, step.after_s, calendar)


def moments(order: Order, calendar: Calendar) -> Iterator[Moment]:
    """What is still to come, in no order: of each clock the next reminder, which comes before its others.

    Nothing for an order that is ended; of one that is verified only reminders.
    """
    if order.state in ENDED:
        return
    for name, clock in order.clocks.items():
        if clock.seconds and clock.met_at is None:
            percent = next((p for p in PERCENT if p not in clock.sent), None)
            if percent is not None:
                yield Moment(moment_of(order, clock, percent, calendar), "remind", name, percent)
    if order.state is OrderState.VERIFIED:
        return
    for n, step in enumerate(order.duty.ladder):
        if n not in order.keep.fired and order.keep.met.get(step.until) is None:
            yield Moment(step_at(order, step, calendar), "ladder", step.role, n)
    if order.state is OrderState.DONE and sensor_normal_since(order) is not None:
        since = sensor_normal_since(order) or 0
        yield Moment(max(order.stamps[OrderState.DONE], since + SETTLE_MS), "verify")


def sensor_normal_since(order: Order) -> Ms | None:
    """Since when all alarms that the order answers are clear; None when one is active or there are none."""
    times = list(order.keep.own.values())
    known = [t for t in times if t is not None]
    return max(known) if known and len(known) == len(times) else None


def next_at(order: Order, calendar: Calendar) -> Ms | None:
    """The next moment; None when nothing will happen by time alone."""
    first = min((m.t for m in moments(order, calendar)), default=FOREVER)
    return None if first == FOREVER else first


def present_role(order: Order, external: frozenset[str]) -> str:
    """Whom reminders go to: the highest level inside the firm that was called while nobody has accepted."""
    if order.keep.met.get("accept") is None:
        for entry in reversed(order.ladder):
            if entry["role"] not in external:
                return str(entry["role"])
    return order.party


def meet(order: Order, name: str, at: Ms) -> None:
    """A clock's aim was reached at `at`."""
    order.keep.met[name] = at
    clock = order.clocks[name]
    if clock.seconds:
        clock.met_at = at
        clock.state = "met" if clock.due is not None and at <= clock.due else "missed"


def unmeet(order: Order, name: str) -> None:
    """What was reached is lost again: the clock runs on from where it started."""
    order.keep.met[name] = None
    clock = order.clocks[name]
    if clock.seconds:
        clock.met_at = None
        clock.state = "missed" if 100 in clock.sent else "running"
