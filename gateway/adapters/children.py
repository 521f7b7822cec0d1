"""Child processes: started, watched, restarted with back-off, stopped in order.

A child is its own session, so that Ctrl-C in a terminal reaches the supervisor alone and the stop has an
order. Its output goes to a file. It dies with its parent where that is safe (Linux, spawned from the main
thread: the kernel ties the signal to the spawning *thread*); what must outlive a crash of the supervisor,
such as the broker, is adopted by the next one instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Protocol, Self

from gateway.adapters.broker_tasks import end as end_task
from gateway.errors import Retryable, WorkFailed
from gateway.ports import Clock

log = logging.getLogger(__name__)

POLL_S = 0.05
BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
SETTLED_S = 30.0
"""A child that ran so long starts its back-off from the beginning again."""
LOG_BYTES = 5_000_000

# Asks the kernel for SIGTERM when the parent ends, makes sure that it has not ended already, becomes argv.
_LIFELINE = (
    "import ctypes,os,sys;"
    "ctypes.CDLL(None).prctl(1,15,0,0,0);"
    "os.getppid()==int(sys.argv[1]) or sys.exit(143);"
    "os.execvp(sys.argv[2],sys.argv[2:])"
)

State = Literal["starting", "running", "waiting", "stopped"]


async def _at_once() -> bool:
    return True


@dataclass(frozen=True)
class Child:
    """What to run and how to know that it works.

    argv: the program and its arguments · env: the whole environment; None: the parent's · ready: polled
    until it returns True · prepare: runs before every start, also after a crash · started: hears the pid ·
    restart: False for a child whose end is left to the caller · stop_timeout_s: from SIGTERM to SIGKILL.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None
    log_path: Path
    clock: Clock
    ready: Callable[[], Awaitable[bool]] = _at_once
    prepare: Callable[[], Awaitable[None]] | None = None
    started: Callable[[int], None] | None = None
    cwd: Path | None = None
    ready_timeout_s: float = 30.0
    stop_timeout_s: float = 10.0
    restart: bool = True
    die_with_parent: bool = True


@dataclass(frozen=True, slots=True)
class ChildStatus:
    """One child now. `restarts` counts unwanted ends; `last_exit` is negative for a signal."""

    name: str
    state: State
    pid: int | None
    restarts: int
    up_s: float
    last_exit: int | None
    adopted: bool


