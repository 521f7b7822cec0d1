"""What people report without a log-in, and cases of the city's hotline: into the incident that is there.

A report's words and telephone stand in its record and its order alone, never in the event log; the record
forgets them when they are no longer needed. A book of the desk (see `books`); pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from alerts.alarms_access import authorise, in_scope, text
from alerts.books import Gone, Record
from alerts.matrix import EVENTS
from alerts.orders import OrderBook
from alerts.orders_commands import LIFE_EVENTS, create
from alerts.orders_proof import photo_entry
from alerts.orders_state import AT_WORK, ENDED, WAITING, Order, OrderState, make_id
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Asset, Command, Event, Ms, Notice, Text

KEEP_MS: Ms = 180 * 86_400_000
"""Words, place and telephone of a report are dropped after this time, once its order has ended."""
RATED = frozenset({OrderState.DONE, OrderState.VERIFIED, OrderState.CLOSED})
CITY = "CITY"
"""Whom results of the city's cases go to; the channel `city` of the site file carries them."""

_OTHER: Text = {"zh": "其他", "en": "Something else"}
WHAT: Mapping[str, Mapping[str, tuple[str, Text]]] = {
    "elevator": {
        "trapped": ("entrapment", {"zh": "有人被困", "en": "Somebody is trapped"}),
        "stopped": ("lift_stopped", {"zh": "电梯停了", "en": "The lift stands still"}),
        "danger": (
            "lift_danger",
            {"zh": "抖动、下坠、门异常", "en": "It jerks or drops"},
        ),
    },
    "fire": {"fire": ("fire_alarm", {"zh": "有火或有烟", "en": "Fire or smoke"})},
    "water": {
        "no_water": ("water_supply", {"zh": "没水或水压低", "en": "No water, or too little"}),
        "bad_water": ("water_quality", {"zh": "水浑或有异味", "en": "The water looks or smells bad"}),
        "flood": ("pump_room_flood", {"zh": "漏水、积水", "en": "Water leaks or stands"}),
    },
    "drain": {
        "flood": ("sump_high", {"zh": "积水上涨", "en": "The water rises"}),
        "blocked": ("drain_blocked", {"zh": "堵塞、冒溢", "en": "Blocked, or running over"}),
    },
    "manhole": {
        "moved": ("manhole_moved", {"zh": "井盖移位或缺失", "en": "The cover is off or missing"}),
        "smell": ("gas", {"zh": "有刺鼻气味", "en": "It smells of gas"}),
    },
    "septic": {"smell": ("gas", {"zh": "有刺鼻气味", "en": "It smells of gas"})},
    "power": {"dark": ("outage", {"zh": "停电", "en": "No power"})},
    "lighting": {"dark": ("lighting", {"zh": "灯不亮", "en": "The light is out"})},
}
"""What can be reported about an asset class: choice → event type and its words. `other` fits all."""


def choices(system: str) -> dict[str, Text]:
    """The choices of an asset class with their words."""
    return {k: words for k, (_, words) in WHAT.get(system, {}).items()} | {"other": _OTHER}


