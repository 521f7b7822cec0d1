"""The shared vocabulary. Standard library and numpy only; nothing here reads a clock or a file.

Times are integer milliseconds since 1970-01-01 UTC everywhere, unless a name ends in `_s` (seconds).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

Ms = int
"""Milliseconds since the epoch, UTC."""

ID = re.compile(r"[a-z0-9_-]{1,48}")
TAG = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")

Kind = Literal["analog", "digital", "enum", "counter", "text"]
Text = Mapping[str, str]
"""A text in several languages: {"zh": …, "en": …}."""


class Level(enum.IntEnum):
    """How far a value may be trusted. Ordered, so that max() combines."""

    GOOD = 0
    UNCERTAIN = 1
    STALE = 2  # derived by readers, never stored
    BAD = 3


class Reason(enum.IntEnum):
    """Why a value is not good. Written to disk: numbers are never reused or changed."""

    NONE = 0
    SENTINEL = 1  # the register held a code, not a value
    OUT_OF_RANGE = 2  # outside the physical range that the profile declares
    NOT_A_NUMBER = 3
    DEVICE_FAULT = 4  # the device itself reports a fault of this channel
    SENSOR_OPEN = 5
    SENSOR_SHORT = 6
    UNDER_RANGE = 7
    OVER_RANGE = 8
    BAD_ENUM = 9  # a code that the profile does not know
    NEVER_SEEN = 10  # the device behind the gateway has never answered it
    DEVICE_STALE = 11  # the device says that its own reading is old
    BAD_CHECKSUM = 12
    CLOCK_STEP = 13  # the time stamp is doubtful
    CALIBRATING = 14
    SIMULATED = 15
    NO_ANSWER = 16  # readers only: the device does not answer
    GATEWAY_LOST = 17  # readers only: the edge is silent


def quality(level: Level, reason: Reason = Reason.NONE) -> int:
    """The stored byte: level << 5 | reason."""
    return int(level) << 5 | int(reason)


def level_of(q: int) -> Level:
    """The level of a stored quality byte."""
    return Level(int(q) >> 5)


def reason_of(q: int) -> Reason:
    """The reason of a stored quality byte; NONE for a number that this version does not know."""
    try:
        return Reason(int(q) & 31)
    except ValueError:
        return Reason.NONE


GOOD = quality(Level.GOOD)


@dataclass(frozen=True, slots=True)
class Point:
    """Static truth of one measured thing; never carries a value.

    `period_s` is the poll period. A value is not sent while it differs from the one sent last by no more than
    `deadband` (the point's unit) or `deadband_pct` percent of that one, whichever is more; `silence_s` is the
    longest time without sending. `life` puts the point on the event lane.
    `codes` names the values of an enum or of a digital point.
    """

    asset: str
    tag: str
    unit: str = ""
    kind: Kind = "analog"
    period_s: float = 1.0
    deadband: float = 0.0
    deadband_pct: float = 0.0
    silence_s: float = 60.0
    life: bool = False
    low: float | None = None
    high: float | None = None
    decimals: int = 2
    name: Text = field(default_factory=dict)
    codes: Mapping[int, Text] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """`asset/tag`."""
        return f"{self.asset}/{self.tag}"


@dataclass(slots=True)
class Samples:
    """Columns of readings, all of one length; the only thing that moves in bulk.

    series: registry id (u4) · t: event time, ms UTC (i8) · v: value (f8) · q: quality byte (u1).
    """

    series: NDArray[np.uint32]
    t: NDArray[np.int64]
    v: NDArray[np.float64]
    q: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.series)

    def __getitem__(self, rows: Any) -> Samples:
        """The rows of an index array, mask or slice."""
        return Samples(self.series[rows], self.t[rows], self.v[rows], self.q[rows])

    @classmethod
    def empty(cls) -> Self:
        """No rows."""
        return cls.of([], [], [], [])

    @classmethod
    def of(
        cls, series: Sequence[int], t: Sequence[int], v: Sequence[float], q: Sequence[int] | None = None
    ) -> Self:
        """From plain sequences; quality GOOD when left out."""
        return cls(
            np.asarray(series, np.uint32),
            np.asarray(t, np.int64),
            np.asarray(v, np.float64),
            np.asarray(q if q is not None else [GOOD] * len(series), np.uint8),
        )

    @classmethod
    def concat(cls, parts: Sequence[Samples]) -> Samples:
        """All rows in the given order."""
        if not parts:
            return cls.empty()
        return Samples(
            np.concatenate([p.series for p in parts]),
            np.concatenate([p.t for p in parts]),
            np.concatenate([p.v for p in parts]),
            np.concatenate([p.q for p in parts]),
        )


@dataclass(frozen=True, slots=True)
class MessageKey:
    """What makes a message unique for ever: seq counts per (gateway, boot, lane)."""

    gateway: str
    boot: str
    lane: str
    seq: int


AssetClass = Literal[
    "elevator",
    "fire",
    "water",
    "drain",
    "manhole",
    "power",
    "lighting",
    "generator",
    "septic",
    "meter",
    "call",
    "gateway",
]
SYSTEMS: tuple[str, ...] = (
    "elevator",
    "fire",
    "water",
    "drain",
    "manhole",
    "power",
    "lighting",
    "generator",
    "septic",
    "meter",
    "call",
    "gateway",
)
"""Asset classes in the order in which screens show them."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One facility: what it is, where it stands, who keeps it, what it depends on.

    `boundary`: who is responsible for the equipment, the property firm or a utility.
    `mode`: normal, or commissioning (recorded, only P1 dispatched, kept out of figures).
    """

    id: str
    estate: str
    kind: AssetClass
    name: Text
    place: Text = field(default_factory=dict)
    contractor: str = ""
    boundary: Literal["property", "utility"] = "property"
    depends_on: tuple[str, ...] = ()
    mode: Literal["normal", "commissioning"] = "normal"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a person may see: firms × estates × systems; None means all of them."""

    firms: frozenset[str] | None = None
    estates: frozenset[str] | None = None
    systems: frozenset[str] | None = None

    def allows(self, *, firm: str, estate: str, system: str | None = None) -> bool:
        """True when all three dimensions include the thing (a system of None asks about the estate)."""
        return (
            (self.firms is None or firm in self.firms)
            and (self.estates is None or estate in self.estates)
            and (system is None or self.systems is None or system in self.systems)
        )


EVERYTHING = Scope()

Role = Literal[
    "operator",
    "technician",
    "supervisor",
    "manager",
    "contractor",
    "regulator",
    "admin",
    "display",
    "public",
]
ROLES: tuple[Role, ...] = (
    "operator",
    "technician",
    "supervisor",
    "manager",
    "contractor",
    "regulator",
    "admin",
    "display",
    "public",
)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something: a person with an access role, duty roles and a scope, or the machine itself."""

    id: str
    name: str = ""
    role: Role = "operator"
    duties: frozenset[str] = frozenset()
    scope: Scope = EVERYTHING


MACHINE = Actor(id="steward", name="Steward", role="admin")


@dataclass(frozen=True, slots=True)
class Event:
    """A fact that happened; append-only. `id` is the same when the same fact is derived again.

    t: when it happened (event time) · kind: `noun.verb`, e.g. `alarm.raised` · subject: the id of the thing
    it is about · actor: user id, `steward` for the machine · data: JSON values only.
    """

    id: str
    estate: str
    t: Ms
    kind: str
    subject: str
    actor: str = "steward"
    asset: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule changed its mind about a point: the condition became active, changed level, or ended.

    `onset` is when the condition matured in event time, so that a replay gives the same `id`.
    `late` marks what a back-fill found after the fact.
    """

    rule: str
    point: str
    asset: str
    estate: str
    onset: Ms
    t: Ms
    active: bool
    level: str = ""  # "", LL, L, H, HH
    value: float = float("nan")
    limit: float = float("nan")
    expected: str = ""
    late: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def condition(self) -> str:
        """`rule@asset/tag`: what the alarm life cycle keeps one record for."""
        return f"{self.rule}@{self.point}"

    @property
    def id(self) -> str:
        """Unique per occurrence, the same in every replay."""
        return f"{self.rule}@{self.point}@{self.onset}"


@dataclass(frozen=True, slots=True)
class Command:
    """A person's act on its way into the core inbox.

    kind: `alarm.ack`, `alarm.shelve`, `order.accept`, … · subject: alarm, order or asset id ·
    done_at: when the person did it · received_at: when the core got it · version: the version that the
    caller saw (None: do not check) · id: idempotency key made by the client · said: digest of what the client
    said under that key; "" where nobody compares.
    """

    id: str
    kind: str
    subject: str
    actor: Actor
    done_at: Ms
    received_at: Ms
    version: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    said: str = ""

    def received(self, at: Ms) -> Command:
        """The same command stamped by the core."""
        return replace(self, received_at=at)


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to one role or person over one channel; `id` is the idempotency key.

    `life` is set for life safety: it goes first and ignores quiet hours. A receipt does not stop an
    escalation, only a person's acceptance does. person: who of the role is meant ("": the role itself).

    Set when it is sent, never stored: address: where the channel reaches the person (number, mailbox) ·
    link: where the person looks at it and accepts · keys: ids of the notices that this message stands for.
    """

    id: str
    estate: str
    t: Ms
    to: str
    channel: str
    subject: str
    title: Text
    body: Text
    priority: int = 3
    life: bool = False
    drill: bool = False
    person: str = ""
    address: str = ""
    link: str = ""
    keys: tuple[str, ...] = ()
