"""The technician's page and its service worker, which keeps the page usable in a basement."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import FileResponse, Response

from dashboards.api.deps import Caller, need
from dashboards.pages.common import show
from dashboards.web import HERE

router = APIRouter()


@router.get("/t")
async def jobs(request: Request, caller: Annotated[Caller, Depends(need("view.orders"))]) -> Response:
    """My jobs: accept, arrive, done; acts wait in the phone while there is no signal."""
    return show(request, caller, "phone.html")


@router.get("/t/sw.js")
async def worker() -> Response:
    """The service worker; it stands here because it may serve only what lies below its address."""
    headers = {"Cache-Control": "no-cache", "Service-Worker-Allowed": "/"}
    return FileResponse(
        HERE / "static" / "js" / "phone" / "worker.js", headers=headers, media_type="text/javascript"
    )
