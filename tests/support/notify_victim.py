"""A sender in a process of its own, to be killed: sends what waits in a state store to a webhook."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.adapters.clock import SystemClock, epoch
from gateway.adapters.notify_webhook import WebhookNotifier
from gateway.adapters.state import open_state
from gateway.core.sender import Channel, Sender

SECRET = b"between test and victim"


async def main(path: Path, url: str) -> None:
    state, clock = open_state(path), SystemClock()
    sender = Sender(state, [Channel("push", WebhookNotifier(url, SECRET, epoch))], clock)
    while await sender.once() or {"waiting", "failed"} & set(state.notice_counts()):
        await clock.sleep_real(0.01)
    state.close()


def run(path: str, url: str) -> None:
    """Until nothing is left."""
    asyncio.run(main(Path(path), url))
