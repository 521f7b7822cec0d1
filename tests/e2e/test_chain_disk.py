"""A disk without room under the core: nothing is taken that cannot be kept, nothing is lost afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.model import Level

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_full_disk_is_told_holds_back_the_edge_and_loses_no_alarm(tmp_path: Path) -> None:
    script = Path(__file__).with_name("chain_full_disk.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert "no room on the disk" in seen["stuck"]
    assert seen["waiting"] > 0, "the edge keeps what the core cannot keep"
    assert seen["level"] == Level.STALE, "what grows old meanwhile looks old"
    assert seen["alarms"] == 0
    assert seen["stuck_after"] == ""
    assert seen["alarms_after"] == 1
    assert seen["balance"]["residual"] == 0
    assert seen["rows"] > 0
    assert "writes again" in done.stderr
