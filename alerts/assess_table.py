"""Which kind of trouble leads to which other, where, and how soon. DOMAIN handbook 2.12; figures are [E].

[E] engineering judgement: no standard gives these delays. They are upper bounds for "plausible", no limits:
a consequence that comes later counts less, see `assess`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Where = Literal["below", "same", "line", "estate"]
"""Where the consequence is seen: on what depends on the cause, on the same facility, on another device of the
line, or anywhere in the estate."""

_MIN, _H = 60.0, 3600.0


@dataclass(frozen=True, slots=True)
class Link:
    """One kind of trouble leads to another. lag_s: plausible delay at most · weight: how surely, 0…1."""

    lag_s: float
    weight: float


def _links(weight: float, **effects: float) -> dict[str, Link]:
    return {event: Link(lag_s, weight) for event, lag_s in effects.items()}


_SILENCE = {"comms": 2 * _MIN, "lift_offline": 2 * _MIN, "sensor_fault": 10 * _MIN, "meter": 30 * _MIN}

BELOW: Mapping[str, Mapping[str, Link]] = {
    "outage": _links(
        0.95, lift_stopped=2 * _MIN, entrapment=5 * _MIN, lift_danger=5 * _MIN, call_button=10 * _MIN,
        generator=2 * _MIN, fire_system_fault=2 * _MIN, fire_pump=2 * _MIN, water_supply=10 * _MIN,
        lighting=10 * _MIN, outage=5 * _MIN, comms=10 * _MIN, lift_offline=10 * _MIN, gateway=4 * _H,
        sensor_fault=15 * _MIN, meter=30 * _MIN, sump_high=4 * _H, fire_pressure=2 * _H,
    ) | _links(0.7, pump_room_flood=4 * _H),
    "transformer": _links(0.6, water_supply=_H, lift_stopped=_H),
    "gateway": _links(0.97, **_SILENCE),
    "comms": _links(0.8, **_SILENCE),
    "drain_blocked": _links(0.9, drain_blocked=_H, sump_high=2 * _H, septic=4 * _H, manhole_moved=2 * _H)
    | _links(0.75, pump_room_flood=3 * _H, gas=4 * _H),
    "sump_high": _links(0.9, pump_room_flood=2 * _H, sump_high=2 * _H)
    | _links(0.75, water_supply=3 * _H, lift_stopped=3 * _H),
    "septic": _links(0.8, gas=_H, drain_blocked=2 * _H),
    "gas": _links(0.85, gas=_H),
    "water_supply": _links(0.8, fire_pressure=4 * _H, meter=_H),
}  # fmt: skip
"""Event on a facility → events on what depends on it."""

SAME: Mapping[str, Mapping[str, Link]] = {
    "outage": _links(0.85, outage=10 * _MIN, meter=_H),
    "transformer": _links(0.9, transformer=_H, outage=2 * _H),
    "electrical_fire": _links(0.8, outage=_H, electrical_fire=_H),
    "generator": _links(0.8, generator=_H),
    "lift_stopped": _links(0.85, entrapment=10 * _MIN, lift_stopped=10 * _MIN),
    "lift_danger": _links(0.9, entrapment=10 * _MIN, lift_stopped=10 * _MIN, lift_danger=10 * _MIN),
    "entrapment": _links(0.9, call_button=10 * _MIN, entrapment=15 * _MIN, lift_stopped=_H),
    "fire_alarm": _links(0.9, fire_confirmed=_H, fire_pump=_H, fire_pressure=_H),
    "fire_confirmed": _links(0.9, fire_pump=_H, fire_pressure=_H),
    "fire_pump": _links(0.7, fire_pressure=_H, fire_pump=_H),
    "fire_pressure": _links(0.8, fire_pump=_H, fire_pressure=_H),
    "fire_system_fault": _links(0.6, fire_system_fault=_H),
    "water_supply": _links(0.8, water_supply=4 * _H, pump_room_flood=_H),
    "pump_room_flood": _links(0.8, water_supply=2 * _H),
    "water_quality": _links(0.7, water_quality=2 * _H),
    "sump_high": _links(0.95, sump_high=2 * _H),  # the next float of a pit tells of the same water
    "drain_blocked": _links(0.95, drain_blocked=_H)
    | _links(0.85, gas=2 * _H, manhole_moved=_H, sump_high=2 * _H),
    "manhole_moved": _links(0.85, manhole_moved=_H),
    "gas": _links(0.85, gas=_H, septic=_H),
    "septic": _links(0.85, septic=_H, gas=_H),
    "gateway": _links(0.7, gateway=10 * _MIN),
    "comms": _links(0.8, **_SILENCE),
    "lift_offline": _links(0.8, **_SILENCE),
}
"""Event on a facility → later events on the same one."""

LINE: Mapping[str, Mapping[str, Link]] = {
    "comms": _links(0.9, comms=_MIN, lift_offline=_MIN),
    "lift_offline": _links(0.9, comms=_MIN, lift_offline=_MIN),
}
"""A device's silence → the silence of its neighbours on the line: one wire, one cause."""

ESTATE: Mapping[str, Mapping[str, Link]] = {
    "drain_blocked": _links(0.5, drain_blocked=_H, sump_high=_H, manhole_moved=_H),
    "sump_high": _links(0.5, drain_blocked=_H, sump_high=_H),
}
"""Water that rises in one place → in another one of the estate: one rain, one flood; weaker than an arrow."""

TABLES: Mapping[Where, Mapping[str, Mapping[str, Link]]] = {
    "below": BELOW,
    "same": SAME,
    "line": LINE,
    "estate": ESTATE,
}

HOP = 0.93
"""Each further arrow between cause and consequence leaves this share of the weight."""
