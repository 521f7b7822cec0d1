"""Figures for the regulator, as JSON and as a file for a spreadsheet."""

from __future__ import annotations

import asyncio
import csv
import io
import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from dashboards.api.deps import Caller, need, reply
from dashboards.api.directory import narrowed
from dashboards.api.history import From, To, check_period
from dashboards.i18n import pick
from dashboards.problems import Problem

router = APIRouter(tags=["figures"])
Estates = Annotated[list[str] | None, Query(description="only these; several may be given")]
FORMULA = ("=", "+", "-", "@", "\t", "\r")


async def figures_of(
    caller: Caller, start: int, end: int, estates: list[str], systems: list[str]
) -> dict[str, Any]:
    """The figures of [from, to) within the caller's scope. Raises Problem 503 when there are none to ask."""
    check_period(start, end)
    compute = caller.web.options.figures
    if compute is None:
        raise Problem(503, "problem.later")
    for estate in estates:
        if not caller.web.directory.allows(caller.scope, estate):
            raise Problem(404, "problem.scope")
    scope = narrowed(caller.scope, estates, systems)
    result = await asyncio.to_thread(compute, caller.web.desk, scope, start, end)
    return {"from": start, "to": end, **result}


@router.get("/stats")
async def stats(
    caller: Annotated[Caller, Depends(need("view.stats"))],
    start: From,
    end: To,
    estate: Estates = None,
    system: Estates = None,
) -> Response:
    """Figures of the half-open period [from, to)."""
    return reply(await figures_of(caller, start, end, estate or [], system or []))


@router.get("/stats.csv")
async def stats_csv(
    caller: Annotated[Caller, Depends(need("export"))],
    start: From,
    end: To,
    estate: Estates = None,
    system: Estates = None,
    table: Annotated[str, Query(max_length=40, description="which list of the figures")] = "rows",
) -> Response:
    """One table of the figures, UTF-8 with a byte order mark, so that spreadsheets read it as it is."""
    result = await figures_of(caller, start, end, estate or [], system or [])
    rows = result.get(table)
    if not isinstance(rows, list):
        raise Problem(404, "http.404")
    name = f"steward-{table if table.isalnum() else 'table'}-{start}-{end}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(to_csv(rows, caller.lang), headers=headers, media_type="text/csv; charset=utf-8")


def to_csv(rows: Iterable[Mapping[str, Any]], lang: str) -> bytes:
    """Rows with the union of their keys as columns; texts that a spreadsheet would calculate are quoted."""
    rows = list(rows)
    columns = [c for c in dict.fromkeys(key for row in rows for key in row) if not _nested(rows, c)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([_cell(c, lang) for c in columns])
    writer.writerows([[_cell(row.get(c), lang) for c in columns] for row in rows])
    return out.getvalue().encode("utf-8-sig")


def _nested(rows: Iterable[Mapping[str, Any]], column: str) -> bool:
    """Whether a column holds lists or objects (segments, references): those are in the JSON."""
    return any(
        isinstance(v, list) or (isinstance(v, Mapping) and not _is_text(v))
        for v in (r.get(column) for r in rows)
    )


def _is_text(value: Mapping[str, Any]) -> bool:
    return bool(value) and set(value) <= {"zh", "en"}


def _cell(value: Any, lang: str) -> str:
    """Numbers stay numbers (a minus sign included); a text that begins like a formula gets an apostrophe."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int | float):
        return repr(value)
    text = pick(value, lang)
    return "'" + text if text.lstrip(" \n").startswith(FORMULA) or text.startswith(FORMULA) else text
