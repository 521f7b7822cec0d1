"""What every process of one installation shares: data directory, clock, broker addresses."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from gateway.adapters.clock import SystemClock
from gateway.model import Ms

MQTT = "STEWARD_MQTT"
NATS = "STEWARD_NATS"
CLOCK = "STEWARD_CLOCK"
DEMO = "STEWARD_DEMO"


def broker_url(of_site: str) -> str:
    """The broker of a role that runs by itself: STEWARD_MQTT, else the site file's, else this machine's."""
    return os.environ.get(MQTT) or of_site or "mqtt://127.0.0.1:1883"


def supervised() -> bool:
    """Whether `steward run` or `demo` started this process: they hand their clock down."""
    return CLOCK in os.environ


@dataclass(frozen=True)
class ClockOrigin:
    """Site time was `start` (ms UTC) at the machine's monotonic instant `at` and runs at `speed`."""

    speed: float = 1.0
    at: float = 0.0
    start: Ms = 0

    @classmethod
    def here(cls, speed: float) -> ClockOrigin:
        """Site time is real time now."""
        clock = SystemClock()
        return cls(speed, clock.monotonic(), clock.now())

    @classmethod
    def from_env(cls) -> ClockOrigin:
        """As the parent process set it; real time otherwise."""
        text = os.environ.get(CLOCK, "")
        if not text:
            return cls()
        speed, at, start = text.split(",")
        return cls(float(speed), float(at), int(start))

    def __str__(self) -> str:
        return f"{self.speed!r},{self.at!r},{self.start}"

    def clock(self) -> SystemClock:
        """The clock of this process."""
        if self.speed == 1.0:
            return SystemClock()
        return SystemClock.shared(self.speed, self.at, self.start)


@dataclass(frozen=True)
class Places:
    """Files of a data directory."""

    root: Path

    @property
    def logs(self) -> Path:
        """Log files of all roles."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """What says which processes run and where they listen; worthless after a stop."""
        return self.root / "run"

    @property
    def web(self) -> Path:
        """{"url": …} of the web server once it accepts connections."""
        return self.run / "web.json"

    @property
    def children(self) -> Path:
        """{name: pid} of the supervised processes."""
        return self.run / "children.json"

    @property
    def admin(self) -> Path:
        """The first admin password, for the one who started the supervisor; deleted when it was shown."""
        return self.run / "first-admin"

    @property
    def notices(self) -> Path:
        """Where `file:` channels of the demo write."""
        return self.root / "notices.jsonl"
