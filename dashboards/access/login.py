"""Checks name and password: slow for attackers, the same for strangers, noted in the event log."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Mapping
from typing import Any

from dashboards.access.limits import Attempts
from dashboards.access.passwords import Passwords
from dashboards.access.people import active, actor_of
from dashboards.problems import Problem
from gateway.errors import StewardError
from gateway.model import MACHINE, Actor, Command
from gateway.ports import AccountStore, Clock, Desk, User

log = logging.getLogger(__name__)

PER_PERSON = (5, 300.0)
"""Failures of one name from one address, within so many seconds."""
PER_ADDRESS = (30, 300.0)


class Doorkeeper:
    """Lets people in. Every success and failure becomes an event; a storm of failures does not."""

    def __init__(self, desk: Desk, accounts: AccountStore, clock: Clock, passwords: Passwords) -> None:
        self._desk, self._accounts, self._clock, self._passwords = desk, accounts, clock, passwords
        self._person, self._address = Attempts(clock, *PER_PERSON), Attempts(clock, *PER_ADDRESS)
        self.failures = 0
        self._unheard = 0

    async def enter(self, name: str, password: str, address: str) -> User:
        """The person. Raises Problem 401 (wrong, unknown or blocked: never says which) or 429."""
        person = f"{name}|{address}"
        wait = max(self._person.wait_s(person), self._address.wait_s(address))
        if wait:
            raise Problem(
                429, "problem.too_often", headers={"Retry-After": str(int(wait))}, seconds=int(wait)
            )
        # Counted before the check: guesses that arrive together do not slip through while it runs.
        self._person.failed(person)
        self._address.failed(address)
        user = await asyncio.to_thread(self._accounts.user, name)
        right = await self._passwords.check(user.password_hash if user else "", password)
        if user is None or not right or not active(user):
            self.failures += 1
            await self.note("user.login_failed", _shown(name, user), MACHINE, {"address": address})
            raise Problem(401, "problem.wrong_login")
        self._person.succeeded(person)
        self._address.succeeded(address)
        if self._passwords.outdated(user.password_hash):
            fresh = await asyncio.to_thread(self._passwords.hash, password)
            await asyncio.to_thread(self._accounts.put_user, user.id, user.body, fresh)
        await self.note("user.login", user.id, actor_of(user), {"address": address})
        return user

    async def note(self, kind: str, subject: str, actor: Actor, data: Mapping[str, Any]) -> None:
        """An audit event through the core's inbox. That nobody can log in while it is down would be worse."""
        now = self._clock.now()
        try:
            async with asyncio.timeout(2):
                await self._desk.submit(
                    Command(secrets.token_hex(16), kind, subject, actor, now, now, None, data)
                )
        except (StewardError, TimeoutError) as e:
            self._unheard += 1
            if self._unheard == 1:
                log.warning(
                    "audit event %s of %s was not taken: %s; look at the core's health", kind, subject, e
                )
        else:
            if self._unheard:
                log.info("audit events are taken again; %d were lost", self._unheard)
            self._unheard = 0


def _shown(name: str, user: User | None) -> str:
    """Who it was for the log. A name that nobody has may be a password typed into the wrong field."""
    return user.id if user else "unknown-" + hashlib.sha256(name.encode()).hexdigest()[:8]
