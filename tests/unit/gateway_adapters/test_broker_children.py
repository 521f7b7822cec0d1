"""The supervisor with real child processes (a few lines of Python each)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.adapters.children import Child, Supervisor
from gateway.adapters.clock import SystemClock
from gateway.errors import Retryable, WorkFailed

READY = "import pathlib,sys,time; pathlib.Path(sys.argv[1]).touch(); "
SLEEP = READY + "time.sleep(600)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP


def child(folder: Path, code: str, name: str = "worker", **options: object) -> Child:
    mark = folder / f"{name}.ready"

    async def ready() -> bool:
        return mark.exists()

    settings: dict[str, object] = {"ready": ready, "ready_timeout_s": 10.0, **options}
    return Child(
        name,
        (sys.executable, "-c", code, str(mark)),
        None,
        folder / f"{name}.log",
        SystemClock(),
        **settings,  # type: ignore[arg-type]  # each test gives what the field takes
    )


async def until(condition: Callable[[], bool], within_s: float = 15.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - a process is waited for; it has no event to set
            await asyncio.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_a_killed_child_comes_back_and_is_counted(tmp_path: Path) -> None:
    pids: list[int] = []
    async with Supervisor() as supervisor:
        await supervisor.start(child(tmp_path, SLEEP, started=pids.append))
        first = supervisor.status()["worker"]
        assert (first.state, first.restarts, first.adopted) == ("running", 0, False)

        supervisor.kill("worker")
        await until(lambda: supervisor.status()["worker"].restarts == 1)
        await until(lambda: supervisor.status()["worker"].state == "running")

        second = supervisor.status()["worker"]
        assert second.last_exit == -signal.SIGKILL
        assert pids == [first.pid, second.pid]
        assert first.pid != second.pid
    assert all(gone(pid) for pid in pids)


async def test_a_child_that_ends_at_start_says_why(tmp_path: Path) -> None:
    broken = child(tmp_path, "import sys; sys.exit('no such port: 99999')")
    async with Supervisor() as supervisor:
        with pytest.raises(WorkFailed, match=r"exit code 1.*no such port: 99999"):
            await supervisor.start(broken)
        assert supervisor.status() == {}


async def test_a_child_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    pids: list[int] = []
    slow = child(tmp_path, SLEEP, ready=never, ready_timeout_s=0.5, started=pids.append)
    async with Supervisor() as supervisor:
        with pytest.raises(Retryable, match=r"not ready after 0\.5 s"):
            await supervisor.start(slow)
    assert gone(pids[0])


async def test_a_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    async with Supervisor() as supervisor:
        await supervisor.start(child(tmp_path, STUBBORN, stop_timeout_s=0.3))
        pid = supervisor.status()["worker"].pid
        assert pid is not None
        await supervisor.stop("worker")
        assert gone(pid)
        assert supervisor.status() == {}


async def test_an_orderly_restart_is_not_counted_and_prepares_again(tmp_path: Path) -> None:
    prepared: list[str] = []

    async def prepare() -> None:
        prepared.append("once")

    async with Supervisor() as supervisor:
        await supervisor.start(child(tmp_path, SLEEP, prepare=prepare))
        before = supervisor.status()["worker"].pid
        await supervisor.restart("worker")
        after = supervisor.status()["worker"]
        assert after.pid != before
        assert (after.state, after.restarts) == ("running", 0)
    assert prepared == ["once", "once"]


async def test_a_restart_that_fails_is_tried_again(tmp_path: Path) -> None:
    attempts = 0

    async def prepare() -> None:
        nonlocal attempts
        attempts += 1
        if attempts in (2, 3):
            raise OSError("the disk is away")

    async with Supervisor() as supervisor:
        await supervisor.start(child(tmp_path, SLEEP, prepare=prepare))
        supervisor.kill("worker")
        await until(lambda: attempts == 4 and supervisor.status()["worker"].state == "running")


async def test_children_stop_in_reverse_order(tmp_path: Path) -> None:
    order = tmp_path / "order"
    code = (
        "import signal,sys,pathlib,time\n"
        "def stop(*_):\n"
        f"    open({str(order)!r}, 'a').write(pathlib.Path(sys.argv[1]).stem + ' '); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, stop)\n"
    ) + SLEEP
    async with Supervisor() as supervisor:
        for name in ("broker", "edge", "core"):
            await supervisor.start(child(tmp_path, code, name))
    assert order.read_text() == "core edge broker "


async def test_a_live_process_is_adopted_watched_and_replaced(tmp_path: Path) -> None:
    # A grandchild whose own parent has ended, as after a crash of the supervisor.
    starter = (
        "import subprocess,sys; null = subprocess.DEVNULL;"
        "print(subprocess.Popen([sys.executable,'-c',*sys.argv[1:]], stdout=null, stderr=null).pid)"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", starter, SLEEP, str(tmp_path / "worker.ready"), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    orphan = int(output)
    async with Supervisor() as supervisor:
        await supervisor.start(child(tmp_path, SLEEP), adopt=orphan)
        assert supervisor.status()["worker"].adopted
        assert supervisor.status()["worker"].pid == orphan

        os.kill(orphan, signal.SIGKILL)
        await until(lambda: supervisor.status()["worker"].restarts == 1)
        await until(lambda: supervisor.status()["worker"].state == "running")
        assert not supervisor.status()["worker"].adopted
        assert supervisor.status()["worker"].pid != orphan


PARENT = """
import asyncio, sys
from pathlib import Path
from gateway.adapters.children import Child, Supervisor
from gateway.adapters.clock import SystemClock

async def main():
    argv = (sys.executable, "-c", "import time; time.sleep(600)")
    async with Supervisor() as s:
        await s.start(Child("worker", argv, None, Path(sys.argv[1]), SystemClock()))
        print(s.status()["worker"].pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
async def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path / "log"), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 20))
    parent.kill()
    await parent.wait()
    await until(lambda: gone(pid))


async def test_a_long_log_is_put_aside_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.adapters.children.LOG_BYTES", 10)
    (tmp_path / "worker.log").write_text("x" * 11)
    async with Supervisor() as supervisor:
        await supervisor.start(child(tmp_path, "print('hello', flush=True); " + SLEEP))
    assert (tmp_path / "worker.log.1").read_text() == "x" * 11
    assert (tmp_path / "worker.log").read_text() == "hello\n"


def test_the_ready_default_is_at_once() -> None:
    one = Child("a", ("true",), None, Path("log"), SystemClock())
    check: Callable[[], Awaitable[bool]] = one.ready
    assert asyncio.run(_wait(check))


async def _wait(check: Callable[[], Awaitable[bool]]) -> bool:
    return await check()
