"""How notices reach me: my own addresses by channel and my quiet hours."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from dashboards.api.deps import Caller, need
from dashboards.pages.common import show

router = APIRouter()


@router.get("/me")
async def me(request: Request, caller: Annotated[Caller, Depends(need("session.password"))]) -> Response:
    """One's own affair; nobody else sees or sets it here."""
    person = await asyncio.to_thread(caller.web.accounts.user, caller.actor.id)
    body = person.body if person else {}
    kept = body.get("reach") or {}
    channels = caller.web.desk.health().get("channels") or {}
    return show(
        request, caller, "me.html", phone=body.get("phone", ""), channels=sorted(channels),
        addresses=kept.get("addresses") or {}, quiet=kept.get("quiet") or {},
    )  # fmt: skip
