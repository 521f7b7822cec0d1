"""Calls of a P1 order go out again and again until a person accepts it. Pure.

A receipt is no acceptance: a phone that rang, a message that was delivered, a siren that sounds leave the
order as it is. Only `order.accept` ends the calls, as it ends the accept ladder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from alerts.books import Gone, Record
from alerts.due import Due
from alerts.orders_state import WAITING, Order
from gateway.errors import BadInput
from gateway.model import Command, Event, Ms

REPEAT_MS: Ms = 120_000
"""Between two calls. Our own choice: a call takes up to half a minute, and the ladder's first steps are at
1 and 3 minutes (DOMAIN.md 3.2)."""
AGAIN = "order.called_again"


class CallBook:
    """A book of the desk. What it knows follows from the orders, so that it keeps no records."""

    nouns: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def __init__(self, orders: Mapping[str, Order], every: Ms = REPEAT_MS) -> None:
        """Orders: the order book's, read only."""
        self._orders, self._every = orders, every
        self._rung: dict[str, Ms] | None = None  # time of the last call, by order
        self._next = Due()

    def command(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        """There are none."""
        raise BadInput(f"there is no command {cmd.kind!r}", field="kind", hint="order.accept ends the calls")

    def step(self, events: Sequence[Event], now: Ms) -> list[Event]:
        """Orders that are given out, or that have become urgent or real, begin to ring."""
        del now
        for e in events:
            order = self._orders.get(e.subject) if e.kind.startswith("order.") else None
            if order is not None and self._rung is not None and e.kind != AGAIN and _rings(order):
                self._rung.setdefault(order.id, e.t)
                self._plan(order)
        return []

    def tick(self, now: Ms) -> list[Event]:
        """One event per order that nobody has accepted and whose time has come; missed ones count as one."""
        if self._rung is None:  # after a start
            self._rung = {o.id: o.keep.base for o in self._orders.values() if _rings(o)}
            for id_ in self._rung:
                self._plan(self._orders[id_])
        out = []
        for id_ in self._next.pop(now):
            order = self._orders.get(id_)
            if order is None or not _rings(order):
                del self._rung[id_]
                continue
            n = (now - order.keep.base) // self._every
            at = order.keep.base + n * self._every
            if n > 0 and at > max(self._rung[id_], order.keep.base):
                self._rung[id_] = at
                out.append(self._event(order, n, at))
            self._plan(order)
        return out

    def _plan(self, order: Order) -> None:
        """Its next call: the first moment of its own grid after the last one."""
        assert self._rung is not None, "known since the first tick"
        base = order.keep.base
        passed = max(0, self._rung[order.id] - base) // self._every
        self._next.put(order.id, base + (passed + 1) * self._every)

    def _event(self, order: Order, n: int, at: Ms) -> Event:
        facts = {"n": n, "party": order.party, "level": order.ladder_level}
        key = f"{order.id}:{order.keep.base}:{n}"
        return Event(f"{AGAIN}:{key}", order.estate, at, AGAIN, order.id, "steward", order.asset, facts)

    def drain(self) -> tuple[list[Record], list[Gone]]:
        """Nothing."""
        return [], []

    def dump(self) -> list[Record]:
        """Nothing."""
        return []

    def load(self, kind: str, id_: str, body: Mapping[str, Any]) -> None:
        """Nothing."""


def _rings(order: Order) -> bool:
    """P1 that is real and that nobody has accepted."""
    real = not order.drill and not order.keep.commissioning
    return real and order.priority == 1 and order.state in WAITING and order.keep.met.get("accept") is None
