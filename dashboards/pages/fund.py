"""Cases of the emergency maintenance fund: which there are, and one with its slots, papers and payment."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from alerts.cases import FILLED, REVIEW_FEN, SLOTS, missing
from alerts.orders_state import make_id
from dashboards.access.permissions import allows
from dashboards.api.deps import Caller, need
from dashboards.pages.common import names_of, show
from dashboards.problems import Problem
from gateway.model import Ms

router = APIRouter()
HISTORY = 200
LATELY: Ms = 7 * 86_400_000
"""So long after its end the core still knows an order; later no case can be opened for it."""
MOST_ORDERS = 50
AFTER = ("notice", "raw_data")
"""Slots that no payment waits for: the notice follows it, the readings are counted in the dossier."""


def case_of(order: Mapping[str, Any]) -> str:
    """The id of the case that an order has or would have."""
    return make_id("case", str(order["id"]))


def may_open(order: Mapping[str, Any], now: Ms) -> bool:
    """Whether the fund may pay for the order and the core still knows it."""
    kept = order.get("keep") or {}
    ended = order["state"] in ("CLOSED", "CANCELLED")
    known = not ended or int(kept.get("changed_at") or 0) + LATELY > now
    real = not (order.get("drill") or kept.get("commissioning"))
    return bool(order.get("fund_eligible")) and real and known and order["state"] != "CANCELLED"


def pay_state(case: Mapping[str, Any], now: Ms) -> str:
    """What its payment is: none (not requested), running, late, paid."""
    if case.get("paid_at") is not None:
        return "paid"
    if case.get("pay_due") is None:
        return "none"
    return "late" if now >= int(case["pay_due"]) else "running"


async def fund_rows(caller: Caller, asked: Mapping[str, str]) -> dict[str, Any]:
    """{cases with their order, missing slots and payment; orders that may get one}, the newest first."""
    state, directory = caller.web.desk.state, caller.web.directory
    now, estate = caller.web.desk.now(), asked["estate"] or None

    def read() -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
        cases = [b for _, b in state.records("case", estate=estate) if directory.allows_body(caller.scope, b)]
        orders = [b for _, b in state.records("order", estate=estate)]
        return cases, {o["id"]: o for o in orders if directory.allows_body(caller.scope, o)}

    cases, orders = await asyncio.to_thread(read)
    known = {c["id"] for c in cases}
    rows = [
        c | {"job": orders.get(c["order"], {}), "missing": missing(c, orders.get(c["order"], {})),
             "pay": pay_state(c, now)}
        for c in sorted(cases, key=lambda c: -int(c["t"]))
    ]  # fmt: skip
    able = [o for o in orders.values() if may_open(o, now) and case_of(o) not in known]
    able.sort(key=lambda o: -int((o.get("stamps") or {}).get("NEW") or 0))
    return {"cases": rows, "able": able[:MOST_ORDERS], "slots": len(SLOTS)}


def slots_of(case: Mapping[str, Any], order: Mapping[str, Any], lacking: list[str]) -> list[dict[str, Any]]:
    """Every slot in the order of the dossier: {id, name, there, by_people, held, photos}."""
    photos = order.get("photos") or ()
    return [
        {
            "id": name, "name": words, "there": name not in lacking, "by_people": name in FILLED,
            "held": case["slots"].get(name), "photos": [p for p in photos if p["kind"] == name],
        }
        for name, words in SLOTS.items()
    ]  # fmt: skip


def acts_of(case: Mapping[str, Any], lacking: list[str], caller: Caller) -> set[str]:
    """Acts that the case's state and the reader's role allow."""
    above = (case.get("amount_fen") or 0) > REVIEW_FEN
    own = caller.actor.id in (case.get("amount_by"), case.get("opened_by"))
    possible = {
        "fill": True,
        "amount": case.get("requested_at") is None,
        "review": above and not own and case.get("requested_at") is None,
        "request": case.get("requested_at") is None and not [s for s in lacking if s not in AFTER],
        "paid": case.get("requested_at") is not None and case.get("paid_at") is None,
    }
    return {act for act, can in possible.items() if can and allows(caller.actor.role, f"case.{act}")}


@router.get("/case/{id}")
async def case(
    id: str,  # noqa: A002 - the name in the path
    request: Request,
    caller: Annotated[Caller, Depends(need("view.cases"))],
) -> Response:
    """One case: what is there and what is missing by name, its amount, its review, its payment."""
    web = caller.web
    state = web.desk.state
    record = await asyncio.to_thread(state.record, "case", id)
    if record is None or not web.directory.allows_body(caller.scope, record):
        raise Problem(404, "problem.scope")

    def read() -> tuple[dict[str, Any], list[Any], list[Any]]:
        job = state.record("order", record["order"]) or {}
        events = state.events(estate=record["estate"], subject=id, limit=HISTORY, newest_first=True)
        return job, [e for _, e in events], web.accounts.users()

    order, events, users = await asyncio.to_thread(read)
    lacking, now = missing(record, order), web.desk.now()
    return show(
        request, caller, "case.html", case=record, order=order, slots=slots_of(record, order, lacking),
        missing=lacking, may=acts_of(record, lacking, caller), pay=pay_state(record, now),
        above=(record["amount_fen"] or 0) > REVIEW_FEN, limit=REVIEW_FEN, events=events,
        own=caller.actor.id in (record["amount_by"], record["opened_by"]), people=names_of(users),
        asset=web.directory.assets[record["asset"]], estate=web.directory.estates[record["estate"]],
    )  # fmt: skip
