"""A burst of findings through alarms, orders and notices, all durable; then commands while alarms go on.

Burst: 10,000 findings of the shipped rules on 2,500 facilities (four each, of five classes, one in ten life
safety where the class has it), 500 to a turn, through the core's own steps and commits into SQLite (WAL,
synchronous=FULL), while the sender sends what falls out over a local file. Goal: at least 1,000 alarms/s
from the first finding to the last commit, none lost. Then: 200 new alarms a second in turns of 20 for some
seconds, and one acknowledgement after the other through the core's inbox, each waiting for its commit.
Goal: p95 at most 100 ms. Last: ten minutes later the samples around each of these alarms are read from
DuckDB and frozen, acknowledgements beside it.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from alerts.rules import Digital, Limit, Rule
from gateway.adapters.clock import SystemClock
from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.memory_bus import MemoryBroker, MemoryBus
from gateway.adapters.notify import FileNotifier
from gateway.adapters.state import SqlState, open_state
from gateway.app.dispatch import make_dispatch
from gateway.app.settings import Settings
from gateway.app.setup import Setup, load_setup
from gateway.core.loop import Core, Parts
from gateway.core.sender import Channel, Sender
from gateway.errors import Conflict
from gateway.model import MACHINE, Command, Finding, Ms, Point, Samples
from gateway.ports import SampleStore

FINDINGS, TURN = 10_000, 500
PER_ASSET = 4
KINDS = ("water", "drain", "manhole", "power", "fire")
RATE, RATE_TURN, RATE_S = 200, 20, 15
EVERY_MS, AROUND_MS = 10_000, 600_000
"""A sample of each point every ten seconds, from ten minutes before its alarm to ten minutes after it."""
CLOCK = SystemClock()


def run() -> dict[str, Any]:
    """Alarms a second, what was lost, milliseconds of commands."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_run(Path(folder)))


async def _run(folder: Path) -> dict[str, Any]:
    setup = load_setup(_site(folder))
    findings = _findings(setup, FINDINGS, CLOCK.now(), 0)
    state = open_state(folder / "state.db")
    samples = DuckStore(folder)
    core, sender = _core(setup, state, samples, folder)
    _remember(core, samples, findings)
    sending = asyncio.create_task(sender.run())
    try:
        out = await _burst(core, state, findings)
        out |= await _sent(state, sender)
        out |= await _commands(core, setup)
        out |= await _evidence(core, state)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        samples.close()
        state.close()
    return out


def _site(folder: Path) -> Path:
    """One estate with facilities enough for the burst and for what follows it."""
    count = (FINDINGS + RATE * RATE_S) // PER_ASSET
    assets = [
        {"id": f"{KINDS[n % len(KINDS)]}-{n}", "estate": "home", "kind": KINDS[n % len(KINDS)],
         "name": {"en": f"Facility {n}"}}
        for n in range(count)
    ]  # fmt: skip
    site = {
        "site": {"id": "bench", "name": {"en": "Bench"}},
        "firms": [{"id": "firm", "name": {"en": "Firm"}}],
        "estates": [{"id": "home", "firm": "firm", "name": {"en": "Home"}}],
        "assets": assets,
    }
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(site), encoding="utf-8")
    return path


def _core(setup: Setup, state: SqlState, samples: SampleStore, folder: Path) -> tuple[Core, Sender]:
    dispatch = make_dispatch(setup, state)
    settings = Settings(setup, state, dispatch)
    settings.restore()
    sender = Sender(state, [Channel("push", FileNotifier(folder / "notices.jsonl"))], CLOCK)
    parts = Parts(
        setup.site, CLOCK, MemoryBus(MemoryBroker()), state, samples, setup.rules, dispatch, sender,
        folder, settings.command, setup.device_of, setup.assets, setup.points,
    )  # fmt: skip
    return Core(parts), sender


