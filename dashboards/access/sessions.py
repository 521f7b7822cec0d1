"""Server-side sessions: a random 256-bit token in a cookie, only its hash in the store."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from dataclasses import dataclass

from dashboards.access.people import active, actor_of
from gateway.model import Actor, Ms
from gateway.ports import AccountStore, Clock, Session, User

COOKIE = "steward_session"
IDLE_S = 12 * 3600.0
NEVER: Ms = 2**53 - 1
TOUCH_S = 60.0
FRESH_S = 5.0
"""For so long a look into the store is good; a person who was blocked elsewhere is out after it."""


@dataclass(frozen=True, slots=True)
class Login:
    """A valid session: who, its key in the store, and the CSRF token that belongs to it."""

    actor: Actor
    key: str
    csrf: str
    kind: str


def key_of(token: str) -> str:
    """The hash under which a token is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def csrf_of(token: str) -> str:
    """The CSRF token of a session: it follows from the secret token and does not reveal it."""
    return hmac.new(token.encode(), b"csrf", hashlib.sha256).hexdigest()


@dataclass(slots=True)
class _Known:
    actor: Actor
    kind: str
    looked: float
    used: float
    touched: float


class Sessions:
    """Opens, finds and ends sessions. Idle time counts in real seconds; a display never expires."""

    def __init__(self, accounts: AccountStore, clock: Clock, idle_s: float = IDLE_S) -> None:
        self._accounts, self._clock, self._idle = accounts, clock, idle_s
        self._known: dict[str, _Known] = {}

    async def open(self, user: User, kind: str = "web") -> str:
        """A new session of the person; the token for the cookie."""
        token = secrets.token_urlsafe(32)
        now = self._clock.now()
        kind = "display" if actor_of(user).role == "display" else kind
        session = Session(key_of(token), user.id, kind, now, now, self._expires(kind, now))
        await asyncio.to_thread(self._accounts.drop_sessions, expired_at=now)
        await asyncio.to_thread(self._accounts.put_session, session)
        return token

    async def find(self, token: str, *, use: bool = True) -> Login | None:
        """The login of a token, or None when it is unknown, ended, idle for too long or blocked.

        `use=False` looks without counting as use (a stream that stays open).
        """
        if not 20 <= len(token) <= 100:
            return None
        key, mono = key_of(token), self._clock.monotonic()
        known = self._known.get(key)
        if known is None or mono - known.looked > FRESH_S:
            known = await asyncio.to_thread(self._look, key, known, mono)
        if known is None or (known.kind != "display" and mono - known.used > self._idle):
            await self.end(token)
            return None
        self._known[key] = known
        if use:
            known.used = mono
            if mono - known.touched > TOUCH_S:
                known.touched = mono
                now = self._clock.now()
                await asyncio.to_thread(
                    self._accounts.touch_session, key, now, self._expires(known.kind, now)
                )
        return Login(known.actor, key, csrf_of(token), known.kind)

    async def end(self, token: str) -> None:
        """Log out."""
        key = key_of(token)
        self._known.pop(key, None)
        await asyncio.to_thread(self._accounts.drop_session, key)

    async def end_all(self, user: str) -> int:
        """End every session of a person (password changed, blocked); how many."""
        self._known = {k: s for k, s in self._known.items() if s.actor.id != user}
        return await asyncio.to_thread(self._accounts.drop_sessions, user=user)

    def _look(self, key: str, known: _Known | None, mono: float) -> _Known | None:
        session = self._accounts.session(key)
        user = self._accounts.user(session.user) if session else None
        if session is None or user is None or not active(user):
            return None
        if known is None and session.expires <= self._clock.now():
            return None
        used = known.used if known else mono
        return _Known(actor_of(user), session.kind, mono, used, known.touched if known else mono)

    def _expires(self, kind: str, now: Ms) -> Ms:
        if kind == "display":
            return NEVER
        return now + int(self._idle * 1000 * self._clock.speed)
