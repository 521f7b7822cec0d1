"""Work permits 检修: planned work on assets, announced ahead, that begins and ends by itself. Pure.

While a permit runs its assets are in the mode `permit`: everything is recorded and listed with that mark,
only priority 1 calls people, calls that leave the estate wait for one confirmation, and the ledger books the
time as planned (on time when it was announced before it began; late otherwise). What outlasts the permit is
heard again. Life safety needs a second person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from alerts.alarms import AlarmBook
from alerts.alarms_access import authorise, in_scope, same_version, text
from alerts.alarms_drill import LIFE_SYSTEMS
from alerts.books import Gone, Record
from alerts.calendars import stamp
from alerts.orders_state import make_id
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Asset, Command, Event, Ms

LONGEST_MS: Ms = 30 * 86_400_000
AHEAD_MS: Ms = 366 * 86_400_000
"""Work may be announced so long ahead."""
PAST_MS: Ms = 60_000
"""A start that lies so little in the past is now."""
KEEP_MS: Ms = 31 * 86_400_000
MOST = 50
"""Assets of one permit."""


@dataclass(slots=True)
class Permit:
    """One permit. `state`: coming, running, ended or withdrawn; times in ms."""

    id: str
    number: str
    estate: str
    assets: list[str]
    person: str
    second: str
    reason: str
    start: Ms
    until: Ms
    announced_at: Ms
    announced_by: str
    state: str = "coming"
    started_at: Ms | None = None
    ended_at: Ms | None = None
    ended_by: str = ""
    version: int = 1
    changed_by: str = ""
    changed_at: Ms = 0
    systems: list[str] = field(default_factory=list)

    @property
    def ahead(self) -> bool:
        """It was announced before it began."""
        return self.announced_at < self.start

    def shown(self) -> dict[str, Any]:
        """What people see."""
        return asdict(self) | {"ahead": self.ahead, "notice_s": max(0, self.start - self.announced_at) / 1000}


class PermitBook:
    """Permits that are coming, running or ended lately. See `alerts.books.Book`."""

    nouns: tuple[str, ...] = ("permit",)
    kinds: tuple[str, ...] = ("permit",)

    def __init__(self, book: AlarmBook) -> None:
        self._book = book
        book.announced = self.announced
        self.permits: dict[str, Permit] = {}
        self._changed: set[str] = set()

    def announced(self, estate: str, number: str) -> Ms | None:
        """When the permit of that number was announced, while it is coming or running; None otherwise."""
        for p in self.permits.values():
            if p.estate == estate and p.number == number and p.state in ("coming", "running"):
                return p.announced_at
        return None

    # ── what comes in ─────────────────────────────────────────────────────────────────────────────

    def command(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        """`permit.announce` (subject: an asset), `permit.withdraw` and `permit.end` (subject: the permit).

        announce: number, person, reason, start and until in ms, more `assets`, `second` for life safety.
        """
        authorise(cmd)
        if cmd.kind == "permit.announce":
            permit = self._announce(cmd)
            out = [self._event(permit, "permit.announced", cmd.received_at, cmd.actor.id)]
            if permit.start <= cmd.received_at:
                out += self._begin(permit, cmd.received_at)
        else:
            permit = self._known(cmd)
            wanted, done = ("coming", "withdrawn") if cmd.kind == "permit.withdraw" else ("running", "ended")
            if permit.state != wanted:
                who = permit.changed_by or "steward"
                raise Conflict(f"it is {permit.state} since {stamp(permit.changed_at)}, by {who}")
            same_version(cmd, permit.version, permit.changed_by, permit.changed_at)
            out = self._finish(permit, done, cmd.received_at, cmd.actor.id)
        return out, {"permit": permit.shown()}

    def _announce(self, cmd: Command) -> Permit:
        now = cmd.received_at
        assets = self._assets(cmd)
        start, until = self._times(cmd)
        number, person, reason = text(cmd, "number"), text(cmd, "person"), text(cmd, "reason")
        second = str(cmd.data.get("second") or "")
        if any(a.kind in LIFE_SYSTEMS for a in assets) and (not second or second == cmd.actor.id):
            raise Forbidden("work on life safety takes a second person; name one in `second`")
        estate = assets[0].estate
        if self.announced(estate, number) is not None:
            raise Conflict(f"permit {number} is announced already")
        for p in self.permits.values():
            both = sorted({a.id for a in assets} & set(p.assets))
            if both and p.state in ("coming", "running") and p.start < until and start < p.until:
                raise Conflict(f"permit {p.number} of {p.announced_by} covers {both[0]} in that time")
        permit = Permit(
            make_id("pm", cmd.id, estate, number), number, estate, [a.id for a in assets], person, second,
            reason, max(start, now), until, now, cmd.actor.id,
            changed_by=cmd.actor.id, changed_at=now, systems=sorted({a.kind for a in assets}),
        )  # fmt: skip
        self.permits[permit.id] = permit
        return permit

    def _assets(self, cmd: Command) -> list[Asset]:
        given = cmd.data.get("assets") or []
        if not isinstance(given, list) or len(given) > MOST or not all(isinstance(a, str) for a in given):
            raise BadInput(f"a list of at most {MOST} assets is needed", field="assets")
        out = []
        for id_ in dict.fromkeys([cmd.subject, *given]):
            asset = self._book.assets.get(id_)
            firm = self._book.firms.get(asset.estate, "") if asset else ""
            scope = cmd.actor.scope
            if asset is None or not scope.allows(firm=firm, estate=asset.estate, system=asset.kind):
                raise NotFound(f"there is no asset {id_!r}")
            out.append(asset)
        if len({a.estate for a in out}) > 1:
            raise BadInput("a permit is for one estate", field="assets", hint="announce one per estate")
        return out

    def _times(self, cmd: Command) -> tuple[Ms, Ms]:
        start, until = cmd.data.get("start", cmd.received_at), cmd.data.get("until")
        for name, value in (("start", start), ("until", until)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise BadInput("a time in ms UTC is needed", field=name)
        assert isinstance(start, int)
        assert isinstance(until, int)
        if start < cmd.received_at - PAST_MS:
            raise BadInput("work that has begun cannot be announced", field="start", hint="start now")
        if start > cmd.received_at + AHEAD_MS:
            raise BadInput("more than a year ahead", field="start", hint="announce it later")
        if not 0 < until - max(start, cmd.received_at) <= LONGEST_MS:
            raise BadInput(
                "it must end after it begins, within 30 days", field="until", hint="use two permits"
            )
        return start, until

    def _known(self, cmd: Command) -> Permit:
        permit = self.permits.get(cmd.subject)
        if permit is None:
            raise NotFound(f"there is no permit {cmd.subject!r}")
        firm = self._book.firms.get(permit.estate, "")
        for system in permit.systems:
            in_scope(cmd, firm=firm, estate=permit.estate, system=system, what="permit")
        return permit

    def step(self, events: Sequence[Event], now: Ms) -> list[Event]:
        """Nothing: the alarm book reads which permits run."""
        del events, now
        return []

    def tick(self, now: Ms) -> list[Event]:
        """Begin and end what is due, each at its own time."""
        out: list[Event] = []
        for p in sorted(self.permits.values(), key=lambda p: (p.start, p.id)):
            if p.state == "coming" and p.start <= now:
                out += self._begin(p, p.start)
            if p.state == "running" and p.until <= now:
                out += self._finish(p, "ended", p.until, "steward")
        for p in [p for p in self.permits.values() if p.ended_at is not None and p.ended_at + KEEP_MS <= now]:
            del self.permits[p.id]
        return out

    # ── begin and end ─────────────────────────────────────────────────────────────────────────────

    def _begin(self, p: Permit, at: Ms) -> list[Event]:
        p.state, p.started_at = "running", at
        self._touch(p, at, "steward")
        out = []
        for asset in p.assets:
            self._book.permits[asset] = p.number
            out += [self._event(p, "permit.started", at, "steward", asset),
                    *self._book.remark(asset, at, f"permit:{p.id}:start")]  # fmt: skip
        return out

    def _finish(self, p: Permit, state: str, at: Ms, actor: str) -> list[Event]:
        ran, p.state = p.state == "running", state
        p.ended_at, p.ended_by = at, actor
        self._touch(p, at, actor)
        if not ran:
            return [self._event(p, "permit.withdrawn", at, actor)]
        out = []
        for asset in p.assets:
            self._book.permits.pop(asset, None)
            out += [self._event(p, "permit.ended", at, actor, asset),
                    *self._book.remark(asset, at, f"permit:{p.id}:end", actor)]  # fmt: skip
        return out + self._back_in_service(p, at, actor)

    def _back_in_service(self, p: Permit, at: Ms, actor: str) -> list[Event]:
        """What was taken out of service under the permit is watched again when it ends."""
        out: list[Event] = []
        for alarm in self._book.alarms.values():
            under = alarm.estate == p.estate and alarm.memory.permit == p.number
            if under and alarm.oos_until is not None:
                out += self._book.uncover(
                    alarm, "alarm.oos_end", at, f"{alarm.id}:{at}", actor, permit=p.number,
                    by_hand=actor != "steward",
                )  # fmt: skip
        return out

    def _touch(self, p: Permit, at: Ms, by: str) -> None:
        p.version += 1
        p.changed_at, p.changed_by = at, by
        self._changed.add(p.id)

    def _event(self, p: Permit, kind: str, t: Ms, actor: str, asset: str = "") -> Event:
        self._changed.add(p.id)
        data = {
            "permit": p.number, "person": p.person, "second": p.second, "reason": p.reason, "start": p.start,
            "until": p.until, "announced": p.announced_at if p.ahead else None, "assets": list(p.assets),
            "by_hand": actor != "steward",
        }  # fmt: skip
        key = f"{kind}:{p.id}:{asset}" if asset else f"{kind}:{p.id}"
        return Event(key, p.estate, t, kind, p.id, actor, asset, data)

    # ── keeping ───────────────────────────────────────────────────────────────────────────────────

    def drain(self) -> tuple[list[Record], list[Gone]]:
        """See `alerts.books.Book`."""
        ids, self._changed = sorted(self._changed), set()
        return [self._record(self.permits[i]) for i in ids if i in self.permits], []

    def dump(self) -> list[Record]:
        """See `alerts.books.Book`."""
        return [self._record(p) for p in self.permits.values()]

    def load(self, kind: str, id_: str, body: Mapping[str, Any]) -> None:
        """See `alerts.books.Book`."""
        p = Permit(**{k: v for k, v in body.items() if k in Permit.__slots__})
        self.permits[id_] = p
        if p.state == "running":
            self._book.permits.update(dict.fromkeys(p.assets, p.number))

    def _record(self, p: Permit) -> Record:
        return "permit", p.id, p.estate, asdict(p)
