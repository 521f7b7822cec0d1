"""Receipts, births, status, and any other object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from gateway.codec.shapes import a_text, an_int, an_object, head
from gateway.codec.wire import TAB, BadMessage


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
        return cls(*head(an_object(payload), seq="upto"))


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
        body = an_object(payload)
        tabs = body.get("tabs")
        if not isinstance(tabs, list) or not all(isinstance(t, str) and TAB.fullmatch(t) for t in tabs):
            raise BadMessage("tabs: a list of table hashes is needed")
        return cls(a_text(body, "boot"), a_text(body, "cfg"), a_text(body, "sw"), tuple(tabs))


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
        body = an_object(payload)
        if not isinstance(body.get("online"), bool):
            raise BadMessage("online: true or false is needed")
        return cls(body["online"], a_text(body, "boot"), an_int(body, "conn"))


def decode_object(payload: bytes) -> dict[str, Any]:
    """Any JSON object (commands, replies). Raises BadMessage."""
    return an_object(payload)
