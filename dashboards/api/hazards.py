"""The hazard list: found by detectors, inspections, residents and people; closed with proof."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from dashboards.api.acting import Acting, acting, carry_out, find
from dashboards.api.alarms import known_person
from dashboards.api.bodies import ReasonBody
from dashboards.api.bodies_life import HazardAssign, HazardBody, HazardFix, HazardNote
from dashboards.api.deps import Caller, need, reply, shows
from dashboards.api.photos import IMAGES, Sha, files_of, keep_for, kept_for, original
from dashboards.i18n import catalogue
from dashboards.images import photo_media
from dashboards.problems import Problem
from gateway.errors import NotFound
from gateway.ports import StateStore

router = APIRouter(prefix="/hazards", tags=["hazards"])

EXAMPLE = {
    "id": "hz-1f0c2b7a9e55", "estate": "happiness", "asset": "mh-3", "system": "manhole",
    "place": "East gate",
    "source": "inspection", "grade": "major", "title": {"zh": "cover cracked", "en": "cover cracked"},
    "found_at": 1790000000000, "found_by": "chen", "deadline": 1790259200000, "state": "assigned",
    "assignee": "DR", "proof": [], "overdue": False, "version": 2,
}  # fmt: skip
PHOTO = {
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "size": 1,
    "media": "image/jpeg",
}
NAMED = ("found_by", "assignee", "fixed_by", "verified_by", "changed_by")


def hazards_of(state: StateStore, estate: str | None = None) -> list[dict[str, Any]]:
    """Overdue first, then open ones by deadline, verified ones last."""
    found = [
        {k: v for k, v in body.items() if k != "told_overdue"}
        for _, body in state.records("hazard", estate=estate)
    ]
    return sorted(found, key=lambda h: (h["state"] == "verified", not h["overdue"], h["deadline"], h["id"]))


def masked(hazard: dict[str, Any]) -> dict[str, Any]:
    """Without people's names and words, as a regulator sees it."""
    proof = [{"t": p["t"], "files": p["files"]} for p in hazard["proof"]]
    return hazard | dict.fromkeys(NAMED, "") | {"proof": proof}


@router.get("", summary="List hazards", responses=shows({"hazards": [EXAMPLE], "total": 1, "overdue": 0}))
async def hazards(
    caller: Annotated[Caller, Depends(need("view.hazards"))],
    estate: str | None = None,
    state: Annotated[list[Literal["open", "assigned", "fixed", "verified"]] | None, Query()] = None,
    source: Literal["detector", "inspection", "resident", "manual"] | None = None,
    limit: Annotated[int, Query(ge=1, le=2000)] = 500,
) -> Response:
    """One list of all sources within the scope: overdue first, then by deadline. No names for a regulator."""
    found = await asyncio.to_thread(hazards_of, caller.web.desk.state, estate)
    mine = [
        h for h in found
        if caller.web.directory.allows_body(caller.scope, h)
        and (not state or h["state"] in state)
        and (source is None or h["source"] == source)
    ]  # fmt: skip
    shown = [masked(h) for h in mine] if caller.actor.role == "regulator" else mine
    late = sum(h["overdue"] and h["state"] in ("open", "assigned") for h in mine)
    return reply({"hazards": shown[:limit], "total": len(mine), "overdue": late})


@router.post("", summary="Report a hazard", responses=shows({"hazard": EXAMPLE}))
async def report(
    body: HazardBody, request: Request, caller: Annotated[Caller, Depends(need("hazard.report"))]
) -> Response:
    """Put what a person found on the list; the deadline follows from the grade."""
    if not caller.web.directory.allows_asset(caller.scope, body.asset):
        raise Problem(404, "problem.scope")
    return await carry_out(caller, request, "hazard.report", body.asset, body, "asset")


@router.post("/{id}/assign", summary="Assign a hazard", responses=shows({"hazard": EXAMPLE}))
async def assign(
    body: HazardAssign, act: Annotated[Acting, Depends(acting("hazard", "hazard.assign"))]
) -> Response:
    """Say who fixes it, a person or a duty role that exists, and, where need be, until when."""
    if not body.to.isupper():
        await known_person(act, "hazard", body.to)
    elif f"duty.{body.to}" not in catalogue():
        raise Problem(422, "problem.unknown_duty", duty=body.to)
    return await act.do(body)


@router.post("/{id}/fix", summary="A hazard is fixed", responses=shows({"hazard": EXAMPLE}))
async def fix(body: HazardFix, act: Annotated[Acting, Depends(acting("hazard", "hazard.fix"))]) -> Response:
    """Fixed, with proof; a second person verifies it. Its photos are uploaded to it before."""
    for sha in body.files:
        try:
            await kept_for(act.caller.web, f"hazard/{act.subject}", sha)
        except NotFound as e:
            raise Problem(422, "problem.no_photo") from e
    return await act.do(body)


@router.post("/{id}/photos", summary="Keep a photo for the proof", responses=shows(PHOTO))
async def add_photo(
    request: Request, act: Annotated[Acting, Depends(acting("hazard", "hazard.fix"))]
) -> Response:
    """Keep the body as it is (JPEG, PNG or WebP, at most 12 MiB); `fix` names it by its hash."""
    data = await request.body()
    media = photo_media(data)
    sha = await keep_for(act.caller.web, f"hazard/{act.subject}", data)
    return reply({"sha256": sha, "size": len(data), "media": media})


@router.get("/{id}/photos/{sha256}", summary="The original of a photo", responses={200: {"content": IMAGES}})
async def photo(
    id: str,  # noqa: A002 - the name in the path
    sha256: Sha,
    caller: Annotated[Caller, Depends(need("view.hazards"))],
) -> Response:
    """The bytes as they were uploaded."""
    record = await find(caller, "hazard", id)
    if not any(sha256 in (p.get("files") or ()) for p in record["proof"]):
        raise Problem(404, "problem.scope")
    data = await asyncio.to_thread(files_of(caller.web).get, sha256)
    return await original(caller.web, sha256, photo_media(data))


@router.post("/{id}/refuse", summary="Refuse the proof", responses=shows({"hazard": EXAMPLE}))
async def refuse(
    body: ReasonBody, act: Annotated[Acting, Depends(acting("hazard", "hazard.refuse"))]
) -> Response:
    """The proof is not enough: it goes back with the reason."""
    return await act.do(body)


@router.post("/{id}/verify", summary="Verify a hazard", responses=shows({"hazard": EXAMPLE}))
async def verify(
    body: HazardNote, act: Annotated[Acting, Depends(acting("hazard", "hazard.verify"))]
) -> Response:
    """A second person has seen that it is gone."""
    return await act.do(body)
