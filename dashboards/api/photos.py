"""Photos of an order: the original bytes in, the same bytes out, known by their SHA-256."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi import Path as InPath
from starlette.responses import Response

from dashboards.api.acting import Acting, acting, done_at, find, submit
from dashboards.api.bodies import Act
from dashboards.api.deps import Caller, need, reply
from dashboards.images import photo_media
from dashboards.problems import Problem
from dashboards.web import Web
from gateway.ports.files import FileStore

router = APIRouter(prefix="/orders", tags=["orders"])
Sha = Annotated[str, InPath(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the original bytes")]
Stamp = Annotated[int | None, Query(description="ms UTC by the sender's clock")]
IMAGES = {
    m: {"schema": {"type": "string", "format": "binary"}} for m in ("image/jpeg", "image/png", "image/webp")
}
EXAMPLE = {
    "order": {"id": "wo-1f0c…", "photos": [{
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "kind": "before",
        "media": "image/jpeg", "size": 2483112, "by": "chen",
        "at": 1790000000000, "received_at": 1790000007000,
    }]},
}  # fmt: skip


def files_of(web: Web) -> FileStore:
    """Where photos are kept. Raises Problem 503 when this installation keeps none."""
    if web.options.files is None:
        raise Problem(503, "problem.later")
    return web.options.files


async def keep_for(web: Web, subject: str, data: bytes) -> str:
    """Keep a file that was uploaded for a subject (`case/c1`), and that it was; its SHA-256."""
    store = files_of(web)
    sha = await asyncio.to_thread(store.put, data)
    await asyncio.to_thread(store.put, _note(subject, sha))
    return sha


async def kept_for(web: Web, subject: str, sha256: str) -> bytes:
    """The bytes of a file that was uploaded for this subject. Raises NotFound for every other one."""
    store = files_of(web)
    await asyncio.to_thread(store.get, hashlib.sha256(_note(subject, sha256)).hexdigest())
    return await asyncio.to_thread(store.get, sha256)


def _note(subject: str, sha256: str) -> bytes:
    # Nobody can upload one: it is neither a picture nor a PDF.
    return f"Steward: uploaded for {subject}: {sha256}\n".encode()


@router.post(
    "/{id}/photos",
    summary="Add a photo",
    openapi_extra={"requestBody": {"required": True, "content": IMAGES}},
    responses={200: {"content": {"application/json": {"example": EXAMPLE}}}},
)
async def add_photo(
    request: Request,
    act: Annotated[Acting, Depends(acting("order", "order.photo"))],
    kind: Annotated[Literal["before", "after", "other"], Query()],
    item: Annotated[
        str, Query(max_length=60, description="photo item of the checklist that it answers")
    ] = "",
    at: Annotated[Stamp, Query(alias="done_at")] = None,
    sent_at: Stamp = None,
) -> Response:
    """Keep the body as it is (JPEG, PNG or WebP, at most 12 MiB, nothing is removed or coded anew).

    The same Idempotency-Key gives the first answer; the same picture twice is one photo.
    """
    web = act.caller.web
    data = await request.body()
    media = photo_media(data)
    when = done_at(Act(done_at=at, sent_at=sent_at), web.desk.now(), web.clock.speed)
    sha = await asyncio.to_thread(files_of(web).put, data)
    facts = {"sha256": sha, "size": len(data), "media": media, "kind": kind} | (
        {"item": item} if item else {}
    )
    result = await submit(act.caller, act.key, act.kind, act.subject, facts, when, act.version)
    return reply(result)


@router.get(
    "/{id}/photos/{sha256}",
    summary="The original of a photo",
    responses={200: {"content": IMAGES}},
)
async def photo(
    id: str,  # noqa: A002 - the name in the path
    sha256: Sha,
    caller: Annotated[Caller, Depends(need("view.orders"))],
) -> Response:
    """The bytes as they were uploaded; they are hashed again on the way out."""
    record = await find(caller, "order", id)
    entry = next((p for p in record.get("photos") or () if p["sha256"] == sha256), None)
    if entry is None:
        raise Problem(404, "problem.scope")
    return await original(caller.web, sha256, entry["media"])


async def original(web: Web, sha256: str, media: str) -> Response:
    """A kept file as an answer that may be cached for good: its name is its hash."""
    data = await asyncio.to_thread(files_of(web).get, sha256)
    headers = {
        "ETag": f'"{sha256}"', "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Disposition": f'inline; filename="{sha256[:16]}.{media.partition("/")[2]}"',
    }  # fmt: skip
    return Response(data, headers=headers, media_type=media)
