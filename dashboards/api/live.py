"""The live picture: snapshot, stream, health."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from dashboards.access.sessions import COOKIE
from dashboards.api.deps import Caller, need, reply
from dashboards.api.directory import narrowed
from dashboards.api.hub import Subscriber, frames
from dashboards.web import Web
from gateway.model import Scope

router = APIRouter(tags=["live"])
CACHED = 32
CACHE_S = 1.0

Viewer = Annotated[Caller, Depends(need("view.wall"))]
Estates = Annotated[list[str] | None, Query(description="only these; several may be given")]
Systems = Annotated[list[str] | None, Query(description="only these; several may be given")]


@router.get("/snapshot")
async def snapshot(
    request: Request, caller: Viewer, estate: Estates = None, system: Systems = None
) -> Response:
    """All that the caller may see, now. `cursor` is what to give the stream as `after`."""
    web = caller.web
    scope = narrowed(caller.scope, estate or (), system or ())
    body, seq = await _encoded(web, scope)
    tag = f'W/"{web.hub.boot}.{seq}.{_scope_key(scope)}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Cookie, Accept-Encoding",
               "X-Site-Now": str(web.desk.now())}  # fmt: skip
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", "") and len(body) > 1024:
        body = await asyncio.to_thread(gzip.compress, body, 1)
        headers["Content-Encoding"] = "gzip"
    return Response(body, headers=headers, media_type="application/json")


async def _encoded(web: Web, scope: Scope) -> tuple[bytes, int]:
    """The snapshot as JSON, shared for a second by all of one scope: 50 walls may start at once."""
    cache = web.snapshots
    now = web.clock.monotonic()
    found = cache.get(scope)
    # Only while nothing has happened: an act must be visible to whoever did it.
    if found is not None and now - found[0] < CACHE_S and found[2] == web.hub.newest:
        return found[1], found[2]
    picture = web.directory.within(scope, web.desk.snapshot(scope))
    seq = int(picture.get("seq", 0))
    web.hub.saw(seq)
    picture["cursor"] = f"{web.hub.boot}.{seq}"
    body = await asyncio.to_thread(_dump, picture)
    while len(cache) >= CACHED:
        del cache[next(iter(cache))]
    cache[scope] = (now, body, seq)
    return body, seq


def _dump(picture: dict[str, Any]) -> bytes:
    return orjson.dumps(picture, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)


def _scope_key(scope: Scope) -> str:
    parts = [sorted(d) if d is not None else None for d in (scope.firms, scope.estates, scope.systems)]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:12]


@router.get("/stream", response_class=Response)
async def stream(
    request: Request,
    caller: Viewer,
    estate: Estates = None,
    system: Systems = None,
    after: Annotated[str | None, Query(max_length=40, description="`cursor` of a snapshot")] = None,
) -> Response:
    """Server-sent events: `v` values, `a` alarm, `o` order, `h` health, `resync` (take a new snapshot).

    A browser that comes back sends Last-Event-ID and misses nothing, or is told to resync.
    """
    web = caller.web
    boot, seq = _cursor(request.headers.get("last-event-id") or after)
    subscriber = web.hub.subscribe(narrowed(caller.scope, estate or (), system or ()), seq, boot)
    token = request.cookies.get(COOKIE, "")

    async def valid() -> bool:
        login = await web.sessions.find(token, use=False)
        return login is not None and login.actor == caller.actor

    return EventStream(web, subscriber, valid)


def _cursor(text: str | None) -> tuple[str | None, int | None]:
    """`boot.seq` or a bare number; what is neither asks for a resync."""
    if text is None:
        return None, None
    boot, _, seq = text.rpartition(".")
    return (boot or None, int(seq)) if seq.isascii() and seq.isdigit() and len(seq) < 19 else ("?", -1)


class EventStream(Response):
    """Sends the frames of a subscriber until the page goes, the session ends or the server stops."""

    media_type = "text/event-stream"

    def __init__(self, web: Web, subscriber: Subscriber, valid: Callable[[], Awaitable[bool]]) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._web, self._subscriber, self._valid = web, subscriber, valid

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """ASGI."""
        del scope
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        watch = asyncio.create_task(self._gone(receive), name="stream.disconnect")
        try:
            async for piece in self._checked():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._web.hub.leave(self._subscriber)
            watch.cancel()
            await asyncio.wait([watch])

    async def _checked(self) -> AsyncIterator[bytes]:
        """Frames for as long as the session is good: it is looked at once per heartbeat."""
        every, clock = self._web.options.heartbeat_s, self._web.clock
        looked = clock.monotonic()
        async for piece in frames(self._subscriber, every):
            if clock.monotonic() - looked >= every:
                looked = clock.monotonic()
                if not await self._valid():
                    return
            yield piece

    async def _gone(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._subscriber.close()


@router.get("/health")
async def health(caller: Viewer) -> Response:
    """How the core, the broker, the edges and the stores are; of the caller's estates."""
    return reply(caller.web.directory.within(caller.scope, caller.web.desk.health()))
