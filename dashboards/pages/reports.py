"""A resident's report by the code on an asset, and its status. No log-in, no script, nothing personal."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from alerts.reports import choices
from dashboards.access.limits import Attempts
from dashboards.api.deps import Lang, WebDep, address_of
from dashboards.api.photos import files_of
from dashboards.codes import asset_of, report_code
from dashboards.images import photo_media
from dashboards.problems import Problem
from dashboards.web import Web
from gateway.model import Actor, Command, Scope

router = APIRouter(prefix="/r")
PER_ADDRESS, PER_ASSET = (6, 600.0), (20, 3600.0)
"""(reports, real seconds)."""
CODE = re.compile(r"[a-z2-7]{16}")
SHOWN = ("DISPATCHED", "ACCEPTED", "ON_SITE", "DONE", "VERIFIED", "CLOSED")


@router.get("/s/{code}")
async def status(code: str, request: Request, web: WebDep, lang: Lang) -> Response:
    """How far the repair is; whoever has the code may look."""
    del lang
    report = await _report(web, code)
    order = await asyncio.to_thread(web.desk.state.record, "order", report["order"]) or {}
    asset = web.directory.assets[report["asset"]]
    state = str(order.get("state", "CLOSED"))
    clocks, stamps = order.get("clocks") or {}, order.get("stamps") or {}
    page = web.page(
        request, "report_status.html", code=code, asset=asset, state=state, steps=SHOWN, stamps=stamps,
        since=report["t"], expected=(clocks.get("restore") or {}).get("due"), stars=report["stars"],
        can_rate=report["stars"] is None and state in ("DONE", "VERIFIED", "CLOSED"),
        here=request.url.path,
    )  # fmt: skip
    page.headers["Referrer-Policy"] = "no-referrer"
    return page


@router.post("/s/{code}/rate")
async def rate(code: str, request: Request, web: WebDep) -> Response:
    """One to five stars, once."""
    report = await _report(web, code)
    _limit(web, f"rate:{address_of(request)}", PER_ADDRESS)
    async with request.form(max_files=0, max_fields=5) as given:
        stars = str(given.get("stars", ""))
    if not stars.isdigit() or not 1 <= int(stars) <= 5:
        raise Problem(422, "problem.fields")
    await _submit(web, f"rate:{code}", "report.rate", code, report["estate"], {"stars": int(stars)})
    return RedirectResponse(f"/r/s/{code}", 303)


@router.get("/{code}")
async def form(code: str, request: Request, web: WebDep, lang: Lang) -> Response:
    """The form of one asset."""
    del lang
    asset = _asset(web, code)
    estate = web.directory.estates[asset["estate"]]
    return web.page(
        request, "report.html", asset=asset, estate=estate, choices=choices(asset["system"]), code=code,
        here=request.url.path,
    )  # fmt: skip


@router.post("/{code}")
async def make(code: str, request: Request, web: WebDep) -> Response:
    """Take a report: it joins the order that is open on the asset, or opens one."""
    asset = _asset(web, code)
    _limit(web, f"address:{address_of(request)}", PER_ADDRESS)
    _limit(web, f"asset:{asset['id']}", PER_ASSET)
    status_code = report_code()
    async with request.form(max_files=1, max_fields=10) as given:
        text, photo = str(given.get("text", "")).strip(), given.get("photo")
        if not 2 <= len(text) <= 1000:
            raise Problem(422, "problem.report_text")
        photos = [await _photo(web, photo)] if isinstance(photo, UploadFile) and photo.size else []
        data: dict[str, Any] = {
            "code": status_code, "what": str(given.get("what", "other"))[:40], "text": text,
            "where": str(given.get("where", ""))[:200], "phone": str(given.get("phone", ""))[:40],
            "photos": photos,
        }  # fmt: skip
    await _submit(web, f"report:{status_code}", "report.make", asset["id"], asset["estate"], data)
    return RedirectResponse(f"/r/s/{status_code}", 303)


def _asset(web: Web, code: str) -> Mapping[str, Any]:
    keys = web.options.keys
    web.directory.estates_of(Scope())  # makes the assets known
    found = asset_of(keys.report, code, web.directory.assets) if keys else None
    if found is None:
        raise Problem(404, "http.404")
    asset: Mapping[str, Any] = web.directory.assets[found]
    return asset


async def _report(web: Web, code: str) -> dict[str, Any]:
    found = await asyncio.to_thread(web.desk.state.record, "report", code) if CODE.fullmatch(code) else None
    if found is None or not web.directory.allows_asset(Scope(), found["asset"]):
        raise Problem(404, "http.404")
    return found


async def _photo(web: Web, upload: UploadFile) -> dict[str, Any]:
    data = await upload.read()
    media = photo_media(data)
    sha = await asyncio.to_thread(files_of(web).put, data)
    return {"sha256": sha, "size": len(data), "media": media}


async def _submit(
    web: Web, key: str, kind: str, subject: str, estate: str, data: Mapping[str, Any]
) -> Mapping[str, Any]:
    actor = Actor("resident", "Resident", "public", frozenset(), Scope(estates=frozenset({estate})))
    now = web.desk.now()
    async with asyncio.timeout(web.options.submit_timeout_s):
        return await web.desk.submit(Command(key, kind, subject, actor, now, now, None, data))


def _limit(web: Web, key: str, limit: tuple[int, float]) -> None:
    """Raises Problem 429. What counts is every try, not only the failed ones."""
    known: Any = web.templates.globals.setdefault("report_limits", {})
    attempts = known.setdefault(limit, Attempts(web.clock, *limit))
    wait = attempts.wait_s(key)
    if wait:
        headers = {"Retry-After": str(int(wait) + 1)}
        raise Problem(429, "problem.too_often", headers=headers, seconds=int(wait) + 1)
    attempts.failed(key)
