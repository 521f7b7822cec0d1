"""The detectors' kernels are compiled beside the work, where numba is installed (extra `fast`)."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from alerts.engine import fast, warm

log = logging.getLogger(__name__)

WORTH_POINTS = 2_000
"""Below it a batch takes the vectors less than a millisecond, and numba costs a second and 100 MB."""


def compile_beside(data: Path, points: int) -> threading.Thread | None:
    """Start compiling, or loading what an earlier start compiled; None: not worth it or not there.

    The detectors change over when it is done; their findings are the same, bit by bit. A machine on which
    it fails goes on with vectors.
    """
    if points < WORTH_POINTS or not fast.available():
        return None
    thread = threading.Thread(target=_compile, args=(data / "kernels",), name="kernels", daemon=True)
    thread.start()
    return thread


def _compile(cache: Path) -> None:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        warm(str(cache))
    except Exception as e:  # whatever the compiler meets on this machine, the vectors do the work
        log.warning("detectors run on vectors, kernels cannot be compiled reason=%r", str(e)[:300])
        return
    log.info("detectors run compiled kernels=%s", ",".join(fast.names()))


def engine_in_use(points: int) -> tuple[str, str]:
    """(which implementation a core with so many points uses, what to do for the other one)."""
    if not fast.available():
        more = "pip install 'steward-gateway[fast]'" if points >= WORTH_POINTS else ""
        return "vectors (numpy); numba is not installed", more
    if points < WORTH_POINTS:
        return f"vectors (numpy); numba is there and used from {WORTH_POINTS} points on", ""
    return "compiled kernels (numba)", ""
