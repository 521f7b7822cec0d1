"""The live stream over a real server: one encoding for all, resume, resync, scope, the end of a session."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest

from dashboards.access.sessions import COOKIE
from dashboards.server import serve
from dashboards.web import Web, WebOptions
from gateway.errors import Permanent
from gateway.model import Scope
from tests.support.web_desk import alarm
from tests.support.web_site import HASHER, PASSWORD, Build, Site

DEADLINE_S = 20


@asynccontextmanager
async def running(site: Site) -> AsyncIterator[str]:
    """The site behind a real server; its address."""
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(site.app, "127.0.0.1", 0, lambda _, port: ready.set_result(port)))
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield f"http://127.0.0.1:{await ready}"
    finally:
        server.cancel()
        await asyncio.wait([server])


@asynccontextmanager
async def browser(base: str, user: str) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who is logged in."""
    async with httpx.AsyncClient(base_url=base, timeout=DEADLINE_S) as client:
        answer = await client.post("/api/v1/login", json={"user": user, "password": PASSWORD})
        client.headers["X-CSRF-Token"] = answer.json()["csrf"]
        yield client


class Reader:
    """Takes server-sent events off a response."""

    def __init__(self, response: httpx.Response) -> None:
        self.lines = response.aiter_lines()
        self.comments: list[str] = []

    async def next(self) -> dict[str, str]:
        """The next event; comments are put aside. An empty one is the end."""
        fields: dict[str, str] = {}
        async for line in self.lines:
            if line.startswith(":"):
                self.comments.append(line)
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields.keys() - {"retry"}:
                return fields
            else:
                fields = {}
        return {}

    async def comment(self, text: str) -> None:
        """Wait for a comment."""
        async for line in self.lines:
            if line == text:
                return
        raise AssertionError(f"the stream ended without {text!r}")


