"""The edge's own health, read like a device: a driver that asks nobody, on a line of its own.

What it says travels, is stored, judged and shown like any other reading. The profile `steward_gateway` gives
the words their names; the points belong to the gateway's asset.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.edge.config import DeviceConfig, LineConfig
from gateway.ports import Answer, Block, Clock, DeviceModel

LINE = DEVICE = "steward-self"
"""Id of the line and of its only device; a site file cannot give it away."""
PROFILE = "steward_gateway"
SENTENCE = "GW"
FIELDS = (
    "lines_down", "units_silent", "lines_overloaded", "late_ms", "clock_offset_ms", "clock_steps",
    "outbox_rows", "outbox_mb", "outbox_in_memory", "outbox_full", "damaged_files", "cpu_pct", "rss_mb",
    "core_silent", "outputs_on", "outputs_failed", "writes_unmatched",
)  # fmt: skip
"""Fields of the sentence from number 1 on."""
UNKNOWN = "-"
LATE_READS = 5
"""Lateness is the worst of so many reads."""

Facts = Callable[[], Mapping[str, float]]


class Vitals:
    """What the process says of itself. `source`: the edge's facts (Edge.facts), set when there is an edge."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder, self._clock = folder, clock
        self.source: Facts = dict
        self._late: deque[float] = deque(maxlen=LATE_READS)
        self._busy, self._at = _busy_s(), clock.monotonic()

    def read(self) -> dict[str, float]:
        """All of FIELDS that are known. CPU is the share of one processor (%) since the last read."""
        facts = dict(self.source())
        self._late.append(facts.get("late_max_ms", 0.0))
        facts["late_ms"] = max(self._late)
        if "outbox_bytes" in facts:
            facts["outbox_mb"] = round(facts["outbox_bytes"] / 1e6, 1)
        facts["damaged_files"] = len(list(self._folder.glob("outbox.db.damaged-?")))
        facts["cpu_pct"] = self._cpu()
        rss = rss_mb()
        if rss is not None:
            facts["rss_mb"] = round(rss, 1)
        return {name: facts[name] for name in FIELDS if name in facts}

    def _cpu(self) -> float:
        busy, at = _busy_s(), self._clock.monotonic()
        share = (busy - self._busy) / (at - self._at) if at > self._at else 0.0
        self._busy, self._at = busy, at
        return round(100 * share, 1)


class SelfDriver:
    """`Driver` of the line to oneself; never down, never late."""

    def __init__(self, vitals: Vitals, clock: Clock) -> None:
        self._vitals, self._clock = vitals, clock

    async def open(self) -> None:
        """Nothing to connect."""

    async def close(self) -> None:
        """Nothing to disconnect."""

    async def read(self, block: Block, timeout_s: float) -> Answer:
        """The sentence of now."""
        known = self._vitals.read()
        words = [f"{known[name]:.12g}" if name in known else UNKNOWN for name in FIELDS]
        return Answer(block, self._clock.now(), fields=(SENTENCE, *words))


def self_line(vitals: Vitals, model: DeviceModel, clock: Clock) -> LineConfig:
    """The line to oneself. model: the profile bound to the gateway's asset. It stays over a reload."""
    driver = SelfDriver(vitals, clock)
    return LineConfig(LINE, driver, [DeviceConfig(DEVICE, 1, model, content=PROFILE)], content=PROFILE)


def rss_mb() -> float | None:
    """Memory of this process, in MB; None where the system has no /proc."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return None
    return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _busy_s() -> float:
    used = os.times()
    return used.user + used.system
