"""The hazard list 隐患: what could do harm, whoever found it, until it is proven gone. Pure.

Sources: a detector (a rule with `hazard: general` or `major`), an inspection, a resident, a person. All are
in one list with the same states, deadlines by grade and a closing proof that a second person verifies. An
overdue one is told once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from alerts.alarms import AlarmBook
from alerts.alarms_access import authorise, in_scope, number, same_version, text
from alerts.books import Gone, Record
from alerts.calendars import stamp
from alerts.orders_state import make_id
from gateway.errors import BadInput, Conflict, Forbidden, NotFound
from gateway.model import Command, Event, Ms, Text

DAY: Ms = 86_400_000
GRADES: Mapping[str, Ms] = {"general": 15 * DAY, "major": 3 * DAY}
"""Time until it must be fixed, by grade; a person may set a shorter or a longer one with the assignment.

Working figures, not from a standard: the firm's own rules or the authority's order go first.
"""
SOURCES = ("detector", "inspection", "resident", "manual")
FLOW: Mapping[tuple[str, str], str] = {
    ("open", "assign"): "assigned", ("assigned", "assign"): "assigned",
    ("open", "fix"): "fixed", ("assigned", "fix"): "fixed",
    ("fixed", "refuse"): "assigned", ("fixed", "verify"): "verified",
}  # fmt: skip
"""(state, act) → state; what is missing is refused. verified is the end."""
KEEP_MS: Ms = 31 * DAY
KINDS_OF: Mapping[str, str] = {
    "assign": "hazard.assigned", "fix": "hazard.fixed", "refuse": "hazard.refused",
    "verify": "hazard.verified",
}  # fmt: skip


@dataclass(slots=True)
class Hazard:
    """One hazard. `proof`: texts and file ids that show that it is gone, with who and when."""

    id: str
    estate: str
    asset: str
    system: str
    place: str
    source: str
    grade: str
    title: Text
    found_at: Ms
    found_by: str
    deadline: Ms
    state: str = "open"
    rule: str = ""
    alarm: str = ""
    occurrence: str = ""
    seen: int = 1
    assignee: str = ""
    proof: list[dict[str, Any]] = field(default_factory=list)
    fixed_by: str = ""
    fixed_at: Ms | None = None
    verified_by: str = ""
    verified_at: Ms | None = None
    overdue: bool = False
    told_overdue: bool = False
    version: int = 1
    changed_by: str = ""
    changed_at: Ms = 0

    def shown(self) -> dict[str, Any]:
        """What people see."""
        return {k: v for k, v in asdict(self).items() if k != "told_overdue"}


class HazardBook:
    """Hazards that are open or were closed lately. See `alerts.books.Book`."""

    nouns: tuple[str, ...] = ("hazard",)
    kinds: tuple[str, ...] = ("hazard",)

    def __init__(self, book: AlarmBook) -> None:
        self._book = book
        self.hazards: dict[str, Hazard] = {}
        self._changed: set[str] = set()

    # ── what comes in ─────────────────────────────────────────────────────────────────────────────

    def command(self, cmd: Command) -> tuple[list[Event], dict[str, Any]]:
        """`hazard.report` (subject: an asset), `.assign`, `.fix`, `.refuse`, `.verify` (subject: hazard)."""
        authorise(cmd)
        if cmd.kind == "hazard.report":
            h = self._report(cmd)
            kind, data = "hazard.found", dict[str, Any]()
        else:
            h = self._known(cmd)
            kind, data = self._act(h, cmd)
        return [self._event(h, kind, cmd.received_at, cmd.id, cmd.actor.id, **data)], {"hazard": h.shown()}

    def _report(self, cmd: Command) -> Hazard:
        asset = self._book.assets.get(cmd.subject)
        firm = self._book.firms.get(asset.estate, "") if asset else ""
        if asset is None or not cmd.actor.scope.allows(firm=firm, estate=asset.estate, system=asset.kind):
            raise NotFound(f"there is no asset {cmd.subject!r}")
        words, source = text(cmd, "text"), cmd.data.get("source", "manual")
        if source not in SOURCES or source == "detector":
            raise BadInput(f"{source!r:.40} is no source", field="source", hint=", ".join(SOURCES[1:]))
        now = cmd.received_at
        h = Hazard(
            make_id("hz", cmd.id, asset.id), asset.estate, asset.id, asset.kind,
            str(cmd.data.get("place") or asset.place.get("zh", "")), source, _grade(cmd),
            {"zh": words, "en": words}, min(cmd.done_at, now), cmd.actor.id, now + GRADES[_grade(cmd)],
            changed_by=cmd.actor.id, changed_at=now,
        )  # fmt: skip
        self.hazards[h.id] = h
        return h

    def _known(self, cmd: Command) -> Hazard:
        h = self.hazards.get(cmd.subject)
        if h is None:
            raise NotFound(f"there is no hazard {cmd.subject!r}")
        in_scope(
            cmd, firm=self._book.firms.get(h.estate, ""), estate=h.estate, system=h.system, what="hazard"
        )
        return h

    def _act(self, h: Hazard, cmd: Command) -> tuple[str, dict[str, Any]]:
        act = cmd.kind.partition(".")[2]
        to = FLOW.get((h.state, act))
        if to is None:
            raise Conflict(
                f"it is {h.state} since {stamp(h.changed_at)}, by {h.changed_by}; no {act} from there"
            )
        same_version(cmd, h.version, h.changed_by, h.changed_at)
        data = {"assign": self._assign, "fix": self._fix, "refuse": self._refuse, "verify": self._verify}[
            act
        ](h, cmd)
        h.state = to
        h.version += 1
        h.changed_by, h.changed_at = cmd.actor.id, cmd.received_at
        return KINDS_OF[act], data

    def _assign(self, h: Hazard, cmd: Command) -> dict[str, Any]:
        to, grade, deadline = text(cmd, "to"), h.grade, h.deadline
        if "grade" in cmd.data:
            grade = _grade(cmd)
            deadline = h.found_at + GRADES[grade]
        if "deadline" in cmd.data:
            deadline = round(number(cmd, "deadline", cmd.received_at, cmd.received_at + 366 * DAY))
        h.assignee, h.grade, h.deadline = to, grade, deadline
        h.overdue = h.told_overdue = h.deadline <= cmd.received_at and h.told_overdue
        return {"to": to, "deadline": h.deadline}

    def _fix(self, h: Hazard, cmd: Command) -> dict[str, Any]:
        words = text(cmd, "proof")
        files = [str(f) for f in cmd.data.get("files") or ()][:20]
        h.proof.append({"t": cmd.received_at, "by": cmd.actor.id, "text": words, "files": files})
        h.fixed_by, h.fixed_at = cmd.actor.id, cmd.received_at
        return {"evidence": words, "files": files}

    def _refuse(self, h: Hazard, cmd: Command) -> dict[str, Any]:
        reason = text(cmd, "reason")
        h.fixed_by, h.fixed_at = "", None
        return {"reason": reason}

    def _verify(self, h: Hazard, cmd: Command) -> dict[str, Any]:
        if cmd.actor.id == h.fixed_by:
            raise Forbidden("whoever fixed it cannot verify it; ask a second person")
        alarm = self._book.alarms.get(h.alarm)
        if alarm is not None and alarm.active:
            raise Conflict("the detector still sees it; it can be verified once the value is normal")
        h.verified_by, h.verified_at = cmd.actor.id, cmd.received_at
        return {"note": str(cmd.data.get("note") or "")}

    def step(self, events: Sequence[Event], now: Ms) -> list[Event]:
        """A rule that is flagged as a hazard puts its alarm on the list, once per condition."""
        out: list[Event] = []
        for e in events:
            if e.kind == "alarm.raised" and not e.data.get("drill") and e.data.get("mode") == "normal":
                out += self._detected(e, now)
        return out

    def _detected(self, e: Event, now: Ms) -> list[Event]:
        alarm = self._book.alarms.get(e.subject)
        grade = getattr(self._book.rules.get(str(e.data["rule"])), "hazard", "")
        if alarm is None or not grade:
            return []
        for h in self.hazards.values():
            if h.alarm == alarm.id and h.state != "verified":
                h.seen += 1
                if h.state != "fixed":
                    self._changed.add(h.id)
                    return []
                h.state, h.fixed_by, h.fixed_at = "assigned" if h.assignee else "open", "", None
                h.version, h.changed_by, h.changed_at = h.version + 1, "steward", now
                return [self._event(h, "hazard.again", e.t, e.id, occurrence=e.data["occurrence"])]
        asset = self._book.assets.get(alarm.asset)
        h = Hazard(
            make_id("hz", alarm.occurrence), alarm.estate, alarm.asset, alarm.system,
            asset.place.get("zh", "") if asset else "", "detector", grade, dict(alarm.name), e.t, "steward",
            max(e.t, now) + GRADES[grade], rule=alarm.rule, alarm=alarm.id, occurrence=alarm.occurrence,
            changed_by="steward", changed_at=now,
        )  # fmt: skip
        self.hazards[h.id] = h
        return [self._event(h, "hazard.found", e.t, h.id)]

    def tick(self, now: Ms) -> list[Event]:
        """Tell once of each that is past its deadline; forget what was verified long ago."""
        out: list[Event] = []
        for h in sorted(self.hazards.values(), key=lambda h: h.deadline):
            if h.deadline <= now and not h.told_overdue and h.state in ("open", "assigned"):
                h.overdue = h.told_overdue = True
                h.version, h.changed_by, h.changed_at = h.version + 1, "steward", h.deadline
                out.append(self._event(h, "hazard.overdue", h.deadline, f"{h.id}:{h.deadline}"))
        for h in list(self.hazards.values()):
            if h.verified_at is not None and h.verified_at + KEEP_MS <= now:
                del self.hazards[h.id]
        return out

    # ── keeping ───────────────────────────────────────────────────────────────────────────────────

    def _event(self, h: Hazard, kind: str, t: Ms, key: str, actor: str = "steward", **data: Any) -> Event:
        self._changed.add(h.id)
        told = {"grade": h.grade, "source": h.source, "state": h.state, "title": dict(h.title),
                "deadline": h.deadline, "rule": h.rule, "alarm": h.alarm} | data  # fmt: skip
        return Event(f"{kind}:{key}", h.estate, t, kind, h.id, actor, h.asset, told)

    def drain(self) -> tuple[list[Record], list[Gone]]:
        """See `alerts.books.Book`."""
        ids, self._changed = sorted(self._changed), set()
        return [self._record(self.hazards[i]) for i in ids if i in self.hazards], []

    def dump(self) -> list[Record]:
        """See `alerts.books.Book`."""
        return [self._record(h) for h in self.hazards.values()]

    def load(self, kind: str, id_: str, body: Mapping[str, Any]) -> None:
        """See `alerts.books.Book`."""
        self.hazards[id_] = Hazard(**{k: v for k, v in body.items() if k in Hazard.__slots__})

    def _record(self, h: Hazard) -> Record:
        return "hazard", h.id, h.estate, asdict(h)


def _grade(cmd: Command) -> str:
    grade = cmd.data.get("grade", "general")
    if grade not in GRADES:
        raise BadInput(f"{grade!r:.40} is no grade", field="grade", hint=", ".join(GRADES))
    return str(grade)
