"""From deliveries to one turn's input: shapes checked, duplicates dropped, indexes turned into series.

A message that is wrong is counted with its reason and acknowledged, so that it does not come again; one
whose point table is unknown waits until the table is there. Nothing is guessed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gateway.codec import Account, BadMessage, Data, EventMessage, PointTable, Topic
from gateway.core.ranges import Applied
from gateway.core.tables import Known, Tables
from gateway.model import GOOD, Event, MessageKey, Ms, Samples
from gateway.ports import Delivery

log = logging.getLogger(__name__)

PARK_LIMIT = 5_000
"""Messages that may wait for unknown tables; beyond it they are left to the broker."""


class Refused(BadMessage):
    """A well-formed message whose content is impossible: refused for good, so its number is used up."""

    def __init__(self, key: MessageKey, message: str) -> None:
        self.key = key
        super().__init__(message)


@dataclass(slots=True)
class Turn:
    """What one turn of the core takes in."""

    live: list[Samples] = field(default_factory=list)
    late: list[Samples] = field(default_factory=list)
    keys_live: list[MessageKey] = field(default_factory=list)
    keys_late: list[MessageKey] = field(default_factory=list)
    keys_refused: list[MessageKey] = field(default_factory=list)
    accounts: list[tuple[str, str, Account]] = field(default_factory=list)
    facts: list[Event] = field(default_factory=list)
    done: list[Delivery] = field(default_factory=list)
    replayed: bool = False
    points: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def keys(self) -> list[MessageKey]:
        """All keys to mark as applied."""
        return [
            *self.keys_live,
            *self.keys_late,
            *self.keys_refused,
            *(a.key(g) for _, g, a in self.accounts),
        ]


class Intake:
    """Stateful reader of the wire. `gateways` maps gateway id to its estate."""

    def __init__(self, gateways: Mapping[str, str], tables: Tables, applied: Applied) -> None:
        self._gateways = gateways
        self._tables = tables
        self._applied = applied
        self._parked: dict[MessageKey, Delivery] = {}
        self.rejected: Counter[str] = Counter()
        self.duplicates = 0
        self.wanted: set[tuple[str, str, str]] = set()

    @property
    def parked(self) -> int:
        """Messages that wait for an unknown table."""
        return len(self._parked)

    @property
    def parked_points(self) -> int:
        """Points in parked messages."""
        return sum(_points_in(d) for d in self._parked.values())

    def read(self, deliveries: Sequence[Delivery]) -> Turn:
        """Sort deliveries into a turn. Messages of a table that just arrived follow at the end."""
        turn = Turn()
        before = len(self._tables.fresh)
        for d in deliveries:
            self._one(d, turn)
        if len(self._tables.fresh) > before and self._parked:
            waiting, self._parked = list(self._parked.values()), {}
            for d in waiting:
                self._one(d, turn)
        return turn

    def _one(self, d: Delivery, turn: Turn) -> None:
        try:
            waits = self._take(Topic.parse(d.topic), d, turn)
        except Refused as e:
            self._reject(d, e)
            self._applied.add(e.key)
            turn.keys_refused.append(e.key)
            waits = False
        except BadMessage as e:
            self._reject(d, e)
            waits = False
        if not waits:
            turn.done.append(d)

    def _reject(self, d: Delivery, e: BadMessage) -> None:
        reason = str(e).split(":")[0][:60]
        self.rejected[reason] += 1
        if self.rejected[reason] == 1:
            log.warning("message refused topic=%s reason=%r; it is counted in health", d.topic, str(e))

    def _take(self, topic: Topic, d: Delivery, turn: Turn) -> bool:
        """True when the message has to wait."""
        if self._gateways.get(topic.gateway) != topic.estate:
            raise BadMessage(f"gateway {topic.gateway} of estate {topic.estate} is unknown here")
        if topic.leaf == "points":
            self._table(topic, d)
            return False
        if topic.leaf == "account":
            account = Account.decode(d.payload)
            if not self._known(account.key(topic.gateway), d):
                turn.accounts.append((topic.estate, topic.gateway, account))
                self._applied.add(account.key(topic.gateway))
            return False
        if topic.leaf == "data":
            return self._data(topic, Data.decode(d.payload), d, turn)
        if topic.leaf == "event":
            return self._event(topic, EventMessage.decode(d.payload), d, turn)
        raise BadMessage(f"leaf {topic.leaf!r} is not for the core")

    def _table(self, topic: Topic, d: Delivery) -> None:
        if not d.payload:
            return
        table = PointTable.decode(d.payload)
        foreign = self._tables.foreign(table, topic.estate)
        if foreign:
            raise BadMessage(f"table of {topic.gateway} names assets of others: {', '.join(foreign[:5])}")
        self._tables.add(table)
        self.wanted = {w for w in self.wanted if w[2] != table.tab}

    def _known(self, key: MessageKey, d: Delivery) -> bool:
        if key in self._applied:
            self.duplicates += 1
            return True
        return False

    def _find(self, topic: Topic, tab: str, key: MessageKey, d: Delivery) -> Known | None:
        known = self._tables.get(tab)
        if known is None and len(self._parked) < PARK_LIMIT:
            self._parked[key] = d
            self.wanted.add((topic.estate, topic.gateway, tab))
        return known

    def _data(self, topic: Topic, m: Data, d: Delivery, turn: Turn) -> bool:
        key = m.key(topic.gateway)
        if self._known(key, d):
            return False
        known = self._find(topic, m.tab, key, d)
        if known is None:
            return True
        if int(m.i.max()) >= len(known.series):
            raise Refused(key, f"i: index {int(m.i.max())} is outside of table {m.tab}")
        samples = Samples(known.series[m.i], m.t + m.dt, m.v, m.q)
        odd = np.isnan(samples.v) & (samples.q == GOOD)
        if odd.any():
            raise Refused(key, "v: a value that is not a number has quality GOOD")
        late = m.hist or m.lane == "backlog"
        (turn.late if late else turn.live).append(samples)
        (turn.keys_late if late else turn.keys_live).append(key)
        self._applied.add(key)
        turn.points[topic.gateway, m.boot] += len(samples)
        turn.replayed |= d.redelivered
        return False

    def _event(self, topic: Topic, m: EventMessage, d: Delivery, turn: Turn) -> bool:
        key = m.key(topic.gateway)
        if self._known(key, d):
            return False
        known = self._find(topic, m.tab, key, d)
        if known is None:
            return True
        if not 0 <= m.i < len(known.series):
            raise Refused(key, f"i: index {m.i} is outside of table {m.tab}")
        point = known.table.points[m.i]
        turn.live.append(Samples.of([int(known.series[m.i])], [m.t], [m.v], [m.q]))
        turn.keys_live.append(key)
        turn.points[topic.gateway, m.boot] += 1
        if m.attrs:
            turn.facts.append(_fact(topic, m, point.asset, point.tag))
        self._applied.add(key)
        turn.replayed |= d.redelivered
        return False


def _fact(topic: Topic, m: EventMessage, asset: str, tag: str) -> Event:
    attrs: dict[str, Any] = {str(k): v for k, v in m.attrs.items()}
    t: Ms = m.t
    return Event(f"fact:{m.id}", topic.estate, t, "device.fact", f"{asset}/{tag}", asset=asset, data=attrs)


def _points_in(d: Delivery) -> int:
    try:
        return len(Data.decode(d.payload).i)
    except BadMessage:
        return 1
