"""Work orders: alarms in, one order per incident and responsible party out, with clocks and a ladder. Pure.

A life-safety event always has its own order; what concerns the same party on the same asset is merged into
the open order; what merely follows from a cause is linked to the order of the cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from alerts import orders_commands as commands
from alerts.alarms_state import Alarm
from alerts.calendars import ALWAYS, Calendar
from alerts.checklists import Templates
from alerts.downtime import down, up
from alerts.due import Due
from alerts.escalation import meet, next_at, sensor_normal_since, set_due, unmeet
from alerts.matrix import Duty, Matrix
from alerts.orders_clock import run
from alerts.orders_state import (
    AT_WORK,
    EVENT_OF,
    FACTS,
    FLOW,
    OPEN,
    WAITING,
    Order,
    OrderState,
    items_of,
    last_stamp,
    make_id,
    start_clocks,
)  # fmt: skip
from alerts.orders_urgent import rule_changed, upgrade
from gateway.errors import NotFound
from gateway.model import Asset, Command, Event, Ms

if TYPE_CHECKING:
    from alerts.assigner import Assigner

REOPEN_MS: Ms = 4 * 3_600_000
"""An alarm that comes back so soon after its order was closed belongs to the same incident."""
KEEP_MS: Ms = 7 * 86_400_000
"""An ended order leaves the memory (never the store) after this time."""
CALLS = frozenset(
    {
        "alarm.raised", "alarm.unsuppressed", "alarm.waited", "alarm.unshelved", "alarm.oos_end",
        "alarm.level", "alarm.mode",
    }
)  # fmt: skip
"""Events of an alarm that can call for an order, when their data say `dispatch`."""


class OrderBook:
    """All orders that are open or ended lately.

    `changed` holds what changed since the last `drain`, `linked` the alarms that got another order.
    """

    def __init__(
        self,
        matrix: Matrix,
        assets: Mapping[str, Asset],
        alarms: Mapping[str, Alarm],
        *,
        calendars: Mapping[str, Calendar] | None = None,
        firms: Mapping[str, str] | None = None,
    ) -> None:
        """Start empty. alarms: the alarm book's, read only · calendars by name · firms: firm by estate."""
        self.matrix = matrix
        self.assets = dict(assets)
        self.alarms = alarms
        self.calendars = dict(calendars or {})
        self.firms = dict(firms or {})
        self.templates = Templates()
        self.assigner: Assigner | None = None
        self.orders: dict[str, Order] = {}
        self.changed: set[str] = set()
        self.linked: set[str] = set()
        self.timers = Due()
        """When time next does something to an order: always its `keep.next_at`."""
        self._ended = Due()
        self._by_alarm: dict[str, list[str]] = {}
        self._by_asset: dict[str, list[str]] = {}

    # ── what comes in ─────────────────────────────────────────────────────────────────────────────

    def step(self, events: Iterable[Event], now: Ms) -> list[Event]:
        """What the alarms' events do to orders; an order starts when it is made, at the core's `now`."""
        out: list[Event] = []
        for e in events:
            if e.kind == "alarm.cleared":
                out += self._cleared(e)
            elif e.kind == "alarm.suppressed":
                out += self._follows(e, now)
            elif e.kind == "alarm.rule_changed":
                out += rule_changed(self, e, now)
            elif e.kind in CALLS and e.data.get("dispatch") and (e.kind != "alarm.level" or e.data["up"]):
                out += self._called(e, now)
        return out

    def command(self, cmd: Command) -> list[Event]:
        """A person's act. Raises Conflict (with who and when), Forbidden, NotFound or BadInput."""
        return commands.apply(self, cmd)

    def tick(self, now: Ms) -> list[Event]:
        """Everything that is due by `now`, each with its own exact time, in order, once."""
        out: list[Event] = []
        for id_ in self.timers.pop(now):
            out += run(self, self.orders[id_], now)
            self._time(self.orders[id_])
        self._forget(now)
        return sorted(out, key=lambda e: (e.t, e.subject))

    # ── reading and keeping ───────────────────────────────────────────────────────────────────────

    def get(self, id_: str) -> Order:
        """The order. Raises NotFound."""
        if id_ not in self.orders:
            raise NotFound(f"there is no order {id_!r}")
        return self.orders[id_]

    def drain(self) -> set[str]:
        """Ids that changed since the last call."""
        out, self.changed = self.changed, set()
        return out

    def restore(self, orders: Iterable[Order]) -> None:
        """Take over orders as they were before a restart."""
        for order in orders:
            self._index(order)

    def of_alarm(self, alarm: str, states: frozenset[OrderState] = OPEN) -> list[Order]:
        """Orders that answer the alarm, oldest first."""
        found = (self.orders[i] for i in self._by_alarm.get(alarm, ()) if i in self.orders)
        return [o for o in found if o.state in states and alarm in o.keep.own]

    def calendar(self, order: Order) -> Calendar:
        """The calendar of its clocks; life safety knows no closing time."""
        return ALWAYS if order.life else self.calendars.get(order.duty.calendar, ALWAYS)

    def _index(self, order: Order) -> None:
        self.orders[order.id] = order
        self._time(order)
        self._by_asset.setdefault(order.asset, []).append(order.id)
        for alarm in order.keep.own:
            self._by_alarm.setdefault(alarm, []).append(order.id)

    def _time(self, order: Order) -> None:
        """Note when time next does something to it."""
        self.timers.put(order.id, order.keep.next_at)
        self._ended.put(order.id, None if order.open else order.keep.changed_at + KEEP_MS)

    def _forget(self, now: Ms) -> None:
        for id_ in self._ended.pop(now):
            order = self.orders.pop(id_)
            self.timers.put(id_, None)
            self._by_asset[order.asset].remove(order.id)
            for alarm in order.keep.own:
                self._by_alarm[alarm].remove(order.id)

    # ── alarms ────────────────────────────────────────────────────────────────────────────────────

    def _called(self, e: Event, now: Ms) -> list[Event]:
        alarm = self.alarms[e.subject]
        held = self.of_alarm(alarm.id)
        if held:
            return [x for order in held for x in self._again(order, alarm, e, now)]
        if not alarm.active and alarm.priority > 1:
            return []  # it was over before anybody could be told
        closed = self._closed_lately(alarm.id, now)
        if closed and e.data.get("folded"):
            return []
        asset = self.assets.get(alarm.asset) or Asset(alarm.asset, alarm.estate, "gateway", {})
        out: list[Event] = []
        for duty in self.duties(alarm, asset, now):
            out += self.give(alarm, asset, duty, e, now, closed)
        return out

    def duties(self, alarm: Alarm, asset: Asset, now: Ms) -> list[Duty]:
        """Whose the alarm is by the matrix: the responsible party, then the owners of the parts it names."""
        first = self.matrix.match_or_fallback(alarm.event, asset, alarm.priority, now)
        parts = [
            self.matrix.match_or_fallback(alarm.event, asset, alarm.priority, now, p) for p in first.also
        ]
        return [first, *parts]

    def give(
        self, alarm: Alarm, asset: Asset, duty: Duty, e: Event, now: Ms, closed: Order | None = None
    ) -> list[Event]:
        """The alarm to a party: a place in an order that it has already, or a new one."""
        target = self._mergeable(alarm, duty.party)
        if target:
            return self._merge(target, alarm, duty, e, now)
        return self._new(alarm, asset, duty, e, now, closed)

    def _mergeable(self, alarm: Alarm, party: str) -> Order | None:
        """The open order of the same party on the same asset that may take the alarm in."""
        for id_ in self._by_asset.get(alarm.asset, ()):
            order = self.orders[id_]
            if order.party != party or order.drill != alarm.drill or order.state not in WAITING | AT_WORK:
                continue
            if order.plan:
                continue  # maintenance is one thing, a failure another
            if order.life == alarm.life and (not alarm.life or order.event == alarm.event):
                return order
        return None

    def _new(
        self, alarm: Alarm, asset: Asset, duty: Duty, e: Event, now: Ms, closed: Order | None
    ) -> list[Event]:
        names = {k: f"{asset.name.get(k, asset.id)} {alarm.name.get(k, '')}".strip() for k in ("zh", "en")}
        order = Order(
            id=make_id("wo", alarm.occurrence, duty.party, duty.row, now), estate=alarm.estate,
            asset=alarm.asset, system=alarm.system, alarm=alarm.id, incident=self._incident(alarm, closed),
            event=alarm.event, party=duty.party, title=names, priority=alarm.priority, life=alarm.life,
            drill=alarm.drill, source="sensor", alarms=[alarm.id],
        )  # fmt: skip
        order.keep.own[alarm.id] = None
        down(order, alarm)
        order.keep.commissioning = alarm.marked
        extra = {"refire_of": closed.id} if closed else {}
        return self.dispatch(order, duty, e.id, now, **extra)

    def dispatch(self, order: Order, duty: Duty, key: str, now: Ms, **data: Any) -> list[Event]:
        """Make the order known to its party: clocks start, the ladder counts from here."""
        order.keep.duty, order.keep.base = duty, now
        order.keep.met = {"accept": None, "arrive": None, "restore": None, "close": None}
        order.party_name, order.backup, order.supervisor = duty.party_name, duty.backup, duty.supervisor
        order.fund_eligible, order.legal = duty.fund_eligible, duty.legal
        order.matrix_row, order.matrix_version = duty.row, duty.version
        order.informed = list(duty.inform)
        order.checklist = self.templates.items(order.event, order.system, items_of(order, duty))
        order.needs = order.needs or self.templates.needs(order.event, order.system)
        order.clocks = start_clocks(duty, now)
        for s in (OrderState.NEW, OrderState.DISPATCHED):
            order.state, order.stamps[s], order.by[s] = s, now, "steward"
        self._index(order)
        for alarm in order.alarms:
            self._link(order, alarm)
        given = self.assigner(order, duty, now) if self.assigner else {}
        out = [self.event(order, "order.created", now, f"{order.id}", incident=order.incident, **data)]
        self.touch(order, now, "steward")
        return [*out, self.event(order, "order.dispatched", now, f"{order.id}:0", cause=key, **given)]

    def _merge(self, order: Order, alarm: Alarm, duty: Duty, e: Event, now: Ms) -> list[Event]:
        order.keep.own[alarm.id] = None
        down(order, alarm)
        self._by_alarm.setdefault(alarm.id, []).append(order.id)
        if order.keep.met.get("restore") is not None and not order.needs_freed:
            unmeet(order, "restore")
        if alarm.id not in order.alarms:
            order.alarms.append(alarm.id)
        order.alarm = order.alarm or alarm.id
        self._link(order, alarm.id)
        out = [self.event(order, "order.linked", now, f"{order.id}:{e.id}", alarm=alarm.id, merged=True)]
        out += self._for_real(order, alarm, e, now)
        if alarm.priority < order.priority:
            out += upgrade(self, order, alarm, duty, now)
        self.touch(order, now, "steward")
        return out

    def _again(self, order: Order, alarm: Alarm, e: Event, now: Ms) -> list[Event]:
        """An alarm that the order answers has come back before the order was closed."""
        order.keep.own[alarm.id] = None
        down(order, alarm)
        if order.keep.met.get("restore") is not None:
            unmeet(order, "restore")
            freed = order.item("freed")
            if freed and order.needs_freed:  # people are in there again
                freed |= {"value": None, "by": "", "at": None}
        self._link(order, alarm.id)
        out = self._for_real(order, alarm, e, now)
        if order.state in (OrderState.DONE, OrderState.VERIFIED):
            for s in (OrderState.DONE, OrderState.VERIFIED):
                order.stamps.pop(s, None)
            at = max(now, last_stamp(order))
            order.state = FLOW[OrderState.DONE, "reopen"]
            order.stamps[OrderState.WORKING], order.by[OrderState.WORKING] = at, "steward"
            order.verified_by = order.override_reason = ""
            order.confirmed = {}
            out.append(self.event(order, "order.reopened", at, f"{order.id}:{e.id}", alarm=alarm.id))
        self.touch(order, now, "steward")
        return out

    def _for_real(self, order: Order, alarm: Alarm, e: Event, now: Ms) -> list[Event]:
        """An order of an asset in commissioning or under a permit is a real one now: its calls go out."""
        if alarm.marked or not order.keep.commissioning:
            return []
        order.keep.commissioning = False
        calls, order.keep.withheld = order.keep.withheld, []
        released = self.event(order, "order.released", now, f"{order.id}:{e.id}", calls=calls)
        return [released] if calls else []

    def _closed_lately(self, alarm: str, now: Ms) -> Order | None:
        closed = self.of_alarm(alarm, frozenset({OrderState.CLOSED}))
        lately = [o for o in closed if now - o.stamps[OrderState.CLOSED] <= REOPEN_MS]
        return lately[-1] if lately else None

    def _cleared(self, e: Event) -> list[Event]:
        for order in self.of_alarm(e.subject):
            order.keep.own[e.subject] = e.t
            up(order, e.subject, e.t)
            since = sensor_normal_since(order)
            if since is not None and not order.needs_freed and order.keep.met.get("restore") is None:
                meet(order, "restore", max(since, order.stamps[OrderState.DISPATCHED]))
            self.touch(order, e.t, "steward")
        return []

    def _follows(self, e: Event, now: Ms) -> list[Event]:
        """An alarm is the consequence of another: its order is dropped if nobody took it yet."""
        roots = self.of_alarm(str(e.data.get("cause", "")))
        out: list[Event] = []
        for order in self.of_alarm(e.subject):
            alone = all(self.alarms[a].suppressed_by is not None for a in order.keep.own)
            if order.state in WAITING and not order.life and alone and roots:
                reason = f"follows from {roots[0].id}"
                out += self.move(order, "cancel", now, "steward", f"{order.id}:{e.id}", reason=reason)
            elif roots:
                order.incident = roots[0].incident
                self.touch(order, now, "steward")
        for root in roots[:1]:
            if e.subject not in root.alarms:
                root.alarms.append(e.subject)
            self._link(root, e.subject)
            self.touch(root, now, "steward")
            out.append(
                self.event(root, "order.linked", now, f"{root.id}:{e.id}", alarm=e.subject, merged=False)
            )
        return out

    def _incident(self, alarm: Alarm, closed: Order | None) -> str:
        if closed:
            return closed.incident
        for order in self.of_alarm(alarm.root) if alarm.root else ():
            return order.incident
        for id_ in reversed(self._by_asset.get(alarm.asset, ())):
            order = self.orders[id_]
            if order.open and order.drill == alarm.drill and not order.plan:
                return order.incident
        return make_id("inc", alarm.occurrence)

    def _link(self, order: Order, alarm: str) -> None:
        if alarm in self.alarms and self.alarms[alarm].order != order.id:
            self.alarms[alarm].order = order.id
            self.linked.add(alarm)

    # ── small change ──────────────────────────────────────────────────────────────────────────────

    def move(self, order: Order, act: str, at: Ms, actor: str, key: str, **data: Any) -> list[Event]:
        """Take a transition of the table, with its stamp. The caller has checked that it exists."""
        order.state = FLOW[order.state, act]
        if not act.startswith("resume"):
            order.stamps[order.state] = at
            order.by[order.state] = actor
        kind = EVENT_OF[act.partition(":")[0]]
        if order.state is OrderState.VERIFIED:
            order.verified_by = order.verified_by or data.get("by", actor)
        if order.state is OrderState.CLOSED:
            meet(order, "close", at)
        if order.state is OrderState.CANCELLED:
            for clock in order.clocks.values():
                clock.state = clock.state if clock.met_at is not None else "off"
        self.touch(order, at, actor)
        return [self.event(order, kind, at, key, actor, **data)]

    def touch(self, order: Order, t: Ms, by: str) -> None:
        """Something that people see has changed."""
        order.version += 1
        order.keep.changed_by, order.keep.changed_at = by, max(t, order.keep.changed_at)
        set_due(order, self.calendar(order))
        order.keep.next_at = next_at(order, self.calendar(order))
        self._time(order)
        self.changed.add(order.id)

    def event(
        self, order: Order, kind: str, t: Ms, key: str, actor: str = "steward", /, **data: Any
    ) -> Event:
        """A fact about the order; `key` makes its id, so that the same fact has the same id."""
        facts = {n: getattr(order, n) for n in FACTS} | {"state": order.state.value} | data
        return Event(f"{kind}:{key}", order.estate, t, kind, order.id, actor, order.asset, facts)
