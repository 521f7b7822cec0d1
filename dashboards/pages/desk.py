"""The control room's pages: wall, estate, asset, alarm."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from dashboards.api.acting import find
from dashboards.api.deps import Caller, need
from dashboards.api.occurrences import rows_of
from dashboards.pages.common import show
from dashboards.pages.story import asset_story, told
from dashboards.problems import Problem

router = APIRouter()
SHOWN = 50
"""Occurrences on the page of an alarm; the interface gives all."""


@router.get("/wall")
async def wall(request: Request, caller: Annotated[Caller, Depends(need("view.wall"))]) -> Response:
    """Everything at a glance, with the alarm list; dark, for a large screen."""
    return show(request, caller, "wall.html")


@router.get("/site/{estate}")
async def site(
    estate: str, request: Request, caller: Annotated[Caller, Depends(need("view.asset"))]
) -> Response:
    """One estate: its systems and their assets."""
    if not caller.web.directory.allows(caller.scope, estate):
        raise Problem(404, "problem.scope")
    web = caller.web
    mine = [web.directory.estates[e] for e in web.directory.estates_of(caller.scope)]
    return show(
        request, caller, "site.html", data={"estate": estate}, estate=web.directory.estates[estate],
        estates=mine,
    )  # fmt: skip


@router.get("/asset/{asset}")
async def asset(
    asset: str, request: Request, caller: Annotated[Caller, Depends(need("view.asset"))]
) -> Response:
    """One facility: its points, trends, past and keeper."""
    web = caller.web
    if not web.directory.allows_asset(caller.scope, asset):
        raise Problem(404, "problem.scope")
    body = web.directory.assets[asset]
    story = await asyncio.to_thread(asset_story, web.desk.state, asset, web.desk.now(), body["estate"])
    return show(
        request, caller, "asset.html", data={"asset": asset}, asset=body,
        estate=web.directory.estates[body["estate"]], story=story,
    )  # fmt: skip


@router.get("/alarm/{id}")
async def alarm(id: str, request: Request, caller: Annotated[Caller, Depends(need("view.wall"))]) -> Response:  # noqa: A002 - path
    """One alarm: what happened to it, why it matters and what to do."""
    web = caller.web
    record = await find(caller, "alarm", id)
    events = await asyncio.to_thread(told, web.desk.state, record)
    rows = (await asyncio.to_thread(rows_of, web.desk.state, id))[:SHOWN]
    people = await asyncio.to_thread(lambda: {u.id: u.body.get("name", u.id) for u in web.accounts.users()})
    return show(
        request, caller, "alarm.html", data={"alarm": id, "asset": record["asset"]}, alarm=record,
        events=events, rows=rows, people=people, asset=web.directory.assets[record["asset"]],
        estate=web.directory.estates[record["estate"]],
    )  # fmt: skip
