"""Guests: people of a firm who work on one order by a one-time link, without an account.

The link holds a random token behind `#`, where neither logs nor programs that look at links in messages see
it. The first device that opens it gets a secret of its own in a cookie; from then on the cookie is the
credential and the token opens nothing more. The store knows both by their SHA-256 alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any

from fastapi import Request

from dashboards.access.sessions import Login, csrf_of
from dashboards.http import SAFE
from dashboards.problems import Problem
from dashboards.web import Web, language, web_of
from gateway.model import Actor, Scope
from gateway.ports import AccountStore

ACTS: frozenset[str] = frozenset({"accept", "arrive", "check", "photo", "done"})
"""All that a guest may do, on the order of the link and on no other."""


@dataclass(frozen=True, slots=True)
class Guest:
    """Who came by a link: `link` and `order` as stored, the person as an actor, the CSRF token."""

    web: Web
    link: Mapping[str, Any]
    order: Mapping[str, Any]
    actor: Actor
    csrf: str
    lang: str

    @property
    def login(self) -> Login:
        """As a session of this order alone."""
        return Login(self.actor, str(self.link["device"]), self.csrf, "guest")


def secret() -> tuple[str, str]:
    """256 random bits for the person, and their hash for the store."""
    token = secrets.token_urlsafe(32)
    return token, hashed(token)


def hashed(token: str) -> str:
    """As it is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def cookie_of(link: str) -> str:
    """Name of the cookie: a phone may hold several links."""
    return f"steward_guest_{link}"


def actor_of_link(link: Mapping[str, Any], order: Mapping[str, Any]) -> Actor:
    """A contractor who reaches nothing but the order's estate and system, with the duty that was called."""
    scope = Scope(estates=frozenset({str(order["estate"])}), systems=frozenset({str(order["system"])}))
    return Actor(str(link["guest"]), name_of(link), "contractor", frozenset({str(order["party"])}), scope)


def name_of(link: Mapping[str, Any]) -> str:
    """The person with the firm, as screens show both."""
    return f"{link['name']} ({link['firm']})"


def remember(accounts: AccountStore, link: Mapping[str, Any]) -> None:
    """So that the log shows a name later on: an account nobody can log in to. Blocking."""
    body = {"name": name_of(link), "role": "contractor", "duties": [], "active": False,
            "guest": link["order"], "estates": [link["estate"]]}  # fmt: skip
    accounts.put_user(str(link["guest"]), body, "")


async def guest_of(request: Request, link: str) -> Guest:
    """The guest of the cookie.

    Raises Problem 401 when the link ended or this device is not the one, 403 for an unsafe call without the
    CSRF token.
    """
    web, given = web_of(request), request.cookies.get(cookie_of(link), "")
    record = await asyncio.to_thread(web.desk.state.record, "link", link) if given else None
    live = record is not None and record["state"] == "open" and record["until"] > web.desk.now()
    if record is None or not live or not compare_digest(hashed(given), record["device"]):
        raise Problem(401, "problem.link")
    order = await asyncio.to_thread(web.desk.state.record, "order", record["order"])
    if order is None:
        raise Problem(401, "problem.link")
    link_body = {**record, "guest": f"guest-{record['id']}"}
    csrf = csrf_of(given)
    if request.method not in SAFE and not compare_digest(
        request.headers.get("x-csrf-token", "").encode(), csrf.encode()
    ):
        raise Problem(403, "problem.csrf")
    return Guest(web, link_body, order, actor_of_link(link_body, order), csrf, language(request))
