"""kill -9 of the writer at random instants: nothing that was committed is lost, every start is clean."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

import pytest

from gateway.codec import Data
from gateway.edge.outbox import Outbox, Turn, Want

KILLS = int(os.environ.get("STEWARD_KILLS", "30"))

WRITER = """
import sys
from pathlib import Path
import numpy as np
from gateway.codec import Ack, Topic
from gateway.edge.filter import Batch
from gateway.edge.outbox import Outbox, Turn
from gateway.edge.pack import Packer
from gateway.edge.tally import Tally
from gateway.model import Point

points = [Point("a", f"t{k}") for k in range(50)]
box = Outbox(Path(sys.argv[1]), 50_000_000)
boot = box.open(int(sys.argv[2]))
packer = Packer(Topic("e", "g", ""), boot, points, box.first_n)
tally = Tally(["d"])
gid = np.arange(50)
print("boot", boot, flush=True)
for k in range(1, 100_000):
    batch = Batch(gid, np.full(50, k), np.full(50, float(k)), np.zeros(50, np.uint8))
    tally.readings(np.zeros(50, np.intp), np.zeros(0, np.intp))
    acks = [Ack(boot, "live", k - 40)] if k % 7 == 0 and k > 40 else []
    box.commit(Turn(k, rows=packer.pack(batch, {}, live=True), delta=tally.delta(), acks=acks), {}, 0.0)
    print("row", k, flush=True)
"""


async def killed_after(path: Path, start: int, lines: int, nap_s: float) -> tuple[str, int]:
    """The boot and the last row that the writer saw committed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), str(start), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    boot, last = "", 0
    try:
        for _ in range(lines):
            word, value = (await asyncio.wait_for(process.stdout.readline(), 60)).split()
            boot, last = (value.decode(), last) if word == b"boot" else (boot, int(value))
        await asyncio.sleep(nap_s)  # somewhere inside the following commits
    finally:
        process.kill()
        rest, _ = await process.communicate()
    for line in rest.splitlines():
        if line.startswith(b"row ") and line[4:].isdigit():
            last = max(last, int(line[4:]))
    return boot, last


@pytest.mark.slow
async def test_no_committed_row_is_lost_and_no_start_is_corrupt(tmp_path: Path) -> None:
    seed = int(os.environ.get("STEWARD_SEED", "1"))
    chance = random.Random(seed)
    path = tmp_path / "outbox.db"
    for n in range(KILLS):
        boot, last = await killed_after(path, n + 1, chance.randint(2, 90), chance.random() * 0.01)
        box = Outbox(path, 50_000_000)
        box.open(0)
        try:
            assert box.moved_aside == 0
            rows = box.commit(Turn(0), {"live": Want(0, 1_000_000)}, 0.0).rows["live"]
            mine = [r for r in rows if r.boot == boot]
            seqs = [r.seq for r in mine]
            # The last line may have been cut off: one row more than was seen is possible, one less is not.
            assert seqs[-1] in (last, last + 1)
            acked = max((k - 40 for k in range(41, seqs[-1] + 1) if k % 7 == 0), default=0)
            assert seqs == list(range(acked + 1, seqs[-1] + 1))
            assert all(Data.decode(r.payload).v.tolist() == [float(r.seq)] * 50 for r in mine)
            (closing,) = [a for a in box.closing() if a.boot == boot]
            assert closing.devices["d"].stored == 50 * seqs[-1]
            assert closing.devices["d"].residual == 0
            assert box.points == sum(r.points for r in rows)
        finally:
            box.close()
