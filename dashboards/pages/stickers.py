"""Stickers for facilities: the code that a resident reports with and a technician proves the arrival with."""

from __future__ import annotations

import re
from typing import Annotated, Any

import segno
from fastapi import APIRouter, Depends, Query, Request
from markupsafe import Markup
from starlette.responses import Response

from dashboards.api.deps import Caller, need
from dashboards.codes import asset_code
from dashboards.pages.common import show
from dashboards.problems import Problem

router = APIRouter()
BASE = re.compile(r"https?://[A-Za-z0-9.-]{1,200}(:[0-9]{1,5})?/?")


def picture(address: str) -> Markup:
    """A QR code as SVG without a size of its own, with room for a quarter of it to be scratched off."""
    code = segno.make(address, error="q", micro=False)
    svg = code.svg_inline(border=2, omitsize=True, svgclass=None, lineclass=None)
    return Markup(svg)  # noqa: S704 - made here, of squares


@router.get("/stickers")
async def stickers(
    request: Request,
    caller: Annotated[Caller, Depends(need("view.reports"))],
    estate: Annotated[str, Query(max_length=48)] = "",
    base: Annotated[
        str, Query(max_length=220, description="address at which residents reach the pages")
    ] = "",
) -> Response:
    """A sheet of A4 with one sticker per facility of an estate."""
    directory, keys = caller.web.directory, caller.web.options.keys
    mine = directory.estates_of(caller.scope)
    estate = estate or next(iter(mine), "")
    if estate not in mine:
        raise Problem(404, "problem.scope")
    if base and not BASE.fullmatch(base):
        raise Problem(422, "problem.base")
    root = (base or str(request.base_url)).rstrip("/")
    found: list[dict[str, Any]] = []
    for id_, asset in directory.assets.items() if keys else ():
        if asset["estate"] != estate or asset["system"] == "gateway":
            continue
        if keys and directory.allows(caller.scope, estate, asset["system"]):
            code = asset_code(keys.report, id_)
            found.append({"asset": asset, "code": code, "svg": picture(f"{root}/r/{code}")})
    return show(
        request, caller, "stickers.html", stickers=found, estate=directory.estates[estate], root=root,
        estates={e: directory.estates[e] for e in mine}, local="//localhost" in root or "//127." in root,
    )  # fmt: skip
