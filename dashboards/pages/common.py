"""What the pages share: site facts, words for times and figures, navigation, the modules' first data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from fastapi import Request
from markupsafe import Markup
from starlette.responses import HTMLResponse

from alerts.orders_state import CAUSE_CODES, HOLD_REASONS
from dashboards.access.people import active, includes, scope_of
from dashboards.access.permissions import allows
from dashboards.api.account import describe, home_of
from dashboards.api.deps import Caller
from dashboards.i18n import catalogue, pick, t
from dashboards.web import Web
from gateway.model import SYSTEMS, Ms, Text
from gateway.ports import User

NAV = (
    ("/wall", "nav.wall", "view.wall"),
    ("/site", "nav.site", "view.asset"),
    ("/t", "nav.jobs", "view.orders"),
    ("/work", "nav.work", "view.hazards"),
    ("/handover", "nav.handover", "view.handover"),
    ("/stats", "nav.stats", "view.stats"),
    ("/admin", "nav.admin", "settings.view"),
)
"""Address, key of its name, action that it needs."""


@dataclass(frozen=True)
class SiteFacts:
    """What does not change while the core runs."""

    name: Text
    timezone: str


def site_facts(web: Web) -> SiteFacts:
    """Name and time zone of the site, asked once. Call it on the event loop."""
    known = web.templates.globals.get("site_facts")
    if not isinstance(known, SiteFacts):
        site = web.directory.learn()["site"]
        known = SiteFacts(site["name"], site["timezone"])
        web.templates.globals["site_facts"] = known
    return known


def add_filters(web: Web) -> None:
    """Words for times and shares in templates."""
    web.templates.filters |= {
        "pct": percent, "span": span, "lookup": lambda key, names: names.get(key, key),
    }  # fmt: skip
    web.templates.globals["when"] = lambda ms, pattern="%Y-%m-%d %H:%M:%S": when(
        ms, site_facts(web).timezone, pattern
    )


def when(ms: Ms | None, zone: str, pattern: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A moment in the site's zone; a dash for none."""
    if ms is None:
        return "—"
    return datetime.fromtimestamp(ms / 1000, ZoneInfo(zone)).strftime(pattern)


def percent(share: float | None, digits: int = 2) -> str:
    """A share between 0 and 1 as per cent, never rounded up to 100; a dash for none."""
    if share is None:
        return "—"
    shown = f"{share * 100:.{digits}f}"
    if share < 1 and float(shown) >= 100:
        shown = f"{100 - 10**-digits:.{digits}f}"
    return f"{shown} %"


def span(ms: float | None, lang: str) -> str:
    """A length of time in its two largest units; a dash for none."""
    if ms is None:
        return "—"
    seconds = round(ms / 1000)
    for size, key, lower, lower_key in (
        (86_400, "unit.d", 3600, "unit.h"),
        (3600, "unit.h", 60, "unit.min"),
        (60, "unit.min", 1, "unit.s"),
    ):
        if seconds >= size:
            first = f"{seconds // size} {t(key, lang)}"
            rest = seconds % size // lower
            return f"{first} {rest} {t(lower_key, lang)}" if rest else first
    return f"{seconds} {t('unit.s', lang)}"


def show(
    request: Request, caller: Caller, name: str, *, data: Mapping[str, Any] | None = None, **context: Any
) -> HTMLResponse:
    """A page for a logged-in person. `data` joins what its modules start with."""
    web, here = caller.web, request.url.path
    query = f"?{request.url.query}" if request.url.query else ""
    facts = site_facts(web)
    boot = {
        "me": describe(caller.actor, caller.login.csrf, caller.lang),
        "lang": caller.lang,
        "zone": facts.timezone,
        "systems": SYSTEMS,
        "breakit": web.options.breakit is not None and allows(caller.actor.role, "view.wall"),
        "causes": {k: dict(v) for k, v in CAUSE_CODES.items()},
        "holds": {k: dict(v) for k, v in HOLD_REASONS.items()},
        **(data or {}),
    }
    nav = [
        (f"/site/{estates[0]}" if path == "/site" else path, key, _below(here, path))
        for path, key, action in NAV
        if allows(caller.actor.role, action)
        and ((estates := web.directory.estates_of(caller.scope)) or path != "/site")
    ]
    return web.page(
        request, name, actor=caller.actor, csrf=caller.login.csrf, nav=nav, here=here + query,
        home=home_of(caller.actor), site_name=facts.name, boot=embedded(boot), **context,
    )  # fmt: skip


def _below(here: str, path: str) -> bool:
    """Whether a page belongs to an entry of the navigation."""
    mine = ("/work", "/order", "/plan", "/case", "/stickers") if path == "/work" else (path,)
    return any(here == p or here.startswith(f"{p}/") for p in mine)


def names_of(users: Iterable[User]) -> dict[str, str]:
    """User id → name."""
    return {u.id: str(u.body.get("name") or u.id) for u in users}


def people_of(users: Iterable[User], caller: Caller) -> list[tuple[str, str]]:
    """(id, name) of those within the caller's scope who can be given work."""
    able = ("operator", "technician", "supervisor", "manager", "contractor", "admin")
    mine = [
        u for u in users
        if active(u) and u.body.get("role") in able and includes(caller.scope, scope_of(u.body))
    ]  # fmt: skip
    return sorted(names_of(mine).items(), key=lambda pair: pair[1])


def roles(lang: str) -> list[tuple[str, str]]:
    """(duty role, its name)."""
    known = [k.removeprefix("duty.") for k in catalogue() if k.startswith("duty.")]
    return [(k, f"{t(f'duty.{k}', lang)} {k}") for k in known]


def assets_of(caller: Caller, estate: str = "") -> list[tuple[str, str]]:
    """(id, name and place) of the facilities within the caller's scope, for a choice."""
    directory = caller.web.directory
    found = [
        a for a in directory.assets.values()
        if a["system"] != "gateway" and (not estate or a["estate"] == estate)
        and directory.allows(caller.scope, a["estate"], a["system"])
    ]  # fmt: skip
    lang = caller.lang
    return [(a["id"], f"{pick(a['name'], lang)} · {pick(a['place'], lang)}") for a in found]


def embedded(data: Mapping[str, Any]) -> Markup:
    """JSON that may stand inside a script element."""
    text = orjson.dumps(data).decode().replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return Markup(text)  # noqa: S704 - nothing in it can end the element
