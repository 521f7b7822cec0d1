"""What goes back to the edges after a commit: receipts, and questions for point tables."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import orjson

from gateway.codec import Ack, Topic
from gateway.core.edges import Edges
from gateway.core.ranges import Applied
from gateway.errors import Retryable
from gateway.model import Ms
from gateway.ports import Bus, Clock

log = logging.getLogger(__name__)

ASK_AGAIN_S = 5.0


class Receipts:
    """Never raises: an edge sends again what it has no receipt for, and then gets one."""

    def __init__(self, bus: Bus, edges: Edges, applied: Applied, clock: Clock) -> None:
        self._bus, self._edges, self._applied, self._clock = bus, edges, applied, clock
        self._asked: dict[tuple[str, str, str], float] = {}
        self._failed = 0

    async def send(self, lanes: Iterable[tuple[str, str, str]], now: Ms) -> None:
        """Tell each lane (gateway, boot, lane) how far it is applied."""
        for lane in sorted(lanes):
            gateway, boot, name = lane
            upto = self._applied.upto(lane)
            if not upto or gateway not in self._edges:
                continue
            edge = self._edges[gateway]
            if not await self._publish(edge.estate, gateway, "ack", Ack(boot, name, upto).encode()):
                return
            edge.last_receipt = now

    async def ask(self, wanted: Iterable[tuple[str, str, str]]) -> None:
        """Ask for tables (estate, gateway, tab), each at most every few seconds."""
        at = self._clock.monotonic()
        open_ = set(wanted)
        self._asked = {w: t for w, t in self._asked.items() if w in open_}
        for want in sorted(open_):
            if want in self._asked and at - self._asked[want] < ASK_AGAIN_S:
                continue
            self._asked[want] = at
            estate, gateway, tab = want
            await self._publish(estate, gateway, "cmd", orjson.dumps({"cmd": "table", "tab": tab}))

    async def refresh(self, gateways: Iterable[str]) -> None:
        """Ask edges to send every value again, changed or not."""
        for gateway in sorted(gateways):
            estate = self._edges[gateway].estate
            await self._publish(estate, gateway, "cmd", orjson.dumps({"cmd": "resend"}))

    async def _publish(self, estate: str, gateway: str, leaf: str, payload: bytes) -> bool:
        try:
            await self._bus.publish(str(Topic(estate, gateway, leaf)), payload)
        except Retryable as e:
            self._failed += 1
            if self._failed == 1:
                log.warning("receipts wait reason=%r; the edges will send again", str(e))
            return False
        if self._failed:
            log.warning("receipts go out again after failures=%d", self._failed)
            self._failed = 0
        return True
