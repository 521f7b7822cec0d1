"""A simulation: the plant, its faults and a story, all moved by site time; and its live form with a clock."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.model import Ms
from gateway.ports import Clock
from simulators.faults import Faults, Truth
from simulators.layout import Layout
from simulators.plant import Plant
from simulators.scenario import Loaded, Moment, moments


class Simulation:
    """Pure: the same layout, seed, start, story and calls give the same values and the same truth.

    The story begins at the start unless `hold`; then `begin` starts it.
    """

    def __init__(
        self, layout: Layout, seed: int, start: Ms, story: Loaded | None = None, *, hold: bool = False
    ) -> None:
        self.layout = layout
        self.plant = Plant(layout.assets, seed, start)
        self.faults = Faults(self.plant, layout)
        self._repeat_ms = round(story.scenario.repeat_s * 1000) if story else 0
        self._story = moments(story, layout, self.faults) if story else []
        self._due: list[tuple[Ms, Moment]] = []
        if not hold:
            self.begin()

    @property
    def now(self) -> Ms:
        """Site time of the plant."""
        return self.plant.now

    @property
    def truth(self) -> list[Truth]:
        """Every label so far."""
        return self.faults.truth

    def begin(self) -> None:
        """Tell the story from now on (again)."""
        self._due = [(self.now + round(m.at_s * 1000), m) for m in self._story]

    def step(self, t: Ms) -> None:
        """Move to site time `t`, through every moment of the story on the way."""
        while self._due and self._due[0][0] <= t:
            at, moment = self._due.pop(0)
            self.plant.step(at)
            self._happen(moment)
            if self._repeat_ms:
                self._due.append((at + self._repeat_ms, moment))
                self._due.sort(key=lambda due: due[0])
        self.plant.step(t)

    def _happen(self, moment: Moment) -> None:
        if moment.clear:
            self.faults.clear(moment.kind or None, moment.target or None)
        else:
            self.faults.apply(moment.kind, moment.target, moment.severity)

    def values(self, asset: str) -> Mapping[str, float]:
        """Readings of an asset now. Raises KeyError."""
        return self.plant.values(asset)


class Live:
    """A simulation that follows a clock; what servers and the control channel hold."""

    def __init__(self, simulation: Simulation, clock: Clock) -> None:
        self.simulation = simulation
        self.clock = clock

    def advance(self) -> Ms:
        """Bring the plant to the present site time; its time."""
        self.simulation.step(self.clock.now())
        return self.simulation.now

    def values(self, asset: str) -> Mapping[str, float]:
        """Readings of an asset."""
        return self.simulation.values(asset)

    def device_fault(self, device: str) -> tuple[str, float]:
        """(kind, severity) of a device fault, ("", 0) when it is well."""
        return self.simulation.faults.devices.get(device, ("", 0.0))
