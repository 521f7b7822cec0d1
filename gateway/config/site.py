"""The site file: what the integrator writes. Pydantic stops here; `load_site` gives typed, frozen objects.

Driver options, rules, matrix rows and shifts belong to packages above this one: they stay plain objects
with their marks, and `gateway.app` checks them against the registries that it joins (`check_as`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from gateway.config import yamlmarks
from gateway.config.yamlmarks import Marks, Path_
from gateway.errors import BadInput, Problems
from gateway.model import Asset, AssetClass, Role

Id = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,48}$", description="1 to 48 of a–z, 0–9, - and _")]
T = TypeVar("T")


class Strict(BaseModel):
    """Frozen; a key that nobody knows is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LocalText(Strict):
    """A text in Chinese and English; one of them is enough."""

    zh: str = ""
    en: str = ""

    def as_text(self) -> dict[str, str]:
        """Both languages, each falling back to the other."""
        return {"zh": self.zh or self.en, "en": self.en or self.zh}


class SiteHead(Strict):
    """Who runs this installation and in which time zone its reports are."""

    id: Id
    name: LocalText
    timezone: str = "Asia/Shanghai"

    @field_validator("timezone")
    @classmethod
    def _known(cls, v: str) -> str:
        try:
            ZoneInfo(v)
        except (KeyError, ValueError, OSError) as e:
            raise ValueError(f"time zone {v!r} is unknown; write for example Asia/Shanghai") from e
        return v


class Firm(Strict):
    """A property firm: the tenant."""

    id: Id
    name: LocalText
    phone: str = ""


class Contractor(Strict):
    """A maintenance contractor or a utility, with the 24-hour phone that the public board shows."""

    id: Id
    name: LocalText
    phone: str = ""
    duty: str = Field("", description="duty role that it fills: LM, FM, WM, PU, DR, OW")


class Estate(Strict):
    """A residential estate: the unit that never splits."""

    id: Id
    firm: Id
    name: LocalText
    address: LocalText = LocalText()
    city: str = ""
    households: int = Field(0, ge=0)
    complaint_phone: str = ""


class AssetConfig(Strict):
    """One facility."""

    id: Id
    estate: Id
    kind: AssetClass
    name: LocalText
    place: LocalText = LocalText()
    contractor: str = ""
    boundary: Literal["property", "utility"] = "property"
    depends_on: tuple[Id, ...] = ()
    mode: Literal["normal", "commissioning"] = "normal"


class Device(Strict):
    """A device on a line: a profile bound to an asset.

    `rename` maps a tag prefix of the profile to another (`drive: ws.pump1`), so that one profile serves
    several devices of one asset. `assets` sends single tag prefixes to other assets.
    """

    id: Id
    unit: int = Field(1, ge=0, le=255)
    profile: str
    asset: Id
    rename: dict[str, str] = {}
    assets: dict[str, Id] = {}
    period_s: float | None = Field(None, ge=0.1, le=3600)
    timeout_s: float = Field(1.0, gt=0, le=60)


class Line(Strict):
    """A TCP connection or a serial bus. `options` belong to the driver of this `kind`."""

    id: Id
    kind: str
    devices: tuple[Device, ...] = Field(min_length=1)
    options: dict[str, Any] = {}


class Gateway(Strict):
    """One edge and its lines."""

    id: Id
    estate: Id
    lines: tuple[Line, ...] = Field(min_length=1)
    outbox_mb: int = Field(512, ge=8)


class Person(Strict):
    """A user to seed the state store with on the first start."""

    id: Id
    name: str
    role: Role
    duties: tuple[str, ...] = ()
    firms: tuple[Id, ...] | None = None
    estates: tuple[Id, ...] | None = None
    systems: tuple[str, ...] | None = None
    phone: str = ""


class Channel(Strict):
    """A way to reach people: an Apprise address, or `file:` for a local file (demo and tests)."""

    id: Id
    url: str
    duties: tuple[str, ...] = Field((), description="duty roles that it reaches; none = all")


class Broker(Strict):
    """`url` empty: the embedded broker."""

    url: str = ""
    mqtt_port: int = Field(0, ge=0, le=65535)


