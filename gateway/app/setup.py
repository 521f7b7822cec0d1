"""A checked installation: the site file joined with profiles, drivers, rules, roles and the matrix.

Everything that can be wrong is found here, all at once, with file, line, field and what to do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from alerts.matrix import DutyRole, Row
from alerts.ruleset import RuleSet
from alerts.virtual import Formula
from drivers.profiles.bind import BoundModel, bind
from drivers.profiles.loader import load_profile
from drivers.registry import BUSES, DRIVERS
from gateway.app import policy
from gateway.app.virtual import edge_of, virtual_points
from gateway.app.writable import siren_faults, write_faults
from gateway.config.site import Device, Line, Site, read_site
from gateway.config.wording import check_as, near
from gateway.config.yamlmarks import Path_
from gateway.core.selfcheck import gateway_assets
from gateway.edge import health
from gateway.errors import BadInput, Problems
from gateway.model import Asset, Point


@dataclass(frozen=True)
class Setup:
    """What a role needs to start.

    matrix: the shipped rows under the site's own · virtual: points that are worked out, by id.
    """

    site: Site
    models: Mapping[tuple[str, str], BoundModel]
    rules: RuleSet
    roles: Mapping[str, DutyRole]
    matrix: tuple[Row, ...]
    virtual: Mapping[str, tuple[Point, Formula]]

    @cached_property
    def assets(self) -> dict[str, Asset]:
        """The site's assets and one per edge."""
        return {**self.site.assets, **gateway_assets(self.site)}

    @cached_property
    def device_of(self) -> dict[str, tuple[str, str]]:
        """Point id → (gateway, device)."""
        read = {p.id: key for key, model in self.models.items() for p in model.points}
        return read | {id_: edge_of(f, read) for id_, (_, f) in self.virtual.items()}

    def gateways_of(self, asset: str) -> set[str]:
        """The edges that read an asset."""
        return {g for point, (g, _) in self.device_of.items() if g and point.split("/", 1)[0] == asset}

    @cached_property
    def points(self) -> dict[str, Point]:
        """All points that the profiles describe and those worked out from them, by id."""
        return points_of(self.models) | {id_: point for id_, (point, _) in self.virtual.items()}

    @cached_property
    def hash(self) -> str:
        """Changes when the meaning of the configuration changes."""
        text = self.site.file.model_dump_json() + self.rules.hash
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def points_of(models: Mapping[tuple[str, str], BoundModel]) -> dict[str, Point]:
    """All points that the profiles describe, by id."""
    return {p.id: p for model in models.values() for p in model.points}


def load_setup(path: Path) -> Setup:
    """Read, join and check. Raises Problems with everything that is wrong."""
    site, problems = read_site(path)
    models = dict(_models(site, problems))
    _check_lines(site, problems)
    rules = policy.rules_of(site, problems)
    roles = policy.shipped_roles()
    matrix = policy.joined(policy.shipped_rows(roles), policy.rows_of_site(site, roles, problems))
    problems += policy.duty_faults(site, roles)
    problems += policy.shift_faults(site, roles)
    problems += siren_faults(site)
    virtual = virtual_points(site, points_of(models), problems)
    if problems:
        raise Problems(problems)
    return Setup(site, models, rules, roles, matrix, virtual)


# ── devices ───────────────────────────────────────────────────────────────────────────────────────────


def _models(site: Site, problems: list[BadInput]) -> Iterator[tuple[tuple[str, str], BoundModel]]:
    owners: dict[str, str] = {}
    for at, gateway, line, device in site.devices():
        try:
            model = _model(site, device)
        except Problems as e:
            # One broken profile may stand behind many devices.
            told = {str(p) for p in problems}
            problems += [p for p in e.problems if str(p) not in told]
            continue
        except BadInput as e:
            problems.append(_placed(site, at, e))
            continue
        problems += _line_faults(site, at, line, device, model)
        problems += _driver_faults(site, at, line, device, model)
        problems += write_faults(site, at, line, device, model)
        problems += _twice(site, at, device, model, owners)
        yield (gateway.id, device.id), model
    for gateway in site.file.gateways:
        yield (gateway.id, health.DEVICE), bind(load_profile(health.PROFILE), gateway.id)


def _model(site: Site, device: Device) -> BoundModel:
    profile = load_profile(device.profile, site.path.parent)
    return bind(profile, device.asset, device.rename, device.assets, device.period_s)


def _placed(site: Site, at: Path_, e: BadInput) -> BadInput:
    """The same error with the place of the device in the site file."""
    if e.file and Path(e.file).exists():
        return e
    if e.file:
        return site.marks.error((*at, "profile"), f"{e.file} {e.message}", e.hint)
    field = e.field.split(".", 1) if e.field else ["profile"]
    return site.marks.error((*at, *field), e.message, e.hint)


def _line_faults(site: Site, at: Path_, line: Line, device: Device, model: BoundModel) -> Iterator[BadInput]:
    if health.DEVICE in (device.id, line.id):
        yield site.marks.error((*at, "id"), f"{health.DEVICE} is the gateway itself", "give it another id")
    speaks = model.profile.protocol
    if line.kind in DRIVERS and (speaks == "modbus") != line.kind.startswith("modbus_"):
        yield site.marks.error(
            (*at, "profile"), f"{device.profile} speaks {speaks}, line {line.id} is {line.kind}",
            "move the device to a line of its protocol",
        )  # fmt: skip
    if line.kind in BUSES and device.unit == 0:
        yield site.marks.error(
            (*at, "unit"), "unit 0 is the broadcast address, which nobody answers", "1 to 247"
        )


def _driver_faults(
    site: Site, at: Path_, line: Line, device: Device, model: BoundModel
) -> Iterator[BadInput]:
    """What the line's own driver knows to be wrong with a device: `device_faults` of its options, if any."""
    kind = DRIVERS.get(line.kind)
    if kind is None or not hasattr(kind.options, "device_faults"):
        return
    try:
        options = check_as(kind.options, line.options, site.marks)
    except Problems:
        return  # told once for the whole line
    for field, said, hint in options.device_faults(device.unit, model.spans):
        yield site.marks.error((*at, field), said, hint)


def _twice(
    site: Site, at: Path_, device: Device, model: BoundModel, owners: dict[str, str]
) -> Iterator[BadInput]:
    doubled = [p.id for p in model.points if p.id in owners]
    for id_ in doubled[:1]:
        more = " and others" if len(doubled) > 1 else ""
        yield site.marks.error(
            at, f"{id_}{more} of {device.id}: already read by device {owners[id_]}",
            "give one of them another asset, or a `rename`",
        )  # fmt: skip
    owners.update({p.id: device.id for p in model.points if p.id not in owners})


def _check_lines(site: Site, problems: list[BadInput]) -> None:
    for g, gateway in enumerate(site.file.gateways):
        for n, line in enumerate(gateway.lines):
            at = ("gateways", g, "lines", n)
            if line.kind not in DRIVERS:
                said = f"there is no line kind {line.kind!r}"
                problems.append(site.marks.error((*at, "kind"), said, near(line.kind, sorted(DRIVERS))))
                continue
            try:
                check_as(DRIVERS[line.kind].options, line.options, site.marks, (*at, "options"))
            except Problems as e:
                problems += e.problems
