"""Preventive plans: a due plan opens its order ahead of time, and what is overdue is a fact. Pure.

Dates that the law sets are never moved beyond its limit and never without a reason. A book of the desk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, timedelta, tzinfo
from typing import Any

from alerts.alarms_access import authorise, in_scope, same_version, text
from alerts.books import Gone, Record
from alerts.matrix import Duty, Step
from alerts.orders import OrderBook
from alerts.orders_state import Order, make_id
from alerts.plans_state import (
    KINDS,
    Plan,
    PlanTemplate,
    after,
    begin,
    day_of,
    end,
    latest,
    next_date,
    plan_fault,
    template_of,
)  # fmt: skip
from gateway.errors import BadInput, Conflict, NotFound, Problems
from gateway.model import SYSTEMS, Asset, Command, Event, Level, Ms, level_of

Value = tuple[Ms, float | None, int]
ValueOf = Callable[[str], Value | None]
"""Latest (time, value, quality) of a point; None when there is none."""
LOOK_MS: Ms = 60_000
"""Counters and conditions are looked at once a minute."""
DAY: Ms = 86_400_000


class PlanBook:
    """All plans. `value_of` is set by whoever knows values; without it counters and conditions rest."""

    nouns: tuple[str, ...] = ("plan",)
    kinds: tuple[str, ...] = ("plan",)

    def __init__(self, orders: OrderBook, templates: Iterable[PlanTemplate] = (), zone: tzinfo = UTC) -> None:
        """orders: where due plans open theirs · zone: whose days count."""
        self._orders, self._zone = orders, zone
        self._templates = tuple(templates)
        self.plans: dict[str, Plan] = {}
        self.value_of: ValueOf | None = None
        self._changed: set[str] = set()
        self._looked: Ms = 0
        self._seeded = False
        self._fresh: set[str] = set()
        self._today: date | None = None

    # ── the book ──────────────────────────────────────────────────────────────────────────────────

    def tick(self, now: Ms) -> list[Event]:
        """Make missing plans, open what is due, tell what is overdue; each at its own time."""
        out = self._seed(now)
        if now - self._looked >= LOOK_MS:
            self._looked = now  # sorted: the same order after a restart
            out += [e for i in sorted(self.plans) for e in self._look(self.plans[i], now)]
        fresh, self._fresh = self._fresh, set()
        today = day_of(now, self._zone)
        if today != self._today:  # dates turn at midnight: in between only what was touched can be due
            self._today, fresh = today, set(self.plans)
        plans = [self.plans[i] for i in sorted(fresh)]
        out += [e for p in plans if p.active and p.due for e in self._run(p, now)]
        return sorted(out, key=lambda e: e.t)

    def step(self, events: Sequence[Event], now: Ms) -> list[Event]:
        """The order of a plan was done, or cancelled."""
        out: list[Event] = []
        for e in events:
            if e.kind in ("order.done", "order.cancelled"):
                plan = next((p for p in self.plans.values() if p.order == e.subject), None)
                if plan is not None:
                    out += self._done(plan, e) if e.kind == "order.done" else self._cancelled(plan, e)
        return out

    def drain(self) -> tuple[list[Record], list[Gone]]:
        """See Book."""
        changed, self._changed = sorted(self._changed), set()
        return [self._record(self.plans[i]) for i in changed], []

    def dump(self) -> list[Record]:
        """See Book."""
        return [self._record(p) for p in self.plans.values()]

    def load(self, kind: str, id_: str, body: Mapping[str, Any]) -> None:
        """See Book."""
        self.plans[id_] = Plan.from_dict(body)
        self._fresh.add(id_)

    def _record(self, plan: Plan) -> Record:
        return ("plan", plan.id, plan.estate, plan.as_dict())

    # ── time ──────────────────────────────────────────────────────────────────────────────────────

    def _seed(self, now: Ms) -> list[Event]:
        """A plan for every asset that a template is for; nobody knows what was done before."""
        if self._seeded:
            return []
        self._seeded = True
        out = []
        for template in self._templates:
            for asset in self._orders.assets.values():
                id_ = f"{template.id}@{asset.id}"
                if asset.kind in template.kinds and asset.boundary == "property" and id_ not in self.plans:
                    out.append(self._new(id_, asset, template, now))
        return out

    def _new(self, id_: str, asset: Asset, template: PlanTemplate, now: Ms, by: str = "steward") -> Event:
        plan = Plan(id_, asset.estate, asset.id, template, day_of(now, self._zone).isoformat())
        plan.due, plan.grid = next_date(plan, None)
        self.plans[id_] = plan
        self._touch(plan, now, by)
        facts = {"due": plan.due, "statutory": template.statutory, "assumed_from": plan.anchor}
        return self._event(plan, "plan.created", now, str(plan.version), by, **facts)

    def _run(self, plan: Plan, now: Ms) -> list[Event]:
        due = date.fromisoformat(plan.due)
        out: list[Event] = []
        opens = begin(due - timedelta(days=plan.template.lead_days), self._zone)
        if not plan.order and now >= opens:
            out += self._open(plan, max(opens, plan.changed_at), due)
        over = end(due, self._zone)
        if now >= over and plan.told != plan.due:
            plan.told = plan.due
            at = max(over, plan.changed_at)
            self._touch(plan, at, "steward")
            facts = {"due": plan.due, "statutory": plan.template.statutory, "order": plan.order}
            out.append(self._event(plan, "plan.overdue", at, plan.due, **facts))
        return out

    def _open(self, plan: Plan, at: Ms, due: date) -> list[Event]:
        asset = self._orders.assets.get(plan.asset)
        if asset is None:
            return []
        t = plan.template
        plan.turn += 1
        order = Order(
            id=make_id("wo", plan.id, plan.turn, plan.due), estate=plan.estate, asset=plan.asset,
            system=asset.kind, alarm=None, incident=make_id("inc", plan.id, plan.turn), event="maintenance",
            party=t.party, title={k: f"{asset.name.get(k, asset.id)} {t.name[k]}" for k in ("zh", "en")},
            priority=3, life=False, drill=False, source="plan", plan=plan.id,
            needs=list(dict.fromkeys((*t.needs, "costs"))),
        )  # fmt: skip
        plan.order = order.id
        self._touch(plan, at, "steward")
        duty = self._duty(plan, asset, at, end(due, self._zone))
        facts = {"plan": plan.id, "due": plan.due, "statutory": t.statutory}
        return self._orders.dispatch(order, duty, plan.id, at, **facts)

    def _duty(self, plan: Plan, asset: Asset, at: Ms, due: Ms) -> Duty:
        """Restored by the end of the due date; whoever is over the party hears of a missed one."""
        t, matrix = plan.template, self._orders.matrix
        left = max(1, (due - at) // 1000)
        ladder = (
            Step(left, t.supervisor, "sms", "restore"),
            Step(left + 86_400, "DM", "sms", "restore"),
        )
        return replace(
            matrix.match_or_fallback("human_report", asset, 3, at), row=f"plan:{t.id}", party=t.party,
            party_name=matrix.role_name(t.party), backup="", supervisor=t.supervisor, ladder=ladder,
            clocks={"accept": None, "arrive": None, "restore": left, "close": left + 7 * 86_400},
            inform=(), also=(), fund_eligible=False, legal=t.legal, process={}, checklist=t.items,
            calendar="24x7",
        )  # fmt: skip

    # ── counters and conditions ───────────────────────────────────────────────────────────────────

    def _look(self, plan: Plan, now: Ms) -> list[Event]:
        t = plan.template
        if t.kind in ("calendar", "completion") or self.value_of is None or not plan.active:
            return []
        found = self.value_of(f"{plan.asset}/{t.tag}")
        if found is None or found[1] is None or level_of(found[2]) > Level.UNCERTAIN:
            return []  # unknown is a state: nothing is concluded from it
        if t.kind == "condition":
            called = self._condition(plan, found[1])
        else:
            self._count(plan, found[1], now)
            called = plan.used >= t.amount
        if not called or plan.due:
            return []
        plan.due = (day_of(now, self._zone) + timedelta(days=t.within_days)).isoformat()
        plan.ready = False
        self._touch(plan, now, "steward")
        facts = {"due": plan.due, "used": round(plan.used, 3), "value": found[1]}
        return [self._event(plan, "plan.called", now, f"{plan.turn}:{plan.due}", **facts)]

    def _condition(self, plan: Plan, value: float) -> bool:
        t = plan.template
        holds = {">": value > t.amount, "<": value < t.amount, ">=": value >= t.amount,
                 "<=": value <= t.amount}[t.op]  # fmt: skip
        if not holds and not plan.ready:
            plan.ready = True
            self._changed.add(plan.id)
        return holds and plan.ready

    def _count(self, plan: Plan, value: float, now: Ms) -> None:
        """A counter that goes back was replaced or rolled over: what it had counted is carried on."""
        if not plan.counter:
            plan.counter = [value, 0.0, value]
            self._touch(plan, now, "steward")
            return
        base, carried, last = plan.counter
        if value < last:
            plan.counter = [value, carried + last - base, value]
            self._changed.add(plan.id)
        elif value > last:
            plan.counter[2] = value
            if value - last >= plan.template.amount / 1000 or plan.used >= plan.template.amount:
                self._changed.add(plan.id)

    # ── what became of its order ──────────────────────────────────────────────────────────────────

    def _done(self, plan: Plan, e: Event) -> list[Event]:
        done, was, order = day_of(e.t, self._zone), plan.due, plan.order
        late = max(0, (done - date.fromisoformat(was)).days)
        skipped = self._missed(plan, done)
        plan.last_done, plan.order, plan.moved = done.isoformat(), "", []
        plan.due, plan.grid = next_date(plan, done)
        if plan.counter:
            plan.counter = [plan.counter[2], 0.0, plan.counter[2]]
        self._touch(plan, e.t, e.actor)
        facts = {
            "due": was,
            "done": plan.last_done,
            "late_days": late,
            "on_time": late == 0,
            "next": plan.due,
        }
        facts |= {"order": order, "statutory": plan.template.statutory, "skipped": skipped}
        return [self._event(plan, "plan.completed", e.t, f"{order}:{e.id}", e.actor, **facts)]

    def _missed(self, plan: Plan, done: date) -> int:
        """How many further dates of the series went by before the work was done."""
        if plan.template.kind != "calendar" or not plan.grid:
            return 0
        n, grid = 0, date.fromisoformat(plan.grid)
        following = next_date(plan, None)[1]
        while following and date.fromisoformat(following) <= done:
            n += 1
            following = next_date(replace(plan, grid=following), None)[1]
        return n if grid <= done else 0

    def _cancelled(self, plan: Plan, e: Event) -> list[Event]:
        """What the law demands is opened again at once; another plan goes on to its next date."""
        order, was, plan.order = plan.order, plan.due, ""
        if not plan.template.statutory:
            plan.due, plan.grid = next_date(plan, day_of(e.t, self._zone))
        self._touch(plan, e.t, e.actor)
        facts = {"due": was, "next": plan.due, "order": order, "reason": e.data.get("reason", "")}
        return [self._event(plan, "plan.cancelled", e.t, f"{order}:{e.id}", e.actor, **facts)]

    # ── people ────────────────────────────────────────────────────────────────────────────────────

    def command(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        """`plan.put`, `plan.move`, `plan.last`, `plan.pause`; the answer is {"plan": …}."""
        authorise(cmd)
        if cmd.kind == "plan.put":
            events = self._put(cmd)
        else:
            plan = self.plans.get(cmd.subject)
            if plan is None:
                raise NotFound(f"there is no plan {cmd.subject!r}")
            self._in_scope(cmd, plan.asset)
            same_version(cmd, plan.version, plan.changed_by, plan.changed_at)
            acts = {"plan.move": self._move, "plan.last": self._last, "plan.pause": self._pause}
            events = acts[cmd.kind](plan, cmd)
        return events, {"plan": self.plans[cmd.subject].as_dict()}

    def _in_scope(self, cmd: Command, asset_id: str) -> Asset:
        asset = self._orders.assets.get(asset_id)
        if asset is None:
            raise NotFound(f"there is no asset {asset_id!r}")
        firm = self._orders.firms.get(asset.estate, "")
        in_scope(cmd, firm=firm, estate=asset.estate, system=asset.kind, what="plan")
        return asset

    def _put(self, cmd: Command) -> list[Event]:
        """A plan of the site's own, or other figures for a shipped one: never longer than the law's."""
        asset = self._in_scope(cmd, str(cmd.data.get("asset")))
        raw = cmd.data.get("template")
        faults = list(plan_fault(raw, list(self._orders.matrix.roles), SYSTEMS))
        if faults:
            raise Problems([BadInput(m, field=f"template.{f}", hint=h) for f, m, h in faults])
        assert isinstance(raw, Mapping)
        template = template_of(raw)
        known = self.plans.get(cmd.subject)
        if known is None:
            return [self._new(cmd.subject, asset, template, cmd.received_at, cmd.actor.id)]
        same_version(cmd, known.version, known.changed_by, known.changed_at)
        if known.asset != asset.id:
            raise Conflict(f"plan {known.id} belongs to {known.asset}; make another one")
        if known.template.statutory:
            _keeps_the_law(known, template)
        was, known.template = known.template, template
        if not known.order:
            done = date.fromisoformat(known.last_done) if known.last_done else None
            known.due, known.grid = next_date(replace(known, grid=""), done)
        self._touch(known, cmd.received_at, cmd.actor.id)
        facts = {"due": known.due, "every": template.every, "was": was.every}
        return [self._event(known, "plan.changed", cmd.received_at, cmd.id, cmd.actor.id, **facts)]

    def _move(self, plan: Plan, cmd: Command) -> list[Event]:
        due, reason = _date(cmd, "due"), text(cmd, "reason")
        if not plan.due:
            raise Conflict("nothing calls for this plan now, so there is no date to move")
        bound = latest(plan)
        if bound is not None and due > bound:
            raise Conflict(f"{plan.template.legal}: not later than {bound.isoformat()}")
        was, plan.due = plan.due, due.isoformat()
        plan.moved.append({"from": was, "to": plan.due, "by": cmd.actor.id, "reason": reason})
        self._touch(plan, cmd.received_at, cmd.actor.id)
        facts = {"was": was, "due": plan.due, "reason": reason, "statutory": plan.template.statutory}
        return [self._event(plan, "plan.moved", cmd.received_at, cmd.id, cmd.actor.id, **facts)]

    def _last(self, plan: Plan, cmd: Command) -> list[Event]:
        """What the papers say about the service before Steward came, or one that it did not see."""
        done, reason = _date(cmd, "done"), text(cmd, "reason")
        if done > day_of(cmd.received_at, self._zone):
            raise BadInput(f"{done.isoformat()} is still to come", field="done", hint="today or before")
        if plan.order:
            raise Conflict(f"order {plan.order} is open for it; finish that one")
        if plan.last_done and done < date.fromisoformat(plan.last_done):
            raise Conflict(f"it was done on {plan.last_done}, which is later")
        plan.last_done = done.isoformat()
        plan.due, plan.grid = next_date(plan, done)
        self._touch(plan, cmd.received_at, cmd.actor.id)
        facts = {"done": plan.last_done, "due": plan.due, "reason": reason}
        return [self._event(plan, "plan.recorded", cmd.received_at, cmd.id, cmd.actor.id, **facts)]

    def _pause(self, plan: Plan, cmd: Command) -> list[Event]:
        reason, on = text(cmd, "reason"), cmd.data.get("active")
        if not isinstance(on, bool):
            raise BadInput("say whether the plan is active", field="active", hint="true or false")
        plan.active = on
        self._touch(plan, cmd.received_at, cmd.actor.id)
        facts = {"active": on, "reason": reason, "statutory": plan.template.statutory, "due": plan.due}
        return [self._event(plan, "plan.paused", cmd.received_at, cmd.id, cmd.actor.id, **facts)]

    # ── small change ──────────────────────────────────────────────────────────────────────────────

    def _touch(self, plan: Plan, t: Ms, by: str) -> None:
        plan.version += 1
        plan.changed_by, plan.changed_at = by, max(t, plan.changed_at)
        self._fresh.add(plan.id)
        self._changed.add(plan.id)

    def _event(self, plan: Plan, kind: str, t: Ms, key: str, actor: str = "steward", /, **data: Any) -> Event:
        facts = {"template": plan.template.id, "party": plan.template.party} | data
        return Event(f"{kind}:{plan.id}:{key}", plan.estate, t, kind, plan.id, actor, plan.asset, facts)


def _keeps_the_law(plan: Plan, template: PlanTemplate) -> None:
    """Raises Conflict when other figures would give what the law demands more time."""
    old, day = plan.template, date(2026, 1, 1)
    same = template.statutory and template.kind == old.kind and template.limit_days is not None
    if not same or (template.limit_days or 0) > (old.limit_days or 0):
        raise Conflict(f"{old.legal}: stays as it is, at most every {old.limit_days} days")
    if old.every and after(day, template.every) > day + timedelta(days=old.limit_days or 0):
        raise Conflict(f"{old.legal}: {template.every} is longer than {old.limit_days} days")


def _date(cmd: Command, name: str) -> date:
    try:
        return date.fromisoformat(str(cmd.data.get(name)))
    except ValueError as e:
        raise BadInput(f"{cmd.data.get(name)!r:.40} is no date", field=name, hint="2026-12-31") from e


__all__ = ["KINDS", "Plan", "PlanBook"]
