"""An installation's own certificate authority: makes, renews and reads certificates (RFC 5280).

Keys are on the curve P-256: small certificates and cheap handshakes for small edges. Every certificate says
whose key signed it, and the authority what it is for; stricter clients refuse others.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.adapters.tls import TlsPlaces, write_private
from gateway.errors import BadInput, NotFound
from gateway.model import Ms

CA_DAYS = 3650
SERVER_DAYS = 397
"""Longest that browsers take (398 days), less one."""
EARLIER = timedelta(hours=1)
"""A client whose clock is behind takes a fresh certificate all the same."""
EVERYWHERE = ("localhost", "127.0.0.1", "::1")
_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*")


@dataclass(frozen=True)
class Fact:
    """What a certificate says. names: under which its server may be reached · expires: ms UTC."""

    path: Path
    names: tuple[str, ...]
    expires: Ms
    serial: str


def make(places: TlsPlaces, names: Sequence[str], now: Ms, *, site: str = "Steward") -> bool:
    """An authority if there is none, and server certificates for `names` and this machine.

    True when the authority is new. Raises BadInput for a name that is none.
    """
    hosts = _hosts(names)
    places.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = not places.ca.exists()
    if fresh:
        _make_ca(places, now, site)
    _issue_all(places, hosts, now)
    return fresh


def renew(places: TlsPlaces, now: Ms, names: Sequence[str] = ()) -> None:
    """New certificates and keys under the same authority, for the names of the old ones and `names`.

    Raises NotFound when there is nothing to renew.
    """
    if not places.ca.exists() or not places.broker.exists():
        raise NotFound(f"{places.folder} holds no certificates; make them first: steward cert make")
    _issue_all(places, _hosts([*read(places.broker).names, *names]), now)


def read(path: Path) -> Fact:
    """What the first certificate of a file says. Raises BadInput."""
    try:
        cert = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as e:
        raise BadInput(f"holds no certificate: {e}", file=str(path), hint="steward cert make") from e
    try:
        alternatives = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(str(n.value) for n in alternatives)
    except x509.ExtensionNotFound:
        names = ()
    return Fact(path, names, int(cert.not_valid_after_utc.timestamp() * 1000), f"{cert.serial_number:x}")


def facts(places: TlsPlaces) -> list[Fact]:
    """Of every certificate that is there. Raises BadInput for a damaged one."""
    return [read(p) for p in (places.ca, places.broker, places.web) if p.exists()]


def _hosts(names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if not _is_address(name) and not _HOST.fullmatch(name):
            raise BadInput(f"{name!r} is no host name", field="--name", hint="core.example.org or 10.0.0.5")
    return tuple(dict.fromkeys([*EVERYWHERE, *names]))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _make_ca(places: TlsPlaces, now: Ms, site: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{site} authority"[:64])])
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = _builder(name, name, key, now, CA_DAYS).add_extension(usage, critical=True)
    cert = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True).sign(
        key, hashes.SHA256()
    )
    write_private(places.ca_key, _key_pem(key))
    write_private(places.trust, _pem(cert))
    write_private(places.ca, _pem(cert))  # last: what is there is complete


def _issue_all(places: TlsPlaces, hosts: Sequence[str], now: Ms) -> None:
    if not places.ca_key.exists():
        raise NotFound(f"{places.ca_key} is missing; bring it back from where it is kept, or begin anew")
    ca = x509.load_pem_x509_certificate(places.ca.read_bytes())
    ca_key = serialization.load_pem_private_key(places.ca_key.read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    for path, role in ((places.broker, "broker"), (places.web, "pages")):
        write_private(path, _issue(ca, ca_key, f"Steward {role}", hosts, now))


def _issue(
    ca: x509.Certificate, ca_key: ec.EllipticCurvePrivateKey, name: str, hosts: Sequence[str], now: Ms
) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    alternatives: list[x509.GeneralName] = [
        x509.IPAddress(ipaddress.ip_address(h)) if _is_address(h) else x509.DNSName(h) for h in hosts
    ]
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=False, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    cert = (
        _builder(subject, ca.subject, key, now, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(issuer, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return _pem(cert) + _key_pem(key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: Ms, days: int
) -> x509.CertificateBuilder:
    at = datetime.fromtimestamp(now / 1000, UTC)
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(at - EARLIER)
        .not_valid_after(at + timedelta(days=days))
        .add_extension(own, critical=False)
    )


def _pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
