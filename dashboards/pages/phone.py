"""The technician's page, a guest's page, and the service worker that keeps both usable in a basement."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi import Path as InPath
from starlette.responses import FileResponse, Response

from alerts.orders_state import CAUSE_CODES, HOLD_REASONS
from dashboards.access.guests import ACTS, Guest, cookie_of, guest_of
from dashboards.api.account import describe
from dashboards.api.deps import Caller, Lang, WebDep, need
from dashboards.pages.common import embedded, show, site_facts
from dashboards.problems import Problem
from dashboards.web import HERE, Web
from gateway.model import SYSTEMS

router = APIRouter()
LinkId = Annotated[str, InPath(pattern=r"^[0-9a-f]{10}$")]


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


@router.get("/ca.crt")
async def authority(web: WebDep) -> Response:
    """The certificate of the installation's own authority: a phone that trusts it stops warning."""
    if web.options.ca is None:
        raise Problem(404, "http.404")
    return FileResponse(web.options.ca, media_type="application/x-x509-ca-cert", filename="steward-ca.crt")


@router.get("/g/{link}")
async def guest(link: LinkId, request: Request, web: WebDep, lang: Lang) -> Response:
    """The job of a one-time link on the device that opened it; a door on any other.

    Looking changes nothing, because programs that show messages look at links, too.
    """
    try:
        came = await guest_of(request, link) if request.cookies.get(cookie_of(link)) else None
    except Problem:
        came = None
    boot = _boot(web, lang) | (_of_guest(came) if came else {"door": link, "me": {"actions": []}})
    page = web.page(
        request, "guest.html", boot=embedded(boot), who=came.actor.name if came else "",
        here=request.url.path,
    )  # fmt: skip
    page.headers["Referrer-Policy"] = "no-referrer"
    return page


def _boot(web: Web, lang: str) -> dict[str, Any]:
    return {
        "lang": lang, "zone": site_facts(web).timezone, "systems": SYSTEMS, "breakit": False,
        "causes": {k: dict(v) for k, v in CAUSE_CODES.items()},
        "holds": {k: dict(v) for k, v in HOLD_REASONS.items()},
    }  # fmt: skip


def _of_guest(came: Guest) -> dict[str, Any]:
    return {
        "me": describe(came.actor, came.csrf, came.lang) | {"actions": []},
        "guest": {"id": came.link["id"], "order": came.order["id"], "acts": sorted(ACTS)},
    }
