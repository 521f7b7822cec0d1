"""What was agreed and who may do what: people with their quiet hours, matrix, shifts, log, edges."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from dashboards.access.people import includes, scope_of
from dashboards.access.permissions import actions_of, allows
from dashboards.api.deps import Caller, need
from dashboards.api.hazards import hazards_of
from dashboards.api.permits import permits_of
from dashboards.api.silences import silences_of
from dashboards.pages.common import names_of, show
from dashboards.problems import Problem
from gateway.model import Scope

router = APIRouter()
TABS = {
    "edges": "settings.view", "matrix": "settings.view", "shifts": "settings.view", "life": "settings.view",
    "users": "users.view", "events": "settings.view",
}  # fmt: skip
LATEST = 200


@router.get("/admin")
@router.get("/admin/{tab}")
async def admin(
    request: Request, caller: Annotated[Caller, Depends(need("settings.view"))], tab: str = "edges"
) -> Response:
    """One sheet of the administration."""
    if tab not in TABS:
        raise Problem(404, "http.404")
    caller.require(TABS[tab])
    tabs = [name for name, action in TABS.items() if allows(caller.actor.role, action)]
    web = caller.web
    estates = {e: web.directory.estates[e] for e in web.directory.estates_of(caller.scope)}
    rows = await _ROWS[tab](caller)
    return show(
        request, caller, "admin.html", tab=tab, tabs=tabs, rows=rows, estates=estates,
        actions=actions_of(caller.actor.role),
    )  # fmt: skip


async def _edges(caller: Caller) -> Any:
    return caller.web.directory.within(caller.scope, caller.web.desk.health())


async def _settings(caller: Caller, kind: str) -> list[dict[str, Any]]:
    records = await asyncio.to_thread(caller.web.desk.state.records, kind)
    return [
        {"id": id_, **body}
        for id_, body in records
        if not body.get("estate") or caller.web.directory.allows(caller.scope, str(body["estate"]))
    ]


async def _matrix(caller: Caller) -> Any:
    return sorted(await _settings(caller, "matrix"), key=lambda r: (str(r.get("event", "")), r["id"]))


async def _shifts(caller: Caller) -> Any:
    users = await asyncio.to_thread(caller.web.accounts.users)
    names = {u.id: u.body.get("name", u.id) for u in users}
    rows = await _settings(caller, "shifts")
    listed = [{**r, "names": [names.get(p, p) for p in r.get("people", ())]} for r in rows]
    leave = await asyncio.to_thread(caller.web.desk.state.records, "leave")
    directory, view, now = caller.web.directory, caller.web.options.matrix, caller.web.desk.now()
    seen = [b for _, b in leave if directory.allows(caller.scope, str(b["estate"]))]
    estates = directory.estates_of(caller.scope) if view else []
    empty = [{"estate": e, **g} for e in estates if view for g in view.duty(e, now, 7)["empty"]]
    return {
        "shifts": listed, "names": names, "empty": empty,
        "leave": sorted(seen, key=lambda b: (b["state"] != "asked", -int(b["start"])))[:50],
        "certificates": directory.within(caller.scope, view.certificates(now)) if view else [],
    }  # fmt: skip


async def _life(caller: Caller) -> Any:
    """Silences that run, permits that run or come, hazards that are not verified."""
    state, directory, scope = caller.web.desk.state, caller.web.directory, caller.scope
    users = await asyncio.to_thread(caller.web.accounts.users)
    silences, permits, hazards = await asyncio.to_thread(
        lambda: (silences_of(state), permits_of(state), hazards_of(state))
    )
    return {
        "silences": [s for s in silences if s["running"] and directory.allows(scope, s["estate"])],
        "permits": [
            p for p in permits
            if p["state"] in ("running", "coming")
            and any(directory.allows_asset(scope, a) for a in p["assets"])
        ],
        "hazards": [
            h for h in hazards if h["state"] != "verified" and directory.allows_body(scope, h)
        ][:LATEST],
        "names": {u.id: u.body.get("name", u.id) for u in users},
    }  # fmt: skip


async def _users(caller: Caller) -> Any:
    """Accounts, and records of staff that say how to reach somebody."""
    users = await asyncio.to_thread(caller.web.accounts.users)
    whole = caller.scope == Scope()
    staff = [r for r in await _settings(caller, "staff") if r.get("reach") and (r.get("estate") or whole)]
    return {
        "users": [
            {"id": u.id, **u.body, "can_log_in": bool(u.password_hash)}
            for u in users
            if includes(caller.scope, scope_of(u.body))
        ],
        "staff": sorted(staff, key=lambda r: r["id"]), "names": names_of(users),
    }  # fmt: skip


async def _events(caller: Caller) -> Any:
    estates = caller.web.directory.estates_of(caller.scope)

    def read() -> list[Any]:
        state = caller.web.desk.state
        found = [x for e in estates for x in state.events(estate=e, limit=LATEST, newest_first=True)]
        return sorted(found, key=lambda item: -item[1].t)[:LATEST]

    return await asyncio.to_thread(read)


_ROWS = {
    "edges": _edges,
    "matrix": _matrix,
    "shifts": _shifts,
    "life": _life,
    "users": _users,
    "events": _events,
}
