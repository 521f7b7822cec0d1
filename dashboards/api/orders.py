"""Work orders: lists, one with its history, and every step of its life."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from dashboards.access.permissions import concerns, owns
from dashboards.api.acting import Acting, acting, carry_out, find, shown
from dashboards.api.alarms import known_person
from dashboards.api.arrival import arrive_facts
from dashboards.api.bodies import (
    Arrive,
    Check,
    Close,
    Confirm,
    CostDrop,
    CostLine,
    CostSum,
    Done,
    NewOrder,
    NoteBody,
    Plain,
    ReasonBody,
    Reassign,
)  # fmt: skip
from dashboards.api.deps import Caller, need, reply
from dashboards.api.history import event_json
from dashboards.problems import Problem

router = APIRouter(prefix="/orders", tags=["orders"])
CLOSED = frozenset({"CLOSED", "CANCELLED"})


@router.get("")
async def orders(
    caller: Annotated[Caller, Depends(need("view.orders"))],
    estate: str | None = None,
    state: Annotated[list[str] | None, Query()] = None,
    mine: bool = False,
    open: bool = False,  # noqa: A002 - the name in the query
    limit: Annotated[int, Query(ge=1, le=2000)] = 500,
) -> Response:
    """Orders of the scope, urgent and new ones first. `mine`: of my duty or on my name."""
    records = await asyncio.to_thread(lambda: caller.web.desk.state.records("order", estate=estate))
    found = [
        shown(body)
        for _, body in records
        if caller.web.directory.allows_body(caller.scope, body)
        and (not state or body["state"] in state)
        and not (open and body["state"] in CLOSED)
        and not (mine and not concerns(caller.actor, body))
    ]
    found.sort(key=lambda o: (o.get("priority", 4), -int((o.get("stamps") or {}).get("NEW") or 0), o["id"]))
    return reply({"orders": found[:limit], "total": len(found)})


@router.post("")
async def create(
    body: NewOrder, request: Request, caller: Annotated[Caller, Depends(need("order.create"))]
) -> Response:
    """What a person reports or sees; the same report on the same thing joins the order that is open."""
    if not caller.web.directory.allows_asset(caller.scope, body.asset):
        raise Problem(404, "problem.scope")
    return await carry_out(caller, request, "order.create", body.asset, body, "asset")


@router.get("/{id}")
async def order(id: str, caller: Annotated[Caller, Depends(need("view.orders"))]) -> Response:  # noqa: A002 - path
    """An order, what happened to it, and whether the caller may act on it."""
    record = await find(caller, "order", id)
    events = await asyncio.to_thread(
        lambda: caller.web.desk.state.events(estate=record["estate"], subject=id, limit=500)
    )
    body = {
        "order": shown(record), "mine": owns(caller.actor, record),
        "events": [event_json(seq, e, caller) for seq, e in events],
    }  # fmt: skip
    return reply(body, headers={"ETag": f'"{record.get("version", 0)}"'})


@router.post("/{id}/accept")
async def accept(body: Plain, act: Annotated[Acting, Depends(acting("order", "order.accept"))]) -> Response:
    """Accept: a person is on it, and the accept ladder stops."""
    return await act.do(body)


@router.post("/{id}/en_route")
async def en_route(
    body: Plain, act: Annotated[Acting, Depends(acting("order", "order.en_route"))]
) -> Response:
    """On the way."""
    return await act.do(body)


@router.post("/{id}/arrive")
async def arrive(body: Arrive, act: Annotated[Acting, Depends(acting("order", "order.arrive"))]) -> Response:
    """Arrived. The code of the asset proves it (qr, typed); a place (gps) or nothing (none) is declared."""
    record = await find(act.caller, "order", act.subject)
    return await act.do(body, **arrive_facts(act.caller.web, record, body))


@router.post("/{id}/work")
async def work(body: Plain, act: Annotated[Acting, Depends(acting("order", "order.work"))]) -> Response:
    """Work begins."""
    return await act.do(body)


@router.post("/{id}/hold")
async def hold(body: ReasonBody, act: Annotated[Acting, Depends(acting("order", "order.hold"))]) -> Response:
    """Pause with a reason; clocks of life safety go on."""
    return await act.do(body)


@router.post("/{id}/resume")
async def resume(body: Plain, act: Annotated[Acting, Depends(acting("order", "order.resume"))]) -> Response:
    """Go on."""
    return await act.do(body)


@router.post("/{id}/done")
async def done(body: Done, act: Annotated[Acting, Depends(acting("order", "order.done"))]) -> Response:
    """Done, with cause and action; it closes when the sensor agrees."""
    return await act.do(body)


@router.post("/{id}/verify")
async def verify(
    body: ReasonBody, act: Annotated[Acting, Depends(acting("order", "order.verify"))]
) -> Response:
    """A supervisor says that it is in order although no sensor does; the reason stays on record."""
    return await act.do(body)


@router.post("/{id}/close")
async def close(body: Close, act: Annotated[Acting, Depends(acting("order", "order.close"))]) -> Response:
    """Close a verified order; with `total_fen` its costs are confirmed in the same act."""
    return await act.do(body)


@router.post("/{id}/reject")
async def reject(
    body: ReasonBody, act: Annotated[Acting, Depends(acting("order", "order.reject"))]
) -> Response:
    """Refuse with a reason; the next one is asked."""
    return await act.do(body)


@router.post("/{id}/reassign")
async def reassign(
    body: Reassign, act: Annotated[Acting, Depends(acting("order", "order.reassign"))]
) -> Response:
    """Hand over to a person or a duty role."""
    if not body.to.isupper():
        await known_person(act, "order", body.to)
    return await act.do(body)


@router.post("/{id}/note")
async def note(body: NoteBody, act: Annotated[Acting, Depends(acting("order", "order.note"))]) -> Response:
    """Write a note."""
    return await act.do(body)


@router.post("/{id}/check")
async def check(body: Check, act: Annotated[Acting, Depends(acting("order", "order.check"))]) -> Response:
    """Fill in an item of the checklist.

    A reading out of its limits opens an order that follows, or demands a reason, as the template says.
    """
    return await act.do(body)


@router.post("/{id}/costs")
async def cost(body: CostLine, act: Annotated[Acting, Depends(acting("order", "order.cost"))]) -> Response:
    """Write down a part, labour or another cost; money is whole fen."""
    return await act.do(body)


@router.post("/{id}/costs/drop")
async def uncost(
    body: CostDrop, act: Annotated[Acting, Depends(acting("order", "order.uncost"))]
) -> Response:
    """Take a cost line back; the event log keeps it."""
    return await act.do(body)


@router.post("/{id}/costs/confirm")
async def costs_ok(
    body: CostSum, act: Annotated[Acting, Depends(acting("order", "order.costs_ok"))]
) -> Response:
    """Confirm the sum that one has seen, even zero; another sum than that of the lines is refused."""
    return await act.do(body)


@router.post("/{id}/confirm")
async def confirm(
    body: Confirm, act: Annotated[Acting, Depends(acting("order", "order.confirm"))]
) -> Response:
    """A second person confirms work that is done; whoever did it cannot."""
    return await act.do(body)


@router.post("/{id}/refuse")
async def refuse(
    body: ReasonBody, act: Annotated[Acting, Depends(acting("order", "order.refuse"))]
) -> Response:
    """The second person does not confirm: the work goes on, with the reason on record."""
    return await act.do(body)


@router.post("/{id}/cancel")
async def cancel(
    body: ReasonBody, act: Annotated[Acting, Depends(acting("order", "order.cancel"))]
) -> Response:
    """Cancel with a reason."""
    return await act.do(body)


@router.post("/{id}/release")
async def release(body: Plain, act: Annotated[Acting, Depends(acting("order", "order.release"))]) -> Response:
    """Confirm: the calls that a drill or a commissioning held back leave the estate."""
    return await act.do(body)
