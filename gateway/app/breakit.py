"""The demonstration's box of breakages: faults in the plant, and kill -9 of our own processes."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from gateway.app.context import Places
from gateway.errors import BadInput, NotFound


class BreakIt:
    """Callable for `WebOptions.breakit`. {"do": fault|clear|list|kill, …}."""

    def __init__(self, control: str, data: Path) -> None:
        self._control, self._data = control, data

    async def __call__(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Carry one breakage out. Raises BadInput, NotFound, Retryable."""
        do = request.get("do")
        if do == "kill":
            return self._kill(str(request.get("name", "")))
        if do not in ("fault", "clear", "list"):
            raise BadInput(f"{do!r} cannot be done", field="do", hint="fault, clear, list or kill")
        # Here, so that the core of a real site never loads the simulators.
        from simulators.control import send

        return await send(self._control, {k: v for k, v in request.items() if v is not None})

    def _kill(self, name: str) -> dict[str, Any]:
        """End an edge or the broker as a crash would; the supervisor starts it again."""
        pids = self._pids()
        wanted = [n for n in pids if n == name or (name == "edge" and n.startswith("edge-"))]
        if not wanted or name == "core":
            raise NotFound(f"there is no process {name!r} to kill; there are {', '.join(sorted(pids))}")
        for n in wanted:
            os.kill(int(pids[n]), signal.SIGKILL)
        return {"ok": True, "killed": wanted}

    def _pids(self) -> dict[str, int]:
        """Live processes by name; the broker's own file knows it also after a restart."""
        pids: dict[str, int] = {}
        for path, key in ((Places(self._data).children, ""), (self._data / "broker.json", "broker")):
            with contextlib.suppress(OSError, orjson.JSONDecodeError, KeyError):
                found = orjson.loads(path.read_bytes())
                pids |= {key: int(found["pid"])} if key else found
        return pids
