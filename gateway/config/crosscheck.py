"""What a schema cannot see in a site file: doubled ids, names of nothing, circles, borders of an estate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gateway.config.wording import near
from gateway.config.yamlmarks import Marks, Path_
from gateway.errors import BadInput

if TYPE_CHECKING:
    from gateway.config.site import AssetConfig, Device, Gateway, SiteFile

GROUPS = ("firms", "contractors", "estates", "assets", "gateways", "people", "channels")


def faults(file: SiteFile, marks: Marks) -> Iterator[BadInput]:
    """Everything, each with its place."""
    for group in GROUPS:
        yield from unique(marks, [((group, n, "id"), x.id) for n, x in enumerate(getattr(file, group))])
    yield from _estates(file, marks)
    yield from _assets(file, marks)
    yield from _circles(file, marks)
    yield from _gateways(file, marks)
    yield from _devices(file, marks)
    yield from _people(file, marks)


def unique(marks: Marks, ids: Sequence[tuple[Path_, str]]) -> Iterator[BadInput]:
    """Faults for ids that are there twice."""
    first: dict[str, Path_] = {}
    for path, id_ in ids:
        if id_ in first:
            there = "{}:{}".format(*marks.at(first[id_]))
            yield marks.error(path, f"{id_} exists twice, first in {there}", "give it another id")
        first.setdefault(id_, path)


def known(marks: Marks, path: Path_, what: str, id_: str, ids: Sequence[str]) -> Iterator[BadInput]:
    """A fault when there is no such thing."""
    if id_ not in ids:
        yield marks.error(path, f"there is no {what} {id_!r}", near(id_, sorted(ids)) if ids else "add it")


def _estates(file: SiteFile, marks: Marks) -> Iterator[BadInput]:
    firms = [f.id for f in file.firms]
    for n, estate in enumerate(file.estates):
        yield from known(marks, ("estates", n, "firm"), "firm", estate.firm, firms)


def _assets(file: SiteFile, marks: Marks) -> Iterator[BadInput]:
    estates, contractors = [e.id for e in file.estates], [c.id for c in file.contractors]
    by_id = {a.id: a for a in file.assets}
    for n, asset in enumerate(file.assets):
        yield from known(marks, ("assets", n, "estate"), "estate", asset.estate, estates)
        if asset.contractor:
            at = ("assets", n, "contractor")
            yield from known(marks, at, "contractor", asset.contractor, contractors)
        for k, parent in enumerate(asset.depends_on):
            at_parent = ("assets", n, "depends_on", k)
            yield from known(marks, at_parent, "asset", parent, list(by_id))
            if parent in by_id and by_id[parent].estate != asset.estate:
                yield marks.error(
                    at_parent, f"{parent} is in estate {by_id[parent].estate}, {asset.id} in {asset.estate}",
                    "dependencies stay inside one estate",
                )  # fmt: skip


def _circles(file: SiteFile, marks: Marks) -> Iterator[BadInput]:
    parents = {a.id: a.depends_on for a in file.assets}
    told: set[str] = set()
    for n, asset in enumerate(file.assets):
        circle = [] if asset.id in told else _way_back(asset.id, parents)
        told |= set(circle)
        if circle:
            yield marks.error(
                ("assets", n, "depends_on"), f"depends on itself: {' → '.join(circle)}", "break the circle"
            )


def _way_back(start: str, parents: dict[str, tuple[str, ...]]) -> list[str]:
    """The shortest way from an asset over its parents to itself; [] when there is none."""
    ways, seen = [[start]], set[str]()
    for way in ways:
        for parent in parents.get(way[-1], ()):
            if parent == start:
                return [*way, start]
            if parent not in seen:
                seen.add(parent)
                ways.append([*way, parent])
    return []


def _gateways(file: SiteFile, marks: Marks) -> Iterator[BadInput]:
    estates, assets = [e.id for e in file.estates], {a.id for a in file.assets}
    for g, gateway in enumerate(file.gateways):
        yield from known(marks, ("gateways", g, "estate"), "estate", gateway.estate, estates)
        if gateway.id in assets:
            yield marks.error(
                ("gateways", g, "id"), f"an asset has the id {gateway.id} already",
                "a gateway is an asset too: give one of them another id",
            )  # fmt: skip
        lines = [(("gateways", g, "lines", n, "id"), line.id) for n, line in enumerate(gateway.lines)]
        yield from unique(marks, lines)
        yield from _ports(g, gateway, marks)
        yield from _outputs(g, gateway, file, marks)


def _outputs(g: int, gateway: Gateway, file: SiteFile, marks: Marks) -> Iterator[BadInput]:
    """A relay is a module of its own: nothing is ever written to what reads a lift or a fire panel."""
    kinds = {a.id: a.kind for a in file.assets}
    lines = {line.id: line for line in gateway.lines}
    yield from unique(
        marks, [(("gateways", g, "outputs", n, "id"), o.id) for n, o in enumerate(gateway.outputs)]
    )
    for n, output in enumerate(gateway.outputs):
        if output.kind != "modbus_coil":
            continue
        at = ("gateways", g, "outputs", n)
        yield from known(marks, (*at, "line"), "line", output.line, list(lines))
        line = lines.get(output.line)
        if line is not None and not line.kind.startswith("modbus_"):
            yield marks.error((*at, "line"), f"line {line.id} is {line.kind}", "a coil needs a Modbus line")
        for d in line.devices if line is not None else ():
            read = {str(kinds.get(a)) for a in (d.asset, *d.assets.values())} & {"elevator", "fire"}
            if d.unit == output.unit and read:
                yield marks.error(
                    (*at, "unit"), f"unit {d.unit} is {d.id}, which reads {'/'.join(sorted(read))}",
                    "lifts and fire panels are never written to: give the relay a module of its own",
                )  # fmt: skip


def _ports(g: int, gateway: Gateway, marks: Marks) -> Iterator[BadInput]:
    """A serial port belongs to one line: two would garble each other."""
    owners: dict[str, str] = {}
    for n, line in enumerate(gateway.lines):
        port = line.options.get("port")
        if not isinstance(port, str) or "host" in line.options:
            continue
        if port in owners:
            yield marks.error(
                ("gateways", g, "lines", n, "options", "port"),
                f"{port} is already used by line {owners[port]}",
                "put the devices of one bus under one line",
            )
        owners.setdefault(port, line.id)


def _devices(file: SiteFile, marks: Marks) -> Iterator[BadInput]:
    assets = {a.id: a for a in file.assets}
    ids: list[tuple[Path_, str]] = []
    for g, gateway in enumerate(file.gateways):
        for n, line in enumerate(gateway.lines):
            units: dict[int, Device] = {}
            for d, device in enumerate(line.devices):
                at: Path_ = ("gateways", g, "lines", n, "devices", d)
                ids.append(((*at, "id"), device.id))
                first = units.setdefault(device.unit, device)
                meant = (device.shared and first.shared) or line.kind in ("ascii_line", "gb26875")
                if first is not device and not meant:
                    yield marks.error(
                        (*at, "unit"),
                        f"unit {device.unit} of line {line.id} is already taken by {first.id}",
                        "each device of a line needs its own unit address, or `shared: true` on both",
                    )
                yield from _owner(marks, (*at, "asset"), device.asset, gateway, assets)
                for prefix, asset in device.assets.items():
                    yield from _owner(marks, (*at, "assets", prefix), asset, gateway, assets)
    yield from unique(marks, ids)


def _owner(
    marks: Marks, at: Path_, asset: str, gateway: Gateway, assets: dict[str, AssetConfig]
) -> Iterator[BadInput]:
    yield from known(marks, at, "asset", asset, list(assets))
    if asset in assets and assets[asset].estate != gateway.estate:
        yield marks.error(
            at, f"{asset} is in estate {assets[asset].estate}, gateway {gateway.id} in {gateway.estate}",
            "an edge reads one estate",
        )  # fmt: skip


def _people(file: SiteFile, marks: Marks) -> Iterator[BadInput]:
    firms, estates = [f.id for f in file.firms], [e.id for e in file.estates]
    for n, person in enumerate(file.people):
        for k, firm in enumerate(person.firms or ()):
            yield from known(marks, ("people", n, "firms", k), "firm", firm, firms)
        for k, estate in enumerate(person.estates or ()):
            yield from known(marks, ("people", n, "estates", k), "estate", estate, estates)
