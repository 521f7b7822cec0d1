"""Virtual environments of the other gateways: made once under the cache folder, from their own releases."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

INSTALL_S = 900


class NotToBeHad(Exception):
    """A program that cannot be installed here; the text says why."""


def cache_folder() -> Path:
    """STEWARD_BENCH_CACHE, else the user's cache folder."""
    chosen = os.environ.get("STEWARD_BENCH_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "steward-bench"


def environment(*requirements: str) -> Path:
    """The folder of programs of an environment with these requirements. Raises NotToBeHad."""
    folder = cache_folder() / "-".join(r.replace("==", "-") for r in requirements)
    ready = folder / "ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        _run(requirements[0], sys.executable, "-m", "venv", str(folder))
        _run(requirements[0], str(folder / "bin" / "pip"), "install", "-q", *requirements)
        ready.write_text("\n".join(requirements), encoding="utf-8")
    return folder / "bin"


def _run(what: str, *command: str) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_S)
    except (OSError, subprocess.SubprocessError) as e:
        said = [*(getattr(e, "stderr", "") or getattr(e, "output", "") or str(e)).strip().splitlines(), ""]
        told = next((line for line in said if line.startswith("ERROR")), said[0])
        raise NotToBeHad(f"{what} cannot be installed: {told:.200}") from e
