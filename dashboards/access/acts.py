"""One act by a person at somebody else's screen: a short-lived token for a single command.

The wall is logged in as a display, which may do nothing. An operator who wants to act there gives name and
password once (`POST /api/v1/act-token`) and sends the token with the command (`X-Act-As`).
Tokens live in this process: a restart forgets them, and the person is asked again.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from gateway.model import Actor
from gateway.ports import Clock

LIFE_S = 60.0
MAX_TOKENS = 1000


@dataclass(frozen=True, slots=True)
class _Given:
    actor: Actor
    session: str
    until: float


class ActTokens:
    """Gives and takes back tokens; each works once, within 60 real seconds, in the session that asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._given: dict[str, _Given] = {}

    def give(self, actor: Actor, session: str) -> str:
        """A token by which `actor` does one act in `session` (the key of a session)."""
        now = self._clock.monotonic()
        self._given = {k: g for k, g in self._given.items() if g.until > now}
        while len(self._given) >= MAX_TOKENS:
            del self._given[next(iter(self._given))]
        token = secrets.token_urlsafe(32)
        self._given[_key(token)] = _Given(actor, session, now + LIFE_S)
        return token

    def use(self, token: str, session: str) -> Actor | None:
        """Who acts; None for a token that is unknown, used, too old or of another session."""
        given = self._given.pop(_key(token), None)
        if given is None or given.until <= self._clock.monotonic() or given.session != session:
            return None
        return given.actor


def _key(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
