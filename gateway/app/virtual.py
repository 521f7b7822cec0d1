"""Virtual points of the site file and the shipped ones, joined with the points that devices have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files

from pydantic import TypeAdapter

from alerts.engine.bind import VIRTUAL
from alerts.virtual import Formula, FormulaError, formula
from gateway.config import yamlmarks
from gateway.config.site import Site
from gateway.config.virtual import VirtualPoint
from gateway.config.wording import near
from gateway.config.yamlmarks import Path_
from gateway.errors import BadInput
from gateway.model import Point

SHIPPED = "defaults/virtual.yaml"


def virtual_points(
    site: Site, points: Mapping[str, Point], problems: list[BadInput]
) -> dict[str, tuple[Point, Formula]]:
    """By point id; what is wrong with the site's own goes to `problems`.

    A shipped one is left out where an asset lacks what it looks at or the site has the point already.
    """
    out: dict[str, tuple[Point, Formula]] = {}
    for n, spec in enumerate(site.file.virtual):
        at: Path_ = ("virtual", n)
        for asset in _assets(site, spec, at, problems):
            try:
                _add(out, spec, asset, site, points)
            except FormulaError as e:
                if spec.kind is None:
                    problems.append(site.marks.error((*at, "expr"), str(e), _hint(e, asset, points)))
            except ValueError as e:
                problems.append(site.marks.error((*at, "tag"), str(e), "give it another tag"))
        if spec.kind is not None and not any(p.tag == spec.tag for p, _ in out.values()):
            problems += _nowhere(site, spec, at, points)
    for spec in _shipped():
        for asset in (a.id for a in site.file.assets if a.kind == spec.kind):
            if f"{asset}/{spec.tag}" not in {**points, **out}:
                try:
                    _add(out, spec, asset, site, points)
                except FormulaError:
                    continue  # this asset has no such sensors
    return out


def edge_of(formula_: Formula, device_of: Mapping[str, tuple[str, str]]) -> tuple[str, str]:
    """(gateway, device) of a virtual point: the edge that reads all of its inputs, else none."""
    edges = {device_of[id_][0] for id_ in formula_.inputs}
    return (edges.pop() if len(edges) == 1 else ""), VIRTUAL


def _add(
    out: dict[str, tuple[Point, Formula]],
    spec: VirtualPoint,
    asset: str,
    site: Site,
    points: Mapping[str, Point],
) -> None:
    point = Point(
        asset, spec.tag, spec.unit, low=spec.low, high=spec.high, decimals=spec.decimals, name=spec.text
    )
    if point.id in points or point.id in out:
        raise ValueError(f"{point.id} exists already")
    estate = site.assets[asset].estate

    def unit(id_: str) -> str | None:
        p = points.get(id_)
        owner = site.assets.get(p.asset) if p is not None else None
        same = p is not None and p.kind != "text" and owner is not None and owner.estate == estate
        return p.unit if p is not None and same else None

    out[point.id] = point, formula(spec.expr, spec.unit, asset, unit, low=spec.low, high=spec.high)


def _assets(site: Site, spec: VirtualPoint, at: Path_, problems: list[BadInput]) -> Iterator[str]:
    ids = [a.id for a in site.file.assets if spec.asset == a.id or (spec.kind and spec.kind == a.kind)]
    if not ids and spec.asset:
        known = sorted(a.id for a in site.file.assets)
        problems.append(
            site.marks.error((*at, "asset"), f"there is no asset {spec.asset!r}", near(spec.asset, known))
        )
    yield from ids


def _nowhere(site: Site, spec: VirtualPoint, at: Path_, points: Mapping[str, Point]) -> Iterator[BadInput]:
    """The reason why no asset of the class can have it, told for the first one."""
    first = next((a.id for a in site.file.assets if a.kind == spec.kind), None)
    if first is None:
        said = f"the site has no asset of kind {spec.kind}"
        yield site.marks.error((*at, "for"), said, "remove it or correct `for`")
        return
    try:
        _add({}, spec, first, site, points)
    except FormulaError as e:
        said = f"fits no asset of kind {spec.kind}; {first}: {e}"
        yield site.marks.error((*at, "expr"), said, _hint(e, first, points))
    except ValueError:
        return  # told already


def _hint(e: FormulaError, asset: str, points: Mapping[str, Point]) -> str:
    """What to do, with the nearest tag where one is misspelt."""
    if not e.message.startswith("there is no point "):
        return e.hint
    wanted = e.message.split()[4]
    if wanted in points:
        return "it is of another estate, or a text"
    return near(wanted, sorted(points)) if "/" in wanted and points else e.hint


def _shipped() -> list[VirtualPoint]:
    text = files("alerts").joinpath(SHIPPED).read_text(encoding="utf-8")
    data, _ = yamlmarks.parse(text, SHIPPED)
    return TypeAdapter(list[VirtualPoint]).validate_python(data)
