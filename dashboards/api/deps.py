"""Who asks, and may they: the dependencies that every route takes.

`need("alarm.ack")` gives the Caller or stops with 401, 403 or, on an unsafe method, 403 without the session's
CSRF token (`X-CSRF-Token` header or the form field `csrf`).
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Annotated, Any

import orjson
from fastapi import Depends, Request
from starlette.responses import Response

from dashboards.access.permissions import allows
from dashboards.access.sessions import COOKIE, Login
from dashboards.http import SAFE
from dashboards.i18n import t
from dashboards.problems import Problem
from dashboards.web import Web, language, web_of
from gateway.model import Actor, Scope

_KEY = re.compile(r"[A-Za-z0-9_-]{8,64}")
_VERSION = re.compile(r'(?:W/)?"?(\d{1,15})"?')

WebDep = Annotated[Web, Depends(web_of)]
Lang = Annotated[str, Depends(language)]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `actor` acts (another one than the session's with X-Act-As); `login` is the session."""

    web: Web
    actor: Actor
    login: Login
    lang: str

    @property
    def scope(self) -> Scope:
        """What the actor may see."""
        return self.actor.scope

    def require(self, action: str) -> None:
        """Raises Problem 403 when the role does not allow the action."""
        if not allows(self.actor.role, action):
            role = t(f"role.{self.actor.role}", self.lang)
            raise Problem(403, "problem.role", extra={"action": action}, role=role, action=action)


async def visitor(request: Request) -> Login | None:
    """The login of the cookie, if there is a valid one. For pages that everybody may open."""
    return await web_of(request).sessions.find(request.cookies.get(COOKIE, ""))


async def session(request: Request, web: WebDep, lang: Lang) -> Caller:
    """Whoever is logged in, whatever the role; an unsafe method needs the CSRF token."""
    login = await visitor(request)
    if login is None:
        raise Problem(401, "problem.login")
    if request.method not in SAFE:
        await _check_csrf(request, login)
    return Caller(web, login.actor, login, lang)


SessionDep = Annotated[Caller, Depends(session)]


def need(action: str) -> Callable[..., Awaitable[Caller]]:
    """A dependency: a caller whose role allows the action. Raises KeyError at once for an unknown action."""
    allows("admin", action)

    async def check(request: Request, caller: SessionDep) -> Caller:
        caller = _acting_as(request, caller)
        caller.require(action)
        return caller

    return check


def _acting_as(request: Request, caller: Caller) -> Caller:
    token = request.headers.get("x-act-as")
    if token is None or request.method in SAFE:
        return caller
    actor = caller.web.acts.use(token, caller.login.key)
    if actor is None:
        raise Problem(403, "problem.act_token")
    return Caller(caller.web, actor, caller.login, caller.lang)


async def _check_csrf(request: Request, login: Login) -> None:
    given = request.headers.get("x-csrf-token")
    if given is None and "form" in request.headers.get("content-type", ""):
        field = (await request.form()).get("csrf")
        given = field if isinstance(field, str) else None
    if given is None or not compare_digest(given.encode(), login.csrf.encode()):
        raise Problem(403, "problem.csrf")


def version_of(request: Request) -> int | None:
    """The version that the caller saw (If-Match); None when it does not matter."""
    given = request.headers.get("if-match", "*").strip()
    if given == "*":
        return None
    match = _VERSION.fullmatch(given)
    if match is None:
        raise Problem(400, "problem.if_match")
    return int(match[1])


def key_of(request: Request, caller: Caller, kind: str, subject: str) -> str:
    """The command's id: the client's Idempotency-Key within (person, act, thing), else a random one."""
    given = request.headers.get("idempotency-key")
    if given is None:
        return secrets.token_hex(16)
    if not _KEY.fullmatch(given):
        raise Problem(400, "problem.key")
    return f"{caller.actor.id}:{kind}:{subject}:{given}"


def reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON by orjson (NaN becomes null)."""
    data = orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    return Response(data, status, dict(headers or {}), "application/json")


def shows(body: Mapping[str, Any]) -> dict[int | str, dict[str, Any]]:
    """An example of the answer, for the reference."""
    return {200: {"content": {"application/json": {"example": dict(body)}}}}


def address_of(request: Request) -> str:
    """The peer's address."""
    return request.client.host if request.client else "-"
