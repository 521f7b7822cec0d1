"""The part of a site file that one edge needs, as files of their own: what is pushed to it over the bus."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import orjson
from pydantic import BaseModel

from gateway.app.setup import Setup
from gateway.codec.bundle import digest
from gateway.config.site import Gateway
from gateway.edge.stage import SITE


def edge_part(setup: Setup, gateway: Gateway) -> dict[str, str]:
    """Texts by file name: a site file with this gateway alone, and the profiles that are not shipped.

    People, matrix and channels are none of an edge's business and stay where they are; so are rules, unless
    the edge has relays or sirens of its own, which follow the life-safety rules.
    """
    file, files = setup.site.file, dict[str, str]()
    estate = next(e for e in file.estates if e.id == gateway.estate)
    devices = [d for line in gateway.lines for d in line.devices]
    used = {a for d in devices for a in (d.asset, *d.assets.values())}
    mine = _plain(gateway)
    for device in (d for line in mine["lines"] for d in line["devices"]):
        device["profile"] = _profile(setup, str(device["profile"]), files)
    body = {
        "site": _plain(file.site),
        "firms": [_plain(f) for f in file.firms if f.id == estate.firm],
        "estates": [_plain(estate)],
        "assets": [_plain(a, "depends_on", "contractor") for a in file.assets if a.id in used],
        "gateways": [mine],
    }
    if gateway.outputs and file.rules:
        body["rules"] = [_rule(r, used) for r in file.rules]
    # JSON is YAML, and says the same to every reader of it.
    files[SITE] = orjson.dumps(body, option=orjson.OPT_INDENT_2).decode() + "\n"
    return files


def part_hash(files: dict[str, str]) -> str:
    """Short form, as births and pages show it."""
    return digest(files)[:12]


def _plain(model: BaseModel, *without: str) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_defaults=True, exclude=set(without))


def _rule(change: Mapping[str, Any], used: Collection[str]) -> dict[str, Any]:
    """A change of a rule, without what it says of assets that the edge does not know."""
    at = change.get("at")
    if not isinstance(at, Mapping):
        return dict(change)
    return {**change, "at": {asset: values for asset, values in at.items() if asset in used}}


def _profile(setup: Setup, name: str, files: dict[str, str]) -> str:
    """The name under which the edge finds the profile; a file of the site travels along."""
    if not name.endswith((".yaml", ".yml")):
        return name
    path = setup.site.path.parent / name
    text = path.read_text(encoding="utf-8-sig")
    for n in range(len(files) + 1):
        place = f"profiles/{n}/{path.name}"
        if files.setdefault(place, text) == text:
            return place
    raise AssertionError("one of so many places is free")
