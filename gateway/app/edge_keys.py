"""The keys that commands to edges are signed with: made once for each edge, never sent over the bus.

`edge-keys.json` (mode 600) in the core's data directory; an edge finds its own in STEWARD_EDGE_KEY.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import orjson

from gateway.errors import BadInput

KEY = "STEWARD_EDGE_KEY"


def own_key() -> bytes:
    """This edge's; empty: it obeys nothing that changes anything. Raises BadInput."""
    text = os.environ.get(KEY, "")
    try:
        key = bytes.fromhex(text)
    except ValueError as e:
        raise BadInput("is not hexadecimal", field=KEY, hint="take it from the edge's .env file") from e
    if key and len(key) < 16:
        raise BadInput("is too short", field=KEY, hint="take it from the edge's .env file")
    return key


class EdgeKeys:
    """The keys of all edges. Raises BadInput for a damaged file."""

    def __init__(self, data: Path) -> None:
        self._path = data / "edge-keys.json"

    def get(self, gateway: str) -> bytes:
        """Empty for an edge that was never enrolled here."""
        return bytes.fromhex(self._read().get(gateway, ""))

    def make(self, gateway: str) -> str:
        """The edge's key in hex; a new one when it has none."""
        keys = self._read()
        if gateway not in keys:
            keys[gateway] = secrets.token_hex(32)
            self._write(keys)
        return keys[gateway]

    def _read(self) -> dict[str, str]:
        try:
            raw = orjson.loads(self._path.read_bytes())
            return {str(k): bytes.fromhex(v).hex() for k, v in raw.items()}
        except FileNotFoundError:
            return {}
        except (orjson.JSONDecodeError, AttributeError, ValueError, TypeError) as e:
            raise BadInput(
                f"is damaged: {e}",
                file=str(self._path),
                line=1,
                hint="move it away and enrol the edges again",
            ) from e

    def _write(self, keys: dict[str, str]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        part = self._path.with_suffix(".part")
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        part.write_bytes(orjson.dumps(keys, option=orjson.OPT_INDENT_2))
        part.replace(self._path)
