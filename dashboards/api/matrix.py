"""The responsibility matrix: as a spreadsheet out and in, why a row wins, the proof, its editions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from dashboards.api.acting import submit
from dashboards.api.bodies_people import ImportBody
from dashboards.api.deps import Caller, key_of, need, reply, shows
from dashboards.problems import Problem
from dashboards.web import MatrixDesk
from gateway.errors import BadInput, Problems
from gateway.model import Scope

router = APIRouter(tags=["matrix"])
CallerDep = Annotated[Caller, Depends(need("settings.view"))]
DIFFERENCE = {
    "difference": {
        "added": [], "removed": [],
        "changed": [{"id": "water.supply", "field": "arrive_s", "before": 3600, "after": 1800}],
    },
    "rows": 38, "dry_run": False, "edition": "000003",
}  # fmt: skip
WHY = {
    "rows": [
        {"row": "fire.electrical.p2", "chosen": True,
         "why": {"en": "the most specific match (severity)"}}
    ],
    "in_turn": [{"row": "fire.electrical.p2", "version": 1, "party": "TE",
                 "name": {"en": "Property engineering"},
                 "contacts": [], "assignment": {"outcome": "person", "person": "li"}}],
}  # fmt: skip


def refused(answer: Mapping[str, Any]) -> None:
    """Raises Problems, each with file, row and column, where the core refused the content."""
    faults = answer.get("refused")
    if faults:
        raise Problems(
            [
                BadInput(f["message"], file=f["file"], line=f["row"], field=f["field"], hint=f["hint"])
                for f in faults
            ]
        )


def _desk(caller: Caller) -> MatrixDesk:
    if caller.web.options.matrix is None:
        raise Problem(404, "http.404")
    return caller.web.options.matrix


def _reach(caller: Caller, estate: str) -> None:
    """One estate needs that estate in scope; everything only who sees all."""
    if estate and not caller.web.directory.allows(caller.scope, estate):
        raise Problem(404, "problem.scope")
    if not estate and caller.scope != Scope():
        raise Problem(403, "problem.all_estates")


@router.get("/matrix.csv", summary="Matrix as a spreadsheet")
async def sheet(
    caller: CallerDep,
    lang: Literal["zh", "en"] = "zh",
    estate: str = "",
    edition: Annotated[int | None, Query(ge=1)] = None,
) -> Response:
    """CSV with a byte-order mark, within the scope. `estate`: its own rows alone; `edition`: as it stood."""
    if estate:
        _reach(caller, estate)
    directory = caller.web.directory

    def sees(of: str) -> bool:
        return directory.allows(caller.scope, of)

    text = await asyncio.to_thread(_desk(caller).sheet, lang, estate, edition, sees)
    headers = {"Content-Disposition": 'attachment; filename="matrix.csv"'}
    return Response(text.encode(), 200, headers, "text/csv; charset=utf-8")


@router.post("/matrix/import", summary="Replace the matrix", responses=shows(DIFFERENCE))
async def import_sheet(
    body: ImportBody, request: Request, caller: Annotated[Caller, Depends(need("settings.put"))]
) -> Response:
    """Check, prove and take over; or only show the difference. Refused: 422 with file, row and column."""
    _reach(caller, body.estate)
    key = key_of(request, caller, "matrix.import", body.estate or "all")
    result = await submit(caller, key, "matrix.import", body.estate or "all", body.model_dump())
    refused(result)
    return reply(result)


@router.get("/matrix/explain", summary="Why a row wins", responses=shows(WHY))
async def explain(
    caller: CallerDep,
    event: str,
    asset: str,
    priority: Annotated[int, Query(ge=1, le=4)],
    t: int | None = None,
    part: str = "",
) -> Response:
    """Every row of the event, why it won or lost, who is called in turn and who would get the order."""
    if not caller.web.directory.allows_asset(caller.scope, asset):
        raise Problem(404, "problem.scope")
    at = caller.web.desk.now() if t is None else t
    return reply(_desk(caller).explain(event, asset, priority, at, part))


@router.get(
    "/matrix/proof", summary="Proof of the matrix",
    responses=shows({"complete": True, "pairs": 258, "holes": []}),
)  # fmt: skip
async def proof(caller: CallerDep) -> Response:
    """Whether every rule on every asset reaches two levels of people at every minute of the week."""
    _reach(caller, "")
    return reply(await asyncio.to_thread(_desk(caller).proof, caller.web.desk.now()))


@router.get(
    "/matrix/editions", summary="Editions of the matrix",
    responses=shows({"editions": [{"edition": 3, "author": "zhao", "at": 1790000000000, "reason": "…"}]}),
)  # fmt: skip
async def editions(caller: CallerDep) -> Response:
    """Every version of the whole, the newest first: who, when, why; what changed for whoever sees all."""
    found = await asyncio.to_thread(caller.web.desk.state.records, "matrix_edition")
    hidden = {"rows"} if caller.scope == Scope() else {"rows", "change"}
    rows = [{k: v for k, v in body.items() if k not in hidden} for _, body in sorted(found, reverse=True)]
    return reply({"editions": rows})
