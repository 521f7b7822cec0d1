"""Processes of one run: started on their core, their processor time read from /proc, ended by their id."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CLIENT_CORE, OTHER_CORE = 0, 1
HZ = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
OPEN_FILES = 16_384


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds (user and system), resident bytes and threads of a process with its children."""

    cpu_s: float
    resident: int
    threads: int


def prepare() -> None:
    """This process and the devices on one core, clients on the other; enough open files for all."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, hard), hard))
    if pinned():
        os.sched_setaffinity(0, {OTHER_CORE})


def pinned() -> bool:
    """Whether clients have a core to themselves."""
    return shutil.which("taskset") is not None and (os.cpu_count() or 1) > OTHER_CORE


def start(
    command: Sequence[str | Path],
    core: int,
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    log: str = "",
) -> subprocess.Popen[bytes]:
    """A process on one core; `log`: a file in `cwd` for what it says, else its standard output is a pipe."""
    pin = ["taskset", "-c", str(core)] if pinned() else []
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context((cwd / log).open("wb")) if log else None
        return subprocess.Popen(
            [*pin, *map(str, command)], cwd=cwd, env=dict(env) if env else None, stdin=subprocess.DEVNULL,
            stdout=sink or subprocess.PIPE, stderr=sink or subprocess.DEVNULL,
        )  # fmt: skip


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM, seconds: float = 10) -> None:
    """Ask it to end, then kill it with its children; idempotent."""
    tree = [*_tree(process.pid)] if process.poll() is None else []
    if process.poll() is None:
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    for pid in tree:
        if pid != process.pid or process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait(seconds)
    if process.stdout:
        process.stdout.close()


def usage(pid: int) -> Usage:
    """Of a process and its living children; zeros when it is gone."""
    cpu = resident = threads = 0
    for member in _tree(pid):
        fields = _stat(member)
        if fields:
            own = int(fields[11]) + int(fields[12])
            reaped = int(fields[13]) + int(fields[14])
            cpu, threads = cpu + own + reaped, threads + int(fields[17])
            resident += int(fields[21]) * PAGE
    return Usage(cpu / HZ, resident, threads)


def busy_s() -> float:
    """Processor seconds that all processes of the machine have used since it started."""
    user, nice, system, _, _, irq, soft, *_ = (
        int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + soft) / HZ


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def wait_listening(port: int, seconds: float = 10) -> None:
    """Until somebody accepts connections. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody listens on port {port}") from None
            time.sleep(0.02)


def _tree(pid: int) -> Iterator[int]:
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    waiting = [pid]
    while waiting:
        member = waiting.pop()
        yield member
        waiting += parents.get(member, [])


def _stat(pid: int) -> list[str]:
    """The fields behind the name, which may hold spaces; empty when there is no such process (proc(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
