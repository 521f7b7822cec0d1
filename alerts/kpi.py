"""Figures about the alarm system itself, from the event log. Pure functions over events.

Sources: ISA-18.2 / IEC 62682 and EEMUA 191 for what is counted and for the targets (DOMAIN handbook,
section 6). A *new alarm* is one that came before the operator: not suppressed, not folded, no drill, none of
an asset in commissioning or under a work permit.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from alerts.flood import announces, floods
from gateway.model import Event, Ms

TEN_MIN: Ms = 600_000
DAY_MS: Ms = 86_400_000
STALE_MS: Ms = DAY_MS
MANY = 10
"""More new alarms than this in ten minutes are more than one person can look at."""
CHATTER_STARTS, CHATTER_MS = 3, 60_000
MACHINE = "steward"

KINDS: tuple[str, ...] = (
    "alarm.raised", "alarm.cleared", "alarm.level", "alarm.acked", "alarm.shelved", "alarm.unshelved",
    "alarm.suppressed", "alarm.unsuppressed", "alarm.oos", "alarm.oos_end", "alarm.reset", "alarm.latched",
    "alarm.reannounced", "alarm.mode", "alarm.judged",
)  # fmt: skip
"""Events that the figures are made of."""

TARGETS: Mapping[str, Any] = {
    "per_10min": 1.0, "per_10min_limit": 2.0, "over_10_share": 0.01, "flood_share": 0.01, "stale": 5,
    "chattering": 0, "top_ten_share": 0.05, "priority": {"low": 0.80, "medium": 0.15, "high": 0.05},
}  # fmt: skip
"""ISA-18.2 / EEMUA 191, per operator position."""

CLASS_OF: Mapping[int, str] = {1: "high", 2: "medium", 3: "low", 4: "low"}
VERDICTS = ("true", "false", "nuisance")


@dataclass(slots=True)
class _Condition:
    """What is known of one alarm on the way through the log."""

    rule: str = ""
    active: bool = False
    unacked: bool = False
    raised: Ms = 0
    shown: Ms | None = None  # since when somebody should acknowledge it
    starts: list[Ms] = field(default_factory=list)


def counts(e: Event) -> bool:
    """Whether an event enters the figures at all."""
    marked = e.data.get("commissioning") or e.data.get("mode", "normal") != "normal"
    return e.kind in KINDS and not (e.data.get("drill") or marked)


def figures(events: Iterable[Event], start: Ms, end: Ms) -> dict[str, Any]:
    """The figures of [start, end) of one operator's seat.

    events: of the seat's estates from the beginning of the log to `end`: what stood before `start` counts for
    what is active, unacknowledged or stale. Shares are 0…1, None where nothing can be divided; times in ms.
    """
    known = sorted((e for e in events if e.kind in KINDS and e.t < end), key=lambda e: e.t)
    log = [e for e in known if counts(e)]
    within = [e for e in log if e.t >= start]
    fresh = [e for e in within if announces(e)]
    times = [e.t for e in log if announces(e)]
    tally = _walk(known, start)
    return {
        "from": start,
        "to": end,
        "occurrences": sum(e.kind == "alarm.raised" for e in within),
        "new": len(fresh),
        "suppressed": sum(e.kind == "alarm.suppressed" for e in within),
        **_rates([e.t for e in fresh], start, end),
        **_floods(times, start, end),
        **tally.as_dict(end),
        "top_ten": _top_ten(fresh),
        "top_ten_share": _share(sum(r["count"] for r in _top_ten(fresh)), len(fresh)),
        "priority": _priority(fresh),
        "operators": _operators(tally.acks),
        "precision": _precision(log, start),
        "targets": dict(TARGETS),
    }


def _rates(times: Sequence[Ms], start: Ms, end: Ms) -> dict[str, Any]:
    windows = max(1, math.ceil((end - start) / TEN_MIN))
    per = Counter((t - start) // TEN_MIN for t in times)
    return {
        "windows": windows,
        "per_10min": len(times) / windows,
        "per_10min_max": max(per.values(), default=0),
        "over_10": sum(n > MANY for n in per.values()),
        "over_10_share": sum(n > MANY for n in per.values()) / windows,
        "per_day": len(times) * DAY_MS / (end - start) if end > start else None,
    }


def _floods(times: Sequence[Ms], start: Ms, end: Ms) -> dict[str, Any]:
    found = [(max(a, start), min(b, end)) for a, b in floods(times, end) if b > start]
    took = sum(b - a for a, b in found)
    return {"floods": len(found), "flood_ms": took, "flood_share": _share(took, end - start)}


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


# ── what stands when ──────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Tally:
    """What a walk through the log found."""

    conditions: dict[str, _Condition]
    active: int = 0
    unacked: int = 0
    max_active: int = 0
    max_unacked: int = 0
    acks: list[tuple[str, Ms]] = field(default_factory=list)
    chatter: Counter[str] = field(default_factory=Counter)

    def as_dict(self, end: Ms) -> dict[str, Any]:
        stale = sorted(
            (c.raised, i) for i, c in self.conditions.items() if c.active and end - c.raised > STALE_MS
        )
        waits = [ms for _, ms in self.acks]
        return {
            "max_active": self.max_active,
            "max_unacked": self.max_unacked,
            "stale": len(stale),
            "stale_alarms": [i for _, i in stale],
            "chattering": len(self.chatter),
            "chattering_alarms": sorted(self.chatter),
            "acks": len(waits),
            "mean_ack_ms": sum(waits) / len(waits) if waits else None,
            "p90_ack_ms": sorted(waits)[math.ceil(0.9 * len(waits)) - 1] if waits else None,
        }


def _walk(log: Sequence[Event], start: Ms) -> _Tally:
    """Active and unacknowledged alarms over time; what stood at `start` counts for the maxima."""
    tally = _Tally({})
    stood = False
    for e in log:
        if e.t >= start and not stood:
            stood = True
            _peak(tally)
        c = tally.conditions.setdefault(e.subject, _Condition(str(e.data.get("rule", ""))))
        counted = counts(e)
        if (
            counted
            and e.kind == "alarm.acked"
            and e.actor != MACHINE
            and c.shown is not None
            and e.t >= start
        ):
            tally.acks.append((e.actor, e.t - c.shown))
        tally.active -= c.active
        tally.unacked -= c.unacked
        _apply(c, e)
        tally.active += c.active
        tally.unacked += c.unacked
        if counted and e.kind == "alarm.raised" and _chatters(c, e.t) and e.t >= start:
            tally.chatter[e.subject] += 1
        if e.t >= start:
            _peak(tally)
    if not stood:
        _peak(tally)
    return tally


def _apply(c: _Condition, e: Event) -> None:
    state = e.data.get("state") if counts(e) else ""  # a marked one stands in no figure while it is marked
    c.active = bool(e.data.get("active")) and counts(e)
    if e.kind == "alarm.raised":
        c.raised = e.t
    was, c.unacked = c.unacked, state in ("UNACK", "RTNUN")
    if not c.unacked:
        c.shown = None
    elif not was or c.shown is None:
        c.shown = e.t


def _chatters(c: _Condition, t: Ms) -> bool:
    """Three activations within a minute."""
    c.starts = [*[s for s in c.starts if t - s <= CHATTER_MS], t]
    return len(c.starts) >= CHATTER_STARTS


def _peak(tally: _Tally) -> None:
    tally.max_active = max(tally.max_active, tally.active)
    tally.max_unacked = max(tally.max_unacked, tally.unacked)


# ── shares ────────────────────────────────────────────────────────────────────────────────────────────


def _top_ten(fresh: Sequence[Event]) -> list[dict[str, Any]]:
    by_rule = Counter(str(e.data.get("rule", "")) for e in fresh)
    ranked = sorted(by_rule.items(), key=lambda item: (-item[1], item[0]))[:10]
    return [{"rule": r, "count": n, "share": n / len(fresh)} for r, n in ranked]


def _priority(fresh: Sequence[Event]) -> dict[str, dict[str, Any]]:
    by_class = Counter(CLASS_OF[int(e.data.get("priority", 4))] for e in fresh)
    out: dict[str, dict[str, Any]] = {}
    for name, target in TARGETS["priority"].items():
        share = _share(by_class[name], len(fresh))
        drift = None if share is None else share - target
        out[name] = {"count": by_class[name], "share": share, "target": target, "drift": drift}
    return out


def _operators(acks: Sequence[tuple[str, Ms]]) -> list[dict[str, Any]]:
    waits: dict[str, list[Ms]] = defaultdict(list)
    for actor, ms in acks:
        waits[actor].append(ms)
    return [
        {"operator": who, "acks": len(ms), "mean_ack_ms": sum(ms) / len(ms), "max_ack_ms": max(ms)}
        for who, ms in sorted(waits.items())
    ]


def _precision(log: Sequence[Event], start: Ms) -> list[dict[str, Any]]:
    """Per rule, from verdicts given in the period; the last verdict on an occurrence holds."""
    last: dict[tuple[str, str], tuple[str, str]] = {}
    for e in log:
        if e.kind == "alarm.judged" and e.t >= start and e.data.get("verdict") in VERDICTS:
            key = (e.subject, str(e.data.get("occurrence", "")))
            last[key] = (str(e.data.get("rule", "")), str(e.data["verdict"]))
    by_rule: dict[str, Counter[str]] = defaultdict(Counter)
    for rule, verdict in last.values():
        by_rule[rule][verdict] += 1
    return [
        {"rule": r, **{v: n[v] for v in VERDICTS}, "precision": n["true"] / n.total()}
        for r, n in sorted(by_rule.items())
    ]
