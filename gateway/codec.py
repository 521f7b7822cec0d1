"""The wire: topics and payloads under `steward/v1/{estate}/{gateway}/`. The only place that knows them.

Payloads are JSON objects; readers ignore keys that they do not know and refuse a wrong shape with
`BadMessage`. A message holds at most 1,000 points and 64 kB; a point table at most 500 points.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.errors import Permanent
from gateway.model import GOOD, ID, TAG, MessageKey, Ms, Point

ROOT = "steward/v1"
MAX_BYTES = 64_000
MAX_POINTS = 1_000
MAX_TABLE = 500
TAB = re.compile(r"[0-9a-f]{12}")
LANES = ("live", "state", "backlog", "event", "account", "table")


class BadMessage(Permanent):
    """A payload or topic that does not have the agreed shape; counted and shown, never guessed."""


@dataclass(frozen=True, slots=True)
class Topic:
    """`steward/v1/{estate}/{gateway}/{leaf}[/{rest}]`."""

    estate: str
    gateway: str
    leaf: str
    rest: str = ""

    def __str__(self) -> str:
        tail = f"/{self.rest}" if self.rest else ""
        return f"{ROOT}/{self.estate}/{self.gateway}/{self.leaf}{tail}"

    @classmethod
    def parse(cls, topic: str) -> Topic:
        """Raises BadMessage for a topic of any other form."""
        parts = topic.split("/")
        if len(parts) not in (5, 6) or "/".join(parts[:2]) != ROOT:
            raise BadMessage(f"topic {topic!r} is not {ROOT}/estate/gateway/…")
        if not (ID.fullmatch(parts[2]) and ID.fullmatch(parts[3])):
            raise BadMessage(f"topic {topic!r}: estate and gateway are {ID.pattern}")
        return cls(parts[2], parts[3], parts[4], parts[5] if len(parts) == 6 else "")


@dataclass(frozen=True, slots=True)
class PointTable:
    """The meaning of the indexes in `data` and `event`; `tab` is the hash of its content."""

    tab: str
    points: tuple[Point, ...]

    @classmethod
    def of(cls, points: Sequence[Point]) -> PointTable:
        """A table with its hash. Raises ValueError above 500 points."""
        if len(points) > MAX_TABLE:
            raise ValueError(f"a table has at most {MAX_TABLE} points, not {len(points)}")
        return cls(table_hash(points), tuple(points))

    def encode(self) -> bytes:
        """The payload of `points/{tab}`."""
        return orjson.dumps({"tab": self.tab, "points": _rows(self.points)})

    @classmethod
    def decode(cls, payload: bytes) -> PointTable:
        """Raises BadMessage when the shape is wrong or the hash does not fit the content."""
        body = _object(payload)
        rows = body.get("points")
        if not isinstance(rows, list) or not 0 < len(rows) <= MAX_TABLE:
            raise BadMessage("points: a list of 1 to 500 objects is needed")
        points = tuple(_point(row, n) for n, row in enumerate(rows))
        tab = table_hash(points)
        if body.get("tab") != tab:
            raise BadMessage(f"tab {body.get('tab')!r} is not the hash of the content ({tab})")
        return cls(tab, points)


def table_hash(points: Sequence[Point]) -> str:
    """12 hex digits of the SHA-256 of the table's canonical JSON."""
    return hashlib.sha256(orjson.dumps(_rows(points), option=orjson.OPT_SORT_KEYS)).hexdigest()[:12]


def _rows(points: Sequence[Point]) -> list[dict[str, Any]]:
    return [
        {
            "i": i,
            "asset": p.asset,
            "tag": p.tag,
            "unit": p.unit,
            "kind": p.kind,
            "life": p.life,
            "period": p.period_s,
            "silence": p.silence_s,
            "deadband": p.deadband,
        }
        for i, p in enumerate(points)
    ]


