"""One work order: where it stands, its clocks and why one is held, what it costs, who has to confirm it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from alerts.costs import KINDS, totals
from alerts.matrix import CLOCKS
from alerts.orders_state import AT_WORK, HOLD_REASONS, WAITING
from dashboards.access.permissions import allows, owns
from dashboards.api.acting import find
from dashboards.api.deps import Caller, need
from dashboards.i18n import pick
from dashboards.pages.common import names_of, people_of, roles, show
from dashboards.pages.fund import case_of, may_open
from dashboards.pages.story import SILENT
from gateway.model import Ms

router = APIRouter()
WORKED = ("ON_SITE", "WORKING", "DONE")
PROVABLE = frozenset({*AT_WORK, "DONE", "VERIFIED"})
PAID = frozenset({"technician", "contractor"})


@router.get("/order/{id}")
async def order(
    id: str,  # noqa: A002 - the name in the path
    request: Request,
    caller: Annotated[Caller, Depends(need("view.orders"))],
) -> Response:
    """Everything about one order, with the acts that its state and the reader's role allow."""
    web, record = caller.web, await find(caller, "order", id)
    state = web.desk.state
    found = await asyncio.to_thread(lambda: state.events(estate=record["estate"], subject=id, limit=500))
    users = await asyncio.to_thread(web.accounts.users)
    has_case = await asyncio.to_thread(state.record, "case", case_of(record)) is not None
    return show(
        request, caller, "order.html", order=record, case=case_of(record) if has_case else "",
        may_open=may_open(record, web.desk.now()), asset=web.directory.assets[record["asset"]],
        estate=web.directory.estates[record["estate"]], clocks=clocks_of(record), held=held_of(record),
        costs=costs_of(record), second=second_of(record, caller.actor.id), may=acts_of(record, caller),
        events=[e for _, e in found if e.kind not in SILENT], people=names_of(users), kinds=KINDS,
        others=[*roles(caller.lang), *people_of(users, caller)],
        holds=[(k, pick(v, caller.lang)) for k, v in HOLD_REASONS.items()], hold_words=HOLD_REASONS,
        withheld=(record.get("keep") or {}).get("withheld") or [],
    )  # fmt: skip


def clocks_of(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The four clocks in their order: {name, seconds, due, met_at, state}; state off where nothing runs."""
    kept = (order.get("keep") or {}).get("clocks") or {}
    known = order.get("clocks") or {}
    empty = {"due": None, "met_at": None, "state": "off"}
    return [
        {"name": n, "seconds": kept.get(n, {}).get("seconds"), **empty, **known.get(n, {})} for n in CLOCKS
    ]


def held_of(order: Mapping[str, Any]) -> dict[str, Any]:
    """Why and since when an order is held, all its holds, and whether they stop its clocks.

    {now: since or None, reason: words, pauses: no for life safety, times: [(from, to or None)]}.
    """
    times = [(a, b) for a, b in (order.get("keep") or {}).get("holds") or ()]
    now: Ms | None = times[-1][0] if order["state"] == "ON_HOLD" and times else None
    reason = HOLD_REASONS.get(str(order.get("hold_reason") or ""), {})
    return {"now": now, "reason": reason, "pauses": not order.get("life"), "times": times}


def costs_of(order: Mapping[str, Any]) -> dict[str, Any]:
    """Lines, sums by kind in fen, and who confirmed which sum."""
    lines = list(order.get("costs") or ())
    return {"lines": lines, "sum": totals(lines), "confirmed": order.get("costs_confirmed") or {}}


def second_of(order: Mapping[str, Any], reader: str) -> dict[str, Any]:
    """Whether a second person is asked for, who cannot be it, and what they said.

    {asked, did: ids of those who did the work, mine: whether the reader is one of them, confirmed}.
    """
    by = order.get("by") or {}
    did = sorted({order.get("assignee") or "", *(by.get(s) or "" for s in WORKED)} - {"", "steward"})
    asked = "second" in (order.get("needs") or ())
    return {"asked": asked, "did": did, "mine": reader in did, "confirmed": order.get("confirmed") or {}}


def acts_of(order: Mapping[str, Any], caller: Caller) -> set[str]:
    """Acts without their `order.`: allowed by the role, possible in the state, and the reader's to do."""
    state, role = order["state"], caller.actor.role
    own = owns(caller.actor, order)
    total = totals(order.get("costs") or ())["total"]
    possible = {
        "cost": own and state in PROVABLE,
        "uncost": own and state in PROVABLE,
        "costs_ok": own and state in PROVABLE and (total == 0 or role not in PAID),
        "confirm": own and state in ("DONE", "VERIFIED"),
        "refuse": own and state in ("DONE", "VERIFIED"),
        "verify": state == "DONE",
        "close": own and state == "VERIFIED",
        "cancel": state in WAITING | AT_WORK and state != "NEW",
        "reassign": state in WAITING | AT_WORK and state != "NEW",
        "hold": own and state in AT_WORK and state != "ON_HOLD",
        "resume": own and state == "ON_HOLD",
        "note": own,
        "release": bool((order.get("keep") or {}).get("withheld")),
    }
    return {act for act, can in possible.items() if can and allows(role, f"order.{act}")}
