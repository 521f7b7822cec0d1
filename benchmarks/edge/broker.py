"""One Mosquitto for all, that can be killed and comes back with its subscribers and what it has confirmed."""

from __future__ import annotations

import getpass
import shutil
import signal
import subprocess
from pathlib import Path

from benchmarks.edge.machine import OTHER_CORE, end, free_port, start, wait_listening
from gateway.errors import BadInput

LIMITS = (
    "allow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\nset_tcp_nodelay true\n"
    "persistence true\nautosave_interval 1\n"
)
"""Nothing is dropped and nobody is held back by the broker's own limits."""


class Broker:
    """Raises BadInput when Mosquitto is not installed."""

    def __init__(self, folder: Path) -> None:
        path = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if path is None:
            raise BadInput("there is no Mosquitto", hint="apt-get install mosquitto")
        folder.mkdir(parents=True)
        self._path, self._folder = path, folder
        self.port = free_port()
        (folder / "broker.conf").write_text(
            f"listener {self.port} 127.0.0.1\npersistence_location {folder}/\n"
            # Started by root it would change to a user that may not write here.
            f"user {getpass.getuser()}\n{LIMITS}",
            encoding="utf-8",
        )
        self._process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Until it accepts connections."""
        command: list[str | Path] = [self._path, "-c", self._folder / "broker.conf"]
        self._process = start(command, OTHER_CORE, cwd=self._folder, log="broker.log")
        wait_listening(self.port)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def kill(self) -> None:
        """kill -9."""
        end(self._process, signal.SIGKILL)

    def stop(self) -> None:
        """For good."""
        end(self._process)
