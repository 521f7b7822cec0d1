"""The people of the demonstration: they act on what the log says, by their own accounts over the interface.

One telling of the story and no more: whoever explores after it finds the jobs free. Somebody who is faster
than the cast has the job: the first refusal that is not part of the play ends that part.
"""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from gateway.app.client import Client
from gateway.errors import BadInput, Forbidden, Retryable
from gateway.ports import Clock

TIMEOUT_S = 10.0
TRIES, AGAIN_S = 20, 1.0
"""While the core is away an act is repeated under the same key; then the part is given up."""
SCENARIO = "demo"
"""The story that the cast knows."""

Repair = Callable[[str, str], Awaitable[None]]
"""(fault, facility): hands on the plant."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Act:
    """Something that a person does, `pause_s` site seconds after the act before.

    what: a step of the order, `photo before`, `photo after` or `repair FAULT` · refused: the play wants it to
    be refused.
    """

    pause_s: float
    what: str
    body: Mapping[str, Any] = field(default_factory=dict)
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """What follows on the first event of a kind about a facility's order.

    asset: with globs; other estates' ids begin with the estate, so they do not fit · who: "" the person that
    the order was given to.
    """

    kind: str
    asset: str
    party: str
    acts: tuple[Act, ...]
    who: str = ""


_DONE = {"cause_code": "equipment", "action": "复位热继电器 Reset the overload relays"}
PARTS: tuple[Part, ...] = (
    # The technician calls it done before it is; the sensor does not agree; then it is repaired.
    Part("order.dispatched", "sump-2", "TE", (
        Act(0.5, "accept"), Act(0.5, "arrive"), Act(0.3, "photo before"), Act(0.3, "photo after"),
        Act(0.3, "done", _DONE), Act(0.5, "close", {"total_fen": 0}, refused=True),
        Act(0.7, "repair sump_pumps_fail"),
    )),
    Part("order.verified", "sump-2", "TE", (Act(1.0, "close", {"total_fen": 0}),)),
    # Nobody in the control room takes the fire alarm; after its ladder's first step somebody else does.
    Part("order.escalated", "fire-1", "CR", (Act(3.0, "accept"),), who="supervisor"),
    Part("order.dispatched", "pw-1", "TE", (Act(2.0, "accept"), Act(5.0, "arrive"))),
    Part("order.dispatched", "lift-*", "LM", (Act(2.0, "accept"), Act(2.0, "en_route"), Act(8.0, "arrive"))),
)  # fmt: skip
"""Only of the first estate, where the story plays."""


class Cast:
    """Plays the parts. `hear` gets the log; `end` when nobody acts any more."""

    def __init__(self, enter: Callable[[str], Client], repair: Repair, clock: Clock, say: Say) -> None:
        """enter: a client in which the person is logged in; blocking, may raise Retryable."""
        self._enter, self._repair, self._clock, self._say = enter, repair, clock, say
        self._people: dict[str, Client] = {}
        self._door = asyncio.Lock()
        self._played: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def hear(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Begin the parts whose cue is among the events. On the loop's own thread."""
        for e in events:
            for n, part in enumerate(PARTS):
                if n not in self._played and fits(part, e):
                    self._played.add(n)
                    task = asyncio.create_task(self._play(part, e), name=f"cast {part.kind} {part.asset}")
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Nobody acts after this."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _play(self, part: Part, event: Mapping[str, Any]) -> None:
        who = part.who or str(event["data"].get("assignee") or "")
        if not who:
            self._say(f"{part.asset}: 未派到人，等待处理 · given to nobody by name, it waits")
            return
        for n, act in enumerate(part.acts):
            await self._clock.sleep(act.pause_s)
            try:
                status, said = await self._do(act, str(event["subject"]), part.asset, who, f"cast-act-{n}")
            except (Forbidden, Retryable, BadInput) as e:
                status, said = 0, str(e)
            if status != (409 if act.refused else 200):
                self._say(
                    f"{part.asset}: {act.what}: {said[:120]} — 演员退场 · the cast leaves this one to you"
                )
                return

    async def _do(self, act: Act, order: str, asset: str, who: str, key: str) -> tuple[int, str]:
        verb, _, more = act.what.partition(" ")
        if verb == "repair":
            await self._repair(more, asset)
            return 200, ""
        path = f"/api/v1/orders/{order}/{verb}"
        for left in reversed(range(TRIES)):
            try:
                person = await self._person(who)
                if verb == "photo":
                    status, answer = await asyncio.to_thread(
                        person.upload, f"{path}s?kind={more}", picture(more), key, TIMEOUT_S
                    )
                else:
                    status, answer = await asyncio.to_thread(
                        person.ask, path, dict(act.body), key, "zh", TIMEOUT_S
                    )
            except Retryable:
                if not left:
                    raise
                await self._clock.sleep_real(AGAIN_S)
            else:
                return status, str(answer.get("detail") or "")
        raise AssertionError("the last try has returned or raised")

    async def _person(self, who: str) -> Client:
        async with self._door:
            if who not in self._people:
                self._people[who] = await asyncio.to_thread(self._enter, who)
            return self._people[who]


def plays(order: Mapping[str, Any]) -> bool:
    """Whether somebody of the cast is to work on this order."""
    return any(order["party"] == p.party and fnmatchcase(str(order["asset"]), p.asset) for p in PARTS)


def fits(part: Part, event: Mapping[str, Any]) -> bool:
    """Whether the event is the part's cue."""
    data = event.get("data") or {}
    here = (event["kind"], data.get("party")) == (part.kind, part.party)
    return here and fnmatchcase(str(event.get("asset") or ""), part.asset)


def picture(kind: str) -> bytes:
    """A PNG of 48 × 36 points in one grey: what the simulated camera sees, darker before than after."""
    grey, width, height = (64 if kind == "before" else 192), 48, 36

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = (b"\0" + bytes([grey]) * width) * height
    parts = (chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
