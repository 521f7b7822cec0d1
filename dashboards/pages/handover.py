"""The handover of a shift: the open sheet of an estate, its signatures, and those of the last week."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from alerts.handover import shown
from dashboards.api.deps import Caller, need
from dashboards.api.handover import sees
from dashboards.pages.common import show
from dashboards.problems import Problem

router = APIRouter()


@router.get("/handover")
@router.get("/handover/{estate}")
async def handover(
    request: Request, caller: Annotated[Caller, Depends(need("view.handover"))], estate: str = ""
) -> Response:
    """One estate; without a name the first of the scope."""
    directory = caller.web.directory
    mine = [e for e in directory.estates_of(caller.scope) if sees(caller, e)]
    estate = estate or next(iter(mine), "")
    if estate not in mine:
        raise Problem(404, "problem.scope")
    records = await asyncio.to_thread(caller.web.desk.state.records, "handover")
    sheets = sorted(
        (shown(b) for _, b in records if b["estate"] == estate), key=lambda s: -int(s["opened_at"])
    )
    current = next((s for s in sheets if s["state"] != "signed"), None)
    past = [s for s in sheets if s["state"] == "signed"]
    names = {e: directory.estates[e]["name"] for e in mine}
    return show(
        request, caller, "handover.html", estate=estate, estates=names, sheet=current, past=past,
        signed={s["side"]: s for s in current["signatures"]} if current else {},
    )  # fmt: skip
