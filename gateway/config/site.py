"""The site file: what the integrator writes. Pydantic stops here; `load_site` gives typed, frozen objects.

Driver options, rules, matrix rows and shifts belong to packages above this one: they stay plain objects
with their marks, and `gateway.app` checks them against the registries that it joins (`check_as`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from gateway.config import crosscheck, yamlmarks
from gateway.config.alarm_times import AlarmTimes
from gateway.config.channels import Channel
from gateway.config.services import Broker, Store, Watchdog, Web
from gateway.config.strict import Strict
from gateway.config.virtual import VirtualPoint
from gateway.config.wording import check_as as check_as  # noqa: PLC0414 - others import it from here
from gateway.config.write_rule import WriteRule
from gateway.config.yamlmarks import Marks, Path_
from gateway.errors import BadInput, Problems
from gateway.model import ID, TAG, Asset, AssetClass, Role

Id = Annotated[str, Field(pattern=f"^{ID.pattern}$", description="1 to 48 of a–z, 0–9, - and _")]
Tag = Annotated[
    str, Field(pattern=f"^{TAG.pattern}$", description="words of a–z, 0–9 and _ with dots between")
]


class LocalText(Strict):
    """A text in Chinese and English; one of them is enough."""

    zh: str = ""
    en: str = ""

    def as_text(self) -> dict[str, str]:
        """Both languages, each falling back to the other."""
        return {"zh": self.zh or self.en, "en": self.en or self.zh}


class Name(LocalText):
    """A text that must not be empty."""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.zh or self.en):
            raise ValueError("a name is needed; write zh: or en: or both")
        return self


class SiteHead(Strict):
    """Who runs this installation and in which time zone its reports are."""

    id: Id
    name: Name
    timezone: str = "Asia/Shanghai"

    @field_validator("timezone")
    @classmethod
    def _known(cls, v: str) -> str:
        try:
            ZoneInfo(v)
        except (KeyError, ValueError, OSError) as e:
            raise ValueError(f"there is no time zone {v!r}; write for example Asia/Shanghai") from e
        return v


class Firm(Strict):
    """A property firm: the tenant."""

    id: Id
    name: Name
    phone: str = ""


class Contractor(Strict):
    """A maintenance contractor or a utility, with the 24-hour phone that the public board shows."""

    id: Id
    name: Name
    phone: str = ""
    duty: str = Field("", description="duty role that it fills: LM, FM, WM, PU, DR, OW")


class Estate(Strict):
    """A residential estate: the unit that never splits.

    `hazards_public`: residents read its hazard list · `stores`: where it keeps what an emergency needs.
    """

    id: Id
    firm: Id
    name: Name
    address: LocalText = LocalText()
    city: str = ""
    households: int = Field(0, ge=0)
    complaint_phone: str = ""
    stores: LocalText = LocalText()
    hazards_public: bool = False


class AssetConfig(Strict):
    """One facility."""

    id: Id
    estate: Id
    kind: AssetClass
    name: Name
    place: LocalText = LocalText()
    contractor: str = ""
    boundary: Literal["property", "utility"] = "property"
    depends_on: tuple[Id, ...] = ()
    mode: Literal["normal", "commissioning"] = "normal"


class Device(Strict):
    """A device on a line: a profile bound to an asset.

    `rename` maps a tag prefix of the profile to another (`drive: ws.pump1`), so that one profile serves
    several devices of one asset. `assets` sends single tag prefixes to other assets. `writes`: tags (as the
    site knows them) that may be written. `shared`: one box with one unit number serves several devices, which
    then share its reads.
    """

    id: Id
    unit: int = Field(1, ge=0, le=255)
    profile: str
    asset: Id
    rename: dict[str, Tag] = Field(default_factory=dict)
    assets: dict[str, Id] = Field(default_factory=dict)
    period_s: float | None = Field(None, ge=0.1, le=3600)
    timeout_s: float = Field(1.0, gt=0, le=60)
    writes: dict[Tag, WriteRule] = Field(default_factory=dict)
    shared: bool = False


class Line(Strict):
    """A TCP connection or a serial bus. `options` belong to the driver of this `kind`."""

    id: Id
    kind: str
    devices: tuple[Device, ...] = Field(min_length=1)
    options: dict[str, Any] = Field(default_factory=dict)


class OutputConfig(Strict):
    """A relay or a siren of an edge.

    modbus_coil: one coil of a relay module of its own on a Modbus line (`line`, `unit`, `coil`) · command: a
    program for each state, without a shell (`on`, `off`: program and arguments) · file: gets 1 or 0, such as
    the value of a GPIO line (`path`).
    """

    id: Id
    kind: Literal["modbus_coil", "command", "file"]
    line: str = ""
    unit: int = Field(1, ge=1, le=247)
    coil: int = Field(0, ge=0, le=65535)
    on: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    path: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {"modbus_coil": ("line", "unit", "coil"), "command": ("on", "off"), "file": ("path",)}[
            self.kind
        ]
        missing = [
            name for name in needed if name not in self.model_fields_set or getattr(self, name) in ("", ())
        ]
        if missing:
            raise ValueError(f"kind {self.kind} needs {', '.join(missing)}")
        return self


class Gateway(Strict):
    """One edge and its lines. `remote`: on another machine, so that `steward run` does not start it.

    outbox_mb, outbox_days: how much and how long it keeps for a core that is away (0: no bound in time;
    alarms have none) · outputs: what is switched on while nobody else hears of an alarm.
    """

    id: Id
    estate: Id
    lines: tuple[Line, ...] = Field(min_length=1)
    outbox_mb: int = Field(512, ge=8)
    outbox_days: float = Field(30, ge=0, le=3650)
    outputs: tuple[OutputConfig, ...] = ()
    remote: bool = False


class Person(Strict):
    """A user to seed the state store with on the first start."""

    id: Id
    name: str
    role: Role
    duties: tuple[str, ...] = ()
    firms: tuple[Id, ...] | None = None
    estates: tuple[Id, ...] | None = None
    systems: tuple[AssetClass, ...] | None = None
    phone: str = ""


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
    virtual: tuple[VirtualPoint, ...] = ()
    matrix: tuple[dict[str, Any], ...] = ()
    shifts: tuple[dict[str, Any], ...] = ()
    people: tuple[Person, ...] = ()
    staff: tuple[dict[str, Any], ...] = ()
    calendars: tuple[dict[str, Any], ...] = ()
    certificate_needs: tuple[dict[str, Any], ...] = ()
    channels: tuple[Channel, ...] = ()
    broker: Broker = Broker()
    web: Web = Web()
    store: Store = Store()
    watchdog: Watchdog = Watchdog()
    alarms: AlarmTimes = AlarmTimes()


@dataclass(frozen=True)
class Site:
    """A checked site file with the places of its nodes."""

    file: SiteFile
    marks: Marks
    path: Path

    @property
    def files(self) -> list[Path]:
        """The site file and what it includes."""
        return [self.path, *(self.path.parent / name for name in self.file.include)]

    @cached_property
    def assets(self) -> dict[str, Asset]:
        """Assets by id, as the rest of the program knows them; made once."""
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
    site, problems = read_site(path)
    if problems:
        raise Problems(problems)
    return site


def read_site(path: Path) -> tuple[Site, list[BadInput]]:
    """A site whose parts are sound, and what is wrong between them. Raises Problems for unsound parts."""
    try:
        data, marks = _read(path)
    except BadInput as e:
        raise Problems([e]) from e
    site = Site(check_as(SiteFile, data, marks), marks, path)
    return site, list(crosscheck.faults(site.file, marks))


def _read(path: Path) -> tuple[dict[Any, Any], Marks]:
    data, marks = yamlmarks.load(path)
    if not isinstance(data, dict):
        raise BadInput("a site file is a mapping", file=str(path), line=1, hint="start with `site:`")
    names = data.get("include")
    if names is not None and not isinstance(names, list):
        raise marks.error(("include",), f"must be a list, not {names!r:.60}", "write [devices.yaml]")
    for n, name in enumerate(names or ()):
        _include(path, data, marks, n, str(name))
    # A list whose entries are all commented out is there and empty.
    return {k: v for k, v in data.items() if v is not None}, marks


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
