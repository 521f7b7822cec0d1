"""The responsibility matrix 权责清单: which event on which asset is whose, by when, and who hears of a delay.

Rows are data (alerts/defaults/matrix.yaml is the template); the most specific one wins and the
row that an order was dispatched by is frozen into the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from alerts.calendars import Roster, stamp
from gateway.errors import NotFound
from gateway.model import Asset, Ms, Text

EVENTS: tuple[str, ...] = (
    "entrapment", "lift_stopped", "lift_danger", "lift_offline", "lift_wear",
    "fire_alarm", "fire_confirmed", "fire_system_fault", "fire_pump", "fire_pressure", "electrical_fire",
    "water_supply", "water_quality", "pump_room_flood", "sump_high", "drain_blocked", "manhole_moved", "gas",
    "outage", "transformer", "generator", "septic", "call_button", "meter", "sensor_fault", "intrusion",
    "lighting", "human_report", "comms", "gateway",
)  # fmt: skip
"""Event types; each alarm rule names one."""

CHANNELS = ("push", "sms", "voice")
CLOCKS = ("accept", "arrive", "restore", "close")
UNTIL = ("accept", "arrive", "restore")
"""What stops a step of the ladder: the order was accepted, somebody arrived, or service is restored."""


@dataclass(frozen=True, slots=True)
class DutyRole:
    """A duty role. `external`: outside the firm, so that a drill does not reach it unasked."""

    id: str
    name: Text
    external: bool = False
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One rung of the ladder: `after_s` from dispatch the role is told, unless `until` has been met."""

    after_s: int
    role: str
    channel: str = "push"
    until: str = "accept"


@dataclass(frozen=True, slots=True)
class Row:
    """One row. A constraint of None fits everything; seconds of None mean that the clock does not run.

    `part` rows are found only when that part is asked for; `also` names parts of the same event that get an
    order of their own (the owner of a manhole beside the guard).
    """

    id: str
    event: str
    responsible: str
    backup: str = ""
    supervisor: str = "PM"
    asset_kind: str | None = None
    part: str | None = None
    severity: int | None = None
    estate: str | None = None
    city: str | None = None
    boundary: str | None = None
    ack_s: int | None = None
    arrive_s: int | None = None
    restore_s: int | None = None
    close_s: int | None = None
    ladder: tuple[Step, ...] = ()
    inform: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    fund_eligible: str = "no"
    legal: str = ""
    process: Text = field(default_factory=dict)
    checklist: tuple[Mapping[str, Any], ...] = ()
    calendar: str = "24x7"
    valid_from: Ms | None = None
    valid_to: Ms | None = None
    version: int = 1

    def misfit(self, query: Query) -> str:
        """Why the row does not fit ("" when it does): the name of the first constraint that fails."""
        if self.event != query.event:
            return "event"
        if self.part != query.part:
            return "part"
        for name in ("estate", "city", "asset_kind", "severity", "boundary"):
            wanted = getattr(self, name)
            if wanted is not None and wanted != getattr(query, name):
                return name
        if self.valid_from is not None and query.t < self.valid_from:
            return "valid_from"
        return "valid_to" if self.valid_to is not None and query.t >= self.valid_to else ""

    @property
    def rank(self) -> tuple[Any, ...]:
        """Order of precedence: site before city before the rest, then newer before older."""
        special = tuple(
            getattr(self, n) is not None for n in ("estate", "city", "asset_kind", "severity", "boundary")
        )
        return (*special, self.valid_from or 0, self.version)


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of the matrix."""

    event: str
    asset_kind: str
    boundary: str
    severity: int
    estate: str
    city: str
    part: str | None
    t: Ms


@dataclass(frozen=True, slots=True)
class Duty:
    """The answer: a row bound to an asset, with the responsible party by name. Frozen into the order."""

    row: str
    version: int
    party: str
    party_name: Text
    backup: str
    supervisor: str
    clocks: Mapping[str, int | None]
    ladder: tuple[Step, ...]
    inform: tuple[str, ...]
    also: tuple[str, ...]
    fund_eligible: bool
    legal: str
    process: Text
    checklist: tuple[Mapping[str, Any], ...]
    calendar: str

    def as_dict(self) -> dict[str, Any]:
        """JSON."""
        return asdict(self) | {"ladder": [asdict(s) for s in self.ladder]}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Duty:
        """What `as_dict` gave."""
        lists = {n: tuple(body[n]) for n in ("inform", "also", "checklist")}
        return cls(**{**body, **lists, "ladder": tuple(Step(**s) for s in body["ladder"])})


_FALLBACK = Row(
    "fallback", "*", "CR", backup="PM", supervisor="PM", ack_s=300, arrive_s=3600, restore_s=86_400,
    ladder=(Step(300, "PM", "sms"), Step(1800, "DM", "voice")),
    process={"zh": "权责清单未覆盖，由控制室先受理", "en": "Not in the matrix: the control room takes it"},
)  # fmt: skip


class Matrix:
    """Rows with the names of roles and contractors. Immutable; an edit makes a new one."""

    def __init__(
        self,
        rows: Iterable[Row],
        roles: Mapping[str, DutyRole] | None = None,
        *,
        cities: Mapping[str, str] | None = None,
        contractors: Mapping[str, Text] | None = None,
    ) -> None:
        """Make it. cities: city by estate · contractors: name by contractor id."""
        self.rows = tuple(rows)
        self.roles = dict(roles or {})
        self._cities = dict(cities or {})
        self._contractors = dict(contractors or {})
        self._by_event: dict[str, list[Row]] = {}
        for row in self.rows:
            self._by_event.setdefault(row.event, []).append(row)

    def match(self, event: str, asset: Asset, priority: int, t: Ms, part: str | None = None) -> Duty:
        """The duty by the most specific row that fits. Raises NotFound."""
        query = self._query(event, asset, priority, t, part)
        fitting = [r for r in self._by_event.get(event, ()) if not r.misfit(query)]
        if not fitting:
            raise NotFound(f"the matrix has no row for {event} P{priority} on {asset.id}")
        return self._bind(max(fitting, key=lambda r: r.rank), asset)

    def match_or_fallback(
        self, event: str, asset: Asset, priority: int, t: Ms, part: str | None = None
    ) -> Duty:
        """Like `match`; an event without a row goes to the control room rather than to nobody."""
        try:
            return self.match(event, asset, priority, t, part)
        except NotFound:
            return self._bind(_FALLBACK, asset)

    def explain(
        self, event: str, asset: Asset, priority: int, t: Ms, part: str | None = None
    ) -> list[dict[str, Any]]:
        """Every row of the event, the chosen one first: {row, chosen, why}."""
        query = self._query(event, asset, priority, t, part)
        rows = sorted(
            self._by_event.get(event, ()), key=lambda r: (not r.misfit(query), r.rank), reverse=True
        )
        out: list[dict[str, Any]] = []
        for row in rows:
            chosen = not out and not row.misfit(query)
            out.append({"row": row.id, "chosen": chosen, "why": _why(row, row.misfit(query), chosen)})
        return out

    def role_name(self, role: str) -> Text:
        """The role's name; its id when it is unknown."""
        return self.roles[role].name if role in self.roles else {"zh": role, "en": role}

    def external(self, role: str) -> bool:
        """Whether the role stands outside the firm."""
        return role in self.roles and self.roles[role].external

    def _query(self, event: str, asset: Asset, priority: int, t: Ms, part: str | None) -> Query:
        city = self._cities.get(asset.estate, "")
        return Query(event, asset.kind, asset.boundary, priority, asset.estate, city, part, t)

    def _bind(self, row: Row, asset: Asset) -> Duty:
        name = dict(self.role_name(row.responsible))
        firm = self._contractors.get(asset.contractor)
        if firm and self.external(row.responsible):
            name = {k: f"{v} · {firm.get(k, '')}" for k, v in name.items()}
        return Duty(
            row=row.id, version=row.version, party=row.responsible, party_name=name, backup=row.backup,
            supervisor=row.supervisor,
            clocks=dict(zip(CLOCKS, (row.ack_s, row.arrive_s, row.restore_s, row.close_s), strict=True)),
            ladder=row.ladder, inform=row.inform, also=row.also,
            # Utility-owned equipment is not paid from the owners' maintenance fund.
            fund_eligible=row.fund_eligible != "no" and asset.boundary == "property",
            legal=row.legal, process=row.process, checklist=row.checklist, calendar=row.calendar,
        )  # fmt: skip


