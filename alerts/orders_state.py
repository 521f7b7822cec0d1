"""A work order: its states as a table, its four clocks, and how it is kept.

EN_ROUTE and WORKING are optional stamps; nothing else can be left out on the way.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from alerts.checklists import missing
from alerts.costs import totals
from alerts.matrix import CLOCKS, Duty
from gateway.model import Ms, Text


class OrderState(enum.StrEnum):
    """Where an order stands."""

    NEW = "NEW"
    DISPATCHED = "DISPATCHED"
    ACCEPTED = "ACCEPTED"
    EN_ROUTE = "EN_ROUTE"
    ON_SITE = "ON_SITE"
    WORKING = "WORKING"
    ON_HOLD = "ON_HOLD"
    DONE = "DONE"
    VERIFIED = "VERIFIED"
    CLOSED = "CLOSED"
    REJECTED = "REJECTED"
    REASSIGNED = "REASSIGNED"
    CANCELLED = "CANCELLED"


_S = OrderState

PATH = (
    _S.NEW,
    _S.DISPATCHED,
    _S.ACCEPTED,
    _S.EN_ROUTE,
    _S.ON_SITE,
    _S.WORKING,
    _S.DONE,
    _S.VERIFIED,
    _S.CLOSED,
)
"""The straight way, in the order of its stamps."""

WAITING = frozenset({_S.NEW, _S.DISPATCHED, _S.REJECTED, _S.REASSIGNED})
"""Nobody has accepted."""
AT_WORK = frozenset({_S.ACCEPTED, _S.EN_ROUTE, _S.ON_SITE, _S.WORKING, _S.ON_HOLD})
OPEN = WAITING | AT_WORK | {_S.DONE, _S.VERIFIED}
ENDED = frozenset({_S.CLOSED, _S.CANCELLED})


def _flow() -> dict[tuple[OrderState, str], OrderState]:
    flow = {(_S.NEW, "dispatch"): _S.DISPATCHED}
    for s in (_S.DISPATCHED, _S.REJECTED, _S.REASSIGNED):
        flow[s, "accept"] = _S.ACCEPTED
    for s in (_S.DISPATCHED, _S.REASSIGNED):
        flow[s, "reject"] = _S.REJECTED
    flow[_S.ACCEPTED, "en_route"] = _S.EN_ROUTE
    for s in (_S.ACCEPTED, _S.EN_ROUTE):
        flow[s, "arrive"] = _S.ON_SITE
    flow[_S.ON_SITE, "work"] = _S.WORKING
    for s in (_S.ON_SITE, _S.WORKING):
        flow[s, "done"] = _S.DONE
    for s in (_S.ACCEPTED, _S.EN_ROUTE, _S.ON_SITE, _S.WORKING):
        flow[s, "hold"] = _S.ON_HOLD
        flow[_S.ON_HOLD, f"resume:{s}"] = s
    for s in (_S.DISPATCHED, _S.REJECTED, _S.REASSIGNED, *AT_WORK):
        flow[s, "reassign"] = _S.REASSIGNED
        flow[s, "cancel"] = _S.CANCELLED
    flow[_S.DONE, "verify"] = _S.VERIFIED
    flow[_S.VERIFIED, "close"] = _S.CLOSED
    for s in (_S.DONE, _S.VERIFIED):
        flow[s, "reopen"] = _S.WORKING
    return flow


FLOW = _flow()
"""(state, act) → state; what is missing is refused. An order on hold resumes to where it was held."""

HOLD_REASONS: Mapping[str, Text] = {
    "parts": {"zh": "待备件", "en": "Waiting for parts"},
    "access": {"zh": "无法进入现场", "en": "No access"},
    "utility": {"zh": "待专业经营单位", "en": "Waiting for a utility"},
    "owner": {"zh": "待业主或资金审批", "en": "Waiting for owners or funds"},
    "permit": {"zh": "待作业许可", "en": "Waiting for a permit"},
    "weather": {"zh": "天气原因", "en": "Weather"},
    "inspection": {"zh": "待检验", "en": "Waiting for an inspection"},
    "other": {"zh": "其他", "en": "Other"},
}
CAUSE_CODES: Mapping[str, Text] = {
    "equipment": {"zh": "设备故障", "en": "Equipment failed"},
    "wear": {"zh": "磨损老化", "en": "Wear and age"},
    "door": {"zh": "门系统", "en": "Door system"},
    "power": {"zh": "停电或电源", "en": "Power"},
    "water": {"zh": "进水", "en": "Water got in"},
    "external": {"zh": "外部原因", "en": "External cause"},
    "human": {"zh": "人为原因", "en": "People"},
    "sensor": {"zh": "传感器或通信", "en": "Sensor or link"},
    "nuisance": {"zh": "误报", "en": "False alarm"},
    "drill": {"zh": "演练", "en": "Drill"},
    "other": {"zh": "其他", "en": "Other"},
}
PERCENT = (50, 80, 100, 150)
"""A reminder goes out when so much of a clock has passed."""


@dataclass(slots=True)
class Clock:
    """One of the four: `state` is running, met, missed or off. `due` takes holds into account so far."""

    seconds: int | None
    start: Ms
    due: Ms | None
    met_at: Ms | None = None
    state: str = "running"
    sent: list[int] = field(default_factory=list)

    def shown(self) -> dict[str, Any]:
        """What screens see."""
        return {"start": self.start, "due": self.due, "met_at": self.met_at, "state": self.state}


@dataclass(slots=True)
class Keep:
    """What an order must remember beside what is shown.

    own: alarms that it answers, with the time of their clearing · met: when accept, arrive and restore were
    fulfilled, whether or not a clock runs · fired: steps of the ladder that were taken · base: from when the
    steps count that wait for an acceptance · ladder_base: from when the others count, once a more urgent
    alarm has joined · turn: how often the order was given out · holds: [from, to] · held_from: the state to
    resume to · withheld: calls that wait for release [{step, role, channel}] · acts: who did last what leaves
    no stamp, and when the core heard of it {act: [by, at]}.
    """

    duty: Duty | None = None
    own: dict[str, Ms | None] = field(default_factory=dict)
    met: dict[str, Ms | None] = field(default_factory=dict)
    fired: list[int] = field(default_factory=list)
    base: Ms = 0
    ladder_base: Ms = 0
    turn: int = 0
    holds: list[list[Ms | None]] = field(default_factory=list)
    held_from: str = ""
    withheld: list[dict[str, Any]] = field(default_factory=list)
    commissioning: bool = False
    changed_by: str = ""
    changed_at: Ms = 0
    next_at: Ms | None = None
    acts: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(slots=True)
class Order:
    """One piece of work of one responsible party.

    follows: `order/item` whose reading opened it · plan: id of the plan that opened it · needs: see
    checklists.NEEDS · costs: see costs.line · confirmed: the second person {by, at, note} · downtime: what
    the sensors saw [{alarm, from, to}] · arrival: how it was proven, see orders_pass.PROOFS.
    """

    id: str
    estate: str
    asset: str
    system: str
    alarm: str | None
    incident: str
    event: str
    party: str
    title: Text
    priority: int
    life: bool
    drill: bool
    source: str
    alarms: list[str] = field(default_factory=list)
    party_name: Text = field(default_factory=dict)
    state: OrderState = OrderState.NEW
    stamps: dict[str, Ms] = field(default_factory=dict)
    by: dict[str, str] = field(default_factory=dict)
    assignee: str = ""
    backup: str = ""
    supervisor: str = ""
    clocks: dict[str, Clock] = field(default_factory=dict)
    ladder_level: int = 0
    ladder: list[dict[str, Any]] = field(default_factory=list)
    informed: list[str] = field(default_factory=list)
    fund_eligible: bool = False
    legal: str = ""
    notes: list[dict[str, Any]] = field(default_factory=list)
    checklist: list[dict[str, Any]] = field(default_factory=list)
    cause_code: str = ""
    action: str = ""
    verified_by: str = ""
    override_reason: str = ""
    hold_reason: str = ""
    version: int = 0
    matrix_version: int = 0
    matrix_row: str = ""
    follows: str = ""
    plan: str = ""
    needs: list[str] = field(default_factory=list)
    photos: list[dict[str, Any]] = field(default_factory=list)
    costs: list[dict[str, Any]] = field(default_factory=list)
    costs_confirmed: dict[str, Any] = field(default_factory=dict)
    confirmed: dict[str, Any] = field(default_factory=dict)
    downtime: list[dict[str, Any]] = field(default_factory=list)
    arrival: str = ""
    keep: Keep = field(default_factory=Keep)

    @property
    def duty(self) -> Duty:
        """The matrix row that it was dispatched by, as it was then."""
        assert self.keep.duty is not None, "an order is dispatched when it is made"
        return self.keep.duty

    @property
    def open(self) -> bool:
        """Not closed and not cancelled."""
        return self.state not in ENDED

    @property
    def commissioning(self) -> bool:
        """Its asset is being commissioned: calls that leave the firm wait, and it enters no figure."""
        return self.keep.commissioning

    @property
    def needs_freed(self) -> bool:
        """People are in there: service is restored when they are out, which only a person can say."""
        return self.event == "entrapment"

    def item(self, id_: str) -> dict[str, Any] | None:
        """An item of the checklist."""
        return next((i for i in self.checklist if i["id"] == id_), None)

    def missing(self) -> list[str]:
        """Items of the checklist that must have an answer and have none."""
        return missing(self.checklist, required=True)

    def as_dict(self) -> dict[str, Any]:
        """The order as screens and programs see it (JSON)."""
        body = {n: _copy(getattr(self, n)) for n in _SHOWN}
        body["state"] = self.state.value
        body["clocks"] = {name: clock.shown() for name, clock in self.clocks.items()}
        body["costs_total"] = totals(self.costs)
        return body

    def as_record(self) -> dict[str, Any]:
        """`as_dict` and what a restart needs."""
        keep = {f.name: _copy(getattr(self.keep, f.name)) for f in fields(Keep) if f.name != "duty"}
        clocks = {n: {"seconds": c.seconds, "sent": list(c.sent)} for n, c in self.clocks.items()}
        return self.as_dict() | {"keep": keep | {"duty": self.duty.as_dict(), "clocks": clocks}}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Order:
        """What `as_record` gave."""
        raw = dict(body["keep"])
        clocks, duty = raw.pop("clocks"), Duty.from_dict(raw.pop("duty"))
        keep = Keep(duty=duty, **{k: _copy(v) for k, v in raw.items() if k in Keep.__slots__})
        plain = {n: _copy(body[n]) for n in _SHOWN if n in body}
        plain["state"] = OrderState(body["state"])
        plain["clocks"] = {n: Clock(**c, **clocks[n]) for n, c in body["clocks"].items()}
        return cls(**plain, keep=keep)


_SHOWN = tuple(f.name for f in fields(Order) if f.name != "keep")


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _copy(v) for k, v in value.items()}
    return [_copy(v) for v in value] if isinstance(value, list | tuple) else value


def last_stamp(order: Order) -> Ms:
    """Time of the newest stamp; no later act can be earlier."""
    return max(order.stamps.values(), default=0)


def start_clocks(duty: Duty, t: Ms) -> dict[str, Clock]:
    """The four clocks of a duty from `t`; without seconds, or with 0, a clock is off."""
    out: dict[str, Clock] = {}
    for name in CLOCKS:
        seconds = duty.clocks.get(name) or None
        out[name] = Clock(seconds, t, None, state="running" if seconds else "off")
    return out


EVENT_OF: Mapping[str, str] = {
    "accept": "order.accepted", "en_route": "order.en_route", "arrive": "order.arrived",
    "work": "order.working", "hold": "order.held", "resume": "order.resumed", "done": "order.done",
    "verify": "order.verified", "close": "order.closed", "reject": "order.rejected",
    "reassign": "order.reassigned", "cancel": "order.cancelled", "reopen": "order.reopened",
}  # fmt: skip
FACTS = (
    "incident", "event", "party", "priority", "life", "drill", "alarm", "assignee", "matrix_row", "source",
    "system", "version", "commissioning",
)  # fmt: skip
"""Fields of an order that every event about it carries."""
_FREED: Mapping[str, Any] = {
    "id": "freed", "type": "number", "unit": "人", "low": 0, "high": 60, "out": "mark",
    "text": {"zh": "已救出人数", "en": "People freed"},
}  # fmt: skip


def items_of(order: Order, duty: Duty) -> Sequence[Mapping[str, Any]]:
    """The checklist of the duty; an entrapment always asks how many were freed."""
    if order.needs_freed and all(i["id"] != "freed" for i in duty.checklist):
        return (_FREED, *duty.checklist)
    return duty.checklist


def make_id(prefix: str, *parts: object) -> str:
    """An id that is the same for the same parts."""
    return f"{prefix}-{hashlib.sha256('|'.join(map(str, parts)).encode()).hexdigest()[:12]}"
