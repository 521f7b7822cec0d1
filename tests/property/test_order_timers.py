"""The heap of timers against a look at every order: the same events, in the same order, under any history."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from alerts.desk import Dispatch
from alerts.due import Due
from alerts.notices_repeat import AGAIN, REPEAT_MS, CallBook
from alerts.orders import KEEP_MS, OrderBook
from alerts.orders_clock import run
from alerts.orders_state import WAITING
from gateway.errors import BadInput, Refused
from gateway.model import Actor, Command, Event, Ms
from tests.unit.alerts_life.life_kit import T0, find, make_desk

BOSS = Actor("zhao", role="manager")
WHAT = {"water.low": "ws", "lift.trapped": "lift", "power.out": "pw", "cover.moved": "mh", "meter.flat": "em"}
ACTS: dict[str, dict[str, Any]] = {
    "accept": {}, "arrive": {}, "hold": {"reason": "parts"}, "resume": {}, "reassign": {"to": "FM"},
    "done": {"cause_code": "wear", "action": "x"}, "verify": {"reason": "seen"}, "close": {"total_fen": 0},
    "cancel": {"reason": "no"}, "check": {"item": "freed", "value": 1},
}  # fmt: skip
STEPS = st.one_of(
    st.tuples(st.just("find"), st.sampled_from(sorted(WHAT)), st.booleans()),
    st.tuples(st.just("act"), st.sampled_from(sorted(ACTS)), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.sampled_from([1, 59, 61, 180, 1800, 40_000, 8 * 86_400]), st.just(0)),
)


class Plain(OrderBook):
    """The specification: every order is looked at, every time."""

    def tick(self, now: Ms) -> list[Event]:
        due = [o for o in self.orders.values() if o.keep.next_at is not None and o.keep.next_at <= now]
        out = [e for order in due for e in run(self, order, now)]
        for order in [o for o in self.orders.values() if not o.open and o.keep.changed_at + KEEP_MS <= now]:
            del self.orders[order.id]
            self._by_asset[order.asset].remove(order.id)
            for alarm in order.keep.own:
                self._by_alarm[alarm].remove(order.id)
        return sorted(out, key=lambda e: (e.t, e.subject))


def desks() -> tuple[Dispatch, Dispatch]:
    one, other = make_desk(), make_desk()
    other.orders.__class__ = Plain
    return one, other


def play(desk: Dispatch, history: list[tuple[str, Any, Any]]) -> list[list[tuple[str, Ms]]]:
    """The events of every step, and what the orders are like at the end."""
    now, onset, out = T0, dict[str, Ms](), []
    for n, (what, which, more) in enumerate(history):
        now += 1000
        if what == "find" and (more or which in onset):
            onset[which] = now if more else onset[which]
            events = desk.step([find(which, WHAT[which], now, on=more, onset=onset[which])], now).events
        elif what == "act" and desk.orders.orders:
            ids = sorted(desk.orders.orders)
            cmd = Command(f"c{n}", f"order.{which}", ids[more % len(ids)], BOSS, now, now, None, ACTS[which])
            try:
                events = desk.command(cmd)[0].events
            except (Refused, BadInput):
                events = desk.tick(now).events
        else:
            now += which * 1000 if what == "wait" else 0
            events = desk.tick(now).events
        out.append([(e.id, e.t) for e in events])
    out.append([(o.id, o.version) for o in sorted(desk.orders.orders.values(), key=lambda o: o.id)])
    return out


@given(st.lists(STEPS, max_size=40))
@settings(max_examples=150, deadline=None)
def test_the_heap_gives_what_a_plain_scan_gives(history: list[tuple[str, Any, Any]]) -> None:
    one, other = desks()
    assert play(one, history) == play(other, history)


@given(st.lists(STEPS, max_size=40))
@settings(max_examples=100, deadline=None)
def test_calls_of_p1_come_when_a_look_at_every_order_says(history: list[tuple[str, Any, Any]]) -> None:
    """At each tick: who rings and has not been called since its last moment, by the definition."""
    desk = make_desk()
    desk.add(CallBook(desk.orders.orders))
    desk.tick(T0)
    rung: dict[str, Ms] = {}
    now = T0
    for what, which, more in history:
        if what == "wait":
            now += which * 1000
            rings = [
                o for o in desk.orders.orders.values()
                if o.priority == 1 and o.state in WAITING and o.keep.met["accept"] is None and not o.drill
            ]  # fmt: skip
            due = {
                (o.id, at) for o in rings
                if (at := o.keep.base + (now - o.keep.base) // REPEAT_MS * REPEAT_MS)
                > max(o.keep.base, rung.get(o.id, 0))
            }  # fmt: skip
            got = {(e.subject, e.t) for e in desk.tick(now).events if e.kind == AGAIN}
            assert got == due
            rung |= dict(got)
        else:
            now += 1000
            _one(desk, what, which, more, now, rung)


def _one(desk: Dispatch, what: str, which: str, more: Any, now: Ms, rung: dict[str, Ms]) -> None:
    ids = sorted(desk.orders.orders)
    if what == "find" and more:
        events = desk.step([find(which, WHAT[which], now)], now).events
    elif what == "act" and ids:
        cmd = Command(f"c{now}", f"order.{which}", ids[more % len(ids)], BOSS, now, now, None, ACTS[which])
        try:
            events = desk.command(cmd)[0].events
        except (Refused, BadInput):
            events = desk.tick(now).events
    else:
        return
    rung |= {e.subject: e.t for e in events if e.kind == AGAIN}


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.one_of(st.none(), st.integers(0, 30))), max_size=300))
def test_due_is_a_table_of_moments(puts: list[tuple[str, int | None]]) -> None:
    due, table = Due(), dict[str, int]()
    for n, (id_, at) in enumerate(puts):
        due.put(id_, at)
        table.pop(id_, None)
        if at is not None:
            table[id_] = at
        if n % 7 == 6:
            now = n % 31
            plain = sorted((t, i) for i, t in table.items() if t <= now)
            assert due.pop(now) == [i for _, i in plain]
            table = {i: t for i, t in table.items() if t > now}
        assert len(due) == len(table)
        assert all(due.at(i) == table.get(i) for i in "abcdef")
