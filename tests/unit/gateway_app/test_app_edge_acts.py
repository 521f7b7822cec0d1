"""Asking an edge from afar: who may, for what, and what is noted before it goes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from alerts.desk import Outcome
from dashboards.access.permissions import allows
from gateway.adapters.clock import ManualClock
from gateway.app.edge_acts import EdgeActs
from gateway.app.setup import load_setup
from gateway.codec.signed import verified
from gateway.core.edge_calls import EdgeCalls
from gateway.errors import Forbidden, NotFound
from gateway.model import Actor, Command, Scope
from gateway.ports import Delivery
from tests.e2e.chain_support import DEVICES, ESTATE, GATEWAY, site_file

KEY = b"k" * 32
BOOT = "1790000000000-abc"


class Wire:
    """A bus with one edge at its end, which says yes."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self._replies: asyncio.Queue[Delivery] = asyncio.Queue()
        self.watched = asyncio.Event()

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        body = orjson.loads(payload)
        assert topic == f"steward/v1/{ESTATE}/{GATEWAY}/cmd"
        self.heard.append(body)
        reply = {"id": body["id"], "cmd": body["cmd"], "boot": BOOT, "ok": True, "frames": []}
        topic = f"steward/v1/{ESTATE}/{GATEWAY}/reply"
        self._replies.put_nowait(Delivery(topic, orjson.dumps(reply), 1))

    async def watch(self, pattern: str) -> AsyncIterator[Delivery]:
        self.watched.set()
        while True:
            yield await self._replies.get()


class Rig:
    """EdgeActs of a small site; the core's loop notes at once."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.wire, self.boot = ManualClock(), Wire(), BOOT
        setup = load_setup(site_file(folder, DEVICES))
        self.calls = EdgeCalls(self.wire, lambda _: KEY, self.clock)
        self.acts = EdgeActs(setup, self.calls, self.clock, allows, self._other)
        self.acts.loop = self  # type: ignore[assignment]  # the two methods that are used
        self.noted: list[str] = []

    @staticmethod
    def _other(cmd: Command) -> tuple[Outcome, dict[str, Any]]:
        return Outcome(), {"other": cmd.kind}

    async def submit(self, command: Command) -> dict[str, Any]:
        outcome, said = self.acts.command(command)
        self.noted += [f"{e.kind} {e.subject} {e.actor} {dict(e.data)}" for e in outcome.events]
        return said

    def boot_of(self, gateway: str) -> str:
        return self.boot

    async def ask(self, actor: Actor, kind: str, gateway: str = GATEWAY, **facts: Any) -> dict[str, Any]:
        listening = asyncio.create_task(self.calls.run())
        try:
            await asyncio.wait_for(self.wire.watched.wait(), 10)
            return await self.acts.act(actor, kind, gateway, facts, "key-1")
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def person(role: str = "technician", **scope: Any) -> Actor:
    limits = {k: frozenset(v) for k, v in scope.items()}
    return Actor("li", role=role, scope=Scope(**limits))  # type: ignore[arg-type]  # one of ROLES


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


async def test_it_goes_out_signed_for_this_start_and_is_noted_before(rig: Rig) -> None:
    assert await rig.ask(person(), "edge.retry", device="lift-box") == {"ok": True, "frames": []}
    (body,) = rig.wire.heard
    assert verified(KEY, body)
    assert (body["cmd"], body["boot"], body["device"]) == ("retry", BOOT, "lift-box")
    assert 0 < body["until"] - rig.clock.now() <= 60_000
    assert rig.noted == [f"edge.retry {GATEWAY} li {{'device': 'lift-box'}}"]


async def test_looking_at_frames_is_not_noted_and_switching_is(rig: Rig) -> None:
    await rig.ask(person(), "edge.trace", line="tcp")
    assert rig.noted == []
    await rig.ask(person(), "edge.trace", line="tcp", on=True)
    assert len(rig.noted) == 1
    first, second = rig.wire.heard
    assert first["id"] != second["id"]


async def test_an_edge_that_is_away_is_not_asked(rig: Rig) -> None:
    rig.boot = ""
    assert (await rig.ask(person(), "edge.retry"))["code"] == "offline"
    assert rig.wire.heard == []


@pytest.mark.parametrize(
    ("actor", "facts", "error"),
    [
        (person("regulator"), {}, Forbidden),
        (person("contractor"), {}, Forbidden),
        (person(estates=["elsewhere"]), {}, NotFound),
        (person(firms=[]), {}, NotFound),
        # The whole edge reads more than lifts.
        (person(systems=["elevator"]), {}, NotFound),
        (person(systems=["water"]), {"device": "lift-box"}, NotFound),
        (person(systems=["elevator"]), {"device": "nobody"}, NotFound),
    ],
)
async def test_who_may_not_sends_nothing(
    rig: Rig, actor: Actor, facts: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await rig.ask(actor, "edge.retry", **facts)
    assert (rig.wire.heard, rig.noted) == ([], [])


async def test_what_lies_within_the_scope_as_a_whole_may_be_asked(rig: Rig) -> None:
    assert (await rig.ask(person(systems=["elevator"]), "edge.retry", device="lift-box"))["ok"]
    with pytest.raises(NotFound):
        await rig.ask(person("admin"), "edge.retry", "gw-9")


def test_other_commands_are_somebody_elses(rig: Rig) -> None:
    now = rig.clock.now()
    assert rig.acts.command(Command("k", "alarm.ack", "a1", person(), now, now))[1] == {"other": "alarm.ack"}
