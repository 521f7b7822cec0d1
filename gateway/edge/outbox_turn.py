"""What goes into the outbox with one tick, and what comes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.codec import Account, Ack
from gateway.edge.pack import Row
from gateway.edge.unit import Lesson
from gateway.model import Ms


@dataclass(slots=True)
class Turn:
    """Everything of one tick, written in one transaction.

    delta: what the account gained by these rows (Tally.delta) · account: replaces the boot's account and
    swallows its deltas · lessons: all lessons of a device · tables: (tab, payload, device of each point).
    """

    t: Ms
    rows: list[Row] = field(default_factory=list)
    acks: list[Ack] = field(default_factory=list)
    delta: bytes = b""
    accounts: list[Account] = field(default_factory=list)
    lessons: dict[str, Sequence[Lesson]] = field(default_factory=dict)
    tables: list[tuple[str, bytes, list[str]]] = field(default_factory=list)
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Want:
    """Rows of a lane behind `after`, at most `limit`."""

    after: int
    limit: int


@dataclass(slots=True)
class Taken:
    """What a commit gives back: rows to send by lane, and the newest row number of each lane.

    thinned: points given up by (boot, device); they are already in the boot's deltas.
    """

    rows: dict[str, list[Row]]
    tops: dict[str, int]
    thinned: Counter[tuple[str, str]]
