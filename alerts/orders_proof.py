"""What proves a repair: answers, photos, costs, a second person; and what DONE and CLOSED demand of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from alerts.alarms_access import text
from alerts.calendars import stamp
from alerts.checklists import answer, out_of_limits
from alerts.costs import MAX_LINES, line, totals
from alerts.escalation import meet, sensor_normal_since, unmeet
from alerts.orders_pass import mark, moved_by, unseen, who_did
from alerts.orders_state import AT_WORK, Order, OrderState, last_stamp, make_id
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Command, Event, Ms

if TYPE_CHECKING:
    from alerts.orders import OrderBook

_S = OrderState
PHOTO_KINDS = ("before", "after", "other")
MEDIA = ("image/jpeg", "image/png", "image/webp")
MAX_PHOTOS = 60
_HASH = re.compile(r"[0-9a-f]{64}")
_PROVABLE = AT_WORK | {_S.DONE, _S.VERIFIED}


def ready_for_done(order: Order) -> None:
    """Raises Conflict with what is missing before the work may be called done."""
    if "freed" in order.missing():
        raise Conflict("say first how many people were freed (checklist item `freed`)")
    if order.drill:
        return
    if order.missing():
        raise Conflict(f"the checklist is not complete: {', '.join(order.missing())}")
    if "pair" in order.needs:
        before = [p["at"] for p in order.photos if p["kind"] == "before"]
        after = [p["at"] for p in order.photos if p["kind"] == "after"]
        lacking = [k for k, found in (("before", before), ("after", after)) if not found]
        if lacking:
            raise Conflict(f"this work needs a photo before and after; missing: {', '.join(lacking)}")
        if min(before) > max(after):
            raise Conflict("the photo before the work is younger than the one after it")


def ready_for_close(order: Order, cmd: Command) -> None:
    """Raises Conflict with what is missing before the order may be closed.

    A `total_fen` in the command confirms the costs in the same act.
    """
    if order.drill:
        return
    if order.missing():
        raise Conflict(f"the checklist is not complete: {', '.join(order.missing())}")
    if "second" in order.needs and not order.confirmed:
        raise Conflict("another person than who did the work has to confirm it (order.confirm)")
    if "costs" in order.needs and not order.costs_confirmed:
        if "total_fen" not in cmd.data:
            total = totals(order.costs)["total"]
            raise Conflict(f"confirm the costs first, even when they are zero (now {total} fen)")
        _confirm_costs(order, cmd)


def _provable(order: Order) -> None:
    if order.state not in _PROVABLE:
        raise Conflict(f"{order.state}: this opens when the order is accepted and ends when it is closed")


# ── answers ───────────────────────────────────────────────────────────────────────────────────────────


def _check(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    if order.state not in _PROVABLE:
        raise Conflict(f"{order.state}: the checklist opens when the order is accepted")
    item = order.item(text(cmd, "item"))
    if item is None:
        raise NotFound(f"the order has no item {cmd.data['item']!r}")
    value = answer(item, cmd.data.get("value"), (p["sha256"] for p in order.photos))
    if item["id"] == "freed" and (value < 0 or value != int(value)):
        raise BadInput(
            f"{value!r:.40} is no number of people", field="value", hint="0 when nobody was inside"
        )
    if item["value"] not in (None, value):
        unseen(order, cmd, f"check:{item['id']}", f"{item['id']} is {item['value']}")
    out = out_of_limits(item, value)
    reason = str(cmd.data.get("reason") or "").strip()[:500]
    if out and item.get("out") == "reason" and not reason:
        raise BadInput(
            f"{value:g} is out of limits ({item['low']} to {item['high']} {item['unit']})",
            field="reason", hint="measure again, or say why it may stay so",
        )  # fmt: skip
    at = min(cmd.done_at, cmd.received_at)
    item["value"], item["by"], item["at"], item["reason"] = value, cmd.actor.id, at, reason
    mark(order, cmd, f"check:{item['id']}")
    if item["id"] == "freed" and order.needs_freed and order.keep.met.get("restore") is None:
        meet(order, "restore", max(at, order.stamps[_S.DISPATCHED]))
    book.touch(order, cmd.received_at, cmd.actor.id)
    facts = {"item": item["id"], "value": value, "out_of_limits": out, "reason": reason}
    events = [book.event(order, "order.checked", at, cmd.id, cmd.actor.id, **facts)]
    if out and item.get("out") == "follow_up" and not order.drill:
        words = _reading(item, value)
        events += follow_up(book, order, cmd, f"{order.id}/{item['id']}", words, str(item.get("event") or ""))
    return events


def _reading(item: Mapping[str, Any], value: float) -> dict[str, str]:
    limits = "–".join("" if item[k] is None else f"{item[k]:g}" for k in ("low", "high"))
    return {k: f"{item['text'].get(k, item['id'])} {value:g} {item['unit']} ({limits})" for k in ("zh", "en")}


def follow_up(
    book: OrderBook, order: Order, cmd: Command, cause: str, words: Mapping[str, str], event: str = ""
) -> list[Event]:
    """An order of the same party and incident for what this one found; one at a time for one cause."""
    if any(o.follows == cause and o.open for o in book.orders.values()):
        return []
    asset, now = book.assets.get(order.asset), cmd.received_at
    if asset is None:
        return []
    event = event or "human_report"
    name = {k: f"{asset.name.get(k, asset.id)} {words[k]}" for k in ("zh", "en")}
    new = Order(
        id=make_id("wo", cmd.id, cause), estate=order.estate, asset=order.asset, system=order.system,
        alarm=None, incident=order.incident, event=event, party=order.party, title=name, priority=3,
        life=False, drill=False, source="follow_up", follows=cause,
    )  # fmt: skip
    new.keep.commissioning = order.keep.commissioning
    duty = book.matrix.match_or_fallback(event, asset, 3, now)
    duty = replace(duty, party=order.party, party_name=order.party_name, also=(), fund_eligible=False)
    return book.dispatch(new, duty, cmd.id, now, by=cmd.actor.id, follows=cause)


# ── photos ────────────────────────────────────────────────────────────────────────────────────────────


def _photo(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    if not order.open:
        raise Conflict(f"{order.state}: its evidence is closed")
    entry = photo_entry(cmd)
    item = order.item(str(cmd.data["item"])) if cmd.data.get("item") else None
    if cmd.data.get("item") and (item is None or item["type"] != "photo"):
        raise NotFound(f"the order has no photo item {cmd.data['item']!r:.60}")
    known = [p for p in order.photos if (p["sha256"], p["kind"]) == (entry["sha256"], entry["kind"])]
    if not known and len(order.photos) >= MAX_PHOTOS:
        raise Conflict(f"an order holds {MAX_PHOTOS} photos")
    if not known:
        order.photos.append(entry)
    if item is not None:
        item["value"], item["by"], item["at"] = entry["sha256"], cmd.actor.id, entry["at"]
    book.touch(order, cmd.received_at, cmd.actor.id)
    facts = {**entry, "item": cmd.data.get("item") or "", "again": bool(known)}
    return [book.event(order, "order.photo", entry["at"], cmd.id, cmd.actor.id, **facts)]


def photo_entry(cmd: Command) -> dict[str, Any]:
    """A photo as it is kept: hash of the original bytes, kind, both times. Raises BadInput.

    at: when the device says that it was taken · received_at: when the core heard of it.
    """
    sha, kind, media = (cmd.data.get(k) for k in ("sha256", "kind", "media"))
    size = cmd.data.get("size")
    if not isinstance(sha, str) or not _HASH.fullmatch(sha) or type(size) is not int or size <= 0:
        raise BadInput("a photo has its SHA-256 and its size", field="sha256")
    if kind not in PHOTO_KINDS or media not in MEDIA:
        raise BadInput(f"{kind!r} or {media!r} is unknown", field="kind", hint=", ".join(PHOTO_KINDS))
    return {
        "sha256": sha, "kind": kind, "media": media, "size": size, "by": cmd.actor.id,
        "at": min(cmd.done_at, cmd.received_at), "received_at": cmd.received_at,
    }  # fmt: skip


# ── costs ─────────────────────────────────────────────────────────────────────────────────────────────


def _cost(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    _provable(order)
    if len(order.costs) >= MAX_LINES:
        raise Conflict(f"an order holds {MAX_LINES} cost lines")
    at = min(cmd.done_at, cmd.received_at)
    entry = line(cmd.data, make_id("cost", cmd.id), cmd.actor.id, at)
    order.costs.append(entry)
    return _cost_event(book, order, cmd, "order.cost_added", at, line=entry)


def _uncost(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    _provable(order)
    entry = next((c for c in order.costs if c["id"] == cmd.data.get("line")), None)
    if entry is None:
        line_ = str(cmd.data.get("line"))
        raise NotFound(f"the order has no cost line {line_!r:.60}{who_did(order, f'uncost:{line_}')}")
    order.costs.remove(entry)
    mark(order, cmd, f"uncost:{entry['id']}")
    return _cost_event(book, order, cmd, "order.cost_dropped", cmd.received_at, line=entry)


def _cost_event(book: OrderBook, order: Order, cmd: Command, kind: str, at: Ms, **facts: Any) -> list[Event]:
    order.costs_confirmed = {}  # what was confirmed is not what stands there now
    book.touch(order, cmd.received_at, cmd.actor.id)
    total = totals(order.costs)["total"]
    return [book.event(order, kind, at, cmd.id, cmd.actor.id, total_fen=total, **facts)]


def _costs_ok(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    _provable(order)
    if order.costs_confirmed:
        who, at = order.costs_confirmed["by"], order.costs_confirmed["at"]
        raise Conflict(f"the costs are confirmed already, by {who} at {stamp(at)}")
    _confirm_costs(order, cmd)
    book.touch(order, cmd.received_at, cmd.actor.id)
    facts = {"total_fen": order.costs_confirmed["total_fen"], "lines": len(order.costs)}
    return [book.event(order, "order.costs_confirmed", cmd.received_at, cmd.id, cmd.actor.id, **facts)]


def _confirm_costs(order: Order, cmd: Command) -> None:
    """Raises Conflict when the sum is another one, Forbidden when who is paid would confirm the bill."""
    total, given = totals(order.costs)["total"], cmd.data.get("total_fen")
    if type(given) is not int or given != total:
        raise Conflict(f"the lines come to {total} fen, not {given!r:.40}; look at them again")
    if total > 0 and cmd.actor.role in ("technician", "contractor"):
        raise Forbidden("costs above zero are confirmed by the firm, not by who did the work")
    order.costs_confirmed = {"by": cmd.actor.id, "at": cmd.received_at, "total_fen": total}


# ── the second person ─────────────────────────────────────────────────────────────────────────────────


def _second(order: Order, cmd: Command) -> None:
    """Raises Conflict when nothing is done, Forbidden when the person is one of those who did it."""
    if order.state not in (_S.DONE, _S.VERIFIED):
        raise Conflict(f"{order.state}: there is nothing done to confirm{moved_by(order)}")
    did = {order.assignee, *(order.by.get(s, "") for s in (_S.ON_SITE, _S.WORKING, _S.DONE))}
    if cmd.actor.id in did:
        raise Forbidden("whoever did the work cannot confirm it; another person can")


def _confirm(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    _second(order, cmd)
    if order.confirmed:
        raise Conflict(f"already confirmed, by {order.confirmed['by']} at {stamp(order.confirmed['at'])}")
    at = max(last_stamp(order), min(cmd.done_at, cmd.received_at))
    note = str(cmd.data.get("note") or "").strip()[:500]
    order.confirmed = {"by": cmd.actor.id, "at": at, "note": note}
    book.touch(order, cmd.received_at, cmd.actor.id)
    events = [book.event(order, "order.confirmed", at, cmd.id, cmd.actor.id, note=note)]
    if order.plan and order.state is _S.DONE and not order.keep.own:  # no sensor will ever say it
        events += book.move(order, "verify", at, cmd.actor.id, cmd.id, by=cmd.actor.id)
    return events


def _refuse(book: OrderBook, order: Order, cmd: Command) -> list[Event]:
    """The second person does not confirm: the work goes on, and what only a person called restored is not."""
    _second(order, cmd)
    reason = text(cmd, "reason")
    at = max(last_stamp(order), min(cmd.done_at, cmd.received_at))
    for s in (_S.DONE, _S.VERIFIED):
        order.stamps.pop(s, None)
    order.verified_by = order.override_reason = ""
    order.confirmed = {}
    by_word = order.keep.met.get("restore") is not None and sensor_normal_since(order) is None
    if by_word and not order.needs_freed:
        unmeet(order, "restore")
    order.notes.append({"t": cmd.received_at, "by": cmd.actor.id, "text": reason})
    worker = order.by.get(_S.WORKING) or order.by.get(_S.DONE, "")
    mark(order, cmd, "refuse")
    events = book.move(order, "reopen", at, cmd.actor.id, cmd.id, reason=reason, refused=True)
    order.by[_S.WORKING] = worker  # who refuses has not worked on it, and may confirm it later
    return events


PROOF: Mapping[str, Callable[[OrderBook, Order, Command], list[Event]]] = {
    "order.check": _check,
    "order.photo": _photo,
    "order.cost": _cost,
    "order.uncost": _uncost,
    "order.costs_ok": _costs_ok,
    "order.confirm": _confirm,
    "order.refuse": _refuse,
}
"""Acts by which people prove their work."""
