"""Run by test_chain_disk: the core on its real stores while the system refuses to let any file grow.

Prints one JSON object: what was seen while the disk was full, and afterwards.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from pathlib import Path
from typing import Any

from gateway.adapters.duckdb_store import DuckStore
from gateway.model import level_of
from tests.e2e.chain_support import Rig, rig

SUMP = "sump-1/sump.level"


def limit(size: int) -> None:
    """No file may be written beyond this size."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


async def turn(r: Rig) -> None:
    while True:
        await r.core.step()
        await r.core.tick()
        await r.clock.sleep_real(1)


async def passing(r: Rig, seconds: int) -> None:
    for _ in range(seconds):
        await r.clock.advance(1)
        r.edges[0].second()
        for _ in range(20):
            await asyncio.sleep(0.002)


async def main(folder: Path) -> dict[str, Any]:
    (folder / "samples").mkdir()
    samples = DuckStore(folder / "samples")
    seen: dict[str, Any] = {}
    async with rig(folder, samples=samples) as r:
        r.edges[0].plant["sump.level"] = 1.5
        limit(4096)
        work = asyncio.create_task(turn(r))
        await passing(r, 60)
        seen["stuck"] = r.core.writer.stuck
        seen["waiting"] = r.edges[0].waiting
        seen["level"] = int(level_of(r.value(SUMP)[2]))
        seen["alarms"] = len(r.alarms("drain.level_high"))
        limit(resource.RLIM_INFINITY)
        await passing(r, 5)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        seen["stuck_after"] = r.core.writer.stuck
        r.edges[0].resend()
        await r.run(30)
        seen["alarms_after"] = len(r.alarms("drain.level_high"))
        await r.drain()
        r.proven()
        seen["balance"] = r.balance()
        seen["rows"] = samples.count()
    samples.close()
    return seen


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
