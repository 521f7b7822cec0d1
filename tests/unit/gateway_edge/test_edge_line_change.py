"""A line whose devices change while it polls: who stays misses nothing, who goes is accounted for."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from gateway.edge.config import DeviceConfig
from gateway.edge.unit import Unit
from tests.unit.gateway_edge.edge_bench import Bench, model
from tests.unit.gateway_edge.edge_fakes import FakeModel, FakeUnit, points

FIRST_FREE = 1000
"""Numbers of points that come later."""


class Changing(Bench):
    """A bench whose devices can be exchanged."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Changing]:
        async with super().running():
            yield self

    def fresh(self, n: int, unit: int, what: FakeModel) -> Unit:
        """Device `n` anew, with numbers that nobody had."""
        config = DeviceConfig(f"d{n}", unit, what, 0.2)
        return Unit(config, n - 1, FIRST_FREE * n, max_gap=10, min_timeout_s=0.05, lessons=())

    async def change(self, units: Sequence[Unit]) -> None:
        self.units = list(units)
        config = replace(self.line._config, devices=[u.config for u in units])
        self.line.replace(config, units)
        await self.clock.advance(0)


def on_grid(times: Sequence[float], period: float = 1.0, slack: float = 0.05) -> bool:
    """Every round once; a unit may wait for the end of other requests."""
    return all(abs(y - x - period) < slack for x, y in itertools.pairwise(times))


async def test_whoever_stays_misses_nothing_at_whatever_instant_another_is_edited() -> None:
    models = [model(3) for _ in range(20)]
    async with Changing(models, [FakeUnit() for _ in range(30)]).running() as b:
        await b.clock.advance(5)
        for k in range(60):
            # The line is in the middle of one of its rounds at most of these instants.
            await b.clock.advance(0.997)
            edited = b.fresh(7, 7, model(3 + k % 4))
            await b.change([u if u.config.id != "d7" else edited for u in b.units])
        await b.clock.advance(5)
        assert b.driver.opened == 1
        for n in (n for n in range(1, 21) if n != 7):
            assert len(b.asked(n)) >= 64
            assert on_grid(b.asked(n)), n
        assert len(b.asked(7)) >= 64, "the edited one keeps its instants too"
        assert on_grid(b.asked(7))
        assert not b.sink.gaps
        assert b.line.overloaded is False


async def test_devices_come_and_go_and_the_line_wakes_up_for_them() -> None:
    async with Changing([model(2, 60.0), model(2, 60.0)], [FakeUnit() for _ in range(5)]).running() as b:
        await b.clock.advance(70)
        await b.change([*b.units, b.fresh(3, 3, model(2, 0.5))])
        await b.clock.advance(2)
        assert 3 <= len(b.asked(3)) <= 4, "the line slept until the next round of the others"
        await b.change([u for u in b.units if u.config.id != "d2"])
        before = len(b.asked(2))
        await b.clock.advance(200)
        assert len(b.asked(2)) == before
        assert on_grid(b.asked(1), 60.0)
        await b.change([u for u in b.units if u.config.id != "d3"])
        rounds = len(b.asked(3))
        await b.clock.advance(5)
        assert len(b.asked(3)) == rounds
        assert [s.unit for s in b.line.stats().units] == [1]
        assert not b.sink.gaps


async def test_the_rest_of_a_round_of_a_device_that_went_is_a_gap_and_its_answer_counts() -> None:
    far = FakeModel.dense(points(4), step=100)  # four requests a round
    units = [FakeUnit(rtt_s=0.1), FakeUnit(rtt_s=0.01)]
    async with Changing([far, model(2)], units).running() as b:
        await b.clock.advance(4.5)
        while b.line._reading is None or b.line._reading.number != 1:
            await b.clock.advance(0.02)
        asked, explained = len(b.asked(1)), b.explained(0)
        await b.change([u for u in b.units if u.config.id != "d1"])
        await b.clock.advance(5)
        assert len(b.asked(1)) == asked, "a device that is gone was asked again"
        assert b.sink.gaps[0, "stopped"] > 0
        assert b.explained(0) == 4 * (explained // 4 + 1), "the round under way is one whole round"
        assert on_grid(b.asked(2)[-4:])
        assert {cause for _, cause in b.sink.gaps} == {"stopped"}


async def test_devices_behind_one_unit_number_share_it_on_when_one_of_them_changes() -> None:
    shared = [model(2), model(2, start=4), model(2)]
    b = Changing(shared, [FakeUnit(), FakeUnit()], timeout_s=0.2, numbers=[1, 1, 2])
    async with b.running():
        await b.clock.advance(3)
        b.driver.units[1].silent = True
        await b.clock.advance(20)
        health, unit = b.units[0].health, b.line.stats().units[0]
        assert health.open
        await b.change([b.units[0], b.fresh(2, 1, model(3, start=4)), b.units[2]])
        assert b.units[0].health is health
        assert b.units[1].health is health
        assert b.line.stats().units[0].requests == unit.requests
        asked = len(b.asked(1))
        await b.clock.advance(4)
        assert len(b.asked(1)) <= asked + 2, "a silent unit is only probed, whoever joined it"
        b.driver.units[1].silent = False
        b.line.retry_now()
        await b.clock.advance(5)
        before = b.sink.count[0], b.sink.count[1]
        await b.clock.advance(10)
        assert (b.sink.count[0], b.sink.count[1]) == (before[0] + 20, before[1] + 30)
        assert len(b.asked(2)) >= 41
        assert not [cause for (n, cause) in b.sink.gaps if n == 2]


async def test_what_a_kept_device_taught_and_its_silence_stay() -> None:
    fakes = [FakeUnit(illegal=frozenset({1})), FakeUnit(silent=True), FakeUnit()]
    async with Changing([model(3), model(3), model(3)], fakes, timeout_s=0.2).running() as b:
        await b.clock.advance(60)
        first, second = b.line.stats().units[:2]
        assert (first.holes, second.silent) == (1, True)
        await b.change([b.units[0], b.units[1], b.fresh(3, 3, model(1))])
        mark = len(b.driver.log)
        await b.clock.advance(3)
        asked = [(blk.unit, blk.address, blk.count) for _, blk in b.driver.log[mark:]]
        assert (1, 0, 3) not in asked, "refused addresses were asked again"
        assert sum(u == 2 for u, _, _ in asked) <= 1
        again = b.line.stats().units
        assert again[0].holes == 1
        assert again[0].timeout_s == first.timeout_s
        assert again[1].silent


async def test_another_period_or_urgency_moves_the_deadlines_of_that_device_alone() -> None:
    async with Changing([model(2), model(2), model(2)], [FakeUnit() for _ in range(3)]).running() as b:
        await b.clock.advance(3)
        await b.change([b.units[0], b.fresh(2, 2, model(2, 0.2, life=True)), b.units[2]])
        await b.clock.advance(10)
        assert 48 <= len([t for t in b.asked(2) if t > 3]) <= 51
        assert on_grid(b.asked(1))
        assert on_grid(b.asked(3))
        assert not b.sink.gaps
