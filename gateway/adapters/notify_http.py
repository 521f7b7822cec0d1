"""One HTTP request of a notifier: what came back, and whether trying again may help."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.errors import Permanent, Retryable

LIMIT_S = 10.0
"""Real seconds for connecting and for each wait of reading."""
MOST_BYTES = 1 << 16
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Reply:
    """What a service said."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A signed message follows nobody to another place."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Never."""


_OPENER = urllib.request.build_opener(_NoRedirect)


def request(
    url: str, body: bytes, headers: Mapping[str, str], *, method: str = "POST", limit_s: float = LIMIT_S
) -> Reply:
    """Raises Retryable when nobody answered."""
    asked = urllib.request.Request(url, body, dict(headers), method=method)  # noqa: S310 - checked in the site file
    try:
        with _OPENER.open(asked, timeout=limit_s) as answer:
            return Reply(answer.status, answer.read(MOST_BYTES))
    except urllib.error.HTTPError as e:
        with e:
            return Reply(e.code, e.read(MOST_BYTES))
    except (OSError, http.client.HTTPException) as e:
        reason = getattr(e, "reason", None) or e
        raise Retryable(f"no answer: {reason}") from e


def taken(reply: Reply) -> Reply:
    """The reply of a service that took the message. Raises Retryable or Permanent by status."""
    if 200 <= reply.status < 300:
        return reply
    said = reply.body[:200].decode(errors="replace").strip()
    error = Retryable if reply.status in AGAIN else Permanent
    raise error(f"status {reply.status}{': ' if said else ''}{said}")


def field(value: Any, path: str) -> Any:
    """`a.0.b` in nested JSON; None where there is no such thing."""
    for part in path.split("."):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value
