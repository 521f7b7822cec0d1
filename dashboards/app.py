"""The web application: puts wall, interface, forms, pages and static files together.

Pages register themselves: `dashboards/pages/__init__.py` offers `router(web: Web) -> APIRouter`.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from dashboards.api import (
    account,
    alarms,
    answers,
    arrival,
    cases,
    demo,
    edges,
    flood,
    handover,
    hazards,
    history,
    kpi,
    links,
    live,
    matrix,
    occurrences,
    orders,
    people,
    permits,
    photos,
    plans,
    points,
    public,
    reference,
    reports,
    service,
    settings,
    silences,
    stats,
)
from dashboards.http import Wall
from dashboards.problems import Problem, detail, headers_of, problem_response, status_of, title
from dashboards.web import HERE, Web, WebOptions, language, web_of
from gateway.errors import StewardError
from gateway.ports import AccountStore, Clock, Desk

log = logging.getLogger(__name__)

ROUTERS = (
    photos.router, plans.router, reports.router, service.router, cases.router,
    account.router, live.router, alarms.router, orders.router, history.router, stats.router,
    arrival.router, links.router, public.router, settings.router, demo.router, points.router, edges.router,
    answers.router,
    occurrences.router, silences.router, permits.router, hazards.router, flood.router, kpi.router,
    matrix.router, people.router, handover.router,
)  # fmt: skip


def create_app(
    desk: Desk, accounts: AccountStore, clock: Clock, options: WebOptions | None = None
) -> FastAPI:
    """The application of one core. Blocking parts of `desk` and `accounts` are called in threads."""
    options = options or WebOptions()
    web = Web(desk, accounts, clock, options)
    app = FastAPI(
        title="Steward",
        version=options.version,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(web),
        separate_input_output_schemas=False,
    )
    app.state.web = web
    for error in (Problem, StewardError, TimeoutError, RequestValidationError, HTTPException):
        app.add_exception_handler(error, _on_error)
    api = APIRouter(prefix="/api/v1")
    for router in ROUTERS:
        api.include_router(router)
    app.include_router(api)
    app.include_router(account.pages)
    app.include_router(answers.pages)
    app.include_router(reference.router)
    app.mount("/api-assets", StaticFiles(directory=HERE / "api" / "assets"))
    app.mount("/static", GZipMiddleware(_Static(directory=HERE / "static", check_dir=False)))
    # The interface also serves without pages.
    pages = importlib.util.find_spec("dashboards.pages")
    if pages is not None and pages.origin is not None:
        app.include_router(importlib.import_module("dashboards.pages").router(web))
    app.add_middleware(Wall, options=options, clock=clock, counters=web.counters, on_error=_on_error)
    return app


class _Static(StaticFiles):
    """Static files: the browser asks each time whether they changed (ETag); an update shows at once."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """The file, with caching by revalidation."""
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type] # handed through unchanged
        response.headers["Cache-Control"] = "no-cache"
        return response


def _lifespan(web: Web) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        stream = asyncio.create_task(web.hub.run(), name="web.stream")
        try:
            yield
        finally:
            web.hub.close()
            stream.cancel()
            await asyncio.wait([stream])

    return lifespan


async def _on_error(request: Request, error: Exception) -> Response:
    """JSON for programs, a page for people; strangers who want a page are sent to the log-in."""
    lang, status = language(request), status_of(error)
    if status == 500:
        log.error(
            "request failed path=%r: %s; report it with this trace", request.url.path, error, exc_info=error
        )
    if _wants_json(request):
        return problem_response(error, lang)
    if status == 401:
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(target)}" if request.method == "GET" else "/login", 303)
    page = web_of(request).page(
        request, "error.html", status=status, title=title(status, lang), detail=detail(error, lang)
    )
    page.headers.update(headers_of(error))
    return page


def _wants_json(request: Request) -> bool:
    return request.url.path.startswith("/api/") or "text/html" not in request.headers.get(
        "accept", "text/html"
    )
