"""The live stream: encoded once, scoped, resumable, never blocked by a slow reader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from gateway.core.hub import KEEP, QUEUE, Hub
from gateway.model import EVERYTHING, Scope
from gateway.ports import Message

FIRMS = {"x": "f1", "y": "f2"}


async def read(stream: AsyncIterator[Message], n: int) -> list[Message]:
    return [await asyncio.wait_for(anext(stream), 2) for _ in range(n)]


async def started(hub: Hub, scope: Scope, after: int | None = None) -> AsyncIterator[Message]:
    stream = hub.subscribe(scope, after)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    hub.publish("*", "h", {"n": 0})
    await waiting
    return stream


async def test_each_message_is_encoded_once_for_all() -> None:
    hub = Hub(FIRMS)
    streams = [hub.subscribe(EVERYTHING, None) for _ in range(5)]
    waiting = [asyncio.ensure_future(anext(s)) for s in streams]
    await asyncio.sleep(0)
    hub.publish("x", "a", {"id": "1"})
    got = [await w for w in waiting]
    assert hub.encoded == 1
    assert len({id(m.data) for m in got}) == 1


async def test_a_reader_sees_only_its_scope() -> None:
    hub = Hub(FIRMS)
    mine = await started(hub, Scope(firms=frozenset({"f1"}), systems=frozenset({"elevator"})))
    hub.publish("y", "a", {"id": "foreign firm"})
    hub.publish("x", "a", {"id": "foreign system"}, "water")
    hub.publish("x", "a", {"id": "mine"}, "elevator")
    assert (await read(mine, 1))[0].data == b'{"id":"mine"}'


async def test_it_resumes_after_the_last_message_seen() -> None:
    hub = Hub(FIRMS)
    for n in range(5):
        hub.publish("x", "v", {"n": n})
    got = await read(hub.subscribe(EVERYTHING, 3), 2)
    assert [m.seq for m in got] == [4, 5]


async def test_what_is_no_longer_kept_needs_a_new_snapshot() -> None:
    hub = Hub(FIRMS)
    for n in range(KEEP + 10):
        hub.publish("x", "v", {"n": n})
    assert (await read(hub.subscribe(EVERYTHING, 3), 1))[0].event == "resync"
    assert (await read(hub.subscribe(EVERYTHING, 10**9), 1))[0].event == "resync"


async def test_a_slow_reader_is_told_to_resync_and_goes_on() -> None:
    hub = Hub(FIRMS)
    slow = await started(hub, EVERYTHING)
    for n in range(QUEUE + 5):
        hub.publish("x", "v", {"n": n})
    assert (await read(slow, 1))[0].event == "resync"
    waiting = asyncio.ensure_future(anext(slow))
    await asyncio.sleep(0)
    hub.publish("x", "v", {"n": "fresh"})
    assert (await waiting).data == b'{"n":"fresh"}'
