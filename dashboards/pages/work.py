"""What is done and agreed about facilities: orders, plans, permits and modes, hazards, reports, samples."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import RedirectResponse, Response

from alerts.alarms_drill import LIFE_SYSTEMS
from alerts.hazards import GRADES
from alerts.orders_state import ENDED
from alerts.reports import CITY, choices
from dashboards.access.permissions import allows
from dashboards.api.deps import Caller, need
from dashboards.api.hazards import hazards_of, masked
from dashboards.api.permits import permits_of
from dashboards.i18n import pick
from dashboards.pages.common import assets_of, names_of, people_of, roles, show, site_facts, when
from dashboards.pages.fund import fund_rows
from dashboards.pages.plans import plan_rows
from dashboards.problems import Problem

router = APIRouter()
TABS = {
    "orders": "view.orders", "plans": "view.orders", "permits": "view.wall", "hazards": "view.hazards",
    "reports": "view.reports", "fund": "view.cases", "samples": "view.stats",
}  # fmt: skip
"""Sheet → action that it needs."""
SHOWN = 300
ORDERS = ("open", "over", "confirm", "ended")
PAST_PERMITS = 20
MOST_NOTICES = 5000
Asked = Mapping[str, str]


@router.get("/work")
async def begin(caller: Annotated[Caller, Depends(need("view.hazards"))]) -> Response:
    """To the first sheet that the reader may open."""
    tab = next(name for name, action in TABS.items() if allows(caller.actor.role, action))
    return RedirectResponse(f"/work/{tab}", 303)


@router.get("/work/{tab}")
async def work(
    tab: str,
    request: Request,
    caller: Annotated[Caller, Depends(need("view.hazards"))],
    estate: Annotated[str, Query(max_length=48)] = "",
    show_: Annotated[str, Query(alias="show", max_length=20)] = "",
) -> Response:
    """One sheet; `estate` and `show` narrow it."""
    if tab not in TABS:
        raise Problem(404, "http.404")
    caller.require(TABS[tab])
    web = caller.web
    estates = {e: web.directory.estates[e] for e in web.directory.estates_of(caller.scope)}
    if estate and estate not in estates:
        raise Problem(404, "problem.scope")
    users = await asyncio.to_thread(web.accounts.users)
    rows = await _ROWS[tab](caller, {"estate": estate, "show": show_})
    return show(
        request, caller, "work.html", tab=tab, rows=rows, estates=estates, chosen=estate, shown=show_,
        tabs=[name for name, action in TABS.items() if allows(caller.actor.role, action)],
        assets=assets_of(caller, estate), known=web.directory.assets, people=names_of(users),
        duties=roles(caller.lang), others=[*roles(caller.lang), *people_of(users, caller)],
        clock=lambda ms: when(ms, site_facts(web).timezone, "%Y-%m-%dT%H:%M"),
    )  # fmt: skip


async def _records(caller: Caller, kind: str, asked: Asked) -> list[dict[str, Any]]:
    """Records of facilities within scope."""
    state, directory = caller.web.desk.state, caller.web.directory
    found = await asyncio.to_thread(lambda: state.records(kind, estate=asked["estate"] or None))
    return [b for _, b in found if directory.allows_asset(caller.scope, str(b.get("asset", "")))]


def next_due(order: Mapping[str, Any]) -> int | None:
    """When the next clock of an order runs out; None when none runs."""
    clocks = (order.get("clocks") or {}).values()
    return min((c["due"] for c in clocks if c.get("due") and not c.get("met_at")), default=None)


def fits(order: Mapping[str, Any], wanted: str, now: int) -> bool:
    """Whether an order belongs into a list of ORDERS."""
    ended = order["state"] in ENDED
    if wanted == "ended":
        return ended
    if wanted == "over":
        due = next_due(order)
        return not ended and due is not None and due < now
    if wanted == "confirm":
        asked = "second" in (order.get("needs") or ()) and not order.get("confirmed")
        return order["state"] in ("DONE", "VERIFIED") and (asked or not order.get("costs_confirmed"))
    return not ended


async def _orders(caller: Caller, asked: Asked) -> Any:
    now, wanted = caller.web.desk.now(), asked["show"] or "open"
    found = await _records(caller, "order", asked)
    mine = [o | {"next_due": next_due(o)} for o in found if fits(o, wanted, now)]
    newest = sorted(mine, key=lambda o: -int((o.get("stamps") or {}).get("NEW") or 0))
    if wanted != "ended":
        newest.sort(key=lambda o: (o.get("priority", 4), o["next_due"] or now * 2))
    return {"orders": newest[:SHOWN], "total": len(newest), "lists": ORDERS, "list": wanted}


async def _plans(caller: Caller, asked: Asked) -> Any:
    return plan_rows(await _records(caller, "plan", asked), caller, asked["show"])


async def _permits(caller: Caller, asked: Asked) -> Any:
    """Permits, what is not in normal service, drills, and calls that are held back."""
    web = caller.web
    directory, estate = web.directory, asked["estate"]
    permits = [
        p for p in await asyncio.to_thread(permits_of, web.desk.state)
        if any(directory.allows_asset(caller.scope, a) for a in p["assets"])
        and (not estate or p["estate"] == estate)
    ]  # fmt: skip
    snapshot = web.desk.snapshot(caller.scope)
    assets = [a for a in snapshot["assets"] if not estate or a["estate"] == estate]
    alarms = [a for a in snapshot["alarms"] if not estate or a["estate"] == estate]
    past = [p for p in permits if p["state"] not in ("running", "coming")]
    orders = await _records(caller, "order", asked) if allows(caller.actor.role, "view.orders") else []
    return {
        "permits": [p for p in permits if p["state"] in ("running", "coming")],
        "past": sorted(past, key=lambda p: -int(p["start"]))[:PAST_PERMITS],
        "commissioning": [a for a in assets if a["mode"] == "commissioning"],
        "out": [a for a in alarms if a["state"] == "OUT_OF_SERVICE"],
        "drills": [a for a in alarms if a["drill"] and a["active"]],
        "held": [o for o in orders if o["state"] not in ENDED and (o.get("keep") or {}).get("withheld")],
        "life": [a for a, b in directory.assets.items() if b["system"] in LIFE_SYSTEMS],
        "now": web.desk.now(),
    }  # fmt: skip


async def _hazards(caller: Caller, asked: Asked) -> Any:
    directory = caller.web.directory
    found = await asyncio.to_thread(hazards_of, caller.web.desk.state, asked["estate"] or None)
    wanted = asked["show"] or "open"
    mine = [
        h for h in found
        if directory.allows_body(caller.scope, h) and (h["state"] == "verified") == (wanted == "verified")
    ]  # fmt: skip
    if caller.actor.role == "regulator":
        mine = [masked(h) for h in mine]
    return {"hazards": mine[:SHOWN], "total": len(mine), "list": wanted, "grades": list(GRADES)}


async def _reports(caller: Caller, asked: Asked) -> Any:
    """Cases of the city's platform and residents' reports, with the order of each."""
    state = caller.web.desk.state
    found = sorted(await _records(caller, "report", asked), key=lambda r: (-int(r["t"]), r["id"]))[:SHOWN]
    orders, waiting = await asyncio.to_thread(
        lambda: ({r["order"]: state.record("order", r["order"]) or {} for r in found}, _unsent(caller))
    )
    rows = [
        r | {
            "job": orders[r["order"]], "sent": _sent(r, waiting),
            "words": pick(choices(_system(caller, r)).get(r["what"], r["what"]), caller.lang),
        }
        for r in found
    ]  # fmt: skip
    return {"city": [r for r in rows if r["number"]], "residents": [r for r in rows if not r["number"]]}


def _system(caller: Caller, report: Mapping[str, Any]) -> str:
    return str(caller.web.directory.assets[report["asset"]]["system"])


def _unsent(caller: Caller) -> dict[str, str] | None:
    """Answers to the city that have not gone out: notice → state. None: there are too many to tell."""
    found = caller.web.desk.state.notices(("waiting", "failed", "given_up"), MOST_NOTICES)
    if len(found) >= MOST_NOTICES:
        return None
    return {notice.id: state for notice, state, _ in found if notice.to == CITY}


def _sent(report: Mapping[str, Any], unsent: Mapping[str, str] | None) -> str:
    """open: nothing to say yet · sent, waiting, failed, given_up: the answer · unknown."""
    if not report["number"] or not report["answered"]:
        return "open"
    if unsent is None:
        return "unknown"
    return unsent.get(f"city.answered:{report['id']}:{CITY}:city", "sent")


async def _samples(caller: Caller, asked: Asked) -> Any:
    """Samples that were drawn, the newest first, and what the running month has closed so far."""
    web = caller.web
    found = await asyncio.to_thread(lambda: web.desk.state.records("sample", estate=asked["estate"] or None))
    mine = [b for _, b in found if web.directory.allows(caller.scope, b["estate"])]
    mine.sort(key=lambda s: (s["period"], s["id"]), reverse=True)
    return {"drawn": [s for s in mine if s["seed"]], "running": [s for s in mine if not s["seed"]]}


_ROWS: Mapping[str, Callable[[Caller, Asked], Awaitable[Any]]] = {
    "orders": _orders, "plans": _plans, "permits": _permits, "hazards": _hazards, "reports": _reports,
    "fund": fund_rows, "samples": _samples,
}  # fmt: skip
