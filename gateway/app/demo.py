"""`steward demo`: simulated estates on real protocols, everything embedded, a story to watch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import orjson
import yaml
from rich.console import Console
from rich.markup import escape

from gateway.adapters.children import Child, Supervisor
from gateway.adapters.tls import TlsPlaces
from gateway.app.client import Client
from gateway.app.context import DEMO, ClockOrigin, Places
from gateway.app.demo_cast import SCENARIO, Cast, plays
from gateway.app.edge_orders import orders
from gateway.app.guard import refuse_second
from gateway.app.lan import PhoneCodes, certify, lan_address
from gateway.app.setup import Setup, load_setup
from gateway.app.speed import check_speed
from gateway.app.story import Story, summarise
from gateway.app.supervise import Options, Station, station
from gateway.errors import Forbidden, Retryable, WorkFailed
from gateway.ports import Clock
from simulators.control import send
from simulators.layout import demo_layout
from simulators.site import site_dict

log = logging.getLogger(__name__)

POLL_S = 0.5
DRAIN_S = 30.0


@dataclass(frozen=True)
class DemoOptions:
    """`for_s`: real seconds, None: until Ctrl-C · data None: a folder that is removed at the end.

    lan: the pages by HTTPS for the whole network; broker and devices stay on this machine · cast: people act
    in the first telling of the story.
    """

    for_s: float | None = None
    estates: int = 1
    speed: float = 1.0
    port: int = 8080
    data: Path | None = None
    seed: int = 1
    store: str = ""
    lan: bool = False
    scenario: str = "demo"
    summary: Path | None = None
    cast: bool = True


@dataclass
class Demo:
    """The running demonstration."""

    station: Station
    options: DemoOptions
    client: Client
    passwords: dict[str, str]
    truth: Path
    control: str
    story: Story
    began: float
    phone: PhoneCodes | None = None
    cast: Cast | None = None
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = self.station.clock


async def run_demo(options: DemoOptions, console: Console) -> int:
    """Run it; 0 when the balance closes and every expected alarm came in time, else 1."""
    origin = ClockOrigin.here(options.speed)
    began = origin.clock().monotonic()
    folder = await asyncio.to_thread(_folder, options)
    try:
        async with _demo(options, origin, folder, began, console) as demo:
            await _show(demo, console)
            await _watch(demo, console)
            if options.for_s is None:
                return 0
            console.print("[bold]排空并对账 · draining, then the balance[/bold]")
            summary = await _finish(demo)
            setup, now = demo.station.setup, demo.clock.now()
        if not options.store:
            from gateway.app.audit import rows_of_edges  # loads the stores, which the start need not wait for

            summary["store_rows"] = await asyncio.to_thread(rows_of_edges, folder, setup, now)
    finally:
        if options.data is None:
            shutil.rmtree(folder, ignore_errors=True)
    return _report(summary, options, console)


def _folder(options: DemoOptions) -> Path:
    folder = Path(options.data or tempfile.mkdtemp(prefix="steward-demo-")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    refuse_second(folder)
    return folder


@asynccontextmanager
async def _demo(
    options: DemoOptions, origin: ClockOrigin, folder: Path, began: float, console: Console
) -> AsyncIterator[Demo]:
    clock = origin.clock()
    places, truth = Places(folder), folder / "truth.jsonl"
    places.logs.mkdir(parents=True, exist_ok=True)
    async with Supervisor() as supervisor:
        ready = await _simulators(options, origin, folder, supervisor, clock)
        today = datetime.fromtimestamp(clock.now() / 1000, UTC).date()
        setup, passwords = _site(options, folder, ready, today)
        check_speed(setup, options.speed)
        extra = {DEMO: orjson.dumps({"control": ready["control"], "passwords": passwords}).decode()}
        address = lan_address() if options.lan else ""
        if address:
            await asyncio.to_thread(certify, folder, address, clock.now())
        host = "0.0.0.0" if address else ""  # noqa: S104 - only when asked for
        run = Options(folder, options.port, host, options.store, extra=extra)
        async with station(setup, run, origin) as here:
            client = Client(here.url, TlsPlaces(folder).trusted())
            story = Story(setup, console, here.url)
            cast = options.cast and options.scenario == SCENARIO
            taken = plays if cast else lambda _order: False
            phone = PhoneCodes(here.url, address, console, taken) if address else None
            demo = Demo(here, options, client, passwords, truth, str(ready["control"]), story, began, phone)
            admin = next(p.id for p in setup.site.file.people if p.role == "admin")
            await _until_in(demo, admin)
            if cast:
                demo.cast = _cast(demo, console)
            await send(demo.control, {"do": "begin"})
            try:
                yield demo
            finally:
                if demo.cast is not None:
                    await demo.cast.end()


def _cast(demo: Demo, console: Console) -> Cast:
    """The people who act; each comes in by the own name and password."""

    def enter(person: str) -> Client:
        client = Client(demo.station.url, TlsPlaces(demo.station.options.data).trusted())
        client.login(person, demo.passwords[person])
        return client

    async def repair(fault: str, asset: str) -> None:
        await send(demo.control, {"do": "clear", "kind": fault, "asset": asset})

    return Cast(enter, repair, demo.clock, lambda text: console.print(f"[dim]{escape(text)}[/dim]"))


async def _until_in(demo: Demo, user: str) -> None:
    for _ in range(40):
        try:
            await asyncio.to_thread(demo.client.login, user, demo.passwords[user])
        except Retryable:
            await demo.clock.sleep_real(0.25)
        else:
            return
    raise WorkFailed(f"the pages at {demo.station.url} do not answer; see {demo.station.places.logs}")


async def _simulators(
    options: DemoOptions, origin: ClockOrigin, folder: Path, supervisor: Supervisor, clock: Clock
) -> dict[str, Any]:
    log = folder / "logs" / "simulators.out"
    log.unlink(missing_ok=True)
    argv = [
        sys.executable, "-m", "simulators.run", options.scenario, "--json", "--hold",
        "--seed", str(options.seed), "--estates", str(options.estates),
        "--speed", str(options.speed), "--start", str(origin.start),
        "--at", repr(origin.at), "--truth", str(folder / "truth.jsonl"), "--folder", str(folder / "lines"),
    ]  # fmt: skip

    async def serving() -> bool:
        return bool(_ready(log))

    await supervisor.start(Child("simulators", argv, None, log, clock, ready=serving, restart=False))
    return _ready(log)


def _ready(log: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError):
        for line in log.read_bytes().splitlines():
            if line.startswith(b'{"ready"'):
                with contextlib.suppress(orjson.JSONDecodeError):
                    return dict(orjson.loads(line))
    return {}


def _site(
    options: DemoOptions, folder: Path, ready: dict[str, Any], today: date
) -> tuple[Setup, dict[str, str]]:
    """The demo's site file, written as an integrator would, then read like any other."""
    site = site_dict(demo_layout(options.estates), ready["lines"], today)
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(site, allow_unicode=True, sort_keys=False), encoding="utf-8")
    kept = folder / "demo-passwords.json"
    passwords: dict[str, str] = orjson.loads(kept.read_bytes()) if kept.exists() else {}
    for person in site["people"]:
        passwords.setdefault(person["id"], secrets.token_urlsafe(9))
    kept.touch(mode=0o600)
    kept.write_bytes(orjson.dumps(passwords))
    return load_setup(path), passwords


