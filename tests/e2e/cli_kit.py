"""The command line as a person uses it: real processes, their output, their exit codes and their children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import orjson

from gateway.app.client import Client
from gateway.errors import Retryable

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "gateway")
T = TypeVar("T")
_pause = threading.Event()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, with the checkout's packages and nothing of Steward's own variables."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("STEWARD_")}
    return {**clean, "PYTHONPATH": str(ROOT), **(extra or {})}


def steward(
    *arguments: object, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """One command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd, env=environment(env), capture_output=True, text=True, timeout=timeout, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def until(check: Callable[[], T], seconds: float = 30) -> T:
    """What `check` gives as soon as it is true; its AssertionError, or one of ours, when the time is over."""
    last: AssertionError | None = None
    for _ in range(int(seconds / 0.05)):
        try:
            value = check()
        except (AssertionError, Retryable, OSError) as e:
            last = AssertionError(str(e))
        else:
            if value:
                return value
        _pause.wait(0.05)
    raise last or AssertionError(f"not within {seconds:g} s")


@dataclass
class Running:
    """A command that runs until it is stopped. `mark`: a path that all its children have on their lines."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path
    mark: str

    def said(self) -> str:
        """Standard output so far."""
        return self.out.read_text(encoding="utf-8")

    def complained(self) -> str:
        """Standard error so far."""
        return self.err.read_text(encoding="utf-8")

    def until_said(self, text: str, seconds: float = 40) -> str:
        """Wait for a text; everything that was said."""

        def there() -> str:
            assert self.process.poll() is None, f"ended: {self.said()} {self.complained()}"
            assert text in self.said(), f"{text!r} is not in {self.said()!r} {self.complained()!r}"
            return self.said()

        return until(there, seconds)

    def stop(self, number: int = signal.SIGINT, seconds: float = 20) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=seconds)


@contextmanager
def running(
    *arguments: object, cwd: Path, mark: Path, name: str, env: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Start a command; whatever of it is left at the end of the block is killed."""
    out, err = cwd / f"{name}.out", cwd / f"{name}.err"
    with out.open("wb") as o, err.open("wb") as e:
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], cwd=cwd, env=environment(env), stdout=o, stderr=e,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    try:
        yield Running(process, out, err, str(mark))
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)
        for pid in processes_of(mark):
            os.kill(pid, signal.SIGKILL)


def processes_of(mark: Path) -> list[int]:
    """The living processes that have this path on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(mark).encode() in line:
                found.append(int(entry.name))
    return found


def children(data: Path) -> dict[str, int]:
    """Pids of the supervised processes by name; the broker's own file knows it after a restart too."""
    pids: dict[str, int] = orjson.loads((data / "run" / "children.json").read_bytes())
    return {**pids, "broker": int(orjson.loads((data / "broker.json").read_bytes())["pid"])}


def url_of(data: Path) -> str:
    """Where the pages are."""
    return str(orjson.loads((data / "run" / "web.json").read_bytes())["url"])


def logged_in(data: Path, user: str, password: str) -> Client:
    """A client of the running pages."""
    client = Client(url_of(data))
    until(lambda: client.login(user, password))
    return client


def alarms(client: Client) -> list[dict[str, Any]]:
    """All alarms of the snapshot, by id."""
    return sorted(client.get("/api/v1/snapshot")["alarms"], key=lambda a: str(a["id"]))


def orders(client: Client) -> list[dict[str, Any]]:
    """All orders, by id."""
    return sorted(client.get("/api/v1/orders", all=1)["orders"], key=lambda o: str(o["id"]))
