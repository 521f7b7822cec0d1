"""Register change → alarm on the stream, by stage, on the real chain.

Stages: `poll` from the change in the plant to the reply that carries it; `edge` from the reply to a
subscriber of the broker (decode, outbox commit, MQTT); `core` from there to the browser's socket (intake,
sample store, rules, alarm, order, SQL commit, encoding, HTTP). The goal is p95 of `beyond_poll`, which is
`edge` + `core`, <= 400 ms.
"""

from __future__ import annotations

import asyncio
import queue
import statistics
import tempfile
import threading
from pathlib import Path
from typing import Any

from rich.console import Console

from gateway.adapters.mqtt_side import MqttSide
from gateway.app.client import Client
from gateway.app.context import ClockOrigin
from gateway.app.demo import Demo, DemoOptions, _demo
from gateway.codec import EventMessage
from gateway.errors import Retryable
from simulators.control import send

ROUNDS = 30
RULE = "call.active"
ASSET = "call-1"
WAIT_S = 20.0


def run() -> dict[str, Any]:
    """p50 and p95 in ms by stage over ROUNDS calls for help."""
    return asyncio.run(_run())


async def _run() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        origin = ClockOrigin.here(1.0)
        options = DemoOptions(port=0, scenario="calm", data=Path(folder))
        console = Console(quiet=True)
        async with _demo(options, origin, Path(folder), origin.clock().monotonic(), console) as demo:
            heard = _listen(demo)
            wire: list[tuple[int, int]] = []
            tap = asyncio.create_task(_tap(demo, wire))
            await asyncio.sleep(5)
            rows = [await _round(demo, heard, wire) for _ in range(ROUNDS)]
            tap.cancel()
            await asyncio.wait([tap])
    stages = {name: [r[name] for r in rows] for name in rows[0]}
    out: dict[str, Any] = {"rounds": ROUNDS}
    for name, values in stages.items():
        out[f"{name}_p50_ms"] = statistics.median(values)
        out[f"{name}_p95_ms"] = sorted(values)[int(0.95 * (len(values) - 1))]
    return out


def _listen(demo: Demo) -> queue.Queue[tuple[int, dict[str, Any]]]:
    """Alarm messages with the time at which they came out of the socket."""
    heard: queue.Queue[tuple[int, dict[str, Any]]] = queue.Queue()
    client = Client(demo.station.url)
    client.login("operator", demo.passwords["operator"])

    def read() -> None:
        try:
            for event, data in client.stream():
                if event == "a" and data["rule"] == RULE:
                    heard.put((demo.clock.now(), data))
        except Retryable:
            return

    threading.Thread(target=read, daemon=True).start()
    return heard


async def _round(
    demo: Demo, heard: queue.Queue[tuple[int, dict[str, Any]]], wire: list[tuple[int, int]]
) -> dict[str, float]:
    changed = demo.clock.now()
    await send(demo.control, {"do": "fault", "kind": "call_button", "asset": ASSET})
    arrived, alarm = await _until(heard, active=True)
    await send(demo.control, {"do": "clear", "kind": "call_button", "asset": ASSET})
    await _until(heard, active=False)
    raised = alarm["raised_at"]
    passed = next(at for at, t in reversed(wire) if t == raised)
    return {
        "poll": raised - changed,
        "edge": passed - raised,
        "core": arrived - passed,
        "beyond_poll": arrived - raised,
    }


async def _tap(demo: Demo, wire: list[tuple[int, int]]) -> None:
    """Every event message that passes the broker: (arrival, event time)."""
    side = MqttSide(demo.station.mqtt("core"), demo.clock, "bench")
    await side.open()
    try:
        async for d in side.watch("steward/v1/+/+/event"):
            at = demo.clock.now()
            wire.append((at, EventMessage.decode(d.payload).t))
    finally:
        await side.close()


async def _until(
    heard: queue.Queue[tuple[int, dict[str, Any]]], *, active: bool
) -> tuple[int, dict[str, Any]]:
    while True:
        arrived, alarm = await asyncio.to_thread(heard.get, timeout=WAIT_S)
        if alarm["active"] == active:
            return arrived, alarm


if __name__ == "__main__":
    print(run())