class _Running(Protocol):
    """A live process, whether we started or adopted it."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> int: ...

    def send_signal(self, number: int) -> None: ...


class _Adopted:
    """A process that an earlier supervisor started; watched by pidfd (Linux), else by asking for its pid."""

    def __init__(self, pid: int, clock: Clock) -> None:
        self._pid, self._clock = pid, clock
        self._ended = asyncio.Event()
        self._fd = -1
        if hasattr(os, "pidfd_open"):
            self._fd = os.pidfd_open(pid)
            asyncio.get_running_loop().add_reader(self._fd, self._ended.set)

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def returncode(self) -> int | None:
        """0 once it has ended: the exit code of somebody else's child cannot be known."""
        return 0 if self._ended.is_set() else None

    async def wait(self) -> int:
        while self._fd < 0 and not self._ended.is_set():
            if not _exists(self._pid):
                self._ended.set()
                break
            await self._clock.sleep_real(0.5)
        await self._ended.wait()
        return 0

    def send_signal(self, number: int) -> None:
        if self._fd >= 0:
            signal.pidfd_send_signal(self._fd, number)
        else:
            os.kill(self._pid, number)

    def close(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


class Supervisor:
    """Keeps children alive while its `async with` block runs; stops them in reverse order at its end."""

    def __init__(self) -> None:
        self._keepers: dict[str, _Keeper] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in reversed(list(self._keepers)):
            await self.stop(name)

    async def start(self, child: Child, *, adopt: int | None = None) -> None:
        """Start it and wait until it is ready, or take over the live process `adopt`.

        Raises WorkFailed with the last lines of its log when it ends or does not become ready in time.
        """
        if child.name in self._keepers:
            raise WorkFailed(f"a child named {child.name} is already there")
        keeper = _Keeper(child)
        self._keepers[child.name] = keeper
        try:
            await keeper.begin(adopt)
        except BaseException:
            del self._keepers[child.name]
            raise

    async def stop(self, name: str) -> None:
        """SIGTERM, after `stop_timeout_s` SIGKILL; no restart. A name that is not there is fine."""
        keeper = self._keepers.pop(name, None)
        if keeper is not None:
            await keeper.end()

    async def restart(self, name: str) -> None:
        """An orderly stop and a new start, without back-off and not counted. Raises Retryable."""
        await self._keepers[name].cycle()

    def kill(self, name: str) -> None:
        """SIGKILL, as a crash would: the child comes back by itself."""
        self._keepers[name].send(signal.SIGKILL)

    def signal(self, name: str, number: int) -> None:
        """Send a signal, e.g. SIGHUP to reload."""
        self._keepers[name].send(number)

    def status(self) -> dict[str, ChildStatus]:
        """Every child, by name."""
        return {name: keeper.status() for name, keeper in self._keepers.items()}


@dataclass(eq=False)
class _Keeper:
    child: Child
    state: State = "starting"
    restarts: int = 0
    last_exit: int | None = None
    _process: _Running | None = None
    _task: asyncio.Task[None] | None = None
    _planned: bool = False
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    _since: float = 0.0

    async def begin(self, adopt: int | None) -> None:
        if adopt is None:
            await self._launch()
        else:
            self._process = _Adopted(adopt, self.child.clock)
            await self._settle(self._process)
            log.info("%s: adopted pid=%d", self.child.name, adopt)
        if self.child.restart:
            self._task = asyncio.create_task(self._keep(), name=f"child.{self.child.name}")

    async def end(self) -> None:
        await end_task(self._task)
        if self._process is not None:
            await self._finish(self._process)
        self.state = "stopped"

    async def cycle(self) -> None:
        self._planned = True
        self._ready.clear()
        if self._process is not None:
            await self._finish(self._process)
        timeout = self.child.ready_timeout_s + self.child.stop_timeout_s
        try:
            await asyncio.wait_for(self._ready.wait(), timeout)
        except TimeoutError as e:
            raise Retryable(f"{self.child.name} did not come back in {timeout:g} s") from e

    def send(self, number: int) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)

    def status(self) -> ChildStatus:
        process = self._process
        alive = process is not None and process.returncode is None
        return ChildStatus(
            name=self.child.name,
            state=self.state,
            pid=process.pid if process is not None and alive else None,
            restarts=self.restarts,
            up_s=self.child.clock.monotonic() - self._since if self.state == "running" else 0.0,
            last_exit=self.last_exit,
            adopted=isinstance(process, _Adopted),
        )

    async def _keep(self) -> None:
        clock, failures = self.child.clock, 0
        while True:
            if self._process is not None:
                self.last_exit = await self._process.wait()
                _release(self._process)
                self._process = None
                if clock.monotonic() - self._since > SETTLED_S:
                    failures = 0
            if not self._planned:
                self.restarts += 1
                failures = await self._pause(failures)
            self._planned = False
            try:
                await self._launch()
            except Exception as e:  # a keeper that ends would leave its child down without a word
                unforeseen = not isinstance(e, WorkFailed | OSError)
                if failures <= 1 or unforeseen:
                    log.warning("%s: no restart, will try again: %s", self.child.name, e, exc_info=unforeseen)
            else:
                log.info("%s: running again pid=%s after %d tries", self.child.name, self._pid(), failures)

    async def _pause(self, failures: int) -> int:
        self.state = "waiting"
        delay = BACKOFF_S[min(failures, len(BACKOFF_S) - 1)]
        if failures == 0:
            log.warning("%s: ended code=%s; restart in %g s", self.child.name, self.last_exit, delay)
        await self.child.clock.sleep_real(delay)
        return failures + 1

    async def _launch(self) -> None:
        self.state = "starting"
        if self.child.prepare is not None:
            await self.child.prepare()
        process = await _spawn(self.child)
        self._process = process
        if self.child.started is not None:
            self.child.started(process.pid)
        await self._settle(process)

    async def _settle(self, process: _Running) -> None:
        """Wait until it is ready; otherwise end it and say what its log says."""
        clock = self.child.clock
        self._since = clock.monotonic()
        deadline = self._since + self.child.ready_timeout_s
        problem = f"{self.child.name}: not ready after {self.child.ready_timeout_s:g} s"
        try:
            while clock.monotonic() < deadline:
                if process.returncode is not None:
                    problem = f"{self.child.name}: ended at start, exit code {process.returncode}"
                    break
                if await _is_ready(self.child):
                    self.state = "running"
                    self._ready.set()
                    return
                await clock.sleep_real(POLL_S)
        except BaseException:
            await asyncio.shield(self._finish(process))
            raise
        await self._finish(process)
        raise Retryable(f"{problem}. {_tail(self.child.log_path)}")

    async def _finish(self, process: _Running) -> None:
        self._process = process
        if process.returncode is None:
            self.send(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), self.child.stop_timeout_s)
            except TimeoutError:
                log.warning("%s: does not stop, killed pid=%d", self.child.name, process.pid)
                self.send(signal.SIGKILL)
                await process.wait()
        self.last_exit = process.returncode
        if self._task is None or self._task.done():
            _release(process)
            self._process = None

    def _pid(self) -> int | None:
        return self._process.pid if self._process is not None else None


async def _is_ready(child: Child) -> bool:
    try:
        return await child.ready()
    except OSError:
        return False


async def _spawn(child: Child) -> _Running:
    argv = list(child.argv)
    if child.die_with_parent and _lifeline_is_safe():
        argv = [sys.executable, "-I", "-S", "-c", _LIFELINE, str(os.getpid()), *argv]
    with _log_file(child.log_path) as output:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if child.env is None else dict(child.env),
            cwd=child.cwd,
            start_new_session=True,
        )


def _lifeline_is_safe() -> bool:
    return sys.platform == "linux" and threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def _log_file(path: Path) -> Iterator[BinaryIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    with path.open("ab") as output:
        yield output


def _tail(path: Path, lines: int = 5) -> str:
    try:
        with path.open("r", encoding="utf-8", errors="replace") as f:
            last = deque((line.strip() for line in f), maxlen=lines)
    except OSError:
        return "It left no log."
    return f"Last lines of {path}: " + " | ".join(last) if last else f"Its log {path} is empty."


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _release(process: _Running) -> None:
    if isinstance(process, _Adopted):
        process.close()
