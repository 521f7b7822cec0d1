"""The site file of a demonstration layout, in the shape of gateway/config/site.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from gateway.model import Text
from simulators.layout import AssetPlan, DevicePlan, EstatePlan, Layout, text

FIRMS: Mapping[str, tuple[Text, str]] = {
    "ankang": (text("安康物业", "Ankang Property Services"), "023-5550-0100"),
    "hexie": (text("和谐物业", "Hexie Property Services"), "023-5550-0200"),
}

CONTRACTORS: tuple[tuple[str, Text, str, str], ...] = (
    ("huaxia-lift", text("华夏电梯维保", "Huaxia Lift Service"), "023-5550-0301", "LM"),
    ("taian-fire", text("泰安消防维保", "Taian Fire Service"), "023-5550-0302", "FM"),
    ("qingyuan-water", text("清源供水服务", "Qingyuan Water Service"), "023-5550-0303", "WM"),
    ("city-power", text("市供电公司", "City Power Company"), "023-5550-0304", "PU"),
    ("changtong-drain", text("畅通排水清掏", "Changtong Drain Cleaning"), "023-5550-0305", "DR"),
    ("city-sewer", text("市排水管网中心", "City Sewer Authority"), "023-5550-0306", "OW"),
    ("guangming-electric", text("光明机电", "Guangming Electric Works"), "023-5550-0307", ""),
)
"""(id, name, 24-hour phone, duty role)."""


def site_dict(layout: Layout, endpoints: Mapping[str, str]) -> dict[str, Any]:
    """The site as plain data. `endpoints`: URL by line id, as `serve` or `planned_lines` gives them."""
    firms = list(dict.fromkeys(e.firm for e in layout.estates))
    return {
        "site": {"id": "steward-demo", "name": dict(text("智慧物业演示", "Steward demonstration")),
                 "timezone": "Asia/Shanghai"},
        "firms": [{"id": f, "name": dict(FIRMS[f][0]), "phone": FIRMS[f][1]} for f in firms],
        "contractors": [
            {"id": id_, "name": dict(name), "phone": phone, **({"duty": duty} if duty else {})}
            for id_, name, phone, duty in CONTRACTORS
        ],
        "estates": [_estate(e) for e in layout.estates],
        "assets": [_asset(a) for a in layout.assets],
        "gateways": [
            {"id": e.gateway, "estate": e.id, "lines": _lines(layout, e.id, endpoints)}
            for e in layout.estates
        ],
        "shifts": _shifts(layout),
        "people": _people(layout, firms),
        "channels": [{"id": "local", "url": "file:notices.jsonl"}],
    }  # fmt: skip


def site_yaml(site: Mapping[str, Any], comment: str) -> str:
    """The text of a site file; `comment` becomes its first lines."""
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment.splitlines())
    return head + yaml.safe_dump(dict(site), allow_unicode=True, sort_keys=False, width=110)


def line_options(url: str) -> dict[str, Any]:
    """The driver options of a line from its URL."""
    parts = urlsplit(url)
    if parts.scheme == "tcp":
        return {"host": parts.hostname, "port": parts.port}
    settings = parse_qs(parts.query)
    return {"port": parts.path, "baud": int(settings["baud"][0]), "parity": settings["parity"][0]}


def _estate(e: EstatePlan) -> dict[str, Any]:
    return {
        "id": e.id, "firm": e.firm, "name": dict(e.name), "address": dict(e.address), "city": "chongqing",
        "households": e.households, "complaint_phone": e.phone,
    }  # fmt: skip


def _asset(a: AssetPlan) -> dict[str, Any]:
    out: dict[str, Any] = {
        "id": a.id, "estate": a.estate, "kind": a.kind, "name": dict(a.name), "place": dict(a.place),
    }  # fmt: skip
    if a.contractor:
        out["contractor"] = a.contractor
    if a.boundary != "property":
        out["boundary"] = a.boundary
    if a.depends_on:
        out["depends_on"] = list(a.depends_on)
    return out


def _lines(layout: Layout, estate: str, endpoints: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "id": line.id,
            "kind": line.kind,
            "options": line_options(endpoints[line.id]),
            "devices": [_device(d) for d in line.devices],
        }
        for line in layout.lines
        if line.estate == estate
    ]


def _device(d: DevicePlan) -> dict[str, Any]:
    out: dict[str, Any] = {"id": d.id, "unit": d.unit, "profile": d.profile, "asset": d.asset}
    if d.rename:
        out["rename"] = dict(d.rename)
    if d.period_s:
        out["period_s"] = d.period_s
    return out


# ── people ────────────────────────────────────────────────────────────────────────────────────────────

_TEAM: tuple[tuple[str, str, str, list[str], list[str] | None, str], ...] = (
    ("operator", "陈静 Chen Jing", "operator", ["CR"], None, "023-5550-0401"),
    ("technician", "李强 Li Qiang", "technician", ["TE"], None, "023-5550-0402"),
    ("lift-tech", "周伟 Zhou Wei", "contractor", ["LM"], ["elevator"], "023-5550-0301"),
    ("supervisor", "王芳 Wang Fang", "supervisor", ["PM"], None, "023-5550-0403"),
    ("manager", "赵敏 Zhao Min", "manager", ["DM"], None, "023-5550-0404"),
    ("display", "大屏 Wall", "display", [], None, ""),
)
"""(id, name, access role, duty roles, systems, phone) of each firm."""


def _people(layout: Layout, firms: list[str]) -> list[dict[str, Any]]:
    """The first firm's team has plain ids; another firm's ids begin with the firm's."""
    people: list[dict[str, Any]] = []
    for n, firm in enumerate(firms):
        for id_, name, role, duties, systems, phone in _TEAM:
            person: dict[str, Any] = {"id": id_ if n == 0 else f"{firm}-{id_}", "name": name, "role": role}
            if duties:
                person["duties"] = list(duties)
            person["firms"] = [firm]
            if systems:
                person["systems"] = list(systems)
            if phone:
                person["phone"] = phone
            people.append(person)
    people.append({"id": "regulator", "name": "街道办 Sub-district office", "role": "regulator",
                   "duties": ["ST"]})  # fmt: skip
    people.append({"id": "admin", "name": "系统管理员 Administrator", "role": "admin"})
    return people


def _shifts(layout: Layout) -> list[dict[str, Any]]:
    """The control room day and night, everybody else always; the demonstration is never without people."""
    first = layout.estates[0].firm
    shifts: list[dict[str, Any]] = []
    for estate in layout.estates:
        who = "" if estate.firm == first else f"{estate.firm}-"
        for start, end in (("08:00", "20:00"), ("20:00", "08:00")):
            shifts.append(
                {"duty": "CR", "people": [f"{who}operator"], "estate": estate.id, "from": start, "to": end}
            )
        for duty, person in (("TE", "technician"), ("LM", "lift-tech"), ("PM", "supervisor"),
                             ("DM", "manager")):  # fmt: skip
            shifts.append({"duty": duty, "people": [f"{who}{person}"], "estate": estate.id})
    return shifts
