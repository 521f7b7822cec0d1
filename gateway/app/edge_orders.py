"""Commands to edges that are signed for one start of theirs, and good for half a minute."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.adapters.mqtt_side import MqttAddress, MqttSide
from gateway.app.edge_keys import EdgeKeys
from gateway.core.edge_calls import EdgeCalls
from gateway.ports import Clock

ANSWER_S = 30.0
"""Real seconds for an edge to answer."""


def order(clock: Clock, boot: str, cmd: str, **facts: Any) -> dict[str, Any]:
    """The command, for EdgeCalls to sign. boot: of the edge, as its account or a greeting says."""
    until = clock.now() + round(ANSWER_S * 1000 * clock.speed)
    return {"cmd": cmd, "id": secrets.token_hex(12), "boot": boot, "until": until, **facts}


class Orders:
    """Signed commands over a connection of one's own, for those who have the keys but no core."""

    def __init__(self, calls: EdgeCalls, clock: Clock) -> None:
        self._calls, self._clock = calls, clock

    async def give(self, estate: str, gateway: str, cmd: str, **facts: Any) -> dict[str, Any]:
        """The edge's reply. Raises Retryable when it is not there or does not answer."""
        boot = await self._calls.greet(estate, gateway, ANSWER_S)
        body = order(self._clock, boot, cmd, **facts)
        return await self._calls.call(estate, gateway, body, ANSWER_S, signed=True)


@asynccontextmanager
async def orders(address: MqttAddress, data: Path, clock: Clock, name: str) -> AsyncIterator[Orders]:
    """Connected while the block runs. data: where the edges' keys are."""
    side = MqttSide(address, clock, name)
    await side.open()
    try:
        calls = EdgeCalls(side, EdgeKeys(data).get, clock)
        listening = asyncio.create_task(calls.run(), name="replies")
        try:
            yield Orders(calls, clock)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    finally:
        await side.close()
