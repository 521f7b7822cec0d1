"""The pages over HTTPS: cookies that leave by TLS only, a renewed certificate without a restart."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509

from dashboards.server import serve
from dashboards.web import WebOptions
from gateway.adapters import tls_authority as authority
from gateway.adapters.clock import SystemClock
from gateway.adapters.tls import TlsPlaces
from gateway.errors import Permanent
from tests.support.web_site import HASHER, PASSWORD, Build

NOW = SystemClock().now()


def shown(port: int, ca: Path) -> str:
    context = ssl.create_default_context(cafile=str(ca))
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        der = tls.getpeercert(binary_form=True)
    assert der is not None
    return f"{x509.load_der_x509_certificate(der).serial_number:x}"


async def test_https_with_own_certificate_that_is_renewed_under_way(
    build: Build, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    places = TlsPlaces(tmp_path)
    authority.make(places, [], NOW)
    site = build(WebOptions(https=True, hasher=HASHER))
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(
        serve(site.app, "127.0.0.1", 0, lambda _, port: ready.set_result(port), places.web, look_s=0.02)
    )
    try:
        async with asyncio.timeout(30):
            port = await ready
            trust = ssl.create_default_context(cafile=str(places.trust))
            async with httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", verify=trust) as client:
                answer = await client.post("/api/v1/login", json={"user": "operator", "password": PASSWORD})
                assert answer.status_code == 200
                assert "secure" in answer.headers["set-cookie"].lower()
                old = await asyncio.to_thread(shown, port, places.trust)
                # Half a file is not taken: the old certificate stays.
                places.web.write_bytes(b"-----BEGIN")
                while "certificate not taken" not in caplog.text:  # noqa: ASYNC110 - a log line is no event
                    await asyncio.sleep(0.02)
                assert await asyncio.to_thread(shown, port, places.trust) == old
                authority.renew(places, NOW)
                new = authority.read(places.web).serial
                while await asyncio.to_thread(shown, port, places.trust) != new:  # noqa: ASYNC110 - a file
                    await asyncio.sleep(0.02)
                # Who was there before goes on.
                assert (await client.get("/api/v1/snapshot")).status_code == 200
            with pytest.raises(httpx.HTTPError):
                async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                    await client.get("/login")
    finally:
        server.cancel()
        await asyncio.wait([server])


async def test_a_certificate_that_is_none_is_told(build: Build, tmp_path: Path) -> None:
    site = build(WebOptions(hasher=HASHER))
    for bad in (tmp_path / "missing.pem", Path(os.devnull)):
        with pytest.raises(Permanent, match=r"cannot be used: .*steward cert make"):
            await serve(site.app, "127.0.0.1", 0, cert=bad)
