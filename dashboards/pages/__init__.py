"""The pages: what people look at. Templates and static files stand beside this package."""

from __future__ import annotations

from fastapi import APIRouter

from dashboards.pages import (
    admin,
    desk,
    figures,
    fund,
    handover,
    me,
    order,
    phone,
    plans,
    reports,
    residents,
    stickers,
    work,
)
from dashboards.pages.common import add_filters
from dashboards.web import Web


def router(web: Web) -> APIRouter:
    """All pages of one application."""
    add_filters(web)
    out = APIRouter(include_in_schema=False)
    for part in (
        desk.router,
        phone.router,
        figures.router,
        residents.router,
        reports.router,
        admin.router,
        handover.router,
        work.router,
        order.router,
        plans.router,
        fund.router,
        stickers.router,
        me.router,
    ):
        out.include_router(part)
    return out
