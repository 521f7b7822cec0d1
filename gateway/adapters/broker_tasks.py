"""Ending background tasks for good."""

from __future__ import annotations

import asyncio
from typing import Any

AGAIN_S = 0.5


async def end(task: asyncio.Task[Any] | None) -> None:
    """Cancel a task until it has ended; its result is of no interest any more.

    Once is not enough: client libraries wait with `asyncio.wait_for`, which in Python 3.11 swallows a
    cancellation that arrives together with the answer, and the task's loop would go on for ever.
    """
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=AGAIN_S)
    if task is not None and not task.cancelled():
        task.exception()
