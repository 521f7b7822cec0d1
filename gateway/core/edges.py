"""What the core knows of each edge: connection, event time, silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.codec import Account, Status
from gateway.model import Ms

SILENT_MS: Ms = 35_000
"""Site time without a message after which an edge counts as silent (3 accounts and a half)."""
FREEZE_MS: Ms = 15_000
"""Site time without a message after which an edge's event time stands still: before its devices could be
taken for silent (three accounts), since it is the edge that says nothing."""
SILENT_REAL_S = 5.0
"""And at least so many real seconds, for site time that runs fast."""
AHEAD_MS = 5 * 60_000
"""An event time further ahead of the core's clock is a wrong clock, not news."""


@dataclass(slots=True)
class Edge:
    """One edge as the core sees it. Times are site time in ms.

    newest: its newest event time, which came at `arrived` · heard_at: when anything came last ·
    lost: it has been told that the edge is silent.
    """

    id: str
    estate: str
    patience: Ms = SILENT_MS
    online: bool = False
    boot: str = ""
    conn: int = 0
    newest: Ms = 0
    arrived: Ms = 0
    heard_at: Ms = 0
    account: Account | None = None
    last_receipt: Ms = 0
    lost: bool = False

    def heard(self, newest: Ms, now: Ms) -> None:
        """A message with this newest event time (0: with none) arrived."""
        newest = min(newest, now + AHEAD_MS)
        if newest > self.newest:
            self.newest, self.arrived = newest, now
        self.heard_at = now

    def status(self, s: Status, now: Ms) -> bool | None:
        """Take a status. True: online with a new connection; False: offline; None: old news.

        What an older boot says is old news, unless the present one is gone: an edge that was replaced by a
        machine whose clock is behind must be heard.
        """
        older = s.boot < self.boot or (s.boot == self.boot and s.conn < self.conn)
        present = self.online and not self.silent(now)
        if older and (not s.online or s.boot == self.boot or present):
            return None
        if (s.boot, s.conn, s.online) == (self.boot, self.conn, self.online):
            return None
        self.boot, self.conn, self.online = s.boot, s.conn, s.online
        if s.online:
            self.heard_at = now
        return s.online

    def silent(self, now: Ms) -> bool:
        """No message for too long, whatever the connection says."""
        return now - self.heard_at > self.patience

    def present(self, now: Ms) -> bool:
        """Connected and heard of."""
        return self.online and not self.silent(now)

    def time(self, now: Ms) -> Ms | None:
        """The edge's event time: newest event + time since it arrived; None: it stands still."""
        if not self.newest or not self.online or now - self.heard_at > FREEZE_MS:
            return None
        return self.newest + (now - self.arrived)


class Edges:
    """All edges of the site, by id. `speed`: of the site clock."""

    def __init__(self, estates: Mapping[str, str], speed: float = 1.0) -> None:
        self.patience: Ms = max(SILENT_MS, round(SILENT_REAL_S * speed * 1000))
        self.all = {g: Edge(g, e, self.patience) for g, e in estates.items()}

    def __getitem__(self, gateway: str) -> Edge:
        return self.all[gateway]

    def __contains__(self, gateway: object) -> bool:
        return gateway in self.all

    def health(self, now: Ms) -> dict[str, dict[str, object]]:
        """Per edge what the operator asks first."""
        return {
            e.id: {
                "estate": e.estate,
                "online": e.present(now),
                "boot": e.boot,
                "age_s": round((now - e.heard_at) / 1000, 1) if e.heard_at else None,
                "last_receipt": e.last_receipt or None,
                "outbox": e.account.outbox if e.account else None,
                "backlog": e.account.backlog if e.account else None,
                "facts": dict(e.account.facts) if e.account else {},
            }
            for e in self.all.values()
        }
