"""People and sessions (ports.AccountStore)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from gateway.adapters.state.chain import canonical
from gateway.adapters.state.engine import Database
from gateway.adapters.state.tables import sessions, users
from gateway.errors import NotFound
from gateway.model import Ms
from gateway.ports import Session, User


class Accounts(Database):
    """Tables `users` and `sessions`. Tokens are stored as hashes only."""

    def users(self) -> list[User]:
        """Everybody, by id."""
        with self.reading() as con:
            return [_user(row) for row in con.execute(sa.select(users).order_by(users.c.id))]

    def user(self, id: str) -> User | None:  # noqa: A002 - the word of the field
        """One person."""
        with self.reading() as con:
            row = con.execute(sa.select(users).where(users.c.id == id)).one_or_none()
        return _user(row) if row else None

    def put_user(self, id: str, body: Mapping[str, Any], password_hash: str | None = None) -> None:  # noqa: A002 - as above
        """Make or replace; a `password_hash` of None keeps the present one ("" when the person is new)."""
        values = {"id": id, "body": canonical(body), "password_hash": password_hash or ""}
        changes = {"body": values["body"]}
        if password_hash is not None:
            changes["password_hash"] = password_hash
        with self.writing() as con:
            con.execute(
                self.insert(users).values(values).on_conflict_do_update(index_elements=["id"], set_=changes)
            )

    def drop_user(self, id: str) -> None:  # noqa: A002 - as above
        """Forget a person; their sessions go with them."""
        with self.writing() as con:
            con.execute(sa.delete(users).where(users.c.id == id))

    def session(self, token_hash: str) -> Session | None:
        """One session, expired or not."""
        with self.reading() as con:
            row = con.execute(sa.select(sessions).where(sessions.c.token_hash == token_hash)).one_or_none()
        return Session(*row) if row else None

    def put_session(self, session: Session) -> None:
        """Make or replace. Raises NotFound when there is no such user."""
        values = {name: getattr(session, name) for name in sessions.c.keys()}  # noqa: SIM118 - not a dict
        try:
            with self.writing() as con:
                con.execute(
                    self.insert(sessions)
                    .values(values)
                    .on_conflict_do_update(index_elements=["token_hash"], set_=values)
                )
        except IntegrityError as error:
            raise NotFound(f"no user {session.user}") from error

    def touch_session(self, token_hash: str, last_seen: Ms, expires: Ms) -> None:
        """Note its use."""
        with self.writing() as con:
            con.execute(
                sa.update(sessions)
                .where(sessions.c.token_hash == token_hash)
                .values(last_seen=last_seen, expires=expires)
            )

    def drop_session(self, token_hash: str) -> None:
        """End one."""
        with self.writing() as con:
            con.execute(sa.delete(sessions).where(sessions.c.token_hash == token_hash))

    def drop_sessions(self, *, user: str | None = None, expired_at: Ms | None = None) -> int:
        """End those of a user, or those whose `expires` is not after `expired_at`; how many."""
        which = [sessions.c.user == user] if user is not None else []
        if expired_at is not None:
            which.append(sessions.c.expires <= expired_at)
        if not which:
            raise ValueError("say whose, or which")
        with self.writing() as con:
            return con.execute(sa.delete(sessions).where(*which)).rowcount


def _user(row: sa.Row[Any]) -> User:
    return User(row.id, orjson.loads(row.body), row.password_hash)