def _point(row: object, n: int) -> Point:
    if not isinstance(row, dict) or row.get("i") != n:
        raise BadMessage(f"points[{n}]: an object with i={n} is needed")
    asset, tag, kind = row.get("asset"), row.get("tag"), row.get("kind")
    if not (isinstance(asset, str) and ID.fullmatch(asset) and isinstance(tag, str) and TAG.fullmatch(tag)):
        raise BadMessage(f"points[{n}]: asset {asset!r} or tag {tag!r} has a wrong form")
    if kind not in ("analog", "digital", "enum", "counter", "text"):
        raise BadMessage(f"points[{n}]: kind {kind!r} is unknown")
    try:
        return Point(
            asset,
            tag,
            unit=str(row.get("unit", "")),
            kind=kind,
            life=bool(row.get("life", False)),
            period_s=float(row.get("period", 1.0)),
            silence_s=float(row.get("silence", 60.0)),
            deadband=float(row.get("deadband", 0.0)),
        )
    except (TypeError, ValueError) as e:
        raise BadMessage(f"points[{n}]: {e}") from e


@dataclass(slots=True)
class Data:
    """A `data` message: columns of readings of one point table.

    t: base time · dt: ms after t · q: one byte each · hist: back-filled after an outage.
    """

    boot: str
    lane: str
    seq: int
    tab: str
    t: Ms
    i: NDArray[np.int64]
    dt: NDArray[np.int64]
    v: NDArray[np.float64]
    q: NDArray[np.uint8]
    hist: bool = False

    def encode(self) -> bytes:
        """JSON; quality only where it is not GOOD; NaN becomes null."""
        odd = np.flatnonzero(self.q != GOOD)
        body: dict[str, Any] = {
            "boot": self.boot,
            "lane": self.lane,
            "seq": self.seq,
            "tab": self.tab,
            "t": self.t,
            "i": self.i.tolist(),
            "dt": self.dt.tolist(),
            "v": self.v.tolist(),
        }
        if len(odd):
            body["q"] = {str(k): int(self.q[k]) for k in odd}
        if self.hist:
            body["hist"] = 1
        return orjson.dumps(body)

    @classmethod
    def decode(cls, payload: bytes) -> Data:
        """Raises BadMessage."""
        body = _object(payload)
        i, dt = _ints(body, "i"), _ints(body, "dt")
        v = _floats(body, "v")
        if not len(i) == len(dt) == len(v) or not 0 < len(i) <= MAX_POINTS:
            raise BadMessage(f"i, dt and v have {len(i)}, {len(dt)} and {len(v)} entries")
        q = np.zeros(len(i), np.uint8)
        odd = body.get("q", {})
        if not isinstance(odd, dict):
            raise BadMessage("q: an object of position and quality is needed")
        for k, value in odd.items():
            if not (k.isdigit() and int(k) < len(i) and isinstance(value, int) and 0 <= value <= 255):
                raise BadMessage(f"q: {k!r}: {value!r} is not a position and a quality")
            q[int(k)] = value
        return cls(*_head(body), _tab(body), _int(body, "t"), i, dt, v, q, hist=bool(body.get("hist", False)))

    def key(self, gateway: str) -> MessageKey:
        """What de-duplicates it."""
        return MessageKey(gateway, self.boot, self.lane, self.seq)


