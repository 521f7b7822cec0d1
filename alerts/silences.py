"""Silences 静默: for a while nobody is called and nothing sounds for what a matcher names. Pure.

A silence holds back notices and sound; it never touches recording, listing, orders, or life safety. It has an
author, a reason and an end that depends on the most urgent rule it covers; people are warned before it ends,
and what it held back of work that nobody has taken yet goes out at once when it is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from alerts.alarms import AlarmBook
from alerts.alarms_access import authorise, in_scope, number, same_version, text
from alerts.alarms_state import Alarm, RuleFacts
from alerts.books import Gone, Record
from alerts.calendars import stamp
from alerts.orders_state import OPEN, WAITING, Order, make_id
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Asset, Command, Event, Ms, Notice, Text

MAX_SILENCE_S: Mapping[int, int] = {1: 3600, 2: 8 * 3600, 3: 72 * 3600, 4: 72 * 3600}
"""Longest silence by the most urgent rule that it covers; life safety is never covered."""
WARN_MS: Ms = 15 * 60_000
"""So long before its end people are told that it ends."""
HELD = 200
"""Notices that one silence remembers; beyond that the least urgent ones are only counted."""
KEEP_MS: Ms = 7 * 86_400_000
"""An ended silence leaves the memory (never the store) after this time."""


@dataclass(frozen=True, slots=True)
class Match:
    """Globs on rule id, asset id, system and place (either language); `*` fits everything."""

    rule: str = "*"
    asset: str = "*"
    system: str = "*"
    place: str = "*"

    def fits(self, rule: str, asset: str, system: str, place: Text) -> bool:
        """Whether it covers such an alarm."""
        known = fnmatchcase(rule, self.rule) and fnmatchcase(asset, self.asset)
        spots = [place.get("zh", ""), place.get("en", "")]
        there = self.place == "*" or any(fnmatchcase(p.lower(), self.place.lower()) for p in spots if p)
        return known and fnmatchcase(system, self.system) and there

    @classmethod
    def of(cls, given: object) -> Match:
        """From plain data. Raises BadInput for an unknown key, an empty glob, or one that names nothing."""
        if not isinstance(given, Mapping) or not set(given) <= set(cls.__slots__):
            raise BadInput("say what to silence", field="match", hint=f"globs for {', '.join(cls.__slots__)}")
        for name, glob in given.items():
            if not isinstance(glob, str) or not 0 < len(glob) <= 100:
                raise BadInput(f"{glob!r:.40} is no glob", field=f"match.{name}", hint="such as ws.pump*")
        match = cls(**given)
        if all(set(glob) == {"*"} for glob in (match.rule, match.asset, match.system, match.place)):
            raise BadInput("a silence for everything is none", field="match", hint="name a rule or an asset")
        return match


@dataclass(slots=True)
class Silence:
    """One silence. `held` counts notices held back so far."""

    id: str
    estate: str
    match: Match
    author: str
    reason: str
    start: Ms
    until: Ms
    ended_at: Ms | None = None
    ended_by: str = ""
    warned: bool = False
    held: int = 0
    version: int = 1
    changed_by: str = ""
    changed_at: Ms = 0
    notices: list[dict[str, Any]] = field(default_factory=list)

    @property
    def running(self) -> bool:
        """Not ended."""
        return self.ended_at is None

    def shown(self) -> dict[str, Any]:
        """What people see."""
        return {k: v for k, v in asdict(self).items() if k != "notices"} | {"running": self.running}


def covers(
    match: Match, rules: Mapping[str, RuleFacts], assets: Iterable[Asset]
) -> list[tuple[RuleFacts, Asset]]:
    """Rules with assets on which they could raise what the matcher covers, life safety included."""
    found = []
    for asset in assets:
        for rule in rules.values():
            kind = getattr(rule, "asset_kind", asset.kind)
            if kind == asset.kind and match.fits(rule.id, asset.id, asset.kind, asset.place):
                found.append((rule, asset))
    return found


def preview(
    match: Match, alarms: Iterable[Mapping[str, Any]], places: Mapping[str, Text]
) -> list[dict[str, Any]]:
    """What it would hold back now, from alarms as screens see them; `held` False: life safety, never.

    places: place by asset id.
    """
    return [
        {"alarm": a["id"], "asset": a["asset"], "name": a["name"], "priority": a["priority"],
         "state": a["state"], "held": not a["life"] and not a["drill"]}
        for a in alarms
        if a["state"] != "NORM" and match.fits(a["rule"], a["asset"], a["system"], places.get(a["asset"], {}))
    ]  # fmt: skip


class SilenceBook:
    """All silences that run or ended lately. See `alerts.books.Book`."""

    nouns: tuple[str, ...] = ("silence",)
    kinds: tuple[str, ...] = ("silence",)

    def __init__(self, book: AlarmBook, orders: Mapping[str, Order]) -> None:
        self._book, self._orders = book, orders
        self.silences: dict[str, Silence] = {}
        self._changed: set[str] = set()
        self._due: list[Notice] = []

    # ── what comes in ─────────────────────────────────────────────────────────────────────────────

    def command(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        """`silence.create` (subject: estate; match, minutes, reason) and `silence.end` (subject: silence)."""
        authorise(cmd)
        silence, kind = (
            (self._create(cmd), "silence.started")
            if cmd.kind == "silence.create"
            else (self._end_by_hand(cmd), "silence.ended")
        )
        out = [self._event(silence, kind, cmd.received_at, cmd.actor.id)]
        self._mark(silence.estate, cmd.received_at)
        return out, {"silence": silence.shown()}

    def _create(self, cmd: Command) -> Silence:
        estate = cmd.subject
        assets = [a for a in self._book.assets.values() if a.estate == estate]
        scope, firm = cmd.actor.scope, self._book.firms.get(estate, "")
        if not assets or not scope.allows(firm=firm, estate=estate):
            raise NotFound(f"there is no estate {estate!r}")
        match, reason = Match.of(cmd.data.get("match")), text(cmd, "reason")
        mine = [a for a in assets if scope.allows(firm=firm, estate=estate, system=a.kind)]
        hit = covers(match, self._book.rules, mine)
        if len(hit) != len(covers(match, self._book.rules, assets)):
            raise Forbidden("it would also silence systems that are not yours; name the system")
        rules = [r for r, _ in hit if not r.life]
        if hit and not rules:
            raise Forbidden("life safety is never silenced")
        if not rules:
            raise BadInput(
                "nothing here could raise such an alarm", field="match", hint="look at the preview"
            )
        first = min(rules, key=lambda r: (r.priority, r.id))
        seconds = number(cmd, "minutes", 1, 60 * 24 * 365) * 60
        longest = MAX_SILENCE_S[first.priority]
        if seconds > longest:
            raise BadInput(
                f"{seconds / 60:g} min is too long: rule {first.id} has priority {first.priority}",
                field="minutes", hint=f"at most {longest // 60} min, or leave that rule out",
            )  # fmt: skip
        at = cmd.received_at
        id_ = make_id("si", cmd.id, estate, "", at)
        silence = Silence(id_, estate, match, cmd.actor.id, reason, at, at + round(seconds * 1000),
                          changed_by=cmd.actor.id, changed_at=at)  # fmt: skip
        self.silences[id_] = silence
        return silence

    def _end_by_hand(self, cmd: Command) -> Silence:
        silence = self.silences.get(cmd.subject)
        if cmd.kind != "silence.end":
            raise BadInput(f"there is no command {cmd.kind!r}", field="kind", hint="silence.create, …end")
        if silence is None:
            raise NotFound(f"there is no silence {cmd.subject!r}")
        firm, systems = self._book.firms.get(silence.estate, ""), cmd.actor.scope.systems
        system = silence.match.system if systems is not None else ""
        in_scope(cmd, firm=firm, estate=silence.estate, system=system, what="silence")
        if not silence.running:
            raise Conflict(f"ended by {silence.ended_by} at {stamp(silence.ended_at or 0)}")
        same_version(cmd, silence.version, silence.changed_by, silence.changed_at)
        self._end(silence, cmd.received_at, cmd.actor.id)
        return silence

    def step(self, events: Sequence[Event], now: Ms) -> list[Event]:
        """Mark what has been raised meanwhile."""
        if any(s.running for s in self.silences.values()):
            for e in events:
                if e.kind == "alarm.raised" and e.subject in self._book.alarms:
                    self._mark_one(self._book.alarms[e.subject], now)
        return []

    def tick(self, now: Ms) -> list[Event]:
        """Warn of what ends soon, and end what is over."""
        out: list[Event] = []
        for s in sorted(self.silences.values(), key=lambda s: s.until):
            warn_at = max(s.start, s.until - WARN_MS)
            if s.running and not s.warned and warn_at <= now and s.until - s.start > WARN_MS:
                s.warned = True
                self._changed.add(s.id)
                out.append(self._event(s, "silence.ending", warn_at, "steward"))
            if s.running and s.until <= now:
                self._end(s, s.until, "steward")
                out.append(self._event(s, "silence.ended", s.until, "steward"))
                self._mark(s.estate, s.until)
        for s in [
            s for s in self.silences.values() if s.ended_at is not None and s.ended_at + KEEP_MS <= now
        ]:
            del self.silences[s.id]
        return out

    # ── notices ───────────────────────────────────────────────────────────────────────────────────

    def hold(self, notices: Sequence[Notice]) -> tuple[list[Notice], list[Event]]:
        """What may go out now, with what a silence that ended had held back; an event for each held back."""
        due, self._due = self._due, []
        out, told = list(due), list[Event]()
        for n in notices:
            silence = self._over(n)
            if silence is None:
                out.append(n)
                continue
            silence.held += 1
            if all(k["id"] != n.id for k in silence.notices):
                kept = sorted([*silence.notices, asdict(n)], key=lambda k: (k["priority"], k["t"]))
                silence.notices = kept[:HELD]
            self._changed.add(silence.id)
            data = {"silence": silence.id, "to": n.to, "channel": n.channel, "about": n.subject}
            told.append(Event(f"notice.held:{n.id}", n.estate, n.t, "notice.held", n.id, data=data))
        return out, told

    def _over(self, n: Notice) -> Silence | None:
        order = self._orders.get(n.subject)
        if order is None or n.life or n.drill or order.life or order.drill:
            return None
        alarms = [self._book.alarms[a] for a in order.alarms if a in self._book.alarms]
        found = [self._of(a) for a in alarms]
        return found[0] if found and all(found) else None  # one alarm that is not silenced is enough to call

    def _of(self, alarm: Alarm) -> Silence | None:
        if alarm.life or alarm.drill:
            return None
        asset = self._book.assets.get(alarm.asset)
        place = asset.place if asset else {}
        for s in self.silences.values():
            here = s.running and s.estate == alarm.estate
            if here and s.match.fits(alarm.rule, alarm.asset, alarm.system, place):
                return s
        return None

    # ── marks ─────────────────────────────────────────────────────────────────────────────────────

    def _mark(self, estate: str, now: Ms) -> None:
        for alarm in self._book.alarms.values():
            if alarm.estate == estate:
                self._mark_one(alarm, now)

    def _mark_one(self, alarm: Alarm, now: Ms) -> None:
        found = self._of(alarm)
        mark = found.id if found else ""
        if alarm.silenced != mark:
            alarm.silenced = mark
            self._book.touch(alarm, max(now, alarm.changed_at), "steward")

    def _end(self, s: Silence, at: Ms, by: str) -> None:
        s.ended_at, s.ended_by, s.changed_by, s.changed_at = at, by, by, at
        s.version += 1
        self._changed.add(s.id)
        kept, s.notices = s.notices, []
        for body in kept:
            order = self._orders.get(body["subject"])
            if order is not None and order.state in OPEN and order.state in WAITING:
                self._due.append(Notice(**body))

    # ── keeping ───────────────────────────────────────────────────────────────────────────────────

    def drain(self) -> tuple[list[Record], list[Gone]]:
        """See `alerts.books.Book`."""
        ids, self._changed = sorted(self._changed), set()
        return [self._record(self.silences[i]) for i in ids if i in self.silences], []

    def dump(self) -> list[Record]:
        """See `alerts.books.Book`."""
        return [self._record(s) for s in self.silences.values()]

    def load(self, kind: str, id_: str, body: Mapping[str, Any]) -> None:
        """See `alerts.books.Book`."""
        known = {k: v for k, v in body.items() if k in Silence.__slots__}
        self.silences[id_] = Silence(**known | {"match": Match(**body["match"])})

    def _record(self, s: Silence) -> Record:
        return "silence", s.id, s.estate, asdict(s)

    def _event(self, s: Silence, kind: str, t: Ms, actor: str) -> Event:
        self._changed.add(s.id)
        data = {"match": asdict(s.match), "reason": s.reason, "until": s.until, "held": s.held,
                "by_hand": actor != "steward"}  # fmt: skip
        return Event(f"{kind}:{s.id}", s.estate, t, kind, s.id, actor, data=data)
