"""A whole edge as a process of its own, for tests that kill it: python -m tests.e2e.edge_process FOLDER PORT.

Values and a call button over the real poller, outbox and MQTT; only the devices are small.
"""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from pathlib import Path

from gateway.adapters.clock import SystemClock
from gateway.adapters.paho_uplink import PahoUplink
from gateway.edge.agent import DeviceConfig, Edge, EdgeConfig, Hello, LineConfig
from gateway.model import Point
from tests.unit.gateway_edge.edge_fakes import FakeDriver, FakeModel, FakeUnit, control, points


def options() -> Namespace:
    """How much it reads, how often (site seconds), how fast site time runs, the bound of its outbox."""
    p = ArgumentParser()
    p.add_argument("folder", type=Path)
    p.add_argument("port", type=int)
    p.add_argument("--points", type=int, default=20)
    p.add_argument("--period", type=float, default=0.05)
    p.add_argument("--speed", type=float, default=1.0)
    p.add_argument("--bytes", type=int, default=512_000_000)
    return p.parse_args()


def main(o: Namespace) -> None:
    clock = SystemClock(o.speed)
    count = 0

    def value(address: int) -> int:
        nonlocal count
        count += 1
        return count // 200 % 2 if address == o.points else count % 60_000

    button = Point("lift-1", "call", kind="digital", period_s=o.period, life=True)
    device = DeviceConfig("d1", 1, FakeModel.dense([*points(o.points, period_s=o.period), button]))
    line = LineConfig("bus", FakeDriver(clock, {1: FakeUnit(value=value, rtt_s=0.001)}), [device])
    config = EdgeConfig(
        "garden", "gw-1", [line], o.folder, "cfg", "1", o.bytes, tick_s=0.02, account_s=0.3 * o.speed
    )

    def uplink(hello: Hello) -> PahoUplink:
        return PahoUplink(
            "127.0.0.1", o.port, client_id=hello.client_id, subscribe=hello.subscribe, will=hello.will
        )

    asyncio.run(Edge(config, clock, uplink, control=control(o.folder)).run())


if __name__ == "__main__":
    main(options())
