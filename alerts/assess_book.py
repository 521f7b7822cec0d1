"""Keeps the judgement on every alarm: probable root, confidence, candidates and the sentence. Pure.

A book of the desk (see `books`). What it finds stands on the alarm; a root that changes is an event of its
own (`alarm.assessed`) with the evidence, so that the log says later what was believed when.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from alerts.alarms import AlarmBook
from alerts.alarms_causes import LAG_MS
from alerts.alarms_state import Alarm
from alerts.assess import Judge, tell, told_of_root
from alerts.books import Gone, Record
from alerts.orders import OrderBook
from gateway.errors import BadInput
from gateway.model import Command, Event, Ms

NEWS = frozenset({"alarm.raised", "alarm.backdated"})
"""Events after which the causes are weighed again."""


YOUNG = 12
"""Among equals only what came at about the same time can change places: so many of the newest are weighed
again."""


class Assessor:
    """Judges what was raised, and what was raised before it and may follow from it."""

    nouns: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def __init__(self, book: AlarmBook, orders: OrderBook) -> None:
        """book: its alarms get the judgement · orders: those of one root become one incident."""
        self._book, self._orders = book, orders
        self._rooted: dict[str, set[str]] | None = None

    def step(self, events: Sequence[Event], now: Ms) -> list[Event]:
        """Weigh again what the events concern."""
        alarms = self._book.alarms
        fresh = [alarms[e.subject] for e in events if e.kind in NEWS and e.subject in alarms]
        if not fresh:
            return []
        judge = Judge(self._book.kin, self._delay)
        young: dict[str, list[Alarm]] = {}
        due = {a.id: a for x in fresh for a in (x, *self._followers(x, young))}
        out = [e for i in sorted(due) if due[i].active for e in self._judge(due[i], judge, now)]
        self._tell_roots({a.root for a in due.values() if a.root})
        return out

    def _delay(self, rule: str) -> float:
        return float(getattr(self._book.rules.get(rule), "on_delay_s", 0.0) or 0.0)

    def _followers(self, cause: Alarm, waters: dict[str, list[Alarm]]) -> list[Alarm]:
        """What stood before the cause was noticed and may follow from it.

        waters: the newest by estate, filled here, so that a batch looks through an estate once.
        """
        kin = self._book.kin
        earliest = cause.raised_at - LAG_MS
        if cause.estate not in waters:
            waters[cause.estate] = _newest(kin.waters(cause.estate))
        young = _newest(itertools.chain(kin.at(cause.asset), waters[cause.estate]))
        near = (*kin.reach(cause), *young)
        return [a for a in near if a.active and a.id != cause.id and a.raised_at >= earliest]

    def _judge(self, alarm: Alarm, judge: Judge, now: Ms) -> list[Event]:
        ranked = judge.rank(alarm)
        best, was = ranked[0], alarm.root
        root = best.alarm.id if best.alarm.id != alarm.id else alarm.suppressed_by
        shown = [c.as_dict() for c in ranked]
        if root == was and shown == alarm.candidates:
            return []
        news = root != was or not alarm.candidates
        alarm.root, alarm.root_confidence, alarm.candidates = root, best.confidence, shown
        alarm.root_sentence = tell(alarm, ranked, self._book.assets)
        self._book.changed.add(alarm.id)
        self._count(alarm, was)
        if root is None or not news:
            return []
        said: dict[str, Any] = {"root": root, "confidence": best.confidence, "candidates": shown, "was": was}
        told = self._book.event(alarm, "alarm.assessed", now, f"{alarm.occurrence}:{root}:{now}", **said)
        return [told, *self._join(alarm, root, now)]

    def _join(self, alarm: Alarm, root: str, now: Ms) -> list[Event]:
        """The orders of an alarm belong to the incident of its root. Each keeps its own clocks."""
        there = self._orders.of_alarm(root)
        out: list[Event] = []
        for order in self._orders.of_alarm(alarm.id) if there else ():
            if order.drill != there[0].drill or order.incident == there[0].incident:
                continue
            was, order.incident = order.incident, there[0].incident
            self._orders.touch(order, now, "steward")
            key = f"{order.id}:{order.incident}"
            out.append(self._orders.event(order, "order.joined", now, key, was=was, root=root))
        return out

    # ── the root's own sentence ───────────────────────────────────────────────────────────────────

    def _count(self, alarm: Alarm, was: str | None) -> None:
        if was is not None:
            self._under(was).discard(alarm.id)
        if alarm.root is not None:
            self._under(alarm.root).add(alarm.id)

    def _under(self, root: str) -> set[str]:
        if self._rooted is None:  # once after a start
            self._rooted = {}
            for a in self._book.alarms.values():
                if a.root is not None:
                    self._rooted.setdefault(a.root, set()).add(a.id)
        return self._rooted.setdefault(root, set())

    def _tell_roots(self, roots: set[str]) -> None:
        """A root says how many alarms it stands for; what it follows from itself is more important."""
        alarms = self._book.alarms
        for root in sorted(roots & set(alarms)):
            here = [alarms[i] for i in self._under(root) if i in alarms]
            count = sum(a.active and a.root == root for a in here)
            if count and alarms[root].root is None:
                said = told_of_root(count)
                if alarms[root].root_sentence != said:
                    alarms[root].root_sentence = said
                    self._book.changed.add(root)

    # ── a book of the desk without commands, timers and records of its own ────────────────────────

    def command(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        """There are none."""
        raise BadInput(f"there is no command {cmd.kind!r}", field="kind")

    def tick(self, now: Ms) -> list[Event]:
        """Nothing: a judgement changes with alarms, not with time."""
        return []

    def drain(self) -> tuple[list[Record], list[Gone]]:
        """Nothing: the judgement is part of the alarm's record."""
        return [], []

    def dump(self) -> list[Record]:
        """Nothing, see `drain`."""
        return []

    def load(self, kind: str, id_: str, body: Mapping[str, Any]) -> None:
        """Nothing, see `drain`."""


def _newest(alarms: Iterable[Alarm]) -> list[Alarm]:
    return heapq.nlargest(YOUNG, (a for a in alarms if a.active), key=attrgetter("raised_at"))
