"""The core's face towards the web: questions with a scope, commands into the inbox, the live stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from gateway.core.loop import Core
from gateway.errors import NotFound
from gateway.model import Actor, Command, Ms, Scope
from gateway.ports import Message, SampleStore, StateStore

ENDED = frozenset({"CLOSED", "CANCELLED"})


class CoreDesk:
    """Implements `ports.Desk` on a core in the same process. `can` is the web's permission table."""

    def __init__(self, core: Core, can: Callable[[Actor, str], bool]) -> None:
        self._core, self._can = core, can

    def now(self) -> Ms:
        """Site time."""
        return self._core.clock.now()

    def snapshot(self, scope: Scope) -> dict[str, Any]:
        """Everything a screen needs to start; `seq` is the stream position to go on from."""
        core = self._core
        dispatch = core.parts.dispatch
        return {
            "now": self.now(),
            "seq": core.hub.seq,
            **core.view.static(scope),
            "values": core.view.values(scope, self.now()),
            "alarms": [
                a.as_dict()
                for a in dispatch.book.alarms.values()
                if a.state != "NORM" and core.view.allows(scope, a.asset)
            ],
            "orders": [
                o.as_dict()
                for o in dispatch.orders.orders.values()
                if o.state not in ENDED and core.view.allows(scope, o.asset)
            ],
            "shift": self._shift(scope),
            "health": self.health(),
        }

    def _shift(self, scope: Scope) -> list[dict[str, Any]]:
        """People on duty, each role once, in the estates within scope."""
        core, now = self._core, self.now()
        rows: dict[str, dict[str, Any]] = {}
        for e in core.parts.site.file.estates:
            if not scope.allows(firm=e.firm, estate=e.id):
                continue
            for row in core.parts.dispatch.announcer.roster.table(e.id, now):
                known = rows.setdefault(row["duty"], {"duty": row["duty"], "people": []})
                known["people"] += [p for p in row["people"] if p not in known["people"]]
        return list(rows.values())

    async def submit(self, command: Command) -> dict[str, Any]:
        """See `Core.submit`."""
        return await self._core.submit(command)

    def stream(self, scope: Scope, after: int | None) -> AsyncIterator[Message]:
        """Live messages within scope."""
        return self._core.hub.subscribe(scope, after)

    @property
    def samples(self) -> SampleStore:
        """History of samples."""
        return self._core.parts.samples

    @property
    def state(self) -> StateStore:
        """Events and records."""
        return self._core.parts.state

    def series_id(self, point: str, scope: Scope) -> int:
        """Raises NotFound when the point is unknown or outside the scope."""
        series = self._core.view.series_id(point)
        if series is None or not self._core.view.allows(scope, point.split("/", 1)[0]):
            raise NotFound(f"there is no point {point}")
        return series

    def health(self) -> dict[str, Any]:
        """What the operator and the doctor ask; no secrets."""
        core = self._core
        now = self.now()
        return {
            "now": now,
            "ready": core.ready.is_set(),
            "last_turn": core.last_turn,
            "turns": core.turns,
            "stuck": core.writer.stuck,
            "edges": core.edges.health(now),
            "bus": dict(core.parts.bus.health()),
            "plain": dict(core.parts.plain),
            "intake": {
                "parked": core.intake.parked,
                "duplicates": core.intake.duplicates,
                "rejected": dict(core.intake.rejected),
                "gone": core.intake.gone,
                "clock_ahead_ms": dict(core.intake.ahead),
                "detectors": dict(core.brain.engine.counts),
                "filling": sorted(core.brain.fills),
            },
            "balance": core.balance.sheet(core.intake.parked_points).as_dict(),
            "values": len(core.view),
            "stale": core.view.stale(),
            "channels": dict(core.parts.sender.health()),
            "notices": dict(core.parts.sender.counts),
            "subscribers": core.hub.subscribers,
            "speed": core.clock.speed,
        }

    def can(self, actor: Actor, action: str) -> bool:
        """Whether the actor's role allows the action."""
        return self._can(actor, action)
