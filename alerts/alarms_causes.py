"""Which alarms follow from another one: dependency suppression.

Suppress alerting, never monitoring; suppress creation, never resolution. Life safety and priority 1 are
never suppressed, nor is a generator that fails when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from alerts.alarms_state import Alarm, RuleFacts
from alerts.graph import Graph, Reader
from gateway.model import Finding, Ms

SILENCE: frozenset[str] = frozenset({"comms", "sensor_fault", "lift_offline", "meter"})
"""Events that say no more than that data are missing."""

FOLLOWS: Mapping[str, frozenset[str]] = {
    "outage": frozenset(
        {
            "lift_stopped", "lift_offline", "fire_system_fault", "water_supply", "sump_high", "lighting",
            "meter", "comms", "sensor_fault", "outage",
        }
    ),
    "gateway": SILENCE,
    "comms": SILENCE,
    "lift_offline": SILENCE,
}  # fmt: skip
"""Event of an asset's alarm → events of the assets that depend on it which it explains.

A flooded pump room, a fire pump that is not in automatic and a low fire main are never explained away, nor is
an edge that is lost in an outage: then nobody sees what else is going wrong.
"""

LINKS: Mapping[str, frozenset[str]] = {
    "outage": frozenset({"entrapment", "generator", "lift_danger", "gateway", "fire_pump"}),
    "drain_blocked": frozenset({"drain_blocked", "sump_high", "pump_room_flood", "septic", "gas"}),
    "sump_high": frozenset({"sump_high", "pump_room_flood", "water_supply", "lift_stopped"}),
}
"""The same for alarms that are not suppressed: they need somebody of their own and only name their root."""

SURER: frozenset[str] = frozenset({"entrapment"})
"""Events that a suspicion tells first: once life safety has confirmed it on the same asset, one call is
enough. The confirmed alarm itself is life safety and never held back.
"""

LOST = 2
"""An alarm about the supply explains others from this priority on: the supply is lost. A voltage or frequency
that is only out of its band, or a change-over to the generator, stops nothing.
"""

BLIND_TAGS = ("gw.online", "gw.lines_down")
"""Points of an edge whose alarm means that data are missing. Its full disk or its clock silences nobody."""

SILENT_DEVICE: frozenset[str] = frozenset({"comms", "lift_offline"})
"""Events of a device that does not answer."""

WATERS: frozenset[str] = frozenset({"drain_blocked", "sump_high"})
"""Events about water that rises: in heavy rain they come together without an arrow between them."""

LAG_MS: Ms = 600_000
"""A consequence that was noticed before its cause is folded into it when it is at most this much older."""

GRACE_MS: Ms = 60_000
"""Time that a dependent asset has to recover by itself after its cause has ended."""

HOLD_MS: Ms = 60_000
"""A silent device waits so long for its edge's or its line's alarm before anybody is called for it: an edge
counts as lost 35 s after its last word and its alarm needs 15 s more."""

PEER_MS: Ms = 60_000
"""Devices of one line that fall silent within this time have one cause: the line."""


def suppressible(alarm: Alarm) -> bool:
    """Whether the alarm may be suppressed at all."""
    return not alarm.life and alarm.priority > 1 and not alarm.drill and alarm.event != "generator"


def explains(cause: Alarm, alarm: Alarm) -> bool:
    """Whether an alarm of a parent asset makes this one a mere consequence."""
    real = cause.active and not cause.drill and cause.id != alarm.id and breaks(cause)
    known = FOLLOWS.get(cause.event, frozenset()) | LINKS.get(cause.event, frozenset())
    return real and not alarm.drill and alarm.event in known


def confirms(cause: Alarm, alarm: Alarm) -> bool:
    """Whether the cause says for certain what the alarm only suspects of the same asset."""
    same = cause.event == alarm.event and cause.asset == alarm.asset and alarm.event in SURER
    now = cause.active and not cause.late
    return same and now and cause.life and not cause.drill and suppressible(alarm)


def hides(cause: Alarm, alarm: Alarm) -> bool:
    """Whether nobody is called for an alarm that the cause explains."""
    known = alarm.event in FOLLOWS.get(cause.event, frozenset()) or confirms(cause, alarm)
    return known and suppressible(alarm) and stands_for(cause, alarm)


def folds(cause: Alarm) -> bool:
    """Whether other alarms may be put under this one."""
    return cause.event in FOLLOWS or (cause.life and cause.event in SURER)


def stands_for(cause: Alarm, alarm: Alarm) -> bool:
    """Whether the call for the cause is one for the alarm, too.

    A cause that is shelved or out of service calls nobody and may not even be true; one of an asset in
    commissioning only counts among others of that kind.
    """
    quiet = cause.oos_until is not None or cause.shelved_until is not None
    return not quiet and (cause.mode != "commissioning" or alarm.mode == "commissioning")


def breaks(cause: Alarm) -> bool:
    """Whether an alarm about a supply or an edge means that something is missing behind it."""
    if cause.event == "outage":
        return cause.priority <= LOST
    return cause.event != "gateway" or cause.point.endswith(BLIND_TAGS)


class Kin:
    """The conditions by place: who may be the cause of whom, and who is suppressed by whom."""

    def __init__(self, graph: Graph, alarms: Mapping[str, Alarm]) -> None:
        """alarms: those of the book, by id."""
        self.graph, self._alarms = graph, alarms
        self._at: dict[str, dict[str, Alarm]] = {}
        self._on_line: dict[tuple[str, str], dict[str, Alarm]] = {}
        self._waters: dict[str, dict[str, Alarm]] = {}
        self._under: dict[str, set[str]] = {}

    def use(self, graph: Graph) -> None:
        """From now on this depends on that."""
        self.graph = graph
        self.rebuild()

    def rebuild(self) -> None:
        """From the book's alarms, after a restart or an edit of the rules."""
        self._at, self._on_line, self._waters, self._under = {}, {}, {}, {}
        for alarm in self._alarms.values():
            self.know(alarm)
            if alarm.suppressed_by is not None:
                self._under.setdefault(alarm.suppressed_by, set()).add(alarm.id)

    def know(self, alarm: Alarm) -> None:
        """A condition that is in the book."""
        self._at.setdefault(alarm.asset, {})[alarm.id] = alarm
        if alarm.event in WATERS:
            self._waters.setdefault(alarm.estate, {})[alarm.id] = alarm
        reader = self.reader(alarm)
        if reader is not None and reader.line and alarm.event in SILENT_DEVICE:
            self._on_line.setdefault((reader.gateway, reader.line), {})[alarm.id] = alarm

    def reader(self, alarm: Alarm) -> Reader | None:
        """Who reads the point of the alarm."""
        return self.graph.readers.get(alarm.point)

    def at(self, asset: str) -> Iterable[Alarm]:
        """All conditions of an asset."""
        return self._at.get(asset, {}).values()

    def waters(self, estate: str) -> Iterable[Alarm]:
        """Conditions of an estate about water that rises."""
        return self._waters.get(estate, {}).values()

    def above(self, alarm: Alarm) -> Mapping[str, int]:
        """The assets whose alarms can explain this one → number of arrows."""
        reader = self.reader(alarm)
        declared = self.graph.above(alarm.asset)
        if reader is None or alarm.event not in SILENCE or reader.gateway == alarm.asset:
            return declared
        return {reader.gateway: 1} | {a: n for a, n in declared.items() if a != reader.gateway}

    def cause_of(self, alarm: Alarm) -> Alarm | None:
        """What confirms it, the nearest parent's alarm that explains it, or the first silence of its line."""
        found = [c for c in self.at(alarm.asset) if confirms(c, alarm)]
        found += [c for parent in self.above(alarm) for c in self.at(parent) if explains(c, alarm)]
        found += [p for p in self.peers(alarm) if (p.raised_at, p.id) < (alarm.raised_at, alarm.id)][:1]
        return next((c for c in found if hides(c, alarm)), found[0] if found else None)

    def peers(self, alarm: Alarm) -> list[Alarm]:
        """Other devices of its line that fell silent at about the same time, in order of time."""
        reader = self.reader(alarm)
        if reader is None or alarm.event not in SILENT_DEVICE:
            return []
        near = [
            p
            for p in self._on_line.get((reader.gateway, reader.line), {}).values()
            if p.active and p.id != alarm.id and not p.covered and not p.drill
            and abs(p.raised_at - alarm.raised_at) <= PEER_MS
            and self.graph.readers[p.point].device != reader.device
        ]  # fmt: skip
        return sorted(near, key=lambda p: (p.raised_at, p.id))

    def reach(self, cause: Alarm) -> Iterator[Alarm]:
        """Active conditions that this one could explain: of assets and points below it, and of its line."""
        if cause.event == "gateway":
            for alarm in self._alarms.values():
                reader = self.reader(alarm)
                if alarm.active and reader is not None and reader.gateway == cause.asset:
                    yield alarm
        yield from (a for a in self.at(cause.asset) if a.active and confirms(cause, a))
        for asset in sorted(self.graph.below(cause.asset)):
            yield from (a for a in self.at(asset) if a.active)
        yield from self.peers(cause)

    def children(self, cause: str) -> list[Alarm]:
        """What is suppressed by the alarm with this id."""
        found = (self._alarms[i] for i in sorted(self._under.get(cause, ())) if i in self._alarms)
        return [a for a in found if a.suppressed_by == cause]

    def suppress(self, alarm: Alarm, cause: Alarm) -> None:
        """Put the alarm under its cause."""
        alarm.suppressed_by = alarm.root = cause.id
        alarm.memory.release_at = alarm.memory.hold_until = None
        self._under.setdefault(cause.id, set()).add(alarm.id)

    def free(self, cause: str) -> None:
        """Nobody is under this cause any more."""
        self._under.pop(cause, None)

    def stray(self) -> list[Alarm]:
        """Suppressed by what is not there or has ended, with no release ahead: a restart between the two."""
        return [
            a
            for a in self._alarms.values()
            if a.suppressed_by is not None
            and a.memory.release_at is None
            and not ((c := self._alarms.get(a.suppressed_by)) and c.active)
        ]

    def waits(self, alarm: Alarm) -> bool:
        """Whether nobody is called yet: its edge or its line may be the one that is lost."""
        silent = alarm.event in SILENCE and alarm.priority > LOST and suppressible(alarm)
        return silent and self.reader(alarm) is not None


def arrange(found: Iterable[Finding], rules: Mapping[str, RuleFacts]) -> list[Finding]:
    """The order in which a batch is judged.

    A late beginning whose end is in the same batch is left to its end. A cause (an outage, a lost gateway)
    that begins goes first and one that ends goes last, so that what follows from it calls nobody. The order
    within one condition is kept.
    """
    batch = list(found)
    ended = {f.id for f in batch if f.late and not f.active}
    times: dict[str, int] = {}
    for f in batch:
        times[f.condition] = times.get(f.condition, 0) + 1

    def place(f: Finding) -> int:
        rule = rules.get(f.rule)
        if rule is None or rule.event not in _BREADTH or times[f.condition] > 1:
            return 0
        return -_BREADTH[rule.event] if f.active else _BREADTH[rule.event]

    def told_by_its_end(f: Finding) -> bool:
        rule = rules.get(f.rule)
        return f.late and f.active and f.id in ended and not (rule and rule.life)

    return sorted((f for f in batch if not told_by_its_end(f)), key=place)


_BREADTH: Mapping[str, int] = {"outage": 3, "gateway": 2, "comms": 1, "lift_offline": 1}
"""How much an event can explain: what explains more begins first and ends last within a batch."""
