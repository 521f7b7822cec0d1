"""What every model of an asset shares: site time in fixed ticks, seeded noise, faults by name."""

from __future__ import annotations

import random
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass

from gateway.model import Ms

TICK_MS = 200
"""The plant moves in steps of this length, however seldom it is asked."""

SLOW_TICKS = 5
"""Assets that change slowly move on every fifth tick."""

SITE_OFFSET_MS = 8 * 3_600_000
"""Asia/Shanghai has no summer time; demand and lamps follow this hour of the day."""

_TABLE_BITS = 12
_DICE = random.Random(20_600)
_GAUSS = tuple(_DICE.gauss(0.0, 1.0) for _ in range(1 << _TABLE_BITS))


@dataclass(slots=True)
class Surroundings:
    """What an estate's assets feel from outside during one tick.

    dt: seconds of this step · hour: local hour of the day, 0 ≤ hour < 24 · mains: the grid is there ·
    generated: the generator stands at voltage · essential, normal: the two bus sections are live ·
    rain: 0 dry … 1 cloudburst · recall: confirmed fire, lifts go to the ground floor · phases: all three are
    there · blocked: the sewer is blocked at this manhole's number, so far (0…1) · pit_m: water in the pit
    that drains the pump room · sewer_gas: gas from the septic tank in the sewer, 0…1.
    """

    t: Ms = 0
    dt: float = TICK_MS / 1000
    hour: float = 0.0
    mains: bool = True
    generated: bool = False
    generator_load: float = 0.0
    essential: bool = True
    normal: bool = True
    rain: float = 0.0
    recall: bool = False
    phases: bool = True
    blocked: tuple[int, float] = (0, 0.0)
    pit_m: float = 0.0
    sewer_gas: float = 0.0


class Unit(ABC):
    """One asset. `step` moves it by one tick, `values` tells what its sensors say; both are deterministic.

    Noise depends on seed, asset, tag and tick alone, so that values do not depend on who asks how often.
    `faults` holds the severity (0 < s ≤ 1) of each active fault kind.
    """

    slow = False

    def __init__(self, asset: str, seed: int) -> None:
        self.asset = asset
        self.rng = random.Random(f"{seed}/{asset}")
        self.faults: dict[str, float] = {}
        self.now: Ms = 0
        self._salt = zlib.crc32(f"{seed}/{asset}".encode())

    @abstractmethod
    def step(self, around: Surroundings) -> None:
        """Move by `around.dt` seconds."""

    @abstractmethod
    def values(self) -> dict[str, float]:
        """Reading of each tag at the present tick, in the tag's unit."""

    def fault(self, kind: str) -> float:
        """Severity of a fault; 0 when it is not active."""
        return self.faults.get(kind, 0.0)

    def noise(self, name: str, sigma: float) -> float:
        """Zero-mean noise, clipped at 3 sigma: normal operation has no outliers."""
        key = zlib.crc32(name.encode(), self._salt)
        x = (key ^ (self.now // TICK_MS) * 0x9E3779B1) & 0xFFFFFFFF
        x = ((x ^ x >> 15) * 0x85EBCA6B) & 0xFFFFFFFF
        x = ((x ^ x >> 13) * 0xC2B2AE35) & 0xFFFFFFFF
        return max(-3.0, min(3.0, _GAUSS[x >> (32 - _TABLE_BITS)])) * sigma


def toward(value: float, target: float, tau_s: float, dt: float) -> float:
    """First-order lag: `value` moves toward `target` with time constant `tau_s`."""
    return value + (target - value) * min(1.0, dt / tau_s)


def number_of(asset: str) -> int:
    """The number at the end of an asset id: `e2-mh-3` is 3; 0 for none."""
    last = asset.rsplit("-", 1)[-1]
    return int(last) if last.isdigit() else 0


def local_hour(t: Ms) -> float:
    """Hour of the day on site, 0 ≤ hour < 24."""
    return (t + SITE_OFFSET_MS) % 86_400_000 / 3_600_000
