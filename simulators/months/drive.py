"""Drives rule engines with what assets in columns say, and keeps what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from alerts.engine import Engine
from alerts.rules import Digital, Limit, Rule
from gateway.model import Finding, Ms, Samples
from simulators.months.columns import Columns
from simulators.months.drain import Sumps
from simulators.months.fire import Fires
from simulators.months.generator import Generators
from simulators.months.ground import Manholes, Septics
from simulators.months.lift import Lifts
from simulators.months.power import Powers
from simulators.months.services import Calls, EnergyMeters, Lightings, WaterMeters
from simulators.months.water import Waters
from simulators.months.wires import Wires

MODELS: Mapping[str, type[Columns]] = {
    m.MODEL: m
    for m in (
        Waters, Lifts, Sumps, Fires, Manholes, Powers, Generators, Septics, Lightings, EnergyMeters,
        WaterMeters, Calls,
    )
}  # fmt: skip
"""Assets in columns by the name of their plant model."""

CONTACT_S = 60.0
BATCH = 12_000
"""So many readings go to the engine at once, at least one step of all assets."""


@dataclass(slots=True)
class Run:
    """What one set of rules found. findings: everything that began or ended · samples: readings fed."""

    findings: list[Finding] = field(default_factory=list)
    samples: int = 0


def plain(rules: Iterable[Rule]) -> list[Rule]:
    """The same limits and contacts as bare thresholds: no delay, no dead band, and no other kind of rule.

    A contact whose rule waits longer than a minute (a door that stands open) means nothing without the wait
    and is left out.
    """
    found: list[Rule] = []
    for rule in rules:
        if isinstance(rule, Limit):
            bare = replace(rule, on_delay_s=0.0, on_delay_outer_s=None, off_delay_s=0.0, deadband=0.0)
            found.append(bare)
        elif isinstance(rule, Digital) and rule.on_delay_s <= CONTACT_S:
            found.append(replace(rule, on_delay_s=0.0, off_delay_s=0.0))
    return found


def drive(
    columns: Columns,
    sets: Sequence[Iterable[Rule]],
    until: Ms,
    wires: Wires | None = None,
    progress: Callable[[Ms], None] | None = None,
) -> list[Run]:
    """Let the assets live until then; each set of rules judges them by itself."""
    points = columns.points()
    mine = [[r for r in rules if r.asset_kind == columns.KIND] for rules in sets]
    engines = [Engine(rules, points, start=columns.now) for rules in mine]
    runs = [Run() for _ in engines]
    waiting: list[Samples] = []
    size = 0
    while columns.now < until:
        told = columns.step()
        waiting.append(told)
        size += len(told)
        if size < BATCH and columns.now < until:
            continue
        batch = Samples.concat(waiting)
        if wires is not None:
            batch = wires.carry(batch, columns)
        for engine, run in zip(engines, runs, strict=True):
            run.samples += size
            run.findings += engine.process(batch)
            run.findings += engine.tick(columns.now)
        waiting, size = [], 0
        if progress is not None:
            progress(columns.now)
    return runs
