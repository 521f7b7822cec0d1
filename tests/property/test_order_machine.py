"""Walks orders at random: no stamp is skipped, none is lost, nothing happens twice, a restart is unseen."""

from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from alerts.alarms_state import alarm_id
from alerts.checklists import templates_of
from alerts.desk import Dispatch, Outcome
from alerts.escalation import next_at
from alerts.matrix import EVENTS
from alerts.orders_state import ENDED, FLOW, PATH, OrderState
from alerts.plans import PlanBook
from alerts.plans_state import plan_templates_of
from gateway.errors import BadInput, Refused
from gateway.model import SYSTEMS, Actor, Command, Event
from tests.unit.alerts_life.life_kit import T0, default_roles, find, make_desk

BOSS = Actor("zhao", role="manager")
OTHER = Actor("sun", role="supervisor")
WHAT = {"water.low": "ws", "lift.trapped": "lift", "power.out": "pw", "cover.moved": "mh"}
ACTS: dict[str, dict[str, Any]] = {
    "accept": {}, "en_route": {}, "arrive": {}, "work": {}, "resume": {}, "close": {},
    "hold": {"reason": "parts"}, "done": {"cause_code": "wear", "action": "x"}, "verify": {"reason": "seen"},
    "reject": {"reason": "no"}, "reassign": {"to": "FM"}, "cancel": {"reason": "no"},
    "check": {"item": "freed", "value": 1}, "confirm": {}, "costs_ok": {"total_fen": 0},
    "cost": {"kind": "part", "what": "x", "quantity": 1, "unit_price_fen": 100, "warranty": True},
    "photo": {"sha256": "a" * 64, "kind": "before", "size": 1, "media": "image/jpeg"},
}  # fmt: skip


READING = {"id": "flow", "type": "number", "low": 1, "text": {"zh": "x", "en": "x"}, "required": False}
TEMPLATES = templates_of(
    [{"id": "t", "kinds": ["water"], "items": [READING], "needs": ["second", "costs"]}],
    events=EVENTS, kinds=SYSTEMS,
)  # fmt: skip
PLAN = {"id": "p", "kinds": ["water"], "name": {"zh": "x", "en": "x"}, "kind": "completion", "every": "1d",
        "statutory": True, "limit_days": 1, "legal": "L", "party": "TE", "lead_days": 0}  # fmt: skip


def fresh() -> Dispatch:
    """A desk with checklists, demands and a plan that is due every day."""
    desk = make_desk()
    desk.orders.templates = TEMPLATES
    desk.add(PlanBook(desk.orders, plan_templates_of([PLAN], roles=list(default_roles()), classes=SYSTEMS)))
    return desk