@dataclass(slots=True)
class EventMessage:
    """An `event` message: one reading of a life-safety point, or a text fact, on the fast lane."""

    id: str
    boot: str
    seq: int
    tab: str
    t: Ms
    i: int
    v: float = float("nan")
    q: int = GOOD
    attrs: Mapping[str, Any] = field(default_factory=dict)
    lane: str = "event"

    def encode(self) -> bytes:
        """JSON."""
        return orjson.dumps(
            {
                "id": self.id,
                "boot": self.boot,
                "lane": self.lane,
                "seq": self.seq,
                "tab": self.tab,
                "t": self.t,
                "i": self.i,
                "v": self.v,
                "q": self.q,
                "attrs": dict(self.attrs),
            }
        )

    @classmethod
    def decode(cls, payload: bytes) -> EventMessage:
        """Raises BadMessage."""
        body = _object(payload)
        boot, lane, seq = _head(body)
        value, attrs = body.get("v"), body.get("attrs", {})
        if not (value is None or isinstance(value, int | float)) or not isinstance(attrs, dict):
            raise BadMessage("v is a number or null, attrs an object")
        q = _int(body, "q", 0)
        if not 0 <= q <= 255:
            raise BadMessage(f"q: {q} is not a quality")
        return cls(
            id=_str(body, "id"), boot=boot, seq=seq, tab=_tab(body), t=_int(body, "t"), i=_int(body, "i"),
            v=float("nan") if value is None else float(value), q=q, attrs=attrs, lane=lane,
        )  # fmt: skip

    def key(self, gateway: str) -> MessageKey:
        """What de-duplicates it."""
        return MessageKey(gateway, self.boot, self.lane, self.seq)


@dataclass(slots=True)
class DeviceAccount:
    """Cumulative counts of one device since boot, in points."""

    due: int = 0
    stored: int = 0
    suppressed: int = 0
    thinned: int = 0
    gaps: dict[str, int] = field(default_factory=dict)

    @property
    def residual(self) -> int:
        """What the balance does not explain; 0 when every due point is accounted for."""
        return self.due - self.stored - self.suppressed - self.thinned - sum(self.gaps.values())


@dataclass(slots=True)
class Account:
    """An `account` message: proof of life and the edge's half of the balance.

    outbox, backlog: points that wait for the core's receipt, and how many of them are backlog.
    """

    boot: str
    seq: int
    t: Ms
    devices: dict[str, DeviceAccount]
    outbox: int = 0
    backlog: int = 0
    facts: Mapping[str, float] = field(default_factory=dict)
    lane: str = "account"

    def encode(self) -> bytes:
        """JSON."""
        return orjson.dumps(self)

    @classmethod
    def decode(cls, payload: bytes) -> Account:
        """Raises BadMessage."""
        body = _object(payload)
        boot, lane, seq = _head(body)
        raw = body.get("devices")
        if not isinstance(raw, dict):
            raise BadMessage("devices: an object by device id is needed")
        facts = body.get("facts", {})
        if not isinstance(facts, dict):
            raise BadMessage("facts: an object is needed")
        return cls(
            boot, seq, _int(body, "t"), {str(k): _device_account(k, d) for k, d in raw.items()},
            _int(body, "outbox", 0), _int(body, "backlog", 0), facts, lane,
        )  # fmt: skip

    def key(self, gateway: str) -> MessageKey:
        """What de-duplicates it."""
        return MessageKey(gateway, self.boot, self.lane, self.seq)


def _device_account(name: str, raw: object) -> DeviceAccount:
    if not isinstance(raw, dict):
        raise BadMessage(f"devices.{name}: an object is needed")
    gaps = raw.get("gaps", {})
    if not isinstance(gaps, dict) or not all(isinstance(n, int) for n in gaps.values()):
        raise BadMessage(f"devices.{name}.gaps: counts by cause are needed")
    due, stored, suppressed, thinned = (_int(raw, k, 0) for k in ("due", "stored", "suppressed", "thinned"))
    return DeviceAccount(due, stored, suppressed, thinned, {str(k): int(n) for k, n in gaps.items()})


@dataclass(frozen=True, slots=True)
class Ack:
    """A receipt: everything of (boot, lane) up to and including `upto` is committed in the core."""

    boot: str
    lane: str
    upto: int

    def encode(self) -> bytes:
        """JSON."""
        return orjson.dumps(self)

    @classmethod
    def decode(cls, payload: bytes) -> Ack:
        """Raises BadMessage."""
        return cls(*_head(_object(payload), seq="upto"))


