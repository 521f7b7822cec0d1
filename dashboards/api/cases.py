"""Cases of the emergency maintenance fund: slots, papers, review, the payment's clock, the signed dossier."""

from __future__ import annotations

import asyncio
from collections.abc import Container
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from starlette.responses import Response

from alerts.cases import MOST_PAPERS, SLOTS, missing
from dashboards.api.acting import carry_out
from dashboards.api.bodies import Act, Body, Reason, example
from dashboards.api.deps import Caller, need, reply, shows
from dashboards.api.photos import IMAGES, Sha, files_of, keep_for, kept_for, original
from dashboards.images import MAX_PHOTO, sniff
from dashboards.problems import Problem
from gateway.errors import NotFound

router = APIRouter(prefix="/cases", tags=["cases"])
PAPER = {
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "size": 48213,
    "media": "application/pdf", "name": "survey.pdf",
}  # fmt: skip
EXAMPLE = {
    "id": "case-4efa01c55515", "estate": "happiness", "asset": "ws-1", "system": "water",
    "order": "wo-1f0c9d2e3a4b", "incident": "inc-1f0c9d2e3a4b", "event": "water_supply", "t": 1790000000000,
    "opened_by": "wang",
    "slots": {"survey": {"text": "…", "files": [PAPER], "by": "wang", "at": 1790000000000}},
    "amount_fen": 12500000, "amount_by": "wang", "review": None, "requested_at": None, "pay_due": None,
    "paid_at": None, "version": 3,
}  # fmt: skip
ONE = shows({"case": EXAMPLE})
PAPERS = IMAGES | {"application/pdf": {"schema": {"type": "string", "format": "binary"}}}


class OpenCase(Act):
    """A case for an order that the fund may pay."""

    model_config = example({"order": "wo-1f0c9d2e3a4b"})
    order: Annotated[str, Field(min_length=1, max_length=60)]


class Paper(Body):
    """A paper that was uploaded to the case before; `name`: of the file, for people."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    name: Annotated[str, Field(max_length=120)] = ""
    size: int | None = Field(None, ge=1, description="as the upload said; not needed")
    media: Annotated[str, Field(max_length=40, description="as the upload said; not needed")] = ""


class Fill(Act):
    """Words and papers of one slot."""

    model_config = example(
        {"slot": "survey", "text": "both pumps failed, 412 households without water", "files": [PAPER]}
    )
    slot: Literal["survey", "necessity", "plan", "budget", "contractor", "contract", "notice"]
    text: Annotated[str, Field(min_length=1, max_length=2000)]
    files: Annotated[tuple[Paper, ...], Field(max_length=MOST_PAPERS)] = ()


class Amount(Act):
    """What is to be paid, in fen."""

    model_config = example({"amount_fen": 12_500_000})
    amount_fen: Annotated[int, Field(ge=0, le=10**13)]


class Review(Act):
    """The review of an amount above CNY 100,000."""

    model_config = example({"result": "pass", "text": "prices agree with the list of 2026"})
    result: Literal["pass", "fail"]
    text: Reason


class Nothing(Act):
    """An act that needs no words."""


def media_of(data: bytes) -> str | None:
    """Media type of a paper; None for what is neither a PDF nor a picture."""
    return "application/pdf" if data[:5] == b"%PDF-" and b"%%EOF" in data[-1024:] else sniff(data)


async def _case(caller: Caller, id_: str) -> tuple[dict[str, Any], dict[str, Any]]:
    state = caller.web.desk.state
    case = await asyncio.to_thread(state.record, "case", id_)
    if case is None or not caller.web.directory.allows_body(caller.scope, case):
        raise Problem(404, "problem.scope")
    return case, await asyncio.to_thread(state.record, "order", case["order"]) or {}


@router.get("", summary="List cases of the fund", responses=shows({"cases": [EXAMPLE]}))
async def cases(
    caller: Annotated[Caller, Depends(need("view.cases"))], estate: str | None = None
) -> Response:
    """Cases of the scope, the newest first."""
    records = await asyncio.to_thread(lambda: caller.web.desk.state.records("case", estate=estate))
    found = [b for _, b in records if caller.web.directory.allows_body(caller.scope, b)]
    return reply({"cases": sorted(found, key=lambda c: -int(c["t"]))})


@router.post("", summary="Open a case", responses=ONE)
async def open_case(
    body: OpenCase, request: Request, caller: Annotated[Caller, Depends(need("case.open"))]
) -> Response:
    """Open one; an order that is not on the fund's list is refused."""
    return await _act(caller, request, "case.open", body.order, body)


