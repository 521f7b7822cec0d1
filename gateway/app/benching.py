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
KNOWN = ("detect", "store", "e2e")


def run_bench(which: str, *, as_json: bool) -> int:
    """Figures on standard output. Raises BadInput for an unknown one or outside of a checkout."""
    if which not in KNOWN:
        raise BadInput(f"there is no benchmark {which!r}", field="which", hint=f"one of {', '.join(KNOWN)}")
    if not (ROOT / "benchmarks").is_dir():
        raise BadInput("benchmarks come with the source, not with the wheel", hint="run it in a checkout")
    sys.path.insert(0, str(ROOT))
    result: dict[str, Any] = importlib.import_module(f"benchmarks.bench_{which}").run()
    if as_json:
        say(result)
        return 0
    console = Console()
    for key, value in result.items():
        console.print(f"{key:<40} {value:,.4g}" if isinstance(value, int | float) else f"{key:<40} {value}")
    return 0
