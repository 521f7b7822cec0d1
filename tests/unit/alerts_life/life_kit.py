"""Rules, assets and people that the life-cycle tests share."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import alerts
from alerts.alarms import RuleFacts, RuleInfo
from alerts.calendars import default_calendars
from alerts.cards import Cards, Phones, cards_of
from alerts.desk import Dispatch
from alerts.matrix import DutyRole, Matrix, Row
from alerts.matrix_rows import roles_of, rows_of
from gateway.config import yamlmarks
from gateway.model import Actor, Asset, Command, Finding, Text

DEFAULTS = Path(alerts.__file__).parent / "defaults"
ZONE = ZoneInfo("Asia/Shanghai")
T0 = 1_790_000_000_000
MIN = 60_000

OPERATOR = Actor("wang", "Wang", "operator", frozenset({"CR"}))
LEAD = Actor("zhao", "Zhao", "supervisor", frozenset({"PM"}))
LIFT_TECH = Actor("li", "Li", "contractor", frozenset({"LM"}))
TECH = Actor("chen", "Chen", "technician", frozenset({"TE"}))


def text(s: str) -> dict[str, str]:
    return {"zh": s, "en": s}


def rule(id_: str, event: str, priority: int, *, life: bool = False, latch: bool = False) -> RuleInfo:
    return RuleInfo(
        id_, priority, life, latch, event, text(id_), text("c"), text("q"), text("r"), 600, "src", "TE"
    )


RULES = {
    r.id: r
    for r in (
        rule("water.low", "water_supply", 2),
        rule("water.fault", "water_supply", 3),
        rule("lift.trapped", "entrapment", 1, life=True, latch=True),
        rule("lift.stop", "lift_stopped", 2),
        rule("power.out", "outage", 2),
        rule("meter.flat", "meter", 4),
        rule("cover.moved", "manhole_moved", 1),
        rule("gas.high", "gas", 1, life=True, latch=True),
        rule("leak", "electrical_fire", 3),
    )
}
ASSETS = {
    a.id: a
    for a in (
        Asset("pw", "e1", "power", text("Power room")),
        Asset("ws", "e1", "water", text("Pumps"), text("B1"), depends_on=("pw",)),
        Asset("lift", "e1", "elevator", text("Lift"), contractor="otis", depends_on=("pw",)),
        Asset("lift-2", "e1", "elevator", text("Lift 2"), depends_on=("pw",)),
        Asset("em", "e1", "meter", text("Meter")),
        Asset("mh", "e1", "manhole", text("Cover")),
        Asset("new", "e1", "water", text("New"), mode="commissioning"),
    )
}


def find(
    rule_: str, asset: str, t: int, *, on: bool = True, onset: int | None = None, tag: str = "x", **k: Any
) -> Finding:
    onset = t if onset is None else onset
    return Finding(rule_, f"{asset}/{tag}", asset, ASSETS[asset].estate, onset, t, on, **k)


_n = [0]


def cmd(
    kind: str, subject: str, t: int, actor: Actor = OPERATOR, done: int | None = None,
    version: int | None = None, **data: Any,
) -> Command:  # fmt: skip
    _n[0] += 1
    return Command(f"c{_n[0]}", kind, subject, actor, t if done is None else done, t, version, data)


@cache  # read-only, and reading YAML is slow
def default_roles() -> dict[str, DutyRole]:
    return roles_of(yamlmarks.load(DEFAULTS / "roles.yaml")[0])


@cache
def default_rows() -> list[Row]:
    data, marks = yamlmarks.load(DEFAULTS / "matrix.yaml")
    return rows_of(data, default_roles(), at=marks.at)


@cache
def default_cards() -> dict[str, tuple[Text, ...]]:
    return cards_of(yamlmarks.load(DEFAULTS / "cards.yaml")[0])


def make_cards(phones: Phones | None = None, stores: Mapping[str, Text] | None = None) -> Cards:
    return Cards(default_cards(), phones, stores)


def make_desk(
    rules: Mapping[str, RuleFacts] = RULES, assets: Mapping[str, Asset] = ASSETS, **k: Any
) -> Dispatch:
    matrix = k.pop("matrix", None) or Matrix(default_rows(), default_roles())
    k.setdefault("calendars", default_calendars(ZONE))
    k.setdefault("watchdog_s", 0)
    return Dispatch.build(rules, assets, matrix, cards=make_cards(), **k)
