"""The past: series of a point, thinned for the screen, and the event log."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypedDict

import numpy as np
from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from dashboards.access.permissions import allows
from dashboards.api.deps import Caller, need, reply
from dashboards.problems import Problem
from gateway.errors import NotFound
from gateway.model import Event, Ms, Scope
from gateway.ports import SampleStore

router = APIRouter(tags=["history"])

DAY: Ms = 86_400_000
LONGEST: Ms = 400 * DAY
MOST_POINTS = 500
MOST_READ = 50_000
"""So many events are looked through for one page."""
PERSONAL = frozenset(
    {"note", "text", "address", "phone", "lat", "lon", "by", "name", "to", "second", "assignee", "evidence"}
)
"""Fields of an event that a regulator does not get."""


class Ask(TypedDict):
    """What `StateStore.events` is asked, apart from estate and limit."""

    kinds: Sequence[str]
    subject: str
    asset: str
    start: Ms | None
    end: Ms | None
    after: int | None
    newest_first: bool


From = Annotated[Ms, Query(alias="from", description="ms UTC, included")]
To = Annotated[Ms, Query(alias="to", description="ms UTC, excluded")]


def check_period(start: Ms, end: Ms, longest: Ms = LONGEST) -> None:
    """Raises Problem 422 for a period that is empty, backwards or too long."""
    if not (0 <= start < end <= start + longest):
        raise Problem(422, "problem.time", days=longest // DAY)


@router.get("/series")
async def series(
    caller: Annotated[Caller, Depends(need("view.wall"))],
    point: Annotated[str, Query(max_length=120, description="asset/tag")],
    start: From,
    end: To,
    px: Annotated[int, Query(ge=10, le=4000, description="width of the plot")] = 800,
) -> Response:
    """At most 2 x px values: all of them (`raw`), or the smallest and largest of each bucket (`minmax`)."""
    check_period(start, end)
    # The core answers the same question; asking here too keeps a mistake there from becoming a leak.
    if not caller.web.directory.allows_asset(caller.scope, point.split("/")[0]):
        raise Problem(404, "problem.scope")
    try:
        number = caller.web.desk.series_id(point, caller.scope)
    except NotFound as e:
        raise Problem(404, "problem.scope") from e
    body = await asyncio.to_thread(_read, caller.web.desk.samples, number, start, end, px)
    return reply({"point": point, "from": start, "to": end, **body})


@router.get("/shares")
async def shares(
    caller: Annotated[Caller, Depends(need("view.wall"))],
    point: Annotated[list[str], Query(max_length=MOST_POINTS, description="asset/tag, up to 500 of them")],
    start: From,
    end: To,
) -> Response:
    """How long each point was on (above 0), and how long its value was known, in ms within the period.

    A value holds until the next one, for at most a day: of a pump's contact this gives its running time and
    of any point how much of the period is recorded. Points without a row are left out.
    """
    check_period(start, end)
    directory, desk = caller.web.directory, caller.web.desk
    if not all(directory.allows_asset(caller.scope, p.split("/")[0]) for p in point):
        raise Problem(404, "problem.scope")
    try:
        numbers = {desk.series_id(p, caller.scope): p for p in point}
    except NotFound as e:
        raise Problem(404, "problem.scope") from e
    found = await asyncio.to_thread(desk.samples.shares, sorted(numbers), start, end)
    rows = zip(found.series.tolist(), found.on_ms.tolist(), found.known_ms.tolist(), strict=True)
    body = {numbers[n]: {"on_ms": on, "known_ms": known} for n, on, known in rows}
    return reply({"from": start, "to": end, "points": body})


def _read(samples: SampleStore, number: int, start: Ms, end: Ms, px: int) -> dict[str, Any]:
    buckets = samples.buckets(number, start, end, px)
    if int(buckets.n.sum()) <= 2 * px:
        raw = samples.raw(number, start, end)
        if len(raw) <= 2 * px:
            return {"kind": "raw", "t": raw.t, "v": np.where(raw.q >> 5 == 3, np.nan, raw.v), "q": raw.q}
    return {
        "kind": "minmax",
        "width": (end - start) / px,
        "t": buckets.t,
        "low": buckets.low,
        "high": buckets.high,
        "mean": buckets.mean,
        "n": buckets.n,
    }


@router.get("/events")
async def events(
    caller: Annotated[Caller, Depends(need("view.events"))],
    estate: str | None = None,
    asset: str = "",
    subject: str = "",
    kind: Annotated[list[str] | None, Query(description="noun.verb; several may be given")] = None,
    start: Annotated[Ms | None, Query(alias="from")] = None,
    end: Annotated[Ms | None, Query(alias="to")] = None,
    after: Annotated[int | None, Query(description="chain number, within one estate")] = None,
    newest: Annotated[bool | None, Query(description="left out: only without `after`")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Response:
    """Facts of the scope. With `estate` and `after` one can walk the whole chain."""
    directory = caller.web.directory
    if after is not None and estate is None:
        raise Problem(422, "problem.after")
    estates = [estate] if estate is not None else directory.estates_of(caller.scope)
    if estate is not None and not directory.allows(caller.scope, estate):
        raise Problem(404, "problem.scope")

    backwards = after is None if newest is None else newest
    ask: Ask = {
        "kinds": kind or (), "subject": subject, "asset": asset, "start": start, "end": end, "after": after,
        "newest_first": backwards,
    }  # fmt: skip
    found: list[tuple[int, Event]] = []
    last = after
    for each in estates:
        some, last = await _seen(caller, each, ask, limit)
        found += some
    if estate is None:
        found.sort(key=lambda item: item[1].t, reverse=backwards)
    body = [event_json(seq, e, caller) for seq, e in found[:limit]]
    return reply({"events": body, "last": last if estate is not None else None})


async def _seen(
    caller: Caller, estate: str, ask: Ask, limit: int
) -> tuple[list[tuple[int, Event]], int | None]:
    """Up to `limit` events of an estate that the caller may see, and the number to go on after.

    Events that the caller may not see do not make the page shorter: more are read until it is full.
    """
    size = limit
    while True:
        read = functools.partial(caller.web.desk.state.events, estate=estate, limit=size, **ask)
        found = await asyncio.to_thread(read)
        seen = [(seq, e) for seq, e in found if _visible(caller, e)]
        if len(seen) >= limit or len(found) < size or size >= MOST_READ:
            end = seen[limit - 1 : limit] or found[-1:]
            return seen[:limit], end[0][0] if end else ask["after"]
        size = min(4 * size, MOST_READ)


def _visible(caller: Caller, event: Event) -> bool:
    if event.kind.startswith("user.") and not (
        allows(caller.actor.role, "users.view") and caller.scope == Scope()
    ):
        return False  # log-ins and people of all estates
    if event.kind.startswith("settings.") and not allows(caller.actor.role, "settings.view"):
        return False
    return not event.asset or caller.web.directory.allows_asset(caller.scope, event.asset)


def event_json(seq: int, event: Event, caller: Caller) -> dict[str, Any]:
    """An event as JSON; for the regulator without names and texts of people."""
    masked = caller.actor.role == "regulator"
    return {
        "seq": seq, "id": event.id, "estate": event.estate, "t": event.t, "kind": event.kind,
        "subject": event.subject, "asset": event.asset,
        "actor": _who(event.actor) if masked else event.actor,
        "data": _masked(event) if masked else event.data,
    }  # fmt: skip


def _who(actor: str) -> str:
    return actor if actor == "steward" else "person"


def _masked(event: Event) -> Any:
    # Whose it was before; elsewhere `was` is a level or a priority.
    own = {"was"} if event.kind == "order.reassigned" else set()
    return _mask({k: v for k, v in event.data.items() if k not in own})


def _mask(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _mask(v) for k, v in value.items() if k not in PERSONAL}
    return [_mask(v) for v in value] if isinstance(value, list | tuple) else value
