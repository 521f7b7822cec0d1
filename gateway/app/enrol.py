"""`steward edge add ID`: a new edge gets its credentials and a stub for the site file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import aiomqtt

from gateway.adapters.broker_files import BrokerAccess, BrokerState, Places, Users, write_users
from gateway.adapters.broker_probe import own_process
from gateway.adapters.clock import SystemClock
from gateway.adapters.mqtt_side import MqttAddress
from gateway.adapters.tls import CA_ENV, TlsPlaces, write_private
from gateway.app.edge_keys import KEY, EdgeKeys
from gateway.app.terminal import console
from gateway.errors import BadInput, Retryable
from gateway.model import ID

WAIT_S = 10.0
ADDRESS = "CORE-ADDRESS"
STUB = """# Put this under `gateways:` of the site file, then: steward check SITE.yaml
- id: {gateway}
  estate: {estate}
  remote: true          # its edge runs on another machine
  lines:
    - id: plant-room
      kind: modbus_tcp
      options: {{ host: 192.0.2.10, port: 502 }}
      devices:
        - {{ id: {gateway}-meter, unit: 1, profile: eastron_sdm630, asset: CHANGE-ME }}
"""


@dataclass(frozen=True)
class Enrolment:
    """What was made. running: a broker of this data directory knows the user already."""

    gateway: str
    fresh: bool
    running: bool
    secret: Path
    stub: Path
    host: str


async def enrol(data: Path, gateway: str, estate: str, address: str) -> int:
    """Write credentials and a stub, let a running broker know, print what to do next. Raises BadInput."""
    for what, value in (("ID", gateway), ("--estate", estate)):
        if not ID.fullmatch(value):
            raise BadInput(
                f"{value!r} is no id" if value else "is missing",
                field=what,
                hint="1 to 48 of a–z, 0–9, - and _",
            )
    _tell(await _made(Places(await asyncio.to_thread(data.absolute)), gateway, estate, address))
    return 0


async def _made(places: Places, gateway: str, estate: str, address: str) -> Enrolment:
    state = BrokerState.load(places.state)
    users = Users.load(places.users)
    fresh = users.add_edge(estate, gateway)
    if fresh:
        write_users(places, users)
    pid = own_process(state, places) if state else None
    if state is not None and pid is not None:
        os.kill(pid, signal.SIGHUP)
        await _until_accepted(BrokerAccess.of(places.data).mqtt(gateway))
    port = state.mqtt_port if state else 1883
    user, password = users.credentials(gateway)
    tls = TlsPlaces(places.data)
    secure = bool(tls.trusted())
    scheme = "mqtts" if secure else "mqtt"
    folder = places.data / "edges"
    folder.mkdir(parents=True, exist_ok=True)
    secret, stub = folder / f"{gateway}.env", folder / f"{gateway}.yaml"
    secret.touch(mode=0o600)
    secret.write_text(
        f"STEWARD_MQTT={scheme}://{user}:{quote(password)}@{address or ADDRESS}:{port}\n"
        f"{_trust(tls, gateway) if secure else ''}"
        f"{KEY}={EdgeKeys(places.data).make(gateway)}\n",
        encoding="utf-8",
    )
    if not stub.exists():
        stub.write_text(STUB.format(gateway=gateway, estate=estate), encoding="utf-8")
    return Enrolment(gateway, fresh, pid is not None, secret, stub, state.host if state else "")


def _trust(tls: TlsPlaces, gateway: str) -> str:
    """A copy of what the edge has to trust, and the line that names it."""
    write_private(tls.edge(gateway), tls.trust.read_bytes())
    return f"{CA_ENV}={tls.edge(gateway).name}\n"


async def _until_accepted(address: MqttAddress) -> None:
    clock = SystemClock()
    end = clock.monotonic() + WAIT_S
    while clock.monotonic() < end:
        with contextlib.suppress(aiomqtt.MqttError):
            async with address.client(f"{address.user}-{secrets.token_hex(4)}"):
                return
        await clock.sleep_real(0.05)
    raise Retryable(f"the broker did not take the user {address.user} within {WAIT_S:g} s; see nats/nats.log")


def _tell(made: Enrolment) -> None:
    out = console()
    news = "enrolled" if made.fresh else "was known; its password stays"
    out.print(f"edge [bold]{made.gateway}[/bold] {news}")
    out.print(
        f"  credentials  {made.secret} (mode 600): carry it to the edge; set {ADDRESS} if it is in there"
    )
    out.print(f"  site stub    {made.stub}: put it into the site file, check it, start Steward again")
    if made.running:
        out.print("  broker       takes the new user from now on")
        if made.host == "127.0.0.1":
            out.print(
                "  note         it hears this machine only; start Steward with --lan for other machines"
            )
    else:
        out.print("  broker       not running: it takes the new user when Steward starts")