@router.get(
    "/{id}", summary="A case",
    responses=shows({"case": EXAMPLE, "slots": {"survey": {"en": "Survey on the spot"}},
                     "missing": ["plan", "budget"]}),
)  # fmt: skip
async def case(id: str, caller: Annotated[Caller, Depends(need("view.cases"))]) -> Response:  # noqa: A002 - path
    """A case with its slots by name and those that are missing."""
    found, order = await _case(caller, id)
    lacking = missing(found, order)
    return reply({"case": found, "slots": {k: dict(v) for k, v in SLOTS.items()}, "missing": lacking})


@router.post(
    "/{id}/papers", summary="Keep a paper", responses=shows(PAPER),
    openapi_extra={"requestBody": {"required": True, "content": PAPERS}},
)  # fmt: skip
async def paper(id: str, request: Request, caller: Annotated[Caller, Depends(need("case.fill"))]) -> Response:  # noqa: A002 - path
    """Keep a paper (PDF or picture, at most 12 MiB) as it is; its hash goes into a slot by `fill`."""
    await _case(caller, id)
    data = await request.body()
    media = media_of(data)
    if media is None or len(data) > MAX_PHOTO:
        raise Problem(422, "problem.paper")
    sha = await keep_for(caller.web, f"case/{id}", data)
    return reply({"sha256": sha, "size": len(data), "media": media})


@router.post("/{id}/fill", summary="Fill a slot", responses=ONE)
async def fill(
    id: str,  # noqa: A002 - the name in the path
    body: Fill,
    request: Request,
    caller: Annotated[Caller, Depends(need("case.fill"))],
) -> Response:
    """Fill a slot with words and papers that were uploaded before; what stood there is replaced.

    Papers are those that were uploaded to this case, or that it holds, and the photos of its order.
    """
    found, order = await _case(caller, id)
    own = {f["sha256"] for held in found.get("slots", {}).values() for f in held["files"]}
    own |= {p["sha256"] for p in order.get("photos") or ()}
    files = [await _kept(caller, id, p, own) for p in body.files]
    return await carry_out(caller, request, "case.fill", id, body, "files", files=files)


async def _kept(caller: Caller, case_id: str, paper: Paper, own: Container[str]) -> dict[str, Any]:
    """What is known of a paper by its bytes. Raises Problem 422 when nobody has uploaded it to this case.

    own: hashes that belong to the case already. Another's paper is not given out by naming its hash.
    """
    try:
        if paper.sha256 in own:
            data = await asyncio.to_thread(files_of(caller.web).get, paper.sha256)
        else:
            data = await kept_for(caller.web, f"case/{case_id}", paper.sha256)
    except NotFound as e:
        raise Problem(422, "problem.no_paper") from e
    named = {"name": paper.name} if paper.name else {}
    return {"sha256": paper.sha256, "size": len(data), "media": media_of(data) or ""} | named


@router.get("/{id}/papers/{sha256}", summary="A paper of a case", responses={200: {"content": PAPERS}})
async def paper_of(
    id: str,  # noqa: A002 - the name in the path
    sha256: Sha,
    caller: Annotated[Caller, Depends(need("view.cases"))],
) -> Response:
    """The bytes as they were uploaded."""
    found, _ = await _case(caller, id)
    kept = [f for held in found["slots"].values() for f in held["files"] if f["sha256"] == sha256]
    if not kept:
        raise Problem(404, "problem.scope")
    return await original(caller.web, sha256, kept[0].get("media") or "application/octet-stream")


@router.post("/{id}/amount", summary="Enter the amount", responses=ONE)
async def amount(
    id: str,  # noqa: A002 - the name in the path
    body: Amount,
    request: Request,
    caller: Annotated[Caller, Depends(need("case.amount"))],
) -> Response:
    """Enter the amount; above CNY 100,000 somebody else reviews it."""
    return await _act(caller, request, "case.amount", id, body)


@router.post("/{id}/review", summary="Review the amount", responses=ONE)
async def review(
    id: str,  # noqa: A002 - the name in the path
    body: Review,
    request: Request,
    caller: Annotated[Caller, Depends(need("case.review"))],
) -> Response:
    """Review the amount."""
    return await _act(caller, request, "case.review", id, body)


@router.post("/{id}/request", summary="Request the payment", responses=ONE)
async def ask(
    id: str,  # noqa: A002 - the name in the path
    body: Nothing,
    request: Request,
    caller: Annotated[Caller, Depends(need("case.request"))],
) -> Response:
    """Request the payment: refused while something is missing; three working days run from here."""
    return await _act(caller, request, "case.request", id, body)


@router.post("/{id}/paid", summary="The payment came", responses=ONE)
async def paid(
    id: str,  # noqa: A002 - the name in the path
    body: Nothing,
    request: Request,
    caller: Annotated[Caller, Depends(need("case.paid"))],
) -> Response:
    """The payment came."""
    return await _act(caller, request, "case.paid", id, body)


@router.get(
    "/{id}/dossier.zip", summary="The signed dossier", responses={200: {"content": {"application/zip": {}}}}
)
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
