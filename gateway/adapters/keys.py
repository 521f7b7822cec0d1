"""Keys of an installation in `DATA/keys`: made at the first start, readable by their owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.adapters.files import replaced


class InstallationKeys:
    """report: signs the short codes of assets · city: shared with the city's platform · dossiers: Ed25519."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "keys"
        self.report = self._secret("report.key")
        self.city = self._secret("city.key")
        raw = self._secret("dossier.key")
        self._signer = Ed25519PrivateKey.from_private_bytes(raw)
        self.public = self._signer.public_key().public_bytes(s.Encoding.Raw, s.PublicFormat.Raw)

    def sign(self, data: bytes) -> bytes:
        """Ed25519 (RFC 8032), 64 bytes."""
        return self._signer.sign(data)

    def _secret(self, name: str) -> bytes:
        """32 bytes, kept as hexadecimal. Raises OSError."""
        path = self._folder / name
        if path.exists():
            return bytes.fromhex(path.read_text(encoding="ascii").strip())
        made = secrets.token_bytes(32)
        with replaced(path) as half:
            fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w", encoding="ascii") as f:
                f.write(made.hex() + "\n")
        return made
