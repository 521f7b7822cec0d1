"""Leave and swaps with their approval, and what runs out: shifts, certificates, the public calendar. Pure.

The manager hears of one hole seven days ahead and again one day ahead, of a certificate 60, 30 and 7 days
before its end and when it has ended, of the calendar 60 days before its last day: once each, over restarts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from alerts.assign import stands_in
from alerts.books import Gone, Record
from alerts.calendars import FOREVER, Absence, Roster, Span, spans, stamp
from alerts.people import WARN_DAYS, Staff
from alerts.years import WARN_DAYS as CALENDAR_DAYS
from alerts.years import Years
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Command, Event, Ms, Role, Text

HOUR: Ms = 3_600_000
DAY: Ms = 24 * HOUR
LEADS = (7, 1)
"""Days ahead of an empty shift."""
LONGEST = 366 * DAY
_LEAD: frozenset[Role] = frozenset({"supervisor", "manager", "admin"})
_ALL: frozenset[Role] = frozenset({"operator", "technician", "contractor", *_LEAD})
MAY: Mapping[str, frozenset[Role]] = {
    "leave.ask": _ALL,
    "leave.withdraw": _ALL,
    "leave.accept": _ALL,
    "leave.decline": _ALL,
    "leave.approve": _LEAD,
    "leave.refuse": _LEAD,
}
"""Access roles by command; asking for somebody else takes a supervisor."""


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave, or a swap: `stand_in` takes the person's shifts in [start, end).

    state: asked, approved, refused, declined (by the stand-in), withdrawn; only an approved one changes who
    is on duty · accepted_at: when the stand-in said yes, without which it is not approved.
    """

    id: str
    person: str
    estate: str
    kind: str
    start: Ms
    end: Ms
    stand_in: str = ""
    reason: str = ""
    state: str = "asked"
    asked_by: str = ""
    asked_at: Ms = 0
    decided_by: str = ""
    decided_at: Ms | None = None
    note: str = ""
    version: int = 1
    accepted_at: Ms | None = None


