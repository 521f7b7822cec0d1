"""Topics, limits and the error of the wire."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.errors import Permanent
from gateway.model import ID

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
