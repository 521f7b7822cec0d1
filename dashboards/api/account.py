"""In and out: log in, log out, who am I, one's own password, a token for one act at another's screen.

The same steps as JSON under /api/v1 and as plain forms that need no script.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from dashboards.access.passwords import check_quality
from dashboards.access.people import actor_of
from dashboards.access.permissions import actions_of
from dashboards.access.sessions import COOKIE, Login, csrf_of
from dashboards.api.bodies import LoginBody, PasswordBody, ReachBody
from dashboards.api.deps import Caller, Lang, SessionDep, WebDep, address_of, need, reply, visitor
from dashboards.i18n import LANGS
from dashboards.problems import Problem, detail
from dashboards.web import Web
from gateway.config.channels import ADDRESS
from gateway.errors import BadInput
from gateway.model import Actor

router = APIRouter(tags=["account"])
pages = APIRouter(include_in_schema=False)

HOME = {"display": "/wall", "technician": "/t", "contractor": "/t", "regulator": "/stats"}


def home_of(actor: Actor) -> str:
    """The page that a role begins with."""
    return HOME.get(actor.role, "/wall")


async def enter(request: Request, web: Web, user: str, password: str) -> tuple[str, Actor]:
    """Check and open a session: the token and who it is. Ends the session that this browser had."""
    person = await web.door.enter(user, password, address_of(request))
    await web.sessions.end(request.cookies.get(COOKIE, ""))
    return await web.sessions.open(person), actor_of(person)


def set_cookie(response: Response, request: Request, web: Web, token: str, actor: Actor) -> None:
    """The session cookie: not for scripts, not for other sites, only over TLS where there is TLS."""
    secure = web.options.https or request.url.scheme == "https"
    # A wall keeps its cookie for a year, all others until the browser is closed.
    age = 365 * 86_400 if actor.role == "display" else None
    response.set_cookie(COOKIE, token, max_age=age, httponly=True, secure=secure, samesite="lax", path="/")


def describe(actor: Actor, csrf: str, lang: str) -> dict[str, object]:
    """What a page needs to know of its reader."""
    scope = {
        d: None if (value := getattr(actor.scope, d)) is None else sorted(value)
        for d in ("firms", "estates", "systems")
    }
    return {
        "id": actor.id,
        "name": actor.name,
        "role": actor.role,
        "duties": sorted(actor.duties),
        "scope": scope,
        "actions": actions_of(actor.role),
        "csrf": csrf,
        "lang": lang,
        "home": home_of(actor),
    }


@router.post("/login")
async def login(body: LoginBody, request: Request, web: WebDep, lang: Lang) -> Response:
    """Log in. The answer holds the CSRF token for `X-CSRF-Token`; the session is in the cookie."""
    token, actor = await enter(request, web, body.user, body.password)
    response = reply(describe(actor, csrf_of(token), lang))
    set_cookie(response, request, web, token, actor)
    return response


@router.post("/logout")
async def logout(request: Request, caller: Annotated[Caller, Depends(need("session.logout"))]) -> Response:
    """Log out. A wall logs out only for a person (X-Act-As)."""
    await caller.web.sessions.end(request.cookies.get(COOKIE, ""))
    await caller.web.door.note("user.logout", caller.actor.id, caller.actor, {"address": address_of(request)})
    response = reply({"ok": True})
    response.delete_cookie(COOKIE, path="/")
    return response


@router.get("/me")
async def me(caller: SessionDep) -> Response:
    """Who is logged in here, and what the role allows."""
    return reply(describe(caller.actor, caller.login.csrf, caller.lang))


@router.post("/act-token")
async def act_token(body: LoginBody, request: Request, caller: SessionDep) -> Response:
    """A token for one act at this screen (`X-Act-As`), or for the second person of an act; good for 60 s."""
    person = await caller.web.door.enter(body.user, body.password, address_of(request))
    actor = actor_of(person)
    token = caller.web.acts.give(actor, caller.login.key)
    return reply({"token": token, "user": actor.id, "name": actor.name, "expires_in_s": 60})


async def change_password(caller: Caller, request: Request, old: str, new: str) -> tuple[str, Actor]:
    """Set it and end all sessions of the person; the token of a fresh one. Raises Problem, BadInput."""
    web = caller.web
    try:
        person = await web.door.enter(caller.actor.id, old, address_of(request))
    except Problem as e:
        if e.status == 401:
            raise Problem(422, "problem.old_password") from e
        raise
    check_quality(person.id, new)
    hashed = await asyncio.to_thread(web.passwords.hash, new)
    await asyncio.to_thread(web.accounts.put_user, person.id, person.body, hashed)
    await web.sessions.end_all(person.id)
    await web.door.note("user.password", person.id, caller.actor, {})
    return await web.sessions.open(person), caller.actor


@router.post("/password")
async def password(
    body: PasswordBody, request: Request, caller: Annotated[Caller, Depends(need("session.password"))]
) -> Response:
    """Change one's own password; all other devices are logged out."""
    token, actor = await change_password(caller, request, body.old, body.new)
    response = reply(describe(actor, csrf_of(token), caller.lang))
    set_cookie(response, request, caller.web, token, actor)
    return response


