"""`steward user`: people who may log in, from the machine that runs Steward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from dashboards.access.passwords import Passwords, random_password
from gateway.adapters.state import SqlState, open_state
from gateway.app.terminal import console, say, table
from gateway.errors import BadInput
from gateway.model import ID, Role

ACTIONS = ("list", "add", "password", "drop")


@dataclass(frozen=True)
class Wish:
    """What `add` gives a new user. duties: duty roles · estates: none = all."""

    role: str = "operator"
    name: str = ""
    duties: tuple[str, ...] = ()
    estates: tuple[str, ...] = ()


def user_command(action: str, id_: str, data: Path, wish: Wish, *, as_json: bool) -> int:
    """list, add, password, drop. Raises BadInput."""
    if action not in ACTIONS:
        raise BadInput(f"{action!r} is unknown", field="ACTION", hint=f"one of {', '.join(ACTIONS)}")
    if action != "list" and not ID.fullmatch(id_):
        said = f"{id_!r} is no id" if id_ else "which user?"
        raise BadInput(said, field="ID", hint=f"steward user {action} ID, with 1 to 48 of a–z, 0–9, - and _")
    if not (data / "state.db").exists():
        raise BadInput(
            f"there is no state.db in {data}", field="--data", hint="start Steward once, or give --data"
        )
    state = open_state(data / "state.db")
    try:
        if action == "list":
            return _list(state, as_json=as_json)
        return _change(state, action, id_, wish, as_json=as_json)
    finally:
        state.close()


def _list(state: SqlState, *, as_json: bool) -> int:
    people = [_row(u.id, u.body, has_password=bool(u.password_hash)) for u in state.users()]
    if as_json:
        say(people)
        return 0
    rows = [
        (p["id"], p["name"], p["role"], ", ".join(p["duties"]), ", ".join(p["estates"] or ["all"]),
         "yes" if p["may_log_in"] else "no password yet")
        for p in people
    ]  # fmt: skip
    table(console(), "", ("id", "name", "role", "duties", "estates", "may log in"), rows)
    return 0


def _row(id_: str, body: Mapping[str, Any], *, has_password: bool) -> dict[str, Any]:
    return {
        "id": id_,
        "name": str(body.get("name", "")),
        "role": str(body.get("role", "")),
        "duties": [str(d) for d in body.get("duties") or ()],
        "estates": body.get("estates"),
        "may_log_in": has_password and bool(body.get("active", True)),
    }


def _change(state: SqlState, action: str, id_: str, wish: Wish, *, as_json: bool) -> int:
    known = state.user(id_)
    if action == "add":
        _may_add(id_, exists=known is not None, role=wish.role)
    elif known is None:
        raise BadInput(f"there is no user {id_}", field="ID", hint="steward user list")
    if action == "drop":
        state.drop_user(id_)
        state.drop_sessions(user=id_)
        if as_json:
            say({"id": id_, "dropped": True})
        else:
            console().print(f"{id_} is gone; all sessions ended")
        return 0
    password = random_password()
    state.put_user(id_, dict(known.body) if known else _body(id_, wish), Passwords().hash(password))
    state.drop_sessions(user=id_)
    if as_json:
        say({"id": id_, "password": password})
    else:
        console().print(f"user [bold]{id_}[/bold], password [bold]{password}[/bold] (shown once)")
    return 0


def _may_add(id_: str, *, exists: bool, role: str) -> None:
    if exists:
        raise BadInput(f"user {id_} exists", field="ID", hint="steward user password ID gives a new password")
    if role not in get_args(Role):
        raise BadInput(
            f"role {role!r} is unknown", field="--role", hint=f"one of {', '.join(get_args(Role))}"
        )


def _body(id_: str, wish: Wish) -> dict[str, Any]:
    return {
        "name": wish.name or id_, "role": wish.role, "duties": list(wish.duties), "active": True,
        "firms": None, "estates": list(wish.estates) or None, "systems": None,
    }  # fmt: skip
