"""How an arrival is proven, and handing one's work to a colleague."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from dashboards.access.people import active, actor_of
from dashboards.access.permissions import DUTY_BOUND, allows, concerns
from dashboards.api.acting import Acting, acting, find
from dashboards.api.bodies import Act, Arrive, Note, UserId, example
from dashboards.codes import asset_of
from dashboards.problems import Problem
from dashboards.web import Web

router = APIRouter(prefix="/orders", tags=["orders"])
_CODE = re.compile(r"(?:^|/r/)([a-z2-7]{12})$")


def arrive_facts(web: Web, order: Mapping[str, Any], body: Arrive) -> dict[str, Any]:
    """{"proof"} of an arrival, and `code_refused` when the code is not that of the order's asset.

    A wrong code does not undo an arrival: it is kept as a declared one, so that nobody's time is lost.
    """
    place = "gps" if body.lat is not None and body.lon is not None else "none"
    if not body.code:
        return {"proof": place}
    found = _CODE.search(body.code.strip().lower().replace(" ", "").replace("-", "").rstrip("/"))
    keys = web.options.keys
    asset = asset_of(keys.report, found[1], [str(order["asset"])]) if found and keys else None
    if asset is None:
        return {"proof": place, "code_refused": True}
    return {"proof": "qr" if body.scanned else "typed"}


class HandOver(Act):
    """To whom, and what they should know."""

    model_config = example({"to": "chen", "note": "valve closed, spare part on the roof"})
    to: UserId
    note: Note = ""


@router.post("/{id}/handover", summary="Hand one's work to a colleague")
async def handover(
    body: HandOver, act: Annotated[Acting, Depends(acting("order", "order.handover"))]
) -> Response:
    """The colleague has to accept; from the field only to somebody whom this order concerns by duty."""
    web, order = act.caller.web, await find(act.caller, "order", act.subject)
    user = await asyncio.to_thread(web.accounts.user, body.to)
    person = actor_of(user) if user is not None and active(user) else None
    if person is None or not allows(person.role, "order.accept"):
        raise Problem(422, "problem.unknown_person", who=body.to)
    outside = not web.directory.allows_body(person.scope, order)
    if outside or (act.caller.actor.role in DUTY_BOUND and not concerns(person, order)):
        raise Problem(422, "problem.unknown_person", who=body.to)
    return await act.do(body)