@router.get("/me/reach")
async def reach(caller: SessionDep) -> Response:
    """How notices reach me: my number, my own addresses by channel, my quiet hours."""
    person = await asyncio.to_thread(caller.web.accounts.user, caller.actor.id)
    body = person.body if person else {}
    return reply({"phone": body.get("phone", ""), **_reach(body.get("reach") or {})})


@router.put("/me/reach")
async def put_reach(
    body: ReachBody, caller: Annotated[Caller, Depends(need("session.password"))]
) -> Response:
    """Set them. Quiet hours hold back what is neither P1 nor life safety."""
    web = caller.web
    known = web.desk.health().get("channels") or {}
    for channel, address in body.addresses.items():
        if channel not in known:
            raise Problem(422, "problem.channel", channel=channel)
        if not ADDRESS.fullmatch(address):
            raise Problem(422, "problem.address", channel=channel)
    person = await asyncio.to_thread(web.accounts.user, caller.actor.id)
    if person is None:
        raise Problem(404, "http.404")
    new = body.model_dump(by_alias=True)
    await asyncio.to_thread(web.accounts.put_user, person.id, {**person.body, "reach": new})
    await web.door.note("user.reach", person.id, caller.actor, {"channels": sorted(body.addresses)})
    return reply({"phone": person.body.get("phone", ""), **_reach(new)})


def _reach(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {"addresses": stored.get("addresses") or {}, "quiet": stored.get("quiet")}


# ── the same as forms ─────────────────────────────────────────────────────────────────────────────────

Field = Annotated[str, Form(max_length=200)]


def safe_next(target: str | None, fallback: str) -> str:
    """A path of this site to go on to; anything else would send people to a stranger's page."""
    if target and target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable():
        return target
    return fallback


@pages.get("/")
async def start(seen: Annotated[Login | None, Depends(visitor)]) -> Response:
    """To the reader's own page."""
    return RedirectResponse(home_of(seen.actor) if seen else "/login", 303)


@pages.get("/login")
async def login_form(request: Request, web: WebDep, next: str = "") -> Response:  # noqa: A002 - the query
    """The form."""
    return web.page(request, "login.html", next=safe_next(next, ""), user="", problem="")


@pages.post("/login")
async def login_submit(
    request: Request,
    web: WebDep,
    lang: Lang,
    user: Field,
    password: Field,
    next: Annotated[str, Form(max_length=500)] = "",  # noqa: A002 - the field
) -> Response:
    """Log in and go on."""
    try:
        token, actor = await enter(request, web, user, password)
    except Problem as e:
        page = web.page(
            request,
            "login.html",
            status=e.status,
            next=safe_next(next, ""),
            user=user,
            problem=detail(e, lang),
        )
        page.headers.update(e.headers)
        return page
    response = RedirectResponse(safe_next(next, home_of(actor)), 303)
    set_cookie(response, request, web, token, actor)
    return response


@pages.post("/logout")
async def logout_submit(
    request: Request, caller: Annotated[Caller, Depends(need("session.logout"))]
) -> Response:
    """Log out and show the form."""
    await logout(request, caller)
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE, path="/")
    return response


@pages.get("/password")
async def password_form(
    request: Request, caller: Annotated[Caller, Depends(need("session.password"))]
) -> Response:
    """The form."""
    return caller.web.page(
        request, "password.html", actor=caller.actor, csrf=caller.login.csrf, problem="", done=False
    )


@pages.post("/password")
async def password_submit(
    request: Request, caller: Annotated[Caller, Depends(need("session.password"))], old: Field, new: Field
) -> Response:
    """Change it."""
    page = caller.web.page
    try:
        token, actor = await change_password(caller, request, old, new)
    except (Problem, BadInput) as e:
        status = e.status if isinstance(e, Problem) else 422
        return page(
            request, "password.html", status=status, actor=caller.actor, csrf=caller.login.csrf,
            problem=detail(e, caller.lang), done=False,
        )  # fmt: skip
    response = page(request, "password.html", actor=actor, csrf=csrf_of(token), problem="", done=True)
    set_cookie(response, request, caller.web, token, actor)
    return response


@pages.get("/lang/{lang}")
async def choose_language(lang: str, next: str = "/") -> Response:  # noqa: A002 - the query
    """Remember the language for a year and go back."""
    if lang not in LANGS:
        raise Problem(404, "http.404")
    response = RedirectResponse(safe_next(next, "/"), 303)
    response.set_cookie("lang", lang, max_age=365 * 86_400, samesite="lax", path="/")
    return response
