"""kill -9 of a whole edge at random instants, before a real Mosquitto and a core that sends receipts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiomqtt
import orjson
import pytest

from gateway.codec import Ack, Data, EventMessage
from tests.contract.mosquitto_server import MOSQUITTO, Mosquitto
from tests.unit.gateway_edge.edge_fakes import FakeCore, signed, stop, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.mosquitto,
    pytest.mark.skipif(MOSQUITTO is None, reason="no Mosquitto installed"),
]

KILLS = int(os.environ.get("STEWARD_EDGE_KILLS", "12"))
SEED = int(os.environ.get("STEWARD_SEED", "1"))
ROOT = "steward/v1/garden/gw-1"
REPO = Path(__file__).parents[2]


async def serve(core: FakeCore, port: int, paused: asyncio.Event) -> None:
    """Hears everything; a few times a second it confirms what it has, unless `paused`."""
    acks: dict[tuple[str, str], Ack] = {}
    async with aiomqtt.Client(
        "127.0.0.1", port, identifier="core", clean_session=False, max_inflight_messages=100
    ) as client:
        for leaf in ("points/+", "data", "event", "account", "birth"):
            await client.subscribe(f"{ROOT}/{leaf}", qos=1)
        async with asyncio.TaskGroup() as group:
            group.create_task(confirm(client, acks, paused))
            async for m in client.messages:
                assert isinstance(m.payload, bytes)
                ack = core.take(str(m.topic), m.payload)
                if ack is not None and ack.upto:
                    acks[ack.boot, ack.lane] = ack


async def confirm(client: aiomqtt.Client, acks: dict[tuple[str, str], Ack], paused: asyncio.Event) -> None:
    """The newest receipt of each lane."""
    while True:
        for key in [] if paused.is_set() else list(acks):
            await client.publish(f"{ROOT}/ack", acks.pop(key).encode(), qos=1)
        await asyncio.sleep(0.03)


@contextlib.asynccontextmanager
async def an_edge(folder: Path, port: int, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that is killed at the end, if it still lives."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.e2e.edge_process", str(folder), str(port), *options, cwd=REPO
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def drained(core: FakeCore, port: int) -> None:
    """Polling stops; the last account says that nothing waits any more."""
    before = len(core.accounts)
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.publish(f"{ROOT}/cmd", orjson.dumps(signed(core.boot, cmd="stop_polling")), qos=1)
    await until(
        lambda: any(a.outbox == 0 and a.facts.get("polling") == 0 for a in core.accounts[before:]), 60
    )


def check(core: FakeCore, folder: Path) -> None:
    """Each boot's account says exactly what the core has of it; each number once, without a hole.

    Only a full outbox, which says so (`thinned`), gives whole messages up, and none but backlog.
    """
    assert not list(folder.glob("*.damaged-*")), "a start found its outbox broken"
    assert core.stored
    for boot, stored in core.stored.items():
        devices = core.account(boot).devices["d1"]
        assert (devices.residual, devices.stored) == (0, stored), boot
    for (boot, lane), seqs in core.seen.items():
        full = lane == "backlog" and core.account(boot).devices["d1"].thinned
        missing = set(range(1, max(seqs) + 1)) - seqs
        assert not missing or (full and max(missing) <= core.given_up[boot, lane]), (boot, lane)
    keys: set[tuple[str, int, int]] = set()
    for m in core.messages:
        rows = zip(m.i.tolist(), m.dt.tolist(), strict=True) if isinstance(m, Data) else [(m.i, 0)]
        mine = {(m.tab, i, m.t + dt) for i, dt in rows}
        assert not mine & keys, "a reading is stored once"
        keys |= mine


async def test_an_edge_that_is_killed_at_any_instant_loses_nothing_that_it_committed(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    broker = Mosquitto(tmp_path / "broker")
    await broker.start()
    core, paused, folder = FakeCore(), asyncio.Event(), tmp_path / "edge"
    server = asyncio.create_task(serve(core, broker.port, paused))
    try:
        for n in range(KILLS):
            if n % 3 == 2:
                paused.set()  # what is killed now has much in flight
            async with an_edge(folder, broker.port):
                # Half of the kills fall into the start, half into work.
                if n % 2:
                    heard = len(core.messages)
                    await until(lambda heard=heard: len(core.messages) > heard, 60)  # type: ignore[misc]  # bound
                await asyncio.sleep(chance.random() * 1.2)
            paused.clear()
        async with an_edge(folder, broker.port):
            heard = len(core.messages)
            await until(lambda: len(core.messages) > heard, 60)
            await drained(core, broker.port)
        check(core, folder)
        assert len(core.stored) > KILLS // 2
        assert any(isinstance(m, EventMessage) for m in core.messages)
    finally:
        await stop(server)
        await broker.stop()
