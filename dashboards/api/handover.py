"""Shift handover: what is open, notes, and two signatures."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from alerts.handover import shown
from dashboards.api.acting import carry_out
from dashboards.api.bodies import Plain
from dashboards.api.bodies_people import HandoverNote, SignBody
from dashboards.api.deps import Caller, need, reply, shows
from dashboards.problems import Problem

router = APIRouter(prefix="/handovers", tags=["handover"])
SHEET = {
    "id": "ho-1f0c2b7a9e55", "estate": "happiness", "duty": "CR", "state": "half", "as_of": 1790000000000,
    "alarms": [{"id": "5c1f", "asset": "ws-1", "priority": 2, "state": "ACKED", "since": 1789990000000}],
    "shelved": [], "out_of_service": [], "suppressed": [], "silenced": [], "overdue": [], "orders": [],
    "notes": [{"t": 1789999000000, "by": "wang", "text": "pump 2 is loud"}], "hash": "3b0c…", "version": 3,
    "signatures": [{"side": "outgoing", "by": "wang", "at": 1790000000000, "on_duty": True}],
}  # fmt: skip
ONE = shows({"handover": SHEET})


def sees(caller: Caller, estate: str) -> bool:
    """A handover is about all systems of its estate: whoever sees some of them only sees none."""
    return caller.scope.systems is None and caller.web.directory.allows(caller.scope, estate)


@router.get("", summary="List handovers", responses=shows({"handovers": [SHEET]}))
async def handovers(caller: Annotated[Caller, Depends(need("view.handover"))]) -> Response:
    """The open ones and those of the last week; older ones stand in the event log (`handover.completed`)."""
    found = await asyncio.to_thread(caller.web.desk.state.records, "handover")
    mine = [shown(b) for _, b in found if sees(caller, str(b["estate"]))]
    return reply({"handovers": sorted(mine, key=lambda h: -int(h["opened_at"]))})


@router.post("/{estate}/open", summary="Open a handover", responses=ONE)
async def open_(
    estate: str,
    body: Plain,
    request: Request,
    caller: Annotated[Caller, Depends(need("handover.open"))],
) -> Response:
    """The sheet of an estate with everything that is open now, or the one that is open already."""
    if not sees(caller, estate):
        raise Problem(404, "problem.scope")
    return await carry_out(caller, request, "handover.open", estate, body)


@router.post("/{id}/note", summary="Write a note", responses=ONE)
async def note(
    id: str,  # noqa: A002 - the name in the path
    body: HandoverNote,
    request: Request,
    caller: Annotated[Caller, Depends(need("handover.note"))],
) -> Response:
    """For the next shift; after the first signature nothing changes any more."""
    return await carry_out(caller, request, "handover.note", id, body)


@router.post("/{id}/sign", summary="Sign a handover", responses=ONE)
async def sign(
    id: str,  # noqa: A002 - the name in the path
    body: SignBody,
    request: Request,
    caller: Annotated[Caller, Depends(need("handover.sign"))],
) -> Response:
    """Each in a session of their own; the first signature freezes the sheet, the second closes it."""
    if "x-act-as" in request.headers:  # somebody else's session
        raise Problem(403, "problem.own_session")
    session = hashlib.sha256(caller.login.key.encode()).hexdigest()[:16]
    return await carry_out(caller, request, "handover.sign", id, body, session=session)
