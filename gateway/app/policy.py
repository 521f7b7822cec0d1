"""What a site file says about rules, duty roles, matrix rows and shifts, checked against what is shipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from importlib.resources import files
from typing import Any

from alerts.calendars import Roster, default_calendars
from alerts.checklists import Templates, templates_of
from alerts.detect.days import dates
from alerts.matrix import EVENTS, DutyRole, Row
from alerts.matrix_proof import Hole
from alerts.matrix_rows import roles_of, rows_of
from alerts.plans_state import PlanTemplate, plan_templates_of
from alerts.rules import Baseline, Rule, rule_from_dict
from alerts.ruleset import RuleSet, merge
from alerts.years import CN_2026, Years, years_of
from gateway.config import yamlmarks
from gateway.config.crosscheck import known, unique
from gateway.config.site import Site
from gateway.config.wording import near
from gateway.config.yamlmarks import Marks, Path_
from gateway.errors import BadInput, Problems
from gateway.model import SYSTEMS


def shipped(name: str) -> tuple[Any, Marks]:
    """A file of `alerts/defaults` with its marks."""
    resource = files("alerts").joinpath("defaults", name)
    return yamlmarks.parse(resource.read_text(encoding="utf-8"), f"alerts/defaults/{name}")


# ── rules ─────────────────────────────────────────────────────────────────────────────────────────────


def shipped_rules() -> list[dict[str, Any]]:
    """The shipped rules as plain data, file by file."""
    folder = files("alerts").joinpath("defaults", "rules")
    names = sorted(r.name for r in folder.iterdir() if r.name.endswith(".yaml"))
    return [rule for name in names for rule in shipped(f"rules/{name}")[0] or ()]


def rules_of(site: Site, problems: list[BadInput]) -> RuleSet:
    """The shipped rules under the site's changes; what is wrong with those goes to `problems`."""
    raw = shipped_rules()
    ids = [str(r["id"]) for r in raw]
    own, marks = site.file.rules, site.marks
    named = [(("rules", n, "id"), str(o["id"])) for n, o in enumerate(own) if "id" in o]
    faults = [*unique(marks, named)]
    changes = []
    for n, change in enumerate(own):
        wrong = list(_override_faults(site, ("rules", n), change, ids))
        faults += wrong
        if not wrong:
            changes.append(dict(change))
    problems += faults
    place = {str(o.get("id")): n for n, o in enumerate(own)}
    built: list[Rule] = []
    for data in merge(raw, changes):
        try:
            built.append(rule_from_dict(_at_site(data, site)))
        except BadInput as e:
            path: Path_ = ("rules", place.get(str(data.get("id")), 0))
            problems.append(marks.error((*path, e.field) if e.field else path, e.message, e.hint))
    return RuleSet(tuple(built))


def _at_site(data: Mapping[str, Any], site: Site) -> Mapping[str, Any]:
    """Rules that know hours and days of the week go by the site's clock and calendar."""
    if data.get("kind") != "baseline":
        return data
    more: dict[str, Any] = {"zone": site.file.site.timezone}
    if data.get("calendar", "china") == "china":
        try:
            known = years_of(site.file.calendars)
        except BadInput:  # told where calendars are read
            known = Years()
        more |= {k: _written(v) for k, v in _later(known).items() if v}
    return more | dict(data)


def _later(known: Years) -> dict[str, frozenset[date]]:
    """What is known beside the year that is built in."""
    return {
        "holidays": known.holidays - CN_2026.holidays,
        "workdays": known.workdays - CN_2026.workdays,
    }


def _written(days: Iterable[date]) -> str:
    return "|".join(sorted(d.isoformat() for d in days))


def rules_knowing(rules: RuleSet, known: Years) -> RuleSet:
    """The rules that go by the public calendar with the years that were entered on the pages, too."""
    later = _later(known)

    def knowing(rule: Rule) -> Rule:
        if not isinstance(rule, Baseline) or rule.calendar != "china":
            return rule
        holidays = _written(dates(rule.holidays) | later["holidays"])
        return replace(rule, holidays=holidays, workdays=_written(dates(rule.workdays) | later["workdays"]))

    return RuleSet(tuple(knowing(r) for r in rules))


def _override_faults(site: Site, at: Path_, change: Mapping[str, Any], ids: list[str]) -> Iterator[BadInput]:
    marks, id_ = site.marks, change.get("id")
    if not isinstance(id_, str):
        yield marks.error((*at, "id"), "is missing", "name the rule that is changed, or a new one")
        return
    if id_ not in ids and "kind" not in change:
        alike = near(id_, ids)
        hint = alike if alike.startswith("did") else "a new rule needs `kind` and all other fields"
        yield marks.error((*at, "id"), f"there is no rule {id_!r}", hint)
        return
    if "enabled" in change and not isinstance(change["enabled"], bool):
        yield marks.error((*at, "enabled"), f"must be true or false, not {change['enabled']!r}")
    if isinstance(change.get("at"), Mapping):
        for asset in change["at"]:
            yield from known(marks, (*at, "at", asset), "asset", str(asset), list(site.assets))


# ── duty roles, matrix rows, shifts ───────────────────────────────────────────────────────────────────


def shipped_roles() -> dict[str, DutyRole]:
    """The duty roles that the matrix knows."""
    return roles_of(shipped("roles.yaml")[0])


def shipped_rows(roles: Mapping[str, DutyRole]) -> tuple[Row, ...]:
    """The template of the responsibility matrix."""
    data, marks = shipped("matrix.yaml")
    return tuple(rows_of(data, roles, at=marks.at))


