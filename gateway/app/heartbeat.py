"""Tells an address outside that the core works; its silence is somebody else's alarm."""

from __future__ import annotations

import asyncio
import logging
import urllib.error
import urllib.request

from gateway.config.services import Watchdog
from gateway.core.loop import Core
from gateway.ports import Clock

log = logging.getLogger(__name__)

TIMEOUT_S = 10.0


async def heartbeat(options: Watchdog, core: Core, clock: Clock) -> None:
    """Call the address every `heartbeat_s` real seconds, but only while the core's turns go on."""
    if not options.heartbeat_url:
        return
    failures, seen = 0, -1
    while True:
        await clock.sleep_real(options.heartbeat_s)
        if core.last_turn == seen:
            log.error("core makes no turns; the heartbeat is withheld")
            continue
        seen = core.last_turn
        try:
            await asyncio.to_thread(_call, options.heartbeat_url)
        except OSError as e:
            failures += 1
            if failures == 1:
                log.warning("heartbeat address does not answer reason=%r", str(e))
        else:
            if failures:
                log.warning("heartbeat address answers again after failures=%d", failures)
            failures = 0


def _call(url: str) -> None:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - from the site file
        answer.read(100)
