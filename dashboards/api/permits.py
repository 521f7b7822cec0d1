"""Work permits: what is announced, what runs, announcing and ending."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from dashboards.access.permissions import allows
from dashboards.api.acting import Acting, acting, carry_out
from dashboards.api.bodies import Plain
from dashboards.api.bodies_life import PermitBody
from dashboards.api.deps import Caller, need, reply, shows
from dashboards.problems import Problem
from gateway.ports import StateStore

router = APIRouter(prefix="/permits", tags=["permits"])

EXAMPLE = {
    "id": "pm-1f0c2b7a9e55", "number": "P-2026-17", "estate": "happiness", "assets": ["ws-1"],
    "person": "Chen Wei", "second": "", "reason": "pump overhaul", "start": 1790086400000,
    "until": 1790100800000, "announced_at": 1790000000000, "announced_by": "zhao", "state": "coming",
    "ahead": True, "notice_s": 86400.0, "version": 1,
}  # fmt: skip


def permits_of(state: StateStore) -> list[dict[str, Any]]:
    """All that are kept: running, coming, then the others, each by time."""
    order = {"running": 0, "coming": 1}
    found = [
        body | {"ahead": body["announced_at"] < body["start"],
                "notice_s": max(0, body["start"] - body["announced_at"]) / 1000}
        for _, body in state.records("permit")
    ]  # fmt: skip
    return sorted(found, key=lambda p: (order.get(p["state"], 2), p["start"], p["id"]))


@router.get("", summary="List permits", responses=shows({"permits": [EXAMPLE]}))
async def permits(caller: Annotated[Caller, Depends(need("view.wall"))], all: bool = False) -> Response:  # noqa: A002 - the name in the query
    """Permits that run and that are announced; `all`: those of the last time, too."""
    directory = caller.web.directory
    found = await asyncio.to_thread(permits_of, caller.web.desk.state)
    mine = [
        p for p in found
        if (all or p["state"] in ("running", "coming"))
        and any(directory.allows_asset(caller.scope, a) for a in p["assets"])
    ]  # fmt: skip
    return reply({"permits": mine})


@router.post("", summary="Announce planned work", responses=shows({"permit": EXAMPLE}))
async def announce(
    body: PermitBody, request: Request, caller: Annotated[Caller, Depends(need("permit.announce"))]
) -> Response:
    """Work on assets from `start` to `until`. Announced before it begins, its time counts as planned on time.

    Lifts, fire systems, gas and call buttons need a second person: `second` is that person's act token.
    """
    if not all(caller.web.directory.allows_asset(caller.scope, a) for a in body.assets):
        raise Problem(404, "problem.scope")
    first, *others = body.assets
    more = {"assets": others} | _second(caller, body)
    return await carry_out(caller, request, "permit.announce", first, body, "assets", "second", **more)


def _second(caller: Caller, body: PermitBody) -> dict[str, str]:
    """The second person, proven by an act token. Raises Problem 403."""
    if body.second is None:
        return {}
    web = caller.web
    person = web.acts.use(body.second, caller.login.key)
    if person is None or person.id == caller.actor.id or not allows(person.role, "permit.announce"):
        raise Problem(403, "problem.second")
    if not all(web.directory.allows_asset(person.scope, a) for a in body.assets):
        raise Problem(403, "problem.second")
    return {"second": person.id}


@router.post("/{id}/withdraw", summary="Withdraw a permit", responses=shows({"permit": EXAMPLE}))
async def withdraw(
    body: Plain, act: Annotated[Acting, Depends(acting("permit", "permit.withdraw"))]
) -> Response:
    """Take it back before it begins."""
    return await act.do(body)


@router.post("/{id}/end", summary="End a permit", responses=shows({"permit": EXAMPLE}))
async def end(body: Plain, act: Annotated[Acting, Depends(acting("permit", "permit.end"))]) -> Response:
    """The work is done before its time: alarms of its assets are live again."""
    return await act.do(body)