@asynccontextmanager
async def listening(client: httpx.AsyncClient, path: str = "", **headers: str) -> AsyncIterator[Reader]:
    """An open stream whose subscription stands."""
    async with client.stream("GET", f"/api/v1/stream{path}", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        reader = Reader(response)
        await reader.comment(": welcome")
        yield reader


def web(site: Site) -> Web:
    found = site.app.state.web
    assert isinstance(found, Web)
    return found


def data(event: dict[str, str]) -> Any:
    return orjson.loads(event["data"])


async def test_a_message_is_encoded_once_for_all_who_listen(site: Site) -> None:
    async with (
        running(site) as base,
        browser(base, "operator") as one,
        browser(base, "display") as two,
        listening(one) as a,
        listening(one) as b,
        listening(two) as c,
    ):
        before = web(site).hub.encodings, site.desk.hub.encoded
        for n in range(10):
            site.desk.put("alarm", alarm(f"x{n}", "lift-1"))
        for reader in (a, b, c):
            assert [data(await reader.next())["id"] for _ in range(10)] == [f"x{n}" for n in range(10)]
        assert (web(site).hub.encodings - before[0], site.desk.hub.encoded - before[1]) == (10, 10)
        assert web(site).hub.clients == 3
        assert "steward_stream_clients 3" in (await one.get("/metrics")).text


async def test_who_comes_back_misses_nothing_and_gets_nothing_twice(site: Site) -> None:
    async with running(site) as base, browser(base, "operator") as client:
        async with listening(client) as reader:
            site.desk.put("alarm", alarm("x1", "lift-1"))
            last = (await reader.next())["id"]
        for name in ("x2", "x3"):
            site.desk.put("alarm", alarm(name, "lift-1"))
        async with listening(client, **{"Last-Event-ID": last}) as reader:
            assert [data(await reader.next())["id"] for _ in range(2)] == ["x2", "x3"]
            site.desk.put("alarm", alarm("x4", "lift-1"))
            assert data(await reader.next())["id"] == "x4"


async def test_a_snapshot_and_its_cursor_leave_no_hole(site: Site) -> None:
    async with running(site) as base, browser(base, "operator") as client:
        cursor = (await client.get("/api/v1/snapshot")).json()["cursor"]
        site.desk.put("alarm", alarm("x1", "lift-1"))
        async with listening(client, f"?after={cursor}") as reader:
            assert data(await reader.next())["id"] == "x1"


@pytest.mark.parametrize("after", ["deadbeef.5", "999999", "nonsense", "5.", "-1", "1.99999999999999999999"])
async def test_an_unknown_place_begins_anew(site: Site, after: str) -> None:
    async with (
        running(site) as base,
        browser(base, "operator") as client,
        listening(client, f"?after={after}") as reader,
    ):
        event = await reader.next()
        assert (event["event"], event["data"]) == ("resync", "{}")
        site.desk.put("alarm", alarm("x1", "lift-1"))
        assert data(await reader.next())["id"] == "x1"


async def test_what_is_no_longer_kept_begins_anew(build: Build) -> None:
    site = build(WebOptions(hasher=HASHER, stream_history=3))
    async with running(site) as base, browser(base, "operator") as client:
        cursor = (await client.get("/api/v1/snapshot")).json()["cursor"]
        async with listening(client) as live:
            for n in range(4):
                site.desk.put("alarm", alarm(f"x{n}", "lift-1"))
            seen = [(await live.next())["id"] for _ in range(4)]
        async with listening(client, f"?after={cursor}") as reader:
            assert (await reader.next())["event"] == "resync"
        async with listening(client, f"?after={seen[0]}") as reader:
            assert [(await reader.next())["id"] for _ in range(3)] == seen[1:]


async def test_a_slow_page_is_told_to_begin_anew_and_slows_nobody(build: Build) -> None:
    site = build(WebOptions(hasher=HASHER, stream_queue=4))
    hub = web(site).hub
    async with running(site) as base, browser(base, "operator") as client, listening(client) as reader:
        slow = hub.subscribe(Scope(), None, None)
        for n in range(6):
            site.desk.put("alarm", alarm(f"x{n}", "lift-1"))
            assert data(await reader.next())["id"] == f"x{n}"
        frames = await slow.take()
        assert frames.startswith(b"id: ")
        assert frames.count(b"event: resync") == 1
        assert frames.count(b"event: a") == 1
        assert hub.resyncs == 1


async def test_the_stream_holds_to_the_scope(site: Site) -> None:
    site.person("olga", "operator", estates=["garden"], systems=["elevator"])
    values = {"t": 1, "values": {"lift-1/lift.speed": [1, 1.0, 0], "pump-1/ws.out_p": [1, 2.0, 0]}}
    async with running(site) as base, browser(base, "olga") as client, listening(client) as reader:
        site.desk.put("alarm", alarm("x1", "lift-9"))
        site.desk.put("alarm", alarm("x2", "pump-1"))
        site.desk.hub.publish("tower", "v", {"t": 1, "values": {"lift-9/lift.speed": [1, 1.0, 0]}})
        site.desk.hub.publish("garden", "v", {"t": 1, "values": {"pump-1/ws.out_p": [1, 2.0, 0]}})
        site.desk.hub.publish("garden", "v", values)
        site.desk.hub.publish("*", "h", site.desk.health())
        site.desk.put("alarm", alarm("x3", "lift-1"))
        first, second, third = [await reader.next() for _ in range(3)]
        assert data(first) == {"t": 1, "values": {"lift-1/lift.speed": [1, 1.0, 0]}}
        assert list(data(second)["edges"]) == ["gw-garden"]
        assert data(third)["id"] == "x3"


async def test_a_page_may_ask_for_a_part(site: Site) -> None:
    async with (
        running(site) as base,
        browser(base, "admin") as client,
        listening(client, "?estate=river&estate=tower") as reader,
    ):
        for name, asset in (("x1", "lift-1"), ("x5", "lift-5"), ("x9", "lift-9")):
            site.desk.put("alarm", alarm(name, asset))
        assert [data(await reader.next())["id"] for _ in range(2)] == ["x5", "x9"]


async def test_a_quiet_stream_shows_that_it_lives_and_ends_with_the_session(build: Build) -> None:
    site = build(WebOptions(hasher=HASHER, heartbeat_s=0.05))
    async with running(site) as base, browser(base, "operator") as client, listening(client) as reader:
        await reader.comment(": quiet")
        assert (await client.post("/api/v1/logout")).status_code == 200
        await site.clock.advance(1)  # real seconds pass: the session is looked at again
        assert await reader.next() == {}


async def test_a_changed_scope_ends_the_stream(build: Build) -> None:
    site = build(WebOptions(hasher=HASHER, heartbeat_s=0.05))
    async with running(site) as base, browser(base, "operator") as client, listening(client) as reader:
        site.person("operator", "operator", estates=["garden"])
        await site.clock.advance(6)
        assert await reader.next() == {}


async def test_a_page_that_goes_is_forgotten(site: Site) -> None:
    async with running(site) as base, browser(base, "operator") as client:
        async with listening(client):
            assert web(site).hub.clients == 1
        while web(site).hub.clients:
            assert (await client.get("/healthz")).status_code == 200  # gives the server its turn


async def test_strangers_hear_nothing(site: Site) -> None:
    async with running(site) as base, httpx.AsyncClient(base_url=base) as client:
        assert (await client.get("/api/v1/stream")).status_code == 401
        client.cookies.set(COOKIE, "x" * 43)
        assert (await client.get("/api/v1/stream")).status_code == 401


async def test_an_open_stream_does_not_hold_the_server_up(site: Site) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[int] = loop.create_future()
    server = asyncio.create_task(serve(site.app, "127.0.0.1", 0, lambda _, port: ready.set_result(port)))
    async with asyncio.timeout(DEADLINE_S):
        async with (
            browser(f"http://127.0.0.1:{await ready}", "operator") as client,
            listening(client) as reader,
        ):
            begun = loop.time()
            server.cancel()
            assert await reader.next() == {}
            await asyncio.wait([server])
            assert loop.time() - begun < 3
    assert server.cancelled()


async def test_a_port_that_is_taken_is_named(site: Site) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Permanent, match=f"127.0.0.1:{port}"):
            await serve(site.app, "127.0.0.1", port)
