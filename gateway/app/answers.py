"""Acceptance from outside: a link in a short message, or a key that was pressed in a call.

The token is a keyed hash of order, person and dispatch, 12 letters: whoever has it is that person for one
act, the acceptance of that order. It is good until the order is accepted, and never for anything else.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Any

from alerts.desk import Dispatch
from alerts.orders_state import Order
from dashboards.access.people import active, actor_of
from gateway.app.point_writes import CoreLoop
from gateway.errors import Conflict, NotFound
from gateway.model import Actor, Command, Notice
from gateway.ports import AccountStore, Clock

FILE = "answers.key"
LETTERS = 12
ACCEPT_KEYS = ("1",)


class Answers:
    """Set `loop` before the first `accept`."""

    def __init__(self, dispatch: Dispatch, accounts: AccountStore, clock: Clock, data: Path) -> None:
        self._orders, self._roster = dispatch.orders.orders, dispatch.announcer
        self._accounts, self._clock = accounts, clock
        self._key = _secret(data / FILE)
        self.loop: CoreLoop

    # ── going out ─────────────────────────────────────────────────────────────────────────────────

    def link(self, notice: Notice, pages: str) -> str:
        """Where the person accepts; the pages of the phone where nobody in particular is meant."""
        order = self._orders.get(notice.subject)
        if order is None or not notice.person or notice.keys:
            return f"{pages.rstrip('/')}/t"
        return f"{pages.rstrip('/')}/n/{self._token(order, notice.person)}"

    def _token(self, order: Order, person: str) -> str:
        text = f"{order.id}|{person}|{order.keep.base}".encode()
        digest = hmac.new(self._key, text, hashlib.sha256).digest()
        return base64.b32encode(digest).decode().lower()[:LETTERS]

    # ── coming in ─────────────────────────────────────────────────────────────────────────────────

    async def read(self, token: str) -> dict[str, Any]:
        """What the token is for: {"order", "person"}. Raises NotFound."""
        order, person = await self._of(token)
        return {"order": order.as_dict(), "person": {"id": person.id, "name": person.name}}

    async def accept(self, token: str, via: str) -> dict[str, Any]:
        """The order after it. A second time gives the same answer. Raises NotFound, Conflict, Forbidden."""
        order, person = await self._of(token)
        return await self._accept(order, person, via, f"answer:{token}")

    async def pressed(self, notice: Notice, key: str) -> None:
        """A modem heard a key in its call. Raises as `accept` does."""
        order = self._orders.get(notice.subject)
        if order is None or key not in ACCEPT_KEYS or not notice.person:
            return
        person = await self._person(notice.person)
        await self._accept(order, person, "call", f"answer:{self._token(order, notice.person)}")

    async def _accept(self, order: Order, person: Actor, via: str, id_: str) -> dict[str, Any]:
        now = self._clock.now()
        command = Command(id_, "order.accept", order.id, person, now, now, data={"via": via})
        return await self.loop.submit(command)

    async def _of(self, token: str) -> tuple[Order, Actor]:
        people = await asyncio.to_thread(self._accounts.users)
        given = token.encode()
        for order in list(self._orders.values()):
            for user in people:
                if active(user) and hmac.compare_digest(self._token(order, user.id).encode(), given):
                    return order, actor_of(user)
        raise NotFound("this link is not known, or no longer")

    async def _person(self, id_: str) -> Actor:
        user = await asyncio.to_thread(self._accounts.user, id_)
        if user is None or not active(user):
            raise Conflict(f"{id_} is not there any more")
        return actor_of(user)


def _secret(path: Path) -> bytes:
    """Made once; readable by its owner alone."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(path.name + ".new")
        half.unlink(missing_ok=True)
        fd = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "wb") as f:
            f.write(secrets.token_bytes(32))
            f.flush()
            os.fsync(f.fileno())
        half.replace(path)
    return path.read_bytes()
