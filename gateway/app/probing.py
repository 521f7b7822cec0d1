"""`steward probe`: which units answer on a line."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from rich.console import Console

from drivers.probe import scan
from drivers.registry import DRIVERS
from gateway.adapters.clock import SystemClock
from gateway.config.site import check_as
from gateway.config.yamlmarks import Marks
from gateway.errors import BadInput
from gateway.ports import Block, Driver


def driver_of(endpoint: str) -> Driver:
    """`tcp://host:port` or `rtu:PATH?baud=9600&parity=N`. Raises BadInput."""
    if endpoint.startswith("tcp://"):
        parts = urlsplit(endpoint)
        kind, options = "modbus_tcp", {"host": parts.hostname, "port": parts.port or 502}
    elif endpoint.startswith("rtu:"):
        path, _, query = endpoint.removeprefix("rtu:").partition("?")
        kind, options = "modbus_rtu", {"port": path, **{k: _number(v) for k, v in parse_qsl(query)}}
    else:
        raise BadInput(f"{endpoint!r} is no endpoint", hint="tcp://host:502 or rtu:/dev/ttyUSB0?baud=9600")
    made = DRIVERS[kind]
    return made.factory(check_as(made.options, options, Marks()), SystemClock())


def _number(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def units_of(text: str) -> list[int]:
    """`1-16`, `3` or `1,4,7-9`. Raises BadInput."""
    out: list[int] = []
    for part in text.split(","):
        m = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if not m or not 0 <= int(m[1]) <= int(m[2] or m[1]) <= 255:
            raise BadInput(
                f"{text!r} is no list of units", field="--units", hint="for example 1-16 or 1,4,7-9"
            )
        out += range(int(m[1]), int(m[2] or m[1]) + 1)
    return out


async def probe_line(endpoint: str, units: str, register: int) -> int:
    """Ask every unit for one holding and one input register; 1 when nobody answers."""
    console = Console()
    driver = driver_of(endpoint)
    wanted = units_of(units)
    await driver.open()
    try:
        with console.status(f"asking {len(wanted)} units"):
            blocks = [Block(0, "holding", register, 1), Block(0, "input", register, 1)]
            found = await scan(driver, wanted, blocks)
    finally:
        await driver.close()
    for f in found:
        console.print(f"unit {f.unit}: {f}")
    console.print(f"{len(found)} of {len(wanted)} units answer")
    return 0 if found else 1
