"""Alarms: one with its history, and what people do about them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from starlette.responses import Response

from dashboards.access.people import active, actor_of
from dashboards.access.permissions import allows
from dashboards.api.acting import Acting, acting, find, shown
from dashboards.api.bodies import Ack, Assign, NoteBody, OutOfService, Plain, Reset, Shelve
from dashboards.api.bodies_life import Judge
from dashboards.api.deps import Caller, need, reply
from dashboards.api.history import event_json
from dashboards.problems import Problem

router = APIRouter(prefix="/alarms", tags=["alarms"])


@router.get("/{id}")
async def alarm(id: str, caller: Annotated[Caller, Depends(need("view.wall"))]) -> Response:  # noqa: A002 - path
    """An alarm and what happened to it, oldest first."""
    record = await find(caller, "alarm", id)
    events = await asyncio.to_thread(
        lambda: caller.web.desk.state.events(estate=record["estate"], subject=id, limit=500)
    )
    return reply(
        {"alarm": shown(record), "events": [event_json(seq, e, caller) for seq, e in events]},
        headers={"ETag": f'"{record.get("version", 0)}"'},
    )


@router.post("/{id}/ack")
async def ack(body: Ack, act: Annotated[Acting, Depends(acting("alarm", "alarm.ack"))]) -> Response:
    """Acknowledge."""
    return await act.do(body)


@router.post("/{id}/shelve")
async def shelve(body: Shelve, act: Annotated[Acting, Depends(acting("alarm", "alarm.shelve"))]) -> Response:
    """Shelve for a time. Life safety is refused."""
    return await act.do(body)


@router.post("/{id}/unshelve")
async def unshelve(
    body: Plain, act: Annotated[Acting, Depends(acting("alarm", "alarm.unshelve"))]
) -> Response:
    """Take back from the shelf; it is then acknowledged."""
    return await act.do(body)


@router.post("/{id}/assign")
async def assign(body: Assign, act: Annotated[Acting, Depends(acting("alarm", "alarm.assign"))]) -> Response:
    """Name who looks after it."""
    await known_person(act, "alarm", body.to)
    return await act.do(body)


@router.post("/{id}/note")
async def note(body: NoteBody, act: Annotated[Acting, Depends(acting("alarm", "alarm.note"))]) -> Response:
    """Write a note."""
    return await act.do(body)


@router.post("/{id}/judge", summary="Judge an alarm")
async def judge(body: Judge, act: Annotated[Acting, Depends(acting("alarm", "alarm.judge"))]) -> Response:
    """Was it right? True, false or a nuisance; the newest verdict of an occurrence counts."""
    return await act.do(body)


@router.post("/{id}/oos")
async def oos(body: OutOfService, act: Annotated[Acting, Depends(acting("alarm", "alarm.oos"))]) -> Response:
    """Out of service under a permit; `second` proves the second person that life safety needs."""
    if body.second is None:
        return await act.do(body)
    second = act.caller.web.acts.use(body.second, act.caller.login.key)
    if second is None or second.id == act.caller.actor.id or not allows(second.role, "alarm.oos"):
        raise Problem(403, "problem.second")
    record = await find(act.caller, "alarm", act.subject)
    if not act.caller.web.directory.allows_body(second.scope, record):
        raise Problem(403, "problem.second")
    return await act.do(body, second=second.id)


@router.post("/{id}/reset")
async def reset(body: Reset, act: Annotated[Acting, Depends(acting("alarm", "alarm.reset"))]) -> Response:
    """Reset what is latched, with evidence."""
    return await act.do(body)


async def known_person(act: Acting, kind: Literal["alarm", "order", "hazard"], id_: str) -> None:
    """Raises Problem 422 unless the person exists, can log in and may see and do something there."""
    web = act.caller.web
    user = await asyncio.to_thread(web.accounts.user, id_)
    if user is not None and active(user):
        person, record = actor_of(user), await find(act.caller, kind, act.subject)
        needed = "hazard.fix" if kind == "hazard" else f"{kind}.note"
        if allows(person.role, needed) and web.directory.allows_body(person.scope, record):
            return
    raise Problem(422, "problem.unknown_person", who=id_)
