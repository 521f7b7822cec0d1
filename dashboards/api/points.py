"""Writing a point: off unless the site file lists it; the edge decides, writes and reads back."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from dashboards.api.bodies import WriteBody
from dashboards.api.deps import Caller, key_of, need, reply
from dashboards.i18n import t
from dashboards.problems import Problem

router = APIRouter(tags=["points"])

STATUS = {"refused": 409, "mismatch": 409}
"""Anything else that is not done is 503: nobody knows, or the device did not take it."""
CODES = frozenset(
    {
        "no_key", "signature", "boot", "busy", "late", "not_listed", "person", "value", "range", "rate",
        "driver", "offline", "mismatch", "silent", "unconfirmed", "timeout", "exception", "line", "garbled",
    }
)  # fmt: skip


@router.post("/points/{asset}/{tag}/write")
async def write(
    asset: str,
    tag: str,
    body: WriteBody,
    request: Request,
    caller: Annotated[Caller, Depends(need("point.write"))],
) -> Response:
    """Write a value. 200 when the device holds it; 409 and 503 say why not, with `result` and `code`.

    Send an Idempotency-Key: the same key gives the first result and writes nothing twice.
    """
    writer = caller.web.options.write
    if writer is None or not caller.web.directory.allows_asset(caller.scope, asset):
        raise Problem(404, "problem.scope")
    point = f"{asset}/{tag}"
    key = key_of(request, caller, "point.write", point)
    result = dict(await writer(caller.actor, point, body.value, body.reason, key))
    if result.get("result") == "done":
        return reply({"write": result})
    code = str(result.get("code"))
    text = f"write.{code}" if code in CODES else "write.failed"
    status = STATUS.get(str(result.get("result")), 503)
    extra = {k: v for k, v in result.items() if k != "write"}
    if status == 409:
        extra["title"] = t("problem.not_now", caller.lang)
    raise Problem(status, text, extra=extra)