async def _show(demo: Demo, console: Console) -> None:
    url = demo.station.url
    console.print(
        f"\n[bold]Steward[/bold]  {url}/wall    公示 public board: {url}/p/{demo.story.first_estate}"
    )
    console.print("演示账户 demo users (Ctrl-C ends):")
    for person in demo.station.setup.site.file.people:
        console.print(f"  {person.role:<11} {person.id:<14} {demo.passwords[person.id]}   {person.name}")
    if demo.cast is not None:
        console.print(
            "演员只演第一遍，之后都归您；--no-cast 一开始就不演 · "
            "people act in the first telling only, then all is yours; --no-cast: never",
            soft_wrap=True,
        )
    console.print()
    if demo.phone is not None:
        demo.phone.warn()


async def _watch(demo: Demo, console: Console) -> None:
    """Tell what happens until the time is over or somebody presses Ctrl-C."""
    end = None if demo.options.for_s is None else demo.began + demo.options.for_s
    while end is None or demo.clock.monotonic() < end:
        try:
            fresh = await asyncio.to_thread(
                demo.story.follow, demo.client, demo.clock.monotonic() - demo.began, demo.clock.now()
            )
            if demo.cast is not None:
                demo.cast.hear(fresh)
            if demo.phone is not None:
                await asyncio.to_thread(demo.phone.follow, demo.client)
        except (Retryable, Forbidden) as e:
            console.print(f"[dim]core away: {str(e)[:100]}[/dim]")
        await demo.clock.sleep_real(POLL_S)


async def _finish(demo: Demo) -> dict[str, Any]:
    """Stop polling, let everything drain, then take the balance."""
    async with orders(demo.station.mqtt("core"), demo.station.options.data, demo.clock, "demo") as edges:
        for gateway in demo.station.setup.site.file.gateways:
            try:
                await edges.give(gateway.estate, gateway.id, "stop_polling")
            except Retryable as e:
                log.error("edge %s was not told to stop; the balance stays open cause=%r", gateway.id, str(e))
    await _drained(demo)
    wall = demo.clock.monotonic() - demo.began
    return await asyncio.to_thread(summarise, demo.client, demo.story, demo.truth, wall, demo.clock.now())


async def _drained(demo: Demo) -> None:
    """Two equal looks in a row with nothing on the way, or the time is over."""
    end = demo.clock.monotonic() + DRAIN_S
    last: object = None
    while demo.clock.monotonic() < end:
        health = await asyncio.to_thread(demo.client.get, "/api/v1/health")
        balance = health["balance"]
        quiet = balance["in_outbox"] == balance["in_flight"] == balance["residual"] == 0
        if quiet and balance == last:
            return
        last = balance
        await demo.clock.sleep_real(1.0)


def _report(summary: dict[str, Any], options: DemoOptions, console: Console) -> int:
    if options.summary is not None:
        options.summary.write_bytes(orjson.dumps(summary, option=orjson.OPT_INDENT_2) + b"\n")
    console.print_json(orjson.dumps(summary).decode())
    rows = summary.get("store_rows", summary["stored"])
    good = summary["residual"] == 0 and rows == summary["stored"] and not summary["expected"]["missed"]
    console.print(
        "[bold]对账为零,预期告警全部到达 · balance 0, all expected alarms came[/bold]"
        if good
        else "[red]未通过 · failed[/red]"
    )
    return 0 if good else 1
