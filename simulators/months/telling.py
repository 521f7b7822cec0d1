"""Which stories are told: who is in the cast, what happens to whom and when, and how closely it is watched.

Three forms: short acts of what is broken at once, seasons of 10 weeks with wear beside assets with nothing
wrong, and great numbers of life-safety cases of a few minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.model import Ms
from simulators.faults import ALLOWANCE_S
from simulators.kinds import KINDS, LOOKALIKES, SEVERE, Kind
from simulators.months.cast import AUTUMN, DAY, SPRING, Cast, Planned, start_of
from simulators.months.chance import salts, uniform
from simulators.months.columns import Columns
from simulators.months.drive import MODELS
from simulators.months.generator import STEP_S as GENERATOR_S
from simulators.months.lift import STEP_S as LIFT_S

SEASON_DAYS = 70
CALM_DAYS = 21
"""Before anything begins to wear, so that what learns has learnt."""
HOUR: Ms = 3_600_000
LONG_S = 2 * 3600.0
"""A sign that may take longer than this is told with steps of a minute."""
FAST_S: Mapping[str, float] = {"lift": LIFT_S, "generator": GENERATOR_S}
STEP_S: Mapping[str, float] = {"sump": 30.0}
SEASON_S: Mapping[str, float] = {"sump": 60.0, "lift": 600.0}
SLOW_S = 300.0
ACT_S, FINE_S, BEAT_S = 10.0, 2.0, 20.0
FINE = ("hunting",)
"""Told in steps of two seconds."""
PLOTTED = ("outage", "device_silent")


@dataclass(frozen=True, slots=True)
class Telling:
    """A cast with its model, step and end. beat_s: how often everything is sent at least."""

    model: str
    cast: Cast
    until: Ms
    dt_s: float
    beat_s: float | None

    def columns(self) -> Columns:
        """The assets, at the beginning."""
        return MODELS[self.model](self.cast, self.dt_s, self.beat_s)


def dice(seed: int, what: str, low: float, high: float) -> float:
    """A number that depends on seed and purpose alone."""
    return float(low + (high - low) * uniform(salts([f"{seed}/{what}"]))[0])


def kinds_of(model: str, sort: str) -> list[str]:
    """Fault kinds of a sort that a model can have."""
    fit = [(k, spec) for k, spec in KINDS.items() if model in spec.models and spec.sort == sort]
    return [k for k, spec in fit if spec.rule_for(model) or spec.hidden]


def budget_s(spec: Kind) -> float:
    """From the onset of a fault that is broken at once to the latest time of its alarm, s."""
    return spec.lag_s + spec.confirm_s + ALLOWANCE_S


def severities(spec: Kind) -> tuple[tuple[float, float], ...]:
    """Ranges of severity that are told apart: where a severe case is another matter, both."""
    low = max(0.1, spec.visible)
    return ((low, SEVERE - 0.01), (SEVERE, 1.0)) if spec.severe else ((low, 1.0),)


def acts(model: str, seeds: Sequence[int]) -> Iterator[Telling]:
    """What is broken at once: every kind with every seed, one asset each; a third of it below its limits."""
    groups: dict[tuple[float, bool], list[tuple[str, tuple[float, float]]]] = {}
    for kind in (*kinds_of(model, "hard"), *kinds_of(model, "life"), "device_silent"):
        spec = KINDS[kind]
        slow = budget_s(spec) > LONG_S
        fine = FINE_S if kind in FINE else ACT_S
        dt = FAST_S.get(model, STEP_S.get(model, 60.0) if slow else fine)
        ranges = severities(spec)
        if spec.visible:
            ranges = (*ranges, (0.05, spec.visible * 0.6))
        groups.setdefault((dt, slow), []).extend((kind, r) for r in ranges)
    for (dt, slow), members in groups.items():
        for part, hour in enumerate((7.0, 20.5)):
            mine = [s for k, s in enumerate(seeds) if k % 2 == part]
            if mine:
                yield _act(model, members, mine, dt, hour, slow=slow)


def _act(
    model: str, members: Sequence[tuple[str, tuple[float, float]]], seeds: Sequence[int], dt: float,
    hour: float, *, slow: bool,
) -> Telling:  # fmt: skip
    begin = start_of(seeds[0]) + round(hour * HOUR)
    warm = DAY if slow else 30 * 60_000
    names: list[str] = []
    owners: list[int] = []
    plot: list[Planned] = []
    end = begin
    for kind, (low, high) in members:
        for seed in seeds:
            name = f"{model}-{kind}-{low:g}-{seed}".replace(".", "_")
            onset = begin + warm + _steps(dice(seed, f"{kind}/onset", 0, 600), dt)
            until = onset + round((budget_s(KINDS[kind]) + 600) * 1000)
            plot.append(Planned(len(names), kind, onset, until, dice(seed, f"{kind}/severity", low, high)))
            names.append(name)
            owners.append(seed)
            end = max(end, until + 20 * 60_000)
    cast = Cast(tuple(names), tuple(owners), begin, tuple(plot))
    return Telling(model, cast, end, dt, None if slow else BEAT_S if dt >= ACT_S else dt)


def _steps(seconds: float, dt: float) -> Ms:
    """Whole steps: what happens begins with one."""
    return round(seconds / dt) * round(dt * 1000)


def season(model: str, calm: Sequence[int], worn: Sequence[int]) -> Telling:
    """10 weeks: `calm` seeds with nothing but look-alikes, and each wear with every `worn` seed."""
    begin = start_of((*calm, *worn)[0])
    names, owners = [f"{model}-calm-{s}" for s in calm], list(calm)
    plot: list[Planned] = []
    for k, seed in enumerate(calm):
        plot += _harmless(model, k, seed, begin)
    for kind in kinds_of(model, "trend"):
        for seed in worn:
            plot.append(_wear(kind, len(names), seed, begin))
            names.append(f"{model}-{kind}-{seed}".replace("_", "-"))
            owners.append(seed)
    cast = Cast(tuple(names), tuple(owners), begin, tuple(plot))
    return Telling(model, cast, begin + SEASON_DAYS * DAY, SEASON_S.get(model, SLOW_S), None)


def _wear(kind: str, asset: int, seed: int, begin: Ms) -> Planned:
    low, high = KINDS[kind].wears_d or (20, 30)
    lasts = dice(seed, f"{kind}/wears", low, high)
    room = SEASON_DAYS - CALM_DAYS - lasts - 1
    onset = begin + round((CALM_DAYS + dice(seed, f"{kind}/onset", 0, max(0.1, room))) * DAY)
    fails = onset + round(lasts * DAY)
    return Planned(asset, kind, onset, fails + DAY, 1.0, fails)


def _harmless(model: str, asset: int, seed: int, begin: Ms) -> Iterator[Planned]:
    """What happens on an estate in 10 weeks without anything being wrong."""
    for kind, spec in LOOKALIKES.items():
        if spec.models and model not in spec.models:
            continue
        at = begin + round(dice(seed, f"{kind}/at", 16, SEASON_DAYS - 16)) * DAY
        for onset, hours in _when(kind, at, begin, seed):
            yield Planned(asset, kind, onset, onset + round(hours * HOUR))


def _when(kind: str, at: Ms, begin: Ms, seed: int) -> Iterator[tuple[Ms, float]]:
    """Begin and hours of each time that it happens."""
    clock = {"move_in": (8, 10), "maintenance": (14, 1), "hydrant_use": (16, 1), "tank_wash": (9, 5),
             "emptied": (10, 24 * 300), "sensor_replaced": (11, 24 * 300)}  # fmt: skip
    if kind == "fire_test":
        day = round(dice(seed, "test day", 0, 6.9))
        for week in range(SEASON_DAYS // 7):
            yield begin + (7 * week + day) * DAY + 10 * HOUR, 0.2
    elif kind == "heat_wave":
        yield at, 24 * dice(seed, "heat for", 5, 9)
    elif kind == "outage":
        if dice(seed, "outage?", 0, 1) < 0.5:
            yield at + 5 * HOUR, dice(seed, "outage for", 3, 46)
    elif kind == "meter_rollover":
        yield begin, 24.0 * SEASON_DAYS
    else:
        hour, hours = clock[kind]
        yield at + hour * HOUR, hours


def life_cases(model: str, kind: str, seeds: Sequence[int]) -> Telling:
    """A great number of short stories of one life-safety kind, one asset each, at any time of the day."""
    spec = KINDS[kind]
    dt = FAST_S.get(model, FINE_S)
    ranges = severities(spec)
    hour = dice(seeds[0], f"{kind}/hour", 0, 23)
    begin = start_of(seeds[0]) + round(hour * HOUR)
    plot, end = [], begin
    for k, seed in enumerate(seeds):
        low, high = ranges[k % len(ranges)]
        onset = begin + 120_000 + _steps(dice(seed, f"{kind}/onset", 0, 120), dt)
        until = onset + round((budget_s(spec) + 60) * 1000)
        plot.append(Planned(k, kind, onset, until, dice(seed, f"{kind}/severity", low, high)))
        end = max(end, until)
    names = tuple(f"{model}-{kind}-{seed}".replace("_", "-") for seed in seeds)
    return Telling(model, Cast(names, tuple(seeds), begin, tuple(plot)), end, dt, 30.0)


def life_kinds() -> list[tuple[str, str]]:
    """(model, kind) of every fault that endangers life."""
    return [(m, k) for k, spec in KINDS.items() if spec.sort == "life" for m in spec.models if m in MODELS]


__all__ = [
    "AUTUMN", "SEASON_DAYS", "SPRING", "Telling", "acts", "budget_s", "kinds_of", "life_cases", "life_kinds",
    "season", "start_of",
]  # fmt: skip
