"""The residents' board: what works, who keeps it, whom to call. No log-in, nothing personal, no values."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from dashboards.api.deps import Lang, WebDep, reply
from dashboards.api.hazards import hazards_of
from dashboards.i18n import LANGS, t
from dashboards.problems import Problem
from dashboards.web import Web
from gateway.model import Level, Ms, Scope

router = APIRouter(prefix="/public", tags=["public"])
CACHE_S = 30.0
OUT = "OUT_OF_SERVICE"
OPEN_ALARMS = frozenset({"UNACK", "ACKED", "SHELVED", "SUPPRESSED", OUT})
AT_WORK = frozenset({"ON_SITE", "WORKING"})
OPEN_WORDS = frozenset({"detector", "inspection"})
MOST_HAZARDS = 100
GONE = frozenset({"CLOSED", "CANCELLED"})
STALE, BAD = int(Level.STALE), int(Level.BAD)


@router.get("/{estate}")
async def public(estate: str, web: WebDep, lang: Lang) -> Response:
    """The board of one estate; at most 30 s old."""
    board = board_of(web, estate)
    if (hazards := await public_hazards(web, estate)) is not None:
        board["hazards"] = hazards
    for asset in board["assets"]:
        asset["status_text"] = t(f"status.{asset['status']}", lang)
    headers = {"Cache-Control": f"public, max-age={int(CACHE_S)}", "Vary": "Accept-Language, Cookie"}
    return reply(board, headers=headers)


def board_of(web: Web, estate: str) -> dict[str, Any]:
    """The board as data, from the cache or made anew. Raises Problem 404."""
    now = web.clock.monotonic()
    found = web.boards.get(estate)
    if found is None or now - found[0] >= CACHE_S:
        if not web.directory.allows(Scope(), estate):
            raise Problem(404, "problem.scope")
        found = (now, make_board(web.desk.snapshot(Scope(estates=frozenset({estate}))), estate))
        web.boards[estate] = found
    board = found[1]
    return {**board, "assets": [dict(a) for a in board["assets"]]}


async def public_hazards(web: Web, estate: str) -> list[dict[str, Any]] | None:
    """Hazards of the estate that are not verified, without names; None where the estate keeps them to itself.

    What a resident or somebody else wrote may hold a name: only the words of detectors and of inspections
    are shown.
    """
    if not web.directory.estates[estate].get("hazards_public"):
        return None
    found = await asyncio.to_thread(hazards_of, web.desk.state, estate)
    fields = ("asset", "system", "place", "grade", "state", "found_at", "deadline", "overdue")
    return [
        {k: h.get(k) for k in fields} | {"title": h["title"] if h["source"] in OPEN_WORDS else None}
        for h in found
        if h["state"] != "verified"
    ][:MOST_HAZARDS]


def make_board(snapshot: Mapping[str, Any], estate: str) -> dict[str, Any]:
    """The board from a snapshot. Every field is named here: what is not named does not get out."""
    now: Ms = snapshot["now"]
    head = next(e for e in snapshot["estates"] if e["id"] == estate)
    contractors = {c["id"]: c for c in snapshot.get("contractors", ())}
    silent = silent_assets(snapshot)
    alarms = [a for a in snapshot["alarms"] if a["estate"] == estate and _counts(a)]
    orders = [o for o in snapshot["orders"] if o["estate"] == estate and _shown(o)]
    assets = []
    for asset in (a for a in snapshot["assets"] if a["estate"] == estate and a["system"] != "gateway"):
        keeper = contractors.get(asset.get("contractor") or "", {})
        mine = [o for o in orders if o.get("asset") == asset["id"]]
        status = _status(asset, [a for a in alarms if a["asset"] == asset["id"]], mine, silent)
        assets.append(
            {
                "id": asset["id"],
                "system": asset["system"],
                "name": asset["name"],
                "place": asset["place"],
                "status": status,
                "contractor": {"name": keeper.get("name"), "phone": keeper.get("phone", "")},
                "work": [_work(asset, o) for o in mine],
            }
        )
    fields = ("id", "name", "firm_name", "address", "complaint_phone")
    return {"estate": {k: head.get(k) for k in fields}, "now": now, "assets": assets}


def _counts(alarm: Mapping[str, Any]) -> bool:
    return bool(
        alarm.get("active") and alarm.get("state") in OPEN_ALARMS and int(alarm.get("priority", 4)) <= 2
        and not alarm.get("drill") and not alarm.get("commissioning")
    )  # fmt: skip


def _shown(order: Mapping[str, Any]) -> bool:
    return order.get("state") not in GONE and not order.get("drill")


def _work(asset: Mapping[str, Any], order: Mapping[str, Any]) -> dict[str, Any]:
    title = order.get("title")
    if order.get("source") != "sensor":  # its title holds what somebody wrote: perhaps a name or a telephone
        title = {lang: f"{asset['name'][lang]} {t('public.reported', lang)}" for lang in LANGS}
    stamps = order.get("stamps") or {}
    restore = (order.get("clocks") or {}).get("restore") or {}
    return {
        "event": order.get("event"), "title": title, "state": order.get("state"),
        "since": stamps.get("NEW") or stamps.get("DISPATCHED"), "expected_end": restore.get("due"),
        "party_name": order.get("party_name"),
    }  # fmt: skip


def _status(
    asset: Mapping[str, Any],
    alarms: list[Mapping[str, Any]],
    orders: list[Mapping[str, Any]],
    silent: Mapping[str, bool],
) -> str:
    """One word. Unknown is a state: what has no fresh reading is never called normal."""
    if asset.get("mode") == "commissioning":
        return "commissioning"
    if any(o.get("state") in AT_WORK for o in orders):
        return "repair"
    if alarms:
        return "repair" if all(a["state"] == OUT for a in alarms) else "fault"
    if asset["id"] not in silent:
        return "unmonitored"
    return "no_data" if silent[asset["id"]] else "normal"


def silent_assets(snapshot: Mapping[str, Any]) -> dict[str, bool]:
    """Asset → whether it is not known how it does: a reading of it is out of date, or none is to be trusted.

    One fresh reading proves nothing about the device that has gone silent beside it. A sensor that answers
    with rubbish is not silence; a point that was never read is none, unless there is no other.
    """
    levels: dict[str, list[int]] = {}
    values = snapshot.get("values", {})
    points: Iterable[Mapping[str, Any]] = snapshot.get("points", ())
    for point in points:
        value = values.get(point["id"])
        mine = levels.setdefault(point["asset"], [])
        if value is not None:
            mine.append(int(value[2]) >> 5 if value[1] is not None else BAD)
    return {asset: STALE in found or min(found, default=BAD) >= STALE for asset, found in levels.items()}