class ReportBook:
    """Reports that are recent or whose order is open."""

    nouns: tuple[str, ...] = ("report", "city")
    kinds: tuple[str, ...] = ("report",)

    def __init__(self, orders: OrderBook) -> None:
        """orders: where reports go."""
        self._orders = orders
        self.reports: dict[str, dict[str, Any]] = {}
        self._changed: set[str] = set()
        self._swept: Ms = 0

    # ── the book ──────────────────────────────────────────────────────────────────────────────────

    def tick(self, now: Ms) -> list[Event]:
        """Forget what is personal in old reports."""
        if now - self._swept < 3_600_000:
            return []
        self._swept = now
        for report in self.reports.values():
            order = self._orders.orders.get(report["order"])
            old = report["t"] + KEEP_MS <= now and (order is None or not order.open)
            if old and (report["text"] or report["phone"] or report["where"]):
                report |= {"text": "", "phone": "", "where": ""}
                self._changed.add(report["id"])
        return []

    def step(self, events: Sequence[Event], now: Ms) -> list[Event]:
        """The result of a city's case goes back when its order ends."""
        out = []
        for e in events:
            if e.kind not in ("order.closed", "order.cancelled"):
                continue
            for _, report in sorted(self.reports.items()):
                if report["order"] == e.subject and report["number"] and not report["answered"]:
                    report["answered"] = e.t
                    self._changed.add(report["id"])
                    out.append(self._answer(report, e))
        return out

    def _answer(self, report: Mapping[str, Any], e: Event) -> Event:
        order = self._orders.orders.get(e.subject)
        facts = {
            "number": report["number"], "order": e.subject, "closed": e.kind == "order.closed",
            "cause_code": order.cause_code if order else "", "action": order.action if order else "",
        }  # fmt: skip
        return Event(
            f"city.answered:{report['id']}", e.estate, e.t, "city.answered", report["id"], e.actor, e.asset,
            facts,
        )  # fmt: skip

    def drain(self) -> tuple[list[Record], list[Gone]]:
        """See Book."""
        changed, self._changed = sorted(self._changed), set()
        return [self._record(self.reports[i]) for i in changed], []

    def dump(self) -> list[Record]:
        """See Book."""
        return [self._record(r) for r in self.reports.values()]

    def load(self, kind: str, id_: str, body: Mapping[str, Any]) -> None:
        """See Book."""
        self.reports[id_] = dict(body)

    def _record(self, report: dict[str, Any]) -> Record:
        return ("report", report["id"], report["estate"], dict(report))

    # ── people ────────────────────────────────────────────────────────────────────────────────────

    def command(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        """`report.make` and `report.rate` by the public, `city.report` by the city's platform."""
        if cmd.kind == "city.report":
            authorise(cmd)
            return self._city(cmd)
        if cmd.actor.role != "public":
            raise Forbidden("reports come by the page of an asset; use order.create")
        if cmd.kind == "report.make":
            return self._make(cmd, self._asset(cmd, cmd.subject), str(cmd.data.get("code") or ""), "")
        if cmd.kind == "report.rate":
            return self._rate(cmd)
        raise BadInput(f"there is no command {cmd.kind!r}", field="kind", hint="report.make, report.rate")

    def _asset(self, cmd: Command, id_: str) -> Asset:
        asset = self._orders.assets.get(id_)
        if asset is None:
            raise NotFound(f"there is no asset {id_!r:.60}")
        firm = self._orders.firms.get(asset.estate, "")
        in_scope(cmd, firm=firm, estate=asset.estate, system=asset.kind, what="asset")
        return asset

    def _city(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        number = text(cmd, "number")
        id_ = make_id("city", number)
        known = self.reports.get(id_)
        if known is not None:  # the platform asks again, under another key
            return [], {"report": public(known, self._orders.orders.get(known["order"]))}
        return self._make(cmd, self._asset(cmd, str(cmd.data.get("asset"))), id_, number)

    def _make(self, cmd: Command, asset: Asset, id_: str, number: str) -> tuple[list[Event], dict[str, Any]]:
        if not id_ or id_ in self.reports:
            raise Conflict("this report is already there")
        words, what = text(cmd, "text"), str(cmd.data.get("what") or "other")
        if what not in choices(asset.kind):
            raise BadInput(f"{what!r:.40} is no choice", field="what", hint=", ".join(choices(asset.kind)))
        event = WHAT.get(asset.kind, {}).get(what, ("human_report", _OTHER))[0]
        where = str(cmd.data.get("where") or "").strip()[:200]
        photos = [dict(p) for p in cmd.data.get("photos") or ()][:3]
        entries = [photo_entry(replace(cmd, data={**p, "kind": "other"})) for p in photos]
        events, merged = self._into(cmd, asset, event, f"{words} ({where})" if where else words)
        order = self._orders.get(events[0].subject)
        report = {
            "id": id_, "estate": asset.estate, "asset": asset.id, "system": asset.kind, "order": order.id,
            "what": what, "text": words, "where": where, "phone": str(cmd.data.get("phone") or "")[:40],
            "photos": [e["sha256"] for e in entries], "t": cmd.received_at, "number": number, "stars": None,
            "answered": None,
        }  # fmt: skip
        self.reports[id_] = report
        self._changed.add(id_)
        facts = {"order": order.id, "what": what, "event": event, "merged": merged, "number": number}
        made = Event(
            f"report.made:{cmd.id}", asset.estate, cmd.received_at, "report.made", id_, cmd.actor.id,
            asset.id, facts,
        )  # fmt: skip
        return [*events, *self._attach(order, entries, cmd), made], {"report": public(report, order)}

    def _into(self, cmd: Command, asset: Asset, event: str, words: str) -> tuple[list[Event], bool]:
        """Into the most urgent order that is open on the asset; what endangers people has its own rules."""
        book = self._orders
        source = "call" if cmd.data.get("number") else "resident"
        open_ = [
            o for o in book.orders.values()
            if o.asset == asset.id and o.state in WAITING | AT_WORK and not (o.drill or o.plan or o.follows)
        ]  # fmt: skip
        if event not in LIFE_EVENTS and open_:
            order = min(open_, key=lambda o: (o.priority, o.id))
            order.notes.append({"t": cmd.received_at, "by": cmd.actor.id, "text": words})
            book.touch(order, cmd.received_at, cmd.actor.id)
            linked = book.event(order, "order.linked", cmd.received_at, cmd.id, cmd.actor.id, merged=True)
            return [linked], True
        data: dict[str, Any] = {"event": event, "text": words, "source": source}
        if event in EVENTS and event not in ("human_report", *LIFE_EVENTS):
            data["priority"] = 2
        events = create(book, replace(cmd, kind="order.create", subject=asset.id, data=data))
        return events, events[0].kind == "order.linked"

    def _attach(self, order: Order, entries: Iterable[dict[str, Any]], cmd: Command) -> Iterator[Event]:
        for entry in entries:
            if any(p["sha256"] == entry["sha256"] for p in order.photos):
                continue
            order.photos.append(entry)
            self._orders.touch(order, cmd.received_at, cmd.actor.id)
            key = f"{cmd.id}:{entry['sha256'][:12]}"
            yield self._orders.event(order, "order.photo", entry["at"], key, cmd.actor.id, **entry)

    def _rate(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        report = self.reports.get(cmd.subject)
        if report is None:
            raise NotFound("there is no such report")
        stars = cmd.data.get("stars")
        if type(stars) is not int or not 1 <= stars <= 5:
            raise BadInput(f"{stars!r:.20} is no rating", field="stars", hint="1 to 5")
        order = self._orders.orders.get(report["order"])
        if report["stars"] is not None:
            raise Conflict("this report was rated already")
        if order is not None and order.state not in RATED:
            raise Conflict("rate it when the work is done")
        report["stars"] = stars
        self._changed.add(report["id"])
        facts = {"order": report["order"], "stars": stars, "party": order.party if order else ""}
        event = Event(
            f"report.rated:{report['id']}", report["estate"], cmd.received_at, "report.rated", report["id"],
            cmd.actor.id, report["asset"], facts,
        )  # fmt: skip
        return [event], {"report": public(report, order)}


def public(report: Mapping[str, Any], order: Order | None) -> dict[str, Any]:
    """What whoever holds the code may see: no words, no names, no telephone."""
    return {
        "id": report["id"], "asset": report["asset"], "estate": report["estate"], "t": report["t"],
        "what": report["what"], "stars": report["stars"], "number": report["number"],
        "state": order.state.value if order else None, "order": report["order"],
        "ended": order is None or order.state in ENDED,
    }  # fmt: skip


def city_notices(events: Iterable[Event]) -> Iterator[Notice]:
    """The answer to the city's platform, by the channel `city`; the number is what it knows the case by."""
    for e in events:
        if e.kind == "city.answered":
            number, action = str(e.data["number"]), str(e.data["action"])
            done = (
                {"zh": "已办结", "en": "closed"} if e.data["closed"] else {"zh": "已取消", "en": "cancelled"}
            )
            yield Notice(
                f"{e.id}:{CITY}:city", e.estate, e.t, CITY, "city", number,
                {"zh": f"【12345】{number} {done['zh']}", "en": f"[12345] {number} {done['en']}"},
                {k: f"{number}; {done[k]}; {e.data['cause_code']}; {action}" for k in ("zh", "en")},
                priority=3,
            )  # fmt: skip
