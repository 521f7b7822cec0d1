"""Where the client's time goes: its stacks, sampled from outside by py-spy while it works."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

RATE = 200
TOP = 14
LOOP = "gateway/app/runner.py"
"""The outermost file of ours: nothing of ours is between it and a library's callback."""
LIBRARIES = (
    "pymodbus",
    "asyncio",
    "paho",
    "numpy",
    "orjson",
    "sqlite3",
    "selectors",
    "concurrent",
    "threading",
)


def sampler() -> str | None:
    """py-spy's path, of this environment or of the system."""
    return shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")


def sample(pid: int, seconds: float) -> list[str]:
    """Stacks of whoever runs Python, as `outer;inner count`. Empty when py-spy cannot look."""
    program = sampler()
    if program is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "stacks.txt"
        subprocess.run(
            [program, "record", "--pid", str(pid), "--duration", str(max(1, round(seconds))),
             "--rate", str(RATE), "--gil", "--format", "raw", "--output", str(out)],
            capture_output=True, check=False,
        )  # fmt: skip
        return out.read_text(encoding="utf-8").splitlines() if out.exists() else []


def shares(stacks: list[str]) -> list[tuple[str, float]]:
    """Share of the samples by place, greatest first: the innermost frame that is ours or a library's.

    A place is file and function of the frame where the time is spent, under the innermost function of ours
    that called it.
    """
    places: Counter[str] = Counter()
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        places[_place(stack.split(";"))] += int(count)
    total = places.total() or 1
    return [(place, n / total) for place, n in places.most_common(TOP)]


def _place(frames: list[str]) -> str:
    inner = _short(frames[-1])
    ours = next((f for f in reversed(frames) if _is_ours(f)), None)
    if ours is None or ours == frames[-1]:
        return inner
    caller = "event loop" if LOOP in ours else _short(ours)
    return f"{caller} → {_owner(frames[-1])}"


def _is_ours(frame: str) -> bool:
    path = frame.partition("(")[2]
    return path.startswith(("gateway/", "drivers/")) or "/gateway/" in path or "/drivers/" in path


def _owner(frame: str) -> str:
    return next((name for name in LIBRARIES if name in frame), _short(frame))


def _short(frame: str) -> str:
    name, _, place = frame.partition(" (")
    path = place.split(":")[0].rstrip(")")
    return f"{'/'.join(path.split('/')[-3:])} {name}"
