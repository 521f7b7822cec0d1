"""All in one: broker, edges and core + web as children that come back by themselves."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import orjson

from gateway.adapters.broker import EmbeddedBroker
from gateway.adapters.broker_files import choose_port
from gateway.adapters.children import Child, Supervisor
from gateway.adapters.mqtt_side import MqttAddress
from gateway.adapters.tls import CA_ENV
from gateway.app.context import CLOCK, MQTT, NATS, ClockOrigin, Places
from gateway.app.edge_keys import KEY, EdgeKeys
from gateway.app.setup import Setup
from gateway.ports import Clock

READY_S = 60.0


@dataclass(frozen=True)
class Options:
    """How to run. `lan`: the broker hears edges of other machines · `extra`: environment of the core."""

    data: Path
    port: int | None = None
    host: str = ""
    store: str = ""
    lan: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)


class Station:
    """The running installation: its supervisor, its broker and where it is reached."""

    def __init__(
        self, setup: Setup, options: Options, origin: ClockOrigin, supervisor: Supervisor, clock: Clock
    ) -> None:
        self.setup, self.options, self.origin = setup, options, origin
        self.supervisor, self.clock = supervisor, clock
        self.places = Places(options.data)
        self.broker: EmbeddedBroker | None = None
        self._pids: dict[str, int] = {}

    @property
    def url(self) -> str:
        """Address of the pages; "" before the web server accepts connections."""
        try:
            return str(orjson.loads(self.places.web.read_bytes())["url"])
        except (OSError, orjson.JSONDecodeError, KeyError):
            return ""

    def mqtt(self, name: str) -> MqttAddress:
        """Where and as whom `core` or an edge connects."""
        if self.broker is not None:
            return self.broker.mqtt(name)
        return MqttAddress.parse(self.setup.site.file.broker.url)

    def env(self, name: str) -> dict[str, str]:
        """Environment of a role's process."""
        a = self.mqtt(name)
        login = f"{quote(a.user)}:{quote(a.password)}@" if a.user else ""
        out = {**os.environ, CLOCK: str(self.origin), MQTT: a.url, **({CA_ENV: a.ca} if a.ca else {})}
        # Without a stream that keeps what it acknowledges the core reads by plain MQTT, and the log says so.
        if self.broker is not None and self.broker.self_test.ok and name == "core":
            host = self.broker.nats_url.removeprefix("nats://")
            out[NATS] = f"nats://{login}{host}"
        if name != "core":
            out[KEY] = EdgeKeys(self.options.data).make(name)
        return out

    def role(self, name: str, *arguments: str) -> list[str]:
        """Command line of a role."""
        site = str(self.setup.site.path)
        return [sys.executable, "-m", "gateway", name, site, "--data", str(self.options.data), *arguments]

    def started(self, name: str, pid: int) -> None:
        """Note a child's process number."""
        self._pids[name] = pid
        self.places.run.mkdir(parents=True, exist_ok=True)
        part = self.places.children.with_suffix(".part")
        part.write_bytes(orjson.dumps(self._pids))
        part.replace(self.places.children)

    async def start_core(self) -> None:
        """Core and web; ready when the pages answer."""
        o = self.options
        arguments: list[str] = []
        if o.port is not None:
            # A free port is chosen once, so that a core that comes back is found where it was.
            arguments += ["--port", str(o.port or choose_port("127.0.0.1"))]
        if o.host:
            arguments += ["--host", o.host]
        if o.store:
            arguments += ["--store", o.store]
        self.places.web.unlink(missing_ok=True)
        await self._start(
            "core", self.role("core", *arguments), {**self.env("core"), **o.extra}, self._web_up
        )

    async def _web_up(self) -> bool:
        return bool(self.url)

    async def start_edge(self, gateway: str) -> None:
        """One edge; ready when its process runs."""
        argv = self.role("edge", "--gateway", gateway)
        await self._start(f"edge-{gateway}", argv, self.env(gateway), _at_once)

    async def _start(
        self, name: str, argv: list[str], env: dict[str, str], ready: Callable[[], Awaitable[bool]]
    ) -> None:
        child = Child(
            name, argv, env, self.places.logs / f"{name}.out", self.clock, ready=ready,
            started=lambda pid: self.started(name, pid), ready_timeout_s=READY_S,
        )  # fmt: skip
        await self.supervisor.start(child)


async def _at_once() -> bool:
    return True


@asynccontextmanager
async def station(setup: Setup, options: Options, origin: ClockOrigin) -> AsyncIterator[Station]:
    """Everything of a site file on this machine while the block runs; stops in reverse order."""
    clock = origin.clock()
    places = Places(options.data)
    for folder in (places.logs, places.run):
        folder.mkdir(parents=True, exist_ok=True)
    edges = [(g.estate, g.id) for g in setup.site.file.gateways]
    async with Supervisor() as supervisor:
        here = Station(setup, options, origin, supervisor, clock)
        if setup.site.file.broker.url:
            await _start_roles(here)
            yield here
            return
        async with EmbeddedBroker(
            options.data, clock, edges, supervisor=supervisor,
            host="0.0.0.0" if options.lan else "127.0.0.1",  # noqa: S104 - only when asked for
            mqtt_port=setup.site.file.broker.mqtt_port,
        ) as broker:  # fmt: skip
            here.broker = broker
            here.started("broker", broker.status().pid or 0)
            await _start_roles(here)
            yield here
            # Edges and core stop before their broker does.
            for name in [n for n in supervisor.status() if n.startswith("edge-")]:
                await supervisor.stop(name)
            await supervisor.stop("core")


async def _start_roles(here: Station) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(here.start_core(), name="start.core")
        for gateway in here.setup.site.file.gateways:
            if not gateway.remote:
                group.create_task(here.start_edge(gateway.id), name=f"start.edge.{gateway.id}")
