"""The embedded broker over TLS with certificates of its own: real nats-server, real paho, real rotation."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest
from cryptography import x509

from gateway.adapters import tls_authority as authority
from gateway.adapters.broker import EmbeddedBroker
from gateway.adapters.broker_files import BrokerAccess
from gateway.adapters.clock import SystemClock
from gateway.adapters.jetstream_bus import JetStreamBus
from gateway.adapters.mqtt_side import MqttAddress
from gateway.adapters.paho_uplink import PahoUplink, Tls
from gateway.adapters.tls import TlsPlaces
from gateway.app.cert import cert_command, reload_broker
from gateway.errors import BadInput

EDGES = [("green-court", "gw-1")]
OWN = "steward/v1/green-court/gw-1"
CLOCK = SystemClock()


async def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - a process or a thread is waited for; it has no event
            await asyncio.sleep(0.02)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    authority.make(TlsPlaces(tmp_path), ["core.example.org", "192.0.2.7"], CLOCK.now())
    return tmp_path


@pytest.fixture
async def broker(data: Path) -> AsyncIterator[EmbeddedBroker]:
    async with EmbeddedBroker(data, CLOCK, EDGES) as broker:
        yield broker


def shown(port: int, ca: Path) -> str:
    """Serial number of the certificate that a new connection is shown. Raises SSLError when not trusted."""
    context = ssl.create_default_context(cafile=str(ca))
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
    ):
        der = tls.getpeercert(binary_form=True)
    assert der is not None
    return f"{x509.load_der_x509_certificate(der).serial_number:x}"


def uplink(broker: EmbeddedBroker, ca: Path) -> PahoUplink:
    user, password = broker.credentials("gw-1")
    return PahoUplink(
        "127.0.0.1", broker.mqtt_port, client_id="gw-1-x", subscribe=[f"{OWN}/ack"],
        will=lambda: (f"{OWN}/status", b"gone"), username=user, password=password, tls=Tls(str(ca)),
    )  # fmt: skip


@asynccontextmanager
async def running(link: PahoUplink) -> AsyncIterator[PahoUplink]:
    task = asyncio.create_task(link.run(lambda *_: None, lambda _: None))
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_core_edge_and_self_test_speak_tls_and_plain_text_is_refused(
    broker: EmbeddedBroker, data: Path
) -> None:
    assert broker.self_test.ok, broker.self_test.detail
    assert broker.mqtt("gw-1").url.startswith("mqtts://gw-1:")
    assert BrokerAccess.of(data).mqtt("gw-1") == broker.mqtt("gw-1")
    async with running(uplink(broker, TlsPlaces(data).trust)) as link:
        await until(lambda: link.connected)
    plain = MqttAddress("127.0.0.1", broker.mqtt_port, *broker.credentials("gw-1"))
    with pytest.raises(aiomqtt.MqttError):
        async with plain.client("gw-1-plain"):
            pass
    for path in (TlsPlaces(data).ca_key, TlsPlaces(data).broker, TlsPlaces(data).web):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_another_authority_is_refused_by_edge_and_core(
    broker: EmbeddedBroker,
    data: Path,
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
) -> None:
    wrong = TlsPlaces(tmp_path_factory.mktemp("other"))
    authority.make(wrong, [], CLOCK.now())
    async with running(uplink(broker, wrong.trust)) as link:
        await until(lambda: "CERTIFICATE_VERIFY_FAILED" in caplog.text)
        assert not link.connected
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.to_thread(shown, broker.mqtt_port, wrong.trust)
    user, password = broker.credentials("core")
    stranger = MqttAddress.trusting(str(wrong.trust), "127.0.0.1", broker.mqtt_port, user, password)
    with pytest.raises(aiomqtt.MqttError, match="CERTIFICATE_VERIFY_FAILED"):
        async with stranger.client("core-x"):
            pass


async def test_a_server_under_another_name_is_refused(data: Path, broker: EmbeddedBroker) -> None:
    context = ssl.create_default_context(cafile=str(TlsPlaces(data).trust))

    def connect(name: str) -> None:
        with socket.create_connection(("127.0.0.1", broker.mqtt_port), 5) as plain:
            context.wrap_socket(plain, server_hostname=name).close()

    for name in ("core.example.org", "192.0.2.7", "localhost"):
        await asyncio.to_thread(connect, name)
    with pytest.raises(ssl.SSLCertVerificationError, match=r"not valid for 'other\.example\.org'"):
        await asyncio.to_thread(connect, "other.example.org")


async def test_rotation_under_load_loses_nothing(broker: EmbeddedBroker, data: Path) -> None:
    """New certificates twice while an edge publishes; who connects anew is shown the new one."""
    places = TlsPlaces(data)
    bus = JetStreamBus(broker.nats_url, *broker.credentials("core"), broker.mqtt(), CLOCK)
    await bus.open()
    link, sent, rotated = uplink(broker, places.trust), 0, 0
    old = await asyncio.to_thread(shown, broker.mqtt_port, places.trust)
    pid = broker.status().pid
    async with running(link):
        await until(lambda: link.connected)
        while sent < 600:
            if sent in (200, 400) and rotated < sent // 200:
                assert (
                    await asyncio.to_thread(cert_command, "renew", data, [], CLOCK.now(), as_json=True) == 0
                )
                rotated += 1
                new = await until_shown(broker.mqtt_port, places.trust, old)
                assert new == authority.read(places.broker).serial
                old = new
            if link.publish(f"{OWN}/data", b"%d" % sent):
                sent += 1
            else:
                await asyncio.sleep(0.005)
        got: list[int] = []
        while len(set(got)) < sent:
            part = await bus.fetch("data", 100, 5.0)
            assert part, f"{len(set(got))} of {sent} came"
            got += [int(d.payload) for d in part]
            await bus.ack(part)
    # A connection that comes after the rotation.
    async with running(uplink(broker, places.edge("gw-1"))) as again:
        await until(lambda: again.connected)
    await bus.close()
    assert sorted(set(got)) == list(range(600))
    assert (broker.status().pid, rotated) == (pid, 2)


async def until_shown(port: int, ca: Path, other_than: str) -> str:
    async with asyncio.timeout(20):
        while (serial := await asyncio.to_thread(shown, port, ca)) == other_than:  # noqa: ASYNC110 - a process
            await asyncio.sleep(0.05)
    return serial


async def test_an_edge_that_comes_back_takes_the_rotated_certificate_and_resends(
    broker: EmbeddedBroker, data: Path
) -> None:
    """The server is killed during a rotation: the edge is cut off, comes back, and is not fooled."""
    places = TlsPlaces(data)
    async with running(uplink(broker, places.trust)) as link:
        await until(lambda: link.connected)
        authority.renew(places, CLOCK.now())
        broker.kill()
        await until(lambda: not link.connected)
        await until(lambda: link.connected)
        serial = await asyncio.to_thread(shown, broker.mqtt_port, places.trust)
        assert serial == authority.read(places.broker).serial


async def test_a_broker_without_certificates_is_not_signalled(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path, CLOCK, EDGES) as broker:
        assert broker.mqtt("gw-1").url.startswith("mqtt://")
        assert not await asyncio.to_thread(reload_broker, tmp_path)


async def test_the_first_certificates_count_from_the_next_start_on(tmp_path: Path) -> None:
    async with EmbeddedBroker(tmp_path, CLOCK, EDGES) as broker:
        port = broker.mqtt_port
    assert await asyncio.to_thread(cert_command, "make", tmp_path, [], CLOCK.now(), as_json=True) == 0
    assert (tmp_path / "edges" / "gw-1.ca.pem").read_bytes() == TlsPlaces(tmp_path).trust.read_bytes()
    async with EmbeddedBroker(tmp_path, CLOCK, EDGES) as broker:
        assert broker.mqtt_port == port
        assert broker.self_test.ok, broker.self_test.detail
        await asyncio.to_thread(shown, port, TlsPlaces(tmp_path).trust)


def test_a_client_trusts_what_the_environment_names(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEWARD_CA", str(TlsPlaces(data).trust))
    tls = MqttAddress.parse("mqtts://u:p@core.example.org").tls
    assert tls is not None
    assert any("Steward authority" in str(c["subject"]) for c in tls.get_ca_certs())
    monkeypatch.setenv("STEWARD_CA", os.devnull)
    with pytest.raises(BadInput, match="holds no certificates") as caught:
        MqttAddress.parse("mqtts://u:p@core.example.org")
    assert caught.value.field == "STEWARD_CA"
