"""What a person may ask of an edge from afar: the frames of a line, and to try a silent device again.

What changes something at the edge is noted in the event log before it goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from alerts.desk import Outcome
from gateway.app.edge_orders import ANSWER_S, order
from gateway.app.point_writes import CoreLoop, Other
from gateway.app.setup import Setup
from gateway.config.site import Device, Gateway
from gateway.core.edge_calls import EdgeCalls
from gateway.errors import Forbidden, NotFound, Retryable
from gateway.model import Actor, Command, Event
from gateway.ports import Clock

ACTS = {"edge.trace": "trace", "edge.retry": "retry"}
"""Kinds of commands, as the permission table names them, and what the edge calls them."""


class EdgeActs:
    """permitted: whether a role may do an act · other: whose all other commands are.

    Set `loop` before the first `act`.
    """

    def __init__(
        self, setup: Setup, calls: EdgeCalls, clock: Clock, permitted: Callable[[str, str], bool],
        other: Other,
    ) -> None:  # fmt: skip
        self._setup, self._calls, self._clock = setup, calls, clock
        self._permitted, self._other = permitted, other
        self._gateways = {g.id: g for g in setup.site.file.gateways}
        self.loop: CoreLoop

    def command(self, cmd: Command) -> tuple[Outcome, dict[str, Any]]:
        """Note that a person asked. Raises Forbidden, NotFound."""
        if cmd.kind not in ACTS:
            return self._other(cmd)
        gateway = self._may(cmd.actor, cmd.kind, cmd.subject, cmd.data)
        event = Event(
            f"{cmd.kind}:{cmd.id}", gateway.estate, cmd.received_at, cmd.kind, cmd.subject, cmd.actor.id,
            cmd.subject, dict(cmd.data),
        )  # fmt: skip
        return Outcome(events=[event]), dict(cmd.data)

    async def act(
        self, actor: Actor, kind: str, gateway: str, facts: Mapping[str, Any], key: str
    ) -> dict[str, Any]:
        """The edge's answer: {"ok", …, "code", "error"}. Looking at frames is not noted, switching them is.

        Raises Forbidden; NotFound for an edge, a line or a device that is not all within the person's scope.
        """
        found = self._may(actor, kind, gateway, facts)
        now = self._clock.now()
        if kind != "edge.trace" or facts.get("on") is not None:
            await self.loop.submit(Command(key, kind, gateway, actor, now, now, data=dict(facts)))
        boot = self.loop.boot_of(gateway)
        if not boot:
            return {"ok": False, "code": "offline", "error": f"edge {gateway} is not online"}
        body = order(self._clock, boot, ACTS[kind], **facts)
        try:
            reply = await self._calls.call(found.estate, gateway, body, ANSWER_S, signed=True)
        except Retryable as e:
            return {"ok": False, "code": "silent", "error": str(e)}
        return {k: v for k, v in reply.items() if k not in ("id", "cmd", "boot")}

    def _may(self, actor: Actor, kind: str, gateway: str, facts: Mapping[str, Any]) -> Gateway:
        """The edge. What is asked for has to lie within the scope as a whole."""
        if not self._permitted(actor.role, kind):
            raise Forbidden(f"role {actor.role} does not do {kind}")
        found = self._gateways.get(gateway)
        if found is None:
            raise NotFound(f"there is no edge {gateway}")
        firm = self._setup.site.firm_of.get(found.estate, "")
        kinds = {str(self._setup.assets[a].kind) for d in _touched(found, facts) for a in _assets(d)}
        for system in kinds or [None]:
            if not actor.scope.allows(firm=firm, estate=found.estate, system=system):
                raise NotFound(f"there is no edge {gateway}")
        return found


def _touched(gateway: Gateway, facts: Mapping[str, Any]) -> list[Device]:
    """Devices of the line or the device that is named; all of the edge when it knows no such thing."""
    of_line = [d for line in gateway.lines if line.id == facts.get("line") for d in line.devices]
    everything = [d for line in gateway.lines for d in line.devices]
    return of_line or [d for d in everything if d.id == facts.get("device")] or everything


def _assets(device: Device) -> set[str]:
    return {device.asset, *device.assets.values()}
