"""What people do to orders. What is possible is read from the state table; the checks here are who and why.

Stamps carry the time at which the person did it (`done_at`), never before the stamp before it and never
after the core heard of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from alerts.alarms_access import authorise, in_scope, number, same_version, text
from alerts.calendars import stamp
from alerts.escalation import meet, sensor_normal_since
from alerts.matrix import EVENTS
from alerts.orders_pass import arrival, mark, may_hand_over, moved_by, unseen, who_did
from alerts.orders_proof import PROOF, ready_for_close, ready_for_done
from alerts.orders_state import (
    AT_WORK,
    CAUSE_CODES,
    FLOW,
    HOLD_REASONS,
    WAITING,
    Order,
    OrderState,
    last_stamp,
    make_id,
)  # fmt: skip
from alerts.orders_unproven import not_while_abnormal
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Asset, Command, Event, Ms

if TYPE_CHECKING:
    from alerts.orders import OrderBook

_S = OrderState
LIFE_EVENTS = frozenset({"entrapment", "fire_alarm", "fire_confirmed", "gas", "call_button"})
"""Reported by a person, these are life safety, too."""


def apply(book: OrderBook, cmd: Command) -> list[Event]:
    """Carry out one command. Raises Conflict, Forbidden, NotFound or BadInput; then nothing has changed."""
    authorise(cmd)
    if cmd.kind == "order.create":
        return create(book, cmd)
    act = _ACTS.get(cmd.kind)
    if act is None:
        raise BadInput(f"{cmd.kind} is not about an order", field="kind", hint=", ".join(_ACTS))
    order = book.get(cmd.subject)
    in_scope(
        cmd, firm=book.firms.get(order.estate, ""), estate=order.estate, system=order.system, what="order"
    )
    same_version(cmd, order.version, order.keep.changed_by, order.keep.changed_at)
    _of_the_party(order, cmd)
    # A stamp is when the person says that it was done; the log tells, too, when the core heard of it.
    return [replace(e, data={**e.data, "received_at": cmd.received_at}) for e in act(book, order, cmd)]


def _of_the_party(order: Order, cmd: Command) -> None:
    """Technicians and contractors act on orders of their own duty only."""
    if cmd.actor.role not in ("technician", "contractor") or cmd.actor.id == order.assignee:
        return
    called = {order.party, order.backup, *(str(e["role"]) for e in order.ladder)}
    if not called & cmd.actor.duties:
        raise Forbidden(f"the order belongs to {order.party}; you fill {', '.join(sorted(cmd.actor.duties))}")


def _when(order: Order, cmd: Command) -> Ms:
    return max(last_stamp(order), min(cmd.done_at, cmd.received_at))


def _check(order: Order, act: str) -> None:
    if (order.state, act) not in FLOW:
        word = (
            f"already {order.state}" if FLOW_ENDS.get(act) == order.state else f"{order.state}: cannot {act}"
        )
        raise Conflict(f"{word}{moved_by(order)}")


FLOW_ENDS = {act: state for (_, act), state in FLOW.items()}


def _accept(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    if order.state in AT_WORK:
        raise Conflict(f"already accepted by {order.by[_S.ACCEPTED]} at {stamp(order.stamps[_S.ACCEPTED])}")
    _check(order, "accept")
    if order.assignee not in ("", cmd.actor.id):
        unseen(order, cmd, "reassign", f"given to {order.assignee}")
    against = book.assigner.against(order, cmd.actor, cmd.received_at) if book.assigner else None
    if against:
        raise Forbidden(f"not this work: {against['en']} ({against['zh']})")
    at = _when(order, cmd)
    order.assignee = cmd.actor.id
    meet(order, "accept", at)
    return book.move(order, "accept", at, cmd.actor.id, cmd.id)


def _plain(act: str) -> Callable[[OrderBook, Order, Command], list[Event]]:
    def step(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
        _check(order, act)
        return book.move(order, act, _when(order, cmd), cmd.actor.id, cmd.id)

    return step


def _arrive(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    _check(order, "arrive")
    place = {n: number(cmd, n, -180, 180) for n in ("lat", "lon") if cmd.data.get(n) is not None}
    at, proven = _when(order, cmd), arrival(cmd)
    if order.keep.met.get("arrive") is None:
        meet(order, "arrive", at)
    order.arrival = proven["proof"]
    # What somebody only tapped counts as declared in reports.
    return book.move(order, "arrive", at, cmd.actor.id, cmd.id, **proven, **place)


def _hold(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    _check(order, "hold")
    reason = text(cmd, "reason")
    if reason not in HOLD_REASONS:
        raise BadInput(f"{reason!r} is no reason", field="reason", hint=", ".join(HOLD_REASONS))
    at = _when(order, cmd)
    order.hold_reason, order.keep.held_from = reason, order.state
    order.keep.holds.append([at, None])
    return book.move(order, "hold", at, cmd.actor.id, cmd.id, reason=reason, pauses=not order.life)


def _end_hold(order: Order, at: Ms) -> None:
    if order.keep.holds and order.keep.holds[-1][1] is None:
        order.keep.holds[-1][1] = at
    order.hold_reason = order.keep.held_from = ""


def _resume(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    act = f"resume:{order.keep.held_from}"
    _check(order, act if order.keep.held_from else "resume")
    at = _when(order, cmd)
    held_ms = at - order.stamps[_S.ON_HOLD]
    _end_hold(order, at)
    mark(order, cmd, "resume")
    return book.move(order, act, at, cmd.actor.id, cmd.id, held_ms=held_ms)


def _done(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    _check(order, "done")
    code, action = text(cmd, "cause_code"), text(cmd, "action")
    if code not in CAUSE_CODES:
        raise BadInput(f"{code!r} is no cause code", field="cause_code", hint=", ".join(CAUSE_CODES))
    ready_for_done(order)
    order.cause_code, order.action = code, action
    at = _when(order, cmd)
    if not order.keep.own and order.keep.met.get("restore") is None:
        meet(order, "restore", at)  # no sensor knows: the person's word
    return book.move(order, "done", at, cmd.actor.id, cmd.id, cause_code=code)


def _verify(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    _check(order, "verify")
    reason = text(cmd, "reason")
    if cmd.actor.id in (order.assignee, order.by.get(_S.DONE)):
        raise Forbidden("whoever did the work cannot confirm it; another supervisor can")
    at = _when(order, cmd)
    order.verified_by, order.override_reason = cmd.actor.id, reason
    if order.keep.met.get("restore") is None:
        meet(order, "restore", at)
    active = [a for a, t in order.keep.own.items() if t is None]
    return book.move(order, "verify", at, cmd.actor.id, cmd.id, reason=reason, override=True, active=active)


def _close(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    not_while_abnormal(book, order, cmd)
    _check(order, "close")
    ready_for_close(order, cmd)
    facts = {"measured": _measured(order), "downtime": order.downtime, "cause_code": order.cause_code}
    facts |= {"cost_fen": order.costs_confirmed.get("total_fen"), "plan": order.plan}
    return book.move(order, "close", _when(order, cmd), cmd.actor.id, cmd.id, **facts)


def _measured(order: Order) -> bool:
    """Whether a sensor, not a person, says that it is repaired."""
    return not order.override_reason and sensor_normal_since(order) is not None


def _reject(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    _check(order, "reject")
    reason = text(cmd, "reason")
    _note(order, cmd, reason)
    return book.move(order, "reject", _when(order, cmd), cmd.actor.id, cmd.id, reason=reason)


def _reassign(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    _check(order, "reassign")
    to = text(cmd, "to")
    if to.isupper() and to not in book.matrix.roles:
        raise BadInput(f"there is no duty {to!r:.40}", field="to", hint=", ".join(book.matrix.roles))
    unseen(order, cmd, "reassign", f"given to {order.assignee or order.party}")
    if to not in book.matrix.roles and book.assigner:
        against = book.assigner.unfit(order, to, cmd.received_at)
        if against:
            raise Forbidden(f"{against['en']} ({against['zh']})")
    at = _when(order, cmd)
    mark(order, cmd, "reassign")
    was = order.assignee or order.party
    accepted = order.keep.met.get("accept") is not None
    if order.state is _S.ON_HOLD:
        _end_hold(order, at)
    if to in book.matrix.roles:
        order.party, order.party_name, order.assignee = to, book.matrix.role_name(to), ""
    else:
        order.assignee = to
    if accepted:  # somebody new has to accept: that clock and its steps start again
        order.keep.turn, order.keep.base = order.keep.turn + 1, at
        order.keep.fired = [n for n in order.keep.fired if order.duty.ladder[n].until != "accept"]
        order.keep.met["accept"] = None
        clock = order.clocks["accept"]
        if clock.seconds:
            clock.start, clock.met_at, clock.state, clock.sent = at, None, "running", []
    for s in (_S.ACCEPTED, _S.EN_ROUTE, _S.ON_SITE, _S.WORKING, _S.ON_HOLD, _S.REJECTED):
        order.stamps.pop(s, None)
    return book.move(order, "reassign", at, cmd.actor.id, cmd.id, to=to, was=was)


def _hand_over(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    may_hand_over(order, cmd)
    return _reassign(book, order, cmd)


def _cancel(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    _check(order, "cancel")
    reason = text(cmd, "reason")
    if order.life and not order.drill and any(t is None for t in order.keep.own.values()):
        raise Conflict("a life-safety order is not cancelled while its alarm is active")
    at = _when(order, cmd)
    if order.state is _S.ON_HOLD:
        _end_hold(order, at)
    _note(order, cmd, reason)
    return book.move(order, "cancel", at, cmd.actor.id, cmd.id, reason=reason)


def _add_note(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    _note(order, cmd, text(cmd, "text"))
    book.touch(order, cmd.received_at, cmd.actor.id)
    return [book.event(order, "order.noted", cmd.received_at, cmd.id, cmd.actor.id, text=cmd.data["text"])]


def _release(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    if not order.keep.withheld:
        raise Conflict(f"no call is being withheld{who_did(order, 'release')}")
    mark(order, cmd, "release")
    calls, order.keep.withheld = order.keep.withheld, []
    book.touch(order, cmd.received_at, cmd.actor.id)
    return [book.event(order, "order.released", cmd.received_at, cmd.id, cmd.actor.id, calls=calls)]


def _note(order: Order, cmd: Command, words: str) -> None:
    order.notes.append({"t": cmd.received_at, "by": cmd.actor.id, "text": words})


def create(book: OrderBook, cmd: Command) -> list[Event]:
    """An order from a person: a resident's report, a call, or one's own observation."""
    asset = book.assets.get(cmd.subject)
    if asset is None:
        raise NotFound(f"there is no asset {cmd.subject!r}")
    in_scope(cmd, firm=book.firms.get(asset.estate, ""), estate=asset.estate, system=asset.kind, what="asset")
    event, words = str(cmd.data.get("event") or "human_report"), text(cmd, "text")
    source = str(cmd.data.get("source") or "manual")
    if event not in EVENTS or source not in ("resident", "call", "manual"):
        raise BadInput(
            f"event {event!r} or source {source!r} is unknown", field="event", hint=", ".join(EVENTS)
        )
    life = event in LIFE_EVENTS
    priority = 1 if life else int(number(cmd, "priority", 1, 4)) if "priority" in cmd.data else 3
    duty = book.matrix.match_or_fallback(event, asset, priority, cmd.received_at)
    for order in book.orders.values():
        same = (
            order.asset == asset.id
            and order.party == duty.party
            and order.life == life
            and not (order.drill or order.plan)
        )
        urgent = order.priority <= priority  # a more urgent report is not lost in a lesser order
        if same and urgent and order.state in WAITING | AT_WORK and (order.event == event or not life):
            _note(order, cmd, words)
            book.touch(order, cmd.received_at, cmd.actor.id)
            return [book.event(order, "order.linked", cmd.received_at, cmd.id, cmd.actor.id, merged=True)]
    return _new(book, asset, cmd, event, life, priority, source, words)


def _new(
    book: OrderBook,
    asset: Asset,
    cmd: Command,
    event: str,
    life: bool,
    priority: int,
    source: str,
    words: str,
) -> list[Event]:
    title = {k: f"{asset.name.get(k, asset.id)} {words[:60]}" for k in ("zh", "en")}
    order = Order(
        id=make_id("wo", cmd.id), estate=asset.estate, asset=asset.id, system=asset.kind, alarm=None,
        incident=make_id("inc", cmd.id), event=event, party="", title=title, priority=priority, life=life,
        drill=False, source=source,
    )  # fmt: skip
    duty = book.matrix.match_or_fallback(event, asset, priority, cmd.received_at)
    order.party = duty.party
    _note(order, cmd, words)
    return book.dispatch(order, duty, cmd.id, cmd.received_at, by=cmd.actor.id)


_ACTS: dict[str, Callable[[OrderBook, Order, Command], list[Event]]] = {
    "order.accept": _accept,
    "order.en_route": _plain("en_route"),
    "order.arrive": _arrive,
    "order.work": _plain("work"),
    "order.hold": _hold,
    "order.resume": _resume,
    "order.done": _done,
    "order.verify": _verify,
    "order.close": _close,
    "order.reject": _reject,
    "order.reassign": _reassign,
    "order.handover": _hand_over,
    "order.note": _add_note,
    "order.cancel": _cancel,
    "order.release": _release,
    **PROOF,
}
