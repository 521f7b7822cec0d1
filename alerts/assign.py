"""Who gets the order: on shift now, with a valid certificate for this work, then skill, load, way.

A person without the certificate is never chosen. When nobody of the role can, the backup role is asked, then
the order goes to the supervisor with the reason. Every candidate is explained. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from alerts.calendars import Roster
from alerts.matrix import Duty
from alerts.people import Need, Person, Staff
from gateway.model import Asset, Ms, Text


@dataclass(frozen=True, slots=True)
class Candidate:
    """One who was looked at. why: "" when he could take it, else what is against it."""

    person: str
    name: str
    role: str
    chosen: bool
    why: Text
    skilled: bool = False
    load: int = 0
    distance: int = 0


@dataclass(frozen=True, slots=True)
class Assignment:
    """role: which role has the order now · person: who of it ("": the role as such) · why: in a sentence.

    outcome: person · role (a role whose people are not on file, e.g. a contractor's office) · supervisor.
    """

    outcome: str
    role: str
    person: str
    why: Text
    candidates: tuple[Candidate, ...] = ()
    needs: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Work:
    """What has to be done where and when. load: open orders by person."""

    event: str
    asset: Asset
    t: Ms
    load: Mapping[str, int] = field(default_factory=dict)


def assign(duty: Duty, work: Work, staff: Staff, roster: Roster) -> Assignment:
    """The decision for an order that goes to `duty`.

    A role that nobody planned (an outside party) keeps the order as a role: whom it sends is its affair, and
    who accepts is checked by `may_take`.
    """
    if not staff.people:
        return Assignment("role", duty.party, "", _NO_RECORDS)
    candidates: list[Candidate] = []
    needs: list[str] = []
    reasons: list[Text] = []
    for role in dict.fromkeys(r for r in (duty.party, duty.backup) if r):
        if not roster.knows(role, work.asset.estate):
            if role == duty.party:
                return Assignment("role", role, "", _outside(role))
            continue
        need = staff.demands.of(work.event, role, work.asset.kind, duty.part)
        needs += [n for n in _kinds(need) if n not in needs]
        looked = _looked(role, need, work, staff, roster)
        best = min((c for c in looked if not c.why["en"]), key=_order, default=None)
        if best is not None:
            candidates += [_marked(c, best) for c in looked]
            why = _won(best, role != duty.party, reasons)
            return Assignment("person", role, best.person, why, tuple(candidates), tuple(needs))
        candidates += looked
        reasons.append(_nobody(role, looked))
    supervisor = duty.supervisor or duty.party
    on = roster.on_duty(supervisor, work.asset.estate, work.t)
    return Assignment(
        "supervisor", supervisor, on[0][0] if on else "", _joined(reasons), tuple(candidates), tuple(needs)
    )


def may_take(
    person: str, role: str, event: str, asset: Asset, t: Ms, staff: Staff, part: str = ""
) -> Text | None:
    """What is against this person's doing such work in that role; None when nothing is.

    Somebody without a record is not judged: an outside firm answers for its own people.
    """
    if person not in staff.people:
        return None
    return _missing(staff.people[person], staff.demands.of(event, role, asset.kind, part), t, staff)


def stands_in(
    person: str, stand_in: str, roles: Iterable[str], during: tuple[Ms, Ms], staff: Staff
) -> Text | None:
    """What the stand-in lacks for work of these roles that the person may do; None: nothing.

    Judged at both ends of the time: a certificate that ends within it is none for it.
    """
    away, other = staff.person(person), staff.person(stand_in)
    for role in sorted(roles):
        for n in staff.demands.needs:
            need = staff.demands.of(n.event, role, n.asset_kind, n.part) if role in n.roles else None
            if need is None or _missing(away, need, during[0], staff):
                continue
            for t in (during[0], during[1] - 1):
                lacks = _missing(other, need, t, staff)
                if lacks:
                    return {k: f"{role} {n.event}: {said}" for k, said in lacks.items()}
    return None


def _looked(role: str, need: Need | None, work: Work, staff: Staff, roster: Roster) -> list[Candidate]:
    wanted = staff.demands.skills.get(work.event, frozenset())
    out = []
    for id_, name in roster.on_duty(role, work.asset.estate, work.t):
        person = staff.person(id_, name)
        load = work.load.get(id_, 0)
        against = _missing(person, need, work.t, staff) or _full(person, load) or {"zh": "", "en": ""}
        skilled = bool(wanted) and wanted <= person.skills
        out.append(Candidate(id_, name, role, False, against, skilled, load, distance(person, work.asset)))
    return out


def distance(person: Person, asset: Asset) -> int:
    """0 same building, 1 same estate, 2 elsewhere or not known: nothing finer is on file."""
    if person.estate != asset.estate:
        return 2
    return 0 if person.building and person.building in asset.place.values() else 1


def _order(c: Candidate) -> tuple[Any, ...]:
    return (not c.skilled, c.load, c.distance, c.person)


def _kinds(need: Need | None) -> tuple[str, ...]:
    return (*need.all, *need.any_of) if need else ()


def _missing(person: Person, need: Need | None, t: Ms, staff: Staff) -> Text | None:
    if need is None:
        return None
    today = staff.today(t)
    lacking = [k for k in need.all if person.holds(k, today) is None]
    if not lacking and need.any_of and not any(person.holds(k, today) for k in need.any_of):
        lacking = list(need.any_of)
    if not lacking:
        return None
    names = [staff.demands.name(k) for k in lacking]
    old = [c for c in person.certificates if c.kind in lacking]
    if old:
        ended = max(old, key=lambda c: c.expires)
        return {
            "zh": f"证书 {ended.number} 已于 {ended.expires} 到期",
            "en": f"certificate {ended.number} ended on {ended.expires}",
        }
    return {
        "zh": "无" + "、".join(n["zh"] for n in names), "en": "no " + ", ".join(n["en"] for n in names),
    }  # fmt: skip


def _full(person: Person, load: int) -> Text | None:
    if not person.max_orders or load < person.max_orders:
        return None
    return {"zh": f"在办工单 {load} 件已满", "en": f"has {load} open orders already"}


def _marked(c: Candidate, best: Candidate) -> Candidate:
    if c == best:
        return replace(c, chosen=True)
    if c.why["en"]:
        return c
    for name, zh, en in (
        ("skilled", "技能", "skill"),
        ("load", "在办量", "load"),
        ("distance", "距离", "way"),
    ):
        if getattr(c, name) != getattr(best, name):
            why = {"zh": f"可派，{zh}不如 {best.name}", "en": f"could, but {best.name} is better by {en}"}
            return replace(c, why=why)
    return replace(c, why={"zh": f"可派，与 {best.name} 相同", "en": f"could, equal to {best.name}"})


_NO_RECORDS: Text = {
    "zh": "未登记人员证书，派给岗位", "en": "no records of people are kept: the role as such",
}  # fmt: skip


def _outside(role: str) -> Text:
    return {"zh": f"{role} 未排班，派给单位", "en": f"{role} has no shifts here: the party as such"}


def _won(best: Candidate, backup: bool, reasons: list[Text]) -> Text:
    skill = {"zh": "，技能符合" if best.skilled else "", "en": ", skilled" if best.skilled else ""}
    why = {
        "zh": f"{best.name} 在岗，证书有效{skill['zh']}，在办 {best.load} 件",
        "en": f"{best.name} is on shift, certificate valid{skill['en']}, {best.load} open orders",
    }
    return _joined([*reasons, why]) if backup else why


def _nobody(role: str, looked: list[Candidate]) -> Text:
    if not looked:
        return {"zh": f"{role} 无人在岗", "en": f"nobody of {role} is on shift"}
    against = {k: "；".join(f"{c.name}：{c.why[k]}" for c in looked) for k in ("zh", "en")}
    return {
        "zh": f"{role} 无人可派（{against['zh']}）",
        "en": f"nobody of {role} can ({against['en'].replace('；', '; ').replace('：', ': ')})",
    }


def _joined(parts: list[Text]) -> Text:
    return {"zh": "；".join(p["zh"] for p in parts), "en": "; ".join(p["en"] for p in parts)}
