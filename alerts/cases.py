"""Cases of the emergency maintenance fund 应急维修资金: from the alarm to the disclosure, slot by slot.

What Steward knows by itself (alarm, raw data, photos, verification) fills its slots alone; the rest is filled
by people or named missing. A book of the desk (see `books`); pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta, tzinfo
from typing import Any

from alerts.alarms_access import authorise, in_scope, same_version, text
from alerts.books import Gone, Record
from alerts.calendars import ALWAYS, Calendar
from alerts.orders import OrderBook
from alerts.orders_state import make_id
from alerts.plans_state import day_of, end
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Command, Event, Ms, Text

SLOTS: Mapping[str, Text] = {
    "alarm": {"zh": "报警记录", "en": "Alarm"},
    "raw_data": {"zh": "原始监测数据", "en": "Raw data"},
    "survey": {"zh": "现场勘查", "en": "Survey on the spot"},
    "necessity": {"zh": "紧急维修必要性说明", "en": "Statement of necessity"},
    "plan": {"zh": "维修方案", "en": "Repair plan"},
    "budget": {"zh": "费用预算", "en": "Budget"},
    "contractor": {"zh": "施工单位资质", "en": "Papers of the contractor"},
    "contract": {"zh": "施工合同", "en": "Contract"},
    "before": {"zh": "维修前照片", "en": "Photos before"},
    "after": {"zh": "维修后照片", "en": "Photos after"},
    "verification": {"zh": "验收确认", "en": "Verification"},
    "amount": {"zh": "结算金额", "en": "Amount"},
    "review": {"zh": "造价审核", "en": "Review of the amount"},
    "notice": {"zh": "公示", "en": "Public notice"},
}
"""What a dossier holds, in its order."""
FILLED = ("survey", "necessity", "plan", "budget", "contractor", "contract", "notice")
"""Slots that people fill with words and papers."""
REVIEW_FEN = 10_000_000
"""Above CNY 100,000 the amount is reviewed by somebody else than who entered it."""
PAY_DAYS = 3
"""Working days between the request and the payment."""
_PAST: Mapping[str, str] = {
    "case.open": "case.opened", "case.fill": "case.filled", "case.amount": "case.amounted",
    "case.review": "case.reviewed", "case.request": "case.requested",
}  # fmt: skip
MOST_PAPERS = 30
_PAPER = ("sha256", "size", "media", "name")
"""What is kept of a paper in a slot, beside its bytes in the file store."""
_HASH = re.compile(r"[0-9a-f]{64}")


def missing(case: Mapping[str, Any], order: Mapping[str, Any], *, raw_rows: int | None = None) -> list[str]:
    """Slots that are not filled. order: its record · raw_rows: readings around the alarm, once counted."""
    photos = {p["kind"] for p in order.get("photos") or ()}
    has = {
        "alarm": bool(order.get("alarms") or order.get("notes")),
        "raw_data": bool(order.get("alarms")) and raw_rows != 0,
        "before": "before" in photos, "after": "after" in photos,
        "verification": bool(order.get("verified_by")), "amount": case["amount_fen"] is not None,
        "review": (case["amount_fen"] or 0) <= REVIEW_FEN or (case["review"] or {}).get("result") == "pass",
        **{name: name in case["slots"] for name in FILLED},
    }  # fmt: skip
    return [name for name in SLOTS if not has[name]]


class CaseBook:
    """All cases; there are few."""

    nouns: tuple[str, ...] = ("case",)
    kinds: tuple[str, ...] = ("case",)

    def __init__(self, orders: OrderBook, zone: tzinfo = UTC) -> None:
        """zone: whose working days count."""
        self._orders, self._zone = orders, zone
        self.cases: dict[str, dict[str, Any]] = {}
        self._changed: set[str] = set()

    # ── the book ──────────────────────────────────────────────────────────────────────────────────

    def tick(self, now: Ms) -> list[Event]:
        """A payment that is late is a fact."""
        out = []
        for _, case in sorted(self.cases.items()):
            due = case["pay_due"]
            if due is not None and case["paid_at"] is None and not case["told"] and now >= due:
                case["told"] = True
                self._changed.add(case["id"])
                out.append(self._event(case, "case.overdue", due, str(due), due=due))
        return out

    def step(self, events: Sequence[Event], now: Ms) -> list[Event]:
        """Nothing follows from events."""
        return []

    def drain(self) -> tuple[list[Record], list[Gone]]:
        """See Book."""
        changed, self._changed = sorted(self._changed), set()
        return [self._record(self.cases[i]) for i in changed], []

    def dump(self) -> list[Record]:
        """See Book."""
        return [self._record(c) for c in self.cases.values()]

    def load(self, kind: str, id_: str, body: Mapping[str, Any]) -> None:
        """See Book."""
        self.cases[id_] = dict(body)

    def _record(self, case: dict[str, Any]) -> Record:
        return ("case", case["id"], case["estate"], dict(case))

    # ── people ────────────────────────────────────────────────────────────────────────────────────

    def command(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        """`case.open|fill|amount|review|request|paid`; the answer is {"case": …}."""
        authorise(cmd)
        if cmd.kind == "case.open":
            case = self._open(cmd)
        else:
            found = self.cases.get(cmd.subject)
            if found is None:
                raise NotFound(f"there is no case {cmd.subject!r}")
            case = found
            self._in_scope(cmd, case["estate"], case["system"])
            same_version(cmd, case["version"], case["changed_by"], case["changed_at"])
        acts = {
            "case.open": lambda c, k: {"order": c["order"]}, "case.fill": self._fill,
            "case.amount": self._amount, "case.review": self._review, "case.request": self._request,
            "case.paid": self._paid,
        }  # fmt: skip
        facts = acts[cmd.kind](case, cmd)
        case["version"] += 1
        case["changed_by"], case["changed_at"] = cmd.actor.id, cmd.received_at
        self.cases[case["id"]] = case
        self._changed.add(case["id"])
        kind = _PAST.get(cmd.kind, cmd.kind)
        return [self._event(case, kind, cmd.received_at, cmd.id, cmd.actor.id, **facts)], {"case": case}

    def _in_scope(self, cmd: Command, estate: str, system: str) -> None:
        firm = self._orders.firms.get(estate, "")
        in_scope(cmd, firm=firm, estate=estate, system=system, what="case")

    def _open(self, cmd: Command) -> dict[str, Any]:
        order = self._orders.get(str(cmd.data.get("order")))
        self._in_scope(cmd, order.estate, order.system)
        id_ = make_id("case", order.id)
        if id_ in self.cases:
            raise Conflict(f"order {order.id} has its case {id_}")
        if not order.fund_eligible or order.drill or order.commissioning:
            raise Conflict(f"{order.event} is not on the fund's list (row {order.matrix_row} of the matrix)")
        return {
            "id": id_, "estate": order.estate, "asset": order.asset, "system": order.system,
            "order": order.id, "incident": order.incident, "event": order.event, "t": cmd.received_at,
            "opened_by": cmd.actor.id, "slots": {}, "amount_fen": None, "amount_by": "", "review": None,
            "requested_at": None, "pay_due": None, "paid_at": None, "told": False, "version": 0,
            "changed_by": "", "changed_at": 0,
        }  # fmt: skip

    def _fill(self, case: dict[str, Any], cmd: Command) -> dict[str, Any]:
        slot, words = cmd.data.get("slot"), text(cmd, "text")
        if slot not in FILLED:
            raise BadInput(f"{slot!r:.40} is nothing that people fill", field="slot", hint=", ".join(FILLED))
        given = cmd.data.get("files") or ()
        files = [{k: f[k] for k in _PAPER if k in f} for f in given if isinstance(f, Mapping)]
        known = all(_HASH.fullmatch(str(f.get("sha256"))) for f in files)
        if not known or not len(given) == len(files) <= MOST_PAPERS:
            raise BadInput(
                "a paper is named by its SHA-256", field="files", hint="upload it first; 30 at most"
            )
        case["slots"][slot] = {"text": words, "files": files, "by": cmd.actor.id, "at": cmd.received_at}
        return {"slot": slot, "files": [f["sha256"] for f in files]}

    def _amount(self, case: dict[str, Any], cmd: Command) -> dict[str, Any]:
        amount = cmd.data.get("amount_fen")
        if type(amount) is not int or not 0 <= amount <= 10**13:
            raise BadInput(f"{amount!r:.40} is no amount", field="amount_fen", hint="whole fen")
        if case["requested_at"] is not None:
            raise Conflict("the payment was requested for another amount")
        case["amount_fen"], case["amount_by"], case["review"] = amount, cmd.actor.id, None
        return {"amount_fen": amount, "needs_review": amount > REVIEW_FEN}

    def _review(self, case: dict[str, Any], cmd: Command) -> dict[str, Any]:
        result, words = cmd.data.get("result"), text(cmd, "text")
        if case["amount_fen"] is None:
            raise Conflict("there is no amount to review")
        if cmd.actor.id in (case["amount_by"], case["opened_by"]):
            raise Forbidden("whoever opened the case or entered the amount does not review it")
        if result not in ("pass", "fail"):
            raise BadInput(f"{result!r:.20} is no result", field="result", hint="pass or fail")
        case["review"] = {"result": result, "text": words, "by": cmd.actor.id, "at": cmd.received_at}
        return {"result": result, "amount_fen": case["amount_fen"]}

    def _request(self, case: dict[str, Any], cmd: Command) -> dict[str, Any]:
        """The clock of the payment starts when nothing is missing but the notice, which follows."""
        order = self._orders.orders.get(case["order"])
        given = cmd.data.get("missing")
        lacking = missing(case, order.as_dict()) if order else list(given or ())
        lacking = [s for s in lacking if s not in ("notice", "raw_data")]
        if lacking:
            raise Conflict(f"missing: {', '.join(lacking)}")
        if case["requested_at"] is not None:
            raise Conflict("the payment was requested already")
        case["requested_at"] = cmd.received_at
        case["pay_due"] = pay_due(cmd.received_at, self._orders.calendars.get("work", ALWAYS), self._zone)
        return {"amount_fen": case["amount_fen"], "due": case["pay_due"]}

    def _paid(self, case: dict[str, Any], cmd: Command) -> dict[str, Any]:
        if case["requested_at"] is None or case["paid_at"] is not None:
            raise Conflict("nothing waits for a payment")
        case["paid_at"] = cmd.received_at
        return {"amount_fen": case["amount_fen"], "in_time": cmd.received_at < (case["pay_due"] or 0)}

    def _event(
        self, case: Mapping[str, Any], kind: str, t: Ms, key: str, actor: str = "steward", /, **data: Any
    ) -> Event:
        facts = {"order": case["order"], "incident": case["incident"]} | data
        return Event(
            f"{kind}:{case['id']}:{key}", case["estate"], t, kind, case["id"], actor, case["asset"], facts
        )


def pay_due(t: Ms, calendar: Calendar, zone: tzinfo) -> Ms:
    """The end of the third working day after the local day of `t`."""
    day, left = day_of(t, zone), PAY_DAYS
    while left:
        day += timedelta(days=1)
        left -= not calendar.week or bool(calendar.bands(day))
    return end(day, zone)
