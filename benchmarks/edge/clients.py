"""The clients under test: how each is configured and started, and how what it says is read."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.edge import thingsboard
from benchmarks.edge.environments import NotToBeHad, environment
from benchmarks.edge.listener import Decoder, PerDevice, Steward, ThingsBoard
from benchmarks.edge.truth import BLOCKS, REGISTERS, UNIT

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).parent / "peers"
TB, MODPOLL, PYMODBUSTCP = "thingsboard-gateway==3.8.5", "modpoll==1.6.0", "pyModbusTCP==0.3.1"
UNIT_ADDRESSES = 247
SHORTEST_S = 0.1
"""The site file allows no shorter period."""
PROFILE = "bench_device"


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a client. period_s 0: as fast as it goes."""

    folder: Path
    base: int
    broker: int
    devices: int
    period_s: float


@dataclass(frozen=True, slots=True)
class Command:
    """What to start."""

    words: Sequence[str | Path]
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Client:
    """name: in tables · prepare: writes configuration, gives the command, raises NotToBeHad · decoder: a new
    one for each run · settle_s: from its first message to a steady state · paced: 0 is no period for it.
    """

    name: str
    prepare: Callable[[Job], Command]
    decoder: Callable[[], Decoder]
    settle_s: float = 4.0
    paced: bool = False


# ── Steward ───────────────────────────────────────────────────────────────────────────────────────────


def _text(word: str) -> dict[str, str]:
    return {"zh": word, "en": word}


def profile_of_device() -> dict[str, Any]:
    """60 plain registers that report every reading: they differ each time, and have no dead band."""
    points = [
        {
            "tag": f"b{block}.{{n}}", "name": _text(f"{block} + {{n}}"), "area": "holding", "address": block,
            "type": "u16", "decimals": 0, "repeat": {"count": REGISTERS, "stride": 1},
        }
        for block in BLOCKS
    ]  # fmt: skip
    case = {"name": "the first register", "holding": {0: "01 02"}, "expect": {"b0.1": 258}}
    return {
        "name": PROFILE, "title": _text("benchmark device"), "kind": "meter",
        "source": {"document": "benchmarks/edge/truth.py"}, "protocol": "modbus", "points": points,
        "cases": [case],
    }  # fmt: skip


def site_of_devices(job: Job) -> dict[str, Any]:
    """One gateway, a TCP line and a facility for each device."""
    assets = [
        {"id": f"d{n}", "estate": "bench", "kind": "meter", "name": _text(f"d{n}")}
        for n in range(job.devices)
    ]
    lines = [
        {
            "id": f"line-{n}", "kind": "modbus_tcp", "options": {"host": "127.0.0.1", "port": job.base + n},
            "devices": [
                {
                    "id": f"dev-{n}", "unit": UNIT, "profile": f"{PROFILE}.yaml", "asset": f"d{n}",
                    "period_s": max(job.period_s, SHORTEST_S),
                }
            ],
        }
        for n in range(job.devices)
    ]  # fmt: skip
    return {
        "site": {"id": "bench", "name": _text("bench")},
        "firms": [{"id": "firm", "name": _text("firm")}],
        "estates": [{"id": "bench", "firm": "firm", "name": _text("bench")}],
        "assets": assets,
        "gateways": [{"id": "gw-1", "estate": "bench", "lines": lines}],
    }


def _steward(job: Job) -> Command:
    job.folder.mkdir(parents=True, exist_ok=True)
    for name, body in ((PROFILE, profile_of_device()), ("site", site_of_devices(job))):
        text = yaml.safe_dump(body, allow_unicode=True, sort_keys=False)
        (job.folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("STEWARD_")}
    env = {**clean, "PYTHONPATH": str(ROOT), "STEWARD_MQTT": f"mqtt://127.0.0.1:{job.broker}"}
    site, data = job.folder / "site.yaml", job.folder / "data"
    return Command([sys.executable, "-m", "gateway", "edge", site, "--data", data], env)


# ── the others ────────────────────────────────────────────────────────────────────────────────────────


def _thingsboard(job: Job) -> Command:
    programs = environment(TB)
    (package,) = (programs.parent / "lib").glob("python*/site-packages/thingsboard_gateway")
    config = job.folder / "config"
    period_ms = max(1, round(job.period_s * 1000))
    thingsboard.write(
        config, package, base=job.base, broker=job.broker, devices=job.devices, period_ms=period_ms
    )
    return Command([programs / "thingsboard-gateway"], {**os.environ, "TB_GW_CONFIG_DIR": f"{config}/"})


def _modpoll(job: Job) -> Command:
    if job.devices > UNIT_ADDRESSES:
        raise NotToBeHad(f"modpoll has one connection, and that has {UNIT_ADDRESSES} unit addresses")
    programs = environment(MODPOLL)
    job.folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for n in range(job.devices):
        lines.append(f"device,dev{n},{n + UNIT},,")
        for block in BLOCKS:
            lines.append(f"poll,holding_register,{block},{REGISTERS},BE_BE")
            lines += [f"ref,r{block + k},{block + k},uint16,r" for k in range(REGISTERS)]
    table = job.folder / "modpoll.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    shared = job.base + job.devices
    # MQTT 5, because with its default, 3.1.1, this release does not start on paho-mqtt 2.
    return Command(
        [
            programs / "modpoll", "-d", "-f", table, "--tcp", "127.0.0.1", "--tcp-port", str(shared),
            "--rate", str(job.period_s), "--interval", "0", "--timeout", "1", "--loglevel", "ERROR",
            "--mqtt-version", "5.0", "--mqtt-host", "127.0.0.1", "--mqtt-port", str(job.broker),
            "--mqtt-qos", "1",
        ],
        dict(os.environ),
    )  # fmt: skip


def _script(name: str, *requirements: str) -> Callable[[Job], Command]:
    def prepare(job: Job) -> Command:
        python = environment(*requirements) / "python" if requirements else sys.executable
        numbers = (str(n) for n in (job.base, job.broker, job.devices, job.period_s))
        return Command([python, PEERS / name, *numbers], dict(os.environ))

    return prepare


STEWARD = Client("steward", _steward, Steward, paced=True)
CLIENTS: dict[str, Client] = {
    c.name: c
    for c in (
        STEWARD,
        # Announces its devices for half a minute before it is in a steady state.
        # Asked for more than it can do, it reads and publishes nothing.
        Client("thingsboard", _thingsboard, ThingsBoard, settle_s=30.0, paced=True),
        Client("modpoll", _modpoll, PerDevice),
        Client("pymodbus+aiomqtt", _script("pymodbus_aiomqtt.py"), PerDevice),
        Client(
            "pymodbustcp+paho", _script("pymodbustcp_paho.py", PYMODBUSTCP, "paho-mqtt==2.2.0"), PerDevice
        ),
    )
}
VERSIONS = {"thingsboard": TB, "modpoll": MODPOLL, "pymodbustcp+paho": PYMODBUSTCP}