class StaffBook:
    """Holds leaves and what was told. `use`: called with the roster that holds from now on."""

    nouns: tuple[str, ...] = ("leave",)
    kinds: tuple[str, ...] = ("leave", "staffing")

    def __init__(
        self,
        firms: Mapping[str, str],
        names: Mapping[str, str],
        *,
        roster: Roster | None = None,
        staff: Staff | None = None,
        years: Years | None = None,
        use: Callable[[Roster], None] = lambda _: None,
    ) -> None:
        """Start empty. firms: firm by estate · names: of the people that may be away."""
        self.firms, self.names = dict(firms), dict(names)
        self.staff, self.years = staff or Staff(), years or Years()
        self.leaves: dict[str, Leave] = {}
        self._plan, self._use = roster or Roster(), use
        self.roster = self._plan
        self._told: dict[str, Ms] = {}
        self._scanned: Ms | None = None
        self._stale = True
        self._changed: set[str] = set()
        self._save = False

    # ── what holds ────────────────────────────────────────────────────────────────────────────────

    def use_shifts(self, roster: Roster) -> None:
        """From now on these shifts hold, under the leaves."""
        self._plan = roster
        self._apply()

    def use_staff(self, staff: Staff, names: Mapping[str, str] | None = None) -> None:
        """From now on these records of people hold."""
        self.staff, self._stale = staff, True
        self.names = dict(names) if names is not None else self.names

    def use_years(self, years: Years) -> None:
        """From now on these holidays are known."""
        self.years, self._stale = years, True

    def _apply(self) -> None:
        absences = [
            Absence(x.person, x.start, x.end, (x.stand_in, self._name(x.stand_in)) if x.stand_in else None)
            for x in self.leaves.values()
            if x.state == "approved"
        ]
        self.roster, self._stale = self._plan.with_absences(absences), True
        self._use(self.roster)

    def _name(self, id_: str) -> str:
        return self.names.get(id_, id_)

    # ── leave ─────────────────────────────────────────────────────────────────────────────────────

    def command(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        """`leave.ask` (subject: the person); of a leave `approve`, `refuse`, `withdraw`.

        `leave.accept` and `leave.decline` are the words of whoever is to stand in.
        """
        if cmd.kind not in MAY:
            raise BadInput(f"there is no command {cmd.kind!r}", field="kind", hint=", ".join(MAY))
        if cmd.actor.role not in MAY[cmd.kind]:
            raise Forbidden(f"{cmd.actor.role} may not do {cmd.kind}")
        if cmd.kind == "leave.ask":
            return self._ask(cmd)
        leave = self.leaves.get(cmd.subject)
        if leave is None or not self._sees(cmd, leave.estate):
            raise NotFound(f"there is no leave {cmd.subject!r}")
        if cmd.version is not None and cmd.version != leave.version:
            who, at = (
                leave.decided_by or leave.asked_by,
                leave.decided_at or leave.accepted_at or leave.asked_at,
            )
            who = leave.stand_in if leave.accepted_at == at else who
            raise Conflict(f"changed by {who} at {stamp(at)}; look again")
        act = {
            "leave.withdraw": self._withdraw, "leave.accept": self._answer, "leave.decline": self._answer,
        }.get(cmd.kind, self._decide)  # fmt: skip
        return act(leave, cmd)

    def duties(self, person: str, estate: str, during: Span | None = None) -> frozenset[str]:
        """The roles that the shifts give to a person in an estate, at any time or within a time."""
        return frozenset(
            s.role for s in self._plan.shifts
            if s.estate in ("", estate) and person in dict(s.people)
            and (during is None or next(spans(s.calendar, during[0]), (FOREVER,))[0] < during[1])
        )  # fmt: skip

    def _unfit(self, leave: Leave) -> Text | None:
        """Why the stand-in cannot take the shifts of that time: who lacks what."""
        roles = self.duties(leave.person, leave.estate, (leave.start, leave.end))
        why = stands_in(leave.person, leave.stand_in, roles, (leave.start, leave.end), self.staff)
        if why is None:
            return None
        one, other = self._name(leave.stand_in), self._name(leave.person)
        zh, en = f"{one} 不能替 {other} 当班", f"{one} cannot stand in for {other}"
        return {"zh": f"{zh}：{why['zh']}", "en": f"{en}: {why['en']}"}

    def _estate(self, person: str) -> str:
        """Where the person is stationed or, without a record, planned for a shift; else the first estate."""
        return self._station(person) or next(iter(self.firms), "")

    def _station(self, person: str) -> str:
        """The person's own estate; "" of whoever works in all of them, or nobody knows where."""
        planned = (s.estate for s in self._plan.shifts if s.estate and person in dict(s.people))
        return self.staff.person(person).estate or next(planned, "")

    def _works(self, cmd: Command, person: str) -> bool:
        """Whether the person could be asked: exists, works within the caller's scope, is no screen or office.

        Where no records are kept, everybody who exists may be. Whoever belongs to no estate
        is within every scope.
        """
        planned = any(person in dict(s.people) for s in self._plan.shifts)
        known = planned or person in self.staff.people or not self.staff.people
        station = self._station(person)
        return person in self.names and known and (not station or self._sees(cmd, station))

    def _sees(self, cmd: Command, estate: str) -> bool:
        return cmd.actor.scope.allows(firm=self.firms.get(estate, ""), estate=estate)

    def _ask(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        person, data = cmd.subject, cmd.data
        estate = self._estate(person)
        if person not in self.names or not self._sees(cmd, estate):
            raise NotFound(f"there is no person {person!r}")
        if person != cmd.actor.id and cmd.actor.role not in _LEAD:
            raise Forbidden("ask for yourself; a supervisor can ask for others")
        start, end = data.get("start"), data.get("end")
        if type(start) is not int or type(end) is not int or end <= start:
            raise BadInput("the leave ends before it begins", field="end", hint="start and end in ms UTC")
        if end <= cmd.received_at or end - start > LONGEST:
            raise BadInput("the leave is over, or longer than a year", field="end", hint="at most 366 days")
        if start > cmd.received_at + 2 * LONGEST:
            raise BadInput("that is years ahead", field="start", hint="ask later")
        kind, stand_in = "swap" if data.get("swap") else "leave", str(data.get("stand_in") or "")
        if kind == "swap" and not stand_in:
            raise BadInput("a swap needs who stands in", field="stand_in", hint="name a person")
        if stand_in and (stand_in == person or not self._works(cmd, stand_in)):
            raise BadInput(
                f"{stand_in!r} cannot stand in", field="stand_in", hint="another person that exists"
            )
        for x in self.leaves.values():
            if x.person == person and x.state in ("asked", "approved") and x.start < end and start < x.end:
                raise Conflict(f"{x.id} of {x.person} lies in that time already ({x.state})")
        leave = Leave(
            f"lv-{cmd.id[-12:]}-{len(self.leaves) + 1}", person, estate, kind, start, end, stand_in,
            str(data.get("reason") or "")[:500], asked_by=cmd.actor.id, asked_at=cmd.received_at,
            accepted_at=cmd.received_at if stand_in == cmd.actor.id else None,
        )  # fmt: skip
        unfit = self._unfit(leave) if stand_in else None
        if unfit:
            said = f"{unfit['en']} ({unfit['zh']})"
            raise BadInput(said, field="stand_in", hint="name somebody who has it")
        return self._keep(leave, "leave.asked", cmd)

    def _answer(self, leave: Leave, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        """Yes or no of whoever is to stand in."""
        if cmd.actor.id != leave.stand_in:
            raise Forbidden("only who is asked to stand in answers")
        self._open(leave)
        if cmd.kind == "leave.decline":
            return self._keep(self._decided(leave, "declined", cmd), "leave.declined", cmd)
        if leave.accepted_at is not None:
            raise Conflict(f"already accepted by {leave.stand_in} at {stamp(leave.accepted_at)}")
        self._fit(leave)
        said = replace(leave, accepted_at=cmd.received_at, version=leave.version + 1)
        return self._keep(said, "leave.accepted", cmd)

    def _open(self, leave: Leave) -> None:
        if leave.state != "asked":
            when = stamp(leave.decided_at or leave.asked_at)
            raise Conflict(f"already {leave.state} by {leave.decided_by or leave.asked_by} at {when}")

    def _fit(self, leave: Leave) -> None:
        unfit = self._unfit(leave)  # a certificate may have ended since it was asked
        if unfit:
            raise Forbidden(f"{unfit['en']} ({unfit['zh']})")

    def _decide(self, leave: Leave, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        self._open(leave)
        if cmd.actor.id in (leave.person, leave.stand_in):
            raise Forbidden("nobody decides on their own leave or swap; another supervisor can")
        if cmd.kind == "leave.approve" and leave.stand_in:
            if leave.accepted_at is None:
                raise Conflict(f"{self._name(leave.stand_in)} has not said yes to standing in")
            self._fit(leave)
        state = "approved" if cmd.kind == "leave.approve" else "refused"
        return self._keep(self._decided(leave, state, cmd), f"leave.{state}", cmd)

    def _withdraw(self, leave: Leave, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        if leave.state not in ("asked", "approved"):
            raise Conflict(f"already {leave.state} by {leave.decided_by} at {stamp(leave.decided_at or 0)}")
        if cmd.actor.id != leave.person and cmd.actor.role not in _LEAD:
            raise Forbidden("only the person or a supervisor takes it back")
        return self._keep(self._decided(leave, "withdrawn", cmd), "leave.withdrawn", cmd)

    def _decided(self, leave: Leave, state: str, cmd: Command) -> Leave:
        note = str(cmd.data.get("reason") or "")[:500]
        return replace(
            leave, state=state, decided_by=cmd.actor.id, decided_at=cmd.received_at, note=note,
            version=leave.version + 1,
        )  # fmt: skip

    def _keep(self, leave: Leave, kind: str, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        before = self._empty(leave)
        self.leaves[leave.id] = leave
        self._changed.add(leave.id)
        self._apply()
        opened = [g for g in self._empty(leave) if g not in before]
        body = asdict(leave)
        names = {i: self._name(i) for i in (leave.person, leave.stand_in) if i}
        duties = sorted(self.duties(leave.person, leave.estate, (leave.start, leave.end)))
        event = Event(
            f"{kind}:{cmd.id}", leave.estate, cmd.received_at, kind, leave.id, cmd.actor.id,
            data={**body, "empty": opened, "names": names, "duties": duties},
        )  # fmt: skip
        return [event], {"leave": body, "empty": opened}

    def _empty(self, leave: Leave) -> list[dict[str, Any]]:
        """Shifts that nobody fills while somebody is away."""
        return [
            {"estate": estate, "duty": role, "from": a, "to": b}
            for estate, role in self._roles()
            for a, b in self.roster.gaps(role, estate, leave.start, leave.end)
        ]

    # ── time ──────────────────────────────────────────────────────────────────────────────────────

    def step(self, events: Sequence[Event], now: Ms) -> list[Event]:
        """Nothing follows from others' events."""
        return []

    def tick(self, now: Ms) -> list[Event]:
        """Looked at once an hour, and at once when plans or records changed."""
        if not self._stale and self._scanned is not None and now // HOUR == self._scanned // HOUR:
            return []
        out = [*self._shifts_ahead(now), *self._certificates(now), *self._calendar(now)]
        self._scanned, self._stale = now, False
        old = [k for k, until in self._told.items() if until + 30 * DAY < now]
        for k in old:
            del self._told[k]
        self._save = self._save or bool(out or old)
        return out

    def _roles(self) -> Iterator[tuple[str, str]]:
        roles = dict.fromkeys(s.role for s in self._plan.shifts)
        yield from ((e, r) for e in self.firms for r in roles if self._plan.knows(r, e))

    def _shifts_ahead(self, now: Ms) -> Iterator[Event]:
        for estate, role in self._roles():
            for gap in self.roster.gaps(role, estate, now - 8 * DAY, now + LEADS[0] * DAY + HOUR):
                lead = next((d for d in reversed(LEADS) if gap[0] - d * DAY <= now), None)
                if gap[1] > now and lead is not None:
                    yield from self._hole(estate, role, gap, lead, now)

    def _hole(self, estate: str, role: str, gap: Span, lead: int, now: Ms) -> Iterator[Event]:
        whose = f"roster:{estate}:{role}:"
        key = f"{whose}{gap[0]}:{lead}"
        if gap[0] <= now - 8 * DAY:  # the look back does not reach its beginning: one that was told goes on
            going_on = [k for k, end in self._told.items() if k.startswith(whose) and end > gap[0]]
            self._told |= dict.fromkeys(going_on, gap[1])
            key = going_on[0] if going_on else key
        if key in self._told:
            return
        due = gap[0] - lead * DAY
        t = due if self._scanned is not None and not self._stale and due > self._scanned else now
        self._told[key] = gap[1]
        data = {"duty": role, "from": gap[0], "to": gap[1], "days": lead}
        yield Event(f"roster.empty:{key}", estate, t, "roster.empty", f"{estate}/{role}", data=data)

    def _certificates(self, now: Ms) -> Iterator[Event]:
        for person, certificate, left in self.staff.expiring(now):
            days = min(d for d in WARN_DAYS if d >= left) if left >= 0 else -1
            key = f"certificate:{person.id}:{certificate.kind}:{certificate.expires}:{days}"
            if key in self._told:
                continue
            self._told[key] = now + 400 * DAY
            estate = person.estate or next(iter(self.firms), "")
            data = {
                "person": person.id, "name": person.name, "kind": certificate.kind,
                "number": certificate.number, "expires": str(certificate.expires), "days": left,
                "kind_name": dict(self.staff.demands.name(certificate.kind)),
            }  # fmt: skip
            kind = "certificate.expiring" if left >= 0 else "certificate.expired"
            yield Event(f"{kind}:{key}", estate, now, kind, person.id, data=data)

    def _calendar(self, now: Ms) -> Iterator[Event]:
        today = self.staff.today(now)
        last = self.years.last_day(today)
        left = (last - today).days
        key = f"calendar:{last}"
        if left < CALENDAR_DAYS and key not in self._told:
            self._told[key] = now + 400 * DAY
            for estate in self.firms:
                data = {"last": str(last), "days": left}
                event = f"calendar.ending:{last}:{estate}"
                yield Event(event, estate, now, "calendar.ending", str(last.year + 1), data=data)

    # ── keeping ───────────────────────────────────────────────────────────────────────────────────

    def drain(self) -> tuple[list[Record], list[Gone]]:
        """See Book."""
        changed, self._changed = self._changed, set()
        out: list[Record] = [
            ("leave", i, self.leaves[i].estate, asdict(self.leaves[i])) for i in sorted(changed)
        ]
        if self._save:
            self._save = False
            out.append(self._told_record())
        return out, []

    def _told_record(self) -> Record:
        return ("staffing", "told", "", {"told": dict(self._told)})

    def dump(self) -> list[Record]:
        """See Book."""
        leaves: list[Record] = [("leave", x.id, x.estate, asdict(x)) for x in self.leaves.values()]
        return [*leaves, self._told_record()]

    def load(self, kind: str, id_: str, body: Mapping[str, Any]) -> None:
        """See Book."""
        if kind == "staffing":
            self._told = {str(k): int(v) for k, v in body.get("told", {}).items()}
            return
        names = {f.name for f in fields(Leave)}
        self.leaves[id_] = Leave(**{k: v for k, v in body.items() if k in names})
        self._apply()
