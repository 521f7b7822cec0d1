"""The control channel: one JSON object a line over localhost TCP, for the demo's "break it" panel.

Requests: `{"do": "fault", "kind", "asset", "severity"?}`, `{"do": "clear", "kind"?, "asset"?}`,
`{"do": "list"}`, `{"do": "truth"}`, `{"do": "counts"}`, `{"do": "begin"}` (tell the story from now).
Answers: `{"ok": true, …}` or `{"ok": false, "error": …}`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import orjson

from gateway.errors import BadInput, Retryable, StewardError
from simulators.faults import KINDS
from simulators.serve import Endpoints
from simulators.world import Live

log = logging.getLogger(__name__)
LIMIT = 1_000_000


@asynccontextmanager
async def control_server(live: Live, endpoints: Endpoints, port: int = 0) -> AsyncIterator[str]:
    """Listen on 127.0.0.1; gives the endpoint `tcp://127.0.0.1:port`."""
    desk = ControlDesk(live, endpoints)
    server = await asyncio.start_server(desk.talk, "127.0.0.1", port, limit=LIMIT)
    try:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


class ControlDesk:
    """Answers requests; every one of them at the present site time."""

    def __init__(self, live: Live, endpoints: Endpoints) -> None:
        self._live = live
        self._endpoints = endpoints
        self._acts: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "fault": self._fault,
            "clear": self._clear,
            "list": self._list,
            "truth": self._truth,
            "counts": self._counts,
            "begin": self._begin,
        }

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, any number of requests."""
        try:
            while line := await reader.readline():
                writer.write(orjson.dumps(self.answer(line)) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError) as e:
            log.info("control connection dropped: %s", e)
        finally:
            writer.close()

    def answer(self, line: bytes) -> dict[str, Any]:
        """The answer to one request."""
        try:
            request = orjson.loads(line)
            act = self._acts.get(request.get("do", "")) if isinstance(request, dict) else None
            if act is None:
                raise BadInput("unknown request", field="do", hint=f"one of {', '.join(self._acts)}")
            self._live.advance()
            return {"ok": True, "t": self._live.simulation.now, **act(request)}
        except orjson.JSONDecodeError as e:
            return {"ok": False, "error": f"not JSON: {e}"}
        except (StewardError, TypeError) as e:
            return {"ok": False, "error": str(e)}

    def _fault(self, request: Mapping[str, Any]) -> dict[str, Any]:
        kind, asset, severity = request.get("kind"), request.get("asset"), request.get("severity")
        if not isinstance(kind, str) or not isinstance(asset, str):
            raise BadInput("kind and asset are texts", field="kind", hint='e.g. "power_cut" and "pw-1"')
        if severity is not None and not isinstance(severity, int | float):
            raise BadInput("severity is a number", field="severity", hint="for example 0.5")
        label = self._live.simulation.faults.apply(kind, asset, severity)
        return {"truth": label.as_dict() if label else None}

    def _clear(self, request: Mapping[str, Any]) -> dict[str, Any]:
        kind, asset = request.get("kind"), request.get("asset")
        return {"cleared": self._live.simulation.faults.clear(kind, asset)}

    def _list(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        faults = self._live.simulation.faults
        return {
            "kinds": [
                {
                    "kind": kind,
                    "name": dict(spec.name),
                    "severity": spec.severity,
                    "assets": faults.targets(kind),
                }
                for kind, spec in KINDS.items()
            ],
            "active": [
                {"kind": kind, "asset": target, "severity": severity}
                for (kind, target), severity in faults.active.items()
            ],
        }

    def _truth(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        return {"truth": [label.as_dict() for label in self._live.simulation.truth]}

    def _counts(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        return {"counts": {id_: counts.as_dict() for id_, counts in self._endpoints.counts().items()}}

    def _begin(self, _request: Mapping[str, Any]) -> dict[str, Any]:
        self._live.simulation.begin()
        return {}


async def send(endpoint: str, request: Mapping[str, Any], timeout_s: float = 5.0) -> dict[str, Any]:
    """The answer to one request to `tcp://host:port`. Raises BadInput (refused) or Retryable (cut off)."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, int(port), limit=LIMIT)
            try:
                writer.write(orjson.dumps(dict(request)) + b"\n")
                line = await reader.readline()
            finally:
                writer.close()
                await writer.wait_closed()
    except (OSError, TimeoutError) as e:
        raise Retryable(f"the simulators at {endpoint} do not answer: {e}; are they running?") from e
    if not line:
        raise Retryable(f"the simulators at {endpoint} closed the connection")
    answer: dict[str, Any] = orjson.loads(line)
    if not answer.get("ok"):
        raise BadInput(str(answer.get("error", "refused")))
    return answer
