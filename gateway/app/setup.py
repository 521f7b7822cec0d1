"""A checked installation: the site file joined with profiles, drivers, rules, roles and the matrix.

Everything that can be wrong is found here, all at once, with file, line, field and what to do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from alerts.matrix import DutyRole, Row
from alerts.matrix_rows import roles_of, rows_of
from alerts.rules import Rule, rule_from_dict
from alerts.ruleset import RuleSet, merge
from drivers.profiles.bind import BoundModel, bind
from drivers.profiles.loader import load_profile
from drivers.registry import DRIVERS
from gateway.config import yamlmarks
from gateway.config.site import Device, Site, check_as, load_site
from gateway.config.yamlmarks import Marks, Path_
from gateway.core.selfcheck import gateway_assets
from gateway.errors import BadInput, Problems, StewardError
from gateway.model import Asset, Point


@dataclass(frozen=True)
class Setup:
    """What a role needs to start."""

    site: Site
    models: Mapping[tuple[str, str], BoundModel]
    rules: RuleSet
    roles: Mapping[str, DutyRole]
    matrix: tuple[Row, ...]
    default_matrix: tuple[Row, ...]

    @cached_property
    def assets(self) -> dict[str, Asset]:
        """The site's assets and one per edge."""
        return {**self.site.assets, **gateway_assets(self.site)}

    @cached_property
    def device_of(self) -> dict[str, tuple[str, str]]:
        """Point id → (gateway, device)."""
        return {p.id: key for key, model in self.models.items() for p in model.points}

    def gateways_of(self, asset: str) -> set[str]:
        """The edges that read an asset."""
        return {g for point, (g, _) in self.device_of.items() if point.split("/", 1)[0] == asset}

    @cached_property
    def points(self) -> dict[str, Point]:
        """All points that the profiles describe, by id."""
        return {p.id: p for model in self.models.values() for p in model.points}

    @cached_property
    def hash(self) -> str:
        """Changes when the meaning of the configuration changes."""
        text = self.site.file.model_dump_json() + self.rules.hash
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def load_setup(path: Path) -> Setup:
    """Read, join and check. Raises Problems with everything that is wrong."""
    site = load_site(path)
    problems: list[BadInput] = []
    models = dict(_models(site, problems))
    _check_lines(site, problems)
    rules = _rules(site, problems)
    roles = roles_of(_defaults("roles.yaml")[0])
    defaults = _rows(None, roles, problems)
    matrix = _rows(site, roles, problems)
    if problems:
        raise Problems(problems)
    return Setup(site, models, rules, roles, tuple(matrix), tuple(defaults))


def _defaults(name: str) -> tuple[Any, Marks]:
    resource = files("alerts").joinpath("defaults", name)
    return yamlmarks.parse(resource.read_text(encoding="utf-8"), f"alerts/defaults/{name}")


# ── devices ───────────────────────────────────────────────────────────────────────────────────────────


def _models(site: Site, problems: list[BadInput]) -> Iterator[tuple[tuple[str, str], BoundModel]]:
    owners: dict[str, str] = {}
    for at, gateway, line, device in site.devices():
        try:
            model = _model(site, device)
        except Problems as e:
            problems += e.problems
            continue
        except BadInput as e:
            problems.append(_placed(site, at, e))
            continue
        kinds = {"ascii_line": "line"}
        if (model.profile.protocol == "line") != (kinds.get(line.kind) == "line"):
            problems.append(
                site.marks.error(
                    (*at, "profile"),
                    f"{device.profile} speaks {model.profile.protocol}, line {line.id} is {line.kind}",
                    "move the device to a line of its protocol",
                )
            )  # fmt: skip
        for point in model.points:
            if point.id in owners:
                problems.append(
                    site.marks.error(
                        at, f"point {point.id} is already read by device {owners[point.id]}",
                        "give one of them a `rename`",
                    )
                )  # fmt: skip
                break
            owners[point.id] = device.id
        yield (gateway.id, device.id), model


def _model(site: Site, device: Device) -> BoundModel:
    profile = load_profile(device.profile, site.path.parent)
    return bind(profile, device.asset, device.rename, device.assets, device.period_s)


def _placed(site: Site, at: Path_, e: BadInput) -> BadInput:
    """The same error with the place of the device in the site file."""
    if e.file:
        return e
    field = "rename" if "prefix" in e.message or "same" in e.message else "profile"
    return site.marks.error((*at, e.field or field), e.message, e.hint)


def _check_lines(site: Site, problems: list[BadInput]) -> None:
    for g, gateway in enumerate(site.file.gateways):
        for n, line in enumerate(gateway.lines):
            at = ("gateways", g, "lines", n)
            kind = DRIVERS.get(line.kind)
            if kind is None:
                known = ", ".join(sorted(DRIVERS))
                problems.append(
                    site.marks.error((*at, "kind"), f"there is no line kind {line.kind!r}", f"known: {known}")
                )
                continue
            try:
                check_as(kind.options, line.options, site.marks, (*at, "options"))
            except Problems as e:
                problems += e.problems


# ── rules, roles, matrix ──────────────────────────────────────────────────────────────────────────────


def _rules(site: Site, problems: list[BadInput]) -> RuleSet:
    folder = files("alerts").joinpath("defaults", "rules")
    raw: list[dict[str, Any]] = []
    for resource in sorted(folder.iterdir(), key=lambda r: r.name):
        if resource.name.endswith(".yaml"):
            raw += yamlmarks.parse(resource.read_text(encoding="utf-8"), resource.name)[0] or []
    known = {r["id"] for r in raw}
    overrides = []
    for n, override in enumerate(site.file.rules):
        problem = _override_problem(override, known)
        if problem:
            problems.append(
                site.marks.error(("rules", n, problem.field or "id"), problem.message, problem.hint)
            )
        else:
            overrides.append(dict(override))
    built: list[Rule] = []
    for n, data in enumerate(merge(raw, overrides)):
        try:
            built.append(rule_from_dict(data))
        except BadInput as e:
            index = next((k for k, o in enumerate(site.file.rules) if o.get("id") == data.get("id")), n)
            problems.append(site.marks.error(("rules", index, e.field), e.message, e.hint))
    return RuleSet(tuple(built))


def _override_problem(override: Mapping[str, Any], known: set[str]) -> BadInput | None:
    if not isinstance(override.get("id"), str):
        return BadInput("id is missing", field="id", hint="name the rule that is changed, or a new one")
    if override["id"] in known or "kind" in override:
        return None
    return BadInput(
        f"there is no rule {override['id']!r}", field="id", hint="give `kind` and all fields for a new rule"
    )


def _rows(site: Site | None, roles: Mapping[str, DutyRole], problems: list[BadInput]) -> list[Row]:
    try:
        if site is None:
            data, marks = _defaults("matrix.yaml")
            return rows_of(data, roles, at=marks.at)
        at = site.marks.at
        rows = rows_of(list(site.file.matrix), roles, zone=site.timezone, at=lambda p: at(("matrix", *p)))
    except Problems as e:
        problems += e.problems
        return []
    else:
        return rows


def explain(e: StewardError) -> list[str]:
    """One line per problem, for the terminal."""
    return [str(p) for p in e.problems] if isinstance(e, Problems) else [str(e)]
