"""Files by their content: photos and papers, kept as they came."""

from __future__ import annotations

from typing import Protocol


class FileStore(Protocol):
    """Content-addressed and write-once. Blocking; call it in a thread."""

    def put(self, data: bytes) -> str:
        """Keep the bytes as they are; their SHA-256 (64 hex digits). The same bytes twice are kept once.

        Durable when it returns. Raises Retryable when there is no room.
        """

    def get(self, sha256: str) -> bytes:
        """The bytes. Raises NotFound, or Permanent when they are not what was put there."""

    def used(self) -> int:
        """Bytes that all files take."""
