"""Preventive plans: what is due when, by which law, and the few ways to change that."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from dashboards.api.acting import carry_out
from dashboards.api.bodies import Act, Reason, UserId, example
from dashboards.api.deps import Caller, need, reply, shows
from dashboards.problems import Problem

router = APIRouter(prefix="/plans", tags=["plans"])
EXAMPLE = {
    "id": "lift.maintenance@lift-1", "asset": "lift-1", "due": "2026-01-16", "last_done": "2026-01-01",
    "order": "", "active": True, "template": {"kind": "completion", "every": "15d", "statutory": True},
}  # fmt: skip
ONE = shows({"plan": EXAMPLE})


class PlanBody(Act):
    """A plan of the site's own, or other figures for a shipped one; see alerts/defaults/plans.yaml."""

    model_config = example(
        {"asset": "lift-1", "template": {
            "id": "lift.maintenance", "kinds": ["elevator"], "name": {"zh": "…", "en": "Maintenance"},
            "kind": "completion", "every": "10d", "statutory": True, "limit_days": 15, "legal": "…",
            "party": "LM",
        }}
    )  # fmt: skip
    asset: UserId
    template: dict[str, Any]


class MovePlan(Act):
    """Another due date: never beyond what the law allows."""

    model_config = example({"due": "2026-01-12", "reason": "holiday of the contractor"})
    due: date
    reason: Reason


class LastDone(Act):
    """When the papers say that it was done last."""

    model_config = example({"done": "2025-12-28", "reason": "maintenance sheet 114"})
    done: date
    reason: Reason


class PausePlan(Act):
    """Stop or go on."""

    model_config = example({"active": False, "reason": "lift is being replaced"})
    active: bool
    reason: Reason


@router.get("")
async def plans(
    caller: Annotated[Caller, Depends(need("view.orders"))],
    estate: str | None = None,
    asset: str | None = None,
    before: Annotated[date | None, Query(description="due by this date")] = None,
) -> Response:
    """Plans of the scope, the most urgent first; those that wait for a counter or a condition last."""
    records = await asyncio.to_thread(lambda: caller.web.desk.state.records("plan", estate=estate))
    found = [
        body for _, body in records
        if caller.web.directory.allows_asset(caller.scope, body["asset"])
        and (asset is None or body["asset"] == asset)
        and (before is None or (body["due"] and body["due"] <= before.isoformat()))
    ]  # fmt: skip
    found.sort(key=lambda p: (not p["due"], p["due"], p["id"]))
    return reply({"plans": found, "total": len(found)})


@router.put("/{id}", responses=ONE)
async def put(
    id: str,  # noqa: A002 - the name in the path
    body: PlanBody,
    request: Request,
    caller: Annotated[Caller, Depends(need("plan.put"))],
) -> Response:
    """Make or change one. What the law demands is never given more time than the law gives."""
    if not caller.web.directory.allows_asset(caller.scope, body.asset):
        raise Problem(404, "problem.scope")
    return await _act(caller, request, "plan.put", id, body)


@router.post("/{id}/move", responses=ONE)
async def move(
    id: str,  # noqa: A002 - the name in the path
    body: MovePlan,
    request: Request,
    caller: Annotated[Caller, Depends(need("plan.move"))],
) -> Response:
    """Move the due date, with a reason; beyond the law's limit it is refused."""
    return await _act(caller, request, "plan.move", id, body)


@router.post("/{id}/last", responses=ONE)
async def last(
    id: str,  # noqa: A002 - the name in the path
    body: LastDone,
    request: Request,
    caller: Annotated[Caller, Depends(need("plan.last"))],
) -> Response:
    """Record a service that Steward did not see."""
    return await _act(caller, request, "plan.last", id, body)


@router.post("/{id}/pause", responses=ONE)
async def pause(
    id: str,  # noqa: A002 - the name in the path
    body: PausePlan,
    request: Request,
    caller: Annotated[Caller, Depends(need("plan.pause"))],
) -> Response:
    """Stop a plan, or let it go on; the log keeps who and why."""
    return await _act(caller, request, "plan.pause", id, body)


async def _act(caller: Caller, request: Request, kind: str, id_: str, body: Act) -> Response:
    if kind != "plan.put":
        record = await asyncio.to_thread(caller.web.desk.state.record, "plan", id_)
        if record is None or not caller.web.directory.allows_asset(caller.scope, record["asset"]):
            raise Problem(404, "problem.scope")
    return await carry_out(caller, request, kind, id_, body)
