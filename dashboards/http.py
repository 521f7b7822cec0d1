"""The outer wall of the web as one ASGI layer: host, origin, size, headers, one log line per request."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.images import MAX_PHOTO
from dashboards.metrics import Counters
from dashboards.problems import Problem, problem_response
from dashboards.web import WebOptions, language
from gateway.ports import Clock

log = logging.getLogger(__name__)

OnError = Callable[[Request, Exception], Awaitable[Response]]
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
CSP = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With `no-referrer` browsers send `Origin: null` with forms, and the origin check would refuse them.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(self), microphone=(), payment=(), usb=()",
}


class Wall:
    """Wraps the application. Refuses foreign hosts and origins and bodies that are too large."""

    def __init__(
        self, app: ASGIApp, options: WebOptions, clock: Clock, counters: Counters, on_error: OnError
    ) -> None:
        self._app, self._options, self._clock, self._counters = app, options, clock, counters
        self._on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = self._clock.monotonic(), 0
        request_id = secrets.token_hex(6)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._dress(MutableHeaders(scope=message), request_id)
            await send(message)

        try:
            problem = self._refusal(scope)
            if problem is not None:
                await problem_response(problem, language(Request(scope)))(scope, receive, sending)
            else:
                await self._app(scope, _Limited(receive, self._room(scope)), sending)
        except Exception as e:  # a mistake of ours: whoever asked gets an answer, and the trace is in the log
            if status:
                raise
            response = await self._on_error(Request(scope, receive), e)
            await response(scope, receive, sending)
        finally:
            self._note(scope, status, self._clock.monotonic() - start, request_id)

    def _dress(self, headers: MutableHeaders, request_id: str) -> None:
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("Cache-Control", "no-store")
        headers["X-Request-Id"] = request_id
        if self._options.https:
            headers.setdefault("Strict-Transport-Security", "max-age=31536000")

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not host_allowed(host, self._options.hosts):
            return Problem(400, "problem.host", host=host[:100])
        if scope["method"] not in SAFE and not _same_origin(headers, host):
            return Problem(403, "problem.origin")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._room(scope):
            return Problem(413, "problem.body", limit=self._room(scope))
        return None

    def _room(self, scope: Scope) -> int:
        """Bytes that a body may have: photos come at `…/photos` and with reports at `/r/…`, papers too."""
        path = scope["path"]
        if path.endswith(("/photos", "/papers")):
            return MAX_PHOTO
        return MAX_PHOTO + 65_536 if path.startswith("/r/") else self._options.max_body

    def _note(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        method = (
            scope["method"] if scope["method"] in {*SAFE, "POST", "PUT", "DELETE", "PATCH"} else "(other)"
        )
        self._counters.request(method, _handler(scope), status, seconds)
        client = (scope.get("client") or ("-",))[0]
        level = logging.WARNING if status >= 500 else logging.INFO if method not in SAFE else logging.DEBUG
        # The path alone: a query or a header may hold what nobody else should read.
        log.log(
            level, "request=%s method=%s path=%r status=%d ms=%.1f client=%s",
            request_id, method, scope["path"][:200], status, seconds * 1000, client,
        )  # fmt: skip


def _handler(scope: Scope) -> str:
    """`alarms.ack`: the name of the function that answered. Ids and guessed addresses make no new names."""
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return "(none)"
    if not hasattr(endpoint, "__name__"):
        return "(files)"
    return f"{endpoint.__module__.rpartition('.')[2]}.{endpoint.__name__}"


class _Limited:
    """Counts the body as it comes: a body without Content-Length is limited too."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._limit, self._seen = receive, limit, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            if self._seen > self._limit:
                raise HTTPException(413)  # FastAPI turns any other kind into a 400
        return message


def host_allowed(host: str, allowed: tuple[str, ...]) -> bool:
    """Whether a Host header names one of the allowed hosts; the port does not matter."""
    name = host_name(host)
    return any(
        a == "*" or name == a.lower() or (a.startswith("*.") and name.endswith(a[1:].lower()))
        for a in allowed
    )


def host_name(host: str) -> str:
    """`[::1]:80` → `[::1]`, `Name:80` → `name`."""
    host = host.strip().lower()
    return host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]


def _same_origin(headers: Headers, host: str) -> bool:
    """Browsers send Origin with every unsafe request. What sends none is a program, not a page."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    return urlsplit(origin).netloc.lower() == host.lower()
