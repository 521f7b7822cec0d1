"""Photos and papers in the data directory: `attachments/ab/abcdef…`, named by the SHA-256 of their bytes."""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path

from gateway.adapters.files import replaced
from gateway.adapters.store_errors import StoreDamaged, StoreFailed, StoreFull
from gateway.errors import NotFound

QUOTA = 50 << 30
"""Bytes that photos and papers may take in all; a full disk says no earlier."""
_HASH = re.compile(r"[0-9a-f]{64}")


class Attachments:
    """Implements ports.FileStore in a folder. quota: bytes in all."""

    def __init__(self, folder: Path, quota: int = QUOTA) -> None:
        self._folder, self._quota = folder, quota
        self._lock = threading.Lock()
        self._used: int | None = None

    def put(self, data: bytes) -> str:
        """See the port. Raises StoreFull over the quota or on a full disk, StoreFailed for a broken one."""
        sha = hashlib.sha256(data).hexdigest()
        path = self._path(sha)
        with self._lock:
            if path.exists() and path.stat().st_size == len(data):
                return sha
            if self.used() + len(data) > self._quota:
                raise StoreFull(f"attachments are over their {self._quota} bytes; make room or raise it")
            try:
                with replaced(path) as half:
                    half.write_bytes(data)
            except OSError as e:
                kind = StoreFull if e.errno in (28, 122) else StoreFailed  # ENOSPC, EDQUOT
                raise kind(f"{path}: {e.strerror}") from e
            self._used = self.used() + len(data)
        return sha

    def get(self, sha256: str) -> bytes:
        """See the port. Raises StoreDamaged when the bytes have another hash than their name."""
        if not _HASH.fullmatch(sha256):
            raise NotFound("there is no such file")
        path = self._path(sha256)
        try:
            data = path.read_bytes()
        except FileNotFoundError as e:
            raise NotFound("there is no such file") from e
        except OSError as e:
            raise StoreFailed(f"{path}: {e.strerror}") from e
        if hashlib.sha256(data).hexdigest() != sha256:
            raise StoreDamaged(f"{path} is not what was put there; take it back from a backup")
        return data

    def used(self) -> int:
        """See the port; the folder is walked once."""
        if self._used is None:
            self._used = sum(p.stat().st_size for p in self._folder.glob("??/*") if len(p.name) == 64)
        return self._used

    def _path(self, sha: str) -> Path:
        return self._folder / sha[:2] / sha
