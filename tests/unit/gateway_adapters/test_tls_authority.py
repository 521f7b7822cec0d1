"""The installation's own authority: what its certificates say, how long, and what is refused."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from gateway.adapters import tls_authority as authority
from gateway.adapters.tls import TlsPlaces, is_local
from gateway.errors import BadInput, NotFound

NOW = 1_790_000_000_000
DAY = 86_400_000


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_server_certificates_are_signed_by_the_authority_for_all_names(tmp_path: Path) -> None:
    places = TlsPlaces(tmp_path)
    assert places.trusted() == ""
    assert authority.make(places, ["core.example.org", "10.0.0.5", "fd00::5", "localhost"], NOW)
    ca = load(places.ca)
    for path in (places.broker, places.web):
        cert = load(path)
        cert.verify_directly_issued_by(ca)
        names = ("localhost", "127.0.0.1", "::1", "core.example.org", "10.0.0.5", "fd00::5")
        assert authority.read(path).names == names
        usage = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
        assert not cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert authority.read(path).expires == NOW // 1000 * 1000 + 397 * DAY
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert places.trusted() == str(places.trust)
    assert b"PRIVATE" not in places.trust.read_bytes()
    assert stat.S_IMODE(places.folder.stat().st_mode) == 0o700


def test_making_again_keeps_the_authority_and_renewing_keeps_the_names(tmp_path: Path) -> None:
    places = TlsPlaces(tmp_path)
    authority.make(places, ["core.example.org"], NOW)
    ca, first = places.ca.read_bytes(), authority.read(places.broker)
    assert not authority.make(places, ["new.example.org"], NOW)
    second = authority.read(places.broker)
    assert "core.example.org" not in second.names
    authority.renew(places, NOW + 300 * DAY, ["10.0.0.9"])
    third = authority.read(places.broker)
    assert places.ca.read_bytes() == ca
    assert third.names == (*second.names, "10.0.0.9")
    assert third.expires == second.expires + 300 * DAY
    assert len({first.serial, second.serial, third.serial}) == 3
    assert [f.path.name for f in authority.facts(places)] == ["ca.pem", "broker.pem", "web.pem"]


@pytest.mark.parametrize("name", ["", "a b", "http://x", "-x", "x_y", "*.example.org", "10.0.0.300/8"])
def test_a_name_that_is_none_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    places = TlsPlaces(tmp_path)
    with pytest.raises(BadInput) as caught:
        authority.make(places, [name], NOW)
    assert caught.value.field == "--name"
    assert not places.folder.exists()


def test_without_authority_or_its_key_nothing_is_renewed(tmp_path: Path) -> None:
    places = TlsPlaces(tmp_path)
    with pytest.raises(NotFound, match="cert make"):
        authority.renew(places, NOW)
    authority.make(places, [], NOW)
    serial = authority.read(places.broker).serial
    places.ca_key.rename(tmp_path / "kept-elsewhere.key")
    with pytest.raises(NotFound, match=r"ca\.key is missing"):
        authority.renew(places, NOW)
    assert authority.read(places.broker).serial == serial


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    places = TlsPlaces(tmp_path)
    authority.make(places, [], NOW)
    places.web.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    with pytest.raises(BadInput, match="holds no certificate") as caught:
        authority.facts(places)
    assert caught.value.file == str(places.web)


def test_what_only_this_machine_reaches() -> None:
    assert [h for h in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "10.0.0.5", "") if is_local(h)] == [
        "127.0.0.1", "::1", "localhost",
    ]  # fmt: skip
