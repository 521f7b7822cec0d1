"""People who do the work: certificates with their ends, skills, place, and how each is reached.

Who may log in is another list (accounts); this one says who is fit for which work. Pure data with checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from alerts.bands import TimeBand, Week, band_of
from alerts.matrix import CHANNELS, EVENTS
from alerts.shapes import is_list, is_texts
from gateway.errors import BadInput, Problems
from gateway.model import Ms, Text

MOST_QUIET_DAYS = 15
"""A band that has not ended by then (the longest holidays, with the weekends beside them) never does."""
WARN_DAYS = (60, 30, 7, 0)
"""So many days before its end a certificate is called; 0: it has ended."""
PERSON_KEYS = ("id", "estate", "building", "certificates", "skills", "reach", "substitute", "max_orders")
Fault = tuple[tuple[str | int, ...], str, str]
"""(path in the person's record, what is wrong, what to do)."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Valid until the end of the day `expires`, in the zone of the site."""

    kind: str
    number: str
    expires: date

    def valid(self, today: date) -> bool:
        """Whether it still holds on a day."""
        return today <= self.expires


@dataclass(frozen=True, slots=True)
class Reach:
    """One way to a person. quiet: time band in which only P1 and life safety come this way."""

    channel: str
    address: str = ""
    quiet: TimeBand | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """One who works here.

    estate, building: where the person is stationed · max_orders: with so many open ones nothing more is given
    (0: no limit) · substitute: who takes over while the person is away.
    """

    id: str
    name: str = ""
    estate: str = ""
    building: str = ""
    certificates: tuple[Certificate, ...] = ()
    skills: frozenset[str] = frozenset()
    reach: tuple[Reach, ...] = ()
    substitute: str = ""
    max_orders: int = 0

    def holds(self, kind: str, today: date) -> Certificate | None:
        """A valid certificate of that kind."""
        valid = [c for c in self.certificates if c.kind == kind and c.valid(today)]
        return max(valid, key=lambda c: c.expires, default=None)

    def way(self, channel: str) -> Reach | None:
        """How the person is reached over a channel, as the record says."""
        return next((r for r in self.reach if r.channel == channel), None)

    def ways(self, t: Ms, week: Week, *, urgent: bool = False) -> list[Reach]:
        """How the person is reached now, in the order of the record. What is urgent knows no quiet hours."""
        return [r for r in self.reach if urgent or quiet_end(r.quiet, t, week) == t]

    def next_way(self, t: Ms, week: Week) -> Ms | None:
        """When the person is next reached by anything; `t` itself when at once, None when never."""
        ends = [quiet_end(r.quiet, t, week) for r in self.reach]
        return min((e for e in ends if e is not None), default=None)


def quiet_end(quiet: TimeBand | None, t: Ms, week: Week) -> Ms | None:
    """When a band in which `t` lies is over: `t` itself when it is outside of it, None when it never ends.

    By the wall clock of the week's zone, with its holidays.
    """
    if quiet is None or not quiet.has(week.minute(t)):
        return t
    first = datetime.fromtimestamp(t / 1000, week.zone).date()
    for day in range(MOST_QUIET_DAYS):
        for minute in sorted({0, *quiet.edges}):
            at = _wall(first + timedelta(days=day), minute, week.zone)
            if at > t and not quiet.has(week.minute(at)):
                return at
    return None


def _wall(day: date, minute: int, zone: tzinfo) -> Ms:
    at = datetime.combine(day, datetime.min.time(), zone) + timedelta(minutes=minute)
    return int(at.timestamp()) * 1000


# ── what work asks for ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class CertificateKind:
    """A kind of certificate. source: the rule that asks for it."""

    id: str
    name: Text
    source: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """Who does `event` work in one of the roles holds all of `all` and one of `any_of`."""

    event: str
    roles: frozenset[str] = frozenset()
    asset_kind: str = ""
    part: str = ""
    all: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()

    def fits(self, event: str, role: str, asset_kind: str, part: str) -> bool:
        """Whether it is about this work."""
        return (
            self.event == event
            and role in self.roles
            and self.asset_kind in ("", asset_kind)
            and self.part in ("", part)
        )


@dataclass(frozen=True)
class Demands:
    """All needs, the first that fits decides; kinds of certificates by id; wanted skills by event."""

    kinds: Mapping[str, CertificateKind] = field(default_factory=dict)
    needs: tuple[Need, ...] = ()
    skills: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def of(self, event: str, role: str, asset_kind: str, part: str = "") -> Need | None:
        """What this work asks of whoever does it in that role; None: nothing."""
        return next((n for n in self.needs if n.fits(event, role, asset_kind, part)), None)

    def name(self, kind: str) -> Text:
        """What people call it."""
        return self.kinds[kind].name if kind in self.kinds else {"zh": kind, "en": kind}


def demands_of(data: Mapping[str, Any], own: Sequence[Mapping[str, Any]] = ()) -> Demands:
    """From `defaults/certificates.yaml` and the site's own needs, which come first. Raises BadInput."""
    kinds = {
        str(k["id"]): CertificateKind(str(k["id"]), dict(k["name"]), str(k.get("source", "")))
        for k in data["kinds"]
    }
    needs = []
    for n, raw in enumerate([*own, *data["needs"]]):
        at = f"certificate_needs.{n}" if n < len(own) else f"needs.{n - len(own)}"
        needs.append(_need(raw, at, kinds))
    skills = {str(s["event"]): frozenset(map(str, s["skills"])) for s in data.get("skills", ())}
    return Demands(kinds, tuple(needs), skills)


def _need(raw: Mapping[str, Any], at: str, kinds: Mapping[str, CertificateKind]) -> Need:
    unknown = set(raw) - {"event", "roles", "asset_kind", "part", "all", "any"}
    if unknown or raw.get("event") not in EVENTS or not raw.get("roles"):
        said = f"unknown {sorted(unknown)}" if unknown else "a need has an event and roles"
        raise BadInput(said, field=at, hint="event, roles, asset_kind, part, all, any")
    for name in ("all", "any"):
        for kind in raw.get(name, ()):
            if kind not in kinds:
                raise BadInput(
                    f"there is no certificate {kind!r}", field=f"{at}.{name}", hint=", ".join(kinds)
                )
    return Need(
        str(raw["event"]), frozenset(raw["roles"]), str(raw.get("asset_kind", "")), str(raw.get("part", "")),
        tuple(raw.get("all", ())), tuple(raw.get("any", ())),
    )  # fmt: skip


# ── the records ───────────────────────────────────────────────────────────────────────────────────────


class Staff:
    """Everybody whose record is known. Immutable; an edit makes a new one."""

    def __init__(
        self, people: Iterable[Person] = (), demands: Demands | None = None, week: Week | None = None
    ) -> None:
        self.people = {p.id: p for p in people}
        self.demands = demands or Demands()
        self.week = week or Week(UTC)

    def today(self, t: Ms) -> date:
        """The date of a moment in the site's zone."""
        return datetime.fromtimestamp(t / 1000, self.week.zone).date()

    def person(self, id_: str, name: str = "") -> Person:
        """The record; an empty one, without certificates, for somebody who has none."""
        return self.people.get(id_) or Person(id_, name)

    def expiring(self, t: Ms) -> Iterator[tuple[Person, Certificate, int]]:
        """Certificates that end within the longest warning: (whose, which, days left; negative: ended)."""
        today = self.today(t)
        for person in self.people.values():
            for c in person.certificates:
                left = (c.expires - today).days
                # A renewed one of the same kind stands beside the old one for a while.
                if left <= max(WARN_DAYS) and not any(
                    o.kind == c.kind and o.expires > c.expires for o in person.certificates
                ):
                    yield person, c, left


def people_of(
    data: Sequence[Mapping[str, Any]],
    names: Mapping[str, str],
    kinds: Iterable[str],
    *,
    today: date | None = None,
    had: Mapping[str, Person] | None = None,
    root: str = "staff",
) -> list[Person]:
    """Records from plain data. names: the people that exist · today: refuse certificates that ended before.

    had: the records as they are; a certificate that has ended in one of them stops no edit.
    Raises Problems with fields such as `staff.2.certificates.0.expires`.
    """
    problems: list[BadInput] = []
    kinds = tuple(kinds)
    seen: set[str] = set()
    for n, raw in enumerate(data):
        for path, said, hint in _faults(raw, names, kinds, today, (had or {}).get(str(raw.get("id")))):
            problems.append(BadInput(said, field=".".join(map(str, (root, n, *path))), hint=hint))
        if str(raw.get("id")) in seen:
            problems.append(BadInput(f"{raw['id']} is there twice", field=f"{root}.{n}.id", hint="join them"))
        seen.add(str(raw.get("id")))
    problems += _circles(data, root)
    if problems:
        raise Problems(problems)
    return [_person(raw, names) for raw in data]


def _faults(
    raw: Mapping[str, Any],
    names: Mapping[str, str],
    kinds: Sequence[str],
    today: date | None,
    had: Person | None,
) -> Iterator[Fault]:
    for name in sorted(set(raw) - set(PERSON_KEYS)):
        yield (name,), "nobody knows this field", ", ".join(PERSON_KEYS)
    misshapen = list(_shape_faults(raw))
    if misshapen:
        yield from misshapen
        return
    for name in ("id", "substitute"):
        if (raw.get(name) or name == "id") and raw.get(name) not in names:
            yield (name,), f"there is no person {raw.get(name)!r}", "add the person"
    limit = raw.get("max_orders", 0)
    if type(limit) is not int or limit < 0:
        yield ("max_orders",), f"{limit!r} is no number of orders", "0: no limit"
    for k, c in enumerate(raw.get("certificates") or ()):
        yield from _certificate_faults(("certificates", k), c, kinds, today, had)
    for k, way in enumerate(raw.get("reach") or ()):
        if not isinstance(way, Mapping) or way.get("channel") not in CHANNELS:
            yield ("reach", k), "a way has channel, address, quiet", f"channel: {', '.join(CHANNELS)}"
            continue
        try:
            band_of(str(way.get("quiet") or "mon-sun"))
        except BadInput as e:
            yield ("reach", k, "quiet"), e.message, e.hint


def _shape_faults(raw: Mapping[str, Any]) -> Iterator[Fault]:
    for name in ("id", "estate", "building", "substitute"):
        if raw.get(name) is not None and not isinstance(raw[name], str):
            yield (name,), f"a text is needed, not {raw[name]!r:.40}", "put it into quotes"
    for name in ("certificates", "reach"):
        if not is_list(raw.get(name)):
            yield (name,), f"a list is needed, not {raw[name]!r:.40}", "[{…}, {…}]"
    if not is_texts(raw.get("skills")):
        yield ("skills",), f"a list of texts is needed, not {raw['skills']!r:.40}", "[first, second]"


def _certificate_faults(
    at: tuple[str | int, ...], c: Any, kinds: Sequence[str], today: date | None, had: Person | None
) -> Iterator[Fault]:
    if not isinstance(c, Mapping) or set(c) != {"kind", "number", "expires"} or not str(c["number"]).strip():
        hint = "{kind: electrician, number: …, expires: 2027-05-31}"
        yield at, "a certificate has kind, number and expires", hint
        return
    if c["kind"] not in kinds:
        yield (*at, "kind"), f"there is no certificate {c['kind']!r}", ", ".join(kinds)
    try:
        expires = date.fromisoformat(str(c["expires"]))
    except ValueError:
        yield (*at, "expires"), f"{c['expires']!r} is no day", "write 2027-05-31"
        return
    known = had is not None and Certificate(str(c["kind"]), str(c["number"]), expires) in had.certificates
    if today is not None and expires < today and not known:
        yield (*at, "expires"), f"certificate {c['number']} ended on {expires}", "renew it, or take it out"


def _circles(data: Sequence[Mapping[str, Any]], root: str) -> Iterator[BadInput]:
    """Substitutes that lead back to the person."""
    next_ = {str(r.get("id")): str(r.get("substitute") or "") for r in data}
    for n, raw in enumerate(data):
        way = [str(raw.get("id"))]
        while next_.get(way[-1]) and next_[way[-1]] not in way:
            way.append(next_[way[-1]])
        if next_.get(way[-1]) == way[0]:
            words = " → ".join([*way, way[0]])
            yield BadInput(
                f"substitutes in a circle: {words}", field=f"{root}.{n}.substitute", hint="break it"
            )


def _person(raw: Mapping[str, Any], names: Mapping[str, str]) -> Person:
    certificates = tuple(
        Certificate(str(c["kind"]), str(c["number"]), date.fromisoformat(str(c["expires"])))
        for c in raw.get("certificates") or ()
    )
    reach = tuple(
        Reach(
            str(r["channel"]), str(r.get("address", "")), band_of(str(r["quiet"])) if r.get("quiet") else None
        )
        for r in raw.get("reach") or ()
    )
    return Person(
        str(raw["id"]), names[str(raw["id"])], str(raw.get("estate", "")), str(raw.get("building", "")),
        certificates, frozenset(map(str, raw.get("skills") or ())), reach,
        str(raw.get("substitute") or ""), int(raw.get("max_orders", 0)),
    )  # fmt: skip


def midnight_after(day: date, zone: tzinfo) -> Ms:
    """When a day ends in the zone."""
    return _wall(day + timedelta(days=1), 0, zone)
