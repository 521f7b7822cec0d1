"""The broker away for a day of site time: memory flat, file bounded, everything there or accounted for."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.contract.mosquitto_server import MOSQUITTO, Mosquitto
from tests.e2e.test_edge_store_kill import an_edge, check, drained, serve
from tests.unit.gateway_edge.edge_fakes import FakeCore, stop, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.mosquitto,
    pytest.mark.skipif(MOSQUITTO is None, reason="no Mosquitto installed"),
    pytest.mark.skipif(
        not Path("/proc/self/statm").exists(), reason="memory of a process is read from /proc"
    ),
]

SPEED, PERIOD_S, POINTS = 720, 20, 200
HOURS = float(os.environ.get("STEWARD_OUTAGE_H", "4"))
WARM = 0.3
"""Share of the outage after which everything that is made once has been made."""


def rss(pid: int) -> int:
    """Pages in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])


@pytest.mark.parametrize(("bound", "thinned"), [(512_000_000, False), (round(250_000 * HOURS), True)])
async def test_a_day_without_a_broker(tmp_path: Path, bound: int, thinned: bool) -> None:
    broker = Mosquitto(tmp_path / "broker")
    await broker.start()  # it needs its port once, so that the edge knows where to look
    broker.kill()
    core, folder = FakeCore(), tmp_path / "edge"
    outage_s = HOURS * 3600 / SPEED
    options = (
        "--points",
        str(POINTS),
        "--period",
        str(PERIOD_S),
        "--speed",
        str(SPEED),
        "--bytes",
        str(bound),
    )
    async with an_edge(folder, broker.port, *options) as process:
        await until((folder / "outbox.db").exists, 60)
        memory = []
        for n in range(20):
            await asyncio.sleep(outage_s / 20)
            if n >= 20 * WARM:
                memory.append(rss(process.pid))
        # Later samples against the first after the warm-up: no growth with the length of the outage.
        assert max(memory) <= 1.1 * memory[0], memory
        size = sum(f.stat().st_size for f in folder.glob("outbox.db*"))
        assert size < 1.5 * bound + 8_000_000, "the file, its log, the account's changes since the last one"
        await broker.start()
        server = asyncio.create_task(serve(core, broker.port, asyncio.Event()))
        try:
            await until(lambda: any(a.backlog == 0 and a.facts.get("connected") for a in core.accounts), 120)
            await drained(core, broker.port)
        finally:
            await stop(server)
            await broker.stop()
    check(core, folder)
    (boot,) = core.stored
    d = core.account(boot).devices["d1"]
    assert (d.thinned > 0) == thinned
    # A busy machine misses rounds at this speed; they are declared. All others were read.
    assert set(d.gaps) <= {"missed", "stopped"}
    assert d.due >= 0.9 * HOURS * 3600 / PERIOD_S * POINTS
    print(f"memory {memory[0]} to {max(memory)} pages, file {size / 1e6:.1f} MB, due {d.due}, {d.thinned=}")
