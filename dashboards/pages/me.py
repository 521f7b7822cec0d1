"""How notices reach me, whom I am asked to stand in for, and my own leave."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from dashboards.access.permissions import allows
from dashboards.api.deps import Caller, need
from dashboards.pages.common import names_of, people_of, show, site_facts, when

router = APIRouter()
MOST_LEAVE = 20
DAY = 86_400_000


@router.get("/me")
async def me(request: Request, caller: Annotated[Caller, Depends(need("session.password"))]) -> Response:
    """One's own affair; nobody else sees or sets it here."""
    person = await asyncio.to_thread(caller.web.accounts.user, caller.actor.id)
    body = person.body if person else {}
    kept = body.get("reach") or {}
    channels = caller.web.desk.health().get("channels") or {}
    users = await asyncio.to_thread(caller.web.accounts.users)
    now, zone = caller.web.desk.now(), site_facts(caller.web).timezone
    return show(
        request, caller, "me.html", **await _leave(caller), people=names_of(users),
        others=[p for p in people_of(users, caller) if p[0] != caller.actor.id],
        tomorrow=[when(now + n * DAY, zone, "%Y-%m-%dT00:00") for n in (1, 2)],
        phone=body.get("phone", ""), channels=sorted(channels),
        addresses=kept.get("addresses") or {}, quiet=kept.get("quiet") or {},
    )  # fmt: skip


async def _leave(caller: Caller) -> dict[str, Any]:
    """{asked: where I am to stand in and it is not over, leave: my own, the newest first}."""
    if not allows(caller.actor.role, "leave.ask"):
        return {"asked": [], "leave": []}
    found = [b for _, b in await asyncio.to_thread(caller.web.desk.state.records, "leave")]
    now, me = caller.web.desk.now(), caller.actor.id
    asked = [b for b in found if b["stand_in"] == me and b["state"] == "asked" and b["end"] > now]
    mine = sorted((b for b in found if b["person"] == me), key=lambda b: -int(b["asked_at"]))
    return {"asked": sorted(asked, key=lambda b: int(b["start"])), "leave": mine[:MOST_LEAVE]}