def _why(row: Row, misfit: str, chosen: bool) -> Text:
    if misfit:
        return {"zh": f"不符合：{misfit}", "en": f"does not fit: {misfit}"}
    names = [
        n for n in ("estate", "city", "asset_kind", "severity", "boundary") if getattr(row, n) is not None
    ]
    on = ", ".join(names) or "event"
    if chosen:
        return {"zh": f"最具体的匹配（{on}）", "en": f"the most specific match ({on})"}
    return {"zh": f"匹配（{on}），但不够具体", "en": f"fits ({on}), but another is more specific"}


# ── completeness ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Hole:
    """What is missing: no row, fewer than two levels above the responsible role, or an empty shift.

    about: the event without a row, the row that is too short, the role that nobody fills.
    """

    rule: str
    asset: str
    reason: str
    text: Text
    about: str = ""


def holes(
    matrix: Matrix,
    pairs: Iterable[tuple[Any, Asset]],
    t: Ms,
    roster: Roster | None = None,
    days: int = 7,
) -> list[Hole]:
    """What keeps some (rule, asset) from reaching somebody in the `days` from `t`; [] is the proof.

    pairs: every rule with every asset that it applies to (anything with `id`, `event`, `priority`).
    """
    found: list[Hole] = []
    for rule, asset in pairs:
        try:
            duties = [matrix.match(rule.event, asset, rule.priority, t)]
            duties += [matrix.match(rule.event, asset, rule.priority, t, p) for p in duties[0].also]
        except NotFound as e:
            text = {"zh": f"权责清单缺少 {rule.event} P{rule.priority}（{asset.id}）的责任行", "en": str(e)}
            found.append(Hole(rule.id, asset.id, "no_row", text, rule.event))
            continue
        for duty in duties:
            found += _short(rule.id, asset, duty)
            found += _empty(rule.id, asset, duty, t, t + days * 86_400_000, roster or Roster())
    return found


def _short(rule: str, asset: Asset, duty: Duty) -> Iterator[Hole]:
    above = {s.role for s in duty.ladder} - {duty.party}
    if len(above) < 2:
        text = {
            "zh": f"{duty.row} 行在 {duty.party} 之上只有 {len(above)} 级，需要两级",
            "en": f"row {duty.row} has {len(above)} level(s) above {duty.party}, two are needed",
        }
        yield Hole(rule, asset.id, "levels", text, duty.row)


def _empty(rule: str, asset: Asset, duty: Duty, start: Ms, end: Ms, roster: Roster) -> Iterator[Hole]:
    for role in dict.fromkeys((duty.party, *(s.role for s in duty.ladder))):
        gap = roster.gap(role, asset.estate, start, end) if roster.knows(role, asset.estate) else None
        if gap:
            text = {
                "zh": f"{role} 在 {stamp(gap[0])} 至 {stamp(gap[1])} 无人值班",
                "en": f"nobody fills {role} from {stamp(gap[0])} to {stamp(gap[1])}",
            }
            yield Hole(rule, asset.id, "shift", text, role)
