"""Who plays in a telling: assets, what goes wrong with them and when, and what they are like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from gateway.model import Ms
from simulators.months.chance import F8, salts, uniform

DAY: Ms = 86_400_000
NEVER: Ms = 2**61
NEW_YEAR: Ms = 1_767_196_800_000
"""2026-01-01 00:00 in Shanghai."""
SPRING: Ms = NEW_YEAR + 60 * DAY
"""2 March, when seasons of development seeds begin."""
AUTUMN: Ms = NEW_YEAR + 231 * DAY
"""20 August, when those of seeds 1000 to 1999 begin."""
LAST_START = 290
"""Day of the year on which a season begins at the latest: it ends within the calendar that is known."""
SEEDS_OF_DEVELOPMENT = 1000
"""Seeds below are for choosing rules and defaults; published figures are taken from those above."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What the assets of a group of seeds are like.

    noise: of every instrument, as a multiple · swing: of daily and weekly use · shift_h: by which habits are
    later · warm_c: warmer weather · spikes: single wild readings per point and day · spread: of properties
    that differ from asset to asset.
    """

    noise: float = 1.0
    swing: float = 1.0
    shift_h: float = 0.0
    warm_c: float = 0.0
    spikes: float = 0.02
    spread: float = 1.0


DEVELOPMENT = Prior()
PUBLISHED = Prior(noise=1.3, swing=1.15, shift_h=0.7, warm_c=3.0, spikes=0.05, spread=1.2)


RANGES: Mapping[str, tuple[float, float]] = {
    "noise": (1.1, 1.5), "swing": (0.8, 1.2), "shift_h": (-1.0, 1.0), "warm_c": (-4.0, 4.0),
    "spikes": (0.03, 0.06), "spread": (1.1, 1.3),
}  # fmt: skip
"""From which chance draws the priors of each thousand seeds from 2000 on."""


def prior_of(seed: int) -> Prior:
    """Priors of a seed: those above SEEDS_OF_DEVELOPMENT have more noise, other seasons, other hours."""
    group = seed // SEEDS_OF_DEVELOPMENT
    return DEVELOPMENT if group == 0 else PUBLISHED if group == 1 else _drawn(group)


@cache
def _drawn(group: int) -> Prior:
    shares = uniform(salts([f"prior/{group}/{name}" for name in RANGES])).tolist()
    spans = zip(RANGES.items(), shares, strict=True)
    return Prior(**{name: round(low + (high - low) * u, 2) for (name, (low, high)), u in spans})


def start_of(seed: int) -> Ms:
    """When the stories of a seed begin: another season for each thousand seeds."""
    group = seed // SEEDS_OF_DEVELOPMENT
    if group < 2:
        return AUTUMN if group else SPRING
    day = int(LAST_START * float(uniform(salts([f"season/{group}"]))[0]))
    return NEW_YEAR + day * DAY


@dataclass(frozen=True, slots=True)
class Planned:
    """Something that happens to one asset: a fault, or something harmless that looks like one.

    asset: index in the cast · fails_at: when a wearing part stops doing its job, None for what is broken at
    once · severity: 0 < s ≤ 1.
    """

    asset: int
    kind: str
    onset: Ms
    until: Ms
    severity: float = 1.0
    fails_at: Ms | None = None


@dataclass(frozen=True, slots=True)
class Cast:
    """The assets of one class in one telling, by index.

    names: asset ids · seeds: one each · start: site time at which all begin.
    """

    names: tuple[str, ...]
    seeds: tuple[int, ...]
    start: Ms
    plot: tuple[Planned, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    def column(self, name: str) -> F8:
        """One figure of each asset's prior."""
        return np.asarray([getattr(prior_of(seed), name) for seed in self.seeds])


@dataclass(slots=True)
class Troubles:
    """What is the matter with whom at the present moment."""

    n: int
    plot: Sequence[Planned]
    severity: dict[str, F8] = field(default_factory=dict)
    onset: dict[str, F8] = field(default_factory=dict)
    fails: dict[str, F8] = field(default_factory=dict)
    _due: list[tuple[Ms, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for k, p in enumerate(self.plot):
            self._due += [(p.onset, 1, k), (p.until, 0, k)]
            for columns, empty in ((self.severity, 0.0), (self.onset, 0.0), (self.fails, np.inf)):
                columns.setdefault(p.kind, np.full(self.n, empty))
        self._due.sort(reverse=True)

    def upto(self, now: Ms) -> None:
        """Let begin and end what is due."""
        while self._due and self._due[-1][0] <= now:
            _, begins, k = self._due.pop()
            p = self.plot[k]
            self.severity[p.kind][p.asset] = p.severity if begins else 0.0
            self.onset[p.kind][p.asset] = p.onset
            self.fails[p.kind][p.asset] = np.inf if p.fails_at is None else p.fails_at

    def worn(self, kind: str, now: Ms) -> F8 | None:
        """How far a part is on the way to failure: 1 when it fails, then further; None: nobody has that."""
        severity = self.severity.get(kind)
        if severity is None or not severity.any():
            return None
        span = self.fails[kind] - self.onset[kind]
        with np.errstate(invalid="ignore"):
            way = np.where(severity > 0, (now - self.onset[kind]) / span, 0.0)
        return np.clip(way, 0.0, 1.5)
