"""What people change while it runs: matrix, shifts and the like, and the people themselves. All is noted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from dashboards.access.passwords import check_quality
from dashboards.access.people import DIMENSIONS, active, includes, scope_of
from dashboards.api.acting import submit
from dashboards.api.bodies import Mode, PersonBody, Setting
from dashboards.api.deps import Caller, key_of, need, reply, version_of
from dashboards.api.matrix import refused
from dashboards.problems import Problem
from gateway.model import Scope
from gateway.ports import User

router = APIRouter(tags=["settings"])
KINDS = ("matrix", "shifts", "staff", "calendars")
_ID = re.compile(r"[a-z0-9][a-z0-9_.@/:-]{0,99}")


@router.get("/settings/{kind}")
async def settings(kind: str, caller: Annotated[Caller, Depends(need("settings.view"))]) -> Response:
    """The records of a kind within the scope; those of no estate are everybody's."""
    _known(kind)
    records = await asyncio.to_thread(caller.web.desk.state.records, kind)
    mine = [
        {"id": id_, "body": body}
        for id_, body in records
        if _sees(caller, kind, str(body.get("estate") or ""))
    ]
    return reply({"kind": kind, "records": mine})


@router.put("/settings/{kind}/{id:path}")
async def put_setting(
    kind: str,
    id: str,  # noqa: A002 - the name in the path
    body: Setting,
    request: Request,
    caller: Annotated[Caller, Depends(need("settings.put"))],
) -> Response:
    """Replace a record. The core checks it, numbers the version and writes author and change to the log."""
    _known(kind)
    if not _ID.fullmatch(id):
        raise Problem(404, "http.404")
    present = await asyncio.to_thread(caller.web.desk.state.record, kind, id)
    for version in (body.body, present):
        if version is not None:
            _check_reach(caller, version)
    subject = f"{kind}/{id}"
    key = key_of(request, caller, "settings.put", subject)
    data = {"kind": kind, "id": id, "body": body.body, "reason": body.reason}
    result = await submit(caller, key, "settings.put", subject, data, None, version_of(request))
    refused(result)
    return reply(result)


def _sees(caller: Caller, kind: str, estate: str) -> bool:
    """What is of no estate is everybody's, except for people: then who sees all."""
    if not estate:
        return kind != "staff" or caller.scope == Scope()
    return caller.web.directory.allows(caller.scope, estate)


def _known(kind: str) -> None:
    if kind not in KINDS:
        raise Problem(404, "problem.settings", kind=kind[:40])


def _check_reach(caller: Caller, record: Mapping[str, Any]) -> None:
    """A record of one estate needs that estate in scope; one of no estate rules all: only who sees all."""
    estate = record.get("estate")
    if estate:
        if not caller.web.directory.allows(caller.scope, str(estate)):
            raise Problem(404, "problem.scope")
    elif caller.scope != Scope():
        raise Problem(403, "problem.all_estates")


@router.put("/assets/{id}/mode")
async def asset_mode(
    id: str,  # noqa: A002 - the name in the path
    body: Mode,
    request: Request,
    caller: Annotated[Caller, Depends(need("asset.mode"))],
) -> Response:
    """Commissioning or normal."""
    if not caller.web.directory.allows_asset(caller.scope, id):
        raise Problem(404, "problem.scope")
    key = key_of(request, caller, "asset.mode", id)
    return reply(await submit(caller, key, "asset.mode", id, {"mode": body.mode}))


@router.get("/users")
async def users(caller: Annotated[Caller, Depends(need("users.view"))]) -> Response:
    """People whose whole scope lies within the caller's; never a password hash."""
    found = await asyncio.to_thread(caller.web.accounts.users)
    return reply({"users": [_shown(u) for u in found if includes(caller.scope, scope_of(u.body))]})


@router.put("/users/{id}")
async def put_user(
    id: str,  # noqa: A002 - the name in the path
    body: PersonBody,
    caller: Annotated[Caller, Depends(need("users.put"))],
) -> Response:
    """Make or change a person. A new password, role or scope ends the person's sessions."""
    if not re.fullmatch(r"[a-z0-9_-]{1,48}", id):
        raise Problem(404, "http.404")
    web = caller.web
    new = body.model_dump(exclude={"password"})
    old = await asyncio.to_thread(web.accounts.user, id)
    if old is not None and "reach" in old.body:  # that is the person's own affair
        new["reach"] = old.body["reach"]
    for wanted in (new, old.body if old else new):
        if not includes(caller.scope, scope_of(wanted)):
            raise Problem(403, "problem.wider")
    _keep_an_admin(await asyncio.to_thread(web.accounts.users), id, new)
    hashed = None
    if body.password is not None:
        check_quality(id, body.password)
        hashed = await asyncio.to_thread(web.passwords.hash, body.password)
    await asyncio.to_thread(web.accounts.put_user, id, new, hashed if old else hashed or "")
    if old is not None and (hashed or {**old.body} != new):
        await web.sessions.end_all(id)
    changed = sorted(k for k in new if old is None or old.body.get(k) != new[k])
    facts = {"changed": changed, "password": hashed is not None, "role": new["role"]}
    await web.door.note("user.put", id, caller.actor, facts | {d: new[d] for d in DIMENSIONS})
    return reply({"id": id, **new})


def _keep_an_admin(everybody: list[User], changed: str, new: Mapping[str, Any]) -> None:
    if new["role"] == "admin" and new["active"]:
        return
    others = [u for u in everybody if u.id != changed and u.body.get("role") == "admin" and active(u)]
    was = any(u.id == changed and u.body.get("role") == "admin" for u in everybody)
    if was and not any(u.password_hash for u in others):
        raise Problem(409, "problem.last_admin")


def _shown(user: User) -> dict[str, Any]:
    return {"id": user.id, **user.body, "can_log_in": bool(user.password_hash) and active(user)}
