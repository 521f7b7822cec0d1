"""A web over a small core, and browsers of people who are logged in, for tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from argon2 import PasswordHasher
from fastapi import FastAPI

from dashboards.access.passwords import Passwords
from dashboards.web import WebOptions
from gateway.adapters.clock import ManualClock
from tests.support.web_desk import WebDesk

PASSWORD = "correct-horse"
HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
HASH = Passwords(HASHER).hash(PASSWORD)


@dataclass
class Site:
    """The parts of a running web."""

    app: FastAPI
    desk: WebDesk
    clock: ManualClock

    def client(self, **more: Any) -> httpx.AsyncClient:
        """A browser without cookies."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://localhost", **more)

    async def login(self, user: str, password: str = PASSWORD) -> httpx.AsyncClient:
        """A browser of somebody who is logged in, with the CSRF token in place."""
        client = self.client()
        answer = await client.post("/api/v1/login", json={"user": user, "password": password})
        assert answer.status_code == 200, answer.text
        client.headers["X-CSRF-Token"] = answer.json()["csrf"]
        return client

    def person(self, id_: str, role: str, **more: Any) -> None:
        """Make a person who can log in."""
        self.desk.state.put_user(id_, {"name": id_.title(), "role": role, "duties": [], **more}, HASH)


Build = Callable[[WebOptions], Site]
