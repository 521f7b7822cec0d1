"""Everything that a line, a clock, a broker and a disk can do to an edge: the books close, no value is wrong.

A short version of the most telling cases runs with all other tests; `pytest -m nightly` runs all of them for
long. STEWARD_CHAOS: faults per line in the nightly run. STEWARD_SEED: another chance.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.contract.mosquitto_server import MOSQUITTO
from tests.nightly.chaos_devices import CALM, Chaos, TcpLine
from tests.nightly.chaos_rig import Rig, chaos, close_the_books

pytestmark = [pytest.mark.mosquitto, pytest.mark.skipif(MOSQUITTO is None, reason="no Mosquitto installed")]

SHORT, LONG = 20, int(os.environ.get("STEWARD_CHAOS", "600"))
SEED = int(os.environ.get("STEWARD_SEED", "1"))
BROKEN = ("tcp", "rtu")

Case = Callable[[Rig, int], Awaitable[None]]


def line_fault(name: str, share: float, *lines: str) -> Case:
    """One fault on lines until each of them has seen it `size` times."""

    async def run(rig: Rig, size: int) -> None:
        chosen = [rig.lines[line] for line in lines or BROKEN]
        for line in chosen:
            line.chaos = Chaos((name,), share)
        await rig.until(lambda: all(line.injected[name] >= size for line in chosen), 2 * size)
        for line in chosen:
            line.chaos = CALM

    return run


async def everything(rig: Rig, size: int) -> None:
    """All faults of a line at once."""
    for name in BROKEN:
        rig.lines[name].chaos = Chaos(("loss", "delay", "late", "twice", "crc", "garbled"), 0.3)
    await rig.until(lambda: all(rig.lines[name].injected.total() >= size for name in BROKEN), 2 * size)
    for name in BROKEN:
        rig.lines[name].chaos = CALM


async def garbage_on_open(rig: Rig, size: int) -> None:
    """Every connection begins with noise; connections are cut all the time."""
    line = rig.lines["tcp"]
    assert isinstance(line, TcpLine)
    line.junk_on_open = True
    await rig.until(lambda: line.injected["junk on open"] >= max(3, size // 50), 2 * size)
    line.junk_on_open = False


async def clock_jump(rig: Rig, size: int) -> None:
    """An hour forward, an hour back, over and over."""
    for _ in range(max(1, size // 100)):
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            rig.signal_edge(number)
            await rig.read_more(150)
    steps = 2 * max(1, size // 100)
    await rig.until(lambda: any(a.facts["clock_steps"] >= steps for a in rig.core.accounts))


async def broker_outage(rig: Rig, size: int) -> None:
    """kill -9 of the broker while the devices go on answering."""
    for _ in range(max(1, size // 200)):
        rig.broker.kill()
        await rig.read_more(10 * size)
        await rig.broker.start()
        await rig.fresh_from_all()
    await rig.until(lambda: any(m.lane == "backlog" for m in rig.core.messages))


async def disk_full(rig: Rig, size: int) -> None:
    """No file may grow any more; the edge goes on in memory and writes it down afterwards."""
    for _ in range(max(1, size // 200)):
        before = resource.prlimit(rig.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(rig.pid, resource.RLIMIT_FSIZE, (4096, before[1]))
        await rig.read_more(10 * size)
        resource.prlimit(rig.pid, resource.RLIMIT_FSIZE, before)
        await rig.until(lambda: "outbox written again" in rig.said())


async def kill_9(rig: Rig, size: int) -> None:
    """The edge itself."""
    for _ in range(max(2, size // 30)):
        await rig.read_more(100)
        await rig.kill_edge()
        await rig.start_edge()


CASES: dict[str, Case] = {
    "loss": line_fault("loss", 0.15),
    "delay": line_fault("delay", 0.5),
    "late reply": line_fault("late", 0.2),
    "duplicate": line_fault("twice", 0.5),
    "damage": line_fault("crc", 0.2),
    "exceptions": line_fault("exception", 1.0),
    "garbled": line_fault("garbled", 0.2),
    "everything": everything,
    "garbage on open": garbage_on_open,
    "clock jump": clock_jump,
    "broker outage": broker_outage,
    "disk full": disk_full,
    "kill -9": kill_9,
}
TELLING = ("everything", "clock jump", "disk full", "kill -9")


async def prove(folder: Path, name: str, size: int) -> None:
    async with chaos(folder, SEED, jumpy=name == "clock jump") as rig:
        await CASES[name](rig, size)
        await rig.fresh_from_all()
        last = await rig.stop_polling()
        assert last.outbox == 0
        close_the_books(rig)


@pytest.mark.parametrize("name", TELLING)
async def test_the_books_close_and_no_value_is_wrong(tmp_path: Path, name: str) -> None:
    await prove(tmp_path, name, SHORT)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", CASES)
async def test_all_night(tmp_path: Path, name: str) -> None:
    await prove(tmp_path, name, LONG)
