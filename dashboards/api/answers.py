"""Acceptance without a log-in: the link in a message, and the key that a provider's call brings back.

The token in the link is the credential; it is good for one act of one person on one order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from dashboards.api.deps import Lang, WebDep, address_of, reply
from dashboards.problems import Problem, detail
from dashboards.web import Answers, Web
from gateway.errors import Conflict, NotFound

router = APIRouter(prefix="/answers", tags=["answers"])
pages = APIRouter(include_in_schema=False)

TOKENS = ("token", "out_id", "outid", "session_context", "sessioncontext")
KEYS = ("key", "dtmf", "keypress", "digits")
"""Names under which providers give back what we sent with a call, and the key that was pressed."""
DEPTH = 6


def _port(web: WebDep) -> Answers:
    if web.options.answers is None:
        raise Problem(404, "http.404")
    return web.options.answers


Port = Annotated[Answers, Depends(_port)]


async def _read(web: Web, port: Answers, request: Request, token: str) -> dict[str, Any]:
    """Raises Problem 404, and 429 for an address that guesses."""
    tries, who = web.guesses, address_of(request)
    wait = tries.wait_s(who)
    if wait:
        raise Problem(429, "problem.too_often", headers={"Retry-After": str(int(wait))}, seconds=int(wait))
    try:
        return await port.read(token[:100])
    except NotFound as e:
        tries.failed(who)
        raise Problem(404, "answer.unknown") from e


@router.post("")
async def pressed(request: Request, web: WebDep, port: Port) -> Response:
    """A provider's report of a call: `{"token": "…", "key": "1"}`, or its own names for both.

    Key 1 accepts the order for the person who was called. Anything else is heard and changes nothing.
    """
    raw = await request.body()
    try:
        said = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError as e:
        raise Problem(422, "answer.no_token") from e
    found = dict(_named(said))
    token, key = found.get("token", ""), found.get("key", "")
    if not token:
        raise Problem(422, "answer.no_token")
    await _read(web, port, request, token)
    if key != "1":
        return reply({"code": 0, "accepted": False})
    try:
        result = await port.accept(token, "call")
    except Conflict as e:
        return reply({"code": 0, "accepted": False, "why": str(e)})
    return reply({"code": 0, "accepted": True, "order": result.get("order", {}).get("id")})


def _named(value: Any, depth: int = 0) -> Iterator[tuple[str, str]]:
    """("token", …) and ("key", …) wherever they are; the last of each counts."""
    if depth > DEPTH:
        return
    if isinstance(value, Mapping):
        for k, v in value.items():
            name = str(k).lower()
            if isinstance(v, str | int) and name in TOKENS:
                yield "token", str(v)
            elif isinstance(v, str | int) and name in KEYS:
                yield "key", str(v).rstrip("#")
            else:
                yield from _named(v, depth + 1)
    elif isinstance(value, list):
        for v in value:
            yield from _named(v, depth + 1)


@pages.get("/n/{token}")
async def show(token: str, request: Request, web: WebDep, port: Port) -> Response:
    """What the message was about, and a button. Looking changes nothing: mail programs open links too."""
    found = await _read(web, port, request, token)
    return web.page(request, "answer.html", **_context(found), problem="")


@pages.post("/n/{token}")
async def accept(token: str, request: Request, web: WebDep, lang: Lang, port: Port) -> Response:
    """Accept."""
    await _read(web, port, request, token)
    problem = ""
    try:
        await port.accept(token, "link")
    except Conflict as e:
        problem = detail(e, lang)
    found = await _read(web, port, request, token)
    return web.page(
        request, "answer.html", status=409 if problem else 200, **_context(found), problem=problem
    )


def _context(found: Mapping[str, Any]) -> dict[str, Any]:
    order = found["order"]
    accepted = (order.get("stamps") or {}).get("ACCEPTED")
    by = (order.get("by") or {}).get("ACCEPTED", "")
    return {"order": order, "person": found["person"], "accepted": accepted, "by": by}
