"""Reading the site file again while Steward runs: SIGHUP asks a process, a note in `run/` holds its answer.

A process writes `run/reload-NAME.json` when it can be asked. So nobody is signalled who would die of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import orjson

from gateway.adapters.clock import SystemClock
from gateway.app.context import Places
from gateway.app.setup import load_setup
from gateway.app.terminal import console, say
from gateway.errors import BadInput, Problems, Retryable, StewardError, WorkFailed
from gateway.ports import Clock

log = logging.getLogger(__name__)

ALL = "steward"
"""The supervisor's name: it asks everybody else."""
WAIT_S = 120.0
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Note:
    """Who can be asked, and its last answer.

    n: how often it was asked · said: what it did, or what is wrong.
    """

    name: str
    pid: int
    started: str
    site: str
    n: int = 0
    ok: bool = True
    said: list[str] = field(default_factory=list)

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return bool(self.started) and _started_at(self.pid) == self.started


Reload = Callable[[], Awaitable[list[str]]]
"""Reads the site file again; what it did, in lines. Raises StewardError, and then nothing has changed."""


def note_path(data: Path, name: str) -> Path:
    """Where a process keeps its note."""
    return Places(data).run / f"reload-{name}.json"


async def serve_reloads(data: Path, name: str, site: Path, reload: Reload) -> None:
    """Answer every SIGHUP until cancelled.

    SIGHUP is also what a terminal says when it is closed: a process whose terminal has gone ends as before.
    """
    hup, had = asyncio.Event(), _has_terminal()
    path = note_path(data, name)
    whole = await asyncio.to_thread(site.absolute)
    note = Note(name, os.getpid(), _started_at(os.getpid()), str(whole))
    with _handler(hup):
        await asyncio.to_thread(_write, path, note)
        try:
            while True:
                await hup.wait()
                hup.clear()
                if had and not _has_terminal():
                    os.kill(os.getpid(), signal.SIGTERM)
                    continue
                note = replace(await _answered(note, reload), n=note.n + 1)
                await asyncio.to_thread(_write, path, note)
        finally:
            path.unlink(missing_ok=True)


async def _answered(note: Note, reload: Reload) -> Note:
    try:
        said = await reload()
    except Problems as e:
        return _refused(note, [str(p) for p in e.problems])
    except (StewardError, ValueError) as e:
        return _refused(note, [str(e)])
    except Exception as e:
        log.exception("reload failed; what ran goes on, report this")
        return _refused(note, [f"{type(e).__name__}: {e}"])
    log.info("reloaded %s", "; ".join(said))
    return replace(note, ok=True, said=said)


def _refused(note: Note, said: list[str]) -> Note:
    log.error("reload refused cause=%r; nothing has changed", said[0])
    return replace(note, ok=False, said=said)


async def ask(data: Path, name: str, clock: Clock, wait_s: float = WAIT_S) -> list[str]:
    """Let a process reload. Raises WorkFailed with what it says is wrong, Retryable when it is silent."""
    path = note_path(data, name)
    before = await asyncio.to_thread(_read, path)
    if before is None or not before.alive:
        raise Retryable(f"{name} does not run on {data}")
    os.kill(before.pid, signal.SIGHUP)
    end = clock.monotonic() + wait_s
    while clock.monotonic() < end:
        note = await asyncio.to_thread(_read, path)
        if note is None or not note.alive:
            raise Retryable(f"{name} ended meanwhile; see its log")
        if note.n > before.n:
            if not note.ok:
                raise WorkFailed("; ".join(note.said))
            return note.said
        await clock.sleep_real(POLL_S)
    raise Retryable(f"{name} has not answered within {wait_s:g} s")


async def reload_command(site: Path | None, data: Path, *, as_json: bool) -> int:
    """`steward reload`: check the file, then let the running installation take it up."""
    data = await asyncio.to_thread(data.absolute)
    running = await asyncio.to_thread(_running, data)
    names = [ALL] if ALL in running else sorted(running)
    if not names:
        raise BadInput(
            f"nothing runs on {data} that can reload", field="--data", hint="start Steward instead"
        )
    for name in names:
        used = Path(running[name].site)
        if site is not None and await asyncio.to_thread(site.absolute) != used:
            raise BadInput(
                f"{name} runs with {used}", field="SITE.yaml", hint="a different file needs a new start"
            )
        await asyncio.to_thread(load_setup, used)  # what is wrong is said here, before anybody is asked
    said = {name: await ask(data, name, SystemClock()) for name in names}
    if as_json:
        say({"ok": True, "said": said})
    for line in () if as_json else [x for lines in said.values() for x in lines]:
        console().print(line, markup=False)
    return 0


def _running(data: Path) -> dict[str, Note]:
    notes = [_read(path) for path in Places(data).run.glob("reload-*.json")]
    return {n.name: n for n in notes if n is not None and n.alive}


@contextmanager
def _handler(hup: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, hup.set)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _write(path: Path, note: Note) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(orjson.dumps(asdict(note)))
    part.replace(path)


def _read(path: Path) -> Note | None:
    with contextlib.suppress(OSError, orjson.JSONDecodeError, TypeError):
        return Note(**orjson.loads(path.read_bytes()))
    return None


def _started_at(pid: int) -> str:
    """The process's start in ticks since the system's (proc(5), field 22 of stat); "" when it has gone."""
    try:
        return (
            Path(f"/proc/{pid}/stat")
            .read_text(encoding="ascii", errors="replace")
            .rpartition(")")[2]
            .split()[19]
        )
    except (OSError, IndexError):
        return ""


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
