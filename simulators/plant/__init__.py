"""The plant: every asset of a layout, pure and deterministic. Nothing here knows a clock or a protocol.

The same layout, seed, start and faults give the same values at every instant, however often it is asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.model import Ms
from simulators.plant.base import SLOW_TICKS, TICK_MS, Surroundings, Unit, local_hour, toward
from simulators.plant.drain import Sump
from simulators.plant.fire import Fire
from simulators.plant.generator import Generator
from simulators.plant.ground import Manhole, Septic
from simulators.plant.lift import Lift
from simulators.plant.power import Power
from simulators.plant.services import CallButton, EnergyMeter, Lighting, WaterMeter
from simulators.plant.water import Water

__all__ = ["MODELS", "TICK_MS", "Plant", "PlantAsset", "Unit"]

MODELS: Mapping[str, type[Unit]] = {
    "power": Power,
    "generator": Generator,
    "lift": Lift,
    "fire": Fire,
    "water": Water,
    "sump": Sump,
    "manhole": Manhole,
    "lighting": Lighting,
    "septic": Septic,
    "energy_meter": EnergyMeter,
    "water_meter": WaterMeter,
    "call": CallButton,
}
"""Model names in the order in which a tick moves them: supply first, then what hangs on it."""

RAIN_TAU_S = 120.0


class PlantAsset(Protocol):
    """What the plant must know of an asset."""

    @property
    def id(self) -> str:
        """Asset id."""

    @property
    def estate(self) -> str:
        """Estate id."""

    @property
    def model(self) -> str:
        """A key of MODELS."""


class Plant:
    """All assets at one instant `now`. `step(t)` moves them; going back is not possible and does nothing.

    forces: what points say, by tag, while a fault of this name is set.
    """

    def __init__(self, assets: Sequence[PlantAsset], seed: int, start: Ms) -> None:
        self.now: Ms = start - start % TICK_MS - TICK_MS
        self.weather: dict[str, float] = {}
        self._around = {a.estate: Surroundings(t=self.now) for a in assets}
        self.units: dict[str, Unit] = {a.id: MODELS[a.model](a.id, seed) for a in assets}
        rank = {name: n for n, name in enumerate(MODELS)}
        ordered = sorted(assets, key=lambda a: rank[a.model])
        self._fast = [(self.units[a.id], self._around[a.estate]) for a in ordered if not MODELS[a.model].slow]
        self._slow = [(self.units[a.id], self._around[a.estate]) for a in ordered if MODELS[a.model].slow]
        self.forces: Mapping[str, Mapping[str, float]] = {}
        self._cache: dict[str, dict[str, float]] = {}
        self._tick(everything=True)

    def step(self, t: Ms) -> None:
        """Move to site time `t` in whole ticks."""
        while self.now + TICK_MS <= t:
            self._tick()

    def _tick(self, *, everything: bool = False) -> None:
        self.now += TICK_MS
        self._cache.clear()
        hour = local_hour(self.now)
        for estate, around in self._around.items():
            around.t, around.hour, around.dt = self.now, hour, TICK_MS / 1000
            around.rain = toward(around.rain, self.weather.get(estate, 0.0), RAIN_TAU_S, around.dt)
        for unit, around in self._fast:
            unit.now = self.now
            unit.step(around)
        if everything or self.now // TICK_MS % SLOW_TICKS == 0:
            for around in self._around.values():
                around.dt = SLOW_TICKS * TICK_MS / 1000
            for unit, around in self._slow:
                unit.now = self.now
                unit.step(around)

    def values(self, asset: str) -> Mapping[str, float]:
        """Reading of every tag of an asset at `now`. Raises KeyError for an unknown asset."""
        if asset not in self._cache:
            unit = self.units[asset]
            said = unit.values()
            for kind in unit.faults:
                said |= self.forces.get(kind, {})
            self._cache[asset] = said
        return self._cache[asset]

    def touch(self, asset: str) -> None:
        """Forget cached readings of an asset whose faults have changed."""
        self._cache.pop(asset, None)
