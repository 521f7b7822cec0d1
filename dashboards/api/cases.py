"""Cases of the emergency maintenance fund: slots, papers, review, the payment's clock, the signed dossier."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from alerts.cases import SLOTS, missing
from dashboards.api.acting import carry_out
from dashboards.api.bodies import Act, Reason, example
from dashboards.api.deps import Caller, need, reply
from dashboards.api.photos import files_of
from dashboards.images import MAX_PHOTO, sniff
from dashboards.problems import Problem

router = APIRouter(prefix="/cases", tags=["cases"])


class OpenCase(Act):
    """A case for an order that the fund may pay."""

    model_config = example({"order": "wo-1f0c9d2e3a4b"})
    order: Annotated[str, Query(min_length=1, max_length=60)]


class Fill(Act):
    """Words and papers of one slot."""

    model_config = example({"slot": "necessity", "text": "both pumps failed, 412 households without water"})
    slot: Literal["survey", "necessity", "plan", "budget", "contractor", "contract", "notice"]
    text: Annotated[str, Query(min_length=1, max_length=2000)]
    files: tuple[dict[str, Any], ...] = ()


class Amount(Act):
    """What is to be paid, in fen."""

    model_config = example({"amount_fen": 12_500_000})
    amount_fen: Annotated[int, Query(ge=0)]


class Review(Act):
    """The review of an amount above CNY 100,000."""

    model_config = example({"result": "pass", "text": "prices agree with the list of 2026"})
    result: Literal["pass", "fail"]
    text: Reason


class Nothing(Act):
    """An act that needs no words."""


async def _case(caller: Caller, id_: str) -> tuple[dict[str, Any], dict[str, Any]]:
    state = caller.web.desk.state
    case = await asyncio.to_thread(state.record, "case", id_)
    if case is None or not caller.web.directory.allows_body(caller.scope, case):
        raise Problem(404, "problem.scope")
    return case, await asyncio.to_thread(state.record, "order", case["order"]) or {}


@router.get("")
async def cases(
    caller: Annotated[Caller, Depends(need("view.cases"))], estate: str | None = None
) -> Response:
    """Cases of the scope, the newest first."""
    records = await asyncio.to_thread(lambda: caller.web.desk.state.records("case", estate=estate))
    found = [b for _, b in records if caller.web.directory.allows_body(caller.scope, b)]
    return reply({"cases": sorted(found, key=lambda c: -int(c["t"]))})


@router.post("")
async def open_case(
    body: OpenCase, request: Request, caller: Annotated[Caller, Depends(need("case.open"))]
) -> Response:
    """Open one; an order that is not on the fund's list is refused."""
    return await _act(caller, request, "case.open", body.order, body)


@router.get("/{id}")
async def case(id: str, caller: Annotated[Caller, Depends(need("view.cases"))]) -> Response:  # noqa: A002 - path
    """A case with its slots by name and those that are missing."""
    found, order = await _case(caller, id)
    lacking = missing(found, order)
    return reply({"case": found, "slots": {k: dict(v) for k, v in SLOTS.items()}, "missing": lacking})


@router.post("/{id}/papers")
async def paper(id: str, request: Request, caller: Annotated[Caller, Depends(need("case.fill"))]) -> Response:  # noqa: A002 - path
    """Keep a paper (PDF or picture, at most 12 MiB) as it is; its hash goes into a slot by `fill`."""
    await _case(caller, id)
    data = await request.body()
    media = "application/pdf" if data[:5] == b"%PDF-" and b"%%EOF" in data[-1024:] else sniff(data)
    if media is None or len(data) > MAX_PHOTO:
        raise Problem(422, "problem.paper")
    sha = await asyncio.to_thread(files_of(caller.web).put, data)
    return reply({"sha256": sha, "size": len(data), "media": media})


@router.post("/{id}/fill")
async def fill(
    id: str,  # noqa: A002 - the name in the path
    body: Fill,
    request: Request,
    caller: Annotated[Caller, Depends(need("case.fill"))],
) -> Response:
    """Fill a slot."""
    return await _act(caller, request, "case.fill", id, body)


@router.post("/{id}/amount")
async def amount(
    id: str,  # noqa: A002 - the name in the path
    body: Amount,
    request: Request,
    caller: Annotated[Caller, Depends(need("case.amount"))],
) -> Response:
    """Enter the amount; above CNY 100,000 somebody else reviews it."""
    return await _act(caller, request, "case.amount", id, body)


@router.post("/{id}/review")
async def review(
    id: str,  # noqa: A002 - the name in the path
    body: Review,
    request: Request,
    caller: Annotated[Caller, Depends(need("case.review"))],
) -> Response:
    """Review the amount."""
    return await _act(caller, request, "case.review", id, body)


@router.post("/{id}/request")
async def ask(
    id: str,  # noqa: A002 - the name in the path
    body: Nothing,
    request: Request,
    caller: Annotated[Caller, Depends(need("case.request"))],
) -> Response:
    """Request the payment: refused while something is missing; three working days run from here."""
    return await _act(caller, request, "case.request", id, body)


@router.post("/{id}/paid")
async def paid(
    id: str,  # noqa: A002 - the name in the path
    body: Nothing,
    request: Request,
    caller: Annotated[Caller, Depends(need("case.paid"))],
) -> Response:
    """The payment came."""
    return await _act(caller, request, "case.paid", id, body)


@router.get("/{id}/dossier.zip", responses={200: {"content": {"application/zip": {}}}})
async def dossier(
    id: str,  # noqa: A002 - the name in the path
    caller: Annotated[Caller, Depends(need("export.dossier"))],
) -> Response:
    """The signed zip as things stand; it names missing slots. Check: `steward dossier verify FILE`."""
    await _case(caller, id)
    make = caller.web.options.dossier
    if make is None:
        raise Problem(503, "problem.later")
    data = await asyncio.to_thread(make, id)
    headers = {"Content-Disposition": f'attachment; filename="{id}.zip"'}
    return Response(data, headers=headers, media_type="application/zip")


async def _act(caller: Caller, request: Request, kind: str, id_: str, body: Act) -> Response:
    if kind == "case.open":
        return await carry_out(caller, request, kind, id_, body)
    found, order = await _case(caller, id_)
    more = {"missing": missing(found, order)} if kind == "case.request" else {}
    return await carry_out(caller, request, kind, id_, body, **more)
