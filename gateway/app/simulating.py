"""`steward simulate`: devices to try things on, and the site file that reads them."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from gateway.app.terminal import console, say, table
from gateway.errors import BadInput, WorkFailed
from simulators.clock import LoopClock
from simulators.faults import KINDS
from simulators.layout import demo_layout
from simulators.run import Ready, simulate
from simulators.scenario import load_scenario, scenario_names
from simulators.site import site_dict


@dataclass(frozen=True)
class Wish:
    """What to simulate.

    for_s: site seconds, None: until stopped · port: first TCP port, 0: free ones · folder: lasting names of
    the serial lines · site: where to write a site file of the devices.
    """

    scenario: str
    seed: int = 1
    for_s: float | None = None
    faults: tuple[str, ...] = ()
    speed: float = 1.0
    estates: int = 1
    truth: Path | None = None
    port: int = 0
    folder: Path | None = None
    site: Path | None = None


async def serve(wish: Wish, *, as_json: bool) -> int:
    """Until it is over. Raises BadInput or Problems, WorkFailed when a port is taken."""
    start = load_scenario(wish.scenario).scenario.start_ms

    def ready(state: Ready) -> None:
        facts = state.as_dict()
        if wish.site is not None:
            _write_site(wish.site, wish.estates, facts["lines"])
        sys.stdout.write(orjson.dumps(facts).decode() + "\n" if as_json else _told(facts, wish))
        sys.stdout.flush()

    await simulate(
        wish.scenario, seed=wish.seed, clock=LoopClock(start, wish.speed), for_s=wish.for_s,
        faults=wish.faults, truth_path=wish.truth, estates=wish.estates, on_ready=ready,
        base_port=wish.port, folder=await asyncio.to_thread(_absolute, wish.folder),
    )  # fmt: skip
    return 0


def _absolute(folder: Path | None) -> Path | None:
    return folder.absolute() if folder else None


def _write_site(path: Path, estates: int, lines: Mapping[str, str]) -> None:
    text = yaml.safe_dump(site_dict(demo_layout(estates), lines), allow_unicode=True, sort_keys=False)
    try:
        path.write_text(f"# The simulated estates of `steward simulate --site`.\n{text}", encoding="utf-8")
    except OSError as e:
        raise WorkFailed(f"{path} cannot be written: {e.strerror}") from e


def _told(facts: Mapping[str, Any], wish: Wish) -> str:
    rows = [f"{d['asset']:<12} {d['profile']:<22} {d['endpoint']} unit {d['unit']}" for d in facts["devices"]]
    rows.append(f"{len(facts['devices'])} devices serve; Ctrl-C ends.")
    if wish.site is not None:
        rows.append(f"site file: {wish.site}; try: steward run {wish.site}")
    return "\n".join(rows) + "\n"


def checked(wish: Wish) -> Wish:
    """Raises BadInput for a fault without a kind that is known."""
    for written in wish.faults:
        kind = written.partition("@")[0]
        if kind not in KINDS and "@" in written:
            raise BadInput(
                f"there is no fault {kind!r}", field="--fault", hint="steward simulate --list names all"
            )
    return wish


def tell_choices(*, as_json: bool) -> int:
    """The stories and the faults that come with the program."""
    stories = {name: load_scenario(name).scenario for name in scenario_names()}
    if as_json:
        told = {name: {"for_s": s.for_s, "story": s.story.as_text()} for name, s in stories.items()}
        faults = {kind: {"models": k.models, "name": k.name} for kind, k in KINDS.items()}
        say({"scenarios": told, "faults": faults})
        return 0
    out = console()
    rows = [
        (name, f"{s.for_s:g} s", " ".join(s.story.as_text()["en"].split())) for name, s in stories.items()
    ]
    table(out, "scenarios", ("name", "length", "story"), rows)
    faults_ = [(kind, ", ".join(k.models) or "any device", k.name["en"]) for kind, k in KINDS.items()]
    table(out, "faults, as --fault KIND@ASSET", ("kind", "of", "what happens"), faults_)
    return 0
