"""Shift handover 交接班: what is open goes from one to the other, and both sign. Pure.

The document is frozen at the first signature; the second must be another person with another log-in. When a
shift changed and 30 minutes later both names are not there, the manager hears of it. The signed document
stands in the event log with its hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from alerts.alarms_state import Alarm
from alerts.books import Gone, Record
from alerts.calendars import Roster, stamp
from alerts.orders_state import Order
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Command, Event, Ms, Role

DUTY = "CR"
"""The role whose shifts are handed over."""
GRACE: Ms = 30 * 60_000
"""Both have signed so long after the change, at the latest."""
EARLY: Ms = 2 * 3_600_000
"""A handover that was signed so long before the change counts for it."""
KEEP: Ms = 7 * 86_400_000
MINUTE: Ms = 60_000
_ROLES: frozenset[Role] = frozenset({"operator", "supervisor", "manager", "admin"})
MAY: Mapping[str, frozenset[Role]] = dict.fromkeys(
    ("handover.open", "handover.note", "handover.sign"), _ROLES
)
Lines = list[dict[str, Any]]


class HandoverBook:
    """One open handover an estate; signed ones leave the memory after a week, never the log."""

    nouns: tuple[str, ...] = ("handover",)
    kinds: tuple[str, ...] = ("handover", "handover_watch")

    def __init__(
        self,
        firms: Mapping[str, str],
        alarms: Mapping[str, Alarm],
        orders: Mapping[str, Order],
        roster: Callable[[], Roster],
        others: Callable[[], Iterable[Record]] = lambda: (),
    ) -> None:
        """Start empty. firms: firm by estate · others: records of books; of them silences are listed."""
        self._firms, self._alarms, self._orders = dict(firms), alarms, orders
        self._roster, self._others = roster, others
        self.sheets: dict[str, dict[str, Any]] = {}
        self._upto: dict[str, Ms] = {}
        self._changed: set[str] = set()
        self._gone: set[str] = set()
        self._watched: set[str] = set()

    # ── acts ──────────────────────────────────────────────────────────────────────────────────────

    def command(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        """`handover.open` (subject: the estate), `handover.note`, `handover.sign` (the handover)."""
        if cmd.kind not in MAY:
            raise BadInput(f"there is no command {cmd.kind!r}", field="kind", hint=", ".join(MAY))
        if cmd.actor.role not in MAY[cmd.kind]:
            raise Forbidden(f"{cmd.actor.role} may not do {cmd.kind}")
        if cmd.kind == "handover.open":
            return self._open(cmd)
        sheet = self.sheets.get(cmd.subject)
        if sheet is None or not self._sees(cmd, sheet["estate"]):
            raise NotFound(f"there is no handover {cmd.subject!r}")
        if cmd.version is not None and cmd.version != sheet["version"]:
            raise Conflict(f"changed by {sheet['changed_by']} at {stamp(sheet['changed_at'])}; look again")
        return self._note(sheet, cmd) if cmd.kind == "handover.note" else self._sign(sheet, cmd)

    def _sees(self, cmd: Command, estate: str) -> bool:
        """A shift hands over all of an estate: nothing for whoever sees some of its systems only."""
        scope = cmd.actor.scope
        known = estate in self._firms and scope.systems is None
        return known and scope.allows(firm=self._firms[estate], estate=estate)

    def _open(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        estate, now = cmd.subject, cmd.received_at
        if not self._sees(cmd, estate):
            raise NotFound(f"there is no estate {estate!r}")
        for sheet in self.sheets.values():
            if sheet["estate"] == estate and sheet["state"] != "signed":
                if not sheet["signatures"]:
                    sheet.update(self.contents(estate, now))
                return [], {"handover": shown(sheet)}
        id_ = "ho-" + hashlib.sha256(f"{estate}|{now}|{cmd.id}".encode()).hexdigest()[:12]
        sheet = {
            "id": id_, "estate": estate, "duty": DUTY, "state": "open", "opened_at": now,
            "opened_by": cmd.actor.id, "signatures": [], "notes": [], "version": 0, "hash": "",
            **self.contents(estate, now),
        }  # fmt: skip
        self.sheets[id_] = sheet
        return self._keep(sheet, cmd, "handover.opened")

    def _note(self, sheet: dict[str, Any], cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        words = cmd.data.get("text")
        if not isinstance(words, str) or not 0 < len(words.strip()) <= 2000:
            raise BadInput("a text of 1 to 2000 characters is needed", field="text", hint="say what is open")
        if sheet["signatures"]:
            who = sheet["signatures"][0]
            raise Conflict(
                f"already signed by {who['by']} at {stamp(who['at'])}: it does not change any more"
            )
        sheet["notes"].append({"t": cmd.received_at, "by": cmd.actor.id, "text": words.strip()})
        return self._keep(sheet, cmd, "handover.noted", text=words.strip())

    def _sign(self, sheet: dict[str, Any], cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        side = cmd.data.get("side")
        if side not in ("outgoing", "incoming"):
            raise BadInput(f"{side!r} is no side", field="side", hint="outgoing or incoming")
        session = str(cmd.data.get("session") or "")
        if not session:
            raise BadInput("sign in your own session", field="session", hint="log in yourself")
        for s in sheet["signatures"]:
            if s["side"] == side:
                raise Conflict(f"already signed as {side} by {s['by']} at {stamp(s['at'])}")
            if s["by"] == cmd.actor.id:
                raise Forbidden("two different people sign: you have signed already")
            if s["session"] == session:
                raise Forbidden("each signs in a session of their own: log out, or use another device")
        if not sheet["signatures"]:
            sheet |= self.contents(sheet["estate"], cmd.received_at)
            sheet["hash"] = digest(sheet)
        on = [i for i, _ in self._roster().on_duty(DUTY, sheet["estate"], cmd.received_at)]
        signature = {
            "side": side, "by": cmd.actor.id, "name": cmd.actor.name, "at": cmd.received_at,
            "session": session, "on_duty": cmd.actor.id in on,
        }  # fmt: skip
        sheet["signatures"] = [*sheet["signatures"], signature]
        both = len(sheet["signatures"]) == 2
        sheet["state"] = "signed" if both else "half"
        more = {"document": _document(sheet), "signatures": _public(sheet["signatures"])} if both else {}
        kind = "handover.completed" if both else "handover.signed"
        return self._keep(sheet, cmd, kind, side=side, hash=sheet["hash"], **more)

    def _keep(
        self, sheet: dict[str, Any], cmd: Command, kind: str, **data: Any
    ) -> tuple[list[Event], dict[str, Any]]:
        sheet["version"] += 1
        sheet["changed_by"], sheet["changed_at"] = cmd.actor.id, cmd.received_at
        self._changed.add(sheet["id"])
        facts = {"state": sheet["state"], **data}
        event = Event(
            f"{kind}:{cmd.id}", sheet["estate"], cmd.received_at, kind, sheet["id"], cmd.actor.id, data=facts
        )
        return [event], {"handover": shown(sheet)}

    # ── what is handed over ───────────────────────────────────────────────────────────────────────

    def contents(self, estate: str, now: Ms) -> dict[str, Any]:
        """Everything that the next shift has to know, as of `now`."""
        alarms = [a for a in self._alarms.values() if a.estate == estate]
        orders = [o for o in self._orders.values() if o.estate == estate and o.open]
        late = [(o, self._late(o, now)) for o in orders]
        return {
            "as_of": now,
            "alarms": _alarms(a for a in alarms if a.state in ("UNACK", "ACKED", "RTNUN")),
            "shelved": _alarms(a for a in alarms if a.state == "SHELVED"),
            "out_of_service": _alarms(a for a in alarms if a.state == "OUT_OF_SERVICE"),
            "suppressed": _alarms(a for a in alarms if a.state == "SUPPRESSED"),
            "silenced": [
                {name: v for name, v in b.items() if name != "notices"}
                for k, _, e, b in self._others()
                if k == "silence" and e in ("", estate) and b.get("ended_at") is None
            ],
            "overdue": [_order(o) | {"clocks": clocks} for o, clocks in late if clocks],
            "orders": [_order(o) for o, clocks in late if not clocks],
        }

    @staticmethod
    def _late(order: Order, now: Ms) -> list[str]:
        return [
            name for name, c in order.clocks.items() if c.met_at is None and c.due is not None and c.due < now
        ]

    # ── time ──────────────────────────────────────────────────────────────────────────────────────

    def step(self, events: Sequence[Event], now: Ms) -> list[Event]:
        """Nothing follows from others' events."""
        return []

    def tick(self, now: Ms) -> list[Event]:
        """Changes of shift that are half an hour old and not signed by both."""
        out: list[Event] = []
        for estate in self._firms:
            upto = self._upto.get(estate)
            if upto is None:  # what was before the first start is nobody's fault
                self._watch(estate, now - GRACE)
            elif (now - GRACE) // MINUTE > upto // MINUTE:
                for t, before, after in self._roster().changes(DUTY, estate, upto, now - GRACE):
                    if before and after and not self._signed(estate, t):
                        out.append(self._unsigned(estate, t, before, after))
                self._watch(estate, now - GRACE, keep=bool(out) or now // GRACE != upto // GRACE)
        for id_ in [i for i, s in self.sheets.items() if s["state"] == "signed"]:
            if self.sheets[id_]["changed_at"] + KEEP < now:
                self._gone.add(id_)
                del self.sheets[id_]
        return out

    def _watch(self, estate: str, upto: Ms, *, keep: bool = True) -> None:
        self._upto[estate] = upto
        if keep:
            self._watched.add(estate)

    def _signed(self, estate: str, change: Ms) -> bool:
        """Both names, not long before the change and within the grace after it."""
        return any(
            s["estate"] == estate
            and s["state"] == "signed"
            and change - EARLY <= s["signatures"][-1]["at"] <= change + GRACE
            for s in self.sheets.values()
        )

    def _unsigned(
        self, estate: str, change: Ms, before: Sequence[tuple[str, str]], after: Sequence[tuple[str, str]]
    ) -> Event:
        half = next(
            (i for i, s in self.sheets.items() if s["estate"] == estate and s["state"] != "signed"), ""
        )
        data = {
            "duty": DUTY, "change": change, "handover": half, "outgoing": [n for _, n in before],
            "incoming": [n for _, n in after],
        }  # fmt: skip
        key = f"handover.unsigned:{estate}:{change}"
        return Event(key, estate, change + GRACE, "handover.unsigned", half or estate, data=data)

    # ── keeping ───────────────────────────────────────────────────────────────────────────────────

    def drain(self) -> tuple[list[Record], list[Gone]]:
        """See Book."""
        changed, self._changed = self._changed, set()
        gone, self._gone = self._gone, set()
        watched, self._watched = self._watched, set()
        out: list[Record] = [self._record(self.sheets[i]) for i in sorted(changed) if i in self.sheets]
        out += [("handover_watch", e, e, {"upto": self._upto[e]}) for e in sorted(watched)]
        return out, [("handover", i, "") for i in sorted(gone)]

    @staticmethod
    def _record(sheet: Mapping[str, Any]) -> Record:
        return ("handover", sheet["id"], sheet["estate"], json.loads(json.dumps(sheet)))

    def dump(self) -> list[Record]:
        """See Book."""
        sheets = [self._record(s) for s in self.sheets.values()]
        return [*sheets, *(("handover_watch", e, e, {"upto": t}) for e, t in self._upto.items())]

    def load(self, kind: str, id_: str, body: Mapping[str, Any]) -> None:
        """See Book."""
        if kind == "handover_watch":
            self._upto[id_] = int(body["upto"])
        else:
            self.sheets[id_] = json.loads(json.dumps(body))


_FROZEN = ("id", "estate", "duty", "as_of", "alarms", "shelved", "out_of_service", "suppressed", "silenced",
           "overdue", "orders", "notes")  # fmt: skip


def _document(sheet: Mapping[str, Any]) -> dict[str, Any]:
    return {k: sheet[k] for k in _FROZEN}


def digest(sheet: Mapping[str, Any]) -> str:
    """SHA-256 of what both sign, over canonical JSON."""
    text = json.dumps(_document(sheet), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def shown(sheet: Mapping[str, Any]) -> dict[str, Any]:
    """The handover as people see it: without the marks of sessions."""
    return {**sheet, "signatures": _public(sheet["signatures"])}


def _public(signatures: Iterable[Mapping[str, Any]]) -> Lines:
    return [{k: v for k, v in s.items() if k != "session"} for s in signatures]


def _alarms(alarms: Iterable[Alarm]) -> Lines:
    rows = [
        {"id": a.id, "asset": a.asset, "name": dict(a.name), "priority": a.priority, "state": str(a.state),
         "since": a.raised_at, "life": a.life,
         "until": a.oos_until or a.shelved_until, "silenced": a.silenced}
        for a in alarms
    ]  # fmt: skip
    return sorted(rows, key=lambda r: (r["priority"], r["since"] or 0, r["id"]))


def _order(o: Order) -> dict[str, Any]:
    return {
        "id": o.id, "asset": o.asset, "title": dict(o.title), "priority": o.priority, "state": o.state.value,
        "party": o.party, "assignee": o.assignee,
    }  # fmt: skip
