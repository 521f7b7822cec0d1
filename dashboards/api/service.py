"""Figures of the service by who gave it, and samples for re-inspection."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from dashboards.api.acting import done_at, submit
from dashboards.api.bodies import Act, example
from dashboards.api.deps import Caller, key_of, need, reply, version_of
from dashboards.api.history import From, To, check_period
from dashboards.problems import Problem
from gateway.ledger.service import KINDS, service
from gateway.model import Event, Ms
from gateway.ports import StateStore

router = APIRouter(tags=["service"])
BEFORE_MS: Ms = 31 * 86_400_000
"""Orders that began so long before the period are still seen in its backlog."""
PAGE = 5000
EXAMPLE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": {"firms": [{
        "firm": "otis", "orders": 3, "accept_p50_ms": 120000, "restore_p90_ms": 6000000, "restore_n": 2,
        "restore_measured": 1, "sla_n": 6, "sla_missed": ["wo-2/accept"], "score": 65.4,
        "parts": {"sla": {"value": 0.833, "n": 6, "weight": 35, "facts": ["wo-2/accept"]}},
    }]}}}},
}  # fmt: skip


class Found(Act):
    """What a supervisor found at an order that was drawn."""

    model_config = example({"order": "wo-1f0c9d2e3a4b", "result": "pass", "text": "seen running, dry"})
    order: Annotated[str, Query(min_length=1, max_length=60)]
    result: Literal["pass", "fail", "gone"]
    text: Annotated[str, Query(min_length=2, max_length=500)]


async def service_of(caller: Caller, start: Ms, end: Ms, estate: str = "") -> list[dict[str, Any]]:
    """Rows of the scope for [start, end). Raises Problem 404 for an estate outside of it."""
    check_period(start, end)
    web = caller.web
    estates = web.directory.estates_of(caller.scope)
    if estate and estate not in estates:
        raise Problem(404, "problem.scope")
    snapshot = web.directory.learn()
    duty = {c["id"]: c.get("duty", "") for c in snapshot.get("contractors", ())}
    assets: Mapping[str, Mapping[str, Any]] = web.directory.assets

    def firm_of(party: str, asset: str) -> str:
        keeper = str(assets.get(asset, {}).get("contractor") or "")
        return keeper if keeper and duty.get(keeper) == party else party

    def compute() -> list[dict[str, Any]]:
        events = [
            e for i in ([estate] if estate else estates) for e in _events(web.desk.state, i, start, end)
        ]
        seen = [e for e in events if not e.asset or web.directory.allows_asset(caller.scope, e.asset)]
        return service(sorted(seen, key=lambda e: e.t), start, end, firm_of)

    return await asyncio.to_thread(compute)


def _events(state: StateStore, estate: str, start: Ms, end: Ms) -> list[Event]:
    out: list[Event] = []
    after: int | None = None
    while True:
        page = state.events(
            estate=estate, kinds=KINDS, start=start - BEFORE_MS, end=end, after=after, limit=PAGE
        )
        out += [e for _, e in page]
        if len(page) < PAGE:
            return out
        after = page[-1][0]


@router.get("/service", responses=EXAMPLE)
async def figures(
    caller: Annotated[Caller, Depends(need("view.stats"))],
    start: From,
    end: To,
    estate: Annotated[str, Query(max_length=48)] = "",
) -> Response:
    """Times, first-time fix, limits kept, backlog, plans, inspections, ratings and score by firm.

    Each part of the score comes with its number of cases, its weight and what speaks against it.
    """
    return reply({"from": start, "to": end, "firms": await service_of(caller, start, end, estate)})


@router.get("/samples")
async def samples(
    caller: Annotated[Caller, Depends(need("view.stats"))], estate: str | None = None
) -> Response:
    """Samples for re-inspection, the newest first, with their seed; `chosen` holds what was found."""
    records = await asyncio.to_thread(lambda: caller.web.desk.state.records("sample", estate=estate))
    found = [b for _, b in records if b["seed"] and caller.web.directory.allows(caller.scope, b["estate"])]
    found.sort(key=lambda s: (s["period"], s["id"]), reverse=True)
    return reply({"samples": found})


@router.post("/samples/{id}/result")
async def result(
    id: str,  # noqa: A002 - the name in the path
    body: Found,
    request: Request,
    caller: Annotated[Caller, Depends(need("sample.result"))],
) -> Response:
    """Record what was found; a failed one opens an order of the same party."""
    web = caller.web
    record = await asyncio.to_thread(web.desk.state.record, "sample", id)
    if record is None or not web.directory.allows(caller.scope, record["estate"]):
        raise Problem(404, "problem.scope")
    data = body.model_dump(exclude={"done_at", "sent_at"})
    key = key_of(request, caller, "sample.result", f"{id}/{body.order}")
    at = done_at(body, web.desk.now(), web.clock.speed)
    return reply(await submit(caller, key, "sample.result", id, data, at, version_of(request)))
