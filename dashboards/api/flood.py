"""The alarm list by cause, for the screen in an alarm flood."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from alerts.alarms_state import Alarm
from alerts.flood import picture
from dashboards.api.deps import Caller, need, reply

router = APIRouter(tags=["alarms"])

EXAMPLE = {
    "on": True, "since": 1790000000000, "count": 214, "groups": 3, "total": 205,
    "lines": [
        {"kind": "life", "head": "5c1f0a9b7e21", "title": {"zh": "...", "en": "Passenger trapped"},
         "priority": 1, "life": True, "count": 1, "unacked": 1, "assets": 1, "since": 1790000015000,
         "alarms": ["5c1f0a9b7e21"]},
        {"kind": "cause", "head": "9a1be02c4d70", "title": {"zh": "...", "en": "Power outage"},
         "priority": 2, "life": False, "count": 203, "unacked": 12, "assets": 61, "since": 1790000000000,
         "alarms": ["9a1be02c4d70", "…"]},
    ],
}  # fmt: skip


@router.get(
    "/flood",
    summary="Alarm flood: is there one, and the list by cause",
    responses={200: {"content": {"application/json": {"example": EXAMPLE}}}},
)
async def flood(caller: Annotated[Caller, Depends(need("view.wall"))]) -> Response:
    """At most 12 lines that hold every alarm of the scope: life safety first, one line a cause, the rest.

    A flood begins with 10 new alarms within 10 minutes at a seat (the control room of a firm) and ends when
    fewer than 5 came within 10 minutes.
    """
    desk, directory = caller.web.desk, caller.web.directory
    alarms = [Alarm.from_dict(a) for a in desk.snapshot(caller.scope)["alarms"]]
    firms = {directory.estates[e].get("firm", "") for e in directory.estates_of(caller.scope)}
    kept = await asyncio.to_thread(desk.state.records, "flood")
    seats: list[dict[str, Any]] = [dict(body) for id_, body in kept if id_ in firms]
    return reply(picture(alarms, seats))
