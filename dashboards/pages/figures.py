"""The regulator's page: figures with coverage, bounds and definition, down to the events behind them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from dashboards.access.permissions import allows
from dashboards.api.deps import Caller, need
from dashboards.api.history import event_json
from dashboards.api.kpi import kpi_of
from dashboards.api.service import service_of
from dashboards.api.stats import figures_of
from dashboards.pages.bars import beginning, blocks
from dashboards.pages.common import show, site_facts
from dashboards.problems import Problem
from gateway.model import Ms

router = APIRouter()
MONTHS = 12
Month = Annotated[str, Query(pattern=r"^(\d{4}-\d{2})?$", description="year-month in the site's zone")]


def month_bounds(month: str, zone: str) -> tuple[Ms, Ms]:
    """[first moment, first moment of the next month). Raises Problem 422 for a month that there is not."""
    try:
        year, number = (int(x) for x in month.split("-"))
        first = datetime(year, number, 1, tzinfo=ZoneInfo(zone))
        following = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=ZoneInfo(zone))
    except ValueError as e:
        raise Problem(422, "problem.time", days=31) from e
    return int(first.timestamp() * 1000), int(following.timestamp() * 1000)


def months_back(now: Ms, zone: str, count: int = MONTHS) -> list[str]:
    """The present month and those before it, newest first."""
    day = datetime.fromtimestamp(now / 1000, ZoneInfo(zone))
    number = day.year * 12 + day.month - 1
    return [f"{n // 12:04d}-{n % 12 + 1:02d}" for n in range(number, number - count, -1)]


@router.get("/stats")
async def stats(
    request: Request,
    caller: Annotated[Caller, Depends(need("view.stats"))],
    month: Month = "",
    estate: Annotated[str, Query(max_length=48)] = "",
) -> Response:
    """The figures of a month."""
    web = caller.web
    zone, now = site_facts(web).timezone, web.desk.now()
    months = months_back(now, zone)
    month = month or months[0]
    start, end = month_bounds(month, zone)
    cut = max(start + 1, min(end, now))
    found = await figures_of(caller, start, cut, [estate] if estate else [], [])
    begun = beginning(found["rows"], start)
    for row in found["rows"]:
        row["bar"] = blocks(row["segments"], begun, cut)
    firms = await service_of(caller, start, cut, estate)
    estates = {e: web.directory.estates[e] for e in web.directory.estates_of(caller.scope)}
    chains = await asyncio.to_thread(_chains, caller, list(estates))
    alarms = await kpi_of(caller, start, cut, [estate] if estate else [])
    for seat in alarms["seats"]:
        seat["rules"] = rules_of(seat)
    return show(
        request, caller, "stats.html", figures=found, start=start, end=end, cut=cut, month=month,
        months=months, begun=begun, chosen=estate, estates=estates, chains=chains, firms=firms,
        alarms=alarms,
        exports=allows(caller.actor.role, "export"), running=end > now,
    )  # fmt: skip


def rules_of(seat: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rules that alarm most and those that people judged: {rule, count, judged}."""
    judged = {row["rule"]: row for row in seat["precision"]}
    counts = {row["rule"]: row["count"] for row in seat["top_ten"]}
    names = [*counts, *(r for r in judged if r not in counts)]
    return [{"rule": r, "count": counts.get(r, 0), "judged": judged.get(r)} for r in names]


def _chains(caller: Caller, estates: list[str]) -> dict[str, int]:
    """Estate → number of its newest event."""
    state = caller.web.desk.state
    newest = {e: state.events(estate=e, limit=1, newest_first=True) for e in estates}
    return {e: found[0][0] if found else 0 for e, found in newest.items()}


@router.get("/stats/{asset}")
async def behind(
    asset: str,
    request: Request,
    caller: Annotated[Caller, Depends(need("view.stats"))],
    month: Month = "",
) -> Response:
    """What lies behind the figures of one asset: every interval and every event that made it."""
    web = caller.web
    if not web.directory.allows_asset(caller.scope, asset):
        raise Problem(404, "problem.scope")
    zone, now = site_facts(web).timezone, web.desk.now()
    month = month or months_back(now, zone)[0]
    start, end = month_bounds(month, zone)
    cut = max(start + 1, min(end, now))
    body = web.directory.assets[asset]
    found = await figures_of(caller, start, cut, [body["estate"]], [body["system"]])
    row = next(r for r in found["rows"] if r["asset"] == asset)
    row["bar"] = blocks(row["segments"], beginning([row], start), cut)
    events = await asyncio.to_thread(_events, caller, body, row, start, cut)
    return show(
        request, caller, "stats_asset.html", row=row, asset=body,
        estate=web.directory.estates[body["estate"]], start=start, end=end, cut=cut, month=month,
        events=events,
    )  # fmt: skip


def _events(
    caller: Caller, asset: dict[str, Any], row: dict[str, Any], start: Ms, end: Ms
) -> list[dict[str, Any]]:
    """Events of the asset in the period; those that the figures rest on are marked with their class."""
    cause = {ref: kind for kind, refs in row["events"].items() for ref in refs}
    found = caller.web.desk.state.events(
        estate=asset["estate"], asset=asset["id"], start=start, end=end, limit=1000
    )
    return [
        {**event_json(seq, e, caller), "counts": cause.get(e.id, "")}
        for seq, e in found
        if e.id in cause or e.kind.startswith(("alarm.raised", "alarm.cleared", "alarm.oos", "asset."))
    ]
