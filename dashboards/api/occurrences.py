"""What an alarm did each time, and the raw samples that were frozen around it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi import Path as InPath
from starlette.responses import Response

from alerts.occurrences import DONE, EVIDENCE, OPEN, VERDICT, occurrence_id
from dashboards.api.acting import find
from dashboards.api.deps import Caller, need, reply
from dashboards.problems import Problem
from gateway.core.freezer import thaw
from gateway.ports import StateStore

router = APIRouter(prefix="/alarms", tags=["alarms"])
Viewer = Annotated[Caller, Depends(need("view.wall"))]

ROW = {
    "id": "5c1f0a9b7e21:1790000000000", "occurrence": "water.low@ws-1/ws.out_p@1790000000000",
    "start": 1790000000000, "acked_at": 1790000060000, "acked_by": "wang", "to_ack_ms": 60000,
    "cleared_at": 1790000300000, "duration_ms": 300000, "level": "LL", "value": 0.18, "limit": 0.2,
    "unit": "MPa", "frozen": True, "rule_version": "9f3c51d2aa07", "config": "03b7c1e5f911",
    "verdict": {"verdict": "true", "note": "", "by": "chen", "at": 1790003600000},
}  # fmt: skip
SAMPLES = {
    "occurrence": "water.low@ws-1/ws.out_p@1790000000000", "from": 1789999400000, "to": 1790000600000,
    "frozen_at": 1790000600000, "complete": True, "thinned": False, "rule_version": "9f3c51d2aa07",
    "points": {"ws-1/ws.out_p": {"t": [1789999401000], "v": [0.31], "q": [0]}}, "rule": {"id": "water.low"},
}  # fmt: skip


def rows_of(state: StateStore, alarm: str) -> list[dict[str, Any]]:
    """All occurrences of an alarm with their verdicts, newest first."""
    prefix = f"{alarm}:"
    rows = {
        id_: body | {"verdict": None}
        for kind in (OPEN, DONE)
        for id_, body in state.records(kind, prefix=prefix)
    }
    for id_, verdict in state.records(VERDICT, prefix=prefix):
        if id_ in rows:
            rows[id_] = rows[id_] | {"verdict": verdict}
    return [rows[id_] for id_ in sorted(rows, reverse=True)]


@router.get(
    "/{id}/occurrences",
    summary="Occurrences of an alarm",
    responses={200: {"content": {"application/json": {"example": {"occurrences": [ROW], "total": 1}}}}},
)
async def occurrences(
    id: str,  # noqa: A002 - the name in the path
    caller: Viewer,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(description="ms UTC: only what began before")] = None,
) -> Response:
    """Each activation as a row: start, acknowledgement, end, durations, level, verdict; newest first."""
    await find(caller, "alarm", id)
    rows = await asyncio.to_thread(rows_of, caller.web.desk.state, id)
    found = [r for r in rows if before is None or r["start"] < before]
    return reply({"occurrences": found[:limit], "total": len(rows)})


@router.get(
    "/{id}/occurrences/{onset}/evidence",
    summary="Samples frozen around an occurrence",
    responses={200: {"content": {"application/json": {"example": SAMPLES}}}},
)
async def evidence(
    id: str,  # noqa: A002 - the name in the path
    onset: Annotated[int, InPath(ge=0, le=9_999_999_999_999, description="the number in the row's id")],
    caller: Viewer,
) -> Response:
    """Raw samples from 10 minutes before to 10 minutes after, as they were, with the rule of that time.

    404 while they are not frozen yet (10 minutes after the onset) and for an alarm outside of the scope.
    """
    await find(caller, "alarm", id)
    record = await asyncio.to_thread(caller.web.desk.state.record, EVIDENCE, occurrence_id(id, onset))
    if record is None:
        raise Problem(404, "problem.no_evidence")
    try:
        body = thaw(record)
    except ValueError as e:
        raise Problem(409, "problem.evidence", extra={"reason": str(e)}) from e
    facts = ("occurrence", "frozen_at", "complete", "thinned", "rule_version", "config", "sha256")
    return reply({**{k: record[k] for k in facts}, **body})
