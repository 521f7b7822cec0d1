"""The edge's side of the conversation with the core: presence, receipts, commands and replies."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from gateway.codec import Ack, BadMessage, Birth, PointTable, Status, Topic, decode_object
from gateway.edge.config import EdgeConfig, Hello
from gateway.edge.courier import Courier
from gateway.ports import Clock, Uplink

log = logging.getLogger(__name__)

SILENT_CORE_S = 60.0


class Link:
    """Wraps the uplink. `wake` asks for a tick (True: with an account); acks and commands wait for it.

    conn: connections since the outbox was made; with the boot it orders presence messages.
    """

    def __init__(
        self,
        config: EdgeConfig,
        clock: Clock,
        courier: Courier,
        tables: Sequence[PointTable],
        wake: Callable[[bool], None],
        local_alarm: Callable[[bool], None] | None,
        *,
        boot: str,
        conn: int,
    ) -> None:
        self._config, self._clock, self.courier = config, clock, courier
        self._tables, self._wake, self._local_alarm = tables, wake, local_alarm
        self._boot, self.conn = boot, conn
        self._uplink: Uplink
        self._acks: list[Ack] = []
        self.commands: deque[dict[str, Any]] = deque()
        self.silent = False
        courier.last_ack = clock.monotonic()

    def topic(self, leaf: str, rest: str = "") -> str:
        """`steward/v1/{estate}/{gateway}/…`."""
        return str(Topic(self._config.estate, self._config.gateway, leaf, rest))

    def hello(self, client_id: str) -> Hello:
        """What the uplink has to know about this edge."""
        name = f"{self._config.gateway}-{client_id}"
        return Hello(name, (self.topic("ack"), self.topic("cmd")), self._will)

    async def run(self, uplink: Uplink) -> None:
        """Stay connected until cancelled."""
        self._uplink = uplink
        await uplink.run(self._heard, self._connection)

    def pump(self) -> None:
        """Send what may be sent."""
        if self.courier.online:
            self.courier.pump(self._publish, self._clock.monotonic())

    def take_acks(self) -> list[Ack]:
        """Receipts since the last call."""
        acks, self._acks = self._acks, []
        return acks

    def reply(self, command: Mapping[str, Any], *, ok: bool, **facts: Any) -> None:
        """Answer a command on `reply`."""
        body = {"id": command.get("id"), "cmd": command.get("cmd"), "ok": ok, "boot": self._boot, **facts}
        self.courier.direct(self.topic("reply"), orjson.dumps(body), retain=False)

    def send_table(self, tab: str, payload: bytes) -> None:
        """Publish a table again."""
        self.courier.direct(self.topic("points", tab), payload, retain=True)

    def announce(self, config: EdgeConfig, tables: Sequence[PointTable]) -> None:
        """Another configuration holds: say so, now and on every connection to come."""
        self._config, self._tables = config, tables
        self._say_birth()

    def watch(self) -> None:
        """Once a second: tell when the core has not been heard for 60 s; send again what has no receipt."""
        now = self._clock.monotonic()
        silent = now - self.courier.last_ack >= SILENT_CORE_S
        if silent != self.silent:
            self.silent = silent
            if silent:
                log.error("core silent for %d s; nobody sees alarms, check broker and core", SILENT_CORE_S)
            else:
                log.info("core heard again")
            if self._local_alarm is not None:
                self._local_alarm(silent)
            self._wake(True)
        if self.courier.overdue(now):
            self._wake(False)

    def _will(self) -> tuple[str, bytes]:
        """The last will of the next connection. Called in the uplink's thread."""
        return self.topic("status"), Status(False, self._boot, self.conn + 1).encode()

    def _publish(self, topic: str, payload: bytes, retain: bool) -> bool:
        return self._uplink.publish(topic, payload, retain=retain)

    def _connection(self, online: bool) -> None:
        self.courier.connection(online=online)
        if online:
            self.conn += 1
            direct = self.courier.direct
            direct(self.topic("status"), Status(True, self._boot, self.conn).encode(), retain=True)
            for table in self._tables:
                self.send_table(table.tab, table.encode())
            self._say_birth()
        self._wake(True)

    def _say_birth(self) -> None:
        tabs = tuple(t.tab for t in self._tables)
        birth = Birth(self._boot, self._config.cfg_hash, self._config.software, tabs)
        self.courier.direct(self.topic("birth"), birth.encode(), retain=True)

    def _heard(self, topic: str, payload: bytes) -> None:
        try:
            if topic == self.topic("ack"):
                ack = self.courier.acked(Ack.decode(payload), self._clock.monotonic())
                if ack is None:
                    return
                self._acks.append(ack)
            elif topic == self.topic("cmd"):
                self.commands.append(_answerable(decode_object(payload)))
        except BadMessage as e:
            log.warning("message refused topic=%s cause=%r", topic, str(e))
            return
        self._wake(False)


def _answerable(command: dict[str, Any]) -> dict[str, Any]:
    """The command. Raises BadMessage for one that can be read but not written back: nested too deeply."""
    try:
        orjson.dumps(command)
    except TypeError as e:
        raise BadMessage(f"cmd: {e}") from e
    return command
