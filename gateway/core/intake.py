"""From deliveries to one turn's input: shapes checked, duplicates dropped, indexes turned into series.

A message that is wrong is counted with its reason and acknowledged, so that it does not come again; one
whose point table is unknown waits until the table is there. Nothing is guessed.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gateway.codec import Account, BadMessage, Data, EventMessage, PointTable, Topic, decode_object
from gateway.codec.shapes import head
from gateway.core.ranges import Applied
from gateway.core.tables import Known, Tables
from gateway.model import GOOD, Event, Level, MessageKey, Ms, Reason, Samples, quality
from gateway.ports import Delivery

log = logging.getLogger(__name__)

PARK_LIMIT: Mapping[str, int] = {"data": 200, "event": 5_000}
"""Messages that may wait for unknown tables, by leaf. Beyond it they are given back to their edge: without a
receipt its outbox keeps them and sends them again. Tables come in the lane of `data`, and a broker hands out
only so many messages of a lane (Mosquitto 500) before it wants acknowledgements."""
GONE_LIMIT = 100_000
"""Numbers that one account may give up."""


class Refused(BadMessage):
    """A message whose content is impossible: refused for good, so its number is used up."""

    def __init__(self, key: MessageKey, message: str) -> None:
        self.key = key
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Readings:
    """The samples of one message. late: backlog of an outage."""

    gateway: str
    samples: Samples
    late: bool


@dataclass(frozen=True, slots=True)
class Heard:
    """An account."""

    gateway: str
    account: Account


FUTURE_MS = 5 * 60_000
"""A stamp that is further ahead of the core's clock is not believed."""
DOUBTFUL = quality(Level.UNCERTAIN, Reason.CLOCK_STEP)


@dataclass(slots=True)
class Turn:
    """What one turn of the core takes in. `steps` are in the order of arrival.

    gone: numbers that their edge will never send again · again: lanes (gateway, boot, lane) of messages that
    came twice, whose receipt may have been lost · done: what may be acknowledged to the broker.
    """

    steps: list[Readings | Heard] = field(default_factory=list)
    keys_live: list[MessageKey] = field(default_factory=list)
    keys_late: list[MessageKey] = field(default_factory=list)
    keys_refused: list[MessageKey] = field(default_factory=list)
    gone: list[MessageKey] = field(default_factory=list)
    facts: list[Event] = field(default_factory=list)
    again: set[tuple[str, str, str]] = field(default_factory=set)
    done: list[Delivery] = field(default_factory=list)
    replayed: bool = False
    points: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def keys(self) -> list[MessageKey]:
        """All keys to mark as applied."""
        accounts = [s.account.key(s.gateway) for s in self.steps if isinstance(s, Heard)]
        return [*self.keys_live, *self.keys_late, *self.keys_refused, *self.gone, *accounts]

    @property
    def lanes(self) -> set[tuple[str, str, str]]:
        """Lanes to send a receipt for."""
        return {(k.gateway, k.boot, k.lane) for k in self.keys} | self.again

    def samples(self, *, late: bool) -> Samples:
        """All of one sort."""
        return Samples.concat([s.samples for s in self.steps if isinstance(s, Readings) and s.late == late])

    def parts(self) -> Iterator[list[Readings] | Heard]:
        """Readings of one sort together, as far as an account or the other sort does not come between."""
        group: list[Readings] = []
        for step in self.steps:
            if group and (isinstance(step, Heard) or step.late != group[0].late):
                yield group
                group = []
            if isinstance(step, Heard):
                yield step
            else:
                group.append(step)
        if group:
            yield group


