"""智慧研判: which alarm is probably at the root of another, with the evidence. Pure.

Three kinds of evidence: topology (the consequence hangs on the cause, see `graph`), lag (the kind of trouble
leads to the other within a plausible time, see `assess_table`) and first-out (the cause came first). For each
alarm its direct causes are weighed; what no cause explains is the alarm's own. Following the causes to their
end gives a share for every possible root; the shares add up to 1 and the largest one is the confidence.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from alerts.alarms_causes import LAG_MS, Kin, breaks
from alerts.alarms_state import Alarm
from alerts.assess_table import HOP, TABLES, Where
from gateway.model import Asset, Ms, Text

TOP = 3
"""So many candidates are named."""
DEEP = 6
"""A chain of causes is followed no further than this."""
POOL = 12
"""Of the conditions of one place the first so many count: a flood on one facility stays cheap."""
FAINT = 0.02
"""A share below this is followed no further."""
GONE_MS: Ms = 120_000
"""A cause that ended at most this long before the consequence began still counts (a short dip)."""
SURE = 0.98
"""Nothing is more certain than this."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why one alarm may be a direct cause of another.

    hops: arrows between them, 0 on the same facility · lag_ms: from cause to consequence, negative when it
    was noticed later · weight: 0…1.
    """

    cause: Alarm
    where: Where
    hops: int
    lag_ms: Ms
    weight: float


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible root.

    lag_ms: from its beginning to the consequence's · evidence: the first step on the way to it, None for the
    alarm itself.
    """

    alarm: Alarm
    confidence: float
    lag_ms: Ms
    evidence: Evidence | None

    def as_dict(self) -> dict[str, Any]:
        """JSON."""
        e = self.evidence
        return {
            "alarm": self.alarm.id,
            "asset": self.alarm.asset,
            "rule": self.alarm.rule,
            "raised_at": self.alarm.raised_at,
            "confidence": self.confidence,
            "where": e.where if e else "self",
            "hops": e.hops if e else 0,
            "lag_s": round(self.lag_ms / 1000, 1),
            "first": self.lag_ms >= 0,
        }


_FIRST = attrgetter("raised_at", "id")


class Judge:
    """Weighs causes. One per batch: it remembers what it has weighed."""

    def __init__(self, kin: Kin, delays: Callable[[str], float]) -> None:
        """delays: seconds that a rule waits before it tells, by rule id."""
        self._kin, self._delays = kin, delays
        self._causes: dict[str, list[Evidence]] = {}
        self._sorted: dict[str, list[Alarm]] = {}
        self._seen: dict[str, Alarm] = {}

    def rank(self, alarm: Alarm) -> list[Candidate]:
        """Possible roots, the most probable first; the alarm itself is one of them.

        Of each facility the most probable one: who looks for the root wants places, not one place thrice.
        """
        shares: dict[str, float] = {}
        first: dict[str, Evidence | None] = {}
        self._spread(alarm, 1.0, None, shares, first, (alarm.id,))
        known = self._seen
        known[alarm.id] = alarm
        found = [
            Candidate(known[i], round(min(s, SURE), 3), self.began(alarm) - self.began(known[i]), first[i])
            for i, s in shares.items()
        ]
        places: dict[str, Candidate] = {}
        for c in sorted(found, key=lambda c: (-c.confidence, c.alarm.raised_at, c.alarm.id)):
            places.setdefault(c.alarm.asset, c)
        return list(places.values())[:TOP]

    def _spread(
        self, alarm: Alarm, share: float, step: Evidence | None,
        shares: dict[str, float], first: dict[str, Evidence | None], way: tuple[str, ...],
    ) -> None:  # fmt: skip
        causes = [e for e in self.causes(alarm) if e.cause.id not in way] if len(way) <= DEEP else []
        explained = max((e.weight for e in causes), default=0.0)
        own = share * (1.0 - explained)
        shares[alarm.id] = shares.get(alarm.id, 0.0) + own
        first.setdefault(alarm.id, step)
        total = sum(e.weight**2 for e in causes)
        for e in causes:  # the square: a strong cause is not diluted by several weak ones
            part = share * explained * e.weight**2 / total
            if part > FAINT:
                self._spread(e.cause, part, step or e, shares, first, (*way, e.cause.id))
            else:
                shares[alarm.id] += part

    def began(self, alarm: Alarm) -> Ms:
        """When the trouble began: a rule tells it after its delay, and a slow one must not look late."""
        return alarm.raised_at - round(self._delays(alarm.rule) * 1000)

    def causes(self, alarm: Alarm) -> list[Evidence]:
        """Direct causes with their weights."""
        if alarm.id not in self._causes:
            found = self._causes[alarm.id] = [e for e in self._weigh(alarm) if e.weight > 0.05]
            self._seen.update((e.cause.id, e.cause) for e in found)
        return self._causes[alarm.id]

    def _weigh(self, alarm: Alarm) -> Iterator[Evidence]:
        kin = self._kin
        for asset, hops in kin.above(alarm).items():
            for cause in self._pool(asset, kin.at(asset), alarm):
                yield from self._evidence("below", hops, cause, alarm)
        for cause in self._pool(alarm.asset, kin.at(alarm.asset), alarm):
            yield from self._evidence("same", 0, cause, alarm)
        for cause in kin.peers(alarm):
            yield from self._evidence("line", 1, cause, alarm)
        if any(alarm.event in effects for effects in TABLES["estate"].values()):
            for cause in self._pool(f"~{alarm.estate}", kin.waters(alarm.estate), alarm):
                if cause.asset != alarm.asset and cause.asset not in kin.above(alarm):
                    yield from self._evidence("estate", 1, cause, alarm)

    def _evidence(self, where: Where, hops: int, cause: Alarm, alarm: Alarm) -> Iterator[Evidence]:
        link = TABLES[where].get(cause.event, {}).get(alarm.event)
        if link is None or not breaks(cause):
            return
        lag = self.began(alarm) - self.began(cause)
        later = cause.id > alarm.id if lag == 0 else lag < 0
        if later and (where != "below" or -lag > LAG_MS):
            return  # among equals only what came first can be the cause
        weight = link.weight * HOP ** max(0, hops - 1) * _plausible(lag, round(link.lag_s * 1000))
        yield Evidence(cause, where, hops, lag, weight)

    def _pool(self, place: str, conditions: Iterable[Alarm], alarm: Alarm) -> list[Alarm]:
        """The first conditions of a place that stood when the alarm began; sorted once a batch."""
        known = self._sorted.get(place)
        if known is None:
            known = self._sorted[place] = sorted(conditions, key=_FIRST)
        there = (c for c in known if c.id != alarm.id and _present(c, alarm))
        return list(itertools.islice(there, POOL))


