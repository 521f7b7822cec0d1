"""What all rules have in common: what is abnormal, why it matters, what to do and how soon.

A rule without name, cause, consequence, response, time limit, owner and source does not load (ISA-18.2
calls it rationalisation). The rule dataclasses are the schema of the rule files, in which
`asset_kind` is written `for` and `all_of` is written `all`: words that Python keeps for itself.

Times in rule files are seconds; delays run in event time.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, ClassVar, Literal

from alerts.priorities import HARMS, priority_of
from gateway.model import SYSTEMS, AssetClass, Text

RULE_ID = re.compile(r"[a-z0-9_.-]+")
TAG_PATTERN = re.compile(r"[a-z0-9_.*?\[\]|]+")

EVENTS: tuple[str, ...] = (
    "entrapment", "lift_stopped", "lift_danger", "lift_offline", "lift_wear", "fire_alarm", "fire_confirmed",
    "fire_system_fault", "fire_pump", "fire_pressure", "electrical_fire", "water_supply", "water_quality",
    "pump_room_flood", "sump_high", "drain_blocked", "manhole_moved", "gas", "outage", "transformer",
    "generator", "septic", "call_button", "meter", "sensor_fault", "intrusion", "lighting", "human_report",
    "comms", "gateway",
)  # fmt: skip
"""Event types of the responsibility matrix that a rule may name."""

OWNERS: tuple[str, ...] = (
    "CR", "TE", "PM", "LM", "FM", "WM", "PU", "DR", "OW", "ST", "OC", "DM",
)  # fmt: skip
"""Duty roles that may own a rule."""

HAZARDS = ("", "general", "major")
"""Grades of the hazard list that a rule may give its alarm; "" keeps it off the list."""

ACCOUNT_S = 10.0
"""Interval in which an edge proves that suppressed points are alive."""

_TEXTS = ("name", "cause", "consequence", "response")
# What may change without changing what the detector's state means.
_WORDING = frozenset(
    {
        *_TEXTS, "priority", "event", "life", "latch", "time_limit_s", "owner", "source", "hazard", "harm",
        "why_priority",
    }
)  # fmt: skip


def matches(tag: str, pattern: str) -> bool:
    """Whether a tag fits a pattern: globs with `|` between them."""
    return any(fnmatchcase(tag, one) for one in pattern.split("|"))


def stale_s(period_s: float) -> float:
    """Seconds after which a value is stale: 3 × max(its period, the account interval)."""
    return 3 * max(period_s, ACCOUNT_S)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What all kinds have in common.

    tag: a point's tag, a glob (`ws.pump*.fault`) or several with `|` between · at: other parameters for
    single assets, by asset id (`{pump-high: {l: 0.68}}`) · latch: stays until somebody resets it on site ·
    life: life safety · hazard: its alarm goes on the hazard list with this grade · harm: class of the
    consequence, which gives the priority together with the time limit (`priorities`) · why_priority: why it
    is another one · owner: the duty role that answers for the rule · source: standard and clause, or where
    the figure is from.
    """

    kind: str
    id: str
    asset_kind: AssetClass
    tag: str
    priority: Literal[1, 2, 3, 4]
    event: str
    life: bool
    latch: bool
    name: Text
    cause: Text
    consequence: Text
    response: Text
    time_limit_s: float
    owner: str
    source: str
    hazard: Literal["", "general", "major"] = ""
    at: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    harm: str = ""
    why_priority: str = ""

    AROUND: ClassVar[frozenset[str]] = frozenset()
    """Own fields of a kind that say what the world is like: what was learnt stays true when they grow."""

    def __post_init__(self) -> None:
        for fault in self._faults():
            raise ValueError(fault)
        self._check()
        for asset, changes in self.at.items():
            _variant(self, asset, changes)

    def _faults(self) -> Iterator[str]:
        if not RULE_ID.fullmatch(self.id):
            yield f"id: {self.id!r} may only have a–z, 0–9, dot, dash and underscore"
        if self.asset_kind not in SYSTEMS:
            yield f"for: {self.asset_kind!r} is no asset kind; known: {', '.join(SYSTEMS)}"
        if not TAG_PATTERN.fullmatch(self.tag):
            yield f"tag: {self.tag!r} is no tag and no glob such as ws.pump*.fault"
        if self.priority not in (1, 2, 3, 4):
            yield f"priority: {self.priority!r} must be 1 (life safety) to 4 (maintenance)"
        if self.event not in EVENTS:
            yield f"event: {self.event!r} is unknown; known: {', '.join(EVENTS)}"
        if self.hazard not in HAZARDS:
            yield f"hazard: {self.hazard!r} is no grade; known: general, major"
        yield from self._said()

    def _said(self) -> Iterator[str]:
        if self.owner not in OWNERS:
            yield f"owner: {self.owner!r} is no duty role; known: {', '.join(OWNERS)}"
        yield from self._weight_faults()
        if self.life and self.priority != 1:
            yield "life: a life-safety rule has priority 1"
        if not self.time_limit_s > 0:
            yield "time_limit_s: an alarm that leaves no time to respond is not an alarm; write seconds"
        if not self.source.strip():
            yield "source: name the standard and clause, or say who set the figure"
        for name in _TEXTS:
            text: Text = getattr(self, name)
            if not (text.get("zh", "").strip() and text.get("en", "").strip()):
                yield f"{name}: write it in both languages, zh and en"

    def _weight_faults(self) -> Iterator[str]:
        if not self.harm:
            return
        if self.harm not in HARMS:
            yield f"harm: {self.harm!r} is no class of consequence; known: {', '.join(HARMS)}"
            return
        given = priority_of(self.harm, self.time_limit_s)
        if given != self.priority and not self.why_priority.strip():
            yield (
                f"priority: {self.priority}, but harm {self.harm} and {self.time_limit_s:g} s give "
                f"{given}; write {given}, or the reason as why_priority"
            )

    def _check(self) -> None:
        """Raise ValueError when the kind's own parameters contradict one another."""

    @property
    def tags(self) -> tuple[str, ...]:
        """All tag patterns that the rule looks at; the first one names its point."""
        return (self.tag,)

    def for_asset(self, asset: str) -> Rule:
        """The rule with the parameters that hold for this asset."""
        changes = self.at.get(asset)
        return _variant(self, asset, changes) if changes else self

    @cached_property
    def meaning(self) -> str:
        """12 hex digits over everything that decides when the condition is true.

        Equal meaning: the detector's state survives an edit of the rule.
        """
        kept = {k: v for k, v in asdict(self).items() if k not in _WORDING and k != "at"}
        return digest(kept | dict.fromkeys(self.AROUND, ""))


def _variant(rule: Rule, asset: str, changes: Mapping[str, Any]) -> Rule:
    own = {f.name for f in fields(rule)} - {f.name for f in fields(Rule)}
    wrong = sorted(set(changes) - own)
    if wrong:
        raise ValueError(
            f"at.{asset}: {wrong[0]!r} cannot differ per asset; possible: {', '.join(sorted(own))}"
        )
    try:
        return replace(rule, at={}, **changes)
    except ValueError as e:
        raise ValueError(f"at.{asset}: {e}") from e


def digest(data: Any) -> str:
    """12 hex digits of the hash of plain data, the same on every machine."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
