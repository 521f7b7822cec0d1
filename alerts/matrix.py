"""The responsibility matrix 权责清单: which event on which asset is whose, by when, and who hears of a delay.

Rows are data (alerts/defaults/matrix.yaml is the template); the most specific one wins and the
row that an order was dispatched by is frozen into the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from functools import cached_property
from typing import Any

from alerts.bands import Minute, TimeBand, Week, band_of
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
KEYS = ("asset", "estate", "city", "asset_kind", "band", "severity", "boundary")
"""What may narrow a row beside event and part, the most specific first."""
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


@dataclass(frozen=True)
class Row:
    """One row. A constraint of None fits everything; seconds of None mean that the clock does not run.

    `part` rows are found only when that part is asked for; `also` names parts of the same event that get an
    order of their own (the owner of a manhole beside the guard). asset: one asset alone · band: a time band
    (alerts/bands.py) in the site's zone · contractor: the firm that this row is given to, when it is not the
    asset's own · contacts: whom to call, in the words of the people there ("Mr Li 138…").
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
    asset: str | None = None
    band: str | None = None
    contractor: str = ""
    contacts: tuple[str, ...] = ()
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
        for name in KEYS:
            wanted = getattr(self, name)
            if name == "band":
                if self.time_band is not None and not self.time_band.has(query.minute):
                    return name
            elif wanted is not None and wanted != getattr(query, name):
                return name
        return self.out_of_date(query.t)

    def out_of_date(self, t: Ms) -> str:
        """Which of its dates `t` lies beyond; "" for none."""
        if self.valid_from is not None and t < self.valid_from:
            return "valid_from"
        return "valid_to" if self.valid_to is not None and t >= self.valid_to else ""

    @cached_property
    def time_band(self) -> TimeBand | None:
        """The band; None: at all times. Raises BadInput for words that are none."""
        return band_of(self.band) if self.band else None

    @property
    def keys(self) -> tuple[str, ...]:
        """What narrows the row."""
        return tuple(n for n in KEYS if getattr(self, n) is not None)

    @property
    def rank(self) -> tuple[Any, ...]:
        """Order of precedence: the narrower one, then the one that is valid since later.

        The end makes it total, so that the same question has the same answer; the proof refuses a matrix in
        which two rows differ by it alone.
        """
        special = tuple(getattr(self, n) is not None for n in KEYS)
        return (*special, self.valid_from or 0, self.version, self.id)


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
    asset: str = ""
    minute: Minute = Minute(0, 0)  # noqa: RUF009 - frozen


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
    part: str = ""
    contractor: str = ""
    contacts: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON."""
        body = {n: getattr(self, n) for n in self.__slots__}  # asdict copies every string: a tenth of a burst
        for name in ("party_name", "process", "clocks"):
            body[name] = dict(body[name])
        body["checklist"] = [dict(item) for item in self.checklist]
        body["ladder"] = [{n: getattr(s, n) for n in Step.__slots__} for s in self.ladder]
        return body

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Duty:
        """What `as_dict` gave."""
        lists = {n: tuple(body.get(n) or ()) for n in ("inform", "also", "checklist", "contacts")}
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
        week: Week | None = None,
    ) -> None:
        """Make it. cities: city by estate · contractors: name by id · week: zone and holidays (UTC)."""
        self.week = week or Week(UTC)
        self.rows = tuple(rows)
        self.roles = dict(roles or {})
        self._cities = dict(cities or {})
        self._contractors = dict(contractors or {})
        self._by_event: dict[str, list[Row]] = {}
        for row in self.rows:
            self._by_event.setdefault(row.event, []).append(row)

    def of_event(self, event: str) -> tuple[Row, ...]:
        """The rows of an event, in the order in which they were given."""
        return tuple(self._by_event.get(event, ()))

    def match(self, event: str, asset: Asset, priority: int, t: Ms, part: str | None = None) -> Duty:
        """The duty by the most specific row that fits. Raises NotFound."""
        row = self.winner(self.query(event, asset, priority, t, part))
        if row is None:
            of = f" part {part}" if part else ""
            raise NotFound(f"the matrix has no row for {event} P{priority} on {asset.id}{of}")
        return self.bind(row, asset)

    def winner(self, query: Query) -> Row | None:
        """The most specific row that fits."""
        fitting = [r for r in self._by_event.get(query.event, ()) if not r.misfit(query)]
        return max(fitting, key=lambda r: r.rank, default=None)

    def match_or_fallback(
        self, event: str, asset: Asset, priority: int, t: Ms, part: str | None = None
    ) -> Duty:
        """Like `match`; an event without a row goes to the control room rather than to nobody."""
        try:
            return self.match(event, asset, priority, t, part)
        except NotFound:
            return self.bind(_FALLBACK, asset)

    def in_turn(self, event: str, asset: Asset, priority: int, t: Ms, part: str | None = None) -> list[Duty]:
        """Who is called, in this order.

        Of a part its owner, then the locality 部件先属主、后属地; of an event the locality, then the
        owners of the parts that it names 事件先属地、后属主 (practice of digital city management).
        """
        local = self.match_or_fallback(event, asset, priority, t)
        if part is None:
            named = [self.match_or_fallback(event, asset, priority, t, p) for p in local.also]
            return [local, *named]
        owner = self.winner(self.query(event, asset, priority, t, part))
        return [self.bind(owner, asset), local] if owner else [local]

    def explain(
        self, event: str, asset: Asset, priority: int, t: Ms, part: str | None = None
    ) -> list[dict[str, Any]]:
        """Every row of the event, the chosen one first: {row, chosen, why}."""
        query = self.query(event, asset, priority, t, part)
        best = self.winner(query)
        rows = sorted(
            self._by_event.get(event, ()), key=lambda r: (not r.misfit(query), r.rank), reverse=True
        )
        return [{"row": r.id, "chosen": r is best, "why": _why(r, r.misfit(query), best)} for r in rows]

    def role_name(self, role: str) -> Text:
        """The role's name; its id when it is unknown."""
        return self.roles[role].name if role in self.roles else {"zh": role, "en": role}

    def external(self, role: str) -> bool:
        """Whether the role stands outside the firm."""
        return role in self.roles and self.roles[role].external

    def query(self, event: str, asset: Asset, priority: int, t: Ms, part: str | None = None) -> Query:
        """The question for `winner`."""
        city = self._cities.get(asset.estate, "")
        return Query(
            event, asset.kind, asset.boundary, priority, asset.estate, city, part, t, asset.id,
            self.week.minute(t),
        )  # fmt: skip

    def bind(self, row: Row, asset: Asset) -> Duty:
        """The row for an asset, with the responsible party by name."""
        name = dict(self.role_name(row.responsible))
        contractor = row.contractor or asset.contractor
        firm = self._contractors.get(contractor)
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
            part=row.part or "", contractor=contractor, contacts=row.contacts,
        )  # fmt: skip


def _why(row: Row, misfit: str, best: Row | None) -> Text:
    if misfit:
        return {"zh": f"不符合：{misfit}", "en": f"does not fit: {misfit}"}
    on = ", ".join(row.keys) or "event"
    if best is None or row is best:
        return {"zh": f"最具体的匹配（{on}）", "en": f"the most specific match ({on})"}
    for name in KEYS:
        if (getattr(best, name) is None) != (getattr(row, name) is None):
            return {
                "zh": f"匹配（{on}），但 {best.id} 更具体：{name}",
                "en": f"fits ({on}), but {best.id} is more specific: {name}",
            }
    return {"zh": f"匹配（{on}），但 {best.id} 更新", "en": f"fits ({on}), but {best.id} is newer"}
