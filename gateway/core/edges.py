"""What the core knows of each edge: connection, event time, silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.codec import Account, Status
from gateway.model import Ms

SILENT_S = 35.0
"""Site seconds without a message after which an edge counts as silent (3 accounts and a half)."""


@dataclass(slots=True)
class Edge:
    """One edge as the core sees it. Times are site time in ms."""

    id: str
    estate: str
    online: bool = False
    boot: str = ""
    conn: int = 0
    newest: Ms = 0
    arrived: Ms = 0
    account: Account | None = None
    receipts: dict[str, int] = field(default_factory=dict)
    last_receipt: Ms = 0
    takeovers: int = 0

    def heard(self, newest: Ms, now: Ms) -> None:
        """A message with this newest event time arrived."""
        self.newest = max(self.newest, min(newest, now + 5 * 60_000))
        self.arrived = now

    def status(self, s: Status) -> bool | None:
        """Take a status. True: online with a new connection; False: offline; None: old news."""
        if (s.boot == self.boot and s.conn < self.conn) or (s.boot < self.boot):
            return None
        if s.boot == self.boot and s.conn == self.conn and s.online == self.online:
            return None
        self.boot, self.conn, self.online = s.boot, s.conn, s.online
        return s.online

    def silent(self, now: Ms) -> bool:
        """No message for too long, whatever the connection says."""
        return now - self.arrived > SILENT_S * 1000

    def time(self, now: Ms) -> Ms | None:
        """The edge's event time: newest event + time since it arrived; None (frozen) while silent."""
        if not self.newest or not self.online or self.silent(now):
            return None
        return self.newest + (now - self.arrived)


class Edges:
    """All edges of the site, by id."""

    def __init__(self, estates: Mapping[str, str]) -> None:
        self.all = {g: Edge(g, e) for g, e in estates.items()}

    def __getitem__(self, gateway: str) -> Edge:
        return self.all[gateway]

    def __contains__(self, gateway: object) -> bool:
        return gateway in self.all

    def health(self, now: Ms) -> dict[str, dict[str, object]]:
        """Per edge what the operator asks first."""
        return {
            e.id: {
                "estate": e.estate,
                "online": e.online and not e.silent(now),
                "boot": e.boot,
                "age_s": round((now - e.arrived) / 1000, 1) if e.arrived else None,
                "last_receipt": e.last_receipt or None,
                "outbox": e.account.outbox if e.account else None,
                "backlog": e.account.backlog if e.account else None,
                "facts": dict(e.account.facts) if e.account else {},
            }
            for e in self.all.values()
        }
