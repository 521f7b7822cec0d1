"""People and their sessions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.model import (
    Ms,
)


@dataclass(frozen=True, slots=True)
class User:
    """A person as stored: `body` holds name, role, duties, scope… (JSON), `password_hash` "" = no log-in."""

    id: str
    body: Mapping[str, Any]
    password_hash: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in. Only the hash of its token is stored; `kind` says what for (web, phone, display, api)."""

    token_hash: str
    user: str
    kind: str
    created: Ms
    last_seen: Ms
    expires: Ms


class AccountStore(Protocol):
    """People and their sessions, kept outside the event chain. Blocking; call it in a thread."""

    def users(self) -> list[User]:
        """Everybody, by id."""

    def user(self, id: str) -> User | None:  # noqa: A002 - the word of the field
        """One person."""

    def put_user(self, id: str, body: Mapping[str, Any], password_hash: str | None = None) -> None:  # noqa: A002 - as above
        """Make or replace; a `password_hash` of None keeps the present one."""

    def drop_user(self, id: str) -> None:  # noqa: A002 - as above
        """Forget a person and end all their sessions."""

    def session(self, token_hash: str) -> Session | None:
        """One session, expired or not: the caller compares `expires` with its clock."""

    def put_session(self, session: Session) -> None:
        """Make or replace. Raises NotFound when there is no such user."""

    def touch_session(self, token_hash: str, last_seen: Ms, expires: Ms) -> None:
        """Note its use; nothing happens when it is gone."""

    def drop_session(self, token_hash: str) -> None:
        """End one; nothing happens when it is gone."""

    def drop_sessions(self, *, user: str | None = None, expired_at: Ms | None = None) -> int:
        """End those of a user, or those whose `expires` is not after `expired_at`; how many."""
