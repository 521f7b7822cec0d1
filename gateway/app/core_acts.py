"""What people do through a running core beside its own commands: writing, asking edges, answering calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from alerts.desk import Dispatch
from alerts.people import Staff
from alerts.plans import PlanBook
from alerts.staffing import StaffBook
from dashboards.access.permissions import allows
from gateway.adapters.clock import epoch
from gateway.adapters.notify import Means
from gateway.adapters.state import SqlState
from gateway.app.answers import Answers
from gateway.app.channels import People, channels, guarded
from gateway.app.edge_acts import EdgeActs
from gateway.app.point_writes import CoreLoop, PointWrites
from gateway.app.settings import Settings
from gateway.app.setup import Setup
from gateway.core.edge_calls import EdgeCalls
from gateway.core.loop import Core
from gateway.core.sender import Sender
from gateway.ports import Clock


@dataclass(slots=True)
class Acts:
    """They need the core, and the core needs some of them: `bind` closes the circle."""

    writes: PointWrites
    edges: EdgeActs
    answers: Answers
    staff: Callable[[], Staff]

    @classmethod
    def make(
        cls,
        setup: Setup,
        data: Path,
        state: SqlState,
        calls: EdgeCalls,
        clock: Clock,
        dispatch: Dispatch,
        settings: Settings,
    ) -> Acts:
        """Not bound yet."""
        writes = PointWrites(
            setup, state, calls, clock, lambda role: allows(role, "point.write"), settings.command
        )
        edges = EdgeActs(setup, calls, clock, allows, writes.command)
        book = next(b for b in dispatch.books if isinstance(b, StaffBook))
        return cls(writes, edges, Answers(dispatch, state, clock, data), lambda: book.staff)

    def sender(self, setup: Setup, data: Path, state: SqlState, clock: Clock) -> Sender:
        """Sends notices; what a person answers to one comes back here. Call it on the event loop."""
        means = Means(data, epoch, clock.monotonic, guarded(self.writes, asyncio.get_running_loop()))
        return Sender(
            state, channels(setup, means), clock, directory=People(state, setup.site.timezone, self.staff),
            link_of=self.answers.link, accepted=self.answers.pressed,
        )  # fmt: skip

    def bind(self, core: Core, dispatch: Dispatch, clock: Clock) -> None:
        """From now on acts reach the core."""
        self.writes.loop = self.edges.loop = self.answers.loop = CoreLoop(core)
        for book in dispatch.books:
            if isinstance(book, PlanBook):
                book.value_of = lambda point: core.view.value(point, clock.now())
