"""The cases in their order, each for every client; what cannot be run is told with its reason."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.edge import profiling
from benchmarks.edge.clients import CLIENTS, SHORTEST_S, STEWARD, Client
from benchmarks.edge.environments import NotToBeHad
from benchmarks.edge.outage import Outage, outage
from benchmarks.edge.run import Figures, measure
from benchmarks.edge.truth import Faults
from gateway.errors import WorkFailed

CASES = ("schedule", "faults", "saturation", "outage", "profile")
HELD = 0.99
"""Share of the rounds from which on a period counts as held."""
TRIES = 4
STEP = 1.2
HEADROOM = 0.93
"""Of a core: beyond it a period is not tried."""
SLOT_S = 0.02
PERIOD_S = 1.0
MIX = Faults(10, 5, 5)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for."""

    devices: int = 200
    seconds: float = 20.0
    clients: Sequence[str] = tuple(CLIENTS)
    cases: Sequence[str] = CASES
    faults: Faults = MIX
    away_s: float = 30.0


@dataclass
class Results:
    """Everything that was measured; skipped: case and client with the reason."""

    plan: Plan
    figures: list[Figures] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    profile: list[tuple[str, float]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)

    def find(self, case: str, client: str) -> Figures | None:
        """One row."""
        return next((f for f in self.figures if (f.case, f.client) == (case, client)), None)


class Bench:
    """Runs a plan; `tell` gets a line for each step."""

    def __init__(self, plan: Plan, tell: Callable[[str], None]) -> None:
        self._plan, self._tell = plan, tell
        self.results = Results(plan)

    def run(self) -> Results:
        """Case by case, so that what is compared was measured shortly after each other."""
        for case in (c for c in CASES if c in self._plan.cases):
            for client in (CLIENTS[name] for name in self._plan.clients):
                with self._told(case, client), tempfile.TemporaryDirectory(prefix="steward-bench-") as folder:
                    getattr(self, f"_{case}")(Path(folder) / "run", client)
        return self.results

    @contextlib.contextmanager
    def _told(self, case: str, client: Client) -> Iterator[None]:
        try:
            yield
        except (NotToBeHad, WorkFailed) as e:
            self.results.skipped[f"{case} {client.name}"] = str(e)
            self._tell(f"{case:<11} {client.name:<18} skipped: {e}")

    def _measure(
        self, folder: Path, client: Client, case: str, period_s: float, faults: Faults | None = None
    ) -> Figures:
        plan = self._plan
        return measure(
            folder, client, case=case, devices=plan.devices, period_s=period_s, seconds=plan.seconds,
            faults=faults or Faults(),
        )  # fmt: skip

    def _keep(self, figures: Figures) -> None:
        self.results.figures.append(figures)
        cost = "–" if figures.cpu_per_million is None else f"{figures.cpu_per_million:.2f}"
        kept = (
            "" if figures.rounds is None else f", rounds {figures.rounds:.1%}, p99 {figures.late_p99_ms} ms"
        )
        self._tell(
            f"{figures.case:<11} {figures.client:<18} {figures.arrived_per_s:>8,} points/s, {cost} CPU s/Mpt,"
            f" {figures.core:.1%} of a core{kept}, wrong {figures.wrong}"
        )

    # ── cases ─────────────────────────────────────────────────────────────────────────────────────

    def _schedule(self, folder: Path, client: Client) -> None:
        self._keep(self._measure(folder, client, "schedule", PERIOD_S))

    def _faults(self, folder: Path, client: Client) -> None:
        self._keep(self._measure(folder, client, "faults", PERIOD_S, self._plan.faults))

    def _saturation(self, folder: Path, client: Client) -> None:
        """As fast as it goes; for a client that needs a period, the shortest one that it holds.

        That is estimated from the schedule's share of a core, and made longer until the rounds are kept.
        """
        if not client.paced:
            self._keep(self._measure(folder, client, "saturation", 0.0))
            return
        before = self.results.find("schedule", client.name)
        period = _slot(PERIOD_S * (before.core / HEADROOM if before else 0.5))
        for n in range(TRIES):
            figures = self._measure(folder.with_name(f"run-{n}"), client, "saturation", period)
            if (figures.rounds or 0) >= HELD:
                figures.notes.append(f"a period of {period:g} s was held")
                break
            figures.notes.append(f"a period of {period:g} s was not held")
            self._tell(
                f"saturation  {client.name:<18} {period:g} s: rounds {figures.rounds}; told {figures.gaps}"
            )
            period = _slot(period * STEP)
        self._keep(figures)

    def _outage(self, folder: Path, client: Client) -> None:
        found = outage(folder, client, devices=min(self._plan.devices, 20), away_s=self._plan.away_s)
        self.results.outages.append(found)
        self._tell(
            f"outage      {client.name:<18} away {found.away_s} s: read {found.read_away:,}, lost"
            f" {found.lost:,}, doubled {found.doubled:,}, wrong {found.wrong}"
        )

    def _profile(self, folder: Path, client: Client) -> None:
        """Of Steward on the schedule; the sampling costs time of its own, so no figures are taken."""
        if client is not STEWARD:
            return
        if profiling.sampler() is None:
            raise NotToBeHad("py-spy is not installed")
        stacks: list[str] = []
        measure(
            folder, client, case="profile", devices=self._plan.devices, period_s=PERIOD_S,
            seconds=self._plan.seconds, faults=Faults(),
            during=lambda pid, seconds: stacks.extend(profiling.sample(pid, seconds)),
        )  # fmt: skip
        self.results.profile = profiling.shares(stacks)


def _slot(period_s: float) -> float:
    """Rounded up to the edge's slots, and not below what a site file allows."""
    return max(SHORTEST_S, math.ceil(period_s / SLOT_S - 1e-9) * SLOT_S)
