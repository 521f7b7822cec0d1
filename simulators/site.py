"""The site file of a demonstration layout, in the shape of gateway/config/site.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from gateway.model import Text
from simulators.layout import AssetPlan, DevicePlan, EstatePlan, Layout, text
from simulators.people import people, shifts, staff

EXAMPLE_DAY = date(2026, 3, 2)
"""The day from which the certificates of examples/demo.yaml are counted."""

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


DRY_MM = 1800
"""What a well has below its cover in dry weather, mm."""

CHANNELS: tuple[Mapping[str, str], ...] = (
    {"id": "local", "url": "file:notices.jsonl"},
    {"id": "sms", "url": "file:sms.jsonl"},
    {"id": "voice", "url": "file:voice.jsonl"},
)
"""What telephones would get stands in files; a ladder that says sms or voice finds its channel by name."""


def site_dict(layout: Layout, endpoints: Mapping[str, str], today: date = EXAMPLE_DAY) -> dict[str, Any]:
    """The site as plain data. `endpoints`: URL by line id, as `serve` or `planned_lines` gives them.

    today: the day from which the ends of certificates are counted.
    """
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
        "virtual": list(_virtual(layout)),
        "shifts": shifts(layout),
        "people": people(firms),
        "staff": staff(layout, today),
        "channels": [dict(c) for c in CHANNELS],
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
        "hazards_public": True,
        "stores": dict(text("微型消防站，1 栋门厅", "the micro fire station, lobby of building 1")),
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


def _virtual(layout: Layout) -> Iterator[dict[str, Any]]:
    """What stands in each well beyond what the rain explains."""
    gauges = {layout.estate_of(d.asset): d.asset for _, d in layout.devices() if d.profile == "steward_rain"}
    for a in layout.assets:
        if a.kind == "manhole" and a.estate in gauges:
            yield {
                "asset": a.id, "tag": "mh.level_dry", "unit": "mm", "decimals": 0,
                "expr": f"min(mh.level + 25 * '{gauges[a.estate]}/rain.mm_6h', {DRY_MM} [mm])",
                "name": dict(text("扣除降雨后的井内净空", "Room left in the well without the rain")),
            }  # fmt: skip


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
