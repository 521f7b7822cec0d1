"""What is known of one condition, the state that is shown for it, and the table of allowed transitions.

The shown state follows from the facts by a fixed precedence (OUT_OF_SERVICE, SUPPRESSED, SHELVED, then the
alarm itself); it is never stored by itself. Sources: ISA-18.2/IEC 62682 states, OPC UA Part 9 names.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from alerts.alarms_table import TRANSITIONS, State, Trigger
from gateway.model import Asset, Finding, Ms, Text

CHATTER_STARTS = 3
CHATTER_WINDOW_MS: Ms = 60_000
"""Three activations within a minute are chattering (ISA-18.2)."""
CHATTER_QUIET_MS: Ms = 600_000
"""Chattering ends after so long without an activation."""

RANK = {"": 0, "L": 1, "H": 1, "LL": 2, "HH": 2}
"""How far a level is from normal."""


class RuleFacts(Protocol):
    """What the life cycle needs to know of a rule."""

    @property
    def id(self) -> str: ...  # noqa: D102 - as in RuleInfo
    @property
    def priority(self) -> int: ...  # noqa: D102
    @property
    def life(self) -> bool: ...  # noqa: D102
    @property
    def latch(self) -> bool: ...  # noqa: D102
    @property
    def event(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> Text: ...  # noqa: D102
    @property
    def cause(self) -> Text: ...  # noqa: D102
    @property
    def consequence(self) -> Text: ...  # noqa: D102
    @property
    def response(self) -> Text: ...  # noqa: D102
    @property
    def time_limit_s(self) -> float: ...  # noqa: D102
    @property
    def owner(self) -> str: ...  # noqa: D102
    @property
    def hazard(self) -> str: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class RuleInfo:
    """The facts of a rule that an alarm carries: priority 1 (life safety) to 4, texts in both languages."""

    id: str
    priority: int
    life: bool
    latch: bool
    event: str
    name: Text
    cause: Text
    consequence: Text
    response: Text
    time_limit_s: float
    source: str = ""
    owner: str = "TE"
    hazard: str = ""


@dataclass(slots=True)
class Memory:
    """What the life cycle must remember of a condition beside what is shown.

    onset: start of the open or last occurrence · seen: onsets of the last occurrences · starts: recent
    activations, for chatter · heard: it was annunciated since the last acknowledgement · open: occurrences
    that nobody has acknowledged yet [{id, raised, cleared}] · level_t: time of the last finding that
    counted · release_at: when suppression ends after its
    root has ended · hold_until: nobody is called before, its edge may be lost · drill_until: when a drill
    ends by itself · live_onset: start as the live engine saw it, where a back-fill has moved the start back ·
    shown: the state that the last event told · again_at, again_for, again: when it is announced again, for
    which occurrence and why, how often it was · calm_ms, swing: longest time at rest between two activations
    of a chattering condition, and how far the value went back from the limit.
    """

    onset: Ms = 0
    seen: list[Ms] = field(default_factory=list)
    starts: list[Ms] = field(default_factory=list)
    chatter: bool = False
    heard: bool = False
    open: list[dict[str, Any]] = field(default_factory=list)
    level_t: Ms = 0
    release_at: Ms | None = None
    hold_until: Ms | None = None
    drill_until: Ms | None = None
    live_onset: Ms | None = None
    shown: str = State.NORM.value
    again_at: Ms | None = None
    again_for: str = ""
    again: int = 0
    calm_ms: Ms = 0
    swing: float = 0.0
    shelved_by: str = ""
    oos_by: str = ""
    permit: str = ""
    changed_by: str = ""


@dataclass(slots=True)
class Alarm:
    """One condition (rule on a point) and its newest occurrence."""

    id: str
    condition: str
    rule: str
    point: str
    asset: str
    estate: str
    system: str
    event: str
    priority: int
    life: bool
    latch: bool
    name: Text
    cause: Text
    consequence: Text
    response: Text
    time_limit_s: float
    source: str
    active: bool = False
    acked: bool = True
    latched: bool = False
    level: str = ""
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    sentence: Text = field(default_factory=dict)
    raised_at: Ms = 0
    changed_at: Ms = 0
    cleared_at: Ms | None = None
    acked_by: str = ""
    acked_at: Ms | None = None
    shelved_until: Ms | None = None
    shelve_reason: str = ""
    suppressed_by: str | None = None
    oos_until: Ms | None = None
    assignee: str = ""
    order: str | None = None
    occurrence: str = ""
    count: int = 0
    version: int = 0
    drill: bool = False
    late: bool = False
    commissioning: bool = False
    mode: str = "normal"
    silenced: str = ""
    verdict: str = ""
    suggest: dict[str, Any] = field(default_factory=dict)
    root: str | None = None
    root_sentence: Text = field(default_factory=dict)
    root_confidence: float | None = None
    candidates: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    card: tuple[Text, ...] = ()
    memory: Memory = field(default_factory=Memory)

    @property
    def state(self) -> State:
        """The shown state, by precedence."""
        if self.oos_until is not None:
            return State.OUT_OF_SERVICE
        if self.suppressed_by is not None:
            return State.SUPPRESSED
        return State.SHELVED if self.shelved_until is not None else self.bare

    @property
    def bare(self) -> State:
        """The state below shelving, suppression and out of service."""
        if self.active:
            return State.ACKED if self.acked else State.UNACK
        if not self.acked:
            return State.RTNUN
        return State.ACKED if self.latched else State.NORM

    @property
    def covered(self) -> bool:
        """Shelved, suppressed or out of service: nobody is called."""
        return self.state is not self.bare

    @property
    def dispatchable(self) -> bool:
        """Whether people are to be called for it now.

        Active and not covered; from an asset in commissioning or under a permit only priority 1.
        """
        called = self.active and not self.covered and self.memory.hold_until is None
        return called and (not self.marked or self.priority == 1)

    @property
    def marked(self) -> bool:
        """Its asset is in commissioning or under a permit: into no figure, outside calls wait."""
        return self.mode != "normal"

    def allows(self, trigger: Trigger) -> bool:
        """Whether the table has the transition."""
        return (self.state, trigger) in TRANSITIONS

    def as_dict(self) -> dict[str, Any]:
        """The alarm as screens and programs see it (JSON). `card` is filled by whoever knows the cards."""
        body = {n: getattr(self, n) for n in _SHOWN}
        body["state"] = self.state.value
        body["notes"] = [dict(n) for n in self.notes]
        for name in ("name", "sentence", "cause", "consequence", "response"):
            body[name] = dict(body[name])
        if self.priority == 1:
            body["card"] = [dict(step) for step in self.card]
        return body

    def as_record(self) -> dict[str, Any]:
        """`as_dict` and the memory: what a restart needs."""
        memory = {f.name: getattr(self.memory, f.name) for f in fields(Memory)}
        return self.as_dict() | {"memory": _copy(memory)}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Alarm:
        """From `as_dict` or `as_record`."""
        known = {f.name for f in fields(cls)} - {"memory", "card"}
        memory = {k: v for k, v in body.get("memory", {}).items() if k in Memory.__slots__}
        memory.setdefault("shown", body.get("state", State.NORM.value))
        if body.get("commissioning"):
            body = {"mode": "commissioning", **body}
        return cls(
            **{k: _copy(v) for k, v in body.items() if k in known},
            card=tuple(dict(step) for step in body.get("card", ())),
            memory=Memory(**_copy(memory)),
        )


_SHOWN = tuple(f.name for f in fields(Alarm) if f.name not in ("memory", "card"))


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _copy(v) for k, v in value.items()}
    return [_copy(v) for v in value] if isinstance(value, list) else value


def alarm_id(condition: str) -> str:
    """First 12 hex digits of the SHA-256 of the condition."""
    return hashlib.sha256(condition.encode()).hexdigest()[:12]


def new_alarm(f: Finding, rule: RuleFacts, asset: Asset) -> Alarm:
    """A condition at rest, seen for the first time."""
    return Alarm(
        id=alarm_id(f.condition), condition=f.condition, rule=rule.id, point=f.point, asset=asset.id,
        estate=asset.estate, system=asset.kind, event=rule.event, priority=rule.priority, life=rule.life,
        latch=rule.latch, name=dict(rule.name), cause=dict(rule.cause), consequence=dict(rule.consequence),
        response=dict(rule.response), time_limit_s=rule.time_limit_s, source=rule.source,
    )  # fmt: skip


def refresh(alarm: Alarm, rule: RuleFacts) -> None:
    """Take over an edited rule's wording and weight; running facts stay."""
    alarm.priority, alarm.life, alarm.latch, alarm.event = rule.priority, rule.life, rule.latch, rule.event
    alarm.name, alarm.cause, alarm.consequence = dict(rule.name), dict(rule.cause), dict(rule.consequence)
    alarm.response, alarm.time_limit_s, alarm.source = dict(rule.response), rule.time_limit_s, rule.source