def _findings(setup: Setup, count: int, t: Ms, first_asset: int) -> list[Finding]:
    """Each facility with several of its rules at once, facility after facility as a cascade comes."""
    by_kind: dict[str, list[Rule]] = defaultdict(list)
    for rule in setup.rules:
        if isinstance(rule, Limit | Digital):  # the others bring facts of their own
            by_kind[rule.asset_kind].append(rule)
    out = []
    for asset in list(setup.site.assets.values())[first_asset:]:
        rules = by_kind[asset.kind][:PER_ASSET]
        for n, rule in enumerate(rules):
            point = f"{asset.id}/bench.p{n}"
            level = "H" if isinstance(rule, Limit) else ""
            out.append(Finding(rule.id, point, asset.id, asset.estate, t, t, True, level, 1.0, 0.0))
            if len(out) == count:
                return out
    raise AssertionError("the site is too small for the burst")


def _remember(core: Core, samples: SampleStore, findings: Sequence[Finding]) -> None:
    """What was measured around each alarm."""
    points = [Point(asset, tag) for asset, _, tag in (f.point.partition("/") for f in findings)]
    ids = core.parts.state.series([(p.asset, p.tag) for p in points])
    for p in points:
        core.view.add_point(ids[p.asset, p.tag], p)
    series = np.array([ids[p.asset, p.tag] for p in points], np.uint32)
    for t in range(findings[0].t - AROUND_MS, findings[0].t + AROUND_MS, EVERY_MS):
        n = len(series)
        rows = Samples(series, np.full(n, t), np.full(n, t % 7, np.float64), np.zeros(n, np.uint8))
        samples.append(rows, [], historical=False)


async def _burst(core: Core, state: SqlState, findings: Sequence[Finding]) -> dict[str, Any]:
    start, worked = CLOCK.monotonic(), _cpu()
    for n in range(0, len(findings), TURN):
        await _turn(core, findings[n : n + TURN])
    seconds, worked = CLOCK.monotonic() - start, _cpu() - worked
    raised = {a for a, _ in state.records("alarm")}
    lost = len({f.condition for f in findings}) - len(raised)
    orders = state.records("order")
    held = {alarm for _, o in orders for alarm in o["alarms"]}
    return {
        "findings": len(findings), "alarms": len(raised), "alarms_lost": lost, "orders": len(orders),
        "alarms_without_order": len([a for a in raised if a not in held and _calls(state, a)]),
        "notices": sum(state.notice_counts().values()), "burst_s": seconds,
        "burst_cpu_s": worked, "alarms_per_s": len(findings) / seconds,
    }  # fmt: skip


def _cpu() -> float:
    """Processor seconds of all threads: on a busy machine they say more than the wall clock."""
    used = os.times()
    return used.user + used.system


def _calls(state: SqlState, alarm: str) -> bool:
    """Whether it may have an order of its own: those that only follow from another have none."""
    body = state.record("alarm", alarm) or {}
    return not body.get("suppressed_by") and body.get("priority", 4) < 4


async def _turn(core: Core, findings: Sequence[Finding]) -> None:
    await core._commit(core._judge(findings, CLOCK.now()), [], [])  # noqa: SLF001 - what a turn does with findings


async def _sent(state: SqlState, sender: Sender) -> dict[str, Any]:
    """Until everything that the burst queued has its receipt."""
    start = CLOCK.monotonic()
    sender.wake()
    while {"waiting", "failed"} & set(counts := state.notice_counts()):
        await CLOCK.sleep_real(0.1)
    return {"notices_with_receipt": counts.get("sent", 0), "receipts_after_s": CLOCK.monotonic() - start}


