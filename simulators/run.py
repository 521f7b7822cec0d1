"""Run a scenario: the plant, its servers, the truth file and the control channel. Also a small program.

`python -m simulators.run demo --json` serves devices until it is stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from gateway.errors import BadInput, Problems, StewardError
from gateway.model import Ms
from gateway.ports import Clock
from simulators.clock import LoopClock
from simulators.control import control_server
from simulators.faults import Faults, Truth, parse
from simulators.layout import demo_layout
from simulators.scenario import load_scenario, scenario_names
from simulators.serve import Endpoints, serve
from simulators.world import Live, Simulation

BEAT_S = 0.2
"""Real seconds between two looks at the plant when nobody asks it anything."""


@dataclass(slots=True)
class Ready:
    """Everything serves. `control` is the endpoint for `control.send`."""

    simulation: Simulation
    endpoints: Endpoints
    control: str

    def as_dict(self) -> dict[str, Any]:
        """The object that `simulate --json` prints."""
        return {
            "ready": True,
            "t": self.simulation.now,
            "control": self.control,
            "lines": self.endpoints.lines,
            "devices": self.endpoints.devices(),
        }


async def simulate(
    scenario: str,
    *,
    seed: int = 1,
    clock: Clock,
    start: Ms | None = None,
    for_s: float | None = None,
    faults: Sequence[str] = (),
    truth_path: Path | None = None,
    estates: int = 1,
    on_ready: Callable[[Ready], None] | None = None,
    base_port: int = 0,
    folder: Path | None = None,
    hold: bool = False,
) -> list[Truth]:
    """Serve a scenario for `for_s` site seconds (None: until cancelled); gives the truth.

    start: site time at which plant and story begin (default: now), so that the same seed tells the same truth
    however slowly devices come up · faults: `kind@asset[:severity]` set from the start · truth_path: labels
    are appended as they come true ·
    hold: the story waits for `begin` on the control channel · folder: lasting names for the serial lines.
    Raises BadInput or Problems for what a person gave, WorkFailed when a port is taken.
    """
    layout = demo_layout(estates)
    simulation = Simulation(
        layout, seed, clock.now() if start is None else start, load_scenario(scenario), hold=hold
    )
    _set(simulation.faults, faults)
    writer = TruthFile(truth_path, simulation)
    async with serve(simulation, layout, clock, base_port=base_port, folder=folder) as endpoints:
        live = Live(simulation, clock)
        async with control_server(live, endpoints) as control:
            if on_ready:
                on_ready(Ready(simulation, endpoints, control))
            await _follow(live, writer, for_s)
    return simulation.truth


def _set(faults: Faults, written: Sequence[str]) -> None:
    for one in written:
        kind, asset, severity = parse(one)
        faults.apply(kind, asset, severity)


async def _follow(live: Live, writer: TruthFile, for_s: float | None) -> None:
    end: Ms | None = None if for_s is None else live.clock.now() + round(for_s * 1000)
    try:
        while end is None or live.clock.now() < end:
            live.advance()
            writer.flush()
            await live.clock.sleep_real(BEAT_S)
        live.simulation.step(end)
    finally:
        writer.flush()


class TruthFile:
    """Appends new labels as lines of JSON; the file is made empty at the start."""

    def __init__(self, path: Path | None, simulation: Simulation) -> None:
        self._path = path
        self._simulation = simulation
        self._written = 0
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")

    def flush(self) -> None:
        """Write what is new."""
        fresh = self._simulation.truth[self._written :]
        if self._path is None or not fresh:
            return
        with self._path.open("ab") as file:
            file.writelines(orjson.dumps(label.as_dict()) + b"\n" for label in fresh)
        self._written += len(fresh)


# ── as a program ──────────────────────────────────────────────────────────────────────────────────────


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 when stopped or done, 1 when the work failed, 2 for bad input."""
    args = _arguments().parse_args(argv)
    try:
        asyncio.run(_main(args))
    except (BadInput, Problems) as e:
        sys.stderr.write(f"{e}\n")
        return 2
    except StewardError as e:
        sys.stderr.write(f"{e}\n")
        return 1
    return 0


def _arguments() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser("simulators.run", description="Serve simulated estates over real protocols.")
    p.add_argument("scenario", help=f"{', '.join(scenario_names())}, or a path ending in .yaml")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--estates", type=int, default=1)
    p.add_argument("--speed", type=float, default=1.0, help="site seconds per real second")
    p.add_argument("--for", dest="for_s", type=float, help="stop after so many site seconds")
    p.add_argument("--fault", action="append", default=[], metavar="KIND@ASSET[:SEVERITY]")
    p.add_argument("--truth", type=Path, metavar="FILE", help="where the labels go, e.g. truth.jsonl")
    p.add_argument("--port", type=int, default=0, help="first TCP port; 0 for free ones")
    p.add_argument("--folder", type=Path, help="where the serial lines get lasting names")
    p.add_argument("--start", type=int, metavar="MS", help="site time at the start, ms UTC")
    p.add_argument("--at", type=float, metavar="S", help="instant of the monotonic clock that is --start")
    p.add_argument("--hold", action="store_true", help="the story waits for `begin` on the control channel")
    p.add_argument("--with-parent", action="store_true", help="stop when the parent process is gone")
    p.add_argument("--json", action="store_true", help="print one JSON object when everything serves")
    return p


async def _main(args: argparse.Namespace) -> None:
    if not 0 < args.speed <= 3600:
        raise BadInput(f"{args.speed:g} is not in 0…3600", field="--speed", hint="for example 10")
    if not 1 <= args.estates <= 99:
        raise BadInput(f"{args.estates} is not in 1…99", field="--estates", hint="for example 2")
    loaded = load_scenario(args.scenario)
    start = loaded.scenario.start_ms if args.start is None else args.start
    clock = LoopClock(start, args.speed, args.at)

    def ready(state: Ready) -> None:
        sys.stdout.write(orjson.dumps(state.as_dict()).decode() if args.json else _words(state))
        sys.stdout.write("\n")
        sys.stdout.flush()

    work = asyncio.create_task(
        simulate(
            args.scenario, seed=args.seed, clock=clock, start=start, for_s=args.for_s, faults=args.fault,
            truth_path=args.truth, estates=args.estates, on_ready=ready, base_port=args.port,
            folder=args.folder, hold=args.hold,
        ),
        name="simulate",
    )  # fmt: skip
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, work.cancel)
    watch = (
        asyncio.create_task(_until_orphaned(work, os.getppid()), name="parent") if args.with_parent else None
    )
    with contextlib.suppress(asyncio.CancelledError):
        await work
    if watch:
        watch.cancel()


async def _until_orphaned(work: asyncio.Task[Any], parent: int) -> None:
    while os.getppid() == parent:  # noqa: ASYNC110 - the system sets no event when a parent goes
        await asyncio.sleep(1.0)
    work.cancel()


def _words(state: Ready) -> str:
    rows = [
        f"{d['asset']:<12} {d['profile']:<22} {d['endpoint']} unit {d['unit']}"
        for d in state.endpoints.devices()
    ]
    return "\n".join([*rows, f"control {state.control}"])


if __name__ == "__main__":
    sys.exit(main())
