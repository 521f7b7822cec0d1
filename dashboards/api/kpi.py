"""Figures about the alarm system itself, as JSON and as a file for a spreadsheet."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from alerts.kpi import KINDS, figures
from dashboards.api.deps import Caller, need, reply
from dashboards.api.history import From, To, check_period
from dashboards.api.stats import Estates, to_csv
from dashboards.problems import Problem
from gateway.core.stats import read_all
from gateway.model import Ms

router = APIRouter(tags=["figures"])

EXAMPLE = {
    "from": 1790000000000, "to": 1790007200000,
    "seats": [{
        "seat": "ankang", "estates": ["happiness-lane"], "new": 18, "per_10min": 1.5, "per_10min_max": 12,
        "flood_share": 0.075, "stale": 1, "chattering": 1, "max_active": 13, "max_unacked": 12,
        "mean_ack_ms": 202000.0,
        "top_ten": [{"rule": "water.out_p_low", "count": 12, "share": 0.667}],
        "priority": {"low": {"count": 15, "share": 0.833, "target": 0.8, "drift": 0.033}},
        "operators": [{"operator": "li", "acks": 2, "mean_ack_ms": 45000.0, "max_ack_ms": 80000}],
        "precision": [{"rule": "water.out_p_low", "true": 1, "false": 1, "nuisance": 2, "precision": 0.25}],
    }],
}  # fmt: skip
PLAIN = (
    "new", "occurrences", "suppressed", "per_day", "per_10min", "per_10min_max", "over_10", "over_10_share",
    "floods", "flood_ms", "flood_share", "stale", "chattering", "top_ten_share", "max_active", "max_unacked",
    "acks", "mean_ack_ms", "p90_ack_ms",
)  # fmt: skip
"""Figures that are one number a seat, in the order of the table."""


async def kpi_of(caller: Caller, start: Ms, end: Ms, estates: list[str]) -> dict[str, Any]:
    """The figures of [from, to) by seat: one control room a firm, within the caller's scope."""
    check_period(start, end)
    directory = caller.web.directory
    for estate in estates:
        if not directory.allows(caller.scope, estate):
            raise Problem(404, "problem.scope")
    mine = estates or directory.estates_of(caller.scope)
    seats: dict[str, list[str]] = {}
    for estate in mine:
        seats.setdefault(str(directory.estates[estate].get("firm", estate)), []).append(estate)
    read = {a for a in directory.assets if directory.allows_asset(caller.scope, a)}
    rows = await asyncio.to_thread(_rows, caller, seats, read, start, min(end, caller.web.desk.now()))
    return {"from": start, "to": end, "seats": rows}


def _rows(
    caller: Caller, seats: Mapping[str, list[str]], assets: set[str], start: Ms, end: Ms
) -> list[dict[str, Any]]:
    out = []
    for seat, estates in sorted(seats.items()):
        log = [
            e
            for x in estates
            for e in read_all(caller.web.desk.state, x, KINDS, end)
            if not e.asset or e.asset in assets
        ]
        found = figures(log, start, max(end, start + 1))
        if caller.actor.role == "regulator":  # figures without the names of people
            found["operators"] = [{**row, "operator": ""} for row in found["operators"]]
        out.append({"seat": seat, "estates": estates, **found})
    return out


@router.get(
    "/kpi",
    summary="Figures about the alarm system itself",
    responses={200: {"content": {"application/json": {"example": EXAMPLE}}}},
)
async def kpi(
    caller: Annotated[Caller, Depends(need("view.stats"))], start: From, end: To, estate: Estates = None
) -> Response:
    """New alarms per seat and 10 minutes, floods, stale and chattering ones, priorities, precision."""
    return reply(await kpi_of(caller, start, end, estate or []))


@router.get("/kpi.csv", summary="One table of the figures about the alarm system")
async def kpi_csv(
    caller: Annotated[Caller, Depends(need("export"))],
    start: From,
    end: To,
    estate: Estates = None,
    table: Annotated[
        str, Query(pattern="^(seats|top_ten|priority|operators|precision)$", description="which table")
    ] = "seats",
) -> Response:
    """UTF-8 with a byte order mark, so that spreadsheets read it as it is."""
    found = await kpi_of(caller, start, end, estate or [])
    rows = [row for seat in found["seats"] for row in _flat(seat, table)]
    headers = {"Content-Disposition": f'attachment; filename="steward-alarms-{table}-{start}-{end}.csv"'}
    return Response(to_csv(rows, caller.lang), headers=headers, media_type="text/csv; charset=utf-8")


def _flat(seat: Mapping[str, Any], table: str) -> list[dict[str, Any]]:
    if table == "seats":
        return [{"seat": seat["seat"], **{k: seat[k] for k in PLAIN}}]
    if table == "priority":
        return [{"seat": seat["seat"], "priority": k, **v} for k, v in seat["priority"].items()]
    return [{"seat": seat["seat"], **row} for row in seat[table]]
