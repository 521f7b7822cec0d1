"""The people of the demonstration: accounts, shifts, and records of certificates, skills and reach.

Names and numbers are invented. One person of each duty is on call at any hour, so that whoever tries the
pages finds orders for the user of that name; colleagues stand beside them by day or by night.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from gateway.model import Role
from simulators.layout import Layout

DAY, NIGHT = ("08:00", "20:00"), ("20:00", "08:00")
YEARS_4 = 1_460


@dataclass(frozen=True, slots=True)
class Member:
    """One of a team.

    shift: from and to of every day; None: on call at any hour · certificates: days from today until the
    certificate ends, by kind; negative: it has ended · quiet: when only life safety comes by push.
    """

    id: str
    name: str
    role: Role
    duty: str
    phone: str
    shift: tuple[str, str] | None = None
    systems: tuple[str, ...] = ()
    certificates: Mapping[str, int] | None = None
    skills: tuple[str, ...] = ()
    substitute: str = ""
    quiet: str = ""
    max_orders: int = 0


TEAM: tuple[Member, ...] = (
    Member("operator", "陈静 Chen Jing", "operator", "CR", "023-5550-0401",
           certificates={"fire_operator": YEARS_4}, substitute="operator-2"),
    Member("operator-2", "孙丽 Sun Li", "operator", "CR", "023-5550-0405", NIGHT,
           certificates={"fire_operator": 610}),
    Member("technician", "李强 Li Qiang", "technician", "TE", "023-5550-0402",
           certificates=dict.fromkeys(
               ("electrician", "fire_operator", "confined_space", "health", "lift_safety"), YEARS_4),
           skills=("pumps", "networks"), substitute="electrician"),
    Member("electrician", "刘洋 Liu Yang", "technician", "TE", "023-5550-0406", DAY,
           certificates={"electrician": 1000, "electrician_hv": 1000}, skills=("generators",), max_orders=8),
    Member("technician-2", "张磊 Zhang Lei", "technician", "TE", "023-5550-0407", NIGHT,
           certificates={"electrician": -9, "confined_space": 45}, skills=("pumps",)),
    Member("lift-tech", "周伟 Zhou Wei", "contractor", "LM", "023-5550-0301", systems=("elevator",),
           certificates={"lift_repair": YEARS_4}, skills=("lifts", "rescue"), substitute="lift-tech-2"),
    Member("lift-tech-2", "吴刚 Wu Gang", "contractor", "LM", "023-5550-0308", NIGHT, systems=("elevator",),
           certificates={"lift_repair": 25}, skills=("lifts",)),
    Member("supervisor", "王芳 Wang Fang", "supervisor", "PM", "023-5550-0403"),
    Member("manager", "赵敏 Zhao Min", "manager", "DM", "023-5550-0404", quiet="mon-sun 22:00-07:00"),
)  # fmt: skip
"""Of each firm. The two of LM are the people of the lift contractor. One certificate has ended nine days ago
and two end soon: the program has to notice."""


def own_id(firms: Sequence[str], firm: str, member: str) -> str:
    """The first firm's team has plain ids; another firm's ids begin with the firm's."""
    return member if firm == firms[0] else f"{firm}-{member}"


def people(firms: Sequence[str]) -> list[dict[str, Any]]:
    """Accounts of the site file: the teams, a wall for each firm, the regulator and the administrator."""
    found: list[dict[str, Any]] = []
    for firm in firms:
        for m in TEAM:
            person = {"id": own_id(firms, firm, m.id), "name": m.name, "role": m.role, "duties": [m.duty],
                      "firms": [firm]}  # fmt: skip
            found.append(person | ({"systems": list(m.systems)} if m.systems else {}) | {"phone": m.phone})
        wall = own_id(firms, firm, "display")
        found.append({"id": wall, "name": "大屏 Wall", "role": "display", "firms": [firm]})
    return [
        *found,
        {"id": "regulator", "name": "街道办 Sub-district office", "role": "regulator", "duties": ["ST"]},
        {"id": "admin", "name": "系统管理员 Administrator", "role": "admin"},
    ]


def shifts(layout: Layout) -> list[dict[str, Any]]:
    """One on call at any hour of each duty, the others by day or by night: no minute of the week is empty."""
    firms = _firms(layout)
    found: list[dict[str, Any]] = []
    for estate in layout.estates:
        for m in TEAM:
            hours = {} if m.shift is None else {"from": m.shift[0], "to": m.shift[1]}
            who = [own_id(firms, estate.firm, m.id)]
            found.append({"duty": m.duty, "people": who, "estate": estate.id, **hours})
    return found


def staff(layout: Layout, today: date) -> list[dict[str, Any]]:
    """Records of everybody who works; the ends of certificates count from `today`."""
    firms = _firms(layout)
    return [record for firm in firms for record in _records(layout, firms, firm, today)]


def _records(layout: Layout, firms: Sequence[str], firm: str, today: date) -> Iterator[dict[str, Any]]:
    home = next(e.id for e in layout.estates if e.firm == firm)
    mark = "" if firm == firms[0] else f"{firm.upper()}-"
    for m in TEAM:
        record: dict[str, Any] = {"id": own_id(firms, firm, m.id), "estate": home}
        if m.certificates:
            record["certificates"] = [
                {"kind": kind, "number": f"{mark}{m.id}-{kind}".upper().replace("_", "-"),
                 "expires": (today + timedelta(days=days)).isoformat()}
                for kind, days in m.certificates.items()
            ]  # fmt: skip
        if m.skills:
            record["skills"] = list(m.skills)
        push = {"channel": "push"} | ({"quiet": m.quiet} if m.quiet else {})
        record["reach"] = [push, *({"channel": c, "address": m.phone} for c in ("sms", "voice"))]
        if m.substitute:
            record["substitute"] = own_id(firms, firm, m.substitute)
        if m.max_orders:
            record["max_orders"] = m.max_orders
        yield record


def _firms(layout: Layout) -> list[str]:
    return list(dict.fromkeys(e.firm for e in layout.estates))
