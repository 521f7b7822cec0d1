"""Writing a point for a person: noted in the event log before it goes out and when its result is known."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from alerts.desk import Outcome
from gateway.app.setup import Setup
from gateway.core.edge_calls import EdgeCalls
from gateway.core.loop import Core
from gateway.errors import BadInput, Forbidden, NotFound, Retryable
from gateway.model import Actor, Command, Event, Ms
from gateway.ports import Clock, StateStore

ANSWER_S = 30.0
"""Real seconds for the edge: a slow bus reads, writes and reads again."""
DONE = ":done"

Other = Callable[[Command], tuple[Outcome, dict[str, Any]]]


class CoreLoop:
    """The core, as far as a write needs it."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def submit(self, command: Command) -> dict[str, Any]:
        """Put a command into the inbox; its effect."""
        return await self._core.submit(command)

    def boot_of(self, gateway: str) -> str:
        """The boot of an edge that is present; "" when it is not."""
        edge = self._core.edges[gateway]
        return edge.boot if edge.present(self._core.clock.now()) else ""


class PointWrites:
    """permitted: whether a role may write at all · other: whose all other commands are.

    Set `loop` before the first `write`.
    """

    def __init__(
        self, setup: Setup, state: StateStore, calls: EdgeCalls, clock: Clock,
        permitted: Callable[[str], bool], other: Other,
    ) -> None:  # fmt: skip
        self._setup, self._state, self._calls, self._clock = setup, state, calls, clock
        self._permitted, self._other = permitted, other
        self.loop: CoreLoop
        self._allowed = {
            f"{p.asset}/{p.tag}"
            for _, gateway, _, device in setup.site.devices()
            for p in setup.models[gateway.id, device.id].points
            if p.tag in device.writes
        }

    # ── what is noted ─────────────────────────────────────────────────────────────────────────────

    def command(self, cmd: Command) -> tuple[Outcome, dict[str, Any]]:
        """Note that a person asked, or what came of it. Raises Forbidden, NotFound, BadInput."""
        if cmd.kind not in ("point.write", "point.written"):
            return self._other(cmd)
        asset = self._setup.assets.get(cmd.subject.partition("/")[0])
        if asset is None or cmd.subject not in self._setup.points:
            raise NotFound(f"there is no point {cmd.subject}")
        estate = asset.estate
        if cmd.kind == "point.write":
            self._may(cmd, self._setup.site.firm_of.get(estate, ""), estate, asset.kind)
        event = Event(
            f"{cmd.kind}:{cmd.id}", estate, cmd.received_at, cmd.kind, cmd.subject, cmd.actor.id, asset.id,
            dict(cmd.data),
        )  # fmt: skip
        return Outcome(events=[event]), dict(cmd.data)

    def _may(self, cmd: Command, firm: str, estate: str, system: str) -> None:
        if not self._permitted(cmd.actor.role):
            raise Forbidden(f"role {cmd.actor.role} does not write points")
        if not cmd.actor.scope.allows(firm=firm, estate=estate, system=system):
            raise NotFound(f"there is no point {cmd.subject}")
        if cmd.subject not in self._allowed:
            raise BadInput(
                f"{cmd.subject} may not be written", field="point", hint="the site file lists what may be"
            )

    # ── what is done ──────────────────────────────────────────────────────────────────────────────

    async def write(self, actor: Actor, point: str, value: float, reason: str, key: str) -> dict[str, Any]:
        """{"result": done | refused | failed | mismatch | unknown, "code", "old", "new", "error"}.

        The same key gives the first result and writes nothing twice. Raises what `command` raises, and
        Retryable when the log cannot be written: then nothing was sent.
        """
        known = await asyncio.to_thread(self._state.command, key + DONE)
        if known is not None:
            return known
        now = self._clock.now()
        await self.loop.submit(
            Command(key, "point.write", point, actor, now, now, data={"value": value, "reason": reason})
        )
        result = await self._sent(actor, point, value, reason, key, now)
        facts = {"value": value, "write": key, **result}
        return await self.loop.submit(
            Command(key + DONE, "point.written", point, actor, self._clock.now(), now, data=facts)
        )

    async def _sent(
        self, actor: Actor, point: str, value: float, reason: str, key: str, now: Ms
    ) -> dict[str, Any]:
        gateway, _ = self._setup.device_of[point]
        estate = next(g.estate for g in self._setup.site.file.gateways if g.id == gateway)
        boot = self.loop.boot_of(gateway)
        if not boot:
            return {"result": "refused", "code": "offline", "error": f"edge {gateway} is not online"}
        body = {
            "cmd": "write", "id": hashlib.sha256(key.encode()).hexdigest()[:24], "boot": boot, "point": point,
            "value": value, "reason": reason, "by": actor.id, "role": actor.role,
            "until": now + round(ANSWER_S * 1000 * self._clock.speed),
        }  # fmt: skip
        try:
            reply = await self._calls.call(estate, gateway, body, ANSWER_S, signed=True)
        except Retryable as e:
            return {"result": "unknown", "code": "silent", "error": str(e)}
        return _result(reply)


def _result(reply: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: reply[k] for k in ("result", "code", "old", "new", "error") if k in reply}
    return kept if "result" in kept else {"result": "unknown", "code": "silent", **kept}
