"""Readings: the data and event messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from gateway.codec.runs import in_runs, plain_numbers
from gateway.codec.shapes import a_tab, a_text, an_int, an_object, floats, head, ints
from gateway.codec.wire import MAX_POINTS, BadMessage
from gateway.model import GOOD, MessageKey, Ms


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
        """JSON; quality only where it is not GOOD; NaN becomes null; long runs of i and dt as pairs."""
        odd = np.flatnonzero(self.q != GOOD)
        body: dict[str, Any] = {
            "boot": self.boot,
            "lane": self.lane,
            "seq": self.seq,
            "tab": self.tab,
            "t": self.t,
            "i": in_runs(self.i, step=1),
            "dt": in_runs(self.dt, step=0),
            "v": plain_numbers(self.v),
        }
        if len(odd):
            body["q"] = {str(k): int(self.q[k]) for k in odd}
        if self.hist:
            body["hist"] = 1
        return orjson.dumps(body)

    @classmethod
    def decode(cls, payload: bytes) -> Data:
        """Raises BadMessage."""
        body = an_object(payload)
        i, dt = ints(body, "i", step=1), ints(body, "dt", step=0)
        v = floats(body, "v")
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
        return cls(
            *head(body), a_tab(body), an_int(body, "t"), i, dt, v, q, hist=bool(body.get("hist", False))
        )

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
        body = an_object(payload)
        boot, lane, seq = head(body)
        value, attrs = body.get("v"), body.get("attrs", {})
        if not (value is None or isinstance(value, int | float)) or not isinstance(attrs, dict):
            raise BadMessage("v is a number or null, attrs an object")
        q = an_int(body, "q", 0)
        if not 0 <= q <= 255:
            raise BadMessage(f"q: {q} is not a quality")
        return cls(
            id=a_text(body, "id"), boot=boot, seq=seq, tab=a_tab(body), t=an_int(body, "t"),
            i=an_int(body, "i"),
            v=float("nan") if value is None else float(value), q=q, attrs=attrs, lane=lane,
        )  # fmt: skip

    def key(self, gateway: str) -> MessageKey:
        """What de-duplicates it."""
        return MessageKey(gateway, self.boot, self.lane, self.seq)
