"""What a simulated device shows on its line: the plant's values in the words of its profile."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Protocol

from drivers.profiles import textline
from drivers.profiles.bind import bind
from drivers.profiles.encode import Words, encode
from drivers.profiles.loader import load_profile
from drivers.profiles.model import Profile
from gateway.model import Ms
from simulators.layout import DevicePlan

HOLE = 16
"""Unused registers between used ones answer 0 up to this many in a row; beyond, the address is illegal."""


class World(Protocol):
    """What servers ask: the plant at the present time, and which device misbehaves."""

    def advance(self) -> Ms:
        """Bring the plant to the present site time; its time."""

    def values(self, asset: str) -> Mapping[str, float]:
        """Readings of an asset."""

    def device_fault(self, device: str) -> tuple[str, float]:
        """(kind, severity) of a device fault, ("", 0) when it is well."""


@dataclass(slots=True)
class Counts:
    """The device's own count of what it was asked, and how it answered."""

    requests: int = 0
    answers: int = 0
    exceptions: int = 0
    silent: int = 0
    short: int = 0

    def as_dict(self) -> dict[str, int]:
        """By name."""
        return asdict(self)


class DeviceImage:
    """The registers of one device as they are now. Raises Problems or BadInput for an unusable profile."""

    def __init__(self, plan: DevicePlan, world: World) -> None:
        self.plan = plan
        self.profile: Profile = load_profile(plan.profile)
        bound = bind(self.profile, plan.asset, plan.rename)
        self.sources = [
            (spec.tag, point.asset, point.tag)
            for spec, point in zip(self.profile.expanded, bound.points, strict=True)
        ]
        self.counts = Counts()
        self._world = world
        self._at: Ms = -1
        self._words: Words = {}
        empty = encode(self.profile, {}) if self.profile.protocol == "modbus" else {}
        self.valid = {area: _with_holes(words) for area, words in empty.items()}

    def values(self) -> dict[str, float]:
        """Present values by the profile's tag; a tag that the plant does not know is left out."""
        read: Callable[[str], Mapping[str, float]] = self._world.values
        return {tag: v for tag, asset, at in self.sources if (v := read(asset).get(at)) is not None}

    def words(self, area: str, address: int, count: int) -> list[int] | None:
        """`count` registers or bits from `address`; None when one of them does not exist."""
        valid = self.valid.get(area, frozenset())
        wanted = range(address, address + count)
        if not valid.issuperset(wanted):
            return None
        now = self._world.advance()
        if now != self._at:
            self._words, self._at = encode(self.profile, self.values()), now
        held = self._words.get(area, {})
        return [held.get(a, 0) for a in wanted]

    def sentence(self) -> bytes:
        """The present text line of a device that speaks by itself."""
        self._world.advance()
        return textline.encode(self.profile.expanded, self.values(), ident=f"{self.plan.unit:03d}")

    def fault(self) -> tuple[str, float]:
        """(kind, severity) of the device fault, if any."""
        return self._world.device_fault(self.plan.id)


def _with_holes(words: Mapping[int, int]) -> frozenset[int]:
    used = sorted(words)
    whole = set(used)
    for a, b in itertools.pairwise(used):
        if b - a - 1 <= HOLE:
            whole.update(range(a, b))
    return frozenset(whole)
