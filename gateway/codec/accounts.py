"""The edge's half of the balance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from gateway.codec.shapes import an_int, an_object, head
from gateway.codec.wire import BadMessage
from gateway.model import MessageKey, Ms


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

    outbox, backlog: points that wait for the core's receipt, and how many of them are backlog · held: the
    lowest number that the outbox still holds, by boot and lane: nothing below it will ever come again.
    """

    boot: str
    seq: int
    t: Ms
    devices: dict[str, DeviceAccount]
    outbox: int = 0
    backlog: int = 0
    facts: Mapping[str, float] = field(default_factory=dict)
    lane: str = "account"
    held: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def encode(self) -> bytes:
        """JSON."""
        return orjson.dumps(self)

    @classmethod
    def decode(cls, payload: bytes) -> Account:
        """Raises BadMessage."""
        body = an_object(payload)
        boot, lane, seq = head(body)
        raw = body.get("devices")
        if not isinstance(raw, dict):
            raise BadMessage("devices: an object by device id is needed")
        facts = body.get("facts", {})
        if not isinstance(facts, dict):
            raise BadMessage("facts: an object is needed")
        return cls(
            boot, seq, an_int(body, "t"), {str(k): _device_account(k, d) for k, d in raw.items()},
            an_int(body, "outbox", 0), an_int(body, "backlog", 0), facts, lane, _held(body),
        )  # fmt: skip

    def key(self, gateway: str) -> MessageKey:
        """What de-duplicates it."""
        return MessageKey(gateway, self.boot, self.lane, self.seq)


def _held(body: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    raw = body.get("held", {})
    if not isinstance(raw, dict) or not all(isinstance(lanes, dict) for lanes in raw.values()):
        raise BadMessage("held: numbers by boot and lane are needed")
    return {str(boot): {str(lane): an_int(lanes, lane) for lane in lanes} for boot, lanes in raw.items()}


def _device_account(name: str, raw: object) -> DeviceAccount:
    if not isinstance(raw, dict):
        raise BadMessage(f"devices.{name}: an object is needed")
    gaps = raw.get("gaps", {})
    if not isinstance(gaps, dict) or not all(isinstance(n, int) for n in gaps.values()):
        raise BadMessage(f"devices.{name}.gaps: counts by cause are needed")
    due, stored, suppressed, thinned = (an_int(raw, k, 0) for k in ("due", "stored", "suppressed", "thinned"))
    return DeviceAccount(due, stored, suppressed, thinned, {str(k): int(n) for k, n in gaps.items()})
