"""A whole edge as a process of its own, for tests that kill it: python -m tests.e2e.edge_process FOLDER PORT.

Twenty values and a call button every 50 ms over the real poller, outbox and MQTT; only the devices are small.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from gateway.adapters.clock import SystemClock
from gateway.adapters.paho_uplink import PahoUplink
from gateway.edge.agent import DeviceConfig, Edge, EdgeConfig, Hello, LineConfig
from gateway.model import Point
from tests.unit.gateway_edge.edge_fakes import FakeDriver, FakeModel, FakeUnit, points


def main(folder: Path, port: int) -> None:
    clock = SystemClock()
    count = 0

    def value(address: int) -> int:
        nonlocal count
        count += 1
        return count // 200 % 2 if address == 20 else count % 60_000

    pts = [*points(20, period_s=0.05), Point("lift-1", "call", kind="digital", period_s=0.05, life=True)]
    device = DeviceConfig("d1", 1, FakeModel.dense(pts))
    line = LineConfig("bus", FakeDriver(clock, {1: FakeUnit(value=value, rtt_s=0.001)}), [device])
    config = EdgeConfig("garden", "gw-1", [line], folder, "cfg", "1", tick_s=0.02, account_s=0.3)

    def uplink(hello: Hello) -> PahoUplink:
        return PahoUplink(
            "127.0.0.1", port, client_id=hello.client_id, subscribe=hello.subscribe, will=hello.will
        )

    asyncio.run(Edge(config, clock, uplink).run())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
