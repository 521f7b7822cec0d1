"""Silences: what they would hold back, which run, making and ending one."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from alerts.silences import Match, preview
from dashboards.api.acting import Acting, acting, done_at, submit
from dashboards.api.bodies import Plain
from dashboards.api.bodies_life import PreviewBody, SilenceBody
from dashboards.api.deps import Caller, key_of, need, reply, shows
from dashboards.problems import Problem
from gateway.ports import StateStore

router = APIRouter(prefix="/silences", tags=["silences"])

EXAMPLE = {
    "id": "si-1f0c2b7a9e55", "estate": "happiness", "reason": "filter is washed", "author": "wang",
    "match": {"rule": "*", "asset": "ws-1", "system": "*", "place": "*"}, "start": 1790000000000,
    "until": 1790003600000, "running": True, "held": 2, "version": 1,
}  # fmt: skip
HELD = {
    "alarm": "5c1f0a9b7e21", "asset": "ws-1", "name": {"zh": "…", "en": "Outlet pressure low"},
    "priority": 2, "state": "UNACK", "held": True,
}  # fmt: skip


def silences_of(state: StateStore) -> list[dict[str, Any]]:
    """All that are kept, running ones first, then by their end."""
    found = [
        {k: v for k, v in body.items() if k != "notices"} | {"running": body["ended_at"] is None}
        for _, body in state.records("silence")
    ]
    return sorted(found, key=lambda s: (not s["running"], s["until"], s["id"]))


@router.get("", summary="List silences", responses=shows({"silences": [EXAMPLE]}))
async def silences(caller: Annotated[Caller, Depends(need("view.wall"))], all: bool = False) -> Response:  # noqa: A002 - the name in the query
    """What runs, with author, reason, end and how many calls were held back; `all`: what ended, too."""
    found = await asyncio.to_thread(silences_of, caller.web.desk.state)
    mine = [
        s for s in found if (all or s["running"]) and caller.web.directory.allows(caller.scope, s["estate"])
    ]
    return reply({"silences": mine})


@router.post(
    "/preview", summary="Preview a silence", responses=shows({"count": 1, "never": 0, "alarms": [HELD]})
)
async def preview_silence(
    body: PreviewBody, caller: Annotated[Caller, Depends(need("silence.create"))]
) -> Response:
    """What it would hold back now: how many and which. Nothing changes. `held` false: life safety, never."""
    if not caller.web.directory.allows(caller.scope, body.estate):
        raise Problem(404, "problem.scope")
    match = Match.of(body.match.model_dump(exclude_none=True))
    snapshot = caller.web.desk.snapshot(caller.scope)  # not in a thread: the core changes what it reads
    places = {a["id"]: a["place"] for a in snapshot["assets"]}
    alarms = [a for a in snapshot["alarms"] if a["estate"] == body.estate]
    found = preview(match, alarms, places)
    held = sum(a["held"] for a in found)
    return reply({"count": held, "never": len(found) - held, "alarms": found})


@router.post("", summary="Silence", responses=shows({"silence": EXAMPLE}))
async def create(
    body: SilenceBody, request: Request, caller: Annotated[Caller, Depends(need("silence.create"))]
) -> Response:
    """Hold back notices and sound for a time. What is held back of untaken work goes out when it ends."""
    if not caller.web.directory.allows(caller.scope, body.estate):
        raise Problem(404, "problem.scope")
    key = key_of(request, caller, "silence.create", body.estate)
    data = {
        "match": body.match.model_dump(exclude_none=True), "minutes": body.minutes, "reason": body.reason,
    }  # fmt: skip
    at = done_at(body, caller.web.desk.now(), caller.web.clock.speed)
    return reply(await submit(caller, key, "silence.create", body.estate, data, at))


@router.post("/{id}/end", summary="End a silence", responses=shows({"silence": EXAMPLE}))
async def end(body: Plain, act: Annotated[Acting, Depends(acting("silence", "silence.end"))]) -> Response:
    """End it before its time; what it held back goes out at once."""
    return await act.do(body)
