"""The embedded broker: a `nats-server` of ours as a supervised child process, with MQTT and JetStream.

    async with EmbeddedBroker(data, clock, edges=[("estate-1", "gw-1")]) as broker:
        broker.mqtt("gw-1"), broker.nats_url, broker.credentials("core")

It listens on 127.0.0.1 unless told otherwise, on ports that are chosen once and kept. A server of ours that
survived its supervisor is adopted. Its first start has two phases: without MQTT, to make the stream that
keeps what clients publish before any client can come; then with it (docs/adr/0002-broker.md).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import aiomqtt
import nats.errors

from gateway.adapters import broker_files as files
from gateway.adapters import broker_probe as probe
from gateway.adapters.broker_stream import SelfTest, connected, ensure_stream, self_test
from gateway.adapters.broker_tasks import end as end_task
from gateway.adapters.children import Child, ChildStatus, Supervisor
from gateway.adapters.mqtt_side import MqttAddress
from gateway.errors import BadInput, Retryable
from gateway.ports import Clock

log = logging.getLogger(__name__)

NAME = "broker"
MAX_BYTES = 1 << 30
CHECK_S = 5.0
RELOAD_S = 10.0


class EmbeddedBroker:
    """The server while the `async with` block runs.

    host: where MQTT listens; the native port is always for this machine only · mqtt_port, nats_port: 0 for
    a free one, which is kept · max_bytes: size of the stream; what does not fit is not acknowledged ·
    supervisor: the one to run under, else one of its own · program: another nats-server ·
    check_s: real seconds between looks at the store.
    """

    def __init__(
        self,
        data_dir: Path,
        clock: Clock,
        edges: Iterable[tuple[str, str]] = (),
        *,
        host: str = "127.0.0.1",
        mqtt_port: int = 0,
        nats_port: int = 0,
        max_bytes: int = MAX_BYTES,
        supervisor: Supervisor | None = None,
        program: Path | None = None,
        check_s: float = CHECK_S,
    ) -> None:
        self._places = files.Places(data_dir.absolute())
        self._clock, self._edges = clock, tuple(edges)
        self._host, self._asked = host, (mqtt_port, nats_port)
        self._max_bytes, self._check_s = max_bytes, check_s
        self._own_supervisor = supervisor is None
        self._supervisor = supervisor or Supervisor()
        self._program = program
        self._guard: asyncio.Task[None] | None = None
        self._losses = 0
        self._state: files.BrokerState
        self._users: files.Users
        self.self_test = SelfTest(False, "not yet run")

    # ── for the roof ──────────────────────────────────────────────────────────────────────────────────

    @property
    def mqtt_port(self) -> int:
        """Where MQTT clients connect."""
        return self._state.mqtt_port

    @property
    def nats_url(self) -> str:
        """Where the core connects natively."""
        return files.nats_url(self._state)

    def credentials(self, name: str) -> tuple[str, str]:
        """User and password of `core` or of a gateway. Raises NotFound."""
        return self._users.credentials(name)

    def mqtt(self, name: str = files.CORE) -> MqttAddress:
        """Where and as whom an MQTT client of this machine connects. Raises NotFound."""
        host, state = files.local(self._state.host), self._state
        return MqttAddress.trusting(state.ca, host, state.mqtt_port, *self.credentials(name))

    async def add_edge(self, estate: str, gateway: str) -> tuple[str, str]:
        """A user for an edge, known to the running server on return. Raises BadInput, Retryable."""
        if self._users.add_edge(estate, gateway):
            files.write_users(self._places, self._users)
            self._supervisor.signal(NAME, signal.SIGHUP)
            await self._until_accepted(gateway)
        return self.credentials(gateway)

    def kill(self) -> None:
        """End the server as a crash would; it comes back."""
        self._supervisor.kill(NAME)

    def status(self) -> ChildStatus:
        """The server process."""
        return self._supervisor.status()[NAME]

    @property
    def losses(self) -> int:
        """How often the store was found deleted and was made anew."""
        return self._losses

    async def check(self) -> SelfTest:
        """Mend the stream where it is wrong and prove that it keeps what is published."""
        try:
            async with connected(self.nats_url, *self.credentials(files.CORE)) as client:
                js = client.jetstream(timeout=10)
                done = await ensure_stream(js, self._max_bytes)
                if done:
                    log.warning("broker: stream %s; what came before may not have been kept", done)
                self.self_test = await self_test(js, self.mqtt(), self._max_bytes)
        except Retryable as e:
            self.self_test = SelfTest(False, str(e))
        if not self.self_test.ok:
            log.error("broker: self-test failed: %s", self.self_test.detail)
        return self.self_test

    # ── life ──────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        program = probe.find_program(self._program)
        version = await asyncio.to_thread(probe.version_of, program)
        self._users = files.Users.load(self._places.users)
        for estate, gateway in self._edges:
            self._users.add_edge(estate, gateway)
        self._state = self._decide_state()
        live = await self._live_server()
        changed = files.write_confs(self._state, self._places, self._users, self._max_bytes)
        child = self._child(program)
        if live is not None and (changed or live[1] != version):
            await self._replace(live[0], child)
            live = None
        if live is None:
            self._check_ports()
        await self._supervisor.start(child, adopt=live[0] if live else None)
        try:
            if live is not None:
                self._supervisor.signal(NAME, signal.SIGHUP)
            await self.check()
        except BaseException:
            await self._supervisor.stop(NAME)
            raise
        self._guard = asyncio.create_task(self._watch_store(), name="broker.store")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await end_task(self._guard)
        await self._supervisor.stop(NAME)

    def _decide_state(self) -> files.BrokerState:
        state = files.BrokerState.load(self._places.state)
        if state is None:
            state = files.BrokerState(f"steward-{secrets.token_hex(4)}", self._host, 0, 0)
        mqtt, native = self._asked
        state.host, state.ca = self._host, self._places.tls.trusted()
        state.mqtt_port = mqtt or state.mqtt_port or files.choose_port(self._host)
        state.nats_port = native or state.nats_port or files.choose_port("127.0.0.1", (state.mqtt_port,))
        return state

    async def _live_server(self) -> tuple[int, str] | None:
        """(pid, version) of a server of ours that outlived its supervisor."""
        pid = probe.own_process(self._state, self._places)
        if pid is None:
            return None
        old = files.BrokerState.load(self._places.state) or self._state
        info = await probe.greeting(old.nats_port)
        if info is None or info.get("server_name") != self._state.server_name:
            return pid, ""  # ours, but it does not answer as it should: it is replaced
        return pid, str(info.get("version", ""))

    async def _replace(self, pid: int, child: Child) -> None:
        """Stop a live server of ours that has to start with other settings or as another version."""
        log.info("broker: the server that still runs is replaced pid=%d", pid)
        async with Supervisor() as temporary:
            await temporary.start(
                Child(NAME, child.argv, None, child.log_path, self._clock, restart=False), adopt=pid
            )

    def _check_ports(self) -> None:
        for host, port, option in (
            (self._host, self._state.mqtt_port, "mqtt-port"),
            ("127.0.0.1", self._state.nats_port, "nats-port"),
        ):
            if not files.is_free(host, port):
                raise BadInput(
                    f"port {port} on {host} is in use by another program",
                    file=str(self._places.state) if self._places.state.exists() else "",
                    field=option.replace("-", "_"),
                    hint=f"stop that program, or give another port with --{option}",
                )

    def _child(self, program: Path) -> Child:
        return Child(
            name=NAME,
            argv=(str(program), "-c", str(self._places.conf)),
            env=None,
            log_path=self._places.folder / "server.log",
            clock=self._clock,
            ready=self._is_ready,
            prepare=lambda: self._prepare(program),
            started=self._note_start,
            die_with_parent=False,  # edges go on while the supervisor comes back and adopts it
        )

    async def _is_ready(self) -> bool:
        info = await probe.greeting(self._state.nats_port)
        ours = info is not None and info.get("server_name") == self._state.server_name
        return ours and await probe.accepts(files.local(self._host), self._state.mqtt_port)

    def _note_start(self, pid: int) -> None:
        self._state.pid, self._state.started = pid, probe.started_at(pid)
        self._state.generation += 1
        self._state.save(self._places.state)

    async def _prepare(self, program: Path) -> None:
        """Phase one, wherever the stream is missing: the server without MQTT makes it."""
        if (self._places.messages / "meta.inf").exists():
            return
        shutil.rmtree(self._places.messages, ignore_errors=True)
        setup = Child(
            name="broker-setup",
            argv=(str(program), "-c", str(self._places.setup_conf)),
            env=None,
            log_path=self._places.folder / "server.log",
            clock=self._clock,
            ready=self._speaks,
            restart=False,
        )
        async with Supervisor() as temporary:
            await temporary.start(setup)
            async with connected(self.nats_url, *self.credentials(files.CORE)) as client:
                await ensure_stream(client.jetstream(timeout=10), self._max_bytes)

    async def _speaks(self) -> bool:
        info = await probe.greeting(self._state.nats_port)
        return info is not None and info.get("server_name") == self._state.server_name

    async def _until_accepted(self, gateway: str) -> None:
        deadline = self._clock.monotonic() + RELOAD_S
        while self._clock.monotonic() < deadline:
            with contextlib.suppress(aiomqtt.MqttError):
                async with self.mqtt(gateway).client(f"{gateway}-{secrets.token_hex(4)}"):
                    return
            await self._clock.sleep_real(0.05)
        raise Retryable(f"the broker did not take the user {gateway} within {RELOAD_S:g} s")

    async def _watch_store(self) -> None:
        """A store that was deleted under the running server is made anew, in two phases as at first."""
        while True:
            await self._clock.sleep_real(self._check_s)
            running = self.status().state == "running"
            if not running or (self._places.messages / "meta.inf").exists():
                continue
            self._losses += 1
            self.self_test = SelfTest(False, "the store was deleted; it is being made anew")
            log.error(
                "broker: its store %s is gone; restarting with a new one. What was not yet taken is sent "
                "again by the edges",
                self._places.messages,
            )
            try:
                await self._supervisor.restart(NAME)
                await self.check()
            except (Retryable, nats.errors.Error, OSError) as e:
                log.warning("broker: the new store is not there yet, will try again: %s", e)
