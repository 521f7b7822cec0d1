"""One edge as a process: it runs, and takes up its changed site file or one that comes over the bus."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from gateway.adapters.mqtt_side import MqttAddress
from gateway.adapters.paho_uplink import PahoUplink, Tls
from gateway.app.context import ClockOrigin, broker_url
from gateway.app.edge_keys import own_key
from gateway.app.edge_outputs import made, outputs_of, watched
from gateway.app.edge_part import edge_part
from gateway.app.edge_role import choose, edge_config, edge_folder
from gateway.app.reloading import serve_reloads
from gateway.app.setup import Setup, load_setup
from gateway.codec.bundle import digest
from gateway.edge.agent import Edge
from gateway.edge.config import EdgeConfig, Hello
from gateway.edge.control import Control
from gateway.edge.health import Vitals
from gateway.edge.outputs import Outputs
from gateway.edge.reload import Change
from gateway.edge.stage import Stage
from gateway.errors import BadInput, Problems

log = logging.getLogger(__name__)

WINDOW = 1000
"""Messages on their way to the broker: it is refilled once a tick, and a backlog should leave fast."""


async def run_edge(setup: Setup, data: Path, gateway: str) -> None:
    """Until cancelled. Raises BadInput when the site has no such gateway."""
    await EdgeHost(setup, data, choose(setup, gateway).id).run()


class EdgeHost:
    """`setup`: of the edge's own site file, which also says where the broker is."""

    def __init__(self, setup: Setup, data: Path, gateway: str) -> None:
        self._own, self._data, self._gateway = setup, data, gateway
        self._clock = ClockOrigin.from_env().clock()
        folder = edge_folder(data, choose(setup, gateway))
        self._vitals = Vitals(folder, self._clock)
        self._stage = Stage(folder / "config")
        self._link: PahoUplink | None = None
        self._outputs: Outputs | None = None
        self._address = MqttAddress.parse(broker_url(setup.site.file.broker.url))

    async def run(self) -> None:
        """Until cancelled."""
        control = Control(own_key(), self._stage, self._load)
        config = await asyncio.to_thread(self._first)
        setup, gateway = self._own, choose(self._own, self._gateway)
        self._outputs = outputs = outputs_of(setup, gateway, config, self._clock, self._online)

        def adopted(config: EdgeConfig) -> None:
            outputs.follow(config.dangers, made(setup, gateway, config))

        edge = Edge(
            watched(config, outputs), self._clock, self._uplink, outputs.core_silent, control, adopted
        )
        self._vitals.source = lambda: {**edge.facts(), **outputs.facts()}
        async with asyncio.TaskGroup() as group:
            group.create_task(edge.run(), name="edge")
            group.create_task(outputs.run(), name="edge outputs")
            await edge.started.wait()
            name, site = f"edge-{self._gateway}", self._own.site.path
            group.create_task(
                serve_reloads(self._data, name, site, lambda: self._reload(edge)), name="edge reloads"
            )

    def _first(self) -> EdgeConfig:
        """What to start with: what came over the bus last, unless the own site file was changed since."""
        site = self._stage.open(self._base(self._own))
        if site is not None:
            try:
                return self._load(site)
            except (BadInput, Problems) as e:
                log.error(
                    "configuration %s does not load any more cause=%r; the site file holds", site, str(e)
                )
                self._stage.local(self._base(self._own))
        return self._config(self._own)

    def _load(self, site: Path) -> EdgeConfig:
        """A staged site file. Raises Problems, BadInput."""
        return self._config(load_setup(site))

    def _config(self, setup: Setup) -> EdgeConfig:
        config = edge_config(setup, self._data, choose(setup, self._gateway), self._clock, self._vitals)
        return watched(config, self._outputs) if self._outputs is not None else config

    def _online(self) -> bool:
        return self._link is not None and self._link.connected

    def _base(self, setup: Setup) -> str:
        return digest(edge_part(setup, choose(setup, self._gateway)))

    def _uplink(self, hello: Hello) -> PahoUplink:
        a = self._address
        self._link = PahoUplink(
            a.host, a.port, client_id=hello.client_id, subscribe=hello.subscribe, will=hello.will,
            username=a.user, password=a.password, tls=Tls() if a.tls else None, window=WINDOW,
        )  # fmt: skip
        return self._link

    async def _reload(self, edge: Edge) -> list[str]:
        """Read the own site file again. Raises StewardError or ValueError; then nothing has changed."""
        with edge.changing():
            setup = await asyncio.to_thread(load_setup, self._own.site.path)
            config = await asyncio.to_thread(self._config, setup)
            change = await edge.apply(config)
            await asyncio.to_thread(self._stage.local, self._base(setup))
        self._own = setup
        return told(change)


def told(change: Change) -> list[str]:
    """What was done, for a person."""
    if not change.stopped and not change.started and not change.changed:
        return [f"{len(change.kept)} lines go on, nothing has changed"]
    restarted = [x for x in change.started if x in change.stopped]
    parts = [
        f"{len(change.kept)} lines go on untouched",
        *([f"changed: {', '.join(change.changed)}"] if change.changed else []),
        *([f"started anew: {', '.join(restarted)}"] if restarted else []),
        *([f"new: {', '.join(new)}"] if (new := [x for x in change.started if x not in restarted]) else []),
        *([f"gone: {', '.join(old)}"] if (old := [x for x in change.stopped if x not in restarted]) else []),
    ]
    return ["; ".join(parts)]