def number(x: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return float(x) if math.isfinite(x) else None


def sentence(alarm: Alarm, f: Finding) -> Text:
    """What the operator reads: the finding's own sentence, else name, value and limit."""
    given = f.facts.get("sentence")
    if isinstance(given, Mapping) and given:
        return dict(given)
    if alarm.value is None:
        return dict(alarm.name)
    unit = f" {alarm.unit}" if alarm.unit else ""
    zh, en = (
        f"{alarm.name.get('zh', '')}：{alarm.value:g}{unit}",
        f"{alarm.name.get('en', '')}: {alarm.value:g}{unit}",
    )
    if alarm.limit is not None:
        zh, en = f"{zh}，限值 {alarm.limit:g}{unit}", f"{en}, limit {alarm.limit:g}{unit}"
    return {"zh": zh, "en": en}


_FACTS = (
    "condition", "rule", "point", "occurrence", "event", "priority", "life", "active", "level", "value",
    "limit", "unit", "raised_at", "cleared_at", "drill", "late", "commissioning", "suppressed_by", "root",
    "count", "version", "mode", "silenced",
)  # fmt: skip


def facts(alarm: Alarm) -> dict[str, Any]:
    """What every event about an alarm carries. `dispatch`: people are to be called for it now."""
    shown = {n: getattr(alarm, n) for n in _FACTS}
    return shown | {"state": alarm.state.value, "dispatch": alarm.dispatchable}


def take_values(alarm: Alarm, f: Finding) -> None:
    """Level, value, limit and sentence of a finding that counts."""
    alarm.level, alarm.value, alarm.limit = f.level, number(f.value), number(f.limit)
    alarm.unit = str(f.facts.get("unit", alarm.unit))
    alarm.sentence = sentence(alarm, f)
    alarm.memory.level_t = f.t


def deadlines(alarm: Alarm) -> list[tuple[Ms, str]]:
    """What time alone will do to the alarm, in order: shelf, oos, release, hold, drill, chatter, again."""
    m = alarm.memory
    found = [
        (alarm.shelved_until, "shelf"),
        (alarm.oos_until, "oos"),
        (m.release_at, "release"),
        (m.hold_until, "hold"),
        (m.drill_until, "drill"),
        (m.starts[-1] + CHATTER_QUIET_MS if m.chatter else None, "chatter"),
        (m.again_at, "again"),
    ]
    return sorted((at, what) for at, what in found if at is not None)