def shipped_templates() -> Templates:
    """Checklists and demands of work orders."""
    data, marks = shipped("checklists.yaml")
    return templates_of(data, events=EVENTS, kinds=SYSTEMS, at=marks.at)


def shipped_plans(roles: Mapping[str, DutyRole]) -> tuple[PlanTemplate, ...]:
    """Preventive plans of every asset class."""
    data, marks = shipped("plans.yaml")
    return plan_templates_of(data, roles=list(roles), classes=SYSTEMS, at=marks.at)


def rows_of_site(site: Site, roles: Mapping[str, DutyRole], problems: list[BadInput]) -> tuple[Row, ...]:
    """The site's own rows; what is wrong with them goes to `problems`."""
    data, at = list(site.file.matrix), site.marks.at
    try:
        rows = rows_of(data, roles, zone=site.timezone, at=lambda p: at(("matrix", *p)))
    except Problems as e:
        problems += e.problems
        return ()
    for n, row in enumerate(rows):
        problems += _row_faults(site, ("matrix", n), row)
    return tuple(rows)


def _row_faults(site: Site, at: Path_, row: Row) -> Iterator[BadInput]:
    """Names of nothing: a row with one of them would never fit, and nobody would notice."""
    file, marks = site.file, site.marks
    choices = {
        "estate": (row.estate, [e.id for e in file.estates]),
        "city": (row.city, sorted({e.city for e in file.estates if e.city})),
        "asset_kind": (row.asset_kind, [*SYSTEMS]),
        "boundary": (row.boundary, ["property", "utility"]),
        "calendar": (row.calendar, [*default_calendars(site.timezone)]),
    }
    for field, (given, names) in choices.items():
        if given is not None:
            yield from known(marks, (*at, field), field.replace("_", " "), str(given), names)


def duty_faults(site: Site, roles: Mapping[str, DutyRole]) -> Iterator[BadInput]:
    """Duty roles that do not exist, of contractors, people and channels."""
    file, names = site.file, list(roles)
    for n, contractor in enumerate(file.contractors):
        if contractor.duty:
            yield from known(site.marks, ("contractors", n, "duty"), "duty role", contractor.duty, names)
    for n, person in enumerate(file.people):
        for k, duty in enumerate(person.duties):
            yield from known(site.marks, ("people", n, "duties", k), "duty role", duty, names)
    for n, channel in enumerate(file.channels):
        for k, duty in enumerate(channel.duties):
            yield from known(site.marks, ("channels", n, "duties", k), "duty role", duty, names)


def shift_faults(site: Site, roles: Mapping[str, DutyRole]) -> Iterator[BadInput]:
    """Shifts of roles, people or estates that do not exist, and times that are none."""
    names = {p.id: p.name for p in site.file.people}
    estates = [e.id for e in site.file.estates]
    for n, shift in enumerate(site.file.shifts):
        at: Path_ = ("shifts", n)
        try:
            Roster.of([shift], names, site.timezone)
        except BadInput as e:
            inside = tuple(int(x) if x.isdigit() else x for x in e.field.split(".")[2:])
            yield site.marks.error((*at, *inside), e.message, e.hint)
            continue
        yield from known(site.marks, (*at, "duty"), "duty role", str(shift["duty"]), list(roles))
        if shift.get("estate"):
            yield from known(site.marks, (*at, "estate"), "estate", str(shift["estate"]), estates)


def joined(shipped_: tuple[Row, ...], own: tuple[Row, ...]) -> tuple[Row, ...]:
    """The template under the site's rows: a row of the same id takes the place of the shipped one."""
    ids = {row.id for row in own}
    return (*(row for row in shipped_ if row.id not in ids), *own)


# ── the proof ─────────────────────────────────────────────────────────────────────────────────────────


def hole_faults(site: Site, found: Iterable[Hole]) -> list[BadInput]:
    """The holes of the matrix, one fault for each that is missing, at the line where it can be filled."""
    groups: dict[tuple[str, str, str], list[Hole]] = {}
    for hole in found:
        groups.setdefault((hole.reason, hole.about, hole.text["en"]), []).append(hole)
    out = []
    for (reason, about, said), holes in groups.items():
        rules = sorted({h.rule for h in holes} - {""})
        more = " and others" if len(rules) > 1 else ""
        need = f"; needed by rule {rules[0]}{more}" if rules else ""
        path, todo = _where(site, reason, about, holes[0])
        out.append(site.marks.error(path, f"{said}{need}", todo))
    return out


_TODO = {
    "levels": "give its ladder steps with two more duty roles",
    "tie": "narrow one of them (asset, estate, band, severity …), or give it another valid_from",
    "cycle": "name another role or part",
}


def _where(site: Site, reason: str, about: str, hole: Hole) -> tuple[Path_, str]:
    file = site.file
    if reason in _TODO:
        rows = [n for n, row in enumerate(file.matrix) if row.get("id") == about]
        return (("matrix", rows[0], hole.column) if rows else ("matrix",)), _TODO[reason]
    if reason == "shift":
        shifts = [n for n, shift in enumerate(file.shifts) if shift.get("duty") == about]
        return (("shifts", shifts[0]) if shifts else ("shifts",)), f"plan somebody for {about} at that time"
    assets = [n for n, asset in enumerate(file.assets) if asset.id == hole.asset]
    return (("assets", assets[0]) if assets else ("matrix",)), f"add a matrix row with event: {about}"
