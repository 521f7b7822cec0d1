"""A preventive plan: what it is made of, its dates in the estate's own days, and how it is kept. Pure."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any

from alerts.checklists import NEEDS, item_fault
from gateway.errors import BadInput, Problems
from gateway.model import Ms, Text

KINDS = ("calendar", "completion", "run_hours", "starts", "condition")
EVERY = re.compile(r"([1-9][0-9]{0,3})([dwmy])")
OPS = (">", "<", ">=", "<=")
Place = Callable[[tuple[str | int, ...]], tuple[str, int]]


@dataclass(frozen=True, slots=True)
class PlanTemplate:
    """What every asset of a class needs, as it ships (alerts/defaults/plans.yaml).

    every: `15d`, `1w`, `6m`, `1y` (calendar and completion) · tag: of a counter (run_hours, starts) or of
    the value that is watched (condition) · amount: hours or starts between two services, or the limit ·
    limit_days: the law's longest interval · lead_days: how long ahead of its date the order is opened ·
    within_days: time for the work once a counter or a condition has called for it.
    """

    id: str
    kinds: tuple[str, ...]
    name: Text
    kind: str
    party: str
    supervisor: str = "PM"
    every: str = ""
    tag: str = ""
    op: str = ">"
    amount: float = 0.0
    statutory: bool = False
    limit_days: int | None = None
    legal: str = ""
    lead_days: int = 3
    within_days: int = 7
    items: tuple[Mapping[str, Any], ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(slots=True)
class Plan:
    """A template bound to an asset, and how far it is.

    anchor: the date from which the first interval counts · due: date by whose end the work is to be done;
    "" while nothing calls for it · last_done: date, "" when nobody knows · grid: calendar plans' date in the
    series, which a moved date leaves as it was · counter: [base, carried, last] of a counter · told: the
    date whose overdue was told · ready: a condition has been false since the last service.
    """

    id: str
    estate: str
    asset: str
    template: PlanTemplate
    anchor: str
    due: str = ""
    grid: str = ""
    last_done: str = ""
    order: str = ""
    turn: int = 0
    told: str = ""
    counter: list[float] = field(default_factory=list)
    ready: bool = True
    active: bool = True
    moved: list[dict[str, Any]] = field(default_factory=list)
    version: int = 0
    changed_by: str = "steward"
    changed_at: Ms = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON; `from_dict` reads it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Plan:
        """What `as_dict` gave; what is missing has its default."""
        raw = dict(body["template"])
        known = {f.name for f in fields(PlanTemplate)}
        lists = {n: tuple(raw.get(n) or ()) for n in ("kinds", "items", "needs")}
        template = PlanTemplate(**{**{k: v for k, v in raw.items() if k in known}, **lists})
        names = {f.name for f in fields(cls)} - {"template"}
        return cls(template=template, **{k: v for k, v in body.items() if k in names})

    @property
    def used(self) -> float:
        """Hours or starts since the last service."""
        return self.counter[1] + self.counter[2] - self.counter[0] if self.counter else 0.0


# ── dates ─────────────────────────────────────────────────────────────────────────────────────────────


def day_of(t: Ms, zone: tzinfo) -> date:
    """The local date of a moment."""
    return datetime.fromtimestamp(t / 1000, zone).date()


def begin(day: date, zone: tzinfo) -> Ms:
    """The first moment of a local date."""
    return int(datetime.combine(day, time(), zone).astimezone(UTC).timestamp()) * 1000


def end(day: date, zone: tzinfo) -> Ms:
    """The moment at which a local date is over."""
    return begin(day + timedelta(days=1), zone)


def after(day: date, every: str, times: int = 1) -> date:
    """`day` and so many intervals; the 31st of a month without one is its last day. Raises BadInput."""
    match = EVERY.fullmatch(every)
    if match is None:
        raise BadInput(f"{every!r} is no interval", field="every", hint="15d, 2w, 6m or 1y")
    n, unit = int(match[1]) * times, match[2]
    if unit in "dw":
        return day + timedelta(days=n * (7 if unit == "w" else 1))
    months = day.year * 12 + day.month - 1 + n * (12 if unit == "y" else 1)
    year, month = divmod(months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def latest(plan: Plan) -> date | None:
    """The last date that the law allows; None when no law sets one."""
    if plan.template.limit_days is None:
        return None
    return date.fromisoformat(plan.last_done or plan.anchor) + timedelta(days=plan.template.limit_days)


def next_date(plan: Plan, done: date | None) -> tuple[str, str]:
    """(due, grid) after the work was done on `done`; None: nothing was done yet. "" where no date calls."""
    every, kind = plan.template.every, plan.template.kind
    anchor = date.fromisoformat(plan.anchor)
    if kind == "completion":
        due = grid = after(done or anchor, every)
    elif kind == "calendar":
        was = date.fromisoformat(plan.grid) if plan.grid else anchor
        n, grid = 1, after(anchor, every)
        while grid <= was or (done is not None and grid <= done):
            n += 1
            grid = after(anchor, every, n)
        due = grid
    else:
        return "", ""
    bound = latest(plan)
    return (min(due, bound) if bound else due).isoformat(), grid.isoformat()


# ── templates from plain data ─────────────────────────────────────────────────────────────────────────

_FIELDS = frozenset(f.name for f in fields(PlanTemplate))


def plan_fault(raw: Any, roles: Sequence[str], classes: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """(field, message, what to do) of all that is wrong with a template."""
    if not isinstance(raw, Mapping):
        yield "", "a plan is a mapping", "id, kinds, name, kind, party, …"
        return
    for name in sorted(set(raw) - _FIELDS):
        yield name, "nobody knows this field", "remove it or correct its spelling"
    for name in ("id", "party", "kind"):
        if not isinstance(raw.get(name), str) or not raw[name]:
            yield name, "a text is needed", "add it"
    if not isinstance(raw.get("name"), Mapping) or not {"zh", "en"} <= set(raw["name"]):
        yield "name", "a name in both languages is needed", "{zh: …, en: …}"
    yield from _name_faults(raw, roles, classes)
    yield from _trigger_faults(raw)


def _name_faults(
    raw: Mapping[str, Any], roles: Sequence[str], classes: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    for name, known in (("party", roles), ("supervisor", roles)):
        if raw.get(name, known[0] if known else "") not in known:
            yield name, f"there is no duty role {raw[name]!r}", ", ".join(known)
    for name, known in (("kinds", classes), ("needs", NEEDS)):
        for value in raw.get(name) or ():
            if value not in known:
                yield name, f"there is no {value!r}", ", ".join(known)
    for k, item in enumerate(raw.get("items") or ()):
        fault = item_fault(item)
        if fault:
            yield f"items.{k}", *fault


def _trigger_faults(raw: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    kind = raw.get("kind")
    if kind not in KINDS:
        yield "kind", f"{kind!r} is nothing that a plan goes by", ", ".join(KINDS)
    elif kind in ("calendar", "completion"):
        if not EVERY.fullmatch(str(raw.get("every") or "")):
            yield "every", f"{raw.get('every')!r} is no interval", "15d, 2w, 6m or 1y"
    elif not raw.get("tag") or type(raw.get("amount")) not in (int, float):
        yield "tag", f"a plan by {kind} needs a tag and an amount", "tag: gen.hours, amount: 250"
    if raw.get("op", ">") not in OPS:
        yield "op", f"{raw['op']!r} compares nothing", ", ".join(OPS)
    for name in ("limit_days", "lead_days", "within_days"):
        value = raw.get(name)
        if value is not None and (type(value) is not int or not 0 <= value <= 4000):
            yield name, f"whole days are needed, not {value!r:.40}", "15"
    if raw.get("statutory") and not (raw.get("legal") and raw.get("limit_days")):
        yield "legal", "what the law demands names it, and its longest interval", "legal: …, limit_days: 15"


def plan_templates_of(
    data: Sequence[Any], *, roles: Sequence[str], classes: Sequence[str], at: Place | None = None
) -> tuple[PlanTemplate, ...]:
    """From plain data. Raises Problems with file, line, field and what to do."""
    problems: list[BadInput] = []
    found = []
    for n, raw in enumerate(data):
        faults = list(plan_fault(raw, roles, classes))
        for name, message, hint in faults:
            file, line = at((n, *name.split("."))) if at else ("", 0)
            where = f"plans.{n}.{name}".rstrip(".")
            problems.append(BadInput(message, file=file, line=line, field=where, hint=hint))
        if not faults:
            found.append(template_of(raw))
    if problems:
        raise Problems(problems)
    return tuple(found)


def template_of(raw: Mapping[str, Any]) -> PlanTemplate:
    """A template from plain data that has no fault."""
    body: dict[str, Any] = {
        k: tuple(v) if k in ("kinds", "items", "needs") else v for k, v in raw.items() if k in _FIELDS
    }
    return PlanTemplate(**body)