async def _commands(core: Core, setup: Setup) -> dict[str, Any]:
    """Acknowledgements while 200 alarms a second come in: the core's loop, its inbox, its commit."""
    book = core.parts.dispatch.book
    waiting = [a.id for a in book.alarms.values() if a.state == "UNACK"]
    fresh = _findings(setup, RATE * RATE_S, CLOCK.now(), FINDINGS // PER_ASSET)
    worked = _cpu()
    looping = asyncio.create_task(_loop(core, fresh))
    took, refused = await _acts(core, "bench", waiting, looping)
    behind = await looping
    return {
        "beside_cpu_s": _cpu() - worked,
        "commands": len(took), "commands_refused": refused, "alarms_per_s_beside": RATE,
        "turns_behind_s": behind, "command_p50_ms": statistics.median(took),
        "command_p95_ms": _p95(took), "command_max_ms": max(took),
    }  # fmt: skip


def _p95(took: Sequence[float]) -> float:
    return sorted(took)[int(0.95 * (len(took) - 1))]


async def _acts(
    core: Core, name: str, alarms: Sequence[str], beside: asyncio.Task[float]
) -> tuple[list[float], int]:
    """One acknowledgement after the other while `beside` goes on: milliseconds of each, and refusals."""
    took, refused, n = list[float](), 0, 0
    while not beside.done() and n < len(alarms):
        now, start = CLOCK.now(), CLOCK.monotonic()
        try:
            await _answered(core, Command(f"{name}-{n}", "alarm.ack", alarms[n], MACHINE, now, now), beside)
            took.append((CLOCK.monotonic() - start) * 1000)
        except Conflict:
            refused += 1
        n += 1
        await CLOCK.sleep_real(0.02)
    return took, refused


async def _answered(core: Core, command: Command, beside: asyncio.Task[float]) -> None:
    """The command is carried out by `beside`, and by us when that has just ended."""
    asked = asyncio.create_task(core.submit(command))
    while not asked.done():
        await asyncio.wait([asked, beside], return_when=asyncio.FIRST_COMPLETED)
        while beside.done() and core.asks.waiting:
            await core._command(core.asks.take())  # noqa: SLF001 - as above
        await asyncio.sleep(0)
    await asked


async def _evidence(core: Core, state: SqlState) -> dict[str, Any]:
    """What was measured around every alarm of the burst is frozen, as in the core's loop."""
    book = core.parts.dispatch.book
    waiting = [a.id for a in book.alarms.values() if a.state == "UNACK"]
    freezing = asyncio.create_task(_freeze(core))
    took, _ = await _acts(core, "frozen", waiting, freezing)
    seconds = await freezing
    kept = len(state.records("evidence"))
    return {
        "evidence": kept, "evidence_per_s": kept / seconds, "command_beside_evidence_p50_ms":
        statistics.median(took), "command_beside_evidence_p95_ms": _p95(took),
    }  # fmt: skip


async def _freeze(core: Core) -> float:
    """Seconds until everything that was due had been frozen."""
    start, later = CLOCK.monotonic(), CLOCK.now() + AROUND_MS + 1000
    while core.freezer.look(later) or core.freezer.reading:
        if core.asks.waiting:  # before data, as in Core.step
            await core._command(core.asks.take())  # noqa: SLF001 - as above
        elif core.freezer.ready:
            await core._commit(core.freezer.take(later), [], [])  # noqa: SLF001 - as above
        else:
            await CLOCK.sleep_real(0.001)
    return CLOCK.monotonic() - start


async def _loop(core: Core, findings: Sequence[Finding]) -> float:
    """A turn of 20 alarms ten times a second, between them the inbox and a tick a second, as in the core.

    Gives how many seconds late the last turn was.
    """
    start, taken, ticked = CLOCK.monotonic(), 0, 0
    late = 0.0
    while taken < len(findings):
        now = CLOCK.monotonic() - start
        due = taken / RATE
        if core.asks.waiting:  # before data, as in Core.step
            await core._command(core.asks.take())  # noqa: SLF001 - as above
        elif now >= due:
            late = now - due
            await _turn(core, findings[taken : taken + RATE_TURN])
            taken += RATE_TURN
        elif now >= ticked:
            ticked += 1
            await core._commit(core.parts.dispatch.tick(CLOCK.now()), [], [])  # noqa: SLF001 - as above
        else:
            await CLOCK.sleep_real(0.001)
    return late


if __name__ == "__main__":
    for key, value in run().items():
        print(f"{key:<28} {value:,.4g}")
