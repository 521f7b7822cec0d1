"""`demo --lan`: the certificate names the address, and the code in the terminal is the code of the text."""

from __future__ import annotations

import ipaddress
import ssl
from pathlib import Path

import pytest
import segno

from gateway.adapters import tls_authority as authority
from gateway.adapters.clock import SystemClock
from gateway.adapters.tls import TlsPlaces
from gateway.app import lan
from gateway.errors import WorkFailed

LINK = "https://192.0.2.7:8080/g/3e2e853669#aGO3R0k9vgqgOnjTBHbPFf8lohQzKNavXf6N2QseqNU"
UPPER, LOWER, FULL = "▀", "▄", "█"


def modules(text: str) -> list[list[int]]:
    """Half blocks as rows of modules, 1 is dark: what is drawn is light."""
    out: list[list[int]] = []
    for line in text.splitlines():
        out.append([int(c not in (UPPER, FULL)) for c in line])
        out.append([int(c not in (LOWER, FULL)) for c in line])
    return out


@pytest.mark.parametrize("text", ["https://192.0.2.7:8080/t", LINK])
def test_the_code_in_the_terminal_is_that_of_the_text(text: str) -> None:
    drawn = modules(lan.qr(text))
    code = segno.make(text, error="l", micro=False)
    size = len(code.matrix)
    inner = [row[2 : 2 + size] for row in drawn[2 : 2 + size]]
    assert inner == [[int(bool(m)) for m in row] for row in code.matrix]
    assert all(not any(row) for row in drawn[:2]), "a quiet border of two modules"


def test_the_authority_stays_when_the_address_changes(tmp_path: Path) -> None:
    now = SystemClock().now()
    lan.certify(tmp_path, "192.0.2.7", now)
    places = TlsPlaces(tmp_path)
    first = places.ca.read_bytes()
    assert "192.0.2.7" in authority.read(places.web).names
    lan.certify(tmp_path, "192.0.2.8", now)
    assert places.ca.read_bytes() == first, "a phone that trusts it goes on trusting it"
    assert "192.0.2.8" in authority.read(places.web).names
    ssl.create_default_context(cafile=places.trusted())


def test_the_address_is_one_that_others_can_reach_or_there_is_none() -> None:
    try:
        found = ipaddress.ip_address(lan.lan_address())
    except WorkFailed as e:
        assert "--lan" in str(e)  # noqa: PT017 - both answers are right, depending on the machine
    else:
        assert not found.is_loopback
        assert not found.is_unspecified
