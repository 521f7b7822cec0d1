"""Commands that change something at an edge are signed with its key: HMAC-SHA256 over their content.

The key is made at enrolment and never travels; who may publish on the broker cannot command an edge.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import orjson


def sign(key: bytes, body: Mapping[str, Any]) -> dict[str, Any]:
    """The body with its `sig`."""
    return {**body, "sig": _mac(key, body)}


def verified(key: bytes, body: Mapping[str, Any]) -> bool:
    """Whether `sig` was made with this key over all the rest. An empty key verifies nothing."""
    given = body.get("sig")
    return (
        bool(key) and isinstance(given, str) and hmac.compare_digest(given.encode(), _mac(key, body).encode())
    )


def _mac(key: bytes, body: Mapping[str, Any]) -> str:
    text = orjson.dumps({k: v for k, v in body.items() if k != "sig"}, option=orjson.OPT_SORT_KEYS)
    return hmac.new(key, text, hashlib.sha256).hexdigest()
