"""A webhook that its receiver can trust: signed, stamped, with the same key on every repeat.

    Idempotency-Key: the notice's id
    X-Steward-Timestamp: seconds since 1970 at which it was sent, by the system clock of the core
    X-Steward-Signature: v1=<hex HMAC-SHA-256 of "timestamp.body" under the shared secret>

A receiver refuses what is not signed with its secret, what is older than REPLAY_S, and takes each key once.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

import orjson

from gateway.adapters.notify_http import request, taken
from gateway.model import Notice

REPLAY_S = 300


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """`v1=…` for the header."""
    return "v1=" + hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def genuine(secret: bytes, timestamp: str, body: bytes, given: str, now: float) -> bool:
    """Whether a request was signed with the secret and is not a replay: what a receiver has to check."""
    if not timestamp.isascii() or not timestamp.isdigit() or abs(now - int(timestamp)) > REPLAY_S:
        return False
    return hmac.compare_digest(signature(secret, timestamp, body).encode(), given.encode())


class WebhookNotifier:
    """Posts each notice as JSON."""

    def __init__(self, url: str, secret: bytes, epoch: Callable[[], float]) -> None:
        self._url, self._secret, self._epoch = url, secret, epoch

    def send(self, notice: Notice) -> str:
        """The receiver's status. Raises Retryable or Permanent."""
        body = orjson.dumps(body_of(notice))
        stamp = str(int(self._epoch()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "steward",
            "Idempotency-Key": notice.id,
            "X-Steward-Timestamp": stamp,
            "X-Steward-Signature": signature(self._secret, stamp, body),
        }
        return f"status {taken(request(self._url, body, headers)).status}"


def body_of(notice: Notice) -> dict[str, object]:
    """What receivers may rely on; keys are added, never renamed."""
    return {
        "v": 1, "key": notice.id, "keys": list(notice.keys) or [notice.id], "estate": notice.estate,
        "t": notice.t, "to": notice.to, "person": notice.person, "subject": notice.subject,
        "title": notice.title, "body": notice.body, "priority": notice.priority, "life": notice.life,
        "drill": notice.drill, "link": notice.link,
    }  # fmt: skip
