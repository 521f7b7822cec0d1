"""The regulator's figures of a period: the ledger per asset, sums per system, response times of orders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gateway.ledger import Figures, Segment, TimeClass, figures, fleet, partition
from gateway.ledger.claims import ALARMS, claims_of
from gateway.model import Asset, Event, Ms, Scope
from gateway.ports import Desk, StateStore

PAGE = 5_000
KINDS = (
    *ALARMS,
    "alarm.oos",
    "alarm.oos_end",
    "permit.started",
    "permit.ended",
    "asset.registered",
    "asset.mode",
    "gateway.online",
    "gateway.offline",
)
NAMES = {
    TimeClass.NOT_REQUIRED: "not_required",
    TimeClass.EXTERNAL: "external",
    TimeClass.DOWN_UNPLANNED: "down_unplanned",
    TimeClass.DOWN_PLANNED: "down_planned",
    TimeClass.UNKNOWN: "unknown",
    TimeClass.UP: "up",
}


def read_all(
    state: StateStore, estate: str, kinds: Sequence[str], end: Ms, start: Ms | None = None
) -> list[Event]:
    """All events of an estate of these kinds before `end`, in the order of their time."""
    out: list[Event] = []
    after: int | None = None
    while True:
        page = state.events(estate=estate, kinds=kinds, start=start, end=end, after=after, limit=PAGE)
        out += [e for _, e in page]
        if len(page) < PAGE:
            return sorted(out, key=lambda e: e.t)
        after = page[-1][0]


GatewaysOf = Callable[[str], Iterable[str]]


def ledger_of(
    state: StateStore, assets: Mapping[str, Asset], gateways_of: GatewaysOf, start: Ms, end: Ms, now: Ms
) -> dict[str, tuple[Figures, list[Segment]]]:
    """Figures and segments of [start, end) by asset, from the event log."""
    estates = {a.estate for a in assets.values()}
    events = {e: read_all(state, e, KINDS, min(end, now)) for e in sorted(estates)}
    out = {}
    for asset in assets.values():
        claims = claims_of(asset, gateways_of(asset.id), events[asset.estate])
        segments = partition(start, end, claims, now)
        out[asset.id] = (figures(segments, claims, start, end), segments)
    return out


def asset_figures(
    state: StateStore, assets: Mapping[str, Asset], gateways_of: GatewaysOf, start: Ms, end: Ms, now: Ms
) -> list[dict[str, Any]]:
    """One row per asset: the form in which pages, CSV and reports show it."""
    found = ledger_of(state, assets, gateways_of, start, end, now)
    return [_row(assets[a], f, segments) for a, (f, segments) in found.items()]


class Regulator:
    """Computes figures for `WebOptions.figures`.

    gateways_of: the edges that read an asset · allows: whether a scope includes an asset; both are asked in
    another thread than the core's.
    """

    def __init__(
        self,
        assets: Mapping[str, Asset],
        gateways_of: GatewaysOf,
        allows: Callable[[Scope, str], bool],
    ) -> None:
        self._assets, self._gateways_of, self._allows = assets, gateways_of, allows

    def __call__(self, desk: Desk, scope: Scope, start: Ms, end: Ms) -> dict[str, Any]:
        """The figures of [start, end) for the assets within scope. Blocking."""
        now = desk.now()
        assets = {i: a for i, a in self._assets.items() if self._allows(scope, i)}
        found = ledger_of(desk.state, assets, self._gateways_of, start, end, now)
        systems = sorted({a.kind for a in assets.values()})
        estates = sorted({a.estate for a in assets.values()})
        orders = [
            e for x in estates for e in read_all(desk.state, x, ORDER_KINDS, end, start) if e.asset in assets
        ]
        return {
            "now": now,
            "rows": [_row(assets[a], f, segments) for a, (f, segments) in found.items()],
            "systems": [
                _system(s, [found[a.id][0] for a in assets.values() if a.kind == s]) for s in systems
            ],
            "response": response(orders),
            "elevators": rescue(orders),
        }


def _ratios(f: Figures) -> dict[str, Any]:
    return {
        "availability": f.availability,
        "a_iec": f.a_iec,
        "a_sla": f.a_sla,
        "a_user": f.a_user,
        "a_low": f.a_low,
        "a_high": f.a_high,
        "coverage": f.coverage,
        **{f"{name}_ms": f.of(kind) for kind, name in NAMES.items()},
        "planned_late_ms": f.planned_late,
        "failures": f.failures,
        "restored": f.restored,
        "mtbf_ms": f.mtbf,
        "mttr_ms": f.mttr,
    }


def _row(asset: Asset, f: Figures, segments: Sequence[Segment]) -> dict[str, Any]:
    return {
        "asset": asset.id,
        "name": dict(asset.name),
        "estate": asset.estate,
        "system": asset.kind,
        **_ratios(f),
        "open": list(f.open),
        "events": {NAMES[k]: list(v) for k, v in f.refs.items() if v},
        "segments": [[s.start, s.end, NAMES[s.kind]] for s in segments],
    }


def _system(system: str, parts: Sequence[Figures]) -> dict[str, Any]:
    total = fleet(parts)
    assert total is not None
    return {"system": system, "assets": len(parts), **_ratios(total), "open": len(total.open)}


# ── orders ────────────────────────────────────────────────────────────────────────────────────────────

ORDER_KINDS = (
    "order.dispatched",
    "order.accepted",
    "order.arrived",
    "order.on_site",
    "order.done",
    "order.verified",
    "order.closed",
    "alarm.raised",
)
_ARRIVED = ("order.arrived", "order.on_site")


def _stamps(events: Iterable[Event]) -> dict[str, dict[str, Event]]:
    """First event of each kind by order; drills and tests of assets in commissioning left out."""
    out: dict[str, dict[str, Event]] = {}
    for e in events:
        real = not (e.data.get("drill") or e.data.get("commissioning") or e.data.get("source") == "plan")
        if e.kind.startswith("order.") and real:
            kind = "order.arrived" if e.kind in _ARRIVED else e.kind
            out.setdefault(e.subject, {}).setdefault(kind, e)
    return out


def _spread(values: Sequence[int]) -> dict[str, Any]:
    """n, mean, median, p90 and maximum in ms; None where there is nothing."""
    if not values:
        return {"n": 0, "mean": None, "p50": None, "p90": None, "max": None}
    v = sorted(values)
    return {
        "n": len(v),
        "mean": sum(v) / len(v),
        "p50": v[(len(v) - 1) // 2],
        "p90": v[min(len(v) - 1, int(0.9 * len(v)))],
        "max": v[-1],
    }


def response(events: Iterable[Event]) -> dict[str, Any]:
    """Dispatch → accept, accept → arrive, arrive → verified, of real orders."""
    orders = _stamps(events).values()

    def between(a: str, b: str) -> list[int]:
        return [o[b].t - o[a].t for o in orders if a in o and b in o]

    return {
        "orders": len(orders),
        "accept": _spread(between("order.dispatched", "order.accepted")),
        "arrive": _spread(between("order.dispatched", "order.arrived")),
        "repair": _spread(between("order.arrived", "order.done")),
        "restore": _spread(between("order.dispatched", "order.verified")),
    }


def rescue(events: Iterable[Event]) -> dict[str, Any]:
    """The elevator rescue figures in the form that city centres publish (3 minutes, 30 minutes)."""
    orders = [
        o
        for o in _stamps(events).values()
        if any(e.data.get("event") == "entrapment" for e in o.values()) and "order.dispatched" in o
    ]
    n = len(orders)
    accept = [o["order.accepted"].t - o["order.dispatched"].t for o in orders if "order.accepted" in o]
    arrive = [o["order.arrived"].t - o["order.dispatched"].t for o in orders if "order.arrived" in o]
    both = {"order.arrived", "order.done"}
    freed = [o["order.done"].t - o["order.arrived"].t for o in orders if both <= set(o)]
    return {
        "entrapments": n,
        "within_3_min": sum(t <= 180_000 for t in accept) / n if n else None,
        "within_30_min": sum(t <= 1_800_000 for t in arrive) / n if n else None,
        "arrive": _spread(arrive),
        "rescue": _spread(freed),
    }
