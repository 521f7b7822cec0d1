"""Drills, and the demonstration's box of breakages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from dashboards.api.acting import submit
from dashboards.api.bodies import BreakIt, Drill
from dashboards.api.deps import Caller, key_of, need, reply
from dashboards.problems import Problem

router = APIRouter(tags=["drills"])


@router.post("/drill")
async def drill(
    body: Drill, request: Request, caller: Annotated[Caller, Depends(need("drill.start"))]
) -> Response:
    """Start a drill: it sounds and is listed, leaves the estate only when confirmed, enters no figure."""
    if not caller.web.directory.allows_asset(caller.scope, body.asset):
        raise Problem(404, "problem.scope")
    key = key_of(request, caller, "drill.start", body.asset)
    return reply(await submit(caller, key, "drill.start", body.asset, {"asset": body.asset}))


@router.post("/breakit")
async def breakit(body: BreakIt, caller: Annotated[Caller, Depends(need("breakit"))]) -> Response:
    """Break something in the simulated estate. There is no such address outside of the demonstration."""
    if caller.web.options.breakit is None:
        raise Problem(404, "http.404")
    asset = (body.model_extra or {}).get("asset")
    if asset is not None and not caller.web.directory.allows_asset(caller.scope, str(asset)):
        raise Problem(404, "problem.scope")
    return reply(dict(await caller.web.options.breakit(body.model_dump())))
