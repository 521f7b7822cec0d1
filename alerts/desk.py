"""The dispatch half of the brain in one pure step: findings, commands and time in, facts and calls out.

`step`, `command` and `tick` give an `Outcome`: what the core commits in one transaction. `dump` and `load`
carry the state over a restart, so that nothing is repeated and nothing forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from alerts.alarms import AlarmBook
from alerts.alarms_access import authorise, in_scope
from alerts.alarms_again import Repeat
from alerts.alarms_cycle import SentenceOf
from alerts.alarms_state import Alarm, RuleFacts
from alerts.books import Book, Gone, Record
from alerts.calendars import Calendar, Roster
from alerts.cards import Cards
from alerts.hazards import HazardBook
from alerts.matrix import Matrix
from alerts.notices import Announcer, queued, watchdog_notice
from alerts.occurrences import Occurrences
from alerts.orders import OrderBook
from alerts.orders_state import Order
from alerts.orders_unproven import Unproven
from alerts.permits import PermitBook
from alerts.silences import SilenceBook
from gateway.errors import BadInput, Conflict, NotFound
from gateway.model import Asset, Command, Event, Finding, Ms, Notice

__all__ = ["KINDS", "Dispatch", "Outcome", "Record"]

KINDS = ("alarm", "order", "asset_mode", "desk")
"""Kinds of records that `dump` gives and `load` needs, beside those of the books: see `Dispatch.kinds`."""
OWN = frozenset({"alarm", "order", "asset", "drill"})
"""First words of the commands that the desk carries out itself."""


@dataclass(slots=True)
class Outcome:
    """What one turn changed.

    records: the current state of everything in the two `changed` sets and of the books · gone: records to
    delete.
    """

    events: list[Event] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    changed_alarms: set[str] = field(default_factory=set)
    changed_orders: set[str] = field(default_factory=set)
    records: list[Record] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)


class Dispatch:
    """Alarms, orders and notices together."""

    def __init__(
        self,
        book: AlarmBook,
        orders: OrderBook,
        announcer: Announcer,
        *,
        watchdog_s: float = 3600,
        config: str = "",
    ) -> None:
        """Join them; `Dispatch.build` makes them, too. watchdog_s: period of the test notice, 0 = never."""
        self.book, self.orders, self.announcer = book, orders, announcer
        self._watchdog_ms = round(watchdog_s * 1000)
        self._slot = -1
        self._extra: list[Record] = []
        self._pending: list[Event] = []
        self._estates = tuple(dict.fromkeys(a.estate for a in book.assets.values()))
        self._now: Ms = 0
        self._loaded = False
        self.books: list[Book] = []
        self._by_noun: dict[str, Book] = {}
        self.tellers: list[Callable[[list[Event]], Iterable[Notice]]] = []
        self.permits, self.hazards = PermitBook(book), HazardBook(book)
        self.silences = SilenceBook(book, orders.orders)
        self.occurrences = Occurrences(book, config)
        for extra in (self.permits, self.silences, self.hazards, self.occurrences):
            self.add(extra)

    def add(self, book: Book) -> None:
        """One more subject; its turn comes after those that were added before."""
        self.books.append(book)
        self._by_noun |= dict.fromkeys(book.nouns, book)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of records that `load` needs."""
        return (*KINDS, *(k for b in self.books for k in b.kinds))

    def knows(self, kind: str) -> bool:
        """Whether a command (`noun.verb`) is carried out here."""
        noun = kind.partition(".")[0]
        return noun in OWN or noun in self._by_noun

    @classmethod
    def build(
        cls,
        rules: Mapping[str, RuleFacts],
        assets: Mapping[str, Asset],
        matrix: Matrix,
        *,
        roster: Roster | None = None,
        cards: Cards | None = None,
        calendars: Mapping[str, Calendar] | None = None,
        firms: Mapping[str, str] | None = None,
        units: Mapping[str, str] | None = None,
        say: SentenceOf | None = None,
        watchdog_s: float = 3600,
        repeat: Repeat | None = None,
        config: str = "",
    ) -> Dispatch:
        """From what the files give.

        firms: firm by estate · units: unit by point id · say, repeat: see AlarmBook · config: hash of the
        configuration, kept with every occurrence.
        """
        book = AlarmBook(rules, assets, firms=firms, units=units, cards=cards, say=say, repeat=repeat)
        orders = OrderBook(matrix, assets, book.alarms, calendars=calendars, firms=firms)
        announcer = Announcer(matrix, orders.orders, book.alarms, assets, roster)
        return cls(book, orders, announcer, watchdog_s=watchdog_s, config=config)

    # ── what comes in ─────────────────────────────────────────────────────────────────────────────

    def step(self, findings: Iterable[Finding], now: Ms) -> Outcome:
        """Judge a batch of findings at the core's time `now`; first what time alone has made due."""
        self._advance(now)
        events = self.book.findings(findings, now)
        return self._finish([*events, *self.orders.step(events, now)])

    def tick(self, now: Ms) -> Outcome:
        """Everything that is due by `now`, each with its own exact time."""
        self._advance(now)
        return self._finish([])

    def command(self, cmd: Command) -> tuple[Outcome, dict[str, Any]]:
        """A person's act and its answer: {"alarm": …} or {"order": …}.

        Raises Conflict, Forbidden, NotFound or BadInput; what time had made due before is then part of the
        next outcome.
        """
        self._advance(cmd.received_at)
        noun = cmd.kind.partition(".")[0]
        if noun == "alarm":
            self._nobody_inside(cmd)
            events = self.book.command(cmd)
            answer: dict[str, Any] = {"alarm": self.book.alarms[cmd.subject].as_dict()}
        elif noun == "order":
            return self._order(cmd)
        elif cmd.kind in ("drill.start", "asset.mode"):
            events, answer = self._asset(cmd)
        elif noun in self._by_noun:
            events, answer = self._by_noun[noun].command(cmd)
        else:
            raise BadInput(f"there is no command {cmd.kind!r}", field="kind", hint="alarm.*, order.*, …")
        more = self.orders.step(events, cmd.received_at)
        if noun in OWN and "alarm" in answer:
            answer = {"alarm": self.book.alarms[answer["alarm"]["id"]].as_dict()}
        return self._finish([*events, *more]), answer

    def _nobody_inside(self, cmd: Command) -> None:
        """An entrapment is not reset before somebody has said how many were freed. Raises Conflict."""
        if cmd.kind != "alarm.reset":
            return
        for order in self.orders.of_alarm(cmd.subject):
            freed = order.item("freed") if order.needs_freed and not order.drill else None
            if freed is not None and freed["value"] is None:
                raise Conflict(f"say first in order {order.id} how many people were freed")

    def _order(self, cmd: Command) -> tuple[Outcome, dict[str, Any]]:
        try:
            events = self.orders.command(cmd)
        except Unproven as e:  # nothing changed, but that it was tried belongs into the log
            self._pending.append(e.fact)
            raise
        order = self.orders.get(events[0].subject)
        if order.drill and cmd.kind == "order.done":
            for alarm in order.keep.own:
                ended = self.book.end_drill(self.book.alarms[alarm], cmd.received_at)
                events += ended + self.orders.step(ended, cmd.received_at)
        return self._finish(events), {"order": order.as_dict()}

    def _asset(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        authorise(cmd)
        asset = self.book.assets.get(cmd.subject)
        if asset is None:
            raise NotFound(f"there is no asset {cmd.subject!r}")
        firm = self.book.firms.get(asset.estate, "")
        in_scope(cmd, firm=firm, estate=asset.estate, system=asset.kind, what="asset")
        if cmd.kind == "drill.start":
            events = self.book.start_drill(asset, cmd.received_at)
            return events, {"alarm": {"id": events[0].subject}}
        mode = cmd.data.get("mode")
        if mode not in ("normal", "commissioning"):
            raise BadInput(f"{mode!r} is no mode", field="mode", hint="normal or commissioning")
        self._extra.append(("asset_mode", asset.id, asset.estate, {"mode": mode}))
        return self.book.set_mode(asset, mode, cmd), {"asset": asset.id, "mode": mode}

    def freeze(self, kept: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]], now: Ms) -> Outcome:
        """Evidence of occurrences: rows of `occurrences.due` with what was read around them."""
        return self._finish([self.occurrences.frozen(row, evidence, now) for row, evidence in kept])

    def watchdog_due(self, now: Ms) -> bool:
        """Whether the next tick sends the test notice."""
        return self._watchdog_ms > 0 and now // self._watchdog_ms != self._slot

    def use_matrix(self, matrix: Matrix) -> None:
        """From now on new orders follow this matrix; open ones keep the row they were dispatched by."""
        self.orders.matrix = self.announcer.matrix = matrix

    def use_roster(self, roster: Roster) -> None:
        """From now on these shifts hold."""
        self.announcer.roster = roster

    # ── keeping ───────────────────────────────────────────────────────────────────────────────────

    def dump(self) -> list[Record]:
        """The whole state, as records for the state store."""
        assets = self.book.assets
        out: list[Record] = [("alarm", a.id, a.estate, a.as_record()) for a in self.book.alarms.values()]
        out += [("order", o.id, o.estate, o.as_record()) for o in self.orders.orders.values()]
        out += [("asset_mode", a, assets[a].estate, {"mode": m}) for a, m in self.book.modes.items()]
        out += [r for b in self.books for r in b.dump()]
        return [*out, ("desk", "dispatch", "", {"watchdog": self._slot})]

    def load(self, records: Iterable[tuple[str, str, str, Mapping[str, Any]]]) -> None:
        """Take over what `dump` or `Outcome.records` gave. Kinds that are not in `kinds` are left alone."""
        alarms, orders = [], []
        books = {k: b for b in self.books for k in b.kinds}
        for kind, id_, _, body in records:
            if kind == "alarm":
                alarms.append(Alarm.from_dict(body))
            elif kind == "order":
                orders.append(Order.from_dict(body))
            elif kind == "asset_mode":
                self.book.modes[id_] = str(body["mode"])
            elif kind == "desk":
                self._slot = int(body["watchdog"])
            elif kind in books:
                books[kind].load(kind, id_, body)
        self.book.restore(alarms)
        self.orders.restore(orders)
        self._loaded = True

    # ── one turn ──────────────────────────────────────────────────────────────────────────────────

    def _advance(self, now: Ms) -> None:
        """Run the timers up to `now`; their events wait for the end of the turn."""
        self._now = now
        if self._loaded:  # the rules may have been edited while nothing ran
            self._loaded = False
            changed = self.book.use_rules(self.book.rules, now)
            self._pending += [*changed, *self.orders.step(changed, now)]
        due = [*self.book.tick(now), *(e for b in self.books for e in b.tick(now))]
        for e in sorted(due, key=lambda e: e.t):  # an order that a timer calls for starts when it ran out
            self._pending += [*self.orders.tick(e.t), e, *self.orders.step([e], e.t)]
        self._pending += self.orders.tick(now)
        if self.watchdog_due(now):
            self._slot = now // self._watchdog_ms
            self._extra.append(("desk", "dispatch", "", {"watchdog": self._slot}))
            self._pending += [
                Event(f"watchdog.fired:{e}:{self._slot}", e, now, "watchdog.fired", f"watchdog-{e}",
                      data={"slot": self._slot})
                for e in self._estates
            ]  # fmt: skip

    def _finish(self, fresh: list[Event]) -> Outcome:
        events, self._pending = [*self._pending, *fresh], []
        for book in self.books:
            events += book.step(events, self._now)
        notices, held = self.silences.hold(self.announcer.notices(events))
        events += held
        notices += [n for tell in self.tellers for n in tell(events)]
        for e in events:
            if e.kind == "watchdog.fired":
                notices.append(watchdog_notice(e.estate, e.t, e.data["slot"]))
        self.book.changed |= self.orders.linked
        self.orders.linked = set()
        extra, self._extra = self._extra, []
        alarms, orders = self.book.drain(), self.orders.drain()
        records: list[Record] = []
        for id_ in sorted(alarms):
            alarm = self.book.alarms[id_]
            records.append(("alarm", id_, alarm.estate, alarm.as_record()))
        for id_ in sorted(orders):
            order = self.orders.orders.get(id_)
            if order:
                records.append(("order", id_, order.estate, order.as_record()))
        gone: list[Gone] = []
        for book in self.books:
            kept, ended = book.drain()
            records, gone = records + kept, gone + ended
        events += map(queued, notices)
        return Outcome(events, notices, alarms, orders, [*records, *extra], gone)
