"""Who is told what: notices from the events of orders and alarms. Pure; sending is somebody else's work.

The id of a notice is `order:step:role:channel`, or `order:step:role@person:channel` where a person is called
by number, so that the same call is never queued twice. Calls that leave the firm wait for release when the
alarm is a drill or the asset is being commissioned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from alerts.alarms_state import Alarm
from alerts.calendars import Roster
from alerts.matrix import Matrix
from alerts.orders_state import Order
from gateway.model import Asset, Event, Ms, Notice, Text

CONTROL_ROOM = "CR"
CALL_BY = {1: ("push", "sms", "voice"), 2: ("push", "sms"), 3: ("push",), 4: ("push",)}
"""Channels of a first call, by priority: push, SMS and voice for P1."""
SINGLE = frozenset({"sms", "voice"})
"""Channels that reach a person by number: everybody on duty is called, where it is known who that is."""

_CLOCK = {
    "accept": {"zh": "受理", "en": "acceptance"},
    "arrive": {"zh": "到场", "en": "arrival"},
    "restore": {"zh": "恢复", "en": "restoration"},
    "close": {"zh": "结案", "en": "closing"},
}
Call = tuple[str, str, str]
"""(step, role or person, channel)."""


class Announcer:
    """Turns events into notices. It reads orders and alarms, and notes withheld calls in the order."""

    def __init__(
        self,
        matrix: Matrix,
        orders: Mapping[str, Order],
        alarms: Mapping[str, Alarm],
        assets: Mapping[str, Asset],
        roster: Roster | None = None,
    ) -> None:
        self.matrix = matrix
        self.roster = roster or Roster()
        self._orders, self._alarms, self._assets = orders, alarms, assets

    def notices(self, events: Iterable[Event]) -> list[Notice]:
        """All calls that the events make; life safety first, then by priority and time."""
        found = [n for e in events for n in self._of(e)]
        return sorted(found, key=lambda n: (not n.life, n.priority, n.t))

    def _of(self, e: Event) -> Iterator[Notice]:
        if e.kind == "alarm.level":
            yield from self._level(e)
            return
        order = self._orders.get(e.subject)
        calls = _CALLS.get(e.kind)
        if order is None or calls is None:
            return
        for call in calls(self, order, e):
            yield from self._call(order, e, call)

    def _level(self, e: Event) -> Iterator[Notice]:
        order = self._orders.get(self._alarms[e.subject].order or "")
        if order and order.open and e.data["up"] and e.data["dispatch"]:
            step = f"level-{e.data['level']}-{e.t}"
            for channel in CALL_BY[order.priority]:
                yield from self._call(order, e, (step, order.party, channel))

    def _call(self, order: Order, e: Event, call: Call) -> Iterator[Notice]:
        step, to, channel = call
        real = not order.drill and not order.keep.commissioning
        if self.matrix.external(to) and not real and e.kind != "order.released":
            order.keep.withheld.append({"step": step, "role": to, "channel": channel})
            return
        if to == order.assignee and to not in self.matrix.roles:
            yield from self._named(order, e, call)
            return
        people = self.roster.on_duty(to, order.estate, e.t)
        names = [name for _, name in people]
        called = [i for i, _ in people] if channel in SINGLE and people else [""]
        for person in called:
            yield self._notice(order, e, call, names, person)
        if not people and self.roster.knows(to, order.estate):
            other = order.backup if to == order.party else order.supervisor
            if other and other != to and not (self.matrix.external(other) and not real):
                yield self._notice(order, e, (f"{step}-empty-{to}", other, channel), [])

    def _named(self, order: Order, e: Event, call: Call) -> Iterator[Notice]:
        """To one person by name, who may be off duty; those on duty are called by number with the party."""
        step, person, channel = call
        on_duty = {i for i, _ in self.roster.on_duty(order.party, order.estate, e.t)}
        if channel not in SINGLE or person not in on_duty:
            yield self._notice(order, e, (step, order.party, channel), [], person)

    def _notice(self, order: Order, e: Event, call: Call, people: list[str], person: str = "") -> Notice:
        step, to, channel = call
        whom = f"{to}@{person}" if person else to
        return Notice(
            id=f"{order.id}:{step}:{whom}:{channel}", estate=order.estate, t=e.t, to=to, channel=channel,
            subject=order.id, title=_title(order, self._alarms.get(order.alarm or "")),
            body=self._body(order, e, people),
            priority=order.priority, life=order.life, drill=order.drill, person=person,
        )  # fmt: skip

    def _body(self, order: Order, e: Event, people: list[str]) -> Text:
        asset, alarm = self._assets.get(order.asset), self._alarms.get(order.alarm or "")
        out: dict[str, str] = {}
        for k in ("zh", "en"):
            parts = [_what(order, e, k)]
            if alarm:
                parts.append(alarm.sentence.get(k, ""))
            elif order.notes:
                parts.append(order.notes[0]["text"])
            if asset and asset.place.get(k):
                parts.append({"zh": "位置：", "en": "Place: "}[k] + asset.place[k])
            parts.append(order.duty.process.get(k, ""))
            if order.assignee:
                parts.append({"zh": "处理人：", "en": "Assignee: "}[k] + order.assignee)
            if people:
                parts.append({"zh": "值班：", "en": "On duty: "}[k] + ", ".join(people))
            out[k] = {"zh": "；", "en": "; "}[k].join(p for p in parts if p)
        return out


def _title(order: Order, alarm: Alarm | None = None) -> Text:
    mark = {"zh": f"P{order.priority}", "en": f"P{order.priority}"}
    if order.life:
        mark = {"zh": "P1 生命安全", "en": "P1 LIFE SAFETY"}
    prefix = {"zh": "", "en": ""}
    if order.drill:
        prefix = {"zh": "【演练】", "en": "[DRILL] "}
    elif order.keep.commissioning and alarm is not None and alarm.mode == "permit":
        prefix = {"zh": "【检修】", "en": "[PERMIT] "}
    elif order.keep.commissioning:
        prefix = {"zh": "【试运行】", "en": "[COMMISSIONING] "}
    return {
        "zh": f"{prefix['zh']}【{mark['zh']}】{order.title.get('zh', '')}",
        "en": f"{prefix['en']}[{mark['en']}] {order.title.get('en', '')}",
    }


def _what(order: Order, e: Event, language: str) -> str:
    data = e.data
    if e.kind == "order.reminded":
        clock = _CLOCK[data["clock"]][language]
        word = {
            "zh": f"{clock}时限已用 {data['percent']}%",
            "en": f"{data['percent']} % of the time for {clock}",
        }
        return word[language]
    if e.kind == "order.escalated":
        return {"zh": f"升级到第 {data['level']} 级", "en": f"Escalated to level {data['level']}"}[language]
    if e.kind == "order.rejected":
        return {"zh": f"被拒：{data['reason']}", "en": f"Rejected: {data['reason']}"}[language]
    if e.kind in ("order.dispatched", "order.upgraded", "order.reassigned"):
        return _due(order, language)
    return _WORDS.get(e.kind, {"zh": "", "en": ""})[language]


_WORDS: Mapping[str, Text] = {
    "order.reopened": {"zh": "报警再次出现，工单重开", "en": "The alarm is back, the order is open again"},
    "order.released": {"zh": "已确认外呼", "en": "Released to outside parties"},
    "alarm.level": {"zh": "报警升级", "en": "The alarm has become worse"},
    "order.called_again": {"zh": "仍无人受理，再次呼叫", "en": "Nobody has accepted yet; calling again"},
}


def _due(order: Order, language: str) -> str:
    parts = []
    for name in ("accept", "arrive", "restore"):
        seconds = order.clocks[name].seconds
        if seconds and order.clocks[name].met_at is None:
            parts.append(f"{_CLOCK[name][language]} {_span(seconds, language)}")
    words = {"zh": "时限：", "en": "Time for "}[language] + ", ".join(parts)
    return words if parts else {"zh": "立即处置", "en": "Act at once"}[language]


def _span(seconds: int, language: str) -> str:
    if seconds < 60:
        return f"{seconds} {'秒' if language == 'zh' else 's'}"
    if seconds % 3600:
        return f"{seconds / 60:g} {'分钟' if language == 'zh' else 'min'}"
    return f"{seconds // 3600} {'小时' if language == 'zh' else 'h'}"


# ── who is called by which event ──────────────────────────────────────────────────────────────────────


def _dispatched(self: Announcer, order: Order, e: Event) -> Iterator[Call]:
    step = "0" if e.kind == "order.dispatched" else f"up{order.keep.turn}"
    for channel in CALL_BY[order.priority]:
        yield step, order.party, channel
        given = e.data.get("assignment") or {}
        if given.get("outcome") == "supervisor" and given["role"] != order.party:
            yield step, str(given["role"]), channel  # nobody of the party can: whoever leads has it now
    if order.party != CONTROL_ROOM and (order.life or order.priority == 1):
        yield step, CONTROL_ROOM, "push"
    if e.kind == "order.dispatched":
        for role in order.duty.inform:
            yield "inform", role, "push"


def _escalated(self: Announcer, order: Order, e: Event) -> Iterator[Call]:
    yield f"L{e.data['level']}-{order.keep.turn}", str(e.data["role"]), str(e.data["channel"])


def _reminded(self: Announcer, order: Order, e: Event) -> Iterator[Call]:
    step = f"{e.data['clock']}-{e.data['percent']}-{order.keep.turn}"
    yield step, str(e.data["role"]), "push"


def _rejected(self: Announcer, order: Order, e: Event) -> Iterator[Call]:
    for role in dict.fromkeys(r for r in (order.backup, order.supervisor) if r):
        for channel in CALL_BY[order.priority][:2]:
            yield f"rejected-{e.data['version']}", role, channel


def _reassigned(self: Announcer, order: Order, e: Event) -> Iterator[Call]:
    for channel in CALL_BY[order.priority]:
        yield f"reassigned-{e.data['version']}", order.party, channel
        if e.data["to"] != order.party:
            yield f"reassigned-{e.data['version']}", str(e.data["to"]), channel


def _reopened(self: Announcer, order: Order, e: Event) -> Iterator[Call]:
    for channel in CALL_BY[order.priority]:
        yield f"reopened-{e.data['version']}", order.party, channel


def _released(self: Announcer, order: Order, e: Event) -> Iterator[Call]:
    for call in e.data["calls"]:
        yield call["step"], call["role"], call["channel"]


def _called_again(self: Announcer, order: Order, e: Event) -> Iterator[Call]:
    """The party, and whoever of the firm the ladder has called since."""
    step = f"again-{order.keep.base}-{e.data['n']}"
    inside = [str(x["role"]) for x in order.ladder if not self.matrix.external(str(x["role"]))]
    for role in dict.fromkeys([order.party, *inside[-1:]]):
        yield step, role, "voice"


_CALLS: Mapping[str, Callable[[Announcer, Order, Event], Iterator[Call]]] = {
    "order.dispatched": _dispatched,
    "order.upgraded": _dispatched,
    "order.escalated": _escalated,
    "order.reminded": _reminded,
    "order.rejected": _rejected,
    "order.reassigned": _reassigned,
    "order.reopened": _reopened,
    "order.released": _released,
    "order.called_again": _called_again,
}


def watchdog_notice(estate: str, t: Ms, slot: int) -> Notice:
    """The test call that must come: when it stays away, the chain is broken."""
    return Notice(
        id=f"watchdog:{estate}:{slot}:{CONTROL_ROOM}:push", estate=estate, t=t, to=CONTROL_ROOM,
        channel="push", subject=f"watchdog-{estate}",
        title={"zh": "看门狗：通知链路正常", "en": "Watchdog: the notice chain works"},
        body={"zh": "每小时一次；未收到即为故障", "en": "Hourly; if it stays away something is broken"},
        priority=4,
    )  # fmt: skip


def queued(notice: Notice) -> Event:
    """The fact that the notice was put into the outbox."""
    facts: dict[str, Any] = {"to": notice.to, "channel": notice.channel, "about": notice.subject}
    facts |= {"priority": notice.priority, "life": notice.life, "drill": notice.drill}
    return Event(
        f"notice.queued:{notice.id}", notice.estate, notice.t, "notice.queued", notice.id, data=facts
    )
