"""Backup while Steward runs: the process that owns the stores makes the copy, asked by a file."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

import orjson

from gateway.adapters.backup import MANIFEST, backup, restore
from gateway.adapters.clock import SystemClock
from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.lockfile import DataLock
from gateway.adapters.state import open_state
from gateway.adapters.store_errors import InUse
from gateway.app.terminal import console
from gateway.errors import BadInput, StewardError, WorkFailed
from gateway.ports import Clock, SampleStore, StateStore

log = logging.getLogger(__name__)

ASK = "run/backup-request.json"
ANSWER = "run/backup-answer.json"
WAIT_S = 600.0


async def answer_backups(
    data: Path, state: StateStore, samples: SampleStore, clock: Clock, site: Sequence[Path]
) -> None:
    """Core side: look for a request every second and carry it out."""
    ask, answer = data / ASK, data / ANSWER
    while True:
        await clock.sleep_real(1.0)
        if not await asyncio.to_thread(ask.exists):
            continue
        await asyncio.to_thread(_serve, ask, answer, data, state, samples, clock, site)


def _serve(
    ask: Path,
    answer: Path,
    data: Path,
    state: StateStore,
    samples: SampleStore,
    clock: Clock,
    site: Sequence[Path],
) -> None:
    target = ""
    try:
        target = str(orjson.loads(ask.read_bytes())["target"])
        backup(data, Path(target), state, samples, now=clock.now(), site=site)
        result = {"ok": True, "target": target}
    except (StewardError, OSError, orjson.JSONDecodeError, KeyError) as e:
        log.error("backup failed target=%s reason=%r", target, str(e))
        result = {"ok": False, "target": target, "error": str(e)}
    except Exception as e:
        log.exception("backup failed target=%s; report this", target)
        result = {"ok": False, "target": target, "error": f"{type(e).__name__}: {e}"}
    ask.unlink(missing_ok=True)
    part = answer.with_suffix(".part")
    part.write_bytes(orjson.dumps(result))
    part.replace(answer)


def make_backup(data: Path, target: Path) -> int:
    """Command side: ask the running core, or copy ourselves when none runs. Raises BadInput, WorkFailed."""
    target = target.absolute()
    _usable(data, target)
    try:
        lock = DataLock(data)
    except InUse:
        _ask(data, target)
    else:
        try:
            _copy(data, target)
        finally:
            lock.close()
    _tell("copied to", target)
    return 0


def _usable(data: Path, target: Path) -> None:
    if not (data / "state.db").exists():
        raise BadInput(f"there is no state.db in {data}", field="--data", hint="give the data directory")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BadInput(f"{target} is not empty", field="TARGET", hint="give the backup a new directory")
    if target.is_relative_to(data.absolute()):
        raise BadInput(
            f"{target} lies inside of {data}", field="TARGET", hint="a copy belongs on another disk"
        )


def _tell(what: str, folder: Path) -> None:
    """Where it went and how much it was."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    size = sum(p.stat().st_size for p in files) / 1e6
    console().print(f"{what} {folder}: {len(files)} files, {size:.1f} MB")


def _copy(data: Path, target: Path) -> None:
    state = open_state(data / "state.db")
    samples = DuckStore(data)
    try:
        backup(data, target, state, samples, now=SystemClock().now())
    finally:
        samples.close()
        state.close()


def _ask(data: Path, target: Path) -> None:
    ask, answer = data / ASK, data / ANSWER
    ask.parent.mkdir(parents=True, exist_ok=True)
    answer.unlink(missing_ok=True)
    part = ask.with_suffix(f".{os.getpid()}")
    part.write_bytes(orjson.dumps({"target": str(target)}))
    part.replace(ask)
    end = time.monotonic() + WAIT_S
    while not answer.exists():
        if time.monotonic() > end:
            ask.unlink(missing_ok=True)
            raise WorkFailed("the running core did not answer; see its log")
        time.sleep(0.2)
    result = orjson.loads(answer.read_bytes())
    answer.unlink(missing_ok=True)
    if not result["ok"]:
        raise WorkFailed(f"backup failed: {result['error']}")


def put_back(source: Path, data: Path) -> int:
    """Restore into an empty data directory. Raises BadInput when it is not empty, InUse when it runs."""
    if not (source / MANIFEST).is_file():
        raise BadInput(
            f"{source} is no backup: there is no {MANIFEST}",
            field="SOURCE",
            hint="give the folder of a backup",
        )
    restore(source, data)
    _tell("restored into", data)
    return 0
