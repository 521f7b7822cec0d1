"""`steward probe`: which units answer on a line."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from drivers.modbus import EXCEPTIONS
from drivers.probe import Found, scan
from drivers.registry import DRIVERS
from gateway.adapters.clock import SystemClock
from gateway.app.terminal import console, say
from gateway.config.site import check_as
from gateway.config.yamlmarks import Marks
from gateway.errors import BadInput
from gateway.ports import Answer, Block, Driver


def driver_of(endpoint: str) -> Driver:
    """`tcp://host:port`, `rtu+tcp://host:port`, `rtu:PATH?baud=9600&parity=N`, `ascii:PATH?…`; BadInput."""
    if endpoint.startswith("tcp://"):
        kind, options = "modbus_tcp", _tcp(endpoint)
    elif endpoint.startswith("rtu+tcp://"):
        kind, options = "modbus_rtu_tcp", _tcp(endpoint)
    elif endpoint.startswith(("rtu:", "ascii:")):
        form, _, rest = endpoint.partition(":")
        path, _, query = rest.partition("?")
        kind, options = f"modbus_{form}", {"port": path, **{k: _number(v) for k, v in parse_qsl(query)}}
    else:
        raise BadInput(
            f"{endpoint!r} is no endpoint", field="ENDPOINT",
            hint="tcp://192.168.1.50:502 or rtu:/dev/ttyUSB0?baud=9600&parity=N",
        )  # fmt: skip
    made = DRIVERS[kind]
    return made.factory(check_as(made.options, options, Marks(), ("ENDPOINT",)), SystemClock())


def _tcp(endpoint: str) -> dict[str, Any]:
    parts = urlsplit(endpoint)
    try:
        return {"host": parts.hostname or "", "port": 502 if parts.port is None else parts.port}
    except ValueError as e:
        raise BadInput(f"{endpoint!r}: {e}", field="ENDPOINT", hint="write tcp://HOST:PORT") from e


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


async def probe_line(endpoint: str, units: str, register: int, *, as_json: bool) -> int:
    """Ask every unit for one holding and one input register; 1 when nobody answers."""
    out, notes = console(), Console(stderr=True, highlight=False)
    driver = driver_of(endpoint)
    wanted = units_of(units)
    blocks = [Block(0, "holding", register, 1), Block(0, "input", register, 1)]
    await driver.open()
    try:
        with Progress(*COLUMNS, console=notes, transient=True, disable=as_json) as bar:
            task = bar.add_task(f"asking {len(wanted)} units", total=len(wanted))
            found = await scan(driver, wanted, blocks, on_progress=lambda *_: bar.advance(task))
    finally:
        await driver.close()
    if as_json:
        say([_row(f) for f in found])
        return 0 if found else 1
    for f in found:
        out.print(f"unit {f.unit:>3}  {_told(f)}")
    out.print(f"{len(found)} of {len(wanted)} units answer at {endpoint}")
    if not found:
        out.print("  nobody: check A/B wires, baud rate and parity; try --units 1-247 or another --register")
    return 0 if found else 1


COLUMNS = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))


def _told(f: Found) -> str:
    said = [f"{a.block.area} {a.block.address} = {_words(a)}" for a in f.answers]
    said += [f"{b.area} {b.address} refused: {EXCEPTIONS.get(c, f'exception {c}')}" for b, c in f.refused]
    if f.noise:
        said.append(f"{f.noise} damaged answer(s): wrong baud rate or parity, or two units with one address")
    return "; ".join(said)


def _row(f: Found) -> dict[str, Any]:
    return {
        "unit": f.unit,
        "answers": [{"area": a.block.area, "address": a.block.address, "words": _list(a)} for a in f.answers],
        "refused": [{"area": b.area, "address": b.address, "exception": code} for b, code in f.refused],
        "damaged": f.noise,
    }


def _list(a: Answer) -> list[int]:
    return [int(w) for w in a.words]


def _words(a: Answer) -> str:
    return " ".join(f"0x{w:04X} ({w})" for w in _list(a))
