"""Closing against the sensor in a real core: refused, logged before anybody is told, kept over a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Conflict
from gateway.model import Actor, Command
from tests.e2e.chain_support import ESTATE, Rig, rig

TECH = Actor("li", "Li", "technician", frozenset({"TE"}))


async def act(r: Rig, verb: str, order: str, key: str, **data: Any) -> dict[str, Any]:
    """One command and its answer; raises what the core refuses."""
    now = r.clock.now()
    asked = asyncio.ensure_future(
        r.core.submit(Command(f"{key}-{verb}", f"order.{verb}", order, TECH, now, now, None, data))
    )
    while not asked.done():
        await asyncio.sleep(0)
        await r.core.step()
    return await asked


async def test_the_refusal_is_written_before_it_is_told_and_once(tmp_path: Path) -> None:
    async with rig(tmp_path) as r:
        r.edges[0].plant["ws.out_p"] = 0.40
        await r.run(60)
        order = r.events("order.created")[-1].subject
        for verb in ("accept", "arrive"):
            await act(r, verb, order, "k")
        await act(r, "done", order, "k", cause_code="equipment", action="x")
        for _ in range(2):  # the same key again
            with pytest.raises(Conflict, match="still says abnormal"):
                await act(r, "close", order, "k", total_fen=0)
            (fact,) = r.events("order.close_refused")
        assert (fact.subject, fact.actor) == (order, "li")
        assert fact.data["active"] == [r.alarms("water.out_p_high")[-1].subject]
        await r.restart()
        await r.run(5)
        assert [e.id for e in r.events("order.close_refused")] == [fact.id]
        r.edges[0].plant["ws.out_p"] = 0.35
        await r.run(200)
        assert [e.data["by"] for e in r.events("order.verified")] == ["sensor"]
        await act(r, "close", order, "later", total_fen=0)
        assert len(r.events("order.closed")) == 1
        assert r.state.verify(ESTATE) is None