class Intake:
    """Stateful reader of the wire. `gateways` maps gateway id to its estate."""

    def __init__(self, gateways: Mapping[str, str], tables: Tables, applied: Applied) -> None:
        self._gateways = gateways
        self._tables = tables
        self._applied = applied
        self._parked: dict[MessageKey, Delivery] = {}
        self._learned = False
        self.rejected: Counter[str] = Counter()
        self.duplicates = 0
        self.gone = 0
        self.ahead: dict[str, int] = {}
        self._now: Ms = 0
        self.wanted: set[tuple[str, str, str]] = set()

    @property
    def parked(self) -> int:
        """Messages that wait for an unknown table."""
        return len(self._parked)

    @property
    def parked_points(self) -> int:
        """Points in parked messages."""
        return sum(_points_in(d) for d in self._parked.values())

    def learn(self, deliveries: Sequence[Delivery]) -> bool:
        """Register the point tables among them; True when one was new. Idempotent. Raises Retryable."""
        new = False
        for d in deliveries:
            try:
                topic = Topic.parse(d.topic)
                table = self._table(topic, d) if topic.leaf == "points" else None
            except BadMessage:
                continue  # `read` counts it
            if table is not None:
                new |= self._tables.add(table, topic.estate)
                self.wanted = {w for w in self.wanted if w[2] != table.tab}
        self._learned |= new
        return new

    def read(self, deliveries: Sequence[Delivery], now: Ms) -> Turn:
        """Sort deliveries into a turn, after `learn`. What waited for a new table comes first."""
        turn, self._now = Turn(), now
        if self._learned:
            waiting, self._parked, self._learned = list(self._parked.values()), {}, False
            for d in waiting:
                self._one(d, turn)
        for d in deliveries:
            self._one(d, turn)
        return turn

    def _one(self, d: Delivery, turn: Turn) -> None:
        try:
            waits = self._take(Topic.parse(d.topic), d, turn)
        except BadMessage as e:
            self._reject(d, e)
            key = e.key if isinstance(e, Refused) else self._key_of(d)
            if key is not None and key not in self._applied:
                self._applied.add(key)
                turn.keys_refused.append(key)
            waits = False
        if not waits:
            turn.done.append(d)

    def _reject(self, d: Delivery, e: BadMessage) -> None:
        reason = str(e).split(":")[0][:60]
        self.rejected[reason] += 1
        if self.rejected[reason] == 1:
            log.warning("message refused topic=%s reason=%r; it is counted in health", d.topic, str(e))

    def _key_of(self, d: Delivery) -> MessageKey | None:
        """The number of one of our edges' messages that is refused, as far as it can be read.

        Without it the edge would wait for its receipt, and with it all that follows, for ever.
        """
        try:
            topic = Topic.parse(d.topic)
            if topic.leaf not in ("data", "event", "account"):
                return None
            self._ours(topic)
            return MessageKey(topic.gateway, *head(decode_object(d.payload)))
        except BadMessage:
            return None

    def _ours(self, topic: Topic) -> None:
        if self._gateways.get(topic.gateway) != topic.estate:
            raise BadMessage(f"gateway {topic.gateway} of estate {topic.estate} is unknown here")

    def _take(self, topic: Topic, d: Delivery, turn: Turn) -> bool:
        """True when the message has to wait."""
        self._ours(topic)
        if topic.leaf == "points":
            self._table(topic, d)
            return False
        if topic.leaf == "account":
            account = Account.decode(d.payload)
            self._account(topic, replace(account, t=min(account.t, self._now)), turn)
            return False
        if topic.leaf == "data":
            return self._data(topic, Data.decode(d.payload), d, turn)
        if topic.leaf == "event":
            return self._event(topic, EventMessage.decode(d.payload), d, turn)
        raise BadMessage(f"leaf {topic.leaf!r} is not for the core")

    def _table(self, topic: Topic, d: Delivery) -> PointTable | None:
        """None: a retained table was deleted."""
        self._ours(topic)
        if not d.payload:
            return None
        table = PointTable.decode(d.payload)
        foreign = self._tables.foreign(table, topic.estate)
        if foreign:
            raise BadMessage(f"table of {topic.gateway} names assets of others: {', '.join(foreign[:5])}")
        return table

    def _account(self, topic: Topic, account: Account, turn: Turn) -> None:
        key = account.key(topic.gateway)
        if self._known(key, turn):
            return
        turn.steps.append(Heard(topic.gateway, account))
        self._applied.add(key)
        for boot, lanes in account.held.items():
            for lane, lowest in lanes.items():
                self._give_up((topic.gateway, boot, lane), lowest, turn)

    def _give_up(self, lane: tuple[str, str, str], lowest: int, turn: Turn) -> None:
        """Numbers under the lowest that the edge holds will not come.

        A full outbox gave them up (counted as thinned), or they were confirmed once to a state store that was
        restored from a copy since. Left open, the hole would keep the lane from ever being confirmed again.
        """
        if self._applied.upto(lane) >= lowest - 1:
            return
        keys = [MessageKey(*lane, seq) for seq in self._applied.missing(lane, lowest, GONE_LIMIT)]
        for key in keys:
            self._applied.add(key)
        turn.gone += keys
        self.gone += len(keys)
        log.warning(
            "messages will not come gateway=%s lane=%s count=%d; a full outbox gave them up, or this state"
            " store was restored from a copy: the balance shows what is missing", lane[0], lane[2], len(keys),
        )  # fmt: skip

    def _known(self, key: MessageKey, turn: Turn) -> bool:
        if key in self._applied:
            self.duplicates += 1
            turn.again.add((key.gateway, key.boot, key.lane))
            return True
        return False

    def _find(self, topic: Topic, tab: str, key: MessageKey, d: Delivery) -> tuple[Known | None, bool]:
        """The table, or whether the message waits for it here."""
        known = self._tables.get(tab)
        if known is not None:
            return known, False
        self.wanted.add((topic.estate, topic.gateway, tab))
        here = sum(k.lane == "event" for k in self._parked)
        full = here if topic.leaf == "event" else len(self._parked) - here
        waits = key in self._parked or full < PARK_LIMIT[topic.leaf]
        if waits:
            self._parked[key] = d
        return None, waits

    def _in_time(self, topic: Topic, samples: Samples) -> Samples:
        """Readings from the future, moved back by as much as the edge's clock is ahead, and marked.

        Kept as they are they would make their series deaf until that time has come: a newer reading with a
        right stamp would count as late, a fire alarm too.
        """
        top = int(samples.t.max())
        if top - self._now <= FUTURE_MS:
            return samples
        ahead = self.ahead.get(topic.gateway)
        if ahead is None:
            log.error(
                "clock of the edge is ahead gateway=%s by_s=%d; its stamps are moved back, set its clock",
                topic.gateway, (top - self._now) // 1000,
            )  # fmt: skip
        if ahead is None or abs(top - ahead - self._now) > FUTURE_MS:
            # One shift for as long as it fits: readings of one point must not fall on one instant.
            self.ahead[topic.gateway] = ahead = top - self._now
        marked = np.where(samples.q == GOOD, DOUBTFUL, samples.q).astype(np.uint8)
        return Samples(samples.series, samples.t - ahead, samples.v, marked)

    def _data(self, topic: Topic, m: Data, d: Delivery, turn: Turn) -> bool:
        key = m.key(topic.gateway)
        if self._known(key, turn):
            return False
        known, waits = self._find(topic, m.tab, key, d)
        if known is None:
            return waits
        if int(m.i.max()) >= len(known.series):
            raise Refused(key, f"i: index {int(m.i.max())} is outside of table {m.tab}")
        samples = self._in_time(topic, Samples(known.series[m.i], m.t + m.dt, m.v, m.q))
        odd = ~np.isfinite(samples.v) & (samples.q == GOOD)
        if odd.any():
            raise Refused(key, "v: a value that is not a number has quality GOOD")
        late = m.hist or m.lane == "backlog"
        turn.steps.append(Readings(topic.gateway, samples, late))
        (turn.keys_late if late else turn.keys_live).append(key)
        self._applied.add(key)
        turn.points[topic.gateway, m.boot] += len(samples)
        turn.replayed |= d.redelivered
        return False

    def _event(self, topic: Topic, m: EventMessage, d: Delivery, turn: Turn) -> bool:
        key = m.key(topic.gateway)
        if self._known(key, turn):
            return False
        known, waits = self._find(topic, m.tab, key, d)
        if known is None:
            return waits
        if not 0 <= m.i < len(known.series):
            raise Refused(key, f"i: index {m.i} is outside of table {m.tab}")
        point = known.table.points[m.i]
        samples = self._in_time(topic, Samples.of([int(known.series[m.i])], [m.t], [m.v], [m.q]))
        turn.steps.append(Readings(topic.gateway, samples, late=False))
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
