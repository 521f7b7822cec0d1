"""Figures of the service by who gave it, from the event log alone: times, first-time fix, limits kept, score.

Sensor truth goes first: a restoration is measured where the sensor cleared the order's alarms
(`order.closed` with `measured`), and declared where only people said so; the share is printed. Percentiles
are nearest rank. Drills, assets in commissioning and planned maintenance are no service.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.model import Event, Ms

KINDS = (
    "order.created", "order.dispatched", "order.accepted", "order.arrived", "order.done", "order.verified",
    "order.closed", "order.cancelled", "order.reopened", "order.reminded", "plan.completed", "plan.overdue",
    "report.rated", "sample.result",
)  # fmt: skip
CLOCKS = ("accept", "arrive", "restore")
WEIGHTS: Mapping[str, int] = {
    "sla": 35, "first_time_fix": 20, "plan_compliance": 20, "inspection": 15, "rating": 10,
}  # fmt: skip
"""Parts of the score; a part without facts is left out, and the others count more."""
FirmOf = Callable[[str, str], str]
"""(duty role, asset) → who gave the service: the contractor, or the role inside of the firm."""


@dataclass
class _Order:
    id: str
    firm: str
    asset: str
    first: dict[str, Event] = field(default_factory=dict)
    reopened: int = 0
    missed: set[str] = field(default_factory=set)
    refired: bool = False


def rank(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile; None for no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def service(
    events: Iterable[Event],
    start: Ms,
    end: Ms,
    firm_of: FirmOf,
) -> list[dict[str, Any]]:
    """One row per firm for orders dispatched in [start, end); what is open at `end` is its backlog.

    events: of KINDS, before `end`, in the order of their time, from before `start` as far as orders go.
    """
    orders, plans, stars, samples = _read(events, end, firm_of)
    firms = sorted({o.firm for o in orders.values()} | set(plans) | set(stars) | set(samples))
    rows = []
    for firm in firms:
        mine = [o for o in orders.values() if o.firm == firm]
        row = {"firm": firm, **_times(mine, start, end), **_quality(mine, start, end)}
        row |= _plans(plans.get(firm, []), start) | _people(stars.get(firm, []), samples.get(firm, []), start)
        rows.append(row | score(row))
    return rows


def _read(
    events: Iterable[Event], end: Ms, firm_of: FirmOf
) -> tuple[dict[str, _Order], dict[str, list[Event]], dict[str, list[Event]], dict[str, list[Event]]]:
    orders: dict[str, _Order] = {}
    plans: dict[str, list[Event]] = {}
    stars: dict[str, list[Event]] = {}
    samples: dict[str, list[Event]] = {}
    for e in events:
        d = e.data
        if e.t >= end or d.get("drill") or d.get("commissioning"):
            continue
        if e.kind.startswith("plan."):
            plans.setdefault(firm_of(str(d.get("party")), e.asset), []).append(e)
        elif e.kind in ("report.rated", "sample.result"):
            of = stars if e.kind == "report.rated" else samples
            of.setdefault(firm_of(str(d.get("party")), e.asset), []).append(e)
        elif d.get("source") != "plan":
            _order(orders, e, firm_of)
    return orders, plans, stars, samples


def _order(orders: dict[str, _Order], e: Event, firm_of: FirmOf) -> None:
    o = orders.get(e.subject)
    if o is None:
        o = orders[e.subject] = _Order(e.subject, firm_of(str(e.data.get("party")), e.asset), e.asset)
    if e.kind == "order.reopened":
        o.reopened += 1
        for kind in ("order.done", "order.verified"):
            o.first.pop(kind, None)
    elif e.kind == "order.reminded":
        if int(e.data["percent"]) == 100:
            o.missed.add(str(e.data["clock"]))
    else:
        o.first.setdefault(e.kind, e)
        if e.kind == "order.created" and e.data.get("refire_of") in orders:
            orders[str(e.data["refire_of"])].refired = True


def _restored(o: _Order) -> tuple[Ms | None, bool]:
    """When service was back, and whether a sensor says so."""
    closed, done = o.first.get("order.closed"), o.first.get("order.done")
    ends = [d["to"] for d in (closed.data.get("downtime") or ())] if closed else []
    if closed and closed.data.get("measured") and ends and None not in ends:
        return max(ends), True
    return (done.t if done else None), False


def _times(orders: Sequence[_Order], start: Ms, end: Ms) -> dict[str, Any]:
    accept, arrive, restore, measured = [], [], [], 0
    mine = [
        o for o in orders if "order.dispatched" in o.first and start <= o.first["order.dispatched"].t < end
    ]
    for o in mine:
        began = o.first["order.dispatched"].t
        if "order.accepted" in o.first:
            accept.append(o.first["order.accepted"].t - began)
        if "order.arrived" in o.first:
            arrive.append(o.first["order.arrived"].t - began)
        back, by_sensor = _restored(o)
        if back is not None:
            restore.append(max(0, back - began))
            measured += by_sensor
    out: dict[str, Any] = {"orders": len(mine)}
    for name, values in (("accept", accept), ("arrive", arrive), ("restore", restore)):
        out[f"{name}_mean_ms"] = sum(values) / len(values) if values else None
        out[f"{name}_p50_ms"], out[f"{name}_p90_ms"] = rank(values, 0.5), rank(values, 0.9)
    return out | {"restore_n": len(restore), "restore_measured": measured}


def _quality(orders: Sequence[_Order], start: Ms, end: Ms) -> dict[str, Any]:
    mine = [
        o for o in orders if "order.dispatched" in o.first and start <= o.first["order.dispatched"].t < end
    ]
    closed = [o for o in mine if "order.closed" in o.first]
    fixed = [o for o in closed if not o.reopened and not o.refired]
    kept = [(o, c) for o in mine for c in CLOCKS if c in o.missed or _met(o, c)]
    open_ = [
        o
        for o in orders
        if "order.dispatched" in o.first and not {"order.closed", "order.cancelled"} & set(o.first)
    ]
    ages = [end - o.first["order.dispatched"].t for o in open_]
    missed = [f"{o.id}/{c}" for o, c in kept if c in o.missed]
    return {
        "closed": len(closed), "first_time": len(fixed), "reopened": sum(o.reopened for o in mine),
        "refired": [o.id for o in closed if o.refired],
        "sla_n": len(kept), "sla_missed": missed, "backlog": len(open_),
        "backlog_oldest_ms": max(ages, default=None), "backlog_p50_ms": rank(ages, 0.5),
    }  # fmt: skip


def _met(o: _Order, clock: str) -> bool:
    kind = {"accept": "order.accepted", "arrive": "order.arrived", "restore": "order.done"}[clock]
    return kind in o.first


def _plans(events: Sequence[Event], start: Ms) -> dict[str, Any]:
    events = [e for e in events if e.t >= start]
    done = [e for e in events if e.kind == "plan.completed"]
    told = {(e.subject, e.data.get("due")) for e in done}
    open_ = [e for e in events if e.kind == "plan.overdue" and (e.subject, e.data.get("due")) not in told]
    late = [e.subject for e in done if not e.data.get("on_time")] + [e.subject for e in open_]
    return {"plans": len(done) + len(open_), "plans_late": late}


def _people(stars: Sequence[Event], samples: Sequence[Event], start: Ms) -> dict[str, Any]:
    given = [int(e.data["stars"]) for e in stars if e.t >= start]
    looked = [e for e in samples if e.t >= start and e.data.get("result") != "gone"]
    failed = [str(e.data["order"]) for e in looked if e.data.get("result") == "fail"]
    return {
        "ratings": len(given), "rating_mean": sum(given) / len(given) if given else None,
        "inspected": len(looked), "inspection_failed": failed,
    }  # fmt: skip


def score(row: Mapping[str, Any]) -> dict[str, Any]:
    """{score: 0 to 100 or None, parts: {name: {value, n, weight, facts}}}: what is behind each number."""
    failed, late = row["inspection_failed"], row["plans_late"]
    facts: dict[str, tuple[float, int, list[Any]]] = {
        "sla": (1 - _share(len(row["sla_missed"]), row["sla_n"]), row["sla_n"], row["sla_missed"]),
        "first_time_fix": (_share(row["first_time"], row["closed"]), row["closed"], row["refired"]),
        "plan_compliance": (1 - _share(len(late), row["plans"]), row["plans"], late),
        "inspection": (1 - _share(len(failed), row["inspected"]), row["inspected"], failed),
        "rating": (((row["rating_mean"] or 1) - 1) / 4, row["ratings"], []),
    }  # fmt: skip
    parts = {k: {"value": v, "n": n, "weight": WEIGHTS[k], "facts": f} for k, (v, n, f) in facts.items() if n}
    weight = sum(WEIGHTS[k] for k in parts)
    total = sum(facts[k][0] * WEIGHTS[k] for k in parts)
    return {"score": round(100 * total / weight, 1) if weight else None, "parts": parts}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
