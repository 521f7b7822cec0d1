"""Drills 演练: a test alarm that a person starts and that goes the whole way, marked, into no figure."""

from __future__ import annotations

from collections.abc import Mapping

from alerts.alarms_state import RuleInfo
from gateway.model import SYSTEMS, Asset, Finding, Ms

DRILL_MS: Ms = 30 * 60_000
"""A drill that nobody ends is over after half an hour."""

_EVENTS: Mapping[str, str] = {
    "elevator": "entrapment", "fire": "fire_alarm", "water": "pump_room_flood", "drain": "sump_high",
    "manhole": "gas", "power": "outage", "lighting": "lighting", "generator": "generator", "septic": "gas",
    "meter": "meter", "call": "call_button", "gateway": "gateway",
}  # fmt: skip
LIFE_SYSTEMS = frozenset({"elevator", "fire", "manhole", "septic", "call"})
"""Systems whose alarms can be life safety."""


def _rule(kind: str) -> RuleInfo:
    return RuleInfo(
        id=f"drill.{kind}",
        # An outage that is only played must not suppress real alarms: see `alarms_causes.explains`.
        priority=1, life=kind in LIFE_SYSTEMS, latch=False, event=_EVENTS[kind],
        name={"zh": "演练报警", "en": "Drill alarm"},
        cause={"zh": "演练：由值班人员启动", "en": "A drill, started by a person"},
        consequence={"zh": "无实际后果，不计入统计", "en": "None; not in any figure"},
        response={"zh": "按处置卡完整演练一遍", "en": "Go through the card as if it were real"},
        time_limit_s=180, source="drill mode", owner="CR",
    )  # fmt: skip


DRILLS: Mapping[str, RuleInfo] = {f"drill.{kind}": _rule(kind) for kind in SYSTEMS}


def drill(asset: Asset, now: Ms) -> Finding:
    """The finding that starts a drill on an asset."""
    rule = f"drill.{asset.kind}"
    return Finding(rule, f"{asset.id}/drill", asset.id, asset.estate, now, now, True, facts={"drill": True})
