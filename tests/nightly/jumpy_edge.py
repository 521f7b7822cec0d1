"""`steward edge` whose clock is set an hour forward by SIGUSR1 and an hour back by SIGUSR2.

python -m tests.nightly.jumpy_edge SITE.yaml --data DIR
"""

from __future__ import annotations

import signal
import sys

from gateway.adapters.clock import SystemClock
from gateway.app.context import ClockOrigin
from gateway.cli import main

HOUR_MS = 3_600_000


class JumpyClock(SystemClock):
    """The system clock as somebody has set it."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = 0

    def now(self) -> int:
        return super().now() + self.offset


def _start() -> None:
    clock = JumpyClock()
    ClockOrigin.clock = lambda _self: clock  # type: ignore[method-assign,assignment]

    def forward(*_: object) -> None:
        clock.offset += HOUR_MS

    def back(*_: object) -> None:
        clock.offset -= HOUR_MS

    signal.signal(signal.SIGUSR1, forward)
    signal.signal(signal.SIGUSR2, back)
    main(["edge", *sys.argv[1:]])


if __name__ == "__main__":
    _start()
