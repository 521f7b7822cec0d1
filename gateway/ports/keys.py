"""Keys of the installation, as far as the pages and the dossier need them."""

from __future__ import annotations

from typing import Protocol


class Keys(Protocol):
    """report, city: shared secrets · public: the Ed25519 key by which signatures are checked."""

    report: bytes
    city: bytes
    public: bytes

    def sign(self, data: bytes) -> bytes:
        """Ed25519 (RFC 8032), 64 bytes."""
