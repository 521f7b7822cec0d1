"""`steward push`: send an edge on another machine its part of the site file, and watch how it fares."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.adapters.clock import SystemClock
from gateway.adapters.mqtt_side import MqttSide
from gateway.app.edge_keys import EdgeKeys
from gateway.app.edge_part import edge_part, part_hash
from gateway.app.edge_role import choose
from gateway.app.setup import load_setup
from gateway.app.tailing import address_of
from gateway.app.terminal import console, say
from gateway.codec import Account, BadMessage, Topic
from gateway.codec.bundle import digest, pack
from gateway.core.edge_calls import EdgeCalls
from gateway.errors import BadInput, Retryable, WorkFailed
from gateway.ports import Clock

STAGE_S = 60.0
"""Time for the edge to check and load what it got."""


@dataclass(frozen=True)
class Wish:
    """What to push where. broker: its address when it is not the embedded one of `data`."""

    site: Path
    gateway: str
    data: Path
    broker: str
    minutes: float


async def push(wish: Wish, *, as_json: bool) -> int:
    """0 when the edge keeps it. Raises BadInput, and WorkFailed when it does not."""
    clock = SystemClock()
    setup = await asyncio.to_thread(load_setup, wish.site)
    gateway = choose(setup, wish.gateway)
    files = await asyncio.to_thread(edge_part, setup, gateway)
    keys = EdgeKeys(wish.data)
    if not keys.get(gateway.id):
        raise BadInput(
            f"there is no key of edge {gateway.id} in {wish.data}", field="--data",
            hint=f"steward edge add {gateway.id} makes one; carry its .env to the edge",
        )  # fmt: skip
    side = MqttSide(address_of(wish.data, wish.broker), clock, "push")
    await side.open()
    try:
        calls = EdgeCalls(side, keys.get, clock)
        there = _Push(calls, side, gateway.estate, gateway.id, clock, clock.now(), wish.minutes)
        listening = asyncio.create_task(calls.run(), name="replies")
        try:
            steps = [step async for step in _told(there.run(files), as_json=as_json)]
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
    finally:
        await side.close()
    kept = steps[-1].get("step") == "kept"
    if as_json:
        say({"ok": kept, "gateway": gateway.id, "cfg": part_hash(files), "steps": steps})
    if not kept:
        problems = steps[-1].get("problems") or [steps[-1].get("error", "")]
        raise WorkFailed(f"edge {gateway.id} has not kept it: {'; '.join(map(str, problems))}")
    return 0


async def _told(steps: AsyncIterator[dict[str, Any]], *, as_json: bool) -> AsyncIterator[dict[str, Any]]:
    async for step in steps:
        if not as_json:
            facts = " ".join(f"{k}={step[k]}" for k in ("version", "cfg", "minutes", "error") if k in step)
            console().print(f"{step['step']:10} {facts}", markup=False)
        yield step


class _Push:
    """One push of one version to one edge."""

    def __init__(
        self, calls: EdgeCalls, side: MqttSide, estate: str, gateway: str, clock: Clock, version: int,
        minutes: float,
    ) -> None:  # fmt: skip
        self._calls, self._side, self._clock = calls, side, clock
        self._estate, self._gateway = estate, gateway
        self._version, self._minutes = version, minutes

    async def run(self, files: dict[str, str]) -> AsyncIterator[dict[str, Any]]:
        """Each step of the edge, up to `kept`, `back` or `refused`. Raises Retryable when it is silent."""
        await self._calls.greet(self._estate, self._gateway)
        whole, parts = digest(files), pack(files)
        id_ = f"push-{self._version}"
        with self._calls.replies(self._gateway, id_) as queue:
            for n, text in enumerate(parts, 1):
                body = {"cmd": "config", "id": id_, "version": self._version, "hash": whole, "part": n,
                        "parts": len(parts), "minutes": self._minutes, "text": text}  # fmt: skip
                await self._calls.send(self._estate, self._gateway, body, signed=True)
            while True:
                step = await self._next(queue, STAGE_S)
                yield step
                if step.get("step") == "trial":
                    break
                if step.get("step") != "staged":
                    return
            await self._heard_again()
            yield await self._confirmed()
            yield await self._next(queue, self._minutes * 60 + STAGE_S)

    async def _next(self, queue: asyncio.Queue[dict[str, Any]], seconds: float) -> dict[str, Any]:
        try:
            async with asyncio.timeout(seconds):
                return await queue.get()
        except TimeoutError as e:
            raise Retryable(
                f"edge {self._gateway} has said nothing for {seconds:g} s; it goes back to its previous"
                " configuration by itself unless it kept the new one"
            ) from e

    async def _heard_again(self) -> None:
        """Until an account comes from the new configuration, and the core's receipt goes back."""
        account = str(Topic(self._estate, self._gateway, "account"))
        ack = str(Topic(self._estate, self._gateway, "ack"))
        try:
            async with asyncio.timeout(self._minutes * 60):
                async for d in self._side.watch(account):
                    if _version_of(d.payload) == self._version:
                        break
                async for _ in self._side.watch(ack):
                    break
        except TimeoutError as e:
            raise Retryable(f"edge {self._gateway} is not heard under its new configuration") from e

    async def _confirmed(self) -> dict[str, Any]:
        body = {"cmd": "confirm", "id": f"confirm-{self._version}", "version": self._version}
        return await self._calls.call(self._estate, self._gateway, body, STAGE_S, signed=True)


def _version_of(payload: bytes) -> int:
    try:
        return int(Account.decode(payload).facts.get("cfg_version", 0.0))
    except BadMessage:
        return 0