def _present(cause: Alarm, alarm: Alarm) -> bool:
    """Whether the cause stood when the consequence began, or had only just ended."""
    if not cause.occurrence or cause.drill or alarm.drill:
        return False
    return cause.active or (cause.cleared_at or 0) >= alarm.raised_at - GONE_MS


def _plausible(lag: Ms, limit: Ms) -> float:
    """1 for at once, 0.7 at the plausible limit, less beyond it; a cause noticed later loses up to a half."""
    if lag < 0:
        return 0.9 - 0.4 * -lag / LAG_MS
    if lag <= limit:
        return 1.0 - 0.3 * lag / limit
    return 0.7 * limit / lag if lag <= 4 * limit else 0.0


# ── words ─────────────────────────────────────────────────────────────────────────────────────────────


def tell(alarm: Alarm, ranked: Sequence[Candidate], assets: Mapping[str, Asset]) -> Text:
    """One sentence about the probable root; {} when the alarm stands for itself alone."""
    best = ranked[0]
    e = best.evidence
    if e is None or best.alarm.id == alarm.id:
        return {}
    root = _named(best.alarm, assets)
    why, share = _why(e, _asset(alarm, assets), best, assets), f"{best.confidence:.0%}"
    zh = f"可能根因：{root['zh']}（置信度 {share}）：{_when(best.lag_ms, 'zh')}；{why['zh']}"
    en = f"Probable root: {root['en']} ({share}): {_when(best.lag_ms, 'en')}; {why['en']}"
    others = [c for c in ranked[1:] if c.alarm.id != alarm.id]
    if others and others[0].confidence >= MENTIONED:
        second = _named(others[0].alarm, assets)
        zh += f"；也可能是{second['zh']}（{others[0].confidence:.0%}）"
        en += f"; or {second['en']} ({others[0].confidence:.0%})"
    return {"zh": f"{zh}。", "en": f"{en}."}


def told_of_root(count: int) -> Text:
    """The sentence of the root itself."""
    return {"zh": f"可能是另外 {count} 条报警的根因。", "en": f"Probably the root of {count} further alarms."}


MENTIONED = 0.15
"""A second candidate is named in the sentence from this confidence on."""


def _asset(alarm: Alarm, assets: Mapping[str, Asset]) -> Text:
    asset = assets.get(alarm.asset)
    return asset.name if asset else {"zh": alarm.asset, "en": alarm.asset}


def _named(alarm: Alarm, assets: Mapping[str, Asset]) -> Text:
    place = _asset(alarm, assets)
    return {
        "zh": f"{place.get('zh', alarm.asset)} {alarm.name.get('zh', alarm.rule)}",
        "en": f"{place.get('en', alarm.asset)}, {alarm.name.get('en', alarm.rule)}",
    }


def _when(lag: Ms, language: str) -> str:
    if abs(lag) < 1000:
        return {"zh": "同时发生", "en": "at the same time"}[language]
    seconds = abs(lag) / 1000
    n = f"{seconds:.0f}" if seconds < 120 else f"{seconds / 60:.0f}"
    unit = {"zh": "秒" if seconds < 120 else "分钟", "en": "s" if seconds < 120 else "min"}[language]
    if lag >= 0:
        return {"zh": f"最先发生，早 {n} {unit}", "en": f"it came first, {n} {unit} earlier"}[language]
    return {"zh": f"晚 {n} {unit} 才被发现", "en": f"it was noticed {n} {unit} later"}[language]


def _why(e: Evidence, mine: Text, best: Candidate, assets: Mapping[str, Asset]) -> Text:
    on, reads = _asset(best.alarm, assets), best.alarm.system == "gateway"
    return {
        "below": {
            "zh": f"{on['zh']}负责采集{mine['zh']}" if reads else f"{mine['zh']}依赖{on['zh']}",
            "en": f"it reads {mine['en']}" if reads else f"{mine['en']} depends on it",
        },
        "same": {"zh": "同一设施", "en": "the same facility"},
        "line": {"zh": "同一采集线路，先查线路", "en": "the same line to devices: look at the line first"},
        "estate": {"zh": "同一小区同时涨水", "en": "water rises in the same estate at the same time"},
    }[e.where]