@dataclass(frozen=True, slots=True)
class Birth:
    """Retained: which boot speaks, with which configuration, software and tables."""

    boot: str
    cfg: str
    sw: str
    tabs: tuple[str, ...]

    def encode(self) -> bytes:
        """JSON."""
        return orjson.dumps(self)

    @classmethod
    def decode(cls, payload: bytes) -> Birth:
        """Raises BadMessage."""
        body = _object(payload)
        tabs = body.get("tabs")
        if not isinstance(tabs, list) or not all(isinstance(t, str) and TAB.fullmatch(t) for t in tabs):
            raise BadMessage("tabs: a list of table hashes is needed")
        return cls(_str(body, "boot"), _str(body, "cfg"), _str(body, "sw"), tuple(tabs))


@dataclass(frozen=True, slots=True)
class Status:
    """Retained, and the last will. An older (boot, conn) than the last one seen is ignored."""

    online: bool
    boot: str
    conn: int

    def encode(self) -> bytes:
        """JSON."""
        return orjson.dumps(self)

    @classmethod
    def decode(cls, payload: bytes) -> Status:
        """Raises BadMessage."""
        body = _object(payload)
        if not isinstance(body.get("online"), bool):
            raise BadMessage("online: true or false is needed")
        return cls(body["online"], _str(body, "boot"), _int(body, "conn"))


def decode_object(payload: bytes) -> dict[str, Any]:
    """Any JSON object (commands, replies). Raises BadMessage."""
    return _object(payload)


# ── shapes ────────────────────────────────────────────────────────────────────────────────────────────


def _object(payload: bytes) -> dict[str, Any]:
    if len(payload) > 4 * MAX_BYTES:
        raise BadMessage(f"{len(payload)} bytes: too long")
    try:
        body = orjson.loads(payload)
    except orjson.JSONDecodeError as e:
        raise BadMessage(f"not JSON: {e}") from e
    if not isinstance(body, dict):
        raise BadMessage("a JSON object is needed")
    return body


def _head(body: Mapping[str, Any], seq: str = "seq") -> tuple[str, str, int]:
    lane, number = _str(body, "lane"), _int(body, seq)
    if lane not in LANES or number < 1:
        raise BadMessage(f"lane {lane!r} or {seq} {number} is out of range")
    return _str(body, "boot"), lane, number


def _str(body: Mapping[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not 0 < len(value) <= 200:
        raise BadMessage(f"{key}: a text of 1 to 200 characters is needed, not {value!r:.60}")
    return value


def _int(body: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = body.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadMessage(f"{key}: a whole number is needed, not {value!r:.60}")
    return value


def _tab(body: Mapping[str, Any]) -> str:
    tab = body.get("tab")
    if not isinstance(tab, str) or not TAB.fullmatch(tab):
        raise BadMessage(f"tab: 12 hex digits are needed, not {tab!r:.60}")
    return tab


def _ints(body: Mapping[str, Any], key: str) -> NDArray[np.int64]:
    values = body.get(key)
    if not isinstance(values, list) or not all(type(x) is int for x in values):
        raise BadMessage(f"{key}: a list of whole numbers is needed")
    try:
        out = np.array(values, np.int64)
    except OverflowError as e:
        raise BadMessage(f"{key}: a number is too large") from e
    if len(out) and (int(out.min()) < 0 or int(out.max()) > 2**53):
        raise BadMessage(f"{key}: a number is out of range")
    return out


def _floats(body: Mapping[str, Any], key: str) -> NDArray[np.float64]:
    values = body.get(key)
    if not isinstance(values, list) or not all(x is None or type(x) in (int, float) for x in values):
        raise BadMessage(f"{key}: a list of numbers or nulls is needed")
    try:
        return np.array([np.nan if x is None else x for x in values], np.float64)
    except OverflowError as e:
        raise BadMessage(f"{key}: a number is too large") from e
