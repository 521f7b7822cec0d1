"""Alarm floods: when a seat is in one, and what its screen shows then. Pure.

A flood begins with 10 new alarms within 10 minutes at one operator's seat and ends when fewer than 5 came
within 10 minutes (ISA-18.2, EEMUA 191). The screen then shows at most 12 lines: life safety first, then one
line per cause; the last one stands for all the rest. Nothing is dropped: every alarm is in exactly one line.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from alerts.alarms_state import Alarm
from alerts.alarms_table import State
from alerts.books import Gone, Record
from gateway.errors import BadInput
from gateway.model import Command, Event, Ms, Text

WINDOW_MS: Ms = 600_000
BEGINS, ENDS = 10, 5
"""New alarms within the window with which a flood begins; below the second number it ends."""
LINES = 12
"""A screen shows so many lines at most."""
ANNOUNCES = frozenset({"alarm.raised", "alarm.unsuppressed"})
"""Events with which a new alarm comes before the operator, when it is then unacknowledged."""


def announces(e: Event) -> bool:
    """Whether the event is a new alarm for the operator: not suppressed, folded, drilled or shelved."""
    return e.kind in ANNOUNCES and e.data.get("state") == State.UNACK and not e.data.get("drill")


@dataclass(slots=True)
class Seat:
    """One operator's position. times: new alarms within the window · since: the flood began, None: no flood.

    `take` and `run` expect times in order; what comes late counts from when it was told.
    """

    id: str
    times: deque[Ms] = field(default_factory=deque)
    since: Ms | None = None
    count: int = 0

    def take(self, t: Ms) -> bool:
        """One more new alarm; True when a flood begins with it."""
        t = max(t, self.times[-1]) if self.times else t
        self.times.append(t)
        self._forget(t)
        self.count += self.since is not None
        if self.since is not None or len(self.times) < BEGINS:
            return False
        self.since, self.count = t, len(self.times)
        return True

    def run(self, now: Ms) -> Ms | None:
        """Let time pass; the moment at which a flood ended."""
        if self.since is None:
            self._forget(now)
            return None
        # fewer than ENDS remain once the ENDS-th newest has left the window
        ends = self.times[-ENDS] + WINDOW_MS if len(self.times) >= ENDS else now
        self._forget(now)
        if ends > now:
            return None
        self.since = None
        return ends

    def _forget(self, now: Ms) -> None:
        while self.times and self.times[0] <= now - WINDOW_MS:
            self.times.popleft()


def floods(times: Sequence[Ms], end: Ms) -> list[tuple[Ms, Ms]]:
    """Begin and end of every flood of a seat until `end`, from the times of its new alarms in order."""
    seat, out = Seat(""), list[tuple[Ms, Ms]]()
    for t in times:
        since, over = seat.since, seat.run(t)
        if over is not None and since is not None:
            out.append((since, over))
        seat.take(t)
    since, over = seat.since, seat.run(end)
    if since is not None:
        out.append((since, end if over is None else over))
    return out


# ── the screen ────────────────────────────────────────────────────────────────────────────────────────

Kind = Literal["life", "cause", "single", "rest"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the screen: `head` is what it says, `alarms` all that it stands for, the head first."""

    kind: Kind
    head: Alarm
    alarms: tuple[Alarm, ...]
    title: Text

    def as_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "kind": self.kind,
            "head": self.head.id,
            "title": dict(self.title),
            "priority": min(a.priority for a in self.alarms),
            "life": any(a.life for a in self.alarms),
            "count": len(self.alarms),
            "unacked": sum(a.state in (State.UNACK, State.RTNUN) for a in self.alarms),
            "assets": len({a.asset for a in self.alarms}),
            "since": min(a.raised_at for a in self.alarms),
            "alarms": [a.id for a in self.alarms],
        }


def lines(alarms: Iterable[Alarm], most: int = LINES) -> list[Line]:
    """What a screen shows of these alarms. Every alarm that is not normal is in exactly one line."""
    shown = {a.id: a for a in alarms if a.state is not State.NORM}
    life: dict[tuple[str, str], list[Alarm]] = {}
    causes: dict[str, list[Alarm]] = {}
    for a in sorted(shown.values(), key=_urgency):
        if a.life:
            life.setdefault((a.rule, ""), []).append(a)
        else:
            causes.setdefault(_top(a, shown), []).append(a)
    made = [*(_life(g) for g in life.values()), *(_cause(shown[top], g) for top, g in causes.items())]
    made.sort(key=lambda line: (line.kind != "life", _weight(line), _urgency(line.head)))
    if len(made) <= most:
        return made
    kept, rest = made[: most - 1], made[most - 1 :]
    folded = tuple(a for line in rest for a in line.alarms)
    return [*kept, Line("rest", folded[0], folded, {"zh": "其他报警", "en": "All other alarms"})]


