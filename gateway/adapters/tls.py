"""Where an installation keeps its certificates, and how its own programs trust them. Needs no extra.

DATA/tls/ca.pem, ca.key: its own certificate authority · trust.pem: what clients trust · broker.pem, web.pem:
certificate and key in one file, so that both are replaced in one step. Whether there is a file decides
whether there is TLS: nothing else has to be switched on.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import BadInput

CA_ENV = "STEWARD_CA"
"""Names the file with the certificates that a client trusts besides those of the system."""
LOCAL = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class TlsPlaces:
    """Files below a data directory."""

    data: Path

    @property
    def folder(self) -> Path:
        """Mode 0700."""
        return self.data / "tls"

    @property
    def ca(self) -> Path:
        """Certificate of the authority."""
        return self.folder / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """Its key: whoever has it can pretend to be the broker. Best kept elsewhere between two renewals."""
        return self.folder / "ca.key"

    @property
    def trust(self) -> Path:
        """What clients trust: certificates without keys."""
        return self.folder / "trust.pem"

    @property
    def broker(self) -> Path:
        """Certificate and key of the embedded broker."""
        return self.folder / "broker.pem"

    @property
    def web(self) -> Path:
        """Certificate and key of the pages."""
        return self.folder / "web.pem"

    def edge(self, gateway: str) -> Path:
        """The copy of `trust` that is carried to an edge, beside its credentials."""
        return self.data / "edges" / f"{gateway}.ca.pem"

    def trusted(self) -> str:
        """The path of `trust` when servers have certificates, else ""."""
        return str(self.trust) if self.broker.exists() and self.web.exists() else ""


def client_context(ca: str = "") -> ssl.SSLContext:
    """How a client checks a server: name and chain, always.

    ca: a file of certificates; "": the one that STEWARD_CA names, else the system's. Raises BadInput.
    """
    path = ca or os.environ.get(CA_ENV, "")
    try:
        return ssl.create_default_context(cafile=path or None)
    except (OSError, ssl.SSLError) as e:
        raise BadInput(
            f"holds no certificates that can be read: {e}",
            file=path,
            field="" if ca else CA_ENV,
            hint="give the file that `steward cert make` wrote: edges/GATEWAY.ca.pem or tls/trust.pem",
        ) from e


def is_local(host: str) -> bool:
    """Whether only this machine can reach a server on that host."""
    return host in LOCAL


def write_private(path: Path, content: bytes) -> None:
    """In one step and durable, readable by nobody else from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as f:
        f.write(content)
        f.flush()
        os.fsync(f.fileno())
    draft.replace(path)
