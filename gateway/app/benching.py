"""`steward bench`: runs one of the benchmarks that lie beside the program."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from gateway.app.terminal import say
from gateway.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]
KNOWN = ("detect", "engine", "store", "history", "e2e", "alarms", "edge")


OPTIONS = {
    "edge": ("devices", "seconds", "peers", "faults", "cases", "write"),
    "detect": ("write", "small", "first"),
}
"""Options by benchmark."""


def run_bench(which: str, *, as_json: bool, options: dict[str, Any] | None = None) -> int:
    """Figures on standard output. `options`: None or False is not given.

    Raises BadInput for an unknown one, for options that it does not have, and outside of a checkout.
    """
    given = {k: v for k, v in (options or {}).items() if v is not None and v is not False}
    if which not in KNOWN:
        raise BadInput(f"there is no benchmark {which!r}", field="which", hint=f"one of {', '.join(KNOWN)}")
    strange = [name for name in given if name not in OPTIONS.get(which, ())]
    if strange:
        has = ", ".join(f"--{name}" for name in OPTIONS.get(which, ())) or "none"
        raise BadInput(
            f"{which} has no option --{strange[0]}", field=f"--{strange[0]}", hint=f"{which} has: {has}"
        )
    if not (ROOT / "benchmarks").is_dir():
        raise BadInput("benchmarks come with the source, not with the wheel", hint="run it in a checkout")
    sys.path.insert(0, str(ROOT))
    if which == "edge":
        edge = importlib.import_module("benchmarks.edge.main")
        edge.run(as_json=as_json, write=bool(given.pop("write", False)), plan=edge.plan_of(**given))
        return 0
    result: dict[str, Any]
    if which == "detect":
        said = Console(stderr=True)
        scoreboard = importlib.import_module("benchmarks.scoreboard")
        result = scoreboard.run(say=lambda text: said.print(text, markup=False), **given)
    else:
        result = importlib.import_module(f"benchmarks.bench_{which}").run()
    if as_json:
        say(result)
        return 0
    console = Console()
    for key, value in result.items():
        console.print(f"{key:<40} {value:,.4g}" if isinstance(value, int | float) else f"{key:<40} {value}")
    return 0
