"""Short codes: of an asset (on its sticker, signed), of a report (random); signatures of a city's calls."""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterable

LENGTH = 12
"""Characters of an asset's code: 60 bits that nobody makes without the installation's key."""
AHEAD_MS = 300_000
"""So old or so far ahead may a signed call's time stamp be."""


def asset_code(key: bytes, asset: str) -> str:
    """`[a-z2-7]{12}`; the same for the same asset for as long as the key is kept."""
    digest = hmac.digest(key, f"asset:{asset}".encode(), "sha256")
    return base64.b32encode(digest).decode().lower()[:LENGTH]


def asset_of(key: bytes, code: str, assets: Iterable[str]) -> str | None:
    """The asset of a code; None for one that this installation did not make."""
    found = None
    for asset in assets:
        if hmac.compare_digest(asset_code(key, asset), code):
            found = asset
    return found


def report_code() -> str:
    """A status page's name that cannot be guessed (80 bits)."""
    return base64.b32encode(secrets.token_bytes(10)).decode().lower()


def signature(key: bytes, t: int, body: bytes) -> str:
    """`t=<ms>,v1=<hex>`: HMAC-SHA256 over `<ms>.` and the body."""
    return f"t={t},v1={hmac.digest(key, f'{t}.'.encode() + body, 'sha256').hex()}"


def signed(key: bytes, given: str, body: bytes, now: int) -> bool:
    """Whether the header is of this key, this body and this time."""
    stamp = given.partition(",")[0].removeprefix("t=")
    if not stamp.isdigit() or len(stamp) > 15 or abs(now - int(stamp)) > AHEAD_MS:
        return False
    return hmac.compare_digest(signature(key, int(stamp), body), given)
