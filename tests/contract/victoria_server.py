"""A real VictoriaMetrics for tests: from STEWARD_VICTORIA or the PATH; without it the test is skipped."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest
import urllib3

FLAGS = (
    "-retentionPeriod=100y",
    "-dedup.minScrapeInterval=1ms",
    "-search.latencyOffset=0s",
    "-loggerLevel=ERROR",
    "-memory.allowedBytes=256MB",
)


class Victoria:
    """One server on a free port of this machine; `kill` and `start` keep port and data."""

    def __init__(self, folder: Path) -> None:
        found = os.environ.get("STEWARD_VICTORIA") or shutil.which("victoria-metrics")
        if not found:
            pytest.skip("no victoria-metrics: install it, or name the binary in STEWARD_VICTORIA")
        self._binary, self._folder = found, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"http://{self.address}"
        self._child: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Run it and wait until it answers."""
        where = (f"-storageDataPath={self._folder}", f"-httpListenAddr={self.address}")
        self._child = subprocess.Popen([self._binary, *where, *FLAGS], stderr=subprocess.DEVNULL)
        pause = threading.Event()
        with urllib3.PoolManager(retries=False, timeout=1) as http:
            for _ in range(600):
                try:
                    if http.request("GET", f"{self.url}/health").status == 200:
                        return
                except (urllib3.exceptions.HTTPError, OSError):
                    pass
                assert self._child.poll() is None, "victoria-metrics ended at its start"
                pause.wait(0.05)
        raise AssertionError("victoria-metrics does not answer")

    def kill(self) -> None:
        """kill -9."""
        assert self._child is not None
        self._child.kill()
        self._child.wait()

    def stop(self) -> None:
        """End it however it is."""
        if self._child is not None and self._child.poll() is None:
            self.kill()