class Web(Strict):
    """Where the pages listen."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65535)


class Store(Strict):
    """Where samples go."""

    kind: Literal["duckdb", "influx"] = "duckdb"
    url: str = ""


class Watchdog(Strict):
    """Who watches Steward: an address outside that expects a call, and the period of the test notice."""

    heartbeat_url: str = ""
    heartbeat_s: float = Field(30, ge=5)
    notice_s: float = Field(3600, ge=60)


class SiteFile(Strict):
    """The whole file."""

    site: SiteHead
    include: tuple[str, ...] = ()
    firms: tuple[Firm, ...] = Field(min_length=1)
    contractors: tuple[Contractor, ...] = ()
    estates: tuple[Estate, ...] = Field(min_length=1)
    assets: tuple[AssetConfig, ...] = Field(min_length=1)
    gateways: tuple[Gateway, ...] = ()
    rules: tuple[dict[str, Any], ...] = ()
    matrix: tuple[dict[str, Any], ...] = ()
    shifts: tuple[dict[str, Any], ...] = ()
    people: tuple[Person, ...] = ()
    channels: tuple[Channel, ...] = ()
    broker: Broker = Broker()
    web: Web = Web()
    store: Store = Store()
    watchdog: Watchdog = Watchdog()


@dataclass(frozen=True)
class Site:
    """A checked site file with the places of its nodes."""

    file: SiteFile
    marks: Marks
    path: Path

    @property
    def assets(self) -> dict[str, Asset]:
        """Assets by id, as the rest of the program knows them."""
        return {
            a.id: Asset(
                a.id, a.estate, a.kind, a.name.as_text(), a.place.as_text(), a.contractor, a.boundary,
                a.depends_on, a.mode,
            )
            for a in self.file.assets
        }  # fmt: skip

    @property
    def firm_of(self) -> dict[str, str]:
        """Firm id by estate id."""
        return {e.id: e.firm for e in self.file.estates}

    @property
    def timezone(self) -> ZoneInfo:
        """The zone of reports and of working hours."""
        return ZoneInfo(self.file.site.timezone)

    def devices(self) -> Iterator[tuple[Path_, Gateway, Line, Device]]:
        """Every device with its place in the file."""
        for g, gateway in enumerate(self.file.gateways):
            for n, line in enumerate(gateway.lines):
                for d, device in enumerate(line.devices):
                    yield ("gateways", g, "lines", n, "devices", d), gateway, line, device


def load_site(path: Path) -> Site:
    """Read and check a site file with its includes. Raises Problems with everything that is wrong."""
    try:
        data, marks = _read(path)
    except BadInput as e:
        raise Problems([e]) from e
    site = Site(check_as(SiteFile, data, marks), marks, path)
    problems = list(_cross_check(site))
    if problems:
        raise Problems(problems)
    return site


def _read(path: Path) -> tuple[dict[Any, Any], Marks]:
    data, marks = yamlmarks.load(path)
    if not isinstance(data, dict):
        raise BadInput("a site file is a mapping", file=str(path), line=1, hint="start with `site:`")
    for n, name in enumerate(data.get("include") or ()):
        _include(path, data, marks, n, str(name))
    return data, marks


def _include(path: Path, data: dict[Any, Any], marks: Marks, n: int, name: str) -> None:
    target = path.parent / name
    if not target.is_file():
        raise marks.error(("include", n), f"{name} does not exist", f"looked in {path.parent}")
    other, other_marks = yamlmarks.load(target)
    if not isinstance(other, dict) or "include" in other:
        raise marks.error(
            ("include", n), f"{name} must be a mapping without include", "include it from the site file"
        )
    yamlmarks.merge(data, marks, other, other_marks)


def check_as(type_: type[T], data: Any, marks: Marks, at: Path_ = ()) -> T:
    """Validate plain data as a pydantic model or dataclass. Raises Problems with file, line and field."""
    try:
        return TypeAdapter(type_).validate_python(data)
    except ValidationError as e:
        raise Problems([_problem(error, data, marks, at) for error in e.errors()]) from e


def _problem(error: Any, data: Any, marks: Marks, at: Path_) -> BadInput:
    path: list[str | int] = []
    node = data
    for step in error["loc"]:
        try:
            node = node[step]
        except (KeyError, IndexError, TypeError):
            if "missing" not in error["type"]:
                break  # a name that pydantic puts in for a branch of a union
        path.append(step)
    hints = {
        "missing": "add it",
        "missing_argument": "add it",
        "extra_forbidden": "remove it or correct its spelling",
        "unexpected_keyword_argument": "remove it or correct its spelling",
    }
    given = "" if "missing" in error["type"] else f", not {error['input']!r:.60}"
    return marks.error((*at, *path), f"{error['msg']}{given}", hints.get(error["type"], ""))


def _cross_check(site: Site) -> Iterator[BadInput]:
    file, marks = site.file, site.marks
    for group in ("firms", "contractors", "estates", "assets", "gateways", "people", "channels"):
        yield from _unique(marks, group, [x.id for x in getattr(file, group)])
    firms, estates = {f.id for f in file.firms}, {e.id for e in file.estates}
    assets = {a.id: a for a in file.assets}
    contractors = {c.id for c in file.contractors}
    for n, estate in enumerate(file.estates):
        yield from _known(marks, ("estates", n, "firm"), "firm", estate.firm, firms)
    for n, asset in enumerate(file.assets):
        yield from _known(marks, ("assets", n, "estate"), "estate", asset.estate, estates)
        if asset.contractor:
            yield from _known(marks, ("assets", n, "contractor"), "contractor", asset.contractor, contractors)
        for k, parent in enumerate(asset.depends_on):
            yield from _known(marks, ("assets", n, "depends_on", k), "asset", parent, set(assets))
    yield from _cycles(site)
    for n, gateway in enumerate(file.gateways):
        yield from _known(marks, ("gateways", n, "estate"), "estate", gateway.estate, estates)
    yield from _devices(site, assets)


def _devices(site: Site, assets: dict[str, AssetConfig]) -> Iterator[BadInput]:
    units: dict[tuple[str, str, int], str] = {}
    ids: dict[str, Path_] = {}
    for at, gateway, line, device in site.devices():
        if device.id in ids:
            yield site.marks.error((*at, "id"), f"device {device.id} exists twice", "give it another id")
        ids[device.id] = at
        key = (gateway.id, line.id, device.unit)
        if key in units and line.kind != "ascii_line":
            yield site.marks.error(
                (*at, "unit"), f"unit {device.unit} is already taken by {units[key]} on line {line.id}",
                "each device of a line needs its own unit address",
            )  # fmt: skip
        units[key] = device.id
        for where, asset in [
            ("asset", device.asset),
            *((f"assets.{k}", v) for k, v in device.assets.items()),
        ]:
            yield from _known(site.marks, (*at, *where.split(".", 1)), "asset", asset, set(assets))
            if asset in assets and assets[asset].estate != gateway.estate:
                yield site.marks.error(
                    (*at, where),
                    f"{asset} is in estate {assets[asset].estate}, its gateway in {gateway.estate}",
                    "an edge serves one estate",
                )  # fmt: skip


def _unique(marks: Marks, group: str, ids: list[str]) -> Iterator[BadInput]:
    for n, id_ in enumerate(ids):
        if id_ in ids[:n]:
            yield marks.error((group, n, "id"), f"{id_} exists twice", "give it another id")


def _known(marks: Marks, path: Path_, what: str, id_: str, known: set[str]) -> Iterator[BadInput]:
    if id_ not in known:
        names = ", ".join(sorted(known)[:8]) or "none"
        yield marks.error(path, f"there is no {what} {id_!r}", f"known: {names}")


def _cycles(site: Site) -> Iterator[BadInput]:
    parents = {a.id: a.depends_on for a in site.file.assets}
    for n, asset in enumerate(site.file.assets):
        seen: set[str] = set()
        front = set(asset.depends_on)
        while front and asset.id not in front:
            seen |= front
            front = {p for f in front for p in parents.get(f, ()) if p not in seen}
        if asset.id in front:
            yield site.marks.error(
                ("assets", n, "depends_on"), f"{asset.id} depends on itself", "break the circle"
            )
