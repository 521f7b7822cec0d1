"""The residents' board: no log-in, no script, prints on one sheet."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from dashboards.api.deps import Lang, WebDep
from dashboards.api.public import CACHE_S, board_of, public_hazards
from dashboards.pages.bars import DAY, days_of
from dashboards.pages.common import site_facts
from dashboards.web import Web
from gateway.model import SYSTEMS, Scope

router = APIRouter()
DAYS = 90
KEEP_S = 300.0


@router.get("/p/{estate}")
async def board(estate: str, request: Request, web: WebDep, lang: Lang) -> Response:
    """What works, who keeps it, whom to call."""
    del lang  # web.page negotiates it
    data = board_of(web, estate)
    hazards = await public_hazards(web, estate)
    bars = await _bars(web, estate)
    groups = [(s, [a for a in data["assets"] if a["system"] == s]) for s in SYSTEMS if s != "gateway"]
    page = web.page(
        request, "public.html", board=data, hazards=hazards, groups=[(s, a) for s, a in groups if a],
        bars=bars, days=DAYS, site_name=site_facts(web).name, here=request.url.path, cache_s=int(CACHE_S),
    )  # fmt: skip
    page.headers["Cache-Control"] = f"public, max-age={int(CACHE_S)}"
    return page


async def _bars(web: Web, estate: str) -> dict[str, list[str]]:
    """Asset → one word for each of the last days; kept for some minutes, the board is open to everybody."""
    kept: Any = web.templates.globals.setdefault("board_bars", {})
    now = web.clock.monotonic()
    bars: dict[str, list[str]]
    if estate in kept and now - kept[estate][0] < KEEP_S:
        bars = kept[estate][1]
        return bars
    bars = {}
    if web.options.figures is not None:
        end = web.desk.now()
        zone = site_facts(web).timezone
        start = end - DAYS * DAY
        # The snapshot inside belongs to the event loop; the figures read it by way of the desk, in a thread.
        scope = Scope(estates=frozenset({estate}))
        found: Any = await asyncio.to_thread(web.options.figures, web.desk, scope, start, end)
        bars = {row["asset"]: days_of(row["segments"], end, zone, DAYS) for row in found["rows"]}
    kept[estate] = (now, bars)
    return bars
