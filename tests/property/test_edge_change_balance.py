"""Devices that are edited, come, go and fall silent while their line polls: every point stays explained."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.edge.unit import Unit
from tests.unit.gateway_edge.edge_bench import model
from tests.unit.gateway_edge.edge_fakes import FakeUnit
from tests.unit.gateway_edge.test_edge_line_change import Changing, on_grid

STEPS = st.lists(
    st.fixed_dictionaries(
        {
            "seconds": st.floats(0.0, 3.0),
            "unit": st.integers(1, 4),
            "what": st.sampled_from(["edit", "edit", "remove", "add", "silent", "down"]),
            "points": st.integers(1, 5),
            "period": st.sampled_from([0.2, 0.5, 1.0]),
            "life": st.booleans(),
        }
    ),
    min_size=1,
    max_size=15,
)
WATCHED = 5
"""A device that nobody touches; the others may share its line but not its instants."""


async def live_through(steps: list[dict[str, Any]]) -> None:
    fakes = [FakeUnit(rtt_s=0.004) for _ in range(WATCHED)]
    async with Changing([model(3) for _ in fakes], fakes, timeout_s=0.05).running() as b:
        sizes = dict.fromkeys(range(WATCHED), 3)
        fresh = WATCHED
        await b.clock.advance(1.5)
        silences = 0
        for step in steps:
            await b.clock.advance(step["seconds"])
            unit, here = step["unit"], {u.config.unit: u for u in b.units}
            if step["what"] == "silent":
                fakes[unit - 1].silent = not fakes[unit - 1].silent
                silences += 1
            elif step["what"] == "down":
                b.driver.down = not b.driver.down
                silences += 1
            else:
                others: list[Unit] = [u for u in b.units if u.config.unit != unit]
                if step["what"] == "remove":
                    await b.change(others)
                elif step["what"] == "edit" or unit not in here:
                    new = model(step["points"], step["period"], life=step["life"])
                    fresh += 1
                    sizes[fresh - 1] = step["points"]
                    await b.change([*others, b.fresh(fresh, unit, new)])
            explain(b, sizes)
        b.driver.down = False
        await b.clock.advance(4)
        explain(b, sizes)
        # Whatever happened to the others, each round of the one that stayed was read or is a gap.
        rounds = b.explained(WATCHED - 1) / 3
        elapsed = b.clock.monotonic()
        assert elapsed - 1 <= rounds <= elapsed + 1
        if not silences:
            assert on_grid(b.asked(WATCHED), slack=0.1)
            assert not [c for n, c in b.sink.gaps if n == WATCHED - 1]


def explain(b: Changing, sizes: dict[int, int]) -> None:
    """Whole rounds: a round is one request here, so there is never half of one."""
    for device, points in sizes.items():
        assert b.explained(device) % points == 0, device


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_every_due_point_is_explained_through_every_change(steps: list[dict[str, Any]]) -> None:
    asyncio.run(live_through(steps))
