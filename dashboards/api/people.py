"""Leave and swaps, who is on duty, which shifts are empty, which certificates end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from dashboards.api.acting import carry_out, submit
from dashboards.api.bodies import Plain
from dashboards.api.bodies_people import DecisionBody, LeaveBody, QuietBody
from dashboards.api.deps import Caller, key_of, need, reply, shows, version_of
from dashboards.api.matrix import refused
from dashboards.problems import Problem
from gateway.model import Scope

router = APIRouter(tags=["people"])
LEAVE = {
    "id": "lv-9f1c-3", "person": "li", "estate": "happiness", "kind": "swap", "start": 1790000000000,
    "end": 1790028800000, "stand_in": "wu", "reason": "wedding", "state": "asked", "asked_by": "li",
    "asked_at": 1789900000000, "decided_by": "", "decided_at": None, "note": "", "version": 1,
    "accepted_at": None,
}  # fmt: skip
STAFF = {
    "id": "li",
    "body": {"id": "li", "estate": "happiness", "version": 4, "author": "zhao",
             "reach": [{"channel": "sms", "address": "138…", "quiet": "22:00-06:00"}]},
}  # fmt: skip
META = ("version", "author", "changed_at", "reason")
"""What the core keeps beside a record of the settings."""
CHANGED = {"leave": LEAVE, "empty": [{"estate": "happiness", "duty": "TE", "from": 1, "to": 2}]}


@router.get("/leave", summary="Leave and swaps", responses=shows({"leave": [LEAVE]}))
async def leaves(caller: Annotated[Caller, Depends(need("leave.ask"))]) -> Response:
    """Of the scope, the latest first; who may not decide sees their own."""
    found = await asyncio.to_thread(caller.web.desk.state.records, "leave")
    decides = caller.actor.role in ("supervisor", "manager", "admin")
    mine = [
        body
        for _, body in found
        if caller.web.directory.allows(caller.scope, str(body["estate"]))
        and (decides or caller.actor.id in (body["person"], body["stand_in"]))
    ]
    return reply({"leave": sorted(mine, key=lambda x: -int(x["start"]))})


@router.post("/leave", summary="Ask for leave or a swap", responses=shows(CHANGED))
async def ask(
    body: LeaveBody, request: Request, caller: Annotated[Caller, Depends(need("leave.ask"))]
) -> Response:
    """It holds when the stand-in has said yes and somebody else, who may decide, approves it.

    `empty`: shifts that would have nobody. A stand-in without the certificates of those shifts is refused.
    """
    return await carry_out(caller, request, "leave.ask", body.person, body, "person")


@router.post("/leave/{id}/accept", summary="Say yes to standing in", responses=shows(CHANGED))
async def accept(
    id: str,  # noqa: A002 - the name in the path
    body: Plain,
    request: Request,
    caller: Annotated[Caller, Depends(need("leave.accept"))],
) -> Response:
    """Only who is asked to stand in; without it nobody approves the leave."""
    return await carry_out(caller, request, "leave.accept", id, body)


@router.post("/leave/{id}/decline", summary="Say no to standing in", responses=shows(CHANGED))
async def decline(
    id: str,  # noqa: A002 - the name in the path
    body: DecisionBody,
    request: Request,
    caller: Annotated[Caller, Depends(need("leave.decline"))],
) -> Response:
    """Only who is asked to stand in, with the reason; the leave has to be asked for anew."""
    return await carry_out(caller, request, "leave.decline", id, body)


@router.post("/leave/{id}/approve", summary="Approve leave", responses=shows(CHANGED))
async def approve(
    id: str,  # noqa: A002 - the name in the path
    body: DecisionBody,
    request: Request,
    caller: Annotated[Caller, Depends(need("leave.approve"))],
) -> Response:
    """From then on the roster counts with it; nobody approves their own."""
    return await carry_out(caller, request, "leave.approve", id, body)


@router.post("/leave/{id}/refuse", summary="Refuse leave", responses=shows(CHANGED))
async def refuse(
    id: str,  # noqa: A002 - the name in the path
    body: DecisionBody,
    request: Request,
    caller: Annotated[Caller, Depends(need("leave.refuse"))],
) -> Response:
    """With the reason."""
    return await carry_out(caller, request, "leave.refuse", id, body)


@router.post("/leave/{id}/withdraw", summary="Take leave back", responses=shows(CHANGED))
async def withdraw(
    id: str,  # noqa: A002 - the name in the path
    body: Plain,
    request: Request,
    caller: Annotated[Caller, Depends(need("leave.withdraw"))],
) -> Response:
    """The person or a supervisor; the shifts are as planned again."""
    return await carry_out(caller, request, "leave.withdraw", id, body)


@router.get(
    "/duty/{estate}", summary="Who is on duty",
    responses=shows(
        {"estate": "happiness", "on": [{"duty": "CR", "people": [{"id": "wang", "name": "Wang"}]}],
         "empty": [{"duty": "TE", "from": 1790000000000, "to": 1790028800000}]}
    ),
)  # fmt: skip
async def duty(
    estate: str,
    caller: Annotated[Caller, Depends(need("settings.view"))],
    days: Annotated[int, Query(ge=1, le=60)] = 7,
) -> Response:
    """Who fills which role now, and when nobody will in the next days."""
    view = caller.web.options.matrix
    if view is None or not caller.web.directory.allows(caller.scope, estate):
        raise Problem(404, "problem.scope")
    return reply(view.duty(estate, caller.web.desk.now(), days))


@router.get(
    "/certificates", summary="Certificates that end",
    responses=shows({"certificates": [{"person": "li", "kind": "electrician", "days": 9}]}),
)  # fmt: skip
async def certificates(caller: Annotated[Caller, Depends(need("settings.view"))]) -> Response:
    """Those of the scope that end within 60 days or have ended."""
    view = caller.web.options.matrix
    found = view.certificates(caller.web.desk.now()) if view is not None else []
    return reply({"certificates": caller.web.directory.within(caller.scope, found)})


@router.put("/staff/{id}/quiet", summary="Quiet hours in a record of staff", responses=shows(STAFF))
async def quiet(
    id: str,  # noqa: A002 - the name in the path
    body: QuietBody,
    request: Request,
    caller: Annotated[Caller, Depends(need("settings.put"))],
) -> Response:
    """Set when a person is not called by which channel; the rest of the record stays as it is.

    What is critical or concerns life safety comes all the same. A change of the settings like any other:
    with version, author and reason in the log.
    """
    present = await asyncio.to_thread(caller.web.desk.state.record, "staff", id)
    if present is None or not _staff_of(caller, present):
        raise Problem(404, "problem.scope")
    ways = present.get("reach") or ()
    if unknown := sorted(set(body.quiet) - {str(w["channel"]) for w in ways}):
        raise Problem(422, "problem.no_way", channel=", ".join(unknown))
    reach = [
        {k: v for k, v in w.items() if k != "quiet"}
        | ({"quiet": band} if (band := body.quiet.get(w["channel"], "").strip()) else {})
        for w in ways
    ]  # fmt: skip
    record = {k: v for k, v in present.items() if k not in META} | {"reach": reach}
    data = {"kind": "staff", "id": id, "body": record, "reason": body.reason}
    seen = version_of(request)
    subject, version = f"staff/{id}", present["version"] if seen is None else seen
    key = key_of(request, caller, "settings.put", f"{subject}/quiet")
    result = await submit(caller, key, "settings.put", subject, data, None, version, body.model_dump())
    refused(result)
    return reply(result)


def _staff_of(caller: Caller, record: Mapping[str, Any]) -> bool:
    """Whether a record of staff lies within the scope; one of no estate is for who sees all."""
    estate = str(record.get("estate") or "")
    return caller.web.directory.allows(caller.scope, estate) if estate else caller.scope == Scope()
