"""One-time links: making and ending them, and the door through which a guest works on one order."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response

from dashboards.access.guests import (
    ACTS,
    Guest,
    actor_of_link,
    cookie_of,
    guest_of,
    hashed,
    remember,
    secret,
)
from dashboards.access.sessions import csrf_of
from dashboards.api.acting import TIMES, Acting, acting, find, shown, submit
from dashboards.api.arrival import arrive_facts
from dashboards.api.bodies import Act, Arrive, Body, Check, Done, Plain, example
from dashboards.api.deps import Caller, Lang, WebDep, address_of, key_of, need, reply
from dashboards.api.photos import Sha, Stamp, add_photo, original
from dashboards.problems import Problem
from dashboards.web import Web
from gateway.errors import Forbidden, NotFound
from gateway.model import Command

router = APIRouter(tags=["links"])
HOUR = 3_600_000
BODIES: dict[str, type[Act]] = {"accept": Plain, "arrive": Arrive, "check": Check, "done": Done}
"""Acts of a guest with a JSON body; a photo has its own address."""
CHECKED = {"item": "light", "value": True}


class LinkBody(Act):
    """For whom, of which firm, and for how many hours at most; it ends with the order anyway."""

    model_config = example({"name": "Zhang San", "firm": "Anda Lift Service", "hours": 24})
    name: Annotated[str, Field(min_length=1, max_length=60)]
    firm: Annotated[str, Field(min_length=1, max_length=60)]
    hours: Annotated[int, Field(ge=1, le=336)] = 24


class TokenBody(Body):
    """What stands behind `#` in the link."""

    model_config = example({"token": "x9J2…"})
    token: Annotated[str, Field(max_length=100)] = ""


# ── whoever leads ─────────────────────────────────────────────────────────────────────────────────────


@router.post("/orders/{id}/links", summary="Make a one-time link")
async def make(
    body: LinkBody, request: Request, act: Annotated[Acting, Depends(acting("order", "link.make"))]
) -> Response:
    """The address in the answer is shown this once: only a hash of its token is kept."""
    token, kept = secret()
    until = act.caller.web.desk.now() + body.hours * HOUR
    data = {"name": body.name, "firm": body.firm, "token": kept, "until": until}
    said = body.model_dump(exclude=TIMES)  # the token and the end are new each time
    link = (await submit(act.caller, act.key, "link.make", act.subject, data, said=said))["link"]
    if link["id"] != kept[:10]:  # the same key again: its answer is known, its token is not
        raise Problem(409, "problem.link_again")
    path = f"/g/{link['id']}#{token}"
    return reply({"link": link, "path": path, "url": f"{str(request.base_url).rstrip('/')}{path}"})


@router.get("/orders/{id}/links", summary="Links of an order")
async def links(
    id: str,  # noqa: A002 - the name in the path
    caller: Annotated[Caller, Depends(need("link.make"))],
) -> Response:
    """Newest first, without what opens them."""
    order = await find(caller, "order", id)
    records = await asyncio.to_thread(
        lambda: caller.web.desk.state.records("link", estate=str(order["estate"]))
    )
    found = [_public(body) for _, body in records if body["order"] == id]
    return reply({"links": sorted(found, key=lambda k: (-k["made_at"], k["id"]))})


@router.post("/links/{id}/revoke", summary="Revoke a one-time link")
async def revoke(
    body: Plain,
    id: str,  # noqa: A002 - the name in the path
    request: Request,
    caller: Annotated[Caller, Depends(need("link.revoke"))],
) -> Response:
    """From the next call on its device is refused."""
    del body
    record = await asyncio.to_thread(caller.web.desk.state.record, "link", id)
    if record is None:
        raise Problem(404, "problem.scope")
    await find(caller, "order", str(record["order"]))
    key = key_of(request, caller, "link.revoke", id)
    return reply(await submit(caller, key, "link.revoke", id, {}))


def _public(body: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in body.items() if k not in ("token", "device")} | {"guest": f"guest-{body['id']}"}


# ── the guest ─────────────────────────────────────────────────────────────────────────────────────────


async def _guest(request: Request, link: str) -> Guest:
    return await guest_of(request, link)


Came = Annotated[Guest, Depends(_guest)]


@router.post("/guest/{link}/open", summary="Open a one-time link on this device")
async def open_link(link: str, body: TokenBody, request: Request, web: WebDep, lang: Lang) -> Response:
    """Binds the link to this device: the secret is set as a cookie, the answer holds the CSRF token."""
    record = await _opened(web, request, link, body.token)
    order = await asyncio.to_thread(web.desk.state.record, "order", record["order"])
    if order is None:
        raise Problem(401, "problem.link")
    has = request.cookies.get(cookie_of(link), "")
    given, device = (has, hashed(has)) if has and hashed(has) == record["device"] else secret()
    info = {**record, "guest": f"guest-{link}"}
    actor, now = actor_of_link(info, order), web.desk.now()
    data = {"token": hashed(body.token), "device": device}
    try:
        async with asyncio.timeout(web.options.submit_timeout_s):
            await web.desk.submit(
                Command(f"open:{link}:{device}", "link.open", link, actor, now, now, None, data)
            )
    except (Forbidden, NotFound) as e:
        raise Problem(401, "problem.link_device" if record["device"] else "problem.link") from e
    await asyncio.to_thread(remember, web.accounts, info)
    response = reply({"order": order["id"], "name": actor.name, "csrf": csrf_of(given), "lang": lang})
    age = max(60, int((record["until"] - now) / 1000 / web.clock.speed))
    secure = web.options.https or request.url.scheme == "https"
    response.set_cookie(
        cookie_of(link), given, max_age=age, httponly=True, secure=secure, samesite="lax", path="/"
    )
    return response


async def _opened(web: Web, request: Request, link: str, token: str) -> dict[str, Any]:
    """The record of a link whose token this is. Raises Problem 401, and 429 for an address that guesses."""
    tries, who = web.guesses, address_of(request)
    wait = tries.wait_s(who)
    if wait:
        raise Problem(429, "problem.too_often", headers={"Retry-After": str(int(wait))}, seconds=int(wait))
    record = await asyncio.to_thread(web.desk.state.record, "link", link[:20])
    if record is None or hashed(token) != record["token"]:
        tries.failed(who)
        raise Problem(401, "problem.link")
    if record["state"] not in ("sent", "open") or record["until"] <= web.desk.now():
        raise Problem(401, "problem.link")
    return record


@router.get("/guest/{link}/job", summary="The order of a one-time link")
async def job(guest: Came) -> Response:
    """What the phone needs for this one order, in the form of the snapshot."""
    web, order = guest.web, guest.order
    picture = web.desk.snapshot(guest.actor.scope)
    own = {order.get("alarm"), *(order.get("alarms") or ())}
    alarms = [a for a in picture["alarms"] if a["id"] in own]
    points = {a.get("point") for a in alarms}
    keeper = {a["contractor"] for a in picture["assets"] if a["id"] == order["asset"]}
    body = {
        "now": picture["now"], "site": picture["site"], "alarms": alarms, "orders": [_of_guest(order)],
        "estates": picture["estates"], "shift": [], "health": {"speed": web.clock.speed},
        "assets": [a for a in picture["assets"] if a["id"] == order["asset"]],
        "points": [p for p in picture["points"] if p["id"] in points],
        "values": {k: v for k, v in picture["values"].items() if k in points},
        "contractors": [c for c in picture["contractors"] if c["id"] in keeper],
        "until": guest.link["until"],
    }  # fmt: skip
    return reply(body, headers={"Cache-Control": "private, no-store"})


def _of_guest(order: Any) -> dict[str, Any]:
    """The order without sums and what the house tells itself."""
    hidden = ("costs", "costs_confirmed", "costs_total", "ladder", "informed", "notes", "fund_eligible")
    return {k: v for k, v in shown(order).items() if k not in hidden} | {"notes": [], "ladder": []}


def _acting(request: Request, guest: Guest, act: str) -> Acting:
    if act not in ACTS:
        raise Problem(403, "problem.guest", extra={"action": f"order.{act}"[:40]})
    caller = Caller(guest.web, guest.actor, guest.login, guest.lang)
    subject = str(guest.order["id"])
    return Acting(caller, f"order.{act}", subject, None, key_of(request, caller, f"order.{act}", subject))


@router.post(
    "/guest/{link}/photos",
    summary="Add a photo as a guest",
    openapi_extra={"requestBody": {"content": {"image/jpeg": {"schema": {"type": "string"}}}}},
)
async def guest_photo(
    request: Request,
    guest: Came,
    kind: Annotated[Literal["before", "after", "other"], Query()],
    item: Annotated[str, Query(max_length=60)] = "",
    at: Annotated[Stamp, Query(alias="done_at")] = None,
    sent_at: Stamp = None,
) -> Response:
    """As for people with an account."""
    return await add_photo(request, _acting(request, guest, "photo"), kind, item, at, sent_at)


@router.get("/guest/{link}/photos/{sha256}", summary="A photo of the guest's order")
async def guest_sees(sha256: Sha, guest: Came) -> Response:
    """The original."""
    entry = next((p for p in guest.order.get("photos") or () if p["sha256"] == sha256), None)
    if entry is None:
        raise Problem(404, "problem.scope")
    return await original(guest.web, sha256, entry["media"])


@router.post(
    "/guest/{link}/{act}",
    summary="Accept, arrive, check, done as a guest",
    openapi_extra={"requestBody": {"content": {"application/json": {"example": CHECKED}}}},
)
async def guest_acts(act: str, request: Request, guest: Came) -> Response:
    """`accept`, `arrive`, `check`, `done`, each with its body as under /orders; all else is 403."""
    doing = _acting(request, guest, act)
    if act not in BODIES:
        raise Problem(404, "http.404")
    body = BODIES[act].model_validate_json(await request.body() or b"{}")
    more = arrive_facts(guest.web, guest.order, body) if isinstance(body, Arrive) else {}
    return await doing.do(body, **more)
