"""Gives an order to a person when it is dispatched, and says who may not take one. Sits on the order book."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from alerts.assign import Work, assign, may_take
from alerts.matrix import Duty
from alerts.orders_state import Order
from alerts.staffing import StaffBook
from gateway.model import Actor, Asset, Ms, Text

WORKERS = ("operator", "technician", "contractor")
"""Access roles that do the work themselves; who leads may take an order to direct it."""
LEADS = ("PM", "DM")
"""Duty roles that direct work."""


class Assigner:
    """Reads the present roster and records of people from the staff book."""

    def __init__(self, people: StaffBook, orders: Mapping[str, Order], assets: Mapping[str, Asset]) -> None:
        """orders: the order book's, for how much each has open."""
        self._people, self._orders, self._assets = people, orders, assets
        self._counted: tuple[Ms, Counter[str]] = (-1, Counter())

    def load(self) -> Counter[str]:
        """Open orders by person."""
        return Counter(o.assignee for o in self._orders.values() if o.assignee and o.open)

    def _load(self, now: Ms) -> Counter[str]:
        """The load at the beginning of a turn and what was given since: not counted anew for each order."""
        if self._counted[0] != now:
            self._counted = (now, self.load())
        return self._counted[1]

    def __call__(self, order: Order, duty: Duty, now: Ms) -> dict[str, Any]:
        """Names the assignee in the order; what the log keeps: {"assignment": …}, or {} for a drill.

        A drill is not assigned: nobody's day is changed by it.
        """
        asset = self._assets.get(order.asset)
        if asset is None or order.drill:
            return {}
        load = self._load(now)
        work = Work(order.event, asset, now, load)
        found = assign(duty, work, self._people.staff, self._people.roster)
        if found.person and not order.assignee:
            order.assignee = found.person
            load[found.person] += 1
        if found.outcome == "supervisor" and found.role not in order.informed:
            order.informed.append(found.role)
        return {"assignment": found.as_dict()}

    def against(self, order: Order, actor: Actor, now: Ms) -> Text | None:
        """Why this person must not do this work; None: nothing is known against it."""
        asset = self._assets.get(order.asset)
        if asset is None or order.drill or actor.role not in WORKERS:
            return None
        # Where the person fills several of the order's roles, the first that is fit is enough.
        roles = [r for r in (order.party, order.backup) if r in actor.duties] or [order.party]
        found = [
            may_take(actor.id, r, order.event, asset, now, self._people.staff, order.duty.part) for r in roles
        ]
        return None if None in found else found[0]

    def unfit(self, order: Order, person: str, now: Ms) -> Text | None:
        """Why the order cannot be given to this person by name: who lacks what; None: nothing is known.

        Judged as when the person accepts, in the roles of the order that the shifts give to the person. Who
        leads may get it to direct it.
        """
        asset, people = self._assets.get(order.asset), self._people
        if asset is None or order.drill:
            return None
        duties = people.duties(person, asset.estate)
        roles = [r for r in (order.party, order.backup) if r in duties]
        if not roles and duties & {order.supervisor, *LEADS}:
            return None
        found = [
            may_take(person, r, order.event, asset, now, people.staff, order.duty.part)
            for r in roles or [order.party]
        ]
        if None in found or found[0] is None:
            return None
        name = people.names.get(person, person)
        why = found[0]
        return {"zh": f"{name} 不能承接此工作：{why['zh']}", "en": f"{name} cannot do this work: {why['en']}"}
