"""Builds the dispatch half of the brain from a setup and what people changed since."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from alerts.alarms_again import STANDING_S, UNACKED_S, Repeat
from alerts.assess_book import Assessor
from alerts.bands import Week
from alerts.cards import Cards, Phones, cards_of
from alerts.cases import CaseBook
from alerts.desk import Dispatch
from alerts.flood import FloodBook
from alerts.graph import Graph, Reader
from alerts.inspections import SampleBook
from alerts.links import LinkBook
from alerts.matrix import Matrix
from alerts.matrix_rows import rows_of
from alerts.notices_repeat import CallBook
from alerts.plans import PlanBook
from alerts.reports import ReportBook, city_notices
from alerts.rules_base import digest
from gateway.app.people import add_people, calendars_of, years
from gateway.app.policy import shipped_plans, shipped_templates
from gateway.app.setup import Setup
from gateway.config import yamlmarks
from gateway.model import Text
from gateway.ports import StateStore


def matrix_of(setup: Setup, own: list[dict[str, Any]] | None = None, week: Week | None = None) -> Matrix:
    """The default template and the site's rows, or exactly the rows `own` (as edited in pages)."""
    file = setup.site.file
    rows = setup.matrix if own is None else rows_of(own, setup.roles, zone=setup.site.timezone)
    return Matrix(
        rows,
        setup.roles,
        cities={e.id: e.city for e in file.estates},
        contractors={c.id: c.name.as_text() for c in file.contractors},
        week=week or Week(setup.site.timezone),
    )


def make_dispatch(setup: Setup, state: StateStore) -> Dispatch:
    """With the state of the last run; `Settings.restore` brings matrix and shifts as they were edited."""
    cards, _ = yamlmarks.parse(
        files("alerts").joinpath("defaults", "cards.yaml").read_text(encoding="utf-8"), "cards.yaml"
    )
    dispatch = Dispatch.build(
        setup.rules.by_id,
        setup.assets,
        matrix_of(setup),
        cards=Cards(cards_of(cards), phones(setup), stores_of(setup)),
        calendars=calendars_of(setup, years(setup)),
        firms=setup.site.firm_of,
        units={p.id: p.unit for p in setup.points.values()},
        watchdog_s=setup.site.file.watchdog.notice_s,
        repeat=repeat_of(setup),
        config=config_of(setup),
    )
    dispatch.orders.templates = shipped_templates()
    dispatch.add(PlanBook(dispatch.orders, shipped_plans(setup.roles), setup.site.timezone))
    dispatch.book.kin.use(graph_of(setup))
    dispatch.add(Assessor(dispatch.book, dispatch.orders))
    dispatch.add(FloodBook(setup.site.firm_of))
    dispatch.add(ReportBook(dispatch.orders))
    dispatch.add(CaseBook(dispatch.orders, setup.site.timezone))
    dispatch.add(SampleBook(dispatch.orders, setup.site.timezone))
    dispatch.tellers.append(city_notices)
    dispatch.add(CallBook(dispatch.orders.orders))
    dispatch.add(LinkBook(dispatch.orders))
    dispatch.use_roster(add_people(setup, dispatch).roster)
    dispatch.load([(kind, i, "", body) for kind in dispatch.kinds for i, body in state.records(kind)])
    return dispatch


def repeat_of(setup: Setup) -> Repeat:
    """When alarms are announced again: the shipped times under those of the site file; 0 is never."""
    own = setup.site.file.alarms
    return Repeat({**UNACKED_S, **own.repeat_s}, {**STANDING_S, **own.realarm_s})


def config_of(setup: Setup) -> str:
    """12 hex digits over the site's files and all that its rules say; kept with every occurrence."""
    written = {p.name: p.read_text(encoding="utf-8") for p in setup.site.files}
    return digest({"files": written, "rules": setup.rules.hash})


def graph_of(setup: Setup) -> Graph:
    """What depends on what: declared by the site file, and who reads which point over which line."""
    lines = {(g.id, d.id): line.id for _, g, line, d in setup.site.devices()}
    readers = {
        point: Reader(gateway, device, lines.get((gateway, device), ""))
        for point, (gateway, device) in setup.device_of.items()
    }
    return Graph(setup.assets, readers)


def stores_of(setup: Setup) -> dict[str, Text]:
    """Where each estate keeps its emergency stores, by estate, as far as it is known."""
    return {e.id: e.stores.as_text() for e in setup.site.file.estates if e.stores.zh or e.stores.en}


def phones(setup: Setup) -> Phones:
    """Numbers for the cards: of contractors, and of the people of the site file by duty role."""
    contractors = {c.id: (c.duty, c.phone) for c in setup.site.file.contractors}
    roles = {duty: phone for duty, phone in contractors.values() if duty and phone}
    for person in setup.site.file.people:
        for duty in person.duties:
            if person.phone:
                roles.setdefault(duty, person.phone)
    return Phones(roles, contractors)