def _top(a: Alarm, shown: Mapping[str, Alarm]) -> str:
    """The last cause on the way up that is still on the screen; life safety is a line of its own."""
    seen = {a.id}
    while True:
        root = shown.get(a.root or "")
        if root is None or root.id in seen or root.life:
            return a.id
        a = root
        seen.add(a.id)


def _urgency(a: Alarm) -> tuple[bool, bool, int, bool, Ms, str]:
    quiet = a.covered or a.drill
    return quiet, not a.life, a.priority, a.state is not State.UNACK, a.raised_at, a.id


def _weight(line: Line) -> tuple[bool, int, bool, int]:
    """Loud before quiet, urgent before less urgent, unacknowledged before acknowledged, many before few."""
    loud = [a for a in line.alarms if not a.covered and not a.drill]
    if not loud:
        return True, min(a.priority for a in line.alarms), True, -len(line.alarms)
    return (
        False,
        min(a.priority for a in loud),
        all(a.acked for a in loud),
        -len(line.alarms),
    )


def _life(group: list[Alarm]) -> Line:
    return Line("life", group[0], tuple(group), dict(group[0].name))


def _cause(head: Alarm, group: list[Alarm]) -> Line:
    rest = [a for a in group if a.id != head.id]
    return Line("cause" if rest else "single", head, (head, *rest), dict(head.name))


def picture(alarms: Iterable[Alarm], seats: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What a screen that shows these alarms needs: {on, since, count, groups, total, lines}.

    seats: records of the seats whose alarms they are · on: one of them is in a flood · count: new alarms
    since it began · groups: lines of the whole, also those that the last line stands for.
    """
    mine = list(alarms)
    wet = [s for s in seats if s.get("since") is not None]
    shown = lines(mine)
    return {
        "on": bool(wet),
        "since": min((int(s["since"]) for s in wet), default=None),
        "count": sum(int(s.get("count", 0)) for s in wet),
        "groups": len(lines(mine, most=len(mine) + 1)),
        "total": sum(len(line.alarms) for line in shown),
        "lines": [line.as_dict() for line in shown],
    }


# ── the book ──────────────────────────────────────────────────────────────────────────────────────────


class FloodBook:
    """A book of the desk: one seat per control room, which is one per firm.

    Events `flood.began` {seat, count} and `flood.ended` {seat, since, count}, written into every estate of
    the seat; records of kind `flood` carry the seats over a restart.
    """

    nouns: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("flood",)

    def __init__(self, seats: Mapping[str, str]) -> None:
        """seats: seat by estate."""
        self._seat_of = dict(seats)
        self._estates: dict[str, list[str]] = {}
        for estate, seat in sorted(self._seat_of.items()):
            self._estates.setdefault(seat, []).append(estate)
        self.seats: dict[str, Seat] = {s: Seat(s) for s in self._estates}
        self._changed: set[str] = set()

    def step(self, events: Sequence[Event], now: Ms) -> list[Event]:
        """Count what is new before the operators."""
        out: list[Event] = []
        for seat, n in Counter(self._seat_of.get(e.estate, "") for e in events if announces(e)).items():
            known = self.seats.get(seat)
            for _ in range(n if known else 0):
                assert known is not None, "counted only for seats that exist"
                if known.take(now):
                    out += self._events("began", known, now, count=known.count)
            self._changed.add(seat)
        return out

    def tick(self, now: Ms) -> list[Event]:
        """Floods end by themselves."""
        out: list[Event] = []
        for seat in self.seats.values():
            since, over = seat.since, seat.run(now)
            if over is not None:
                self._changed.add(seat.id)
                out += self._events("ended", seat, over, since=since, count=seat.count)
        return out

    def _events(self, verb: str, seat: Seat, t: Ms, **data: Any) -> list[Event]:
        kind = f"flood.{verb}"
        return [
            Event(f"{kind}:{seat.id}:{e}:{t}", e, t, kind, seat.id, data={"seat": seat.id, **data})
            for e in self._estates[seat.id]
        ]

    def command(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        """There are none."""
        raise BadInput(f"there is no command {cmd.kind!r}", field="kind")

    def drain(self) -> tuple[list[Record], list[Gone]]:
        """Seats that changed."""
        ids, self._changed = self._changed & set(self.seats), set()
        return [self._record(self.seats[i]) for i in sorted(ids)], []

    def dump(self) -> list[Record]:
        """All seats."""
        return [self._record(s) for s in self.seats.values()]

    @staticmethod
    def _record(seat: Seat) -> Record:
        body = {"times": list(seat.times), "since": seat.since, "count": seat.count}
        return ("flood", seat.id, "", body)

    def load(self, kind: str, id_: str, body: Mapping[str, Any]) -> None:
        """A seat as it was; one that is not there any more is left alone."""
        if id_ in self.seats:
            times = deque(int(t) for t in body.get("times", ()))
            self.seats[id_] = Seat(id_, times, body.get("since"), int(body.get("count", 0)))
