"""The process that owns the stores: core, pages and HTTP interface in one event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import orjson
from argon2 import PasswordHasher

from alerts.desk import Dispatch
from dashboards.access.passwords import Passwords
from dashboards.access.people import ensure_admin, seed_people
from dashboards.access.permissions import allows
from dashboards.app import create_app
from dashboards.server import serve
from dashboards.web import WebOptions
from gateway.adapters.attachments import Attachments
from gateway.adapters.broker_files import BrokerState
from gateway.adapters.broker_files import Places as BrokerPlaces
from gateway.adapters.duckdb_store import DuckStore
from gateway.adapters.jetstream_bus import JetStreamBus
from gateway.adapters.keys import InstallationKeys
from gateway.adapters.lockfile import DataLock
from gateway.adapters.mqtt_bus import MqttBus
from gateway.adapters.mqtt_side import MqttAddress
from gateway.adapters.state import SqlState, open_state
from gateway.adapters.tls import LOCAL, TlsPlaces, is_local
from gateway.app.backups import answer_backups
from gateway.app.breakit import BreakIt
from gateway.app.compiling import compile_beside
from gateway.app.context import DEMO, NATS, ClockOrigin, Places, broker_url, supervised
from gateway.app.core_acts import Acts
from gateway.app.dispatch import make_dispatch
from gateway.app.dossiers import Dossiers
from gateway.app.edge_keys import EdgeKeys
from gateway.app.exposure import plain, refuse_plain
from gateway.app.heartbeat import heartbeat
from gateway.app.housekeeping import keep_house
from gateway.app.matrix_view import MatrixView
from gateway.app.people import names_of
from gateway.app.policy import rules_knowing
from gateway.app.settings import Settings
from gateway.app.setup import Setup
from gateway.core.desk import CoreDesk
from gateway.core.edge_calls import EdgeCalls
from gateway.core.loop import Core, Parts
from gateway.core.stats import Regulator
from gateway.errors import BadInput
from gateway.ports import Bus, Clock, SampleStore

log = logging.getLogger(__name__)

QUICK = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)


@dataclass(frozen=True)
class CoreOptions:
    """What the command line may change. port None: as the site file says; 0: a free one."""

    data: Path
    host: str = ""
    port: int | None = None
    store: str = ""


async def run_core(setup: Setup, options: CoreOptions) -> None:
    """Until cancelled. Raises InUse for a second instance on the same data."""
    clock = ClockOrigin.from_env().clock()
    places = Places(options.data)
    lock = DataLock(options.data)
    try:
        async with _stores(setup, options, clock) as (state, samples):
            await _serve(setup, options, places, clock, state, samples)
    finally:
        lock.close()


@asynccontextmanager
async def _stores(
    setup: Setup, options: CoreOptions, clock: Clock
) -> AsyncIterator[tuple[SqlState, SampleStore]]:
    state = await asyncio.to_thread(open_state, options.data / "state.db")
    try:
        samples = await asyncio.to_thread(_samples, setup, options, clock)
        try:
            yield state, samples
        finally:
            await asyncio.to_thread(samples.close)
    finally:
        await asyncio.to_thread(state.close)


def _samples(setup: Setup, options: CoreOptions, clock: Clock) -> SampleStore:
    kind, _, url = options.store.partition("=") if options.store else (setup.site.file.store.kind, "", "")
    url = url or setup.site.file.store.url
    if kind == "duckdb":
        return DuckStore(options.data)
    if kind == "influx" and url:
        from gateway.adapters.influx_store import InfluxStore

        return InfluxStore(url, options.data / "samples-queue.db", clock.monotonic)
    raise BadInput(
        f"store {options.store!r} is unknown", field="--store", hint="duckdb, or influx=http://host:8428"
    )


def _bus(setup: Setup, clock: Clock) -> Bus:
    """JetStream where the embedded broker offers it, plain MQTT otherwise."""
    address = MqttAddress.parse(broker_url(setup.site.file.broker.url))
    native = os.environ.get(NATS, "")
    if not native:
        return MqttBus(address, clock)
    parts = urlsplit(native)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return JetStreamBus(f"nats://{parts.hostname}:{parts.port}", user, password, address, clock)


async def _serve(
    setup: Setup, options: CoreOptions, places: Places, clock: Clock, state: SqlState, samples: SampleStore
) -> None:
    demo = orjson.loads(os.environ.get(DEMO, "{}"))
    dispatch: Dispatch = await asyncio.to_thread(make_dispatch, setup, state)
    settings = Settings(setup, state, dispatch, lambda: names_of(setup, state))
    await asyncio.to_thread(settings.restore, clock.now())
    bus = _bus(setup, clock)
    calls = EdgeCalls(bus, EdgeKeys(options.data).get, clock)
    acts = Acts.make(setup, options.data, state, calls, clock, dispatch, settings)
    host = options.host or setup.site.file.web.host
    core = Core(
        Parts(
            setup.site, clock, bus, state, samples, rules_knowing(setup.rules, settings.years), dispatch,
            acts.sender(setup, options.data, state, clock), options.data, acts.edges.command,
            setup.device_of, setup.assets, setup.points, _plain(setup, options, host), setup.virtual,
        )
    )  # fmt: skip
    acts.bind(core, dispatch, clock)
    compile_beside(options.data, len(setup.points))
    await asyncio.to_thread(_people, setup, places, state, demo)
    desk = CoreDesk(core, lambda actor, action: allows(actor.role, action))
    tls = TlsPlaces(options.data)
    files, keys = Attachments(options.data / "attachments"), InstallationKeys(options.data)
    web = WebOptions(
        figures=_regulator(setup, core),
        breakit=BreakIt(demo["control"], options.data) if demo.get("control") else None,
        hosts=WebOptions.hosts if is_local(host) else ("*",),
        https=bool(tls.trusted()),
        write=acts.writes.write,
        edge=acts.edges.act,
        matrix=MatrixView(setup, state, dispatch, settings),
        files=files,
        keys=keys,
        ca=tls.ca if tls.trusted() else None,
        dossier=Dossiers(state, samples, files, keys).make,
        answers=acts.answers,
    )
    app = create_app(desk, state, clock, web)
    port = setup.site.file.web.port if options.port is None else options.port
    cert = tls.web if web.https else None
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(core.run(), name="core")
            await core.ready.wait()
            listening = _listening(setup, places, tls.trusted())
            group.create_task(serve(app, host, port, listening, cert), name="web")
            group.create_task(calls.run(), name="edge calls")
            group.create_task(
                keep_house(samples, state, clock, setup.site.file.store.keep_days), name="housekeeping"
            )
            group.create_task(
                answer_backups(options.data, state, samples, clock, setup.site.files), name="backups"
            )
            group.create_task(heartbeat(setup.site.file.watchdog, core, clock), name="heartbeat")
    finally:
        await asyncio.to_thread(places.web.unlink, missing_ok=True)
        await bus.close()


def _regulator(setup: Setup, core: Core) -> Regulator:
    gateways = {a: setup.gateways_of(a) for a in setup.assets}
    return Regulator(setup.assets, lambda a: gateways[a], core.view.allows)


def _listening(setup: Setup, places: Places, ca: str) -> Callable[[str, int], None]:
    """Leaves the address for the other commands, and tells whoever started a core by itself."""

    def listening(host: str, port: int) -> None:
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - only shown
        places.run.mkdir(parents=True, exist_ok=True)
        url = f"{'https' if ca else 'http'}://{shown}:{port}"
        places.web.write_bytes(orjson.dumps({"url": url, "ca": ca}))
        if not supervised():
            tell(f"Steward {setup.site.file.site.id}: {url}/")

    return listening


def _plain(setup: Setup, options: CoreOptions, host: str) -> dict[str, str]:
    """What of this installation speaks plain text to other machines. Raises Problems where nobody said so."""
    broker = BrokerState.load(BrokerPlaces(options.data).state)
    hosts = {"web_host": host, "broker_host": broker.host if broker else LOCAL[0]}
    refuse_plain(setup.site, options.data, **hosts)
    return plain(setup.site, options.data, **hosts)


def _people(setup: Setup, places: Places, state: SqlState, demo: dict[str, object]) -> None:
    given = demo.get("passwords")
    # A demo's passwords are random and live an hour: eight slow hashes would be half of its start.
    passwords = Passwords(QUICK if given else None)
    seed_people(state, setup.site.file.people, given if isinstance(given, dict) else {}, passwords)
    first = ensure_admin(state, passwords)
    if first is not None and not supervised():
        tell(f"first start: user admin, password {first} (shown once)")
    elif first is not None:
        places.run.mkdir(parents=True, exist_ok=True)
        places.admin.touch(mode=0o600)
        places.admin.write_text(first, encoding="utf-8")
        log.info("first start: user admin was made; its password is shown once by the start command")


def tell(line: str) -> None:
    """To whoever started a core by itself; a supervisor tells people on its own terminal."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
