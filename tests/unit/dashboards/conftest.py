"""The web over a small core, with one person of every role."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dashboards.app import create_app
from dashboards.web import WebOptions
from gateway.adapters.clock import ManualClock
from gateway.model import ROLES
from tests.support.web_desk import WebDesk, alarm, life_record, order
from tests.support.web_site import HASHER, Build, Site


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Build]:
    """Makes webs with the given options; closes their stores."""
    desks: list[WebDesk] = []

    def make(options: WebOptions) -> Site:
        clock = ManualClock()
        desk = WebDesk(tmp_path, clock)
        desks.append(desk)
        site = Site(create_app(desk, desk.state, clock, options), desk, clock)
        for role in ROLES:
            if role != "public":
                site.person(role, role, duties=["LM"] if role in ("technician", "contractor") else [])
        desk.put("alarm", alarm("a1", "lift-1"))
        desk.put("alarm", alarm("a9", "lift-9"))
        desk.put("order", order("o1", "lift-1", "LM"))
        desk.keep("sample", "s1", "lift-1", seed="x", period="2026-01", chosen={"o1": None})
        facts: dict[str, Any] = {"order": "o1", "slots": {}, "amount_fen": None, "review": None}
        desk.keep("case", "c1", "lift-1", system="elevator", t=1, **facts)
        desk.keep("plan", "p1", "lift-1", due="2026-01-16")
        desk.put("order", order("o2", "pump-1", "TE"))
        desk.put("order", order("o9", "lift-9", "LM"))
        kept = {"silence": "si-1", "permit": "pm-1", "hazard": "hz-1", "link": "0123456789"}
        for kind, id_ in kept.items():
            desk.state.put_record(kind, id_, "garden", life_record(kind, id_))
        return site

    yield make
    for desk in desks:
        await asyncio.to_thread(desk.close)


@pytest.fixture
def site(build: Build) -> Site:
    """A web with the usual options."""
    return build(WebOptions(hasher=HASHER))
