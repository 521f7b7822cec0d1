"""From the event log to claims: what the facts say about one asset's time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.ledger.partition import Claim, TimeClass
from gateway.model import Asset, Event, Ms

DOWN_EVENTS: Mapping[str, frozenset[str]] = {
    "elevator": frozenset({"entrapment", "lift_stopped", "lift_danger"}),
    "fire": frozenset({"fire_system_fault", "fire_pump", "fire_pressure"}),
    "water": frozenset({"water_supply", "water_quality", "pump_room_flood"}),
    "drain": frozenset({"sump_high"}),
    "manhole": frozenset({"manhole_moved"}),
    "power": frozenset({"transformer"}),
    "lighting": frozenset({"lighting"}),
    "generator": frozenset({"generator"}),
    "septic": frozenset({"septic"}),
    "meter": frozenset({"meter"}),
    "call": frozenset(),
    "gateway": frozenset({"gateway"}),
}
"""Matrix events of priority 1 or 2 that mean: the facility has lost its required function."""

BLIND_EVENTS = frozenset({"sensor_fault", "comms", "lift_offline"})
"""Events that mean: nobody knows."""


ALARMS = ("alarm.raised", "alarm.cleared", "alarm.occurred", "alarm.backdated")
"""What says that a condition held; the last two are found after an outage of the edge."""


@dataclass(slots=True)
class _Open:
    claims: dict[str, Claim] = field(default_factory=dict)
    done: list[Claim] = field(default_factory=list)

    def begin(self, key: str, claim: Claim) -> None:
        self.claims.setdefault(key, claim)

    def end(self, key: str, t: Ms) -> None:
        claim = self.claims.pop(key, None)
        if claim is not None:
            self.done.append(
                Claim(claim.kind, claim.start, t, claim.ref, claim.cause, claim.announced, claim.permit_end)
            )


def claims_of(asset: Asset, gateways: Iterable[str], events: Iterable[Event]) -> list[Claim]:
    """Claims about one asset from the estate's events in order of their time.

    gateways: the edges that read the asset; while one is offline the asset is unknown. A power outage of an
    asset that this one depends on disables it from outside. Drills leave no trace.
    """
    open_ = _Open()
    upstream = set(asset.depends_on)
    silent = set(gateways)
    for e in events:
        if e.data.get("drill"):
            continue
        if e.asset == asset.id:
            _own(asset, e, open_)
        elif e.asset in upstream and _is_outage(e):
            _toggle(open_, e, TimeClass.EXTERNAL, f"outage:{e.asset}")
        elif e.kind == "gateway.offline" and e.subject in silent:
            open_.begin(f"gw:{e.subject}", Claim(TimeClass.UNKNOWN, e.t, None, e.id, f"gateway:{e.subject}"))
        elif e.kind == "gateway.online" and e.subject in silent:
            open_.end(f"gw:{e.subject}", e.t)
    return sorted([*open_.done, *open_.claims.values()], key=lambda c: (c.start, c.kind))


def _own(asset: Asset, e: Event, open_: _Open) -> None:
    if e.kind in ALARMS:
        kind = _class_of(asset, e)
        if kind is not None:
            _toggle(open_, e, kind, str(e.data.get("rule", "")))
    elif e.kind == "asset.registered":
        open_.done.append(Claim(TimeClass.NOT_REQUIRED, 0, e.t, e.id, "before registration"))
    elif e.kind == "asset.mode":
        _mode(e, open_)
    elif e.kind == "alarm.oos":
        until = e.data.get("until")
        open_.begin(
            f"oos:{e.subject}",
            Claim(
                TimeClass.DOWN_PLANNED, e.t, None, e.id, str(e.data.get("permit", "")),
                announced=e.data.get("announced"), permit_end=until if isinstance(until, int) else None,
            ),
        )  # fmt: skip
    elif e.kind == "alarm.oos_end":
        open_.end(f"oos:{e.subject}", e.t)
    elif e.kind == "permit.started":
        open_.begin(
            f"permit:{e.subject}",
            Claim(
                TimeClass.DOWN_PLANNED, e.t, None, e.id, str(e.data["permit"]),
                announced=e.data["announced"], permit_end=int(e.data["until"]),
            ),
        )  # fmt: skip
    elif e.kind == "permit.ended":
        open_.end(f"permit:{e.subject}", e.t)


def _mode(e: Event, open_: _Open) -> None:
    if e.data.get("mode") == "commissioning":
        open_.begin("mode", Claim(TimeClass.NOT_REQUIRED, e.t, None, e.id, "commissioning"))
    else:
        open_.end("mode", e.t)


def _class_of(asset: Asset, e: Event) -> TimeClass | None:
    event = str(e.data.get("event", ""))
    if event in BLIND_EVENTS and str(e.data.get("rule", "")).endswith(".no_data"):
        return TimeClass.UNKNOWN
    if event in DOWN_EVENTS.get(asset.kind, frozenset()) and int(e.data.get("priority", 4)) <= 2:
        return TimeClass.DOWN_UNPLANNED
    return TimeClass.EXTERNAL if asset.kind == "power" and _is_outage(e) else None


def _is_outage(e: Event) -> bool:
    """The supply is lost; a voltage out of its band (priority 3) stops nothing."""
    return e.kind in ALARMS and e.data.get("event") == "outage" and int(e.data.get("priority", 4)) <= 2


def _toggle(open_: _Open, e: Event, kind: TimeClass, cause: str) -> None:
    if e.kind == "alarm.raised":
        open_.begin(e.subject, Claim(kind, e.t, None, e.id, cause))
    elif e.kind == "alarm.occurred":  # began and ended inside an outage of the edge, found afterwards
        open_.done.append(Claim(kind, e.t, int(e.data["cleared_at"]), e.id, cause))
    elif e.kind == "alarm.backdated":  # it had begun before the edge was back
        open_.done.append(Claim(kind, e.t, int(e.data["live_onset"]), e.id, cause))
    else:
        open_.end(e.subject, e.t)
