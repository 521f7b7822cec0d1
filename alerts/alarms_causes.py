"""Which alarms follow from another one: dependency suppression.

Suppress alerting, never monitoring; suppress creation, never resolution. Life safety and priority 1 are
never suppressed, nor is a generator that fails when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from alerts.alarms_state import Alarm, RuleFacts
from gateway.model import Asset, Finding, Ms

FOLLOWS: Mapping[str, frozenset[str]] = {
    "outage": frozenset(
        {
            "lift_stopped", "lift_offline", "fire_system_fault", "water_supply", "sump_high", "lighting",
            "meter", "comms", "sensor_fault", "outage", "gateway",
        }
    ),
    "gateway": frozenset({"comms", "sensor_fault", "lift_offline", "meter"}),
    "comms": frozenset({"comms", "sensor_fault", "lift_offline", "meter"}),
}  # fmt: skip
"""Event of an asset's alarm → events of the assets that depend on it which it explains.

A flooded pump room, a fire pump that is not in automatic and a low fire main are never explained away.
"""

LINKS: Mapping[str, frozenset[str]] = {"outage": frozenset({"entrapment", "generator", "lift_danger"})}
"""The same for alarms that are never suppressed: they only name the cause as their root."""

LOST = 2
"""An alarm about the supply explains others from this priority on: the supply is lost. A voltage or frequency
that is only out of its band, or a change-over to the generator, stops nothing.
"""

LAG_MS: Ms = 600_000
"""A consequence that was noticed before its cause is folded into it when it is at most this much older."""

GRACE_MS: Ms = 60_000
"""Time that a dependent asset has to recover by itself after its cause has ended."""


def suppressible(alarm: Alarm) -> bool:
    """Whether the alarm may be suppressed at all."""
    return not alarm.life and alarm.priority > 1 and not alarm.drill and alarm.event != "generator"


def explains(cause: Alarm, alarm: Alarm) -> bool:
    """Whether an alarm of a parent asset makes this one a mere consequence."""
    real = cause.active and not cause.drill and cause.id != alarm.id
    if cause.event == "outage" and cause.priority > LOST:
        return False
    known = FOLLOWS.get(cause.event, frozenset()) | LINKS.get(cause.event, frozenset())
    return real and not alarm.drill and alarm.event in known


def parents(asset: str, assets: Mapping[str, Asset]) -> Iterator[str]:
    """All assets that this one depends on, nearest first; a circle ends where it closes."""
    seen, front = {asset}, [asset]
    while front:
        front = [p for a in front if a in assets for p in assets[a].depends_on if p not in seen]
        front = list(dict.fromkeys(front))
        seen.update(front)
        yield from front


def cause_of(alarm: Alarm, alarms: Mapping[str, list[Alarm]], assets: Mapping[str, Asset]) -> Alarm | None:
    """The active alarm of the nearest parent that explains this one. `alarms`: causes by asset."""
    for parent in parents(alarm.asset, assets):
        for cause in alarms.get(parent, ()):
            if explains(cause, alarm):
                return cause
    return None


def arrange(found: Iterable[Finding], rules: Mapping[str, RuleFacts]) -> list[Finding]:
    """The order in which a batch is judged.

    A late beginning whose end is in the same batch is left to its end. A cause (an outage, a lost gateway)
    that begins goes first and one that ends goes last, so that what follows from it calls nobody. The order
    within one condition is kept.
    """
    batch = list(found)
    ended = {f.id for f in batch if f.late and not f.active}
    times: dict[str, int] = {}
    for f in batch:
        times[f.condition] = times.get(f.condition, 0) + 1

    def place(f: Finding) -> int:
        rule = rules.get(f.rule)
        if rule is None or rule.event not in FOLLOWS or times[f.condition] > 1:
            return 1
        return 0 if f.active else 2

    def told_by_its_end(f: Finding) -> bool:
        rule = rules.get(f.rule)
        return f.late and f.active and f.id in ended and not (rule and rule.life)

    return sorted((f for f in batch if not told_by_its_end(f)), key=place)