class OrderMachine(RuleBasedStateMachine):
    """A twin is restarted from its records at random and must stay equal."""

    @initialize()
    def begin(self) -> None:
        self.desk, self.now, self.n = fresh(), T0, 0
        self.twin = fresh()
        self.seen: dict[str, tuple[int, int, int]] = {}
        self.store: dict[tuple[str, str], tuple[str, str, str, dict[str, Any]]] = {}
        self.events: list[Event] = []
        self.ids: set[str] = set()
        self.onset: dict[str, int] = {}
        self.made: set[str] = set()

    def take(self, out: Outcome, twin: Outcome) -> None:
        assert [e.id for e in out.events] == [e.id for e in twin.events]
        assert [n.id for n in out.notices] == [n.id for n in twin.notices]
        for e in out.events:
            assert e.id not in self.ids, f"{e.id} happened twice"
            assert e.t <= self.now
            self.ids.add(e.id)
            if e.kind == "order.created":
                self.made.add(e.subject)
        self.events += out.events
        for record in out.records:
            self.store[record[0], record[1]] = record

    @rule(name=st.sampled_from(sorted(WHAT)), on=st.booleans())
    def find(self, name: str, on: bool) -> None:
        where = WHAT[name]
        alarm = self.desk.book.alarms.get(alarm_id(f"{name}@{where}/x"))
        if on and not (alarm and alarm.active):
            self.onset[name] = self.now
        if name in self.onset:
            f = find(name, where, self.now, on=on, onset=self.onset[name])
            self.take(self.desk.step([f], self.now), self.twin.step([f], self.now))

    @rule(seconds=st.sampled_from([1, 30, 61, 200, 1800, 20_000]))
    def wait(self, seconds: int) -> None:
        self.now += seconds * 1000
        self.take(self.desk.tick(self.now), self.twin.tick(self.now))

    @rule(data=st.data(), act=st.sampled_from(sorted(ACTS)), back=st.sampled_from([0, 60_000]))
    def act(self, data: st.DataObject, act: str, back: int) -> None:
        ids = sorted(self.desk.orders.orders)
        if not ids:
            return
        id_ = data.draw(st.sampled_from(ids))
        self.n += 1
        who = OTHER if act == "verify" else BOSS
        cmd = Command(f"c{self.n}", f"order.{act}", id_, who, self.now - back, self.now, None, ACTS[act])
        self.give(cmd)

    def give(self, cmd: Command) -> None:
        order = self.desk.orders.orders[cmd.subject]
        was = order.state
        try:
            out, _ = self.desk.command(cmd)
        except (Refused, BadInput):
            refused = True
        else:
            refused = False
        try:
            twin, _ = self.twin.command(cmd)
        except (Refused, BadInput):
            assert refused
            self.take(self.desk.tick(self.now), self.twin.tick(self.now))
            return
        assert not refused
        self.take(out, twin)
        verb = cmd.kind.partition(".")[2]
        if verb not in ("check", "resume", "confirm", "costs_ok", "cost", "photo"):
            assert any((s, verb) in FLOW for s in OrderState), was

    @rule(value=st.sampled_from([0, 2]))
    def read_out_of_limits(self, value: int) -> None:
        for order in sorted(self.desk.orders.orders.values(), key=lambda o: o.id):
            if order.item("flow") is not None:
                self.n += 1
                data = {"item": "flow", "value": value}
                self.give(
                    Command(f"c{self.n}", "order.check", order.id, BOSS, self.now, self.now, None, data)
                )
                return

    @rule()
    def restart(self) -> None:
        self.twin = fresh()
        self.twin.load(self.store.values())

    @invariant()
    def stamps_are_complete_and_in_order(self) -> None:
        for o in self.desk.orders.orders.values():
            path = [o.stamps[s] for s in PATH if s in o.stamps]
            assert path == sorted(path)
            if o.state in (OrderState.DONE, OrderState.VERIFIED, OrderState.CLOSED):
                assert {OrderState.ACCEPTED, OrderState.ON_SITE, OrderState.DONE} <= set(o.stamps)
            if o.state is OrderState.CLOSED:
                assert not o.missing()
                assert o.verified_by
                assert o.confirmed or "second" not in o.needs
                assert o.costs_confirmed or "costs" not in o.needs
                assert o.confirmed.get("by") not in (o.by[OrderState.DONE], o.assignee)

    @invariant()
    def timers_are_those_that_a_look_at_every_order_finds(self) -> None:
        book = self.desk.orders
        for o in book.orders.values():
            assert book.timers.at(o.id) == o.keep.next_at == next_at(o, book.calendar(o))
        plain = sum(o.keep.next_at is not None for o in book.orders.values())
        assert len(book.timers) == plain, "nothing of orders that are forgotten"

    @invariant()
    def nothing_goes_back(self) -> None:
        for o in self.desk.orders.orders.values():
            now = (o.version, o.keep.changed_at, len(o.photos))
            assert all(a >= b for a, b in zip(now, self.seen.get(o.id, now), strict=True)), o.id
            self.seen[o.id] = now
            for d in o.downtime:
                assert d["to"] is None or d["to"] >= d["from"]
            causes = [x.follows for x in self.desk.orders.orders.values() if x.follows and x.open]
            assert len(causes) == len(set(causes)), "one order for one cause"

    @invariant()
    def a_plan_has_its_order_or_its_date(self) -> None:
        for plan in self.desk.books[-1].plans.values():  # type: ignore[attr-defined]  # the book that `fresh` added
            assert plan.due
            assert not plan.order or plan.order in self.desk.orders.orders

    @invariant()
    def nothing_is_lost(self) -> None:
        orders = self.desk.orders.orders
        for id_ in self.made:
            assert id_ in orders or self.store["order", id_][3]["state"] in ENDED
        for alarm in self.desk.book.alarms.values():
            if alarm.life and alarm.active:
                assert alarm.order in orders

    @invariant()
    def clocks_are_sound(self) -> None:
        for o in self.desk.orders.orders.values():
            for clock in o.clocks.values():
                assert clock.state in ("running", "met", "missed", "off")
                assert (clock.state == "off") == (clock.seconds is None) or not o.open
                assert clock.sent == sorted(clock.sent)
                if o.life and clock.seconds:
                    assert clock.due == clock.start + clock.seconds * 1000, "no hold moves it"
                if clock.met_at is not None and clock.due is not None:
                    assert (clock.state == "met") == (clock.met_at <= clock.due)


OrderMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestOrderMachine = OrderMachine.TestCase


def _run(ticks: list[int]) -> list[Event]:
    desk: Dispatch = make_desk()
    out = list(desk.step([find("lift.trapped", "lift", T0), find("water.low", "ws", T0)], T0).events)
    for t in [*sorted(ticks), 400_000]:
        out += desk.tick(T0 + t * 1000).events
    return sorted(out, key=lambda e: (e.t, e.id))


WHOLE = _run([])


@given(st.lists(st.integers(0, 400_000), max_size=30))
@settings(max_examples=60, deadline=None)
def test_the_ladder_is_exact_and_without_doubles_under_any_spacing_of_ticks(ticks: list[int]) -> None:
    got = _run(ticks)
    assert [(e.id, e.t) for e in got] == [(e.id, e.t) for e in WHOLE]
    assert len({e.id for e in got}) == len(got)
