"""People as stored and as actors; the first administrator; the people of a site file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

from dashboards.access.passwords import Passwords, random_password
from gateway.model import ROLES, Actor, Role, Scope
from gateway.ports import AccountStore, User

DIMENSIONS = ("firms", "estates", "systems")


class PersonLike(Protocol):
    """What a person of a site file has (gateway.config.site.Person)."""

    @property
    def id(self) -> str:
        """User id."""

    @property
    def name(self) -> str:
        """Name on the screens."""

    @property
    def role(self) -> Role:
        """Access role."""

    @property
    def duties(self) -> tuple[str, ...]:
        """Duty roles."""

    @property
    def firms(self) -> tuple[str, ...] | None:
        """None: all."""

    @property
    def estates(self) -> tuple[str, ...] | None:
        """None: all."""

    @property
    def systems(self) -> tuple[str, ...] | None:
        """None: all."""

    @property
    def phone(self) -> str:
        """For the notifiers."""


def scope_of(body: Mapping[str, Any]) -> Scope:
    """The scope in a person's body; a dimension that is missing or null is unlimited."""
    sets = {d: (None if body.get(d) is None else frozenset(map(str, body[d]))) for d in DIMENSIONS}
    return Scope(**sets)


def actor_of(user: User) -> Actor:
    """The person as an actor; a role that this version does not know may do nothing."""
    role = user.body.get("role")
    return Actor(
        id=user.id,
        name=str(user.body.get("name") or user.id),
        role=cast("Role", role) if role in ROLES else "public",
        duties=frozenset(map(str, user.body.get("duties") or ())),
        scope=scope_of(user.body),
    )


def active(user: User) -> bool:
    """Whether the person may log in at all."""
    return bool(user.body.get("active", True))


def includes(outer: Scope, inner: Scope) -> bool:
    """Whether everything of `inner` lies within `outer`."""
    return all(
        getattr(outer, d) is None
        or (getattr(inner, d) is not None and getattr(inner, d) <= getattr(outer, d))
        for d in DIMENSIONS
    )


def ensure_admin(accounts: AccountStore, passwords: Passwords | None = None) -> str | None:
    """Make the user `admin` when nobody can administer; its password, to print once, or None. Blocking."""
    if any(u.body.get("role") == "admin" and u.password_hash and active(u) for u in accounts.users()):
        return None
    password = random_password()
    body = {"name": "admin", "role": "admin", "duties": [], "active": True}
    accounts.put_user("admin", body, (passwords or Passwords()).hash(password))
    return password


def seed_people(
    accounts: AccountStore,
    people: Iterable[PersonLike],
    initial: Mapping[str, str],
    passwords: Passwords | None = None,
) -> list[str]:
    """Put the people of a site file into the store, each once; ids of those that were new. Blocking.

    `initial` holds passwords by user id; without one a person cannot log in until an administrator sets it.
    Somebody who is in the store already is left alone: from then on pages and API own people.
    """
    passwords = passwords or Passwords()
    new = []
    for person in people:
        if accounts.user(person.id) is not None:
            continue
        body = {
            "name": person.name, "role": person.role, "duties": list(person.duties), "phone": person.phone,
            "active": True, **{d: _listed(getattr(person, d)) for d in DIMENSIONS},
        }  # fmt: skip
        password = initial.get(person.id, "")
        accounts.put_user(person.id, body, passwords.hash(password) if password else "")
        new.append(person.id)
    return new


def _listed(values: Iterable[str] | None) -> list[str] | None:
    return None if values is None else list(values)
