"""`steward cert make|renew|show`: the installation's own certificates, and who has to learn of new ones."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.adapters.broker_files import CORE, BrokerState, Places, Users
from gateway.adapters.broker_probe import own_process
from gateway.adapters.tls import TlsPlaces, write_private
from gateway.app.terminal import console, say
from gateway.errors import BadInput, MissingExtra
from gateway.model import Ms

if TYPE_CHECKING:
    from gateway.adapters.tls_authority import Fact

DAY_MS = 86_400_000
WARN_DAYS = 30
"""A certificate that ends sooner is told by `steward doctor`."""


def cert_command(action: str, data: Path, names: Sequence[str], now: Ms, *, as_json: bool) -> int:
    """`now`: ms UTC. Raises BadInput, NotFound, MissingExtra."""
    try:
        from gateway.adapters import tls_authority as authority
    except ImportError as e:
        raise MissingExtra("certificates need the extra core: pip install 'steward-gateway[core]'") from e
    places = TlsPlaces(data.absolute())
    if action == "make":
        fresh = authority.make(places, [*_own_names(), *names], now)
        done = "made" if fresh else "new certificates of the authority that was there"
    elif action == "renew":
        authority.renew(places, now, names)
        done = "renewed"
    elif action == "show":
        done = ""
    else:
        raise BadInput(f"{action!r} is unknown", field="ACTION", hint="make, renew or show")
    if done:
        _spread(places)
    facts = authority.facts(places)
    if as_json:
        say([{**asdict(f), "path": str(f.path)} for f in facts])
    else:
        _tell(places, done, facts, now)
    return 0 if facts else 1


def _own_names() -> list[str]:
    name = socket.gethostname()
    return [name] if name.isascii() and name.replace("-", "").replace(".", "").isalnum() else []


def _spread(places: TlsPlaces) -> None:
    """A copy of what is to be trusted for each edge, and the word to a broker that runs."""
    for user in Users.load(Places(places.data).users).by_name:
        if user != CORE:
            write_private(places.edge(user), places.trust.read_bytes())
    reload_broker(places.data)


def reload_broker(data: Path) -> bool:
    """Let a running broker of this data directory read its certificate again; open connections stay."""
    broker = Places(data)
    state = BrokerState.load(broker.state)
    pid = own_process(state, broker) if state is not None else None
    if pid is None or "tls {" not in broker.conf.read_text():
        return False
    os.kill(pid, signal.SIGHUP)
    return True


def _tell(places: TlsPlaces, done: str, facts: Sequence[Fact], now: Ms) -> None:
    out = console()
    if done:
        out.print(f"{done}: {places.folder}")
    for f in facts:
        ends = time.strftime("%Y-%m-%d", time.gmtime(f.expires / 1000))
        out.print(f"  {f.path.name:<11} until {ends} ({days_left(f.expires, now)} days) {', '.join(f.names)}")
    if not facts:
        out.print("no certificates: MQTT and pages are plain text; steward cert make")
    if done:
        folder = places.data / "edges"
        edges = sorted(p.name for p in folder.glob("*.ca.pem"))
        if edges:
            out.print(f"  edges: carry {', '.join(edges)} from {folder} there and set STEWARD_CA to it")
        out.print(f"  browsers: import {places.trust} where the pages are opened")
        out.print("  Steward takes new certificates at once; the first ones at its next start")


def days_left(expires: Ms, now: Ms) -> int:
    """Whole days until then; negative when it has passed."""
    return (expires - now) // DAY_MS
