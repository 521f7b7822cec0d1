"""A configuration on its way to an edge: a few small text files, packed and cut into commands."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.codec.wire import BadMessage

CHUNK = 45_000
"""Characters of a part; with the rest of its command below the 64 kB of a message."""
MAX_PARTS = 50
MAX_TEXT = 8_000_000
NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")
"""File names stay below the folder that they are unpacked in."""


def digest(files: Mapping[str, str]) -> str:
    """SHA-256 of the content, in hex."""
    return hashlib.sha256(_text(files)).hexdigest()


def pack(files: Mapping[str, str]) -> list[str]:
    """The parts, in order. Raises ValueError when it takes more than 50 of them."""
    text = base64.b64encode(zlib.compress(_text(files), 9)).decode()
    parts = [text[k : k + CHUNK] for k in range(0, len(text), CHUNK)]
    if len(parts) > MAX_PARTS:
        raise ValueError(f"a configuration of {len(text)} bytes is too long to send")
    return parts


def unpack(parts: Sequence[str], expected: str) -> dict[str, str]:
    """Files by name. Raises BadMessage when anything is not as it was packed, or a name leaves the folder."""
    try:
        inflate = zlib.decompressobj()
        text = inflate.decompress(base64.b64decode("".join(parts), validate=True), MAX_TEXT)
        files: Any = orjson.loads(text)
    except (binascii.Error, zlib.error, orjson.JSONDecodeError) as e:
        raise BadMessage(f"parts: not a packed configuration: {e}") from e
    if not inflate.eof or inflate.unused_data:
        raise BadMessage("parts: too many, too few, or too long")
    if hashlib.sha256(text).hexdigest() != expected:
        raise BadMessage("hash: does not fit the content")
    if not isinstance(files, dict) or not all(isinstance(v, str) for v in files.values()):
        raise BadMessage("parts: texts by file name are needed")
    for name in files:
        if not NAME.fullmatch(name):
            raise BadMessage(f"parts: {name!r:.60} is no name of a file below one folder")
    return files


def _text(files: Mapping[str, str]) -> bytes:
    return orjson.dumps(dict(files), option=orjson.OPT_SORT_KEYS)
