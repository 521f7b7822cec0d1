"""Reports of residents as the firm sees them, codes for stickers, cases that the city's platform hands in."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from dashboards.access.permissions import allows
from dashboards.api.bodies import Body, UserId, example
from dashboards.api.deps import Caller, Lang, WebDep, need, reply, session
from dashboards.codes import asset_code, signed
from dashboards.problems import Problem
from dashboards.web import Web
from gateway.model import Actor, Command

router = APIRouter(tags=["reports"])
SIGNATURE = "x-steward-signature"
PLATFORM = Actor("city", "12345", "operator")
ANSWER: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"example": {"report": {
        "id": "city-6f1d20c2a7f0", "number": "12345-20260101-0007", "order": "wo-1f0c9d2e3a4b",
        "asset": "lift-1", "state": "DISPATCHED", "ended": False,
    }}}}},
}  # fmt: skip


class CityCase(Body):
    """A case of the city's platform. The same number twice is one case."""

    model_config = example(
        {"number": "12345-20260101-0007", "asset": "lift-1", "text": "lift stands still", "what": "stopped",
         "where": "building 3"}
    )  # fmt: skip
    number: Annotated[str, Query(min_length=1, max_length=60)]
    asset: UserId
    text: Annotated[str, Query(min_length=1, max_length=1000)]
    what: Annotated[str, Query(max_length=40)] = "other"
    where: Annotated[str, Query(max_length=200)] = ""


@router.get("/reports")
async def reports(
    caller: Annotated[Caller, Depends(need("view.reports"))],
    estate: str | None = None,
    order: str | None = None,
    limit: Annotated[int, Query(ge=1, le=2000)] = 200,
) -> Response:
    """Reports of the scope, the newest first, with what only the firm may see (words, telephone)."""
    records = await asyncio.to_thread(lambda: caller.web.desk.state.records("report", estate=estate))
    found = [
        body for _, body in records
        if caller.web.directory.allows_asset(caller.scope, body["asset"])
        and (order is None or body["order"] == order)
    ]  # fmt: skip
    found.sort(key=lambda r: (-int(r["t"]), r["id"]))
    return reply({"reports": found[:limit], "total": len(found)})


@router.get("/assets/{id}/report-code")
async def code(
    id: str,  # noqa: A002 - the name in the path
    request: Request,
    caller: Annotated[Caller, Depends(need("view.reports"))],
) -> Response:
    """The address for the sticker on an asset: whoever opens it can report a fault."""
    keys = caller.web.options.keys
    if keys is None or not caller.web.directory.allows_asset(caller.scope, id):
        raise Problem(404, "problem.scope")
    made = asset_code(keys.report, id)
    return reply({"asset": id, "code": made, "url": str(request.base_url) + f"r/{made}"})


async def platform(request: Request, web: WebDep, lang: Lang) -> Actor:
    """Who hands a case in: a signed call of the city's platform, or a person who may."""
    given, keys = request.headers.get(SIGNATURE), web.options.keys
    if given is None:
        caller = await session(request, web, lang)
        caller.require("city.report")
        return caller.actor
    if keys is None or not signed(keys.city, given, await request.body(), web.desk.now()):
        raise Problem(403, "problem.signature")
    return PLATFORM


@router.post("/city/cases", summary="Hand in a case of the city's platform", responses=ANSWER)
async def city_case(body: CityCase, web: WebDep, actor: Annotated[Actor, Depends(platform)]) -> Response:
    """Signed (`X-Steward-Signature: t=<ms>,v1=<HMAC-SHA256 hex of "<ms>." and the body>`) or by a person.

    The result goes back by the channel `city` when the order ends; this call repeated shows how far it is.
    """
    if not allows(actor.role, "city.report") or not web.directory.allows_asset(actor.scope, body.asset):
        raise Problem(404, "problem.scope")
    return reply(await _hand_in(web, actor, body))


async def _hand_in(web: Web, actor: Actor, body: CityCase) -> dict[str, Any]:
    now = web.desk.now()
    key = f"city:{body.number}:{now}"  # the case's number makes it one; the answer is that of now
    async with asyncio.timeout(web.options.submit_timeout_s):
        return await web.desk.submit(
            Command(key, "city.report", body.asset, actor, now, now, None, body.model_dump())
        )
