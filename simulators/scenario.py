"""Scenarios: named stories of faults on the demonstration estates, one YAML file each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from gateway.config import yamlmarks
from gateway.config.site import LocalText, check_as
from gateway.config.strict import Strict
from gateway.config.yamlmarks import Marks
from gateway.errors import BadInput, Problems
from gateway.model import Ms
from simulators.faults import Faults, parse
from simulators.layout import Layout

FOLDER = Path(__file__).parent / "scenarios"


Pattern = Annotated[
    str, Field(pattern=r"^[a-z0-9_.*?]+@[a-z0-9_*?-]+$", description="rule@asset, with globs")
]


class Step(Strict):
    """One moment of the story, in site seconds from its beginning.

    fault, clear: `kind@asset`, the first with `:severity` if wanted; `clear: all` ends everything ·
    expect: the rule that must alarm, for the reader; a test compares it with the fault's own.
    """

    at_s: float = Field(ge=0)
    fault: str = ""
    clear: str = ""
    expect: str = ""

    @model_validator(mode="after")
    def _one(self) -> Step:
        if bool(self.fault) == bool(self.clear):
            raise ValueError("give either `fault` or `clear`")
        return self


class Scenario(Strict):
    """A story. `start` is its site time when no other is asked for; `repeat_s` tells it again and again.

    all_estates: every estate has the same troubles at the same time, else only the first one · root: the
    alarm that assessment should name as the cause of this story, `rule@asset` with globs, any of them ·
    follows: alarms that are its consequences · apart: alarms that have nothing to do with it · one_line: the
    line whose devices fell silent together, where the wire and no device is the root.
    """

    name: LocalText
    story: LocalText
    start: datetime
    for_s: float = Field(gt=0, description="how long it takes to see all of it, site seconds")
    repeat_s: float = Field(0, ge=0)
    all_estates: bool = False
    root: tuple[Pattern, ...] = ()
    follows: tuple[Pattern, ...] = ()
    apart: tuple[Pattern, ...] = ()
    one_line: str = ""
    timeline: tuple[Step, ...] = ()

    @property
    def start_ms(self) -> Ms:
        """`start` as ms UTC."""
        return round(self.start.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checked scenario with the places of its lines."""

    id: str
    scenario: Scenario
    marks: Marks


def scenario_names() -> list[str]:
    """The stories that come with the program."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_scenario(name_or_path: str) -> Loaded:
    """By name, or by a path ending in .yaml. Raises BadInput or Problems."""
    if name_or_path.endswith((".yaml", ".yml")):
        path = Path(name_or_path)
    elif name_or_path in scenario_names():
        path = FOLDER / f"{name_or_path}.yaml"
    else:
        known = ", ".join(scenario_names())
        raise BadInput(f"there is no scenario {name_or_path!r}", field="scenario", hint=f"known: {known}")
    data, marks = yamlmarks.load(path)
    scenario = check_as(Scenario, data, marks)
    if scenario.start.tzinfo is None:
        raise Problems(
            [marks.error(("start",), "has no time zone", "write it like 2026-03-02T19:00:00+08:00")]
        )
    return Loaded(path.stem, scenario, marks)


@dataclass(frozen=True, slots=True)
class Moment:
    """A step on one asset: `kind` is "" for clearing everything."""

    at_s: float
    clear: bool
    kind: str
    target: str
    severity: float | None = None


def moments(loaded: Loaded, layout: Layout, faults: Faults) -> list[Moment]:
    """The story on this layout, in order of time. Raises Problems that name the lines at fault."""
    found: list[Moment] = []
    problems: list[BadInput] = []
    for n, step in enumerate(loaded.scenario.timeline):
        try:
            found += _moments(step, loaded.scenario.all_estates, layout, faults)
        except BadInput as e:
            problems.append(loaded.marks.error(("timeline", n), e.message, e.hint))
    if problems:
        raise Problems(problems)
    return sorted(found, key=lambda m: m.at_s)


def _moments(step: Step, everywhere: bool, layout: Layout, faults: Faults) -> Iterator[Moment]:
    if step.clear == "all":
        yield Moment(step.at_s, True, "", "")
        return
    kind, asset, severity = parse(step.fault or step.clear)
    for k in range(1, (len(layout.estates) if everywhere else 1) + 1):
        target = asset if k == 1 else f"e{k}-{asset}"
        faults.check(kind, target)
        yield Moment(step.at_s, bool(step.clear), kind, target, severity)
