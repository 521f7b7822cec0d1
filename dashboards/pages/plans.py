"""Preventive plans: which are due, by which law, and the page of one with its history."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from alerts.plans_state import Plan, latest
from dashboards.api.deps import Caller, need
from dashboards.pages.common import names_of, show, site_facts
from dashboards.problems import Problem

router = APIRouter()
SOON_DAYS = 7
LISTS = ("due", "statutory", "all")
HISTORY = 200


def today_of(caller: Caller) -> date:
    """The date in the site's zone."""
    now = datetime.fromtimestamp(caller.web.desk.now() / 1000, UTC)
    return now.astimezone(ZoneInfo(site_facts(caller.web).timezone)).date()


def plan_row(body: Mapping[str, Any], today: date) -> dict[str, Any]:
    """A plan as lists show it: with `status`, days `left` and the last date that the law allows (`latest`).

    status: paused, overdue, due (within SOON_DAYS, or its order is open), later, waits (for a counter or a
    condition).
    """
    plan = Plan.from_dict(body)
    left = (date.fromisoformat(plan.due) - today).days if plan.due else None
    bound = latest(plan)
    status = "later"
    if not plan.active:
        status = "paused"
    elif left is None:
        status = "waits"
    elif left < 0:
        status = "overdue"
    elif left <= SOON_DAYS or plan.order:
        status = "due"
    used = round(plan.used, 1) if plan.counter else None
    return {
        **body,
        "status": status,
        "left": left,
        "latest": bound.isoformat() if bound else "",
        "used": used,
    }


def plan_rows(records: Iterable[Mapping[str, Any]], caller: Caller, wanted: str) -> dict[str, Any]:
    """{plans, counts, list}: overdue ones first, then by date; `wanted` is one of LISTS."""
    today = today_of(caller)
    rows = [plan_row(b, today) for b in records]
    wanted = wanted if wanted in LISTS else "due"
    counts = {s: sum(r["status"] == s for r in rows) for s in ("overdue", "due", "paused")}
    if wanted == "due":
        rows = [r for r in rows if r["status"] in ("overdue", "due")]
    elif wanted == "statutory":
        rows = [r for r in rows if r["template"]["statutory"]]
    rows.sort(key=lambda r: (r["status"] == "paused", not r["due"], r["due"], r["id"]))
    return {"plans": rows, "counts": counts, "list": wanted, "lists": LISTS}


@router.get("/plan/{id}")
async def plan(
    id: str,  # noqa: A002 - the name in the path
    request: Request,
    caller: Annotated[Caller, Depends(need("view.orders"))],
) -> Response:
    """One plan: its dates, the law behind them, what can be changed, and all that happened to it."""
    web = caller.web
    record = await asyncio.to_thread(web.desk.state.record, "plan", id)
    if record is None or not web.directory.allows_asset(caller.scope, record["asset"]):
        raise Problem(404, "problem.scope")
    found = await asyncio.to_thread(
        lambda: web.desk.state.events(
            estate=record["estate"], subject=id, limit=HISTORY, newest_first=True
        )
    )  # fmt: skip
    users = await asyncio.to_thread(web.accounts.users)
    today = today_of(caller)
    return show(
        request, caller, "plan.html", plan=plan_row(record, today), today=today.isoformat(),
        asset=web.directory.assets[record["asset"]], estate=web.directory.estates[record["estate"]],
        events=[e for _, e in found], people=names_of(users),
    )  # fmt: skip
