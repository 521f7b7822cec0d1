"""Asking an edge from afar: the frames of a line, and to try silent devices again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from dashboards.api.bodies import RetryBody, TraceBody
from dashboards.api.deps import Caller, key_of, need, reply
from dashboards.i18n import t
from dashboards.problems import Problem

router = APIRouter(tags=["edges"])

CODES = frozenset(
    {"no_key", "signature", "boot", "late", "busy", "repeated", "offline", "no_line", "no_device", "driver",
     "unit", "silent"}
)  # fmt: skip


@router.post("/edges/{gateway}/trace")
async def trace(
    gateway: str, body: TraceBody, request: Request, caller: Annotated[Caller, Depends(need("edge.trace"))]
) -> Response:
    """The newest 200 frames of a line: [ms UTC, "out" or "in", unit, bytes in hex]. `on` switches recording.

    409 and 503 say why not, with `code`. What is written to a device is not recorded.
    """
    facts = body.model_dump(exclude_none=True)
    return await _asked("edge.trace", gateway, facts, request, caller)


@router.post("/edges/{gateway}/retry")
async def retry(
    gateway: str, body: RetryBody, request: Request, caller: Annotated[Caller, Depends(need("edge.retry"))]
) -> Response:
    """Ask a silent device at once, or all of them; addresses that they refused are tried again too."""
    return await _asked("edge.retry", gateway, body.model_dump(exclude_none=True), request, caller)


async def _asked(
    kind: str, gateway: str, facts: Mapping[str, Any], request: Request, caller: Caller
) -> Response:
    act = caller.web.options.edge
    if act is None:
        raise Problem(404, "problem.scope")
    key = key_of(request, caller, kind, gateway)
    result = dict(await act(caller.actor, kind, gateway, facts, key))
    if result.pop("ok", False):
        return reply({kind.removeprefix("edge."): result})
    code = str(result.get("code"))
    if code == "silent":
        raise Problem(503, "edge.silent", extra=result)
    title = t("problem.not_now", caller.lang)
    raise Problem(409, f"edge.{code}" if code in CODES else "edge.failed", extra={**result, "title": title})
