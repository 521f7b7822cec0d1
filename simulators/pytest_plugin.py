"""The fixture `estate`, for people who test their own software against simulated estates.

    async def test_my_reader(estate):
        async with estate("demo", seed=3) as live:
            reader = MyReader(live.endpoints.lines["e1-plant"])
            …
            assert live.truth[0].fault == "pump_trip"

Nothing is imported before a test asks for it: the plugin loads with every pytest of an environment.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gateway.model import Ms
    from gateway.ports import Clock
    from simulators.faults import Truth
    from simulators.serve import Endpoints
    from simulators.world import Simulation


@dataclass(slots=True)
class LiveEstate:
    """Live endpoints, and the truth about what is wrong behind them."""

    simulation: Simulation
    endpoints: Endpoints
    clock: Clock

    @property
    def truth(self) -> list[Truth]:
        """Every label so far, at the present site time."""
        self.simulation.step(self.clock.now())
        return self.simulation.truth

    def fault(self, kind: str, asset: str, severity: float | None = None) -> Truth | None:
        """Break something now. Raises BadInput."""
        self.simulation.step(self.clock.now())
        return self.simulation.faults.apply(kind, asset, severity)

    def clear(self, kind: str | None = None, asset: str | None = None) -> int:
        """Put it right again; how many faults there were."""
        self.simulation.step(self.clock.now())
        return self.simulation.faults.clear(kind, asset)


EstateFactory = Callable[..., AbstractAsyncContextManager[LiveEstate]]


@pytest.fixture
def estate() -> EstateFactory:
    """`estate(scenario="calm", seed=1, estates=1, speed=1.0, clock=None, start=None)`.

    Site time begins at the scenario's own start unless `start` (ms UTC) or a clock is given.
    """
    return _estate


@asynccontextmanager
async def _estate(
    scenario: str = "calm",
    seed: int = 1,
    *,
    estates: int = 1,
    speed: float = 1.0,
    clock: Clock | None = None,
    start: Ms | None = None,
) -> AsyncIterator[LiveEstate]:
    from simulators.clock import LoopClock
    from simulators.layout import demo_layout
    from simulators.scenario import load_scenario
    from simulators.serve import serve
    from simulators.world import Simulation

    story = load_scenario(scenario)
    layout = demo_layout(estates)
    time = clock or LoopClock(story.scenario.start_ms if start is None else start, speed)
    simulation = Simulation(layout, seed, time.now(), story)
    async with serve(simulation, layout, time) as endpoints:
        yield LiveEstate(simulation, endpoints, time)
