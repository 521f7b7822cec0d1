"""What goes out next. Pure bookkeeping over the outbox: lanes by rank, receipts, rewinding, drain rate.

A row is sent from its lane's queue, stays in flight until the core's receipt covers it, and is sent again
with the same ids after a new connection or when no receipt comes for 30 s (3 s when later ones got
theirs), then less and less often.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.codec import Ack
from gateway.edge.outbox import Taken, Want
from gateway.edge.pack import Row

log = logging.getLogger(__name__)

RANKS = ("table", "event", "state", "account", "live", "backlog")
"""Tables before what they explain; events and states in time order before values; history last."""

REFILL = {"backlog": 512}
REFILL_ELSE = 128
"""Rows fetched at once; the next are fetched when half of them are sent."""
IN_FLIGHT = {"backlog": 64}
IN_FLIGHT_LIMIT = 2000
"""Rows of a lane that may wait for a receipt: beyond it nothing more is pushed into the broker."""
RESEND_S = (30.0, 600.0)
BURST_S = 0.1
"""Backlog that may go at once, in seconds of its rate."""
AHEAD_S = 0.5
"""Backlog in flight is as much as the core confirms in this time: live values wait no longer behind it."""
PACE_S = 0.25
PACE_LIMITS = (64, 800)
"""A broker drops what it cannot queue for a slow core (Mosquitto: 1,000 messages)."""

Publish = Callable[[str, bytes, bool], bool]


@dataclass(slots=True)
class _Lane:
    """flight: (boot, seq, sent at) by row number · taken: newest row fetched · top: newest row there is."""

    queue: deque[Row] = field(default_factory=deque)
    flight: dict[int, tuple[str, int, float]] = field(default_factory=dict)
    taken: int = 0
    top: int = 0
    limit: int = IN_FLIGHT_LIMIT
    pause_s: float = RESEND_S[0]
    progress_at: float = 0.0

    @property
    def open(self) -> bool:
        return len(self.flight) < self.limit

    def rewind(self) -> None:
        if self.flight:
            self.taken = min(self.taken, min(self.flight) - 1)
            self.flight.clear()
        if self.queue:
            self.taken = min(self.taken, self.queue[0].n - 1)
            self.queue.clear()


class Courier:
    """`boot`: the present one, whose receipts are believed only up to what was sent."""

    def __init__(self, boot: str, drain_per_s: float) -> None:
        self._boot = boot
        self._rate = drain_per_s
        self._lanes = {name: _Lane(limit=IN_FLIGHT.get(name, IN_FLIGHT_LIMIT)) for name in RANKS}
        self._direct: deque[tuple[str, bytes, bool]] = deque()
        self._acked: dict[tuple[str, str], int] = {}
        self._sent: dict[str, int] = {}
        self._last_data_ack = 0.0
        self._budget = 0.0
        self._budget_at = 0.0
        self._pace_at, self._paced = -math.inf, 0
        self.online = False
        self.resent = 0
        self.last_ack = 0.0

    # ── filling ───────────────────────────────────────────────────────────────────────────────────

    def wants(self) -> dict[str, Want]:
        """What to take from the outbox with the next commit."""
        if not self.online:
            return {}
        return {
            name: Want(lane.taken, refill)
            for name, lane in self._lanes.items()
            if len(lane.queue) < (refill := REFILL.get(name, REFILL_ELSE)) // 2 and lane.open
        }

    def accept(self, wants: Mapping[str, Want], taken: Taken) -> None:
        """Rows that the outbox gave for `wants`; those of a lane that was rewound meanwhile are dropped."""
        for name, top in taken.tops.items():
            self._lanes[name].top = max(self._lanes[name].top, top)
        for name, want in wants.items():
            lane, rows = self._lanes[name], taken.rows.get(name, [])
            if lane.taken != want.after or not self.online:
                continue
            lane.queue.extend(rows)
            lane.taken = rows[-1].n if len(rows) == want.limit else max(lane.taken, taken.tops.get(name, 0))

    def direct(self, topic: str, payload: bytes, *, retain: bool) -> None:
        """Something that is not kept in the outbox: status, birth, tables on request, replies."""
        self._direct.append((topic, payload, retain))

    # ── sending ───────────────────────────────────────────────────────────────────────────────────

    @property
    def busy(self) -> bool:
        """There is something to send now, or rows to fetch for it."""
        return self.online and (
            bool(self._direct)
            or any(lane.open and (lane.queue or lane.taken < lane.top) for lane in self._lanes.values())
        )

    @property
    def live(self) -> bool:
        """False while the core is out of reach: values recorded now become backlog."""
        return self.online and self._lanes["live"].open

    def pump(self, publish: Publish, now_s: float) -> int:
        """Send by rank until the window is full; rows sent."""
        if not self.online:
            return 0
        while self._direct:
            if not publish(*self._direct[0]):
                return 0
            self._direct.popleft()
        self._refuel(now_s)
        count = 0
        for name in RANKS:
            sent, blocked = self._drain(name, publish, now_s)
            count += sent
            if blocked:
                break
        return count

    def _drain(self, name: str, publish: Publish, now_s: float) -> tuple[int, bool]:
        lane, count = self._lanes[name], 0
        while lane.queue and lane.open:
            row = lane.queue[0]
            if row.seq > self._acked.get((row.boot, name), 0):
                if name == "backlog" and self._budget < 1:
                    break
                if not publish(row.topic, row.payload, bool(row.retain)):
                    return count, True
                self._mark(name, lane, row, now_s)
                count += 1
            lane.queue.popleft()
        return count, False

    def _mark(self, name: str, lane: _Lane, row: Row, now_s: float) -> None:
        if name == "backlog":
            self._budget -= 1
        if name != "table":  # tables are proven by the data that uses them
            lane.flight[row.n] = (row.boot, row.seq, now_s)
        if row.boot == self._boot:
            self._sent[name] = max(self._sent.get(name, 0), row.seq)

    def _refuel(self, now_s: float) -> None:
        gained = (now_s - self._budget_at) * self._rate
        self._budget = min(self._budget + gained, max(1.0, self._rate * BURST_S))
        self._budget_at = now_s

    # ── receipts ──────────────────────────────────────────────────────────────────────────────────

    def acked(self, ack: Ack, now_s: float) -> Ack | None:
        """The receipt, limited to what was sent; None when it covers nothing new."""
        lane = self._lanes.get(ack.lane)
        if lane is None:
            return None
        self.last_ack = now_s
        if ack.lane != "event":
            self._last_data_ack = now_s
        upto = min(ack.upto, self._sent.get(ack.lane, 0)) if ack.boot == self._boot else ack.upto
        if upto <= self._acked.get((ack.boot, ack.lane), 0):
            return None
        lane.progress_at, lane.pause_s = now_s, RESEND_S[0]
        self._acked[ack.boot, ack.lane] = upto
        covered = []
        for n, (boot, seq, _) in lane.flight.items():  # in the order of sending: rising within a boot
            if boot == ack.boot and seq > upto:
                break
            if boot == ack.boot:
                covered.append(n)
        for n in covered:
            del lane.flight[n]
        if ack.lane == "backlog":
            self._pace(lane, len(covered), now_s)
        return Ack(ack.boot, ack.lane, upto)

    def _pace(self, lane: _Lane, confirmed: int, now_s: float) -> None:
        """Let in flight what the core confirms in AHEAD_S; a fast core doubles it with every look."""
        self._paced += confirmed
        elapsed = now_s - self._pace_at
        if elapsed < PACE_S:
            return
        if elapsed < 4 * PACE_S:  # else there was a pause: it says nothing about the core
            low, high = PACE_LIMITS
            lane.limit = max(low, min(high, round(AHEAD_S * self._paced / elapsed)))
        self._pace_at, self._paced = now_s, 0

    def connection(self, *, online: bool) -> None:
        """The link came or went. What is in flight is sent again on the next one."""
        self.online = online
        self._direct.clear()
        for name, lane in self._lanes.items():
            lane.rewind()
            if name == "table":
                lane.taken = 0

    def resend(self) -> None:
        """Send everything again that has no receipt."""
        for lane in self._lanes.values():
            self.resent += len(lane.flight)
            lane.rewind()

    def overdue(self, now_s: float) -> bool:
        """Send lanes again that got no receipt for too long; True when there were any.

        A tenth of the wait is enough when receipts for later messages have come: something was lost. The
        core takes events first, so for an event any receipt tells; for the rest those of events do not.
        """
        if not self.online:
            return False
        late = []
        for name, lane in self._lanes.items():
            since = max(_sent_at(lane), lane.progress_at) if lane.flight else now_s
            heard = self.last_ack if name == "event" else self._last_data_ack
            if now_s - since >= lane.pause_s or heard - since >= lane.pause_s / 10:
                late.append(lane)
        rows = sum(len(lane.flight) for lane in late)
        if late and self.resent == 0:
            log.warning("no receipt from the core for %d messages; they are sent again", rows)
        self.resent += rows
        for lane in late:
            lane.pause_s = min(lane.pause_s * 2, RESEND_S[1])
            lane.rewind()
        return bool(late)


def _sent_at(lane: _Lane) -> float:
    return next(iter(lane.flight.values()))[2]
